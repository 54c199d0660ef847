"""Unpacks an sdist for a build hook.

Invariant: an archive that `read_members` refuses is refused here too, by the same rules, and no path is ever opened or
made through a link: while files are written there are none. Links are made last, and only those that stay inside by the
rules for the whole archive. Nothing is made outside the folder; modes are 0644 or 0755 (less the umask), never setuid.

A hard link becomes a copy. Where the system has no symbolic links, one to a file becomes a copy and any other is
refused. Times are kept, since make and ninja compare them, unless they are before 1980 (a wheel is a zip archive, which
has no earlier times) or later than the time of the file just written; then they are `ZIP_EPOCH`.
"""

import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, field

from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, ArchiveUnsafe, raise_machine_fault
from deep_lock.sdist import decompress
from deep_lock.sdist.decompress import MIB
from deep_lock.sdist.member_rules import shown_name
from deep_lock.sdist.source_tree import archive_faults, member_check, walk_archive
from deep_lock.sdist.tar_members import Member

ZIP_EPOCH = 315_532_800
"""1980-01-01 00:00:00 UTC, the first second that a zip archive can hold: the default of SOURCE_DATE_EPOCH."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

# Names that Windows shortens, or reads as a device or a stream: another file than the archive names, or none.
_ODD_ON_WINDOWS = re.compile(
    r'[<>:"|?*]|[. ]\Z|\A(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9])(?:\..*)?\Z', re.IGNORECASE
)


class _Writer(Struct):
    """Writes below a folder, and remembers what is there."""

    where: str
    folder: Path
    made: set[str] = field(default_factory=set)
    """Folders; all paths are relative to ``folder``."""
    written: set[str] = field(default_factory=set)
    copied: int = 0
    """Bytes of copies."""

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it, each by its own name."""
        waiting = []
        while path and path not in self.made:
            waiting.append(path)
            path = path.rpartition("/")[0]
        for new in reversed(waiting):
            (self.folder / self._usable(new)).mkdir(mode=0o755)
            self.made.add(new)

    def write(self, path: str, member: Member, content: Iterator[bytes]) -> None:
        """Write a regular file; of two with one name the last is kept, as in every reader of tar."""
        self.make_folder(posixpath.dirname(path))
        location = self.folder / self._usable(path)
        if path in self.written:
            location.unlink()
        with os.fdopen(os.open(location, _NEW, 0o755 if member.executable else 0o644), "wb") as file:
            self.written.add(path)
            file.writelines(content)
            file.flush()
            now = os.fstat(file.fileno()).st_mtime
        time = member.modified if ZIP_EPOCH <= member.modified <= now else ZIP_EPOCH
        os.utime(location, (time, time))

    def copy(self, original: str, path: str) -> None:
        """Write a file again under another name. The size of copies is limited: a link in an archive costs nothing."""
        self.make_folder(posixpath.dirname(path))
        source, location = self.folder / original, self.folder / self._usable(path)
        status = source.stat()
        self.copied += status.st_size
        if self.copied > decompress.MAX_DECOMPRESSED:
            raise ArchiveTooBig(f"{self.where}: its links copy more than {decompress.MAX_DECOMPRESSED // MIB} MiB")
        with source.open("rb") as file, os.fdopen(os.open(location, _NEW, status.st_mode & 0o755), "wb") as new:
            shutil.copyfileobj(file, new)
        os.utime(location, (status.st_mtime, status.st_mtime))

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link that the rules allow, or a copy where the system has no links."""
        self.make_folder(posixpath.dirname(path))
        location = self.folder / self._usable(path)
        try:
            location.symlink_to(target)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            # Windows: only an administrator may, or in developer mode
            original = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if original not in self.written:
                raise ArchiveUnsafe(
                    f"{self.where}: the link {shown_name(path)} cannot be made: this system does not allow links"
                ) from None
            self.copy(original, path)

    def _usable(self, path: str) -> str:
        if os.name == "nt" and _ODD_ON_WINDOWS.search(posixpath.basename(path)):
            raise ArchiveUnsafe(f"{self.where}: {shown_name(path)} is not a valid file name on this system")
        return path


@contextmanager
def _disk_faults(where: str, path: str) -> Iterator[None]:
    """Turn errors of the disk into errors of the archive."""
    try:
        yield
    except FileExistsError:
        raise ArchiveAmbiguous(
            f"{where}: two of its file names are the same on this file system: {shown_name(path)}"
        ) from None
    except (OSError, UnicodeError) as error:
        raise_machine_fault(error)
        cause = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise ArchiveBroken(f"{where}: {shown_name(path)} cannot be written here: {cause}") from None


def unpack(file: BinaryIO, filename: str, folder: Path) -> Path:
    """Write an sdist (a seekable binary file) below an empty folder and return its one top folder.

    The files of a wheel, which has no top folder, are written into the folder itself, as they are in the archive.

    Raises ArchiveError in one of its four kinds, or LimitExceeded, also where the disk refuses a file (a name that is too
    long, no space). Files written until then are left; the caller removes the folder.
    """
    rules = member_check(filename, is_wheel=filename.endswith(".whl"))
    writer = _Writer(where=filename, folder=folder)
    with archive_faults(filename):
        for path, member, content in walk_archive(file, filename, rules):
            if member.kind in {"file", "folder"} and (rules.top or path):
                inside = posixpath.join(rules.top, path)
                with _disk_faults(filename, path):
                    if member.kind == "folder":
                        writer.make_folder(inside.rstrip("/"))
                    else:
                        writer.write(inside, member, content())
        for path in rules.hardlinks:
            with _disk_faults(filename, path):
                writer.copy(f"{rules.top}/{rules.original(path)}", f"{rules.top}/{path}")
        for path, target in rules.links.items():
            with _disk_faults(filename, path):
                writer.link(f"{rules.top}/{path}", target)
    return folder / rules.top
