"""The work of `wheelhouse`: a folder with the wheels of one target. Locked wheels are downloaded, others are built.

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
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.builds import interpreters, wheel_receipt
from deep_lock.builds.host import Machine
from deep_lock.builds.temp_dirs import disposable_folder
from deep_lock.config.config import Config
from deep_lock.config.options import HookOptions, VerifyOptions, WheelhouseOptions, network_with_hooks
from deep_lock.errors import NotLocked, UsageError, raise_machine_fault
from deep_lock.events import Reporter, Warned
from deep_lock.files import open_regular, replacing, write_atomically
from deep_lock.index.download import Downloads, Wanted
from deep_lock.lockfile.build_digests import build_digests
from deep_lock.lockfile.index import Key
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.selection import LOCK_AGAIN, BuiltArtifact, InstallPlan, WheelArtifact, take
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.clients import open_downloads
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.locking.settings import hook_policy, hooks_mode
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.operations.build_wheels import (
    Builder,
    Site,
    build_wheels,
    builder_here,
    digests,
    missing,
    overridden_names,
)
from deep_lock.operations.fetch import (
    FetchOutcome,
    distinct_files,
    prepare_folder,
    put_all,
    wanted_file,
    warn_of_other_files,
)
from deep_lock.operations.inputs import LockFile, chosen_selection, part_of, read_lock_file
from deep_lock.operations.lock_hosts import LockHosts, open_hosts
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
    """The wheelhouse on the disk: `build_wheels.Store` and `build_wheels.Results`."""

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


class BuilderRequest(Struct, frozen=True, kw_only=True):
    """What is built, for the builder on other machines."""

    source: LockFile
    package: str
    """The member of the workspace whose part of the lock is used; empty: the whole lock."""
    target: Target
    machine: Machine
    hooks: HookOptions
    """With the mode of the configuration where no option has one."""
    source_date_epoch: int | None
    reporter: Reporter


OpenBuilder = Callable[[BuilderRequest], AbstractContextManager[Builder]]


def make_wheelhouse(
    options: WheelhouseOptions, reporter: Reporter, open_builder: OpenBuilder | None = None
) -> WheelhouseOutcome:
    """Fill the folder for one target. ``open_builder`` opens a builder on other machines; None: this machine builds.

    Raises UsageError and LockInvalid; NotLocked, WheelDiffers and other SafetyErrors; IndexFault for files that cannot be
    fetched; BuildUnfinished. Finished wheels stay.
    """
    source = read_lock_file(options.lock, reporter)
    whole = source.lock
    lock = part_of(whole, options.package, options.lock)
    targets = chosen_targets(lock, (), options.lock.name)
    config = read_project_config(options.lock.parent.resolve())
    machine = Machine(hook_policy(options.hooks, config, options.context), targets, reporter)
    epoch = _epoch(options)
    if open_builder is None:
        target, interpreter = _target_here(options, lock, targets, machine)
        builder: AbstractContextManager[Builder] = nullcontext(
            builder_here(machine, interpreter, jobs=options.jobs or max(1, (os.cpu_count() or 1) // 2))
        )
    else:
        target = _target_elsewhere(options, lock, targets)
        builder = open_builder(
            BuilderRequest(
                source=source,
                package=options.package,
                target=target,
                machine=machine,
                hooks=replace(options.hooks, hooks=hooks_mode(options.hooks, config)),
                source_date_epoch=epoch,
                reporter=reporter,
            )
        )
    _require_closed(lock, target, options.lock.name)
    own = {member.path for member in whole.inputs.members}
    plan = take(lock, target, chosen_selection(lock, options.selection, options.lock), left_out=own)
    prepare_folder(options.destination, options.context.now.timestamp())
    network = VerifyOptions(lock=options.lock, network=options.network, context=options.context)
    with (
        closing(open_hosts(lock, network, config, reporter)) as hosts,
        closing(_open_downloads(options, lock, config, hosts, reporter)) as downloads,
        builder as opened,
        disposable_folder("files-") as folder,
    ):
        wheels = WheelFolder(options.destination, plan, lambda file: folder / file.name)
        site = Site(
            taking=plan,
            builds=build_digests(plan),
            target=target,
            targets=targets,
            overridden=overridden_names(lock),
            machine=machine,
            builder=opened,
            source_date_epoch=epoch,
            store=wheels,
            reporter=reporter,
        )
        return _fill(options, site, wheels, _Supply(options, downloads, folder))


def _target_here(
    options: WheelhouseOptions, lock: Lock, targets: Sequence[Target], machine: Machine
) -> tuple[Target, "interpreters.Interpreter"]:
    """Return the requested target, or the one of this machine, with its interpreter.

    Raises UsageError where there is none, or more than one.
    """
    known = _labels(targets)
    if options.target:
        found = list(chosen_targets(lock, (options.target,), options.lock.name))
    else:
        host = read_host()
        found = [target for target in targets if runs_on(host, target)] or list(targets)
    here = [(target, own) for target in found if (own := machine.interpreter(target)) is not None]
    if not here:
        raise UsageError(
            f"{found[0].label} does not run on this machine"
            if options.target
            else f"no target of {options.lock.name} runs on this machine",
            hint=f"name an interpreter with --python, or lock for this machine too; the lock has: {known}",
        )
    if len(here) > 1:
        labels = _labels([target for target, _ in here])
        raise UsageError(
            f"several targets of {options.lock.name} run on this machine: {labels}", hint="name one: --target"
        )
    return here[0]


def _target_elsewhere(options: WheelhouseOptions, lock: Lock, targets: Sequence[Target]) -> Target:
    """Return the requested target, the only one, or the only one that this Python is. Raises UsageError where there is none."""
    if options.target:
        return chosen_targets(lock, (options.target,), options.lock.name)[0]
    host = read_host()
    found = targets if len(targets) == 1 else [target for target in targets if runs_on(host, target)]
    if len(found) != 1:
        raise UsageError(
            f"{options.lock.name} has several targets: {_labels(targets)}"
            if targets
            else f"{options.lock.name} has no target",
            hint="name the one for which wheels are built: --target",
        )
    return found[0]


def _labels(targets: Sequence[Target]) -> str:
    return ", ".join(target.label for target in targets) or "none"


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


def _fill(options: WheelhouseOptions, site: Site, folder: WheelFolder, supply: "_Supply") -> WheelhouseOutcome:
    plan = site.taking
    folder.open(digests(site), site.reporter)
    waiting = missing(site)
    wheels = [artifact.wheel for artifact in plan.published if artifact.key in plan.runtime]
    fetched = supply.put(wheels, options.destination)
    supply.put_for_builds(_build_files(waiting, plan))
    build_wheels(site, waiting, folder)
    folder.write_requirements()
    names = {wheel.name for wheel in wheels} | folder.names
    warn_of_other_files(options.destination, names, site.reporter)
    built = {artifact.key for artifact in waiting}
    return WheelhouseOutcome(
        target=site.target.label,
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

    def _wanted(self, file: LockedFile) -> Wanted:
        for folder in self._fetched:
            path = folder / file.name
            if path.is_file():
                return Wanted(name=file.name, local=path, sha256=file.sha256, size=file.size)
        return wanted_file(file, self._base)
