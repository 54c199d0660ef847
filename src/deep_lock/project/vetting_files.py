"""The files of `supply-chain/`, next to the lock: read together, and edited one record at a time.

The records of a project are below a comment with its name, sorted by version. The comments stay when records come and go: so
git merges changes of different projects without a conflict.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from packaging.version import Version

from deep_lock.errors import UsageError, VettingInvalid
from deep_lock.models.vetting import (
    AUDITS,
    CONFIG,
    FOLDER,
    IMPORTS_LOCK,
    VERSION,
    AuditedFile,
    FileAudit,
    FileExemption,
    Vetting,
)
from deep_lock.parsing.vetting import read_audits, read_imports_lock, read_vetting_config
from deep_lock.pep440 import parse_version
from deep_lock.project import edit
from deep_lock.project.edit import Document, Keys
from deep_lock.project.files import read_text

Record = FileAudit | FileExemption

_HEADS = {
    AUDITS: """\
# Which files of the lock were audited, by whom. deep-lock vet certify adds to it; other teams can import it.
# The comments with names of projects stay: with them git merges audits of different projects.
""",
    CONFIG: """\
# The audits of other teams that are imported, and the files of the lock that are used without an audit.
# The comments with names of projects stay: with them git merges changes of different projects.
""",
}
_TABLES = {AUDITS: "audits", CONFIG: "exemptions"}
_PROJECT_COMMENT = re.compile(r"^# ([a-z0-9]+(?:-[a-z0-9]+)*)$", re.MULTILINE)


def vetting_folder(lock: Path) -> Path:
    """Return the folder of the files, by the path of the lock."""
    return lock.parent / FOLDER


def read_vetting(folder: Path) -> Vetting:
    """Read the files of a folder; `imports.lock` may be missing. Raises UsageError where another one is missing, and VettingInvalid."""
    audits = read_audits(_text(folder / AUDITS), str(folder / AUDITS))
    config = read_vetting_config(_text(folder / CONFIG), str(folder / CONFIG))
    try:
        imports = read_imports_lock(read_text(folder / IMPORTS_LOCK, VettingInvalid), str(folder / IMPORTS_LOCK))
    except FileNotFoundError:
        imports = {}
    return Vetting(audits=audits, config=config, imports=imports)


def _text(path: Path) -> str:
    try:
        return read_text(path, VettingInvalid)
    except FileNotFoundError:
        is_part = path.parent.is_dir() and any(path.parent.iterdir())  # an init that was killed, or a lost file
        made = f"remove {path.parent}, then run deep-lock vet init" if is_part else "make the files: deep-lock vet init"
        hint = f"{made}; or restore them, for example with git"
        raise UsageError(f"{path}: there is no such file", hint=hint) from None


def new_text(name: str, projects: Collection[str], records: Iterable[Record] = ()) -> str:
    """Return the text of a new `audits.toml` or `config.toml`, with a comment for each project."""
    by_project = {project: list(own) for project, own in groupby(_ordered(records), key=lambda record: record.package)}
    parts = [f"{_HEADS[name]}version = {VERSION}\n"]
    for project in sorted({*projects, *by_project}):
        texts = [record_text((_TABLES[name], project), record) for record in by_project.get(project, ())]
        parts.append(f"\n{_comment(project)}" + "\n".join(texts))
    return "".join(parts)


def _ordered(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.package, _order(record)))


def _order(record: Record) -> Version:
    return parse_version(record.version or "0")


def _comment(project: str) -> str:
    return f"# {project}\n"


def record_text(keys: Keys, record: Record) -> str:
    """Return the text of a record, as an entry of the array of tables with these keys."""
    audit = record if isinstance(record, FileAudit) else None
    values = {
        "version": record.version,
        "from": audit.base_version if audit else "",
        "criteria": list(record.criteria),
        "who": audit.who if audit else "",
        "date": audit.date if audit else "",
        "notes": record.notes,
    }
    lines = [edit.assignment(key, value) for key, value in values.items() if value]
    return "\n".join([f"[[{'.'.join(keys)}]]", *lines, "files = [", *map(_file_line, record.files), "]\n"])


def _file_line(file: AuditedFile) -> str:
    base = f', from = "{file.base}"' if file.base else ""
    return f'    {{ {edit.assignment("name", file.name)}, sha256 = "{file.sha256}"{base} }},'


# -- edits


def with_record(document: Document, table: str, record: Record, others: Sequence[Record]) -> Document:
    """Add a record below the others of its project, sorted by version. ``others`` are those of the file, in its order.

    Raises ProjectInvalid where that is not possible.
    """
    keys = (table, record.package)
    own = [each for each in others if each.package == record.package]
    spans = edit.entry_spans(document, keys)
    index = next((at for at, each in enumerate(own) if _order(each) > _order(record)), len(own))
    text = record_text(keys, record)
    if spans and index == len(spans):
        position = spans[-1][1]
        text = _separated(document.text[:position], text)
    elif spans:
        position, text = spans[index][0], f"{text}\n"
    else:
        position, text = _new_section(document, table, record.package, text)
    return edit.with_entry_text(document, keys, index, position, text)


def _new_section(document: Document, table: str, project: str, text: str) -> tuple[int, str]:
    """Return where the first record of a project is written, and its text: below the comment, which is added where there is none."""
    comment = _comment(project)
    found = re.search(rf"^{re.escape(comment)}", document.text, re.MULTILINE)
    if found is not None:
        return found.end(), text
    for name, start in _sections(document, table):
        if name > project:
            return start, f"{comment}{text}\n"
    return len(document.text), _separated(document.text, f"{comment}{text}")


def _sections(document: Document, table: str) -> list[tuple[str, int]]:
    """Return the name and the begin of what the file has about each project, comments included, in the order of the file."""
    found: dict[str, int] = {}
    for position, path in edit.headers(document):
        if len(path) == len((table, "NAME")) and path[0] == table:
            found.setdefault(path[1], edit.comments_above(document, position))
    for match in _PROJECT_COMMENT.finditer(document.text):
        found.setdefault(match[1], match.start())
    return sorted(found.items(), key=lambda own: own[1])


def _separated(before: str, text: str) -> str:
    return ("" if before.endswith("\n") or not before else "\n") + ("\n" if before else "") + text


def with_replaced_records(
    document: Document, table: str, records: Sequence[Record], changed: Mapping[int, Sequence[Record]]
) -> Document:
    """Replace records by others, or by none. ``records`` are those of the file, in its order; ``changed`` is by position in them.

    Raises ProjectInvalid where that is not possible.
    """
    for position in sorted(changed, reverse=True):
        own = records[position]
        index = sum(each.package == own.package for each in records[:position])
        keys = (table, own.package)
        at = edit.entry_spans(document, keys)
        document = edit.without_entry(document, keys, index)
        below = ""
        for each in reversed(changed[position]):
            text = record_text(keys, each) + below
            document = edit.with_entry_text(document, keys, index, at[index][0], text)
            below = "\n"
    return document
