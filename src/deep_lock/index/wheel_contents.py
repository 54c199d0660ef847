"""What a wheel puts into an environment: files that Python reads when it starts, modules, commands, native code.

Facts only, read from the names in the archive and from a few small files. Nothing is unpacked or run.
"""

import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import BinaryIO

import msgspec

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveBroken, ArchiveTooBig
from deep_lock.index.cache import Cache
from deep_lock.index.lazy_wheel import read_member
from deep_lock.models.contents import PREFIX_BYTES, STARTUP_SUFFIXES, EmbeddedSbom, FileContents, native_format
from deep_lock.models.metadata import MAX_METADATA_BYTES, declared_imports, stated_links, stated_requires
from deep_lock.parsing.zip_archive import LOCAL_SIZE, ZipMember, data_start, read_archive, read_at

KIND = "file-contents-2"
"""The folder of the cache. The number changes with `FileContents`, and with the way that a wheel or an sdist is read."""

MAX_STARTUP_BYTES = 64 * 1024
MAX_ENTRY_POINTS_BYTES = 1024 * 1024
MAX_SBOM_BYTES = 32 * 1024 * 1024
MAX_INIT_BYTES = 4 * 1024
"""Bytes of the ``__init__`` of a package that does nothing but to make it a namespace."""

_MODULE = re.compile(r"(?i)([^.]+)(?:\.[^.]+)*\.(?:py|pyc|pyw|so|pyd)")
_SITE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_PYTHON_FOLDER = re.compile(r"(?i)python[23](?:\.\d+)?t?")
_DIST_INFO: Mapping[tuple[str, ...], str] = {("entry_points.txt",): "entry points", ("METADATA",): "metadata"}
_COMMAND_FOLDERS = frozenset({"bin", "scripts", "sbin"})
_COMMAND_SECTIONS = frozenset({"console_scripts", "gui_scripts", "DEFAULT"})  # values of DEFAULT are in every section
_NAMESPACE_INIT = re.compile(rb"\bextend_path\(|\bdeclare_namespace\(")
"""What makes a package with an ``__init__`` a namespace: pkgutil, and old versions of setuptools."""
_COMPRESSED_PREFIX = 4096
"""Compressed bytes that are read at once: a block of deflate begins with its tables."""
_WINDOWS_SUFFIX = re.compile(r"(?i)(?:\.exe|\.bat|\.cmd|\.com|\.ps1|-script\.pyw?)$")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FileContents).decode


def read_contents(file: BinaryIO, where: str) -> FileContents:
    """Read a whole wheel; ``where`` names the file in messages. Raises ArchiveError. An OSError is the file's own."""
    with reading(where, ArchiveBroken):
        return _contents(file, where)


def _contents(file: BinaryIO, where: str) -> FileContents:
    members, directory = read_archive(file, where)

    def content(member: ZipMember, most: int, what: str) -> bytes:
        if member.size > most:
            raise ArchiveTooBig(f"{where}: {member.size} bytes of {what}")
        return read_member(file, member, members, directory.start, where)

    placed: dict[str, list[tuple[ZipMember, tuple[str, ...]]]] = {}
    for member in members:
        kind, parts = _installed(_name(member))
        placed.setdefault(kind, []).append((member, parts))
    site = placed.get("site", [])
    modules, folders, importable = _modules(parts for _, parts in site)
    shared = {
        parts[:-1]
        for member, parts in site
        if parts[-1] == "__init__.py" and member.size <= MAX_INIT_BYTES
        if _NAMESPACE_INIT.search(content(member, MAX_INIT_BYTES, "__init__.py"))
    }
    commands = {_command(parts[-1]) for _, parts in placed.get("command", [])}
    for member, _ in placed.get("entry points", []):
        text = content(member, MAX_ENTRY_POINTS_BYTES, "entry_points.txt").decode("utf-8", "replace")
        commands |= set(map(_command, _script_names(text)))
    metadata = [content(member, MAX_METADATA_BYTES, "METADATA") for member, _ in placed.get("metadata", [])]
    declared = list(map(declared_imports, metadata))
    names, namespaces = next(filter(None, declared), None) or _derived_imports(importable, shared)
    startup = {
        parts[0]: content(member, MAX_STARTUP_BYTES, "").decode("utf-8", "replace")
        if member.size <= MAX_STARTUP_BYTES
        else ""
        for member, parts in site
        if len(parts) == 1 and (parts[0].lower().endswith(STARTUP_SUFFIXES) or parts[0] == "pyvenv.cfg")
    }
    formats = {_name(member): native_format(_name(member), _begin(file, member, where)) for member in members}
    sboms = {_name(member): content(member, MAX_SBOM_BYTES, "an SBOM") for member, _ in placed.get("sbom", [])}
    return FileContents(
        startup=tuple(sorted(startup.items())),
        modules=tuple(sorted(modules.items())),
        folders=tuple(sorted(folders)),
        commands=tuple(sorted(commands)),
        native=tuple(sorted((name, found) for name, found in formats.items() if found)),
        sboms=tuple(
            EmbeddedSbom(path=name, size=len(own), sha256=sha256(own).hexdigest())
            for name, own in sorted(sboms.items())
        ),
        import_names=names,
        import_namespaces=namespaces,
        declares_imports=any(own is not None for own in declared),
        links=tuple(link for own in metadata[:1] for link in stated_links(own)),
        requires=tuple(wanted for own in metadata[:1] for wanted in stated_requires(own)),
    )


def _name(member: ZipMember) -> str:
    return member.name.decode("utf-8", "replace")


def _modules(paths: Iterable[tuple[str, ...]]) -> tuple[dict[str, bool], set[str], set[tuple[str, ...]]]:
    """Return top-level modules, top-level folders without any, and the dotted names of all modules, as parts."""
    modules: dict[str, bool] = {}
    folders: set[str] = set()
    every: set[tuple[str, ...]] = set()
    for parts in paths:
        if (module := _module(parts)) is not None:
            top, is_own = module
            modules[top] = modules.get(top, False) or is_own
            every.add((*parts[:-1], parts[-1].partition(".")[0]))
        elif len(parts) > 1 and parts[0].isidentifier():
            folders.add(parts[0])
    return modules, folders - modules.keys(), every


def _begin(file: BinaryIO, member: ZipMember, where: str) -> bytes:
    """Return the first bytes of a member, without those after them: its checksum is not compared. Raises ArchiveError."""
    local = read_at(file, member.start, LOCAL_SIZE + len(member.name))
    file.seek(member.start + data_start(local, member, where))
    if member.method == zipfile.ZIP_STORED:
        return file.read(min(member.compressed, PREFIX_BYTES))
    if member.method != zipfile.ZIP_DEFLATED:
        raise ArchiveBroken(f"{where}: is compressed by method {member.method}, which wheels do not use")
    inflater, found, left = zlib.decompressobj(wbits=-zlib.MAX_WBITS), b"", member.compressed
    # blocks without content may come first: as many as the member has
    while left > 0 and len(found) < PREFIX_BYTES and not inflater.eof:
        raw = file.read(min(left, _COMPRESSED_PREFIX))
        left -= _COMPRESSED_PREFIX
        found += inflater.decompress(inflater.unconsumed_tail + raw, PREFIX_BYTES - len(found))
    return found


def _derived_imports(
    modules: Collection[tuple[str, ...]], shared: Collection[tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return import names and namespaces by the paths of modules.

    A name is the topmost package with an ``__init__``, or a module that is in none. The ``__init__`` of the packages in ``shared``
    makes them namespaces.
    """
    packages = {parts[:-1] for parts in modules if parts[-1] == "__init__"} - set(shared)
    found: set[tuple[str, ...]] = set()
    for parts in modules:
        if parts[-1] == "__init__" and parts[:-1] in shared:
            continue
        above = (parts[:size] for size in range(1, len(parts)))
        found.add(next((own for own in above if own in packages), parts))
    importable = {parts for parts in found if all(map(str.isidentifier, parts))}
    spaces = {parts[:size] for parts in importable for size in range(1, len(parts))}
    return tuple(sorted(map(".".join, importable))), tuple(sorted(map(".".join, spaces)))


def cached_contents(cache: Cache, sha256: str) -> FileContents | None:
    """Return the contents of the wheel with this sha256, if they were read before."""
    record = cache.get_record(KIND, sha256)
    if record is not None:
        try:
            return _decode(record)
        except (ValueError, RecursionError):
            cache.drop(KIND, sha256)
    return None


def cache_contents(cache: Cache, sha256: str, contents: FileContents) -> None:
    """Cache the contents of the wheel with this sha256, which was compared with its bytes."""
    cache.put_record(KIND, sha256, _encode(contents))


def _installed(name: str) -> tuple[str, tuple[str, ...]]:
    """Return what a member is, and its path: "site", "command", "entry points", "metadata", "sbom" or ""."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if not parts or name.endswith("/"):
        return "", ()
    top = parts[0].lower()
    if top.endswith(".dist-info"):
        return "sbom" if parts[1:2] == ("sboms",) and len(parts) > 2 else _DIST_INFO.get(parts[1:], ""), parts
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
