"""The work of `wheelhouse`: a folder of the wheels of one target. Locked wheels are fetched, other packages are built here.

Invariants: nothing is resolved, and what the lock does not have is an error. A file is complete or not there. wheelhouse.json
has what was built, by the digest of everything that went into it, so that a second run builds nothing.

::

    DIR/*.whl               what the target installs at run time, with the selected extras and groups
    DIR/requirements.txt    name==version and sha256 of each: pip install --no-index --find-links DIR --require-hashes -r
    DIR/build/*.whl         what was built only for another build
    DIR/logs/NAME.log       the output of a failed build
    DIR/wheelhouse.json     what was built, by the digest of its build
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from deep_lock.builds import wheel_receipt
from deep_lock.builds.host import Machine
from deep_lock.builds.temp_dirs import disposable_folder
from deep_lock.config.config import Config
from deep_lock.config.options import VerifyOptions, WheelhouseOptions, network_with_hooks
from deep_lock.errors import HookRefused, NotLocked, UsageError, raise_machine_fault
from deep_lock.events import Reporter, Warned
from deep_lock.files import open_regular, replacing, write_atomically
from deep_lock.index.download import Downloads, Wanted
from deep_lock.lockfile.build_digests import build_digests
from deep_lock.lockfile.index import Key
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.selection import LOCK_AGAIN, BuiltArtifact, InstallPlan, WheelArtifact, take
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.clients import open_downloads
from deep_lock.locking.read_inputs import read_project_config, require_lock
from deep_lock.locking.settings import hook_policy
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.operations.build_wheels import Site, build_wheels, digests, missing
from deep_lock.operations.fetch import (
    FetchOutcome,
    distinct_files,
    prepare_folder,
    put_all,
    wanted_file,
    warn_of_other_files,
)
from deep_lock.operations.inputs import chosen_selection, part_of
from deep_lock.operations.lock_hosts import LockHosts, open_hosts
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.sanitize import lines as safe_lines
from deep_lock.targets.factory import read_host, runs_on
from deep_lock.targets.target import Target

RECORDS = "wheelhouse.json"
RECORDS_SCHEMA = "deep-lock/built-wheels"
REQUIREMENTS = "requirements.txt"
BUILD_FOLDER = "build"
LOG_FOLDER = "logs"
_MAX_RECORD_BYTES = 16 * 1024 * 1024


class _Record(Struct, frozen=True, kw_only=True):
    """A wheel that was built here. ``digest`` is that of its build (`build_wheels.digests`), ``sha256`` that of its bytes."""

    name: str
    digest: str
    sha256: str


class _RecordFile(Struct, frozen=True, kw_only=True, rename="kebab"):
    schema: str = RECORDS_SCHEMA
    version: int = 1
    built: tuple[_Record, ...] = ()


class WheelFolder:
    """The wheelhouse on the disk: `build_wheels.Store`."""

    def __init__(self, folder: Path, plan: InstallPlan, find: Callable[[LockedFile], Path]) -> None:
        """``find`` returns where a file of the lock was put for the builds."""
        self._folder = folder
        self._plan = plan
        self._find = find
        self._digests: Mapping[Key, str] = {}
        self._records: dict[str, _Record] = {}
        self._checked: dict[str, Path] = {}
        self._writing = threading.Lock()

    @property
    def names(self) -> frozenset[str]:
        """File names of the wheels that were built for this lock."""
        return frozenset(path.name for path in self._checked.values())

    def open(self, known: Mapping[Key, str], reporter: Reporter) -> None:
        """Read the records of earlier runs; ``known`` are the digests of the builds. Unreadable records are ignored."""
        self._digests = known
        path = self._folder / RECORDS
        try:
            with open_regular(path) as file:
                records = msgspec.json.decode(file.read(_MAX_RECORD_BYTES), type=_RecordFile)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError):
            message = "cannot be read; earlier builds are repeated"
            reporter(Warned(code="wheelhouse-notes", subject=str(path), message=message))
            return
        self._records = {record.digest: record for record in records.built if _is_plain(record.name)}

    def file(self, file: LockedFile) -> Path:
        """Return where a file of the lock was put for the builds."""
        return self._find(file)

    def wheel(self, artifact: BuiltArtifact) -> Path | None:
        """Return the wheel of a release if it is there, unchanged; one that moved between runtime and builds is moved."""
        digest = self._digests[artifact.key]
        if digest in self._checked:
            return self._checked[digest]
        record = self._records.get(digest)
        if record is None:
            return None
        wanted = self._path(artifact, record.name)
        for path in (wanted, self._folder / record.name, self._folder / BUILD_FOLDER / record.name):
            if _sha256(path) == record.sha256:
                if path != wanted:
                    wanted.parent.mkdir(exist_ok=True)
                    path.replace(wanted)
                self._checked[digest] = wanted
                return wanted
        return None

    def keep(self, artifact: BuiltArtifact, wheel: Path, receipt: bytes) -> None:
        """Put a new wheel with its receipt into the folder, and then record it.

        Raises UsageError where the folder cannot be written, and ArchiveError.
        """
        path, digest = self._path(artifact, wheel.name), self._digests[artifact.key]
        try:
            path.parent.mkdir(exist_ok=True)
            with replacing(path) as new:
                wheel_receipt.add_receipt(wheel, receipt, new)
                new.seek(0)
                sha256 = hashlib.file_digest(new, "sha256").hexdigest()  # type: ignore[arg-type]  # a file has readinto
            with self._writing:
                self._records[digest] = _Record(name=wheel.name, digest=digest, sha256=sha256)
                self._checked[digest] = path
                self._write_records()
            self._log_path(artifact).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None

    def log(self, artifact: BuiltArtifact, text: str) -> Path:
        """Keep the output of a failed build."""
        path = self._log_path(artifact)
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, safe_lines(f"{text}\n").encode())
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
        return path

    def write_requirements(self) -> None:
        """Write what pip installs, each with the sha256 of the wheel in this folder."""
        lines = []
        for key in sorted(self._plan.runtime):
            artifact = self._plan.ordered[key]
            sha256 = (
                artifact.wheel.sha256
                if isinstance(artifact, WheelArtifact)
                else self._records[self._digests[key]].sha256
            )
            lines.append(f"{artifact.entry.name}=={artifact.version} --hash=sha256:{sha256}\n")
        data = "".join(lines).encode()
        path = self._folder / REQUIREMENTS
        try:
            if not path.is_file() or path.read_bytes() != data:
                write_atomically(path, data)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None

    def _path(self, artifact: BuiltArtifact, name: str) -> Path:
        return (self._folder if artifact.key in self._plan.runtime else self._folder / BUILD_FOLDER) / name

    def _log_path(self, artifact: BuiltArtifact) -> Path:
        return self._folder / LOG_FOLDER / f"{artifact.entry.name}-{artifact.version}.log"

    def _write_records(self) -> None:
        """Record what is there: of two builds that made the same file, the later one."""
        last = {record.name: record for record in self._records.values()}
        records = sorted(last.values(), key=lambda record: (record.name, record.digest))
        data = msgspec.json.format(msgspec.json.encode(_RecordFile(built=tuple(records))), indent=1)
        write_atomically(self._folder / RECORDS, data + b"\n")


def _is_plain(name: str) -> bool:
    return name.endswith(".whl") and Path(name).name == name and "\\" not in name and not name.startswith(".")


def _sha256(path: Path) -> str | None:
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise_machine_fault(error)
        return None


_MAX_FAULTS = 10


class WheelhouseOutcome(Struct, frozen=True, kw_only=True):
    """What a run did."""

    target: str
    fetched: FetchOutcome
    """Wheels of the runtime; those that only builds need are not counted."""
    built: tuple[str, ...]
    """"NAME VERSION" of each."""
    kept: tuple[str, ...]
    """Built by an earlier run."""


def make_wheelhouse(options: WheelhouseOptions, reporter: Reporter) -> WheelhouseOutcome:
    """Fill the folder for one target.

    Raises UsageError and LockInvalid; NotLocked, WheelDiffers and other SafetyErrors; IndexFault for files that cannot be
    fetched. Finished wheels stay.
    """
    whole = require_lock(options.lock, reporter)
    lock = part_of(whole, options.package, options.lock)
    targets = chosen_targets(lock, (), options.lock.name)
    machine = _machine(options, targets, reporter)
    target = _target(options, lock, targets, machine)
    _require_closed(lock, target, options.lock.name)
    own = {member.path for member in whole.inputs.members}
    plan = take(lock, target, chosen_selection(lock, options.selection, options.lock), left_out=own)
    prepare_folder(options.destination, options.context.now.timestamp())
    config = read_project_config(options.lock.parent.resolve())
    network = VerifyOptions(lock=options.lock, network=options.network, context=options.context)
    hosts = open_hosts(lock, network, config, reporter)
    downloads = _open_downloads(options, lock, config, hosts, reporter)
    with closing(hosts), closing(downloads), disposable_folder("files-") as folder:
        supply = _Supply(options, downloads, folder)
        return _fill(
            options, lock, targets, machine=machine, target=target, plan=plan, supply=supply, reporter=reporter
        )


def _machine(options: WheelhouseOptions, targets: Sequence[Target], reporter: Reporter) -> Machine:
    folder = options.lock.parent.resolve()
    return Machine(hook_policy(options.hooks, read_project_config(folder), options.context), targets, reporter)


def _target(options: WheelhouseOptions, lock: Lock, targets: Sequence[Target], machine: Machine) -> Target:
    """Return the requested target, or the one of this machine. Raises UsageError where there is none, or more than one."""
    known = ", ".join(target.label for target in targets) or "none"
    if options.target:
        found = list(chosen_targets(lock, (options.target,), options.lock.name))
    else:
        host = read_host()
        found = [target for target in targets if runs_on(host, target)] or list(targets)
    here = [target for target in found if machine.interpreter(target) is not None]
    if not here:
        raise UsageError(
            f"{found[0].label} does not run on this machine"
            if options.target
            else f"no target of {options.lock.name} runs on this machine",
            hint=f"name an interpreter with --python, or lock for this machine too; the lock has: {known}",
        )
    if len(here) > 1:
        labels = ", ".join(target.label for target in here)
        raise UsageError(
            f"several targets of {options.lock.name} run on this machine: {labels}", hint="name one: --target"
        )
    return here[0]


def _require_closed(lock: Lock, target: Target, source: str) -> None:
    """A lock that is not closed was edited or truncated: what it lacks could come from anywhere. Raises NotLocked."""
    faults = broken_invariants(lock, (target,))
    if faults:
        more = [f"and {len(faults) - _MAX_FAULTS} more"] if len(faults) > _MAX_FAULTS else []
        lines = "\n  ".join([*faults[:_MAX_FAULTS], *more])
        raise NotLocked(f"{source} is not closed:\n  {lines}", hint=LOCK_AGAIN)


def _open_downloads(
    options: WheelhouseOptions, lock: Lock, config: Config, hosts: LockHosts, reporter: Reporter
) -> Downloads:
    return open_downloads(
        network_with_hooks(options.network, options.hooks),
        config,
        lock.indexes,
        options.context,
        reporter,
        folder=options.lock.parent.resolve(),
        namer_of=hosts.namer_of,
    )


def _fill(
    options: WheelhouseOptions,
    lock: Lock,
    targets: tuple[Target, ...],
    *,
    machine: Machine,
    target: Target,
    plan: InstallPlan,
    supply: "_Supply",
    reporter: Reporter,
) -> WheelhouseOutcome:
    interpreter = machine.interpreter(target)
    if interpreter is None:
        raise HookRefused(f"no interpreter for {target.label} is on this machine")
    folder = WheelFolder(options.destination, plan, supply.file)
    site = Site(
        taking=plan,
        builds=build_digests(plan),
        target=target,
        targets=targets,
        overridden=frozenset(parse_requirement(text).name for text in lock.inputs.overrides),
        machine=machine,
        interpreter=interpreter,
        source_date_epoch=_epoch(options),
        store=folder,
        reporter=reporter,
    )
    folder.open(digests(site), reporter)
    waiting = missing(site)
    wheels = [artifact.wheel for artifact in plan.published if artifact.key in plan.runtime]
    fetched = supply.put(wheels, options.destination)
    supply.put_for_builds(_build_files(waiting, plan))
    build_wheels(site, waiting, jobs=options.jobs)
    folder.write_requirements()
    names = {wheel.name for wheel in wheels} | folder.names
    warn_of_other_files(options.destination, names, reporter)
    built = {artifact.key for artifact in waiting}
    return WheelhouseOutcome(
        target=target.label,
        fetched=fetched,
        built=tuple(artifact.called for artifact in waiting),
        kept=tuple(artifact.called for artifact in plan.sourced if artifact.key not in built),
    )


def _epoch(options: WheelhouseOptions) -> int | None:
    text = options.context.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text[:40]!r}: it must be seconds since 1970")
    return int(text)


def _build_files(waiting: Sequence[BuiltArtifact], plan: InstallPlan) -> Iterable[LockedFile]:
    """Yield the sdists that are built now, and the wheels of their environments."""
    for artifact in waiting:
        yield artifact.sdist
        members = (plan.ordered[key] for key in artifact.needed)
        yield from (member.wheel for member in members if isinstance(member, WheelArtifact))


class _Supply:
    """Files of the lock: from folders of the user, from the cache, or from their URLs."""

    def __init__(self, options: WheelhouseOptions, downloads: Downloads, folder: Path) -> None:
        self._fetched = options.fetched
        self._base = options.lock.parent.resolve()
        self._downloads = downloads
        self._folder = folder

    def put(self, files: Iterable[LockedFile], folder: Path) -> FetchOutcome:
        """Put files into a folder. Raises LockInvalid, IndexFault and SafetyError."""
        wanted = [self._wanted(file) for file in distinct_files(tuple(files))]
        return put_all(wanted, folder, self._downloads) if wanted else FetchOutcome()

    def put_for_builds(self, files: Iterable[LockedFile]) -> None:
        """Put files where the builds of this run find them."""
        self.put(files, self._folder)

    def file(self, file: LockedFile) -> Path:
        """Return where a file was put for the builds."""
        return self._folder / file.name

    def _wanted(self, file: LockedFile) -> Wanted:
        for folder in self._fetched:
            path = folder / file.name
            if path.is_file():
                return Wanted(name=file.name, local=path, sha256=file.sha256, size=file.size)
        return wanted_file(file, self._base)
