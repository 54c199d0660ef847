"""The few files of an sdist that say how it is built, read out of the archive as it streams by.

Law: nothing is unpacked, no link is followed, and every member's name is judged, also of those nobody reads. One pass:
a gzip stream cannot be asked twice cheaply, so small files that a static rule may want later are kept at once.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import BinaryIO

from msgspec import Struct, field

from deep_lock.build.archive_stream import MIB, PlainStream
from deep_lock.build.tar_walk import Member, TarWalk
from deep_lock.build.zip_walk import walk_zip
from deep_lock.errors import (
    ArchiveAmbiguous,
    ArchiveBroken,
    ArchiveError,
    ArchiveUnsafe,
    LimitExceeded,
)

MAX_NAME = 1024
"""Bytes of one member's path."""
MAX_HOPS = 40
"""Links followed in thought when asking where a link leads: as Linux does."""

_LIMITS = {
    "PKG-INFO": 4 * MIB,
    "pyproject.toml": MIB,
    "setup.cfg": MIB,
    "setup.py": MIB,
    "hatch.toml": MIB,
}
"""Files at the top that decide: larger ones are refused, links and duplicates too."""
_LOWER = {name.lower() for name in _LIMITS}
_EGG_INFO = re.compile(r"(?:[^/]+/)?[^/]+\.egg-info/(?:PKG-INFO|requires\.txt)\Z")
_EGG_INFO_LIMIT = 4 * MIB

_HELPFUL = re.compile(
    r"(?:[^/]+\.(?:txt|in|py)|CMakeLists\.txt"  # what `file:` names; build hooks; CMake's wanted version
    r"|src/[^/]+\.py"
    r"|(?:[^/]+/)?[^/]*requirements?[^/]*/[^/]+\.(?:txt|in)"
    r"|(?:[^/]+/){1,4}(?:__init__|version|_version|__version__)\.py)\Z",
)
_CARGO_LOCK = re.compile(r"(?:[^/]+/){0,3}Cargo\.lock\Z")
_CARGO_LOCK_LIMIT = 8 * MIB

_HELPFUL_LIMIT = 256 * 1024
_HELPFUL_COUNT = 512
_HELPFUL_TOTAL = 8 * MIB


class Members(Struct, frozen=True, kw_only=True):
    """What was kept of an archive. All paths are relative to its one top folder, with "/"."""

    top: str
    """The name of the top folder, as written."""
    files: Mapping[str, bytes]
    names: frozenset[str]
    """Every regular file; for questions of existence."""
    cargo_locks: Mapping[str, str] = {}
    """sha256 of each Cargo.lock at the top or up to three folders below, by path."""
    notes: tuple[str, ...] = ()


class _Collector(Struct):
    """State of one walk."""

    where: str
    top: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    hardlinks: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    """Helpful files of two contents."""
    notes: set[str] = field(default_factory=set)
    cargo_locks: dict[str, str] = field(default_factory=dict)
    helpful_total: int = 0
    helpful_count: int = 0

    def place(self, name: str) -> str:
        """Return the path below the top folder ("" for the folder itself), or refuse the name."""
        parts = self._parts(name)
        if not parts:
            return ""
        if not self.top:
            self.top = parts[0]
        elif parts[0] != self.top:
            raise ArchiveAmbiguous(f"{self.where}: more than one folder at the top: {self.top!r} and {parts[0]!r}")
        return "/".join(parts[1:])

    def _parts(self, name: str) -> list[str]:
        if not name.isprintable():
            if "\0" in name:
                raise ArchiveUnsafe(f"{self.where}: a member name with a NUL byte")
            self.notes.add("odd-member-name")
        if len(name) > MAX_NAME:
            raise LimitExceeded(f"{self.where}: a member name of {len(name)} characters")
        if name.startswith("/") or "\\" in name or name[1:2] == ":":
            raise ArchiveUnsafe(f"{self.where}: the member {_shown(name)} would not stay in its folder")
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise ArchiveUnsafe(f"{self.where}: the member {_shown(name)} would leave its folder")
        return parts

    def wanted(self, path: str, size: int) -> bool:
        """Whether to keep a regular file. Raises LimitExceeded where one that decides is too large."""
        limit = _limit(path)
        if limit is not None:
            if size > limit:
                raise LimitExceeded(f"{self.where}: {path} has {size} bytes; at most {limit} are taken")
            if path in self.files:
                raise ArchiveAmbiguous(f"{self.where}: {path} is in it twice")
            return True
        if _CARGO_LOCK.match(path):
            if size > _CARGO_LOCK_LIMIT:
                raise LimitExceeded(f"{self.where}: {path} has {size} bytes; at most {_CARGO_LOCK_LIMIT} are taken")
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

    def keep(self, path: str, data: bytes) -> None:
        """Keep the bytes of a wanted file, the digest of a Cargo.lock; of a merely helpful one that is there twice, keep none."""
        if _CARGO_LOCK.match(path):
            digest = sha256(data).hexdigest()
            if self.cargo_locks.setdefault(path, digest) != digest:
                raise ArchiveAmbiguous(f"{self.where}: {path} is in it twice")
            return
        if path in self.doubtful or self.files.setdefault(path, data) != data:
            self.files.pop(path, None)
            self.doubtful.add(path)

    def add(self, member: Member) -> str:
        """Take note of a member and return its path where its bytes are wanted, else ""."""
        path = self.place(member.name)
        if member.kind == "file":
            self.names.add(path)
            if not path:
                raise ArchiveBroken(f"{self.where}: has no folder at its top")
            return path if self.wanted(path, member.size) else ""
        if member.kind == "folder":
            return ""
        if _limit(path) is not None:
            raise ArchiveUnsafe(f"{self.where}: {path} is no regular file")
        if member.kind == "special":
            raise ArchiveUnsafe(f"{self.where}: the member {_shown(member.name)} is a device or pipe")
        if member.kind == "hardlink":
            self.place(member.target)  # it is named as a member is: refused where it leads outside
            self.hardlinks.add(path)
            return ""
        self.links[path] = member.target
        return ""

    def finish(self) -> Members:
        """Judge what only the whole archive can tell."""
        if not self.top:
            raise ArchiveBroken(f"{self.where}: has no folder at its top")
        self._judge_links()
        if any(name.lower() in _LOWER and name not in _LIMITS for name in self.names):
            self.notes.add("case-clash")  # where case does not count, one of them hides the other
        return Members(
            top=self.top,
            files=self.files,
            names=frozenset(self.names),
            cargo_locks=self.cargo_locks,
            notes=tuple(sorted(self.notes)),
        )

    def _judge_links(self) -> None:
        """Refuse links that lead out of the top folder, alone or together, and members below a link."""
        for path, target in self.links.items():
            if self._leads_out(path, target):
                raise ArchiveUnsafe(f"{self.where}: the link {_shown(path)} leads out of its folder")
        if self.names & (self.links.keys() | self.hardlinks):
            raise ArchiveAmbiguous(f"{self.where}: a member is in it as a file and as a link")
        if not self.links:
            return
        for name in self.names:
            parents = name.split("/")[:-1]
            if any("/".join(parents[: depth + 1]) in self.links for depth in range(len(parents))):
                raise ArchiveUnsafe(f"{self.where}: the member {_shown(name)} stands below a link")

    def _leads_out(self, path: str, target: str) -> bool:
        if target.startswith("/") or "\\" in target or target[1:2] == ":" or "\0" in target:
            return True
        here = path.split("/")[:-1]
        waiting = target.split("/")[::-1]
        hops = 1
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not here:
                    return True
                here.pop()
                continue
            here.append(part)
            further = self.links.get("/".join(here))
            if further is not None:
                hops += 1
                if hops > MAX_HOPS or further.startswith("/"):
                    return True
                here.pop()
                waiting.extend(further.split("/")[::-1])
        return False


def _limit(path: str) -> int | None:
    limit = _LIMITS.get(path)
    if limit is None and path.endswith((".egg-info/PKG-INFO", ".egg-info/requires.txt")) and _EGG_INFO.match(path):
        return _EGG_INFO_LIMIT
    return limit


def _shown(name: str) -> str:
    """A hostile name, made fit for a message."""
    return ascii(name[:200])


def _kind_of(filename: str) -> str:
    name = filename.lower()
    for kind, suffixes in {
        "gz": (".tar.gz", ".tgz"),
        "zip": (".zip",),
        "bz2": (".tar.bz2", ".tbz"),
        "xz": (".tar.xz", ".txz"),
    }.items():
        if name.endswith(suffixes):
            return kind
    raise ArchiveBroken(f"{filename}: not the name of a source distribution")


def read_members(file: BinaryIO, filename: str) -> Members:
    """Read the deciding and the merely helpful files of an sdist (a seekable binary file), without unpacking it.

    Every byte is looked at once: checksums are checked and the limits of the module hold. Raises ArchiveError in one
    of its four kinds, or LimitExceeded.
    """
    kind = _kind_of(filename)
    collector = _Collector(where=filename)
    try:
        if kind == "zip":
            for member, content in walk_zip(file, filename):
                if path := collector.add(member):
                    collector.keep(path, content())
        else:
            _refuse_polyglot(file, filename)
            _read_tar(PlainStream(file, kind, filename), collector)
        return collector.finish()
    except (ArchiveError, LimitExceeded):
        raise
    except (ValueError, EOFError, OSError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        raise ArchiveBroken(f"{filename}: cannot be read ({type(error).__name__})") from None


def _read_tar(stream: PlainStream, collector: _Collector) -> None:
    walk = TarWalk(stream, collector.where)
    for member in walk:
        if path := collector.add(member):
            collector.keep(path, walk.content(member.size))


_END_RECORD = b"PK\x05\x06"


def _refuse_polyglot(file: BinaryIO, where: str) -> None:
    """Refuse a tar file whose last bytes are the end record of a zip archive: other tools would read that one."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 22 - 0xFFFF))
    tail = file.read()
    at = tail.rfind(_END_RECORD)
    if at >= 0 and len(tail) - at >= 22 and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
        raise ArchiveAmbiguous(f"{where}: is a zip archive too: two readers would see two contents")
