"""Wheels out of a lock: each sdist in its own locked environment, the deepest first, several at once.

Law: a build sees the releases that its record names, in exactly those versions, checked, and no network. What its backend
asks for on top of them is an error: nothing that was not locked is ever fetched for it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from deep_lock.builds import environment, hooks, interpreters, unpack
from deep_lock.builds.context import BUILD_SECONDS, RUNNER_VERSION
from deep_lock.builds.host import Machine
from deep_lock.builds.sandbox import sandbox
from deep_lock.builds.temp_dirs import disposable_folder
from deep_lock.errors import ArchiveBroken, HookRefused, MetadataInvalid, NotLocked, SafetyError, WheelDiffers
from deep_lock.events import BuildEnded, Building, Reporter
from deep_lock.index.lazy_wheel import metadata_from_wheel
from deep_lock.lazy import load_all
from deep_lock.lockfile.index import Key
from deep_lock.lockfile.selection import LOCK_AGAIN, BuiltArtifact, InstallPlan, WheelArtifact, tags_of
from deep_lock.models.build_system import BuildSystem
from deep_lock.models.lock import LockedFile, LockedPackage
from deep_lock.models.metadata import Metadata, check_name, parse_metadata
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.resolver.dependencies import BASE, IneligibleError, dependencies
from deep_lock.sanitize import show
from deep_lock.targets.platforms import parse_platform
from deep_lock.targets.target import Target, UnevaluableMarker, holds, python_fits, rank


class Expected(Struct, frozen=True, kw_only=True):
    """What the lock says of a release that is built on a target."""

    entry: LockedPackage
    version: str
    target: Target
    targets: tuple[Target, ...]
    """All targets of the lock: the entry's dependencies are those on any of them."""
    overridden: frozenset[str] = frozenset()
    """Names whose requirements the project replaced by its own."""

    @property
    def release(self) -> str:
        return f"{self.entry.name} {self.version}"


def judge_wheel(path: Path, expected: Expected) -> Metadata:
    """Read a wheel that was built, and return its metadata if name, version, tags and dependencies are the locked ones.

    Raises WheelDiffers, MetadataInvalid and ArchiveError.
    """
    entry, release = expected.entry, expected.release
    _judge_name(path.name, expected)
    where = f"the wheel that was built of {release}"
    try:
        with path.open("rb") as file:
            metadata = parse_metadata(metadata_from_wheel(file, canonicalize_name(entry.name), where), where)
    except OSError as error:
        raise ArchiveBroken(f"{where}: {error.strerror or error}") from None
    check_name(metadata, canonicalize_name(entry.name), where)
    if not _same(metadata.version, expected.version):
        raise WheelDiffers(f"{where} is of version {show(metadata.version)}", hint=LOCK_AGAIN)
    if not python_fits(metadata.requires_python, expected.target):
        wanted = show(metadata.requires_python or "")
        raise WheelDiffers(f"{where} wants Python {wanted}, which {expected.target.label} is not", hint=LOCK_AGAIN)
    _judge_dependencies(metadata, expected, where)
    return metadata


def _judge_name(filename: str, expected: Expected) -> None:
    entry, target = expected.entry, expected.target
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        raise WheelDiffers(f"{expected.release}: its backend made {show(filename)}, which names no wheel") from None
    if name != entry.name or not _same(str(version), expected.version):
        raise WheelDiffers(f"{expected.release}: its backend made {show(filename)}, another release", hint=LOCK_AGAIN)
    if rank(_as_locked(tags_of(filename), target), target) is None:
        raise WheelDiffers(
            f"{expected.release}: its backend made {show(filename)}, which does not fit {target.label}",
            hint="lock for this machine: deep-lock lock --platform host",
        )


def _as_locked(tags: str, target: Target) -> str:
    """Return the tags with the target's own platform for the bare one, which says: where it was built."""
    python, abi, platforms = tags.rsplit("-", 2) if tags.count("-") >= 2 else ("", "", "")
    system = parse_platform(target.platform)
    bare = f"linux_{system.machine}" if system.variables["sys_platform"] == "linux" else ""
    known = (system.tags[0] if platform == bare else platform for platform in platforms.split("."))
    return f"{python}-{abi}-{'.'.join(known)}"


def _same(told: str, version: str) -> bool:
    try:
        return Version(told) == Version(version)
    except (InvalidVersion, ValueError):
        return told == version


# -- dependencies


def _judge_dependencies(metadata: Metadata, expected: Expected, where: str) -> None:
    """Compare names: what is asked for here is locked, and what is locked is asked for on some target or by an extra."""
    entry = expected.entry
    locked = {reference.name for reference in entry.dependencies}
    for requirement in asked_for(metadata, expected.target, where):
        if requirement.name not in locked and not _is_left_out(requirement, expected):
            raise WheelDiffers(
                f"{where} asks for {show(str(requirement))}, and the lock does not know that", hint=LOCK_AGAIN
            )
    if entry.wheels:
        return  # on other targets a wheel is taken, which may ask for something else
    possible = _possible(metadata, expected, where)
    for name in sorted(locked - possible - expected.overridden):
        raise WheelDiffers(f"{where} does not ask for {name}, and the lock says that it does", hint=LOCK_AGAIN)


def _is_left_out(requirement: Requirement, expected: Expected) -> bool:
    return requirement.name == expected.entry.name or requirement.name in expected.overridden


def _possible(metadata: Metadata, expected: Expected, where: str) -> frozenset[str]:
    extras = (BASE, *(canonicalize_name(extra) for extra in metadata.provides_extra))
    return frozenset(
        requirement.name
        for target in expected.targets
        for extra in extras
        for requirement in asked_for(metadata, target, where, extra)
    )


def asked_for(metadata: Metadata, target: Target, where: str, extra: NormalizedName = BASE) -> tuple[Requirement, ...]:
    """Return what a release asks for on a target, by itself or because of an extra. Raises MetadataInvalid."""
    try:
        return dependencies(metadata, target, extra)
    except IneligibleError as error:
        raise MetadataInvalid(f"{where}: {error}") from None


def judge_company(metadata: Metadata, expected: Expected, versions: Mapping[str, str], place: str) -> None:
    """Refuse a built wheel whose requirements the releases around it do not meet; ``place`` says around what.

    ``versions`` are the releases by name. Raises WheelDiffers and MetadataInvalid.
    """
    where = f"the wheel that was built of {expected.release}"
    for requirement in asked_for(metadata, expected.target, where):
        if not _is_left_out(requirement, expected) and not is_met(requirement, versions):
            found = versions.get(requirement.name)
            there = f"{requirement.name} {found} is locked there" if found else "it is not locked there"
            raise WheelDiffers(f"{where} asks for {show(str(requirement))} {place}, but {there}", hint=LOCK_AGAIN)


def is_met(requirement: Requirement, versions: Mapping[str, str]) -> bool:
    """Whether one of the releases is what is asked for. Nothing locked is known to be what stands at a URL."""
    version = versions.get(requirement.name)
    if version is None or requirement.url is not None:
        return False
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:
        return False


EPOCH = 315_532_800
"""1980-01-01: of an sdist whose time nobody knows. Zip archives begin there."""

OUTPUT_BYTES = 64 * 1024 * 1024
"""What one build may say: compilers are talkative."""

CRATES = (
    "it needs Rust crates, which the lock does not hold and a build cannot fetch: take a wheel (--only-binary NAME)"
)

_T = TypeVar("_T")


class Store(Protocol):
    """Where files come from, and wheels go to. Called by several threads, never by two for one release."""

    def file(self, file: LockedFile) -> Path:
        """Return where a file of the lock stands, whole and checked."""

    def wheel(self, taken: BuiltArtifact) -> Path | None:
        """Return the wheel that was built of a release, by this run or an earlier one; its name is its own."""

    def keep(self, taken: BuiltArtifact, wheel: Path) -> None:
        """Keep a wheel that was built and judged."""

    def log(self, taken: BuiltArtifact, text: str) -> Path:
        """Keep what a failed build said, and return where."""


class Site(Struct, frozen=True, kw_only=True):
    """What all builds of a run share."""

    taking: InstallPlan
    target: Target
    targets: tuple[Target, ...]
    """All targets of the lock."""
    overridden: frozenset[str]
    machine: Machine
    interpreter: "interpreters.Interpreter"
    source_date_epoch: int | None
    """What the user set for all builds; None for the time of each sdist."""
    store: Store
    reporter: Reporter


def digests(site: Site) -> Mapping[Key, str]:
    """Return what tells each build from every other: its sdist, its environment to full depth, the target, how it runs."""
    found: dict[Key, str] = {}
    for key, taken in site.taking.ordered.items():
        if isinstance(taken, WheelArtifact):
            found[key] = taken.wheel.sha256
            continue
        confined = site.machine.is_confined(canonicalize_name(taken.entry.name))
        parts = [
            f"runner {RUNNER_VERSION}",
            f"target {site.target.label} {site.interpreter.python_full_version}",
            f"sdist {taken.sdist.sha256}",
            f"epoch {_epoch(site, taken)}",
            f"confined {confined}",
            f"folder {taken.subdirectory}",
            *([f"told {msgspec.json.encode(taken.config_settings).decode()}"] if taken.config_settings else []),
            *sorted(f"{' '.join(own)} {found[own]}" for own in taken.needed),
        ]
        found[key] = sha256("\n".join(parts).encode()).hexdigest()
    return found


def missing(site: Site) -> tuple[BuiltArtifact, ...]:
    """Return what has to be built, the deepest first."""
    return tuple(taken for taken in site.taking.sourced if site.store.wheel(taken) is None)


def build_wheels(site: Site, waiting: Sequence[BuiltArtifact], *, jobs: int) -> None:
    """Build what is missing, up to ``jobs`` at once, then hold every built wheel against the lock.

    Raises SafetyError of the first build that fails; the others are given up, and what is finished stays.
    """
    if waiting:
        _refuse_unrunnable(site, waiting)
        load_all()  # a stranger's code is about to be unpacked
        with hooks.quiet_backends():
            _build_all(site, waiting, jobs)
    versions = site.taking.versions
    for taken in site.taking.sourced:
        metadata = judge_wheel(_stored(site, taken), _expected(site, taken))
        if taken.key in site.taking.runtime:
            judge_company(metadata, _expected(site, taken), versions, f"at run time on {site.target.label}")


def _refuse_unrunnable(site: Site, waiting: Sequence[BuiltArtifact]) -> None:
    for taken in waiting:
        if not site.machine.may_run(canonicalize_name(taken.entry.name)):
            raise HookRefused(
                f"{taken.called} has to be built, and its backend may not run here",
                hint="use --hooks sandbox where `deep-lock doctor` finds one, or trust it: --trust-hooks NAME",
            )


def _build_all(site: Site, waiting: Sequence[BuiltArtifact], jobs: int) -> None:
    tasks = {taken.key: taken for taken in waiting}
    graph = TopologicalSorter({key: [own for own in taken.needed if own in tasks] for key, taken in tasks.items()})
    graph.prepare()
    cancelled = threading.Event()
    running: dict[Future[None], Key] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while graph.is_active():
                for key in graph.get_ready():
                    build = _Build(site, tasks[key], cancelled)
                    running[pool.submit(build.run, of=len(tasks))] = key
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    key = running.pop(future)
                    future.result()
                    graph.done(key)
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise


class _Build:
    """One sdist on its way to a wheel."""

    def __init__(self, site: Site, taken: BuiltArtifact, cancelled: threading.Event) -> None:
        self._site = site
        self._taken = taken
        self._cancelled = cancelled
        self._said: list[str] = []

    def run(self, *, of: int) -> None:
        """Build the wheel, judge and keep it. Raises SafetyError, with the log's place where the backend is at fault."""
        site, taken = self._site, self._taken
        if self._cancelled.is_set():
            return
        site.reporter(Building(what=taken.called))
        try:
            with disposable_folder("deep-lock-build-") as room:
                self._run(room.resolve())
        except SafetyError as error:
            said = "\n".join(self._said)
            if not said.strip() or self._cancelled.is_set():
                raise
            place = site.store.log(taken, said)
            hint = error.hint or (CRATES if taken.build.cargo_lock else "")
            raise type(error)(f"{error.message}\nall that it said: {place}", hint=hint) from None
        finally:
            site.reporter(BuildEnded(what=taken.called, of=of))

    def _run(self, room: Path) -> None:
        own = self._environment(room / "environment")
        self._refuse_unlocked(self._call(own, room / "asking", hooks.requires_for_wheel))
        out = room / "wheel"
        out.mkdir()
        wheel = self._call(own, room / "building", lambda call: hooks.build_wheel(call, out))
        judge_wheel(wheel, _expected(self._site, self._taken))
        self._site.store.keep(self._taken, wheel)

    def _environment(self, folder: Path) -> "environment.Environment":
        site = self._site
        members = [site.taking.ordered[key] for key in self._taken.needed]
        versions = self._versions()
        wheels = []
        for member in members:
            if isinstance(member, WheelArtifact):
                wheels.append((site.store.file(member.wheel), member.wheel.name))
                continue
            wheel, expected = _stored(site, member), _expected(site, member)
            judge_company(judge_wheel(wheel, expected), expected, versions, f"in the build of {self._taken.called}")
            wheels.append((wheel, wheel.name))
        return environment.make_environment(folder, site.interpreter, wheels)

    def _call(self, own: "environment.Environment", folder: Path, ask: "Callable[[hooks.Call], _T]") -> _T:
        """Call one hook on a fresh copy of the tree."""
        site, taken = self._site, self._taken
        scratch, place = folder / "scratch", folder / "tree"
        scratch.mkdir(parents=True)
        place.mkdir()
        with site.store.file(taken.sdist).open("rb") as file:
            tree = unpack.unpack(file, taken.sdist.name, place)
        return ask(
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
                environment=own,
                system_path=True,
                confined=site.machine.is_confined(canonicalize_name(taken.entry.name)),
                limits=sandbox.Limits(
                    wall_seconds=BUILD_SECONDS,
                    cpu_seconds=int(BUILD_SECONDS),
                    open_files=1024,
                    output=OUTPUT_BYTES,
                ),
                source_date_epoch=_epoch(site, taken),
                config_settings=taken.config_settings,
                on_output=self._said.append,
                cancelled=self._cancelled,
            )
        )

    def _versions(self) -> dict[str, str]:
        return self._site.taking.named(self._taken.needed)

    def _refuse_unlocked(self, answer: Sequence[str]) -> None:
        """Hold what the backend asks for here against what its environment has."""
        versions = self._versions()
        for text in answer:
            requirement = parse_requirement(text)
            try:
                wanted = holds(requirement.marker, self._site.target)
            except UnevaluableMarker:
                wanted = True
            if wanted and not (is_met(requirement, versions) and requirement.extras <= self._extras(requirement.name)):
                found = versions.get(requirement.name)
                there = f"which has {requirement.name} {found}" if found else f"which has no {requirement.name}"
                raise NotLocked(
                    f"the backend of {self._taken.called} asks for {show(text)}; that is not in its locked"
                    f" environment, {there}",
                    hint=LOCK_AGAIN,
                )

    def _extras(self, name: str) -> frozenset[str]:
        """Return the extras of a release with which the environment was resolved."""
        build = self._taken.build
        texts = (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
        asked = (parse_requirement(text) for text in texts)
        return frozenset(extra for requirement in asked if requirement.name == name for extra in requirement.extras)


def _stored(site: Site, taken: BuiltArtifact) -> Path:
    wheel = site.store.wheel(taken)
    if wheel is None:
        raise NotLocked(f"the wheel that was built of {taken.called} is gone", hint="run it again")
    return wheel


def _expected(site: Site, taken: BuiltArtifact) -> Expected:
    return Expected(
        entry=taken.entry, version=taken.version, target=site.target, targets=site.targets, overridden=site.overridden
    )


def _epoch(site: Site, taken: BuiltArtifact) -> int:
    """Return the time that goes into archives: what the user set, else when the sdist was uploaded."""
    if site.source_date_epoch is not None:
        return site.source_date_epoch
    uploaded = taken.sdist.upload_time
    return EPOCH if uploaded is None else max(EPOCH, int(uploaded.timestamp()))
