"""The settings of one run: options over configuration over defaults, resolved once.

The layers below take these final values and look at neither the options nor the configuration.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.builds.host import HookPolicy
from deep_lock.config.config import Config
from deep_lock.config.exclude_newer import ExcludeNewer, read_exclude_newer
from deep_lock.config.options import HookOptions, Hooks, LockOptions, RunContext, UpgradeOptions, network_with_hooks
from deep_lock.errors import UsageError
from deep_lock.locking import recorded_options
from deep_lock.locking.indexes import NetworkSettings, network_settings, with_imported_indexes
from deep_lock.locking.read_inputs import ProjectInputs
from deep_lock.locking.targets import DeclaredTargets, declared_targets, in_order, run_targets
from deep_lock.models.build_system import ConfigSettings
from deep_lock.models.lock import Lock
from deep_lock.models.policy import Policy
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.resolution import ALL, AttestationsMode, Selection
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.targets.factory import HostFacts
from deep_lock.targets.target import Target

NO_LIMIT = "false"
"""The value of exclude-newer for a project without a limit, on the command line and in the lock."""


class Move(Struct, frozen=True, kw_only=True):
    """A project that is upgraded in some environments, or with a specifier one version of it."""

    requirement: Requirement
    runtime: bool = True
    builds: frozenset[NormalizedName] | None = None
    """Projects in whose build environments it is upgraded; None: in all."""
    build_version: str = ""
    """The version of what is built; empty: every version."""
    targets: frozenset[str] | None = None
    """Labels; None: all targets."""
    may_be_gone: bool = False
    """Whether its environments need not use the project any more: another upgrade may have removed it, or replaced the build."""

    @property
    def name(self) -> NormalizedName:
        return self.requirement.name

    @property
    def is_limited(self) -> bool:
        """Whether it is not for every environment."""
        return not (self.runtime and self.builds is None and self.targets is None)

    def is_on(self, label: str) -> bool:
        """Whether it is for a target."""
        return self.targets is None or label in self.targets

    def is_in_build(self, label: str, name: str, version: str | None) -> bool:
        """Whether it is for the build environment of a version of a project on a target."""
        is_version = not self.build_version or version is None or version == self.build_version
        return self.is_on(label) and is_version and (self.builds is None or name in self.builds)

    def overlaps(self, other: "Move") -> bool:
        """Whether both can be for one environment."""
        on_both = self.targets is None or other.targets is None or not self.targets.isdisjoint(other.targets)
        in_both = (self.builds is None or other.builds is None or not self.builds.isdisjoint(other.builds)) and (
            not self.build_version or not other.build_version or self.build_version == other.build_version
        )
        return on_both and ((self.runtime and other.runtime) or in_both)


class Upgrade(Struct, frozen=True, kw_only=True):
    """Which pins of the previous lock are dropped."""

    everything: bool = False
    moves: tuple[Move, ...] = ()
    """What -P and a document of `deep-lock outdated` name."""
    builds: bool = False
    accepted_files: frozenset[str] = frozenset()
    """Names of files whose bytes may differ from those that are locked."""
    may_be_unused: bool = False
    """Whether the lock need not use what ``moves`` name."""

    @property
    def names(self) -> frozenset[NormalizedName]:
        """The projects of ``moves``."""
        return frozenset(move.name for move in self.moves)

    @property
    def versions(self) -> tuple[Requirement, ...]:
        """The requirements of ``moves`` that name a version."""
        return tuple(dict.fromkeys(move.requirement for move in self.moves if move.requirement.specifier))


class Settings(Struct, frozen=True, kw_only=True):
    """The final settings of one run."""

    selection: Selection
    has_age: bool
    """Whether exclude-newer, for all or for one project, is an age: the time that it gives depends on the clock."""
    targets: tuple[Target, ...]
    """In the order in which they are resolved."""
    declared: DeclaredTargets
    fork_strategy: Literal["newest", "fewest"]
    build_resolution: Literal["shared", "highest"]
    files: Literal["used", "all"]
    observe: bool
    require_evidence: bool
    verify_metadata: bool
    attestations: AttestationsMode
    extra_build_requires: Mapping[NormalizedName, tuple[Requirement, ...]]
    config_settings: Mapping[NormalizedName, ConfigSettings]
    hooks: HookPolicy
    network: NetworkSettings
    upgrade: Upgrade
    policy: Policy | None
    command_line: tuple[str, ...]
    """The options that the lock records."""
    kept: tuple[str, ...]
    """The options of the previous lock that hold in this run."""


def read_upgrade(options: UpgradeOptions) -> Upgrade:
    """Parse what -P and a document of `outdated` name.

    Raises RequirementInvalid; UsageError for a project with two versions in one environment, and --in-build alone.
    """
    if options.in_builds and not options.packages:
        raise UsageError(
            f"--in-build {options.in_builds[0]} needs -P: it limits an upgrade to this build environment",
            hint=f"name what is upgraded: -P NAME --in-build {options.in_builds[0]}",
        )
    in_builds = frozenset(map(canonicalize_name, options.in_builds))
    found = [
        Move(
            requirement=parse_requirement(text, Origin(source="-P")),
            runtime=not in_builds,
            builds=in_builds or None,
        )
        for text in options.packages
    ]
    found += [
        Move(
            requirement=parse_requirement(row.requirement, Origin(source="--upgrade-from")),
            runtime=row.scope == "runtime",
            builds=frozenset({canonicalize_name(row.build)} if row.scope == "build" else ()),
            build_version=row.build_version,
            targets=frozenset(row.targets) or None,
            may_be_gone=True,
        )
        for row in options.rows
    ]
    moves: dict[NormalizedName, list[Move]] = {}
    for move in found:
        others = moves.setdefault(move.name, [])
        for other in others:
            if other.requirement.specifier != move.requirement.specifier and move.overlaps(other):
                where = "twice" if not (move.is_limited and other.is_limited) else "twice for one environment"
                raise UsageError(f"-P names {move.name} {where}, as {other.requirement} and as {move.requirement}")
        if move not in others:
            others.append(move)
    return Upgrade(
        everything=options.everything,
        moves=tuple(move for own in moves.values() for move in own),
        builds=options.builds,
        accepted_files=frozenset(options.accepted_files),
        may_be_unused=options.may_be_unused,
    )


def resolve_settings(
    options: LockOptions, inputs: ProjectInputs, previous: Lock | None, *, upgrade: Upgrade, host: HostFacts
) -> Settings:
    """Resolve every setting. Raises ConfigError, UsageError and LockInvalid.

    An upgrade of everything drops the pins of the previous lock, its default targets and the times that ages gave, and
    keeps its options.
    """
    resolve, kept = recorded_options.with_recorded(options.resolve, previous)
    options, config = replace(options, resolve=resolve), inputs.config
    targets, kept_targets = run_targets(options, inputs, previous, host=host, renew=upgrade.everything)
    declared = declared_targets(options, config, host)
    if upgrade.everything:
        previous = None
    fork_strategy = resolve.fork_strategy or config.fork_strategy or "newest"
    targets = in_order(targets, oldest_first=fork_strategy == "fewest")
    required = tuple(requirement for _, own in inputs.scopes for requirement in own)
    if (resolve.build_scope or config.build_scope) != "none":
        inputs.trees.refuse_local_build_requirements(inputs.project.build_requires, required)
    indexes = inputs.trees.with_folder_indexes(config, required, inputs.members)
    if inputs.foreign is not None:
        indexes = with_imported_indexes(indexes, inputs.foreign, options.network)
    return Settings(
        selection=Selection(
            resolution=resolve.resolution or config.resolution or "highest",
            prereleases=resolve.prereleases or config.prerelease or "if-necessary",
            prerelease_names=frozenset(inputs.project.prerelease_names),
            exclude_newer=_exclude_newer(options, config, previous),
            exclude_newer_package=_exclude_newer_package(options, config, previous),
            no_binary=_names(resolve.no_binary, config.no_binary, inputs.no_binary),
            only_binary=_names(resolve.only_binary, config.only_binary, inputs.only_binary),
            build_scope=resolve.build_scope or config.build_scope or "needed",
            allow_wheel=_names(resolve.allow_wheel, config.allow_wheel),
        ),
        has_age=any(isinstance(limit, timedelta) for limit in _limits(options, config)),
        targets=targets,
        declared=replace(
            declared,
            pythons=declared.pythons or "python-version" in kept_targets,
            platforms=declared.platforms or "platform" in kept_targets,
        ),
        fork_strategy=fork_strategy,
        build_resolution=resolve.build_resolution or config.build_resolution or "shared",
        files=config.files or "used",
        observe=resolve.observe or bool(config.observe),
        require_evidence=resolve.require_evidence or bool(config.require_evidence),
        verify_metadata=options.verify_metadata,
        attestations=resolve.attestations or config.attestations or "off",
        extra_build_requires=dict(config.extra_build_requires or ()),
        config_settings=dict(config.config_settings or ()),
        hooks=hook_policy(options.hooks, config, options.context),
        network=network_settings(
            network_with_hooks(options.network, options.hooks), indexes, options.inputs.folder, options.context
        ),
        upgrade=upgrade,
        policy=config.policy,
        command_line=recorded_options.record(resolve),
        kept=(*kept, *kept_targets),
    )


def hooks_mode(options: HookOptions, config: Config) -> Hooks:
    """Return how build hooks run: by the options, the configuration, and then in a sandbox."""
    return options.hooks or config.hooks or "sandbox"


def hook_policy(options: HookOptions, config: Config, context: RunContext) -> HookPolicy:
    """Return whose code may run. Trust comes from the command line only."""
    hooks = hooks_mode(options, config)
    return HookPolicy(
        sandboxed=hooks == "sandbox",
        trusted=frozenset(canonicalize_name(name) for name in options.trust_hooks),
        trust_all=hooks == "trust",
        pythons=options.interpreters,
        search_path=context.environ.get("PATH", ""),
    )


def _names(*lists: Iterable[str] | None) -> frozenset[str]:
    """Normalize project names; ``:all:`` stays, and ``:none:`` is none."""
    every = frozenset(name if name == ALL else canonicalize_name(name) for names in lists for name in names or ())
    return every - recorded_options.NOTHING


def _limits(options: LockOptions, config: Config) -> tuple[ExcludeNewer | None, ...]:
    return (_limit(options, config), *_package_limits(options, config).values())


def _limit(options: LockOptions, config: Config) -> ExcludeNewer | None:
    text = options.resolve.exclude_newer
    if text == NO_LIMIT:
        return None
    return read_exclude_newer(text) if text else config.exclude_newer


def _exclude_newer(options: LockOptions, config: Config, previous: Lock | None) -> datetime | None:
    """Return exclude-newer as a time. An age is counted from the run that first locked with it, until an upgrade."""
    limit = _limit(options, config)
    if limit is None:
        return None
    locked = dict(previous.options).get("exclude-newer") if previous is not None else None
    return _instant(limit, options.context.now, locked if isinstance(locked, datetime) else None)


def _instant(limit: ExcludeNewer, now: datetime, locked: datetime | None) -> datetime:
    match limit:
        case datetime() as moment:
            return moment.astimezone(UTC)
        case date() as day:
            # a day as a limit includes the day, as in other tools
            return datetime.combine(day + timedelta(days=1), time(), UTC)
        case timedelta() as age:
            return locked or (now - age).astimezone(UTC).replace(microsecond=0)


def _package_limits(options: LockOptions, config: Config) -> dict[NormalizedName, ExcludeNewer | None]:
    limits = dict(config.exclude_newer_package or ())
    for text in options.resolve.exclude_newer_package:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise UsageError(f"--exclude-newer-package {text!r}: it must be NAME=DATE, NAME=P7D or NAME=false")
        limits[canonicalize_name(name)] = None if value == NO_LIMIT else read_exclude_newer(value)
    return limits


def _exclude_newer_package(
    options: LockOptions, config: Config, previous: Lock | None
) -> tuple[tuple[NormalizedName, datetime | None], ...]:
    limits = _package_limits(options, config)
    locked = _locked_limits(previous) if previous is not None else {}
    now = options.context.now
    return tuple(
        (name, None if limit is None else _instant(limit, now, locked.get(name)))
        for name, limit in sorted(limits.items(), key=lambda pair: pair[0])
    )


def _locked_limits(lock: Lock) -> dict[str, datetime]:
    texts = dict(lock.options).get("exclude-newer-package", ())
    pairs = (text.partition("=") for text in texts) if isinstance(texts, tuple) else ()
    return {name: datetime.fromisoformat(moment) for name, _, moment in pairs if moment != NO_LIMIT}
