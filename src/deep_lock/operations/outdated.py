"""The work of `outdated`: which packages of a lock have newer versions, at runtime and in each build environment.

Nothing is resolved. The lock's own rules apply (pre-releases, exclude-newer, only-binary); `held_back` finds what does not allow
a newer version.
"""

import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.analysis import advisories
from deep_lock.boundary import reading
from deep_lock.config.options import AdvisoryOptions, UpgradeOptions, UpgradeRow, VerifyOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import Key, LockIndex, called, covers, index_lock, key_of, parsed, required_packages
from deep_lock.lockfile.selection import ever_installed
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.read_inputs import read_project_config, require_lock
from deep_lock.models.lock import LOCK_NAME, Lock, LockedBuild, LockedPackage
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import BuildScope, Prereleases, Selection
from deep_lock.operations import advisory_sources
from deep_lock.operations.held_back import HeldBack
from deep_lock.operations.inputs import LockedIndexes, locked_indexes, open_indexes
from deep_lock.project.files import STANDARD_INPUT, read_text
from deep_lock.reports.outdated import FixedVulnerability, Outdated
from deep_lock.resolver.candidates import choose
from deep_lock.sanitize import listed, show
from deep_lock.suggestions import did_you_mean
from deep_lock.targets.target import Target

PROJECT_FILES = frozenset({"pyproject.toml", "setup.cfg", "setup.py", "deep-lock.toml"})
"""Inputs that `lock` reads without an option."""
MAX_NAMES = 5


class Newer(Struct, frozen=True, kw_only=True):
    """A package with a newer version, and where that version can be used."""

    row: Outdated
    targets: tuple[Target, ...]
    build: LockedBuild | None
    """None: the run time."""
    entry: LockedPackage

    @property
    def of_project(self) -> bool:
        """Whether the project itself may require it: at run time, or to be built."""
        return self.build is None or self.build.needed == "project"

    @property
    def is_bounded(self) -> bool:
        """Whether a requirement of the project itself does not allow the newest version."""
        # of a build the project's bound is that of what is built: the project
        own = {"", self.row.build}
        return self.of_project and any(blocker.package in own and not blocker.reason for blocker in self.row.blocked_by)


def outdated(
    options: VerifyOptions, reporter: Reporter, names: Sequence[str] = (), *, sources: AdvisoryOptions | None = None
) -> tuple[Outdated, ...]:
    """Return what has a newer version, the runtime first, by name.

    ``names`` limits it to these projects. With ``sources`` each row has what its newest version fixes.

    Raises UsageError, LockInvalid, IndexFault; and for ``sources`` as `advisory_sources.look_up`.
    """
    lock = require_lock(options.lock, reporter)
    command = lock_command(lock, options.lock)
    fixed = _fixed_by(lock, options, sources, reporter) if sources is not None else None
    rows = (replace(own.row, lock_command=command) for own in newer(lock, options, reporter, names))
    return tuple(replace(row, fixes=fixed(row)) if fixed is not None else row for row in rows)


def _fixed_by(
    lock: Lock, options: VerifyOptions, sources: AdvisoryOptions, reporter: Reporter
) -> Callable[[Outdated], tuple[FixedVulnerability, ...]]:
    """Look up the advisories of a lock, and return what finds the vulnerabilities that the newest version of a row lacks."""
    vulnerabilities, folder = advisories.vulnerabilities, options.lock.parent.resolve()
    looked_up = advisory_sources.look_up(
        lock.packages,
        sources,
        read_project_config(folder),
        folder,
        network=options.network,
        context=options.context,
        reporter=reporter,
    )

    def fixed(row: Outdated) -> tuple[FixedVulnerability, ...]:
        known = looked_up.advisories.get(canonicalize_name(row.name), ())
        left = {text for own in vulnerabilities(row.newest, known) for text in own.ids}
        return tuple(
            FixedVulnerability(
                id=own.id, aliases=own.aliases, severity="malware" if own.is_malware else own.rated.severity
            )
            for own in vulnerabilities(row.version, known)
            if left.isdisjoint(own.ids)
        )

    return fixed


def lock_command(lock: Lock, path: Path) -> str:
    """Return the command that makes the lock from the inputs that it names."""
    sources = lock.inputs.sources
    if lock.inputs.pinned:
        arguments = ["deepen", *sources]
    elif sources and path.name == f"{sources[0]}.{LOCK_NAME}":
        arguments = ["lock", "--script", sources[0]]
    elif any(source not in PROJECT_FILES for source in sources):
        arguments = ["lock", *(word for source in sources for word in ("-r", source))]
    else:
        arguments = ["lock"]
    return shlex.join(["deep-lock", *arguments])


def newer(lock: Lock, options: VerifyOptions, reporter: Reporter, names: Sequence[str]) -> tuple[Newer, ...]:
    """Return what has a newer version in a lock, as `outdated`. Raises UsageError and IndexFault."""
    wanted = _locked_names(names, lock, options.lock.name) & _required_names(lock, options.lock.name, reporter)
    targets = chosen_targets(lock, (), options.lock.name)
    with closing(open_indexes(lock, options, reporter)) as opened:
        indexes = locked_indexes(lock, opened.client)
        indexed = ((canonicalize_name(own.name), indexes.of(own)) for own in lock.packages if own.source is None)
        opened.client.prefetch_pages(sorted({own for own in indexed if own[0] in wanted}))
        selection = lock_selection(lock)
        newest = _Newest(opened.client, selection, wanted, indexes, options.context.now)
        lock_index = index_lock(lock)
        held = HeldBack(lock_index, indexes, selection)
        found = [*_runtime(lock_index, targets, newest), *_builds(lock_index, targets, newest)]
        for own in found:
            opened.client.prefetch(partial(held.prefetch, own.entry, Version(own.row.newest), own.targets))
        found = [
            replace(own, row=replace(own.row, blocked_by=held.blockers(*_release(own), own.targets, own.build)))
            for own in found
        ]
    return tuple(sorted(found, key=lambda own: (own.row.scope != "runtime", own.row.build, own.row.name)))


def _release(own: Newer) -> tuple[NormalizedName, Version]:
    return canonicalize_name(own.row.name), Version(own.row.newest)


def _locked_names(names: Sequence[str], lock: Lock, source: str) -> frozenset[str]:
    """Return the normalized names, without any those of all packages. Raises UsageError for one that is not in the lock."""
    known = frozenset(canonicalize_name(entry.name) for entry in lock.packages)
    for name in map(canonicalize_name, names):
        if name not in known:
            raise UsageError(f"{source} has no package {show(name)}", hint=did_you_mean(name, known))
    return frozenset(map(canonicalize_name, names)) or known


def _required_names(lock: Lock, source: str, reporter: Reporter) -> frozenset[str]:
    """Return the names that something in the lock requires; a warning names the others, which no index is queried for."""
    required = required_packages(index_lock(lock))
    others = [entry.name for entry in lock.packages if key_of(entry) not in required]
    if others:
        message = f"nothing in the lock requires {listed([show(name) for name in others], MAX_NAMES)}: not looked up"
        reporter(Warned(code="unrequired", subject=source, message=message))
    return frozenset(canonicalize_name(entry.name) for entry in lock.packages if key_of(entry) in required)


def lock_selection(lock: Lock) -> Selection:
    """Return the rules that the lock was made with."""
    options = dict(lock.options)

    def names(key: str) -> frozenset[str]:
        value = options.get(key)
        return frozenset(value) if isinstance(value, tuple) else frozenset()

    limit = options.get("exclude-newer")
    prereleases = options.get("prereleases")
    scope = options.get("build-scope")
    known: dict[object, Prereleases] = {"allow": "allow", "disallow": "disallow"}
    scopes: dict[object, BuildScope] = {"all": "all", "none": "none"}
    return Selection(
        prereleases=known.get(prereleases, "if-necessary"),
        prerelease_names=names("prerelease-names"),
        exclude_newer=limit if isinstance(limit, datetime) else None,
        no_binary=names("no-binary"),
        only_binary=names("only-binary"),
        build_scope=scopes.get(scope, "needed"),
        allow_wheel=names("allow-wheel"),
    )


def admits_prereleases(selection: Selection, name: NormalizedName, locked: Version) -> bool:
    """Whether a pre-release of a project may replace the locked version."""
    mode = "allow" if name in selection.prerelease_names else selection.prereleases
    return mode == "allow" or (locked.is_prerelease and mode != "disallow")


class _NewestVersion(Struct, frozen=True, kw_only=True):
    version: Version
    targets: tuple[Target, ...]
    """Those that can use it."""
    published: datetime | None


class _Newest:
    """The newest version of each of these projects that some target can use."""

    def __init__(
        self,
        client: IndexClient,
        selection: Selection,
        names: Container[str],
        indexes: LockedIndexes,
        now: datetime,
    ) -> None:
        self._now = now
        self._client = client
        self._indexes = indexes
        self._selection = selection
        self._names = names

    def of(self, entry: LockedPackage, targets: Sequence[Target]) -> _NewestVersion | None:
        """Return it; None where nothing is newer than the locked one."""
        name, locked, index = canonicalize_name(entry.name), Version(entry.version or "0"), self._indexes.of(entry)
        if name not in self._names:
            return None
        pre = admits_prereleases(self._selection, name, locked)
        for version in self._client.versions(name, index):
            if version <= locked:
                return None
            if version.is_prerelease and not pre:
                continue
            files = self._client.files(name, version, index)
            usable = tuple(target for target in targets if choose(files, target, self._selection) is not None)
            if usable:
                times = [file.upload_time for file in files if file.upload_time is not None]
                return _NewestVersion(version=version, targets=usable, published=min(times, default=None))
        return None

    def age(self, published: datetime) -> int:
        """Return the days since a time, at least 0."""
        return max((self._now - published).days, 0)


def _runtime(lock_index: LockIndex, targets: Sequence[Target], newest: _Newest) -> Iterator[Newer]:
    installed: dict[Key, list[Target]] = {}
    direct = set()
    for target in targets:
        for entry in ever_installed(lock_index, target):
            if entry.source is None and entry.version is not None:
                installed.setdefault(key_of(entry), []).append(target)
                direct |= {entry.name} if entry.direct else set()
    labels = tuple(target.label for target in targets)
    for key, own in installed.items():
        yield from _row(lock_index.entries[key], own, newest, direct=key[0] in direct, labels=labels)


def _builds(lock_index: LockIndex, targets: Sequence[Target], newest: _Newest) -> Iterator[Newer]:
    labels = tuple(target.label for target in targets)
    for build in lock_index.lock.builds:
        own = [target for target in targets if covers(build, target.label)]
        direct = {requirement.name for requirement in parsed(build.all_requires)}
        for entry in (lock_index.entries.get(key_of(member)) for member in build.packages):
            if entry is not None:
                yield from _row(entry, own, newest, direct=entry.name in direct, labels=labels, build=build)


def _row(
    entry: LockedPackage,
    targets: Sequence[Target],
    newest: _Newest,
    *,
    direct: bool,
    labels: tuple[str, ...],
    build: LockedBuild | None = None,
) -> Iterator[Newer]:
    found = newest.of(entry, targets)
    if found is None:
        return
    row = Outdated(
        name=entry.name,
        version=entry.version or "",
        newest=str(found.version),
        scope="build" if build is not None else "runtime",
        build=called(build) if build is not None else "",
        direct=direct,
        targets=() if len(found.targets) == len(targets) else tuple(target.label for target in found.targets),
        labels=labels,
        published=found.published,
        age_days=newest.age(found.published) if found.published is not None else None,
        update=_update(Version(entry.version or "0"), found.version),
    )
    yield Newer(row=row, targets=found.targets, build=build, entry=entry)


def _update(old: Version, new: Version) -> Literal["major", "minor", "patch"]:
    if (old.epoch, old.major) != (new.epoch, new.major):
        return "major"
    return "minor" if old.minor != new.minor else "patch"


def applies(requirement: Requirement, targets: Iterable[Target]) -> bool:
    """Whether a requirement applies on one of the targets."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**target.environment, "extra": ""}) for target in targets)


class _Row(Struct):
    name: str
    newest: str
    admitted: bool = True
    scope: Literal["runtime", "build", ""] = ""
    build: str = ""
    targets: tuple[str, ...] = ()


class _Document(Struct):
    outdated: list[_Row]
    schema: Literal["deep-lock/outdated"]
    version: Literal[1]


def read_upgrades(path: Path) -> UpgradeOptions:
    """Return what the admitted rows of a document upgrade: each in its own environment, on its own targets.

    A row without a scope is for every environment. A bot leaves out the rows that it does not need. "-" is standard input.
    Raises UsageError that names the place.
    """
    source = "standard input" if path == STANDARD_INPUT else str(path)
    with reading(source, UsageError):
        try:
            document = msgspec.json.decode(read_text(path, UsageError).encode(), type=_Document)
        except msgspec.MsgspecError as error:
            message = f"{source}: {show(str(error))}"
            raise UsageError(message, hint="make it with deep-lock outdated --format json") from None
    packages: list[str] = []
    rows: list[UpgradeRow] = []
    for row in document.outdated:
        if not row.admitted:
            continue
        requirement = f"{canonicalize_name(row.name)}=={_version(row.newest, source)}"
        if not row.scope:
            packages.append(requirement)
            continue
        build, _, rest = row.build.removesuffix(" (editable)").partition(" ")
        if (row.scope == "build") != bool(build):
            raise UsageError(
                f"{source}: the row of {show(row.name)} has the scope {row.scope} and the build {show(row.build)!r}"
            )
        rows.append(
            UpgradeRow(
                requirement=requirement,
                scope=row.scope,
                build=build,
                build_version=rest,
                targets=row.targets,
            )
        )
    return UpgradeOptions(packages=tuple(dict.fromkeys(packages)), rows=tuple(dict.fromkeys(rows)))


def _version(text: str, source: str) -> str:
    try:
        return str(Version(text))
    except (InvalidVersion, ValueError):
        raise UsageError(f"{source}: {text[:80]!r} is not a version") from None
