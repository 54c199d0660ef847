"""Builds wheels from a lock: each sdist in its own locked environment, the deepest first, several at once.

A `Builder` makes the wheels: on this machine (`builder_here`), or on others. What it makes is checked here in either case.

Invariant: a build sees exactly the releases of its build record, checked, and no network. A further requirement of its
backend is an error: nothing that is not locked is ever fetched for it.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename

from deep_lock.builds import hooks, interpreters, unpack, virtual_environment
from deep_lock.builds.context import RUNNER_VERSION, build_limits
from deep_lock.builds.host import Machine
from deep_lock.builds.temp_dirs import disposable_folder
from deep_lock.errors import (
    ArchiveBroken,
    BuildsFailed,
    BuildUnfinished,
    DeepLockError,
    HookRefused,
    MetadataInvalid,
    NotLocked,
    SafetyError,
    WheelDiffers,
    raise_machine_fault,
)
from deep_lock.events import BuildEnded, Building, Reporter
from deep_lock.index.lazy_wheel import metadata_from_wheel
from deep_lock.lazy import load_all
from deep_lock.lockfile.index import Key
from deep_lock.lockfile.selection import LOCK_AGAIN, BuiltArtifact, InstallPlan, WheelArtifact, tags_of
from deep_lock.models.build_system import BuildSystem
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.models.metadata import Metadata, check_name, is_same_version, parse_metadata
from deep_lock.models.receipt import (
    RECEIPT_SCHEMA,
    RECEIPT_VERSION,
    Receipt,
    ReceiptFile,
    ReceiptPackage,
    encode_receipt,
)
from deep_lock.models.requirement import Requirement
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.resolver.dependencies import BASE, IneligibleError, dependencies
from deep_lock.sanitize import show
from deep_lock.sdist import missing_modules
from deep_lock.targets.platforms import parse_platform
from deep_lock.targets.target import Target, UnevaluableMarker, holds, python_fits, rank

OUTPUT_BYTES = 64 * 1024 * 1024
"""Limit of the output of one build: compilers print a lot."""

CRATES = (
    "it needs Rust crates, which the lock does not have and a build cannot fetch: take a wheel (--only-binary NAME)"
)

_T = TypeVar("_T")


class Store(Protocol):
    """The files of the lock, and the wheels that were built. Called by several threads."""

    def file(self, file: LockedFile) -> Path:
        """Return the path of a file of the lock, whole and checked."""

    def wheel(self, taken: BuiltArtifact) -> Path | None:
        """Return the wheel that was built of a release, by this run or an earlier one, under its own file name."""


class Results(Protocol):
    """Gets what is built. Called by several threads, never by two for one release."""

    def keep(self, taken: BuiltArtifact, wheel: Path, receipt: bytes) -> None:
        """Keep a wheel that was built and checked, with its receipt."""

    def log(self, taken: BuiltArtifact, text: str) -> Path:
        """Keep the output of a failed build, and return its path."""


class Work(Struct, frozen=True, kw_only=True):
    """What a builder has for one build."""

    folder: Path
    """For its files; it is removed after the build."""
    output: list[str]
    """The output of the backend, which the builder adds to."""
    cancelled: threading.Event
    """Set where the run ends before the build."""


class Builder(Struct, frozen=True, kw_only=True):
    """Where wheels are made."""

    python_full_version: str
    """Of its interpreters for the target."""
    at_once: int
    """Builds at the same time."""
    may_run: Callable[[NormalizedName], bool]
    """Whether the build code of a project may run."""
    make: "Callable[[Site, BuiltArtifact, Work], Path]"
    """Make the wheel of a package, and return its path. Raises SafetyError where it cannot be made, BuildUnfinished where it may be made later."""


class Site(Struct, frozen=True, kw_only=True):
    """What is common to all builds of a run."""

    taking: InstallPlan
    builds: Mapping[Key, str]
    """The digests of the builds in the lock."""
    target: Target
    targets: tuple[Target, ...]
    """All targets of the lock: the dependencies of an entry are those on any of them."""
    overridden: frozenset[str]
    """Names whose requirements the project overrides."""
    machine: Machine
    builder: Builder
    source_date_epoch: int | None
    """Set by the user for all builds; None for the upload time of each sdist."""
    store: Store
    reporter: Reporter


def overridden_names(lock: Lock) -> frozenset[str]:
    """Return the names whose requirements a lock overrides."""
    return frozenset(parse_requirement(text).name for text in lock.inputs.overrides)


def digests(site: Site) -> Mapping[Key, str]:
    """Return what identifies each build: its digest in the lock, the target, how it and the builds below it run."""
    found: dict[Key, str] = {}
    for key, taken in site.taking.ordered.items():
        if isinstance(taken, WheelArtifact):
            found[key] = taken.wheel.sha256
            continue
        parts = [
            f"runner {RUNNER_VERSION}",
            f"receipt {RECEIPT_VERSION}",
            f"target {site.target.label} {site.builder.python_full_version}",
            f"epoch {_epoch(site, taken)}",
            f"confined {site.machine.is_confined(canonicalize_name(taken.entry.name))}",
            f"build {site.builds[key]}",
            *sorted(f"{' '.join(own)} {found[own]}" for own in taken.needed),
        ]
        found[key] = sha256("\n".join(parts).encode()).hexdigest()
    return found


def missing(site: Site) -> tuple[BuiltArtifact, ...]:
    """Return what has to be built, the deepest first."""
    return tuple(taken for taken in site.taking.sourced if site.store.wheel(taken) is None)


def build_wheels(site: Site, waiting: Sequence[BuiltArtifact], results: Results) -> None:
    """Build what is missing, then check every built wheel against the lock.

    A build that fails does not end the others. Raises SafetyError or BuildUnfinished at the end, BuildsFailed where there are several;
    finished wheels are kept.
    """
    failed: dict[Key, DeepLockError] = {}
    if waiting:
        _refuse_unrunnable(site, waiting)
        load_all()  # untrusted code is about to be unpacked
        with hooks.quiet_backends():
            failed = _build_all(site, waiting, results)
    absent = _absent(waiting, failed)
    for taken in site.taking.sourced:
        if taken.key not in failed and taken.key not in absent:
            try:
                _check_built(site, taken)
            except SafetyError as error:
                failed[taken.key] = error
    if failed:
        raise _failure(list(failed.values()), [taken.called for taken in waiting if taken.key in absent])


def _check_built(site: Site, taken: BuiltArtifact) -> None:
    metadata = _check_wheel(_built_wheel(site, taken), site, taken)
    if taken.key in site.taking.runtime:
        where = f"at run time on {site.target.label}"
        _check_environment(metadata, site, taken, versions=site.taking.versions, where=where)


def _absent(waiting: Sequence[BuiltArtifact], failed: Collection[Key]) -> set[Key]:
    """Return the builds that could not begin, because one below them failed."""
    absent: set[Key] = set()
    for taken in waiting:  # the deepest first
        if taken.key not in failed and any(own in failed or own in absent for own in taken.needed):
            absent.add(taken.key)
    return absent


def _failure(errors: Sequence[DeepLockError], absent: Sequence[str]) -> DeepLockError:
    """Return the one error of a run, for any number of failed builds. It is BuildUnfinished only where all of them are."""
    if len(errors) == 1 and not absent:
        return errors[0]
    lines = [f"{len(errors)} {'build' if len(errors) == 1 else 'builds'} failed:"]
    lines += [f"  {line}" for error in errors for line in error.message.splitlines()]
    if absent:
        lines.append(f"not built, because their builds need one of these: {', '.join(absent)}")
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    kind = BuildsFailed if any(isinstance(error, SafetyError) for error in errors) else BuildUnfinished
    return kind("\n".join(lines), hint="\n".join(hints))


def _refuse_unrunnable(site: Site, waiting: Sequence[BuiltArtifact]) -> None:
    refused = [taken.called for taken in waiting if not site.builder.may_run(canonicalize_name(taken.entry.name))]
    if refused:
        be = "has to be built, and its backend" if len(refused) == 1 else "have to be built, and their backends"
        raise HookRefused(
            f"{', '.join(refused)} {be} may not run here",
            hint="use --hooks sandbox where `deep-lock doctor` finds one, or trust it: --trust-hooks NAME",
        )


def _build_all(site: Site, waiting: Sequence[BuiltArtifact], results: Results) -> dict[Key, DeepLockError]:
    """Build all that can be built; return why the others failed, less those that wait for one of these."""
    tasks = {taken.key: taken for taken in waiting}
    graph = TopologicalSorter({key: [own for own in taken.needed if own in tasks] for key, taken in tasks.items()})
    graph.prepare()
    cancelled = threading.Event()
    running: dict[Future[None], Key] = {}
    failed: dict[Key, DeepLockError] = {}
    with ThreadPoolExecutor(min(site.builder.at_once, len(tasks))) as pool:
        try:
            while (ready := graph.get_ready()) or running:
                for key in ready:
                    running[pool.submit(_build, site, tasks[key], results, cancelled, of=len(tasks))] = key
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    key = running.pop(future)
                    try:
                        future.result()
                    except (SafetyError, BuildUnfinished) as error:
                        failed[key] = error  # what needs it never gets ready
                    else:
                        graph.done(key)
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def _built_wheel(site: Site, taken: BuiltArtifact) -> Path:
    wheel = site.store.wheel(taken)
    if wheel is None:
        raise NotLocked(f"the wheel that was built from {taken.called} no longer exists", hint="run it again")
    return wheel


def _missing_module(taken: BuiltArtifact, output: str) -> str:
    """Return what adds the module without which a build failed; "" where it failed otherwise."""
    module, name = missing_modules.module_of_failure(output), canonicalize_name(taken.entry.name)
    if not module:
        return ""
    required = missing_modules.names_of((*taken.build.all_requires, *(own.name for own in taken.entry.dependencies)))
    remedy = missing_modules.remedy({name: [module]}, {name: taken.build.requires_user}, {name: required})
    return f"its build imports {module}; change its build requirements and lock again: {remedy}" if remedy else ""


def _epoch(site: Site, taken: BuiltArtifact) -> int:
    """Return SOURCE_DATE_EPOCH: as the user set it, else the upload time of the sdist, from 1980 on."""
    if site.source_date_epoch is not None:
        return site.source_date_epoch
    uploaded = taken.sdist.upload_time
    return unpack.ZIP_EPOCH if uploaded is None else max(unpack.ZIP_EPOCH, int(uploaded.timestamp()))


def _receipt(site: Site, taken: BuiltArtifact) -> Receipt:
    """Return the receipt of a build of this run."""
    packages = []
    for key in taken.needed:
        member = site.taking.ordered[key]
        file = member.wheel if isinstance(member, WheelArtifact) else member.sdist
        packages.append(
            ReceiptPackage(
                name=member.entry.name,
                version=member.version,
                file=ReceiptFile(name=file.name, sha256=file.sha256),
                build=site.builds.get(key, ""),
            )
        )
    return Receipt(
        schema=RECEIPT_SCHEMA,
        version=RECEIPT_VERSION,
        build=site.builds[taken.key],
        sdist=ReceiptFile(name=taken.sdist.name, sha256=taken.sdist.sha256),
        subdirectory=taken.subdirectory,
        config_settings=taken.config_settings,
        packages=tuple(sorted(packages, key=lambda package: package.name)),
        target=site.target.label,
        python=site.builder.python_full_version,
        sandbox=site.machine.is_confined(canonicalize_name(taken.entry.name)),
        source_date_epoch=_epoch(site, taken),
    )


def _build(site: Site, taken: BuiltArtifact, results: Results, cancelled: threading.Event, *, of: int) -> None:
    """Have a wheel made, check and keep it. Raises SafetyError, with the path of the log where the backend is at fault, and BuildUnfinished."""
    if cancelled.is_set():
        return
    output: list[str] = []
    site.reporter(Building(name=taken.called))
    try:
        with disposable_folder("deep-lock-build-") as folder:
            work = Work(folder=folder.resolve(), output=output, cancelled=cancelled)
            wheel = site.builder.make(site, taken, work)
            _check_wheel(wheel, site, taken)
            results.keep(taken, wheel, encode_receipt(_receipt(site, taken)))
    except SafetyError as error:
        text = "\n".join(output)
        if not text.strip() or cancelled.is_set():
            raise
        log = results.log(taken, text)
        hint = error.hint or _missing_module(taken, text) or (CRATES if taken.build.cargo_lock else "")
        raise type(error)(f"{error.message}\nits output: {log}", hint=hint) from None
    finally:
        site.reporter(BuildEnded(name=taken.called, total=of))


# -- a build on this machine


def builder_here(machine: Machine, interpreter: "interpreters.Interpreter", *, jobs: int) -> Builder:
    """Return the builder that makes wheels on this machine, up to ``jobs`` at once."""
    return Builder(
        python_full_version=interpreter.python_full_version,
        at_once=jobs,
        may_run=machine.may_run,
        make=lambda site, taken, work: _Build(site, taken, work, interpreter).make(),
    )


class _Build:
    """The build of one sdist on this machine."""

    def __init__(self, site: Site, taken: BuiltArtifact, work: Work, interpreter: "interpreters.Interpreter") -> None:
        self._site = site
        self._taken = taken
        self._work = work
        self._interpreter = interpreter
        self._versions = site.taking.named(taken.needed)
        """The releases of its environment, by name."""

    def make(self) -> Path:
        """Return the path of the wheel. Raises SafetyError."""
        folder = self._work.folder
        environment = self._environment(folder / "environment")
        self._refuse_unlocked(self._call(environment, folder / "requires", hooks.requires_for_wheel))
        out = folder / "wheel"
        out.mkdir()
        return self._call(environment, folder / "build", lambda call: hooks.build_wheel(call, out))

    def _environment(self, folder: Path) -> "virtual_environment.VirtualEnvironment":
        site = self._site
        wheels = []
        for key in self._taken.needed:
            member = site.taking.ordered[key]
            if isinstance(member, WheelArtifact):
                wheels.append((site.store.file(member.wheel), member.wheel.name))
                continue
            wheel = _built_wheel(site, member)
            metadata = _check_wheel(wheel, site, member)
            where = f"in the build of {self._taken.called}"
            _check_environment(metadata, site, member, versions=self._versions, where=where)
            wheels.append((wheel, wheel.name))
        return virtual_environment.make_environment(folder, self._interpreter, wheels)

    def _call(
        self,
        environment: "virtual_environment.VirtualEnvironment",
        folder: Path,
        hook: "Callable[[hooks.Call], _T]",
    ) -> _T:
        """Call one hook on a fresh copy of the tree."""
        site, taken = self._site, self._taken
        scratch, unpacked = folder / "scratch", folder / "tree"
        scratch.mkdir(parents=True)
        unpacked.mkdir()
        with site.store.file(taken.sdist).open("rb") as file:
            tree = unpack.unpack(file, taken.sdist.name, unpacked)
        return hook(
            hooks.Call(
                called=taken.called,
                system=BuildSystem(
                    requires=taken.build.requires,
                    backend=taken.build.backend,
                    backend_path=taken.build.backend_path,
                ),
                tree=tree / taken.subdirectory,
                archive_root=tree if taken.subdirectory else None,
                scratch=scratch,
                environment=environment,
                system_path=True,
                confined=site.machine.is_confined(canonicalize_name(taken.entry.name)),
                limits=replace(build_limits(), output=OUTPUT_BYTES),
                source_date_epoch=_epoch(site, taken),
                config_settings=taken.config_settings,
                on_output=self._work.output.append,
                cancelled=self._work.cancelled,
            )
        )

    def _refuse_unlocked(self, answer: Sequence[str]) -> None:
        """Refuse a requirement of the hook that its environment does not meet."""
        for text in answer:
            requirement = parse_requirement(text)
            try:
                applies = holds(requirement.marker, self._site.target)
            except UnevaluableMarker:
                applies = True
            name = requirement.name
            if applies and not (_is_met(requirement, self._versions) and requirement.extras <= self._extras(name)):
                found = self._versions.get(name)
                there = f"which has {name} {found}" if found else f"which has no {name}"
                raise NotLocked(
                    f"the backend of {self._taken.called} requires {show(text)}; that is not in its locked"
                    f" environment, {there}",
                    hint=LOCK_AGAIN,
                )

    def _extras(self, name: str) -> frozenset[str]:
        """Return the extras of a release with which the environment was resolved."""
        build = self._taken.build
        texts = (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
        requirements = (parse_requirement(text) for text in texts)
        return frozenset(
            extra for requirement in requirements if requirement.name == name for extra in requirement.extras
        )


# -- checks of a wheel that was built


def _check_wheel(path: Path, site: Site, taken: BuiltArtifact) -> Metadata:
    """Return the metadata of a built wheel, if name, version, tags and dependencies are the locked ones.

    Raises WheelDiffers, MetadataInvalid and ArchiveError.
    """
    name, where = canonicalize_name(taken.entry.name), _where(taken)
    _check_file_name(path.name, site.target, taken)
    try:
        with path.open("rb") as file:
            metadata = parse_metadata(metadata_from_wheel(file, name, taken.version, where), where)
    except OSError as error:
        raise_machine_fault(error)
        raise ArchiveBroken(f"{where}: {error.strerror or error}") from None
    check_name(metadata, name, where)
    if not is_same_version(metadata.version, taken.version):
        raise WheelDiffers(f"{where} is of version {show(metadata.version)}", hint=LOCK_AGAIN)
    if not python_fits(metadata.requires_python, site.target):
        python = show(metadata.requires_python or "")
        raise WheelDiffers(f"{where} requires Python {python}, and the target is {site.target.label}", hint=LOCK_AGAIN)
    _check_dependencies(metadata, site, taken)
    return metadata


def _where(taken: BuiltArtifact) -> str:
    return f"the wheel that was built of {taken.entry.name} {taken.version}"


def _check_file_name(filename: str, target: Target, taken: BuiltArtifact) -> None:
    made = f"{taken.entry.name} {taken.version}: its backend made {show(filename)}"
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        raise WheelDiffers(f"{made}, which is not the name of a wheel") from None
    if name != taken.entry.name or not is_same_version(str(version), taken.version):
        raise WheelDiffers(f"{made}, another release", hint=LOCK_AGAIN)
    if rank(_locked_tags(tags_of(filename), target), target) is None:
        raise WheelDiffers(
            f"{made}, which does not fit {target.label}",
            hint="lock for this machine: deep-lock lock --platform host",
        )


def _locked_tags(tags: str, target: Target) -> str:
    """Return the tags with the target's platform in place of the bare one (``linux_x86_64``), which means this machine."""
    python, abi, platforms = tags.rsplit("-", 2) if tags.count("-") >= 2 else ("", "", "")
    system = parse_platform(target.platform)
    bare = f"linux_{system.machine}" if system.variables["sys_platform"] == "linux" else ""
    known = (system.tags[0] if platform == bare else platform for platform in platforms.split("."))
    return f"{python}-{abi}-{'.'.join(known)}"


def _check_dependencies(metadata: Metadata, site: Site, taken: BuiltArtifact) -> None:
    """Compare names: each requirement here is locked, and each locked one is required on some target or by an extra."""
    where = _where(taken)
    locked = {reference.name for reference in taken.entry.dependencies}
    for requirement in _requirements(metadata, site, taken):
        if requirement.name not in locked:
            raise WheelDiffers(
                f"{where} requires {show(str(requirement))}, but its entry in the lock does not", hint=LOCK_AGAIN
            )
    if taken.entry.wheels:
        return  # other targets take a wheel of the index, which may have other requirements
    extras = (BASE, *(canonicalize_name(extra) for extra in metadata.provides_extra))
    possible = {
        requirement.name
        for target in site.targets
        for extra in extras
        for requirement in _dependencies(metadata, target, where, extra)
    }
    for name in sorted(locked - possible - site.overridden):
        raise WheelDiffers(f"{where} does not require {name}, and its lock entry does", hint=LOCK_AGAIN)


def _check_environment(
    metadata: Metadata, site: Site, taken: BuiltArtifact, *, versions: Mapping[str, str], where: str
) -> None:
    """Refuse a built wheel with a requirement that the other releases of its environment do not meet.

    ``versions`` are those by name, ``where`` describes the environment. Raises WheelDiffers and MetadataInvalid.
    """
    for requirement in _requirements(metadata, site, taken):
        if not _is_met(requirement, versions):
            found = versions.get(requirement.name)
            there = f"{requirement.name} {found} is locked there" if found else "it is not locked there"
            raise WheelDiffers(
                f"{_where(taken)} requires {show(str(requirement))} {where}, but {there}", hint=LOCK_AGAIN
            )


def _requirements(metadata: Metadata, site: Site, taken: BuiltArtifact) -> list[Requirement]:
    """Return the requirements on the run's target that are checked: not overridden, and not on the release itself."""
    found = _dependencies(metadata, site.target, _where(taken))
    return [own for own in found if own.name != taken.entry.name and own.name not in site.overridden]


def _dependencies(
    metadata: Metadata, target: Target, where: str, extra: NormalizedName = BASE
) -> tuple[Requirement, ...]:
    try:
        return dependencies(metadata, target, extra)
    except IneligibleError as error:
        raise MetadataInvalid(f"{where}: {error}") from None


def _is_met(requirement: Requirement, versions: Mapping[str, str]) -> bool:
    """Whether one of the releases meets the requirement. A requirement with a URL is never known to be met."""
    version = versions.get(requirement.name)
    if version is None or requirement.url is not None:
        return False
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:
        return False
