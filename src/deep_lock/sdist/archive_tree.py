"""Every file of a wheel or an sdist: its digest, its kind, and its text. Nothing is unpacked to a disk."""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

from deep_lock.models.contents import (
    AT_START,
    PREFIX_BYTES,
    STARTUP_SUFFIXES,
    ArchivedFile,
    ArchiveTree,
    FileContents,
    native_format,
)
from deep_lock.models.metadata import declared_imports, stated_links
from deep_lock.sdist.decompress import MIB
from deep_lock.sdist.source_tree import archive_faults, member_check, walk_archive

MAX_TEXT = 4 * MIB
"""Bytes of one text that are kept. Only the digest and the number of lines of a longer one are known."""
MAX_TEXTS = 64 * MIB
"""Bytes of all texts of an archive that are kept."""

_BINARY_WITHIN = 8000
"""A file with a zero byte in so many bytes is binary: the rule of git."""
_VERSIONED = re.compile(r"\A([^/]+?)-[^/-]+\.(dist-info|data)/", re.IGNORECASE)


def read_tree(file: BinaryIO, filename: str) -> ArchiveTree:
    """Read a wheel or an sdist (a seekable binary file). Raises ArchiveError in one of its four kinds, or LimitExceeded."""
    is_wheel = filename.endswith(".whl")
    check = member_check(filename, is_wheel=is_wheel)
    files: dict[str, ArchivedFile] = {}
    left = MAX_TEXTS
    with archive_faults(filename):
        for path, member, content in walk_archive(file, filename, check):
            if member.kind == "file":
                own = _read_file(path, member.size, content(), left)
                left -= len(own.text or b"")
                plain = _VERSIONED.sub(r"\1.\2/", path) if is_wheel else path
                files[path if plain in files else plain] = own
        for path, target in {**check.hardlinks, **check.links}.items():
            raw = target.encode("utf-8", "surrogateescape")
            files[path] = ArchivedFile(kind="link", size=0, sha256=sha256(raw).hexdigest(), text=raw)
    return ArchiveTree(filename=filename, files=files)


def sdist_contents(tree: ArchiveTree) -> FileContents:
    """Return what an sdist brings, as far as it is known before it is built; start files may be in any folder."""
    startup = {path: own.text or b"" for path, own in tree.files.items() if _is_read_at_start(path)}
    native = ((path, own.native) for path, own in tree.files.items() if own.native)
    info = tree.files.get("PKG-INFO")
    declared = declared_imports(info.text or b"") if info is not None else None
    names, namespaces = declared or ((), ())
    return FileContents(
        startup=tuple(sorted((path, text.decode("utf-8", "replace")) for path, text in startup.items())),
        native=tuple(sorted(native)),
        import_names=names,
        import_namespaces=namespaces,
        declares_imports=declared is not None,
        links=stated_links(info.text or b"") if info is not None else (),
    )


def _is_read_at_start(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.endswith(STARTUP_SUFFIXES) or (name.endswith(".py") and name.removesuffix(".py") in AT_START)


def _read_file(path: str, size: int, content: Iterator[bytes], most: int) -> ArchivedFile:
    """Read one file; its text is kept if it has at most ``most`` bytes."""
    digest, lines, begin, last = sha256(), 0, b"", b""
    kept: list[bytes] | None = [] if size <= min(MAX_TEXT, most) else None
    for chunk in content:
        digest.update(chunk)
        begin = begin or chunk[:_BINARY_WITHIN]
        lines += chunk.count(b"\n")
        last = chunk[-1:]
        if kept is not None:
            kept.append(chunk)
    native = native_format(path, begin[:PREFIX_BYTES])
    if native or b"\0" in begin:
        return ArchivedFile(kind="binary", size=size, sha256=digest.hexdigest(), native=native)
    return ArchivedFile(
        kind="text",
        size=size,
        sha256=digest.hexdigest(),
        lines=lines + (last not in {b"", b"\n"}),
        text=b"".join(kept) if kept is not None else None,
    )
