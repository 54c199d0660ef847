"""The few files of an sdist that configure its build, read out of the archive in one pass.

Nothing is unpacked, and every member is checked (`MemberCheck`). A second pass over a compressed stream is not cheap, so
small files that a static rule may need later are kept at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from typing import BinaryIO

from msgspec import Struct, field

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken
from deep_lock.models.distribution import SDIST_SUFFIXES
from deep_lock.sdist.decompress import MIB, PlainStream
from deep_lock.sdist.member_rules import Kinds, MemberCheck, deciding_limit, is_cargo_lock
from deep_lock.sdist.tar_members import Member, TarWalk
from deep_lock.sdist.zip_members import walk_zip

Content = Callable[[], Iterator[bytes]]


def archive_faults(filename: str) -> reading:
    """Turn every other error into ArchiveBroken; ArchiveError in its four kinds and LimitExceeded pass."""
    return reading(filename, ArchiveBroken)


def member_check(filename: str, *, is_wheel: bool = False) -> MemberCheck:
    """Return a check that has seen no member."""
    return MemberCheck(where=filename, kinds=Kinds(where=filename), is_wheel=is_wheel)


def walk_archive(file: BinaryIO, filename: str, check: MemberCheck) -> Iterator[tuple[str, Member, Content]]:
    """Yield the path in the archive, the member, and a function that gives its bytes; the member has passed the check.

    The path is below the top folder of an sdist. ``file`` is seekable. Every byte is looked at once, so checksums are checked.
    To be run within `archive_faults`.
    """
    kind = "zip" if check.is_wheel else _format_of(filename)
    if kind == "zip":
        for member, content in walk_zip(file, filename):
            yield check.add(member), member, content
    else:
        _refuse_polyglot(file, filename)
        walk = TarWalk(PlainStream(file, kind, filename), filename)
        for member in walk:
            yield check.add(member), member, partial(walk.chunks, member.size)
    check.finish()


_SHORT_SUFFIXES = {".tgz": "gz", ".tbz": "bz2", ".txz": "xz"}
"""Suffixes of archives that a direct reference may name; no index has an sdist with one."""
_FORMATS = {**{suffix: suffix.rpartition(".")[2] for suffix in SDIST_SUFFIXES}, **_SHORT_SUFFIXES}


def _format_of(filename: str) -> str:
    """Return "zip", or the compression of a tar file."""
    name = filename.lower()
    found = next((kind for suffix, kind in _FORMATS.items() if name.endswith(suffix)), "")
    if not found:
        known = ", ".join(_FORMATS)
        raise ArchiveBroken(
            f"{filename}: not a supported format of source distributions (the name must end with one of {known})"
        )
    return found


_END_RECORD = b"PK\x05\x06"


def _refuse_polyglot(file: BinaryIO, where: str) -> None:
    """Refuse a tar file whose last bytes are the end record of a zip archive: other tools would read that one."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 22 - 0xFFFF))
    tail = file.read()
    at = tail.rfind(_END_RECORD)
    if at >= 0 and len(tail) - at >= 22 and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
        raise ArchiveAmbiguous(f"{where}: is a zip archive too: two programs could read different contents")


_HELPFUL = re.compile(
    r"(?:[^/]+\.(?:txt|in|py)|CMakeLists\.txt"  # named by `file:`; build hooks; the CMake version
    r"|src/[^/]+\.py"
    r"|(?:[^/]+/)?[^/]*requirements?[^/]*/[^/]+\.(?:txt|in)"
    r"|(?:[^/]+/){1,4}(?:__init__|version|_version|__version__)\.py)\Z",
)
_HELPFUL_LIMIT = 256 * 1024
_HELPFUL_COUNT = 512
_HELPFUL_TOTAL = 8 * MIB

_MODULE = re.compile(r"(?:src/)?[^/]+/[^/]+\.py\Z")
MODULE_LIMIT = 64 * 1024
_MODULE_TOTAL = 4 * MIB


class Members(Struct, frozen=True, kw_only=True):
    """What was kept of an archive. All paths are relative to its one top folder, with "/"."""

    top: str
    """The name of the top folder, as written."""
    files: Mapping[str, bytes]
    names: frozenset[str]
    """Every regular file; to look up whether a file exists."""
    modules: Mapping[str, bytes] = {}
    """Modules of packages at the top or in src, which setup.py may import."""
    cargo_locks: Mapping[str, str] = {}
    """sha256 of each Cargo.lock at the top or up to three folders below, by path."""
    notes: tuple[str, ...] = ()


class _Kept(Struct):
    """The files kept so far."""

    where: str
    files: dict[str, bytes] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    """Helpful files of two contents."""
    modules: dict[str, bytes] = field(default_factory=dict)
    modules_total: int = 0
    cargo_locks: dict[str, str] = field(default_factory=dict)
    helpful_total: int = 0
    helpful_count: int = 0

    def wants(self, path: str, size: int) -> bool:
        """Whether to keep a regular file."""
        if deciding_limit(path) is not None or is_cargo_lock(path):
            return True
        if (
            size > _HELPFUL_LIMIT
            or self.helpful_count >= _HELPFUL_COUNT
            or self.helpful_total + size > _HELPFUL_TOTAL
            or not _HELPFUL.match(path)
        ):
            return False
        self.helpful_count += 1
        self.helpful_total += size
        return True

    def wants_module(self, path: str, size: int) -> bool:
        """Whether to keep a regular file only to see what it imports."""
        if size > MODULE_LIMIT or self.modules_total + size > _MODULE_TOTAL or not _MODULE.match(path):
            return False
        self.modules_total += size
        return True

    def keep(self, path: str, data: bytes) -> None:
        """Keep the bytes of a file, the digest of a Cargo.lock; of a helpful file with two contents, keep neither."""
        if is_cargo_lock(path):
            self.cargo_locks[path] = sha256(data).hexdigest()
            return
        if path in self.doubtful or self.files.setdefault(path, data) != data:
            self.files.pop(path, None)
            self.doubtful.add(path)


def _within(path: str, folder: str) -> str:
    """Return the path relative to a folder; "" where it is not inside."""
    if not folder:
        return path
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else ""


def read_members(file: BinaryIO, filename: str, *, inside: str = "") -> Members:
    """Read the deciding and the merely helpful files of an sdist (a seekable binary file), without unpacking it.

    ``inside`` is the folder of it that counts, "" for all; then paths are relative to it.
    Every byte is looked at once: checksums are checked and the limits of the module hold. Raises ArchiveError in one
    of its four kinds, or LimitExceeded.
    """
    check, kept = member_check(filename), _Kept(where=filename)
    with archive_faults(filename):
        for place, member, content in walk_archive(file, filename, check):
            path = _within(place, inside)
            if path and member.kind == "file" and kept.wants(path, member.size):
                kept.keep(path, b"".join(content()))
            elif path and member.kind == "file" and kept.wants_module(path, member.size):
                kept.modules[path] = b"".join(content())
    return Members(
        top=check.top,
        files=kept.files,
        names=frozenset(name for place in check.names if (name := _within(place, inside))),
        modules=kept.modules,
        cargo_locks=kept.cargo_locks,
        notes=tuple(sorted(check.notes)),
    )
