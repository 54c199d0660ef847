"""The few files of an sdist that say how it is built, read out of the archive as it streams by.

Law: nothing is unpacked, and every member is judged (`member_judge`). One pass: a gzip stream cannot be asked twice
cheaply, so small files that a static rule may want later are kept at once.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import BinaryIO

from msgspec import Struct, field

from deep_lock.build.archive_stream import MIB
from deep_lock.build.member_judge import deciding_limit, is_cargo_lock
from deep_lock.build.source_walk import archive_faults, make_judge, walk_source

_HELPFUL = re.compile(
    r"(?:[^/]+\.(?:txt|in|py)|CMakeLists\.txt"  # what `file:` names; build hooks; CMake's wanted version
    r"|src/[^/]+\.py"
    r"|(?:[^/]+/)?[^/]*requirements?[^/]*/[^/]+\.(?:txt|in)"
    r"|(?:[^/]+/){1,4}(?:__init__|version|_version|__version__)\.py)\Z",
)
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


class _Kept(Struct):
    """The files kept so far."""

    where: str
    files: dict[str, bytes] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    """Helpful files of two contents."""
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

    def keep(self, path: str, data: bytes) -> None:
        """Keep the bytes of a wanted file, the digest of a Cargo.lock; of a merely helpful one that is there twice, keep none."""
        if is_cargo_lock(path):
            self.cargo_locks[path] = sha256(data).hexdigest()
            return
        if path in self.doubtful or self.files.setdefault(path, data) != data:
            self.files.pop(path, None)
            self.doubtful.add(path)


def _within(path: str, folder: str) -> str:
    """Return the path as seen from a folder; "" where it is not inside."""
    if not folder:
        return path
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else ""


def read_members(file: BinaryIO, filename: str, *, inside: str = "") -> Members:
    """Read the deciding and the merely helpful files of an sdist (a seekable binary file), without unpacking it.

    ``inside`` is the folder of it that counts, "" for all; then paths are as seen from there.
    Every byte is looked at once: checksums are checked and the limits of the module hold. Raises ArchiveError in one
    of its four kinds, or LimitExceeded.
    """
    judge, kept = make_judge(filename), _Kept(where=filename)
    with archive_faults(filename):
        for place, member, content in walk_source(file, filename, judge):
            path = _within(place, inside)
            if path and member.kind == "file" and kept.wants(path, member.size):
                kept.keep(path, b"".join(content()))
    return Members(
        top=judge.top,
        files=kept.files,
        names=frozenset(name for place in judge.names if (name := _within(place, inside))),
        cargo_locks=kept.cargo_locks,
        notes=tuple(sorted(judge.notes)),
    )
