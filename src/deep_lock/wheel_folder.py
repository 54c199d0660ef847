"""The folder of a wheelhouse: what was built lies there, and notes tell by what it can be known again.

Laws: a wheel is noted after it is there whole, and counts only while its bytes are those that were noted.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from deep_lock.errors import UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import replacing, write_atomically
from deep_lock.lockfile.taking import Published, Sourced, Taking
from deep_lock.model.lock import LockedFile
from deep_lock.model.register import Key

NOTES = "wheelhouse.json"
REQUIREMENTS = "requirements.txt"
BUILD_FOLDER = "build"
LOG_FOLDER = "logs"
_MAX_NOTES_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


class _Note(Struct, frozen=True, kw_only=True):
    """A wheel that was built here. ``digest`` is that of its build (`building.digests`), ``sha256`` that of its bytes."""

    name: str
    digest: str
    sha256: str


class _Notes(Struct, frozen=True, kw_only=True, rename="kebab"):
    version: int = 1
    built: tuple[_Note, ...] = ()


class WheelFolder:
    """The wheelhouse on the disk: `building.Store`."""

    def __init__(self, folder: Path, taking: Taking, find: Callable[[LockedFile], Path]) -> None:
        """``find`` says where a file of the lock was put aside."""
        self._folder = folder
        self._taking = taking
        self._find = find
        self._digests: Mapping[Key, str] = {}
        self._notes: dict[str, _Note] = {}
        self._checked: dict[str, Path] = {}
        self._writing = threading.Lock()

    @property
    def names(self) -> frozenset[str]:
        """File names of all that was built for this lock."""
        return frozenset(path.name for path in self._checked.values())

    def open(self, known: Mapping[Key, str], reporter: Reporter) -> None:
        """Read what earlier runs noted; ``known`` are the digests of the builds. Notes that cannot be read are none."""
        self._digests = known
        path = self._folder / NOTES
        try:
            with path.open("rb") as file:
                notes = msgspec.json.decode(file.read(_MAX_NOTES_BYTES), type=_Notes)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError):
            message = "cannot be read; what was built before is built again"
            reporter(Warned(code="wheelhouse-notes", subject=str(path), message=message))
            return
        self._notes = {note.digest: note for note in notes.built if _is_plain(note.name)}

    def file(self, file: LockedFile) -> Path:
        """Return where a file of the lock was put aside."""
        return self._find(file)

    def wheel(self, taken: Sourced) -> Path | None:
        """Return the wheel of a release if it is there as it was built; one that is now of the other kind is moved."""
        digest = self._digests[taken.key]
        if digest in self._checked:
            return self._checked[digest]
        note = self._notes.get(digest)
        if note is None:
            return None
        right = self._place(taken, note.name)
        for path in (right, self._folder / note.name, self._folder / BUILD_FOLDER / note.name):
            if _sha256(path) == note.sha256:
                if path != right:
                    right.parent.mkdir(exist_ok=True)
                    path.replace(right)
                self._checked[digest] = right
                return right
        return None

    def keep(self, taken: Sourced, wheel: Path) -> None:
        """Put a new wheel into its place, and then note it. Raises UsageError where the folder cannot be written."""
        place, digest = self._place(taken, wheel.name), self._digests[taken.key]
        sha256 = hashlib.sha256()
        try:
            place.parent.mkdir(exist_ok=True)
            with wheel.open("rb") as old, replacing(place) as new:
                for chunk in iter(lambda: old.read(_CHUNK), b""):
                    sha256.update(chunk)
                    new.write(chunk)
            with self._writing:
                self._notes[digest] = _Note(name=wheel.name, digest=digest, sha256=sha256.hexdigest())
                self._checked[digest] = place
                self._write_notes()
            self._log_place(taken).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{place}: cannot be written: {error.strerror or error}") from None

    def log(self, taken: Sourced, text: str) -> Path:
        """Keep what a failed build said."""
        path = self._log_place(taken)
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, f"{text}\n".encode(errors="backslashreplace"))
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
        return path

    def write_requirements(self) -> None:
        """Write what pip is to install, each by the sha256 of the wheel that is here."""
        lines = []
        for key in sorted(self._taking.runtime):
            taken = self._taking.ordered[key]
            sha256 = taken.wheel.sha256 if isinstance(taken, Published) else self._notes[self._digests[key]].sha256
            lines.append(f"{taken.entry.name}=={taken.version} --hash=sha256:{sha256}\n")
        data = "".join(lines).encode()
        path = self._folder / REQUIREMENTS
        try:
            if not path.is_file() or path.read_bytes() != data:
                write_atomically(path, data)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None

    def _place(self, taken: Sourced, name: str) -> Path:
        return (self._folder if taken.key in self._taking.runtime else self._folder / BUILD_FOLDER) / name

    def _log_place(self, taken: Sourced) -> Path:
        return self._folder / LOG_FOLDER / f"{taken.entry.name}-{taken.version}.log"

    def _write_notes(self) -> None:
        """Note what is there: of two builds that made one file, the later one."""
        last = {note.name: note for note in self._notes.values()}
        notes = sorted(last.values(), key=lambda note: (note.name, note.digest))
        data = msgspec.json.format(msgspec.json.encode(_Notes(built=tuple(notes))), indent=1)
        write_atomically(self._folder / NOTES, data + b"\n")


def _is_plain(name: str) -> bool:
    return name.endswith(".whl") and Path(name).name == name and "\\" not in name and not name.startswith(".")


def _sha256(path: Path) -> str | None:
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
