"""A folder of wheels out of a lock, for one target: what is listed is fetched, what is not is built here.

Laws: nothing is resolved, and what the lock does not hold is an error. Every file is whole or not there; what was built
is noted in wheelhouse.json by all that went into it, so that a second run builds nothing.

::

    DIR/*.whl               what the target installs at run time, every extra and group
    DIR/requirements.txt    name==version and sha256 of each: pip install --no-index --find-links DIR --require-hashes -r
    DIR/build/*.whl         what was built only because another build needed it
    DIR/logs/NAME.log       what a build said that failed
    DIR/wheelhouse.json     what was built, by the digest of its build
"""

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from deep_lock.builds.host import Machine
from deep_lock.config.options import FetchOptions, InputOptions, LockOptions, ResolveOptions, WheelhouseOptions
from deep_lock.errors import HookRefused, NotLocked, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import replacing, write_atomically
from deep_lock.index.download import Downloads, Wanted
from deep_lock.lockfile.index import Key
from deep_lock.lockfile.invariants import check_closed
from deep_lock.lockfile.selection import LOCK_AGAIN, BuiltArtifact, InstallPlan, WheelArtifact, take
from deep_lock.lockfile.targets import made_target
from deep_lock.locking.indexes import open_downloads
from deep_lock.locking.read_inputs import read_settings, require_lock
from deep_lock.locking.settings import hook_policy_of
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.models.requirement import parse_requirement
from deep_lock.operations.build_wheels import Site, build_wheels, digests, missing
from deep_lock.operations.fetch import FetchOutcome, distinct_files, make_ready, put_all, tell_others, wanted_file
from deep_lock.targets.factory import read_host, runs_on
from deep_lock.targets.target import Target

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

    def __init__(self, folder: Path, taking: InstallPlan, find: Callable[[LockedFile], Path]) -> None:
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

    def wheel(self, taken: BuiltArtifact) -> Path | None:
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

    def keep(self, taken: BuiltArtifact, wheel: Path) -> None:
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

    def log(self, taken: BuiltArtifact, text: str) -> Path:
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
            sha256 = taken.wheel.sha256 if isinstance(taken, WheelArtifact) else self._notes[self._digests[key]].sha256
            lines.append(f"{taken.entry.name}=={taken.version} --hash=sha256:{sha256}\n")
        data = "".join(lines).encode()
        path = self._folder / REQUIREMENTS
        try:
            if not path.is_file() or path.read_bytes() != data:
                write_atomically(path, data)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None

    def _place(self, taken: BuiltArtifact, name: str) -> Path:
        return (self._folder if taken.key in self._taking.runtime else self._folder / BUILD_FOLDER) / name

    def _log_place(self, taken: BuiltArtifact) -> Path:
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


_MAX_TOLD = 10


class WheelhouseOutcome(Struct, frozen=True, kw_only=True):
    """What a run did."""

    target: str
    fetched: FetchOutcome
    """Wheels of the run time; what builds needed besides is not counted."""
    built: tuple[str, ...]
    """"NAME VERSION" of each."""
    kept: tuple[str, ...]
    """Built by an earlier run."""


def make_wheelhouse(flags: WheelhouseOptions, reporter: Reporter) -> WheelhouseOutcome:
    """Fill the folder for one target.

    Raises UsageError and LockInvalid; NotLocked, WheelDiffers and other SafetyErrors; IndexFault for files that cannot be
    had. What is finished stays.
    """
    lock = require_lock(flags.lock, reporter)
    machine = _machine(flags, lock, reporter)
    target = _target(flags, lock, machine)
    _refuse_open(lock, target, flags.lock.name)
    taking = take(lock, target)
    make_ready(flags.destination, flags.surroundings.now.timestamp())
    downloads = _open_downloads(flags, lock, reporter)
    with closing(downloads), tempfile.TemporaryDirectory(prefix="deep-lock-", ignore_cleanup_errors=True) as name:
        supply = _Supply(flags, downloads, Path(name))
        return _fill(flags, lock, machine=machine, target=target, taking=taking, supply=supply, reporter=reporter)


def _machine(flags: WheelhouseOptions, lock: Lock, reporter: Reporter) -> Machine:
    folder = flags.lock.parent.resolve()
    asked = LockOptions(
        inputs=InputOptions(folder=folder),
        rules=ResolveOptions(hooks=flags.hooks, trust_hooks=flags.trust_hooks, interpreters=flags.interpreters),
        surroundings=flags.surroundings,
    )
    targets = [made_target(target, flags.lock.name) for target in lock.targets]
    return Machine(hook_policy_of(asked, read_settings(folder)), targets, reporter)


def _target(flags: WheelhouseOptions, lock: Lock, machine: Machine) -> Target:
    """Return the target that is asked for, or the one that this machine is. Raises UsageError where that is none or many."""
    targets = {target.name: made_target(target, flags.lock.name) for target in lock.targets}
    known = ", ".join(targets) or "none"
    if flags.target:
        if flags.target not in targets:
            raise UsageError(f"{flags.lock.name} has no target {flags.target}", hint=f"it has: {known}")
        found = [targets[flags.target]]
    else:
        host = read_host()
        found = [target for target in targets.values() if runs_on(host, target)] or list(targets.values())
    here = [target for target in found if machine.interpreter(target) is not None]
    if not here:
        raise UsageError(
            f"{flags.target} does not run on this machine"
            if flags.target
            else f"no target of {flags.lock.name} runs on this machine",
            hint=f"name an interpreter with --python, or lock for this machine too; the lock has: {known}",
        )
    if len(here) > 1:
        labels = ", ".join(target.label for target in here)
        raise UsageError(
            f"several targets of {flags.lock.name} run on this machine: {labels}", hint="name one: --target"
        )
    return here[0]


def _refuse_open(lock: Lock, target: Target, source: str) -> None:
    """A lock that is not closed was edited, or cut: what it leaves out would be taken from anywhere."""
    faults = check_closed(lock, (target,))
    if faults:
        more = [f"and {len(faults) - _MAX_TOLD} more"] if len(faults) > _MAX_TOLD else []
        lines = "\n  ".join([*faults[:_MAX_TOLD], *more])
        raise NotLocked(f"{source} is not closed:\n  {lines}", hint=LOCK_AGAIN)


def _open_downloads(flags: WheelhouseOptions, lock: Lock, reporter: Reporter) -> Downloads:
    asked = FetchOptions(
        lock=flags.lock, destination=flags.destination, network=flags.network, surroundings=flags.surroundings
    )
    return open_downloads(asked, read_settings(flags.lock.parent.resolve()), lock.indexes, reporter)


def _fill(
    flags: WheelhouseOptions,
    lock: Lock,
    *,
    machine: Machine,
    target: Target,
    taking: InstallPlan,
    supply: "_Supply",
    reporter: Reporter,
) -> WheelhouseOutcome:
    interpreter = machine.interpreter(target)
    if interpreter is None:
        raise HookRefused(f"no interpreter for {target.label} is on this machine")
    folder = WheelFolder(flags.destination, taking, supply.file)
    site = Site(
        taking=taking,
        target=target,
        targets=tuple(made_target(own, flags.lock.name) for own in lock.targets),
        overridden=frozenset(parse_requirement(text).name for text in lock.inputs.overrides),
        machine=machine,
        interpreter=interpreter,
        source_date_epoch=_epoch(flags),
        store=folder,
        reporter=reporter,
    )
    folder.open(digests(site), reporter)
    waiting = missing(site)
    wheels = [taken.wheel for taken in taking.published if taken.key in taking.runtime]
    fetched = supply.put(wheels, flags.destination)
    supply.put_aside(_build_files(waiting, taking))
    build_wheels(site, waiting, jobs=flags.jobs)
    folder.write_requirements()
    names = {wheel.name for wheel in wheels} | folder.names
    tell_others(flags.destination, names, reporter)
    built = {taken.key for taken in waiting}
    return WheelhouseOutcome(
        target=target.label,
        fetched=fetched,
        built=tuple(taken.called for taken in waiting),
        kept=tuple(taken.called for taken in taking.sourced if taken.key not in built),
    )


def _epoch(flags: WheelhouseOptions) -> int | None:
    text = flags.surroundings.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text[:40]!r}: it must be seconds since 1970")
    return int(text)


def _build_files(waiting: Sequence[BuiltArtifact], taking: InstallPlan) -> Iterable[LockedFile]:
    """Return the sdists that are built now, and the wheels of their environments."""
    for taken in waiting:
        yield taken.sdist
        members = (taking.ordered[key] for key in taken.needed)
        yield from (member.wheel for member in members if isinstance(member, WheelArtifact))


class _Supply:
    """Files of the lock: from folders that the user names, from the cache, or from where they are published."""

    def __init__(self, flags: WheelhouseOptions, downloads: Downloads, room: Path) -> None:
        self._fetched = flags.fetched
        self._base = flags.lock.parent.resolve()
        self._downloads = downloads
        self._room = room

    def put(self, files: Iterable[LockedFile], folder: Path) -> FetchOutcome:
        """Put files into a folder. Raises LockInvalid, IndexFault and SafetyError."""
        wanted = [self._wanted(file) for file in distinct_files(tuple(files))]
        return put_all(wanted, folder, self._downloads) if wanted else FetchOutcome()

    def put_aside(self, files: Iterable[LockedFile]) -> None:
        """Put files where builds of this run find them."""
        self.put(files, self._room)

    def file(self, file: LockedFile) -> Path:
        """Return where a file stands that was put aside."""
        return self._room / file.name

    def _wanted(self, file: LockedFile) -> Wanted:
        for folder in self._fetched:
            path = folder / file.name
            if path.is_file():
                return Wanted(name=file.name, local=path, sha256=file.sha256, size=file.size)
        return wanted_file(file, self._base)
