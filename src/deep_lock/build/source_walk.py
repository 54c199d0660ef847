"""The members of an sdist one after another, judged, whatever the archive's format.

Law: one pass, nothing unpacked, no link followed; the bytes of a member are there in pieces, while it is the current
one. Whatever a broken archive makes the standard library raise comes out as an ArchiveError.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

from deep_lock.build.archive_stream import PlainStream
from deep_lock.build.member_judge import Judge, Kinds
from deep_lock.build.tar_walk import Member, TarWalk
from deep_lock.build.zip_walk import walk_zip
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveError, LimitExceeded

Content = Callable[[], Iterator[bytes]]


@contextmanager
def archive_faults(filename: str) -> Iterator[None]:
    """Let nothing out but ArchiveError in one of its four kinds and LimitExceeded."""
    try:
        yield
    except (ArchiveError, LimitExceeded):
        raise
    except (ValueError, EOFError, OSError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        raise ArchiveBroken(f"{filename}: cannot be read ({type(error).__name__})") from None


def make_judge(filename: str) -> Judge:
    """Return a judge who has seen nothing."""
    return Judge(where=filename, kinds=Kinds(where=filename))


def walk_source(file: BinaryIO, filename: str, judge: Judge) -> Iterator[tuple[str, Member, Content]]:
    """Yield the path below the top folder, the member, and what gives its bytes; the judge has passed it.

    ``file`` is seekable. Every byte is looked at once, so checksums are checked. To be run within `archive_faults`.
    """
    kind = _kind_of(filename)
    if kind == "zip":
        for member, content in walk_zip(file, filename):
            yield judge.add(member), member, content
    else:
        _refuse_polyglot(file, filename)
        walk = TarWalk(PlainStream(file, kind, filename), filename)
        for member in walk:
            yield judge.add(member), member, partial(walk.chunks, member.size)
    judge.finish()


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


_END_RECORD = b"PK\x05\x06"


def _refuse_polyglot(file: BinaryIO, where: str) -> None:
    """Refuse a tar file whose last bytes are the end record of a zip archive: other tools would read that one."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 22 - 0xFFFF))
    tail = file.read()
    at = tail.rfind(_END_RECORD)
    if at >= 0 and len(tail) - at >= 22 and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
        raise ArchiveAmbiguous(f"{where}: is a zip archive too: two readers would see two contents")
