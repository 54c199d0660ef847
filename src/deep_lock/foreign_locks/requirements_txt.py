"""Requirement files in which everything is pinned: of pip-compile, uv, poetry export, pip freeze, or by hand.

The lines are read by `requirements_txt`; here each becomes a pin. Who wrote the file, for which environment, and what
the project asked for itself stands in comments only: it is taken where it is plain, and never guessed.
"""

import posixpath
import re
from collections.abc import Callable
from shlex import split
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from deep_lock.errors import DeepLockError, LockInvalid, RequirementsInvalid, UsageError
from deep_lock.foreign_locks.fields import MAX_LOCK, note_without_sha256
from deep_lock.models.direct_url import WHEEL_SUFFIX, parse_reference
from deep_lock.models.foreign_lock import Condition, ForeignKind, ForeignLock, ForeignNote, ForeignPin
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing.requirements import read_name
from deep_lock.parsing.text import readable, shown
from deep_lock.parsing.toml import read_toml
from deep_lock.project.requirements_txt import RequirementsFile, UnnamedLine, read_requirements
from deep_lock.targets.markers import BASE
from deep_lock.targets.platforms import parse_platform

_HEAD_LINES = 30
_TOOLS = (("uv", "pip", "compile"), ("uv", "export"), ("pip-compile",))
_WITH_PYTHON = re.compile(r"#.{0,80}\bpip-compile with Python (3\.[0-9]{1,2})\b")
_MINOR = re.compile(r"(3\.[0-9]{1,2})(?:\.[0-9]{1,3})?")
_PYTHON_OPTIONS = ("--python-version", "--python", "-p")
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,199})\s*(?:\[|==|@|;|\\|$)")
_ASKED = re.compile(r"(?:^|[\s,])-r\s|\((?:pyproject\.toml|setup\.py|setup\.cfg)\)")
_UNSAFE = "# The following packages are considered to be unsafe in a requirements file"
_UNSAFE_NAME = re.compile(r"# ([A-Za-z0-9][A-Za-z0-9._-]{0,199})")
_WITH_FRAGMENT = re.compile(r"(?:(?:-e|--editable)[ =])?\s*((?:git\+|https?:)[^\s#]+)#(\S+)(\s.*)?")
_EGG = re.compile(r"egg=([A-Za-z0-9._-]+)(\[[A-Za-z0-9._,-]*\])?")
_NAMED_ABOVE = re.compile(r"# Editable .{0,200}\(([A-Za-z0-9][A-Za-z0-9._-]{0,199})===?[^()\s]+\)")
# as uv and Poetry export it, and pip takes it not
_WITH_MARKER = re.compile(r"-e ([^\s#;\[]+)\s+(;.*)")
_FOLDER = re.compile(r"-e (/|[A-Za-z]:[\\/])(.*)")

# As uv names platforms: what it takes each for.
_PLATFORMS = {
    "linux": "x86_64-manylinux_2_28",
    "x86_64-unknown-linux-gnu": "x86_64-manylinux_2_28",
    "aarch64-unknown-linux-gnu": "aarch64-manylinux_2_28",
    "x86_64-unknown-linux-musl": "x86_64-musllinux_1_2",
    "aarch64-unknown-linux-musl": "aarch64-musllinux_1_2",
    "macos": "arm64-macos_13",
    "aarch64-apple-darwin": "arm64-macos_13",
    "x86_64-apple-darwin": "x86_64-macos_13",
    "windows": "x86_64-windows",
    "x86_64-pc-windows-msvc": "x86_64-windows",
    "aarch64-pc-windows-msvc": "arm64-windows",
    "i686-pc-windows-msvc": "x86-windows",
}


class Told(Struct, frozen=True, kw_only=True):
    """What comments tell of a file."""

    requires_python: str | None = None
    """Of a file for every environment."""
    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    is_compiled: bool = False
    """Whether a resolver says that it wrote the file."""
    is_universal: bool = False
    """Whether it says that the file is for every environment."""
    is_annotated: bool = False
    """Whether any comment is one of a resolver."""
    direct: frozenset[tuple[int, NormalizedName]] = frozenset()
    """Line and name of what the project itself asks for."""
    unpinned: tuple[NormalizedName, ...] = ()
    """What pip-compile leaves out as unsafe to pin, although something needs it."""


def named_lines(text: str) -> str:
    """Write a direct reference whose name stands beside it as NAME @ URL, and an editable with a marker as a path.

    Every line keeps its number.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if "egg=" in line and (found := _WITH_FRAGMENT.fullmatch(line.strip())):
            lines[number] = _named(found, line)
        elif found := _WITH_MARKER.fullmatch(line):
            lines[number] = f"{found[1]}#editable=true {found[2]}"
        elif number and line.startswith("-e ") and (above := _NAMED_ABOVE.match(lines[number - 1])):
            folder = _FOLDER.fullmatch(line.rstrip())
            if folder is not None:
                place = (folder[1] if folder[1] == "/" else f"/{folder[1]}") + folder[2]
                lines[number] = f"{above[1]} @ file://{quote(place.replace(chr(92), '/'), safe='/:')}#editable=true"
    return "\n".join(lines)


def _named(found: re.Match[str], line: str) -> str:
    """Return the line with the name of its fragment in front; as it is where the fragment has none."""
    parts = found[2].split("&")
    egg = next((name for part in parts if (name := _EGG.fullmatch(part))), None)
    if egg is None:
        return line
    others = [part for part in parts if part != egg[0]]
    fragment = "#" + "&".join(others) if others else ""
    return f"{egg[1]}{egg[2] or ''} @ {found[1]}{fragment}{found[3] or ''}"


def read_comments(text: str) -> Told:
    """Read the comments of a file, its included files not."""
    lines = text.replace("\r\n", "\n").split("\n")
    command = _command(lines[:_HEAD_LINES])
    with_python = next((found[1] for line in lines[:_HEAD_LINES] if (found := _WITH_PYTHON.search(line))), None)
    direct, has_via = _asked(lines)
    is_compiled = bool(command) or with_python is not None
    is_universal = bool(command) and ("--universal" in command or command[:2] == ["uv", "export"])
    python = with_python or _python(command)
    return Told(
        # a universal file is for this Python and all later ones
        requires_python=f">={python}" if python and is_universal else None,
        pythons=(python,) if python and not is_universal else (),
        platforms=_platform(command),
        is_compiled=is_compiled,
        is_universal=is_universal,
        is_annotated=is_compiled or has_via,
        direct=direct,
        unpinned=_unpinned(lines),
    )


def _command(lines: list[str]) -> list[str]:
    """Return the words of the command that wrote the file, from the comments at its head."""
    for line in lines:
        if not line.startswith("#"):
            continue
        try:
            words = split(line.lstrip("# "))
        except ValueError:
            continue
        if any(tuple(words[: len(tool)]) == tool for tool in _TOOLS):
            return words
    return []


def _option(command: list[str], names: tuple[str, ...]) -> str | None:
    for word, following in zip(command, [*command, ""][1:], strict=True):
        key, equals, value = word.partition("=")
        if key in names:
            return value if equals else following
    return None


def _python(command: list[str]) -> str | None:
    minor = _MINOR.fullmatch(_option(command, _PYTHON_OPTIONS) or "")
    return minor[1] if minor else None


def _platform(command: list[str]) -> tuple[str, ...]:
    said = _option(command, ("--python-platform",)) or ""
    machine, dash, system = said.partition("-")
    name = _PLATFORMS.get(said) or (
        said.replace("manylinux2014", "manylinux_2_17") if machine and dash and system else ""
    )
    try:
        return (parse_platform(name).name,) if name else ()
    except UsageError:
        return ()


def _asked(lines: list[str]) -> tuple[frozenset[tuple[int, NormalizedName]], bool]:
    """Return lines and names of pins that come from an input file of the resolver, and whether any says where from."""
    direct: set[tuple[int, NormalizedName]] = set()
    pin: tuple[int, NormalizedName] | None = None
    tells = has_via = False
    for number, line in enumerate(lines, 1):
        comment = line.strip()
        if not comment.startswith("#"):
            if found := _PINNED.match(line):
                pin, tells = (number, canonicalize_name(found[1])), False
            comment = "#" + line.partition(" #")[2]
        words = comment.lstrip("# ")
        if words == "via" or words.startswith("via "):
            tells = has_via = True
        if pin is not None and tells and _ASKED.search(words):
            direct.add(pin)
    return frozenset(direct), has_via


def _unpinned(lines: list[str]) -> tuple[NormalizedName, ...]:
    begin = next((number for number, line in enumerate(lines) if line.startswith(_UNSAFE)), len(lines))
    names = [found[1] for line in lines[begin + 1 :] if (found := _UNSAFE_NAME.fullmatch(line.rstrip()))]
    return tuple(canonicalize_name(name) for name in names)


_HINT = "Write NAME @ URL (or NAME @ ./path)."


def name_unnamed(
    line: UnnamedLine, opener: Callable[[str, str], str]
) -> tuple[NormalizedName | None, ForeignNote | None]:
    """Tell whose project a line names: its name, or no name and a note where it is the locked project itself.

    Raises LockInvalid where nothing tells it.
    """
    reference = line.reference
    if reference.kind == "path" and reference.place == ".":
        note = ForeignNote(
            code="foreign-project-itself",
            subject=str(line.origin),
            message="the line is the project itself, which is not among its own pins",
        )
        return None, note
    name = None
    if reference.is_archive:
        name = _of_archive(posixpath.basename(reference.place.partition("?")[0]))
    elif reference.kind == "path":
        name = _of_tree(line.origin.source, reference.place, opener)
    if name is None:
        raise LockInvalid(f"{line.origin}: nothing tells whose project the line names", hint=_HINT)
    return name, None


def _of_archive(filename: str) -> NormalizedName | None:
    try:
        if filename.lower().endswith(WHEEL_SUFFIX):
            return parse_wheel_filename(filename)[0]
        return parse_sdist_filename(filename)[0]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None


def _of_tree(including: str, place: str, opener: Callable[[str, str], str]) -> NormalizedName | None:
    """Read the name of a project in a folder that is seen from the file."""
    if posixpath.isabs(place) or ":" in place:
        return None
    source = posixpath.join(place, "pyproject.toml")
    try:
        document, _ = read_toml(opener(including, source), source, LockInvalid)
    except (DeepLockError, OSError, UnicodeError):
        return None
    for table in (document.get("project"), _below(document.get("tool"), "poetry")):
        name = _below(table, "name")
        if isinstance(name, str):
            return read_name(name, f"{source}: the project name")
    return None


def _below(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, dict) else None


MAX_VERSION_LENGTH = 200

_Direct = set[tuple[str, int | None, NormalizedName]]


def read_pins(text: str, source: str, opener: Callable[[str, str], str]) -> ForeignLock:
    """Read a requirements file of which every line is pinned, with the files that it includes.

    ``opener`` as in `read_requirements`. Raises LockInvalid that names file and line of what is not pinned,
    RequirementsInvalid, HashWeak or LimitExceeded.
    """
    text = named_lines(readable(text, source, LockInvalid, MAX_LOCK))

    def open_included(including: str, relative: str) -> str:
        return named_lines(opener(including, relative))

    try:
        found = read_requirements(text, source, open_included)
    except RequirementsInvalid as error:
        raise LockInvalid(error.message, hint=error.hint) from None
    told = read_comments(text)
    notes: list[ForeignNote] = []
    direct: _Direct = {(source, line, name) for line, name in told.direct}
    hashes = dict(found.hashes)
    pins = [_read_pin(wish, direct, hashes, notes) for wish in found.requirements]
    for line in found.unnamed:
        name, note = name_unnamed(line, opener)
        notes += [note] if note is not None else []
        if name is not None:
            pins.append(
                ForeignPin(
                    name=name,
                    version=None,
                    url=str(line.reference),
                    conditions=(Condition(scope=BASE, marker=line.marker),),
                    extras=line.extras,
                    origin=line.origin,
                )
            )
    pins = _once_each(pins)
    kind = _kind(found, told)
    return ForeignLock(
        kind=kind,
        source=source,
        requires_python=told.requires_python,
        pythons=told.pythons,
        platforms=told.platforms,
        one_environment=_is_of_one(found, told, kind),
        pins=tuple(pins),
        notes=(*notes, *_notes(found, told)),
    )


def _read_pin(
    wish: Requirement,
    direct: _Direct,
    hashes: dict[Requirement, tuple[str, ...]],
    notes: list[ForeignNote],
) -> ForeignPin:
    digests = hashes.get(wish, ())
    origin = wish.origin or Origin(source="")
    sha256s = frozenset(digest.removeprefix("sha256:") for digest in digests if digest.startswith("sha256:"))
    if digests and not sha256s:
        notes.append(note_without_sha256(wish.name, origin.source))
    if wish.url is not None and _is_of_this_machine(wish.url):
        notes.append(
            ForeignNote(
                code="foreign-local-path",
                subject=wish.name,
                message=f"{origin}: is from a path of the machine where the file was written",
            )
        )
    return ForeignPin(
        name=wish.name,
        version=None if wish.url is not None else _pinned(wish, origin),
        url=wish.url,
        conditions=(Condition(scope=BASE, marker=wish.marker),),
        direct=(origin.source, origin.line, wish.name) in direct,
        extras=wish.extras,
        sha256s=sha256s,
        origin=origin,
    )


def _is_of_this_machine(url: str) -> bool:
    reference = parse_reference(url)
    return reference.is_path and re.match(r"/|[A-Za-z]:", reference.place) is not None


def _pinned(wish: Requirement, origin: Origin) -> Version:
    clauses = list(wish.specifier)
    if len(clauses) == 1 and clauses[0].operator in {"==", "==="} and not clauses[0].version.endswith(".*"):
        try:
            if len(clauses[0].version) <= MAX_VERSION_LENGTH:
                return Version(clauses[0].version)
        except (InvalidVersion, ValueError):
            pass
    raise LockInvalid(
        f"{origin}: {shown(f'{wish.name}{wish.specifier}')} is not pinned",
        hint="In a file that is a lock each line names one version with ==, or a direct reference (NAME @ URL).",
    )


def _once_each(pins: list[ForeignPin]) -> list[ForeignPin]:
    """Leave out a line that only says again what one said. Raises where it says otherwise under the same condition."""
    kept: dict[tuple[NormalizedName, str], ForeignPin] = {}
    for pin in pins:
        marker = pin.conditions[0].marker
        earlier = kept.setdefault((pin.name, str(marker) if marker else ""), pin)
        if (earlier.version, earlier.url) != (pin.version, pin.url):
            raise LockInvalid(
                f"{pin.origin}: {pin.name} is pinned a second time, otherwise than at {earlier.origin}",
                hint="Two pins of one project need markers that tell where each is installed.",
            )
    return list(kept.values())


def _kind(found: RequirementsFile, told: Told) -> ForeignKind:
    """Tell what `pip freeze` writes, a list and nothing else, from what a resolver or a person wrote."""
    plain = (
        not found.hashes
        and len(found.files) == 1
        and not told.is_annotated
        and not any(wish.marker for wish in found.requirements)
        and not (found.index_options or found.constraints or found.no_binary or found.only_binary or found.pre)
        and bool(found.requirements)
    )
    return "pip freeze" if plain else "requirements.txt"


def _is_of_one(found: RequirementsFile, told: Told, kind: ForeignKind) -> bool:
    if kind == "pip freeze":
        return True
    has_markers = any(wish.marker for wish in found.requirements)
    return told.is_compiled and not told.is_universal and not has_markers


def _notes(found: RequirementsFile, told: Told) -> list[ForeignNote]:
    """What the requirements reader has to say, and constraints: they pin nothing by themselves."""
    notes = [ForeignNote(code=note.code, subject=note.subject, message=note.message) for note in found.notes]
    pinned = {wish.name for wish in found.requirements}
    notes += [
        ForeignNote(
            code="foreign-unpinned",
            subject=name,
            message=f"{found.source} leaves it out as unsafe, though it is needed",
        )
        for name in told.unpinned
        if name not in pinned
    ]
    if found.constraints:
        notes.append(
            ForeignNote(
                code="foreign-constraints-unused",
                subject=found.source,
                message="constraints (-c) install nothing: what is not required in the file is not in the lock",
            )
        )
    return notes
