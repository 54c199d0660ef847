"""The format of another tool's lock: by its name, and for any other name by its content."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Literal

from deep_lock.boundary import reading
from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks import pdm, pipfile, poetry, pylock, requirements_txt, uv
from deep_lock.foreign_locks.fields import MAX_LOCK, with_plain_strings
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.parsing.text import readable

_Format = Literal["uv", "poetry", "pdm", "pipfile", "pylock", "pins"]

_NAMES: dict[str, _Format] = {
    "uv.lock": "uv",
    "poetry.lock": "poetry",
    "pdm.lock": "pdm",
    "pipfile.lock": "pipfile",
    "pylock.toml": "pylock",
}
_PYLOCK = re.compile(r"pylock\.[^.]+\.toml")
# Lines that only one format has, tried in this order: locks of PDM and Poetry have lock_version and lock-version too.
_MARKS: tuple[tuple[_Format, re.Pattern[str]], ...] = (
    ("poetry", re.compile(r"^content-hash\s*=", re.MULTILINE)),
    ("pdm", re.compile(r"^content_hash\s*=", re.MULTILINE)),
    ("pipfile", re.compile(r'^\s*"pipfile-spec"\s*:', re.MULTILINE)),
    ("pylock", re.compile(r"^lock-version\s*=", re.MULTILINE)),
    ("uv", re.compile(r"^version = [0-9]+$", re.MULTILINE)),
    ("pins", re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}(?:\[[^\]\n]*\])?(?:==| @ )\S", re.MULTILINE)),
)
_KNOWN = "uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml, pylock.NAME.toml and pinned requirements (*.txt)"


def read_foreign(text: str, source: str, *, project: str | None, opener: Callable[[str, str], str]) -> ForeignLock:
    """Read a lock of another tool.

    ``project`` is the text of the pyproject.toml in its folder, if there is one; ``opener`` opens what a requirements
    file includes. Raises LockInvalid for an unknown format, and what the format's reader raises.
    """
    with reading(source, LockInvalid):
        lock: ForeignLock = with_plain_strings(_read(text, source, project, opener))
    return lock


def _read(text: str, source: str, project: str | None, opener: Callable[[str, str], str]) -> ForeignLock:
    match _format(text, source):
        case "uv":
            return uv.read_uv_lock(text, source, project)
        case "poetry":
            return poetry.read_poetry_lock(text, source, project)
        case "pdm":
            return pdm.read_pdm_lock(text, source, project)
        case "pipfile":
            return pipfile.read_pipfile_lock(text, source)
        case "pylock":
            return pylock.read_pylock(text, source)
        case "pins":
            return requirements_txt.read_pins(text, source, opener)


def _format(text: str, source: str) -> _Format:
    name = PurePosixPath(source.replace("\\", "/")).name.lower()
    if name in _NAMES:
        return _NAMES[name]
    if _PYLOCK.fullmatch(name):
        return "pylock"
    if name.endswith(".txt"):
        return "pins"
    text = readable(text, source, LockInvalid, MAX_LOCK)
    for lock_format, mark in _MARKS:
        if mark.search(text):
            return lock_format
    raise LockInvalid(f"{source}: is not a lockfile of a known format", hint=f"Known are {_KNOWN}.")
