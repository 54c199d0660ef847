"""Requirement files in which everything is pinned: of pip-compile, uv, poetry export, pip freeze, or by hand.

`project.requirements_txt` reads the lines; here each becomes a pin. The tool that wrote the file, its environment and the
requirements of the project itself are only in comments: they are read where they are unambiguous, and never guessed.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from shlex import split
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from deep_lock.errors import DeepLockError, LockInvalid, RequirementsInvalid, UsageError, raise_machine_fault
from deep_lock.events import Warned
from deep_lock.foreign_locks.fields import MAX_LOCK, MAX_VERSION_LENGTH, note_without_sha256
from deep_lock.models.direct_url import WHEEL_SUFFIX, parse_reference
from deep_lock.models.foreign_lock import Condition, ForeignKind, ForeignLock, ForeignPin
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
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,199})\s*(?:\[|==|@|;|\\|$)")
_REQUIRED = re.compile(r"(?:^|[\s,])-r\s|\((?:pyproject\.toml|setup\.py|setup\.cfg)\)")
_UNSAFE = "# The following packages are considered to be unsafe in a requirements file"
_UNSAFE_NAME = re.compile(r"# ([A-Za-z0-9][A-Za-z0-9._-]{0,199})")
_WITH_FRAGMENT = re.compile(r"(?:(?:-e|--editable)[ =])?\s*((?:git\+|https?:)[^\s#]+)#(\S+)(\s.*)?")
_EGG = re.compile(r"egg=([A-Za-z0-9._-]+)(\[[A-Za-z0-9._,-]*\])?")
_NAMED_ABOVE = re.compile(r"# Editable .{0,200}\(([A-Za-z0-9][A-Za-z0-9._-]{0,199})===?[^()\s]+\)")
# as uv and Poetry export it; pip refuses it
_WITH_MARKER = re.compile(r"-e ([^\s#;\[]+)\s+(;.*)")
_FOLDER = re.compile(r"-e (/|[A-Za-z]:[\\/])(.*)")

# uv's names of platforms.
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


class _Comments(Struct, frozen=True, kw_only=True):
    """What the comments say of a file."""

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
    """Line and name of what the project itself requires."""
    unpinned: tuple[NormalizedName, ...] = ()
    """What pip-compile leaves out as unsafe to pin, although a package requires it."""


def read_pins(text: str, source: str, opener: Callable[[str, str], str]) -> ForeignLock:
    """Read a requirements file of which every line is pinned, with the files that it includes.

    ``opener`` as in `read_requirements`. Raises LockInvalid that names file and line of what is not pinned,
    RequirementsInvalid, HashWeak or LimitExceeded.
    """
    text = _with_names(readable(text, source, LockInvalid, MAX_LOCK))

    def open_included(including: str, relative: str) -> str:
        return _with_names(opener(including, relative))

    try:
        found = read_requirements(text, source, open_included)
    except RequirementsInvalid as error:
        raise LockInvalid(error.message, hint=error.hint) from None
    comments = _read_comments(text)
    notes: list[Warned] = []
    hashes = dict(found.hashes)
    pins = [_read_pin(requirement, hashes.get(requirement, ()), notes) for requirement in found.requirements]
    for line in found.unnamed:
        if line.reference.kind == "path" and line.reference.place == ".":
            message = "the line is the project itself, which is not among its own pins"
            notes.append(Warned(code="foreign-project-itself", subject=str(line.origin), message=message))
        else:
            pins.append(_read_unnamed(line, opener))
    direct = {(source, line, name) for line, name in comments.direct}
    pins = [replace(pin, direct=(pin.origin.source, pin.origin.line, pin.name) in direct) for pin in _distinct(pins)]
    kind = _kind(found, comments)
    has_markers = any(requirement.marker for requirement in found.requirements)
    return ForeignLock(
        kind=kind,
        source=source,
        requires_python=comments.requires_python,
        pythons=comments.pythons,
        platforms=comments.platforms,
        one_environment=kind == "pip freeze"
        or (comments.is_compiled and not comments.is_universal and not has_markers),
        pins=tuple(pins),
        index_options=found.index_options,
        notes=(*notes, *found.notes, *_notes(found, comments)),
    )


def _read_pin(requirement: Requirement, digests: Sequence[str], notes: list[Warned]) -> ForeignPin:
    name, url, origin = requirement.name, requirement.url, requirement.origin or Origin(source="")
    sha256s = frozenset(digest.removeprefix("sha256:") for digest in digests if digest.startswith("sha256:"))
    if digests and not sha256s:
        notes.append(note_without_sha256(name, origin.source))
    if url is not None and _is_of_this_machine(url):
        message = f"{origin}: is from a path of the machine where the file was written"
        notes.append(Warned(code="foreign-local-path", subject=name, message=message))
    return ForeignPin(
        name=name,
        version=_pinned_version(requirement, origin) if url is None else None,
        url=url,
        conditions=(Condition(scope=BASE, marker=requirement.marker),),
        extras=requirement.extras,
        sha256s=sha256s,
        origin=origin,
    )


def _read_unnamed(line: UnnamedLine, opener: Callable[[str, str], str]) -> ForeignPin:
    """Read a line that names a path or a URL only. Raises LockInvalid where the name of its project is not found."""
    reference, name = line.reference, None
    if reference.is_archive:
        name = _name_of_archive(posixpath.basename(reference.place.partition("?")[0]))
    elif reference.kind == "path":
        name = _name_of_tree(line.origin.source, reference.place, opener)
    if name is None:
        raise LockInvalid(
            f"{line.origin}: the line does not name its project, and neither does the file or folder",
            hint="Write NAME @ URL (or NAME @ ./path).",
        )
    return ForeignPin(
        name=name,
        version=None,
        url=str(reference),
        conditions=(Condition(scope=BASE, marker=line.marker),),
        extras=line.extras,
        origin=line.origin,
    )


def _name_of_archive(filename: str) -> NormalizedName | None:
    try:
        if filename.lower().endswith(WHEEL_SUFFIX):
            return parse_wheel_filename(filename)[0]
        return parse_sdist_filename(filename)[0]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None


def _name_of_tree(including: str, place: str, opener: Callable[[str, str], str]) -> NormalizedName | None:
    """Return the name of the project in a folder, relative to the file that names it."""
    if posixpath.isabs(place) or ":" in place:
        return None
    source = posixpath.join(place, "pyproject.toml")
    try:
        document, _ = read_toml(opener(including, source), source, LockInvalid)
    except (DeepLockError, OSError, UnicodeError) as error:
        raise_machine_fault(error)
        return None
    tool = document.get("tool")
    for table in (document.get("project"), tool.get("poetry") if isinstance(tool, dict) else None):
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            return read_name(name, f"{source}: the project name")
    return None


def _is_of_this_machine(url: str) -> bool:
    reference = parse_reference(url)
    return reference.is_path and re.match(r"/|[A-Za-z]:", reference.place) is not None


def _pinned_version(requirement: Requirement, origin: Origin) -> Version:
    clauses = list(requirement.specifier)
    if len(clauses) == 1 and clauses[0].operator in {"==", "==="} and not clauses[0].version.endswith(".*"):
        try:
            if len(clauses[0].version) <= MAX_VERSION_LENGTH:
                return Version(clauses[0].version)
        except (InvalidVersion, ValueError):
            pass
    raise LockInvalid(
        f"{origin}: {shown(f'{requirement.name}{requirement.specifier}')} is not pinned",
        hint="Each line must pin one version with ==, or a direct reference (NAME @ URL).",
    )


def _distinct(pins: list[ForeignPin]) -> list[ForeignPin]:
    """Leave out repeated lines. Raises LockInvalid for two different pins of a name under the same condition."""
    kept: dict[tuple[NormalizedName, str], ForeignPin] = {}
    for pin in pins:
        marker = pin.conditions[0].marker
        first = kept.setdefault((pin.name, str(marker) if marker else ""), pin)
        if (first.version, first.url) != (pin.version, pin.url):
            raise LockInvalid(
                f"{pin.origin}: {pin.name} is pinned a second time, differently from {first.origin}",
                hint="Two pins of one project need markers that say where each is installed.",
            )
    return list(kept.values())


def _kind(found: RequirementsFile, comments: _Comments) -> ForeignKind:
    """Whether `pip freeze` wrote this file: a list of pins and nothing else."""
    is_plain = (
        not found.hashes
        and len(found.files) == 1
        and not comments.is_annotated
        and not any(requirement.marker for requirement in found.requirements)
        and not (found.index_options or found.constraints or found.no_binary or found.only_binary or found.pre)
        and bool(found.requirements)
    )
    return "pip freeze" if is_plain else "requirements.txt"


def _notes(found: RequirementsFile, comments: _Comments) -> Iterator[Warned]:
    pinned = {requirement.name for requirement in found.requirements}
    for name in comments.unpinned:
        if name not in pinned:
            message = f"{found.files[0]} leaves it out as unsafe, though it is needed"
            yield Warned(code="foreign-unpinned", subject=name, message=message)
    if found.constraints:
        message = "constraints (-c) install nothing: what is not required in the file is not in the lock"
        yield Warned(code="foreign-constraints-unused", subject=found.files[0], message=message)


def _read_comments(text: str) -> _Comments:
    """Read the comments of a file, without those of included files."""
    lines = text.replace("\r\n", "\n").split("\n")
    command = _command(lines[:_HEAD_LINES])
    with_python = next((found[1] for line in lines[:_HEAD_LINES] if (found := _WITH_PYTHON.search(line))), None)
    direct, has_via = _direct(lines)
    is_compiled = bool(command) or with_python is not None
    is_universal = bool(command) and ("--universal" in command or command[:2] == ["uv", "export"])
    minor = _MINOR.fullmatch(_option(command, _PYTHON_OPTIONS))
    python = with_python or (minor[1] if minor else None)
    return _Comments(
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


def _option(command: list[str], names: tuple[str, ...]) -> str:
    for word, following in zip(command, [*command, ""][1:], strict=True):
        key, equals, value = word.partition("=")
        if key in names:
            return value if equals else following
    return ""


def _platform(command: list[str]) -> tuple[str, ...]:
    option = _option(command, ("--python-platform",))
    machine, _, system = option.partition("-")
    name = _PLATFORMS.get(option) or (option.replace("manylinux2014", "manylinux_2_17") if machine and system else "")
    try:
        return (parse_platform(name).name,) if name else ()
    except UsageError:
        return ()


def _direct(lines: list[str]) -> tuple[frozenset[tuple[int, NormalizedName]], bool]:
    """Return line and name of the pins "via" an input file of the resolver, and whether there is any "via"."""
    direct: set[tuple[int, NormalizedName]] = set()
    pin: tuple[int, NormalizedName] | None = None
    in_via = has_via = False
    for number, line in enumerate(lines, 1):
        comment = line.strip()
        if not comment.startswith("#"):
            if found := _PIN.match(line):
                pin, in_via = (number, canonicalize_name(found[1])), False
            comment = "#" + line.partition(" #")[2]
        words = comment.lstrip("# ")
        if words == "via" or words.startswith("via "):
            in_via = has_via = True
        if pin is not None and in_via and _REQUIRED.search(words):
            direct.add(pin)
    return frozenset(direct), has_via


def _unpinned(lines: list[str]) -> tuple[NormalizedName, ...]:
    begin = next((number for number, line in enumerate(lines) if line.startswith(_UNSAFE)), len(lines))
    names = [found[1] for line in lines[begin + 1 :] if (found := _UNSAFE_NAME.fullmatch(line.rstrip()))]
    return tuple(canonicalize_name(name) for name in names)


def _with_names(text: str) -> str:
    """Write a direct reference whose name is elsewhere on its line or above as NAME @ URL, and an editable with a marker as a path.

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
