"""Inline script metadata (PEP 723). The regular expression of a block is the specification's."""

import re

from deep_lock.boundary import reading
from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import read_python_specifier, read_requirement_list, read_table
from deep_lock.parsing.text import notes_on_characters, readable, shown
from deep_lock.parsing.toml import read_toml
from deep_lock.project.project import Project
from deep_lock.project.pyproject import notes_on_foreign_settings

MAX_SCRIPT = 1024 * 1024
MAX_OPENINGS = 64

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_OPENING = re.compile(r"(?m)^# /// ")
_KEYS = frozenset(("dependencies", "requires-python", "tool"))
_HINT = 'The block looks like this:  # /// script  |  # dependencies = ["..."]  |  # ///'


def read_script(text: str, source: str) -> Project:
    """Read the ``script`` block of a Python file.

    Raises ProjectInvalid (no block, two blocks, faults in it), or LimitExceeded.
    """
    with reading(source, ProjectInvalid):
        return _read_script(text, source)


def _read_script(text: str, source: str) -> Project:
    text = readable(text, source, ProjectInvalid, MAX_SCRIPT).replace("\r\n", "\n").replace("\r", "\n")
    content = _block(text, source)
    table, lines = read_toml(content, source, ProjectInvalid)
    faults = Faults(source, ProjectInvalid)
    for key in sorted(set(table) - _KEYS):
        faults.add(f"{shown(key)} is not a key of a script block (PEP 723); known are {', '.join(sorted(_KEYS))}")
    tools = read_table(table.get("tool", {}), "tool", faults)
    read_table(tools.get("deep-lock", {}), "tool.deep-lock", faults)
    dependencies = read_requirement_list(table.get("dependencies", []), "dependencies", lines, faults, direct=True)
    requires_python = read_python_specifier(table.get("requires-python"), "requires-python", faults)
    faults.raise_any()
    return Project(
        source=source,
        requires_python=requires_python,
        dependencies=dependencies,
        tools=tools,
        notes=(*notes_on_foreign_settings(tools, source), *notes_on_characters(content, source)),
    )


def block_span(text: str, source: str) -> tuple[int, int]:
    """Return the begin and the end of the lines inside the one ``script`` block; line ends are simple ones.

    Raises ProjectInvalid (no block, two blocks), or LimitExceeded.
    """
    if len(_OPENING.findall(text)) > MAX_OPENINGS:
        # each unclosed one makes the expression read the comment to its end
        raise LimitExceeded(f"{source}: more than {MAX_OPENINGS} lines begin a metadata block")
    blocks = [found for found in _BLOCK.finditer(text) if found["type"] == "script"]
    if not blocks:
        raise ProjectInvalid(f"{source}: has no script block (PEP 723)", hint=_HINT)
    if len(blocks) > 1:
        second = text.count("\n", 0, blocks[1].start()) + 1
        raise ProjectInvalid(f"{source}:{second}: a second script block: there must be only one (PEP 723)")
    return blocks[0].span("content")


def _block(text: str, source: str) -> str:
    """Return the TOML inside the block, with an empty line for each line above it: its line numbers are the script's."""
    start, end = block_span(text, source)
    # unlike str.splitlines(), only "\n" is a line end here
    content = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in text[start:end].split("\n"))
    return "\n" * text.count("\n", 0, start) + content
