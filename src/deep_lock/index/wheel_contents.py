"""What a wheel puts into an environment: files that Python reads when it starts, top-level modules, commands.

Facts only, read from the names in the archive and from a few small files. Nothing is unpacked or run.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
from msgspec import Struct

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveBroken, ArchiveTooBig
from deep_lock.index.cache import Cache
from deep_lock.index.lazy_wheel import read_member
from deep_lock.parsing.zip_archive import ZipMember, read_archive

KIND = "wheel-contents-1"
"""The folder of the cache. The number changes with `WheelContents`, and with the way that a wheel is read."""

MAX_STARTUP_BYTES = 64 * 1024
MAX_ENTRY_POINTS_BYTES = 1024 * 1024

_STARTUP = (".pth", ".start")
_MODULE = re.compile(r"(?i)([^.]+)(?:\.[^.]+)*\.(?:py|pyc|pyw|so|pyd)")
_SITE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_PYTHON_FOLDER = re.compile(r"(?i)python[23](?:\.\d+)?t?")
_COMMAND_FOLDERS = frozenset({"bin", "scripts", "sbin"})
_COMMAND_SECTIONS = frozenset({"console_scripts", "gui_scripts", "DEFAULT"})  # values of DEFAULT are in every section
_WINDOWS_SUFFIX = re.compile(r"(?i)(?:\.exe|\.bat|\.cmd|\.com|\.ps1|-script\.pyw?)$")


class WheelContents(Struct, frozen=True, kw_only=True, array_like=True):
    """What a wheel puts into an environment."""

    startup: tuple[tuple[str, str], ...] = ()
    """Names and texts of the files that the site module reads when Python starts. The text of a long one is empty."""
    modules: tuple[tuple[str, bool], ...] = ()
    """Top-level modules and packages, and whether the wheel has the module or the ``__init__`` of the package."""
    folders: tuple[str, ...] = ()
    """Top-level folders with other files only, if their names can be those of packages."""
    commands: tuple[str, ...] = ()
    """Names of scripts, in lower case and without the suffixes of Windows."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(WheelContents).decode


def read_contents(file: BinaryIO, where: str) -> WheelContents:
    """Read a whole wheel; ``where`` names the file in messages. Raises ArchiveError. An OSError is the file's own."""
    with reading(where, ArchiveBroken):
        return _contents(file, where)


def _contents(file: BinaryIO, where: str) -> WheelContents:
    members, directory = read_archive(file, where)

    def text(member: ZipMember) -> str:
        return read_member(file, member, members, directory.start, where).decode("utf-8", "replace")

    startup: dict[str, str] = {}
    modules: dict[str, bool] = {}
    folders: set[str] = set()
    commands: set[str] = set()
    for member in members:
        kind, parts = _installed(member.name.decode("utf-8", "replace"))
        if kind == "command":
            commands.add(_command(parts[-1]))
        elif kind == "entry points":
            if member.size > MAX_ENTRY_POINTS_BYTES:
                raise ArchiveTooBig(f"{where}: {member.size} bytes of entry_points.txt")
            commands |= set(map(_command, _script_names(text(member))))
        elif kind == "site" and len(parts) == 1 and (parts[0].lower().endswith(_STARTUP) or parts[0] == "pyvenv.cfg"):
            startup[parts[0]] = text(member) if member.size <= MAX_STARTUP_BYTES else ""
        elif kind == "site" and (module := _module(parts)) is not None:
            name, is_own = module
            modules[name] = modules.get(name, False) or is_own
        elif kind == "site" and len(parts) > 1 and parts[0].isidentifier():
            folders.add(parts[0])
    return WheelContents(
        startup=tuple(sorted(startup.items())),
        modules=tuple(sorted(modules.items())),
        folders=tuple(sorted(folders - modules.keys())),
        commands=tuple(sorted(commands)),
    )


def cached_contents(cache: Cache, sha256: str) -> WheelContents | None:
    """Return the contents of the wheel with this sha256, if they were read before."""
    record = cache.get_record(KIND, sha256)
    if record is not None:
        try:
            return _decode(record)
        except (ValueError, RecursionError):
            cache.drop(KIND, sha256)
    return None


def cache_contents(cache: Cache, sha256: str, contents: WheelContents) -> None:
    """Cache the contents of the wheel with this sha256, which was compared with its bytes."""
    cache.put_record(KIND, sha256, _encode(contents))


def _installed(name: str) -> tuple[str, tuple[str, ...]]:
    """Return what a member is installed as, and its path there: "site", "command", "entry points" or ""."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if not parts or name.endswith("/"):
        return "", ()
    top = parts[0].lower()
    if top.endswith(".dist-info"):
        return ("entry points", parts) if parts[1:] == ("entry_points.txt",) else ("", ())
    if not top.endswith(".data") or len(parts) < 3:
        return "site", parts
    scheme, inside = parts[1].lower(), parts[2:]
    if scheme in {"purelib", "platlib"}:
        return "site", inside
    if scheme == "scripts":
        return ("command", inside) if len(inside) == 1 else ("", ())
    return _below_prefix(inside) if scheme == "data" else ("", ())


def _below_prefix(parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return what a file of the ``data`` scheme is: it can be in any folder of the environment."""
    lower = [part.lower() for part in parts]
    if len(parts) == 1:
        return ("site", parts) if lower == ["pyvenv.cfg"] else ("", ())
    if len(parts) == 2 and lower[0] in _COMMAND_FOLDERS:
        return "command", parts
    for at, folder in enumerate(lower[:-1]):
        if folder in _SITE_FOLDERS:
            return "site", parts[at + 1 :]
    if lower[0] in {"lib", "lib64"} and len(parts) > 2 and _PYTHON_FOLDER.fullmatch(parts[1]):
        return "site", parts[2:]  # the folder of the standard library
    return "", ()


def _module(parts: tuple[str, ...]) -> tuple[str, bool] | None:
    """Return the top-level module of a file, and whether the file is it or its ``__init__``; None for other files."""
    found = _MODULE.fullmatch(parts[-1])
    if found is None:
        return None
    if len(parts) == 1:
        return (found[1], True) if found[1].isidentifier() else None
    return (parts[0], len(parts) == 2 and found[1] == "__init__") if parts[0].isidentifier() else None


def _script_names(text: str) -> Iterator[str]:
    """Yield the names of scripts in entry_points.txt. A line that no reader takes as one may be yielded too."""
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and "]" in stripped:
            section = stripped[1 : stripped.rindex("]")].strip()
        elif section in _COMMAND_SECTIONS and "=" in stripped and not stripped.startswith(("#", ";")):
            yield stripped.partition("=")[0].strip()


def _command(name: str) -> str:
    return _WINDOWS_SUFFIX.sub("", name.rpartition("/")[2].rpartition("\\")[2]).lower()
