"""Flags laid over the configuration, laid over the defaults: the rules and targets of one run.

What the lock must remember of them is here too (`options`): a rule that changes the answer stands in the file, so that
`--check` can say that it changed.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.builds.host import HookPolicy
from deep_lock.config.config import Config
from deep_lock.config.exclude_newer import ExcludeNewer, read_exclude_newer
from deep_lock.config.options import LockOptions, ResolveOptions
from deep_lock.errors import UsageError
from deep_lock.locking.imported_lock import admitted, are_declared, hints_of
from deep_lock.locking.read_inputs import ProjectInputs
from deep_lock.models.lock import Lock, OptionValue
from deep_lock.models.resolution import ALL, Selection
from deep_lock.targets.factory import DEFAULT_PLATFORMS, HOST, HostFacts, default_pythons, make_target
from deep_lock.targets.target import Target

NO_LIMIT = "false"


def normalized(names: Iterable[str]) -> frozenset[str]:
    """Normalize project names; ``:all:`` stays."""
    return frozenset(name if name == ALL else canonicalize_name(name) for name in names)


def selection_of(flags: LockOptions, gathered: ProjectInputs, old: Lock | None) -> Selection:
    """Return which releases and files may be chosen. Raises UsageError."""
    rules, config = flags.rules, gathered.config
    return Selection(
        resolution=rules.resolution or config.resolution or "highest",
        prereleases=rules.prereleases or config.prerelease or "if-necessary",
        prerelease_names=frozenset(gathered.project.prerelease_names),
        exclude_newer=_limit(flags, config, old),
        exclude_newer_package=_package_limits(flags, config, old),
        no_binary=normalized((*rules.no_binary, *(config.no_binary or ()), *gathered.no_binary)),
        only_binary=normalized((*rules.only_binary, *(config.only_binary or ()), *gathered.only_binary)),
        build_scope=rules.build_scope or config.build_scope or "needed",
        allow_wheel=normalized((*rules.allow_wheel, *(config.allow_wheel or ()))),
    )


def _limit(flags: LockOptions, config: Config, old: Lock | None) -> datetime | None:
    """Return exclude-newer as a time. An age is counted from the run that first locked with it, until an upgrade."""
    flag = flags.rules.exclude_newer
    asked = read_exclude_newer(flag) if flag else config.exclude_newer
    if asked is None:
        return None
    kept = dict(old.options).get("exclude-newer") if old is not None else None
    return _instant(asked, flags.surroundings.now, kept if isinstance(kept, datetime) else None)


def _instant(limit: ExcludeNewer, now: datetime, kept: datetime | None) -> datetime:
    match limit.value:
        case datetime() as moment:
            return moment.astimezone(UTC)
        case date() as day:
            # a day as a limit includes the day, as in other tools
            return datetime.combine(day + timedelta(days=1), time(), UTC)
        case timedelta() as age:
            return kept or (now - age).astimezone(UTC).replace(microsecond=0)


def _package_limits(
    flags: LockOptions, config: Config, old: Lock | None
) -> tuple[tuple[NormalizedName, datetime | None], ...]:
    asked = dict(config.exclude_newer_package or ())
    for text in flags.rules.exclude_newer_package:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--exclude-newer-package {text!r}: it must be NAME=DATE, NAME=P7D or NAME=false")
        asked[canonicalize_name(name.strip())] = (
            None if value.strip() == NO_LIMIT else read_exclude_newer(value.strip())
        )
    kept = _kept_limits(old) if old is not None else {}
    now = flags.surroundings.now
    return tuple(
        sorted(
            ((name, None if limit is None else _instant(limit, now, kept.get(name))) for name, limit in asked.items()),
            key=lambda pair: pair[0],
        )
    )


def _kept_limits(old: Lock) -> dict[str, datetime]:
    kept = dict(old.options).get("exclude-newer-package", ())
    pairs = (text.partition("=") for text in kept) if isinstance(kept, tuple) else ()
    return {name: datetime.fromisoformat(moment) for name, _, moment in pairs if moment != NO_LIMIT}


def hook_policy_of(flags: LockOptions, config: Config) -> HookPolicy:
    """Return whose code may run. Trust comes from the command line only."""
    hooks = flags.rules.hooks or config.hooks or "sandbox"
    return HookPolicy(
        sandboxed=hooks == "sandbox",
        trusted=frozenset(canonicalize_name(name) for name in flags.rules.trust_hooks),
        trust_all=hooks == "trust",
        pythons=flags.rules.interpreters,
        search_path=flags.surroundings.environ.get("PATH", ""),
    )


def options_of(
    selection: Selection, rules: ResolveOptions, config: Config, links: Iterable[str] = ()
) -> tuple[tuple[str, OptionValue], ...]:
    """Return the settings that change the answer, as the lock holds them, sorted by key.

    ``links`` are the places of --find-links, as the lock holds them.
    """
    options: dict[str, OptionValue] = {
        "build-scope": selection.build_scope,
        "prereleases": selection.prereleases,
        "resolution": selection.resolution,
    }
    if selection.exclude_newer is not None:
        options["exclude-newer"] = selection.exclude_newer
    if selection.exclude_newer_package:
        options["exclude-newer-package"] = tuple(
            f"{name}={NO_LIMIT if limit is None else limit.isoformat()}"
            for name, limit in selection.exclude_newer_package
        )
    for key, names in (
        ("no-binary", selection.no_binary),
        ("only-binary", selection.only_binary),
        ("allow-wheel", selection.allow_wheel),
        ("prerelease-names", selection.prerelease_names),
        ("find-links", frozenset(links)),
    ):
        if names:
            options[key] = tuple(sorted(names))
    if (strategy := rules.fork_strategy or config.fork_strategy or "newest") != "newest":
        options["fork-strategy"] = strategy
    if (sharing := rules.build_resolution or config.build_resolution or "shared") != "shared":
        options["build-resolution"] = sharing
    if config.files == "all":
        options["files"] = "all"
    return tuple(sorted(options.items()))


def targets_of(flags: LockOptions, gathered: ProjectInputs, old: Lock | None, host: HostFacts) -> tuple[Target, ...]:
    """Return the declared targets in the order in which they are resolved.

    Newest Python first gives each Python the newest version it can have; oldest first gives one version for all.
    Defaults follow the calendar, a lock must not: where the targets are not declared, those of the old lock stay.
    Raises UsageError.
    """
    rules, config, foreign = flags.rules, gathered.config, gathered.foreign
    requires = gathered.project.requires_python
    hints = hints_of(foreign)
    kept = _kept_targets(old, requires) if old is not None and not flags.upgrade.everything else {}
    pythons = rules.pythons or config.python_versions
    platforms = rules.platforms or config.platforms
    if not pythons and not platforms and kept:
        pairs = list(kept)
    else:
        pythons, platforms = pythons or hints.pythons, platforms or hints.platforms
        pairs = _product(pythons, platforms, requires, flags.surroundings.now.date(), host)
    targets = {target.label: target for target in (make_target(*pair, host=host) for pair in pairs)}
    if not targets:
        raise UsageError(
            f"requires-python {requires!r} admits no Python that deep-lock knows",
            hint="declare the targets: [tool.deep-lock] python-versions",
        )
    if foreign is not None:
        inside = admitted(foreign, tuple(targets.values()), declared=are_declared(flags, config))
        targets = {target.label: target for target in inside}
    oldest_first = (rules.fork_strategy or config.fork_strategy) == "fewest"
    return tuple(sorted(targets.values(), key=_python_key, reverse=not oldest_first))


def _python_key(target: Target) -> tuple[Version, bool]:
    """Order by Python alone: sorting is stable, so platforms stay as declared."""
    return (Version(target.python_full_version), not target.python.endswith("t"))


def _product(
    pythons: Sequence[str] | None, platforms: Sequence[str] | None, requires: str | None, today: date, host: HostFacts
) -> list[tuple[str, str]]:
    own = tuple(pythons or ()) or default_pythons(requires, today)
    here = ".".join(host.python_full_version.split(".")[:2])
    expanded = [here if python == HOST else python for python in own]
    return [(python, platform) for python in expanded for platform in platforms or DEFAULT_PLATFORMS]


def _kept_targets(old: Lock, requires: str | None) -> dict[tuple[str, str], None]:
    if old.requires_python != requires:
        return {}
    return {(target.python, target.platform): None for target in old.targets}
