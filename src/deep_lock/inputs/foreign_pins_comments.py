"""What stands in the comments of a pinned requirements file, and names that `pip freeze` writes beside a line only."""

import re
from shlex import split
from urllib.parse import quote

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import UsageError
from deep_lock.model.platforms import parse_platform

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
