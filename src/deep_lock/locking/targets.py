"""The targets of a run: declared ones, those of the previous lock, or default ones.

Invariant: a declared target is locked, or the run fails; a default one may be left out, with a warning.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import islice

from msgspec import Struct
from packaging.version import Version

from deep_lock.config.config import Config
from deep_lock.config.options import LockOptions
from deep_lock.errors import DeepLockError, Unsatisfiable, UsageError
from deep_lock.locking import imported_lock
from deep_lock.locking.read_inputs import ProjectInputs
from deep_lock.models.lock import Lock, LockedTarget
from deep_lock.project.project import Project
from deep_lock.targets.factory import (
    CPYTHON,
    DEFAULT_PLATFORMS,
    HOST,
    HostFacts,
    default_pythons,
    expand_platforms,
    make_target,
)
from deep_lock.targets.open_markers import limited
from deep_lock.targets.short_form import in_words, short_form
from deep_lock.targets.target import Target, python_fits


class DeclaredTargets(Struct, frozen=True, kw_only=True):
    """Whether options or configuration name the Pythons, and the platforms."""

    pythons: bool = False
    platforms: bool = False
    added_pythons: tuple[str, ...] = ()
    added_platforms: tuple[str, ...] = ()
    """Those that --add-python and --add-platform name: the others stay as they are, default ones for example."""

    def leave_out(self, targets: tuple[Target, ...], excluded: Mapping[Target, DeepLockError]) -> tuple[Target, ...]:
        """Return the targets without the excluded ones.

        Raises the error of an excluded target that is declared: its Python is, or its platform is and has no other target.
        Raises the first error where no target is left.
        """
        left = tuple(target for target in targets if target not in excluded)
        platforms = {target.platform for target in left}
        for target, error in excluded.items():
            is_python = self.pythons or target.python in self.added_pythons
            is_platform = self.platforms or target.platform in self.added_platforms
            if is_python or not left or (is_platform and target.platform not in platforms):
                raise with_all_targets(error, excluded, targets)
        return left


def declared_targets(options: LockOptions, config: Config, host: HostFacts) -> DeclaredTargets:
    """Return what options or configuration declare."""
    own = options.resolve
    return DeclaredTargets(
        pythons=bool(own.pythons or config.python_versions),
        platforms=bool(own.platforms or config.platforms),
        added_pythons=tuple(_minor(host) if python == HOST else python for python in own.added_pythons),
        added_platforms=tuple(
            host.platform if name == HOST else name for name in expand_platforms(own.added_platforms)
        ),
    )


def _minor(host: HostFacts) -> str:
    return ".".join(host.python_full_version.split(".")[:2])


def run_targets(
    options: LockOptions, inputs: ProjectInputs, previous: Lock | None, *, host: HostFacts, renew: bool
) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """Return the targets, and the names of the options that the previous lock decides where its targets are no default.

    Default targets change over time and locked ones do not: what is not declared stays as in the previous lock. ``renew``:
    only if it is no default.

    --add-python and --add-platform extend these, in the run: the next one has them in the previous lock.

    Raises UsageError where requires-python excludes a declared target, or none is left, and where the configuration names what
    an option adds to.
    """
    config, foreign, requires_python = inputs.config, inputs.foreign, inputs.project.requires_python
    declared, today = declared_targets(options, config, host), options.context.now.date()
    pythons = options.resolve.pythons or config.python_versions or ()
    platforms = expand_platforms(options.resolve.platforms or config.platforms or ())
    added = _added(options, config)
    locked = previous.targets if previous is not None and previous.requires_python == requires_python else ()
    locked_pythons = tuple(dict.fromkeys(target.python for target in locked))
    locked_platforms = tuple(dict.fromkeys(target.platform for target in locked))
    has_default_platforms = frozenset(locked_platforms) <= frozenset(DEFAULT_PLATFORMS)
    kept: list[str] = []
    if locked and not pythons:
        has_default_pythons = _are_default(locked_pythons, requires_python, today)
        if not (renew and has_default_pythons):
            pythons = locked_pythons
            kept += [] if has_default_pythons else ["python-version"]
    if locked and not platforms and not (renew and len(locked_platforms) == len(DEFAULT_PLATFORMS)):
        platforms = locked_platforms
        kept += [] if has_default_platforms and len(locked_platforms) == len(DEFAULT_PLATFORMS) else ["platform"]
    if foreign is not None:
        hints = imported_lock.target_hints(foreign)
        pythons, platforms = pythons or hints.pythons, platforms or hints.platforms
    if added.pythons:
        pythons = (*(pythons or default_pythons(requires_python, today)), *added.pythons)
    if added.platforms:
        platforms = (*(platforms or DEFAULT_PLATFORMS), *added.platforms)
    pairs = _product(pythons, platforms, requires_python, today, host)
    if not renew and locked:
        pairs = _as_locked(pairs, locked)
    targets = {target.label: target for target in (make_target(*pair, host=host) for pair in pairs)}
    found = tuple(targets.values())
    found = declared.leave_out(found, excluded_by_python(inputs.project, found))
    if foreign is not None:
        found = declared.leave_out(found, imported_lock.targets_outside(foreign, found))
    return limited(found, requires_python), tuple(kept)


class _Added(Struct, frozen=True, kw_only=True):
    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


def _added(options: LockOptions, config: Config) -> _Added:
    """Return what --add-python and --add-platform add. Raises UsageError where something else names the whole list."""
    own = options.resolve
    for name, added, listed, key, configured in (
        ("python", own.added_pythons, own.pythons, "python-versions", config.python_versions),
        ("platform", own.added_platforms, own.platforms, "platforms", config.platforms),
    ):
        if added and listed:
            whole = "--python-version" if name == "python" else "--platform"
            raise UsageError(f"--add-{name} and {whole} cannot be used together: {whole} names all of them")
        if added and configured:
            raise UsageError(
                f"--add-{name} {added[0]}: {key} in [tool.deep-lock] names all of them",
                hint=f"add {added[0]!r} to {key}, and run deep-lock lock",
            )
    return _Added(pythons=own.added_pythons, platforms=expand_platforms(own.added_platforms))


def _as_locked(pairs: list[tuple[str, str]], locked: Sequence[LockedTarget]) -> list[tuple[str, str]]:
    """Return the pairs without those that the previous lock leaves out, though it has the Python and the platform."""
    known = {(target.python, target.platform) for target in locked}
    pythons, platforms = ({pair[position] for pair in known} for position in (0, 1))
    return [pair for pair in pairs if pair in known or pair[0] not in pythons or pair[1] not in platforms]


def _are_default(pythons: Sequence[str], requires_python: str | None, today: date) -> bool:
    """Whether these Pythons are, or were on a day since the first of them, the default ones."""
    days = {day for series in CPYTHON.values() for day in (series.released, series.end_of_life)}
    for day in (today, *sorted(day for day in days if day <= today)):
        with suppress(UsageError):  # no Python was released then
            if set(pythons) == set(default_pythons(requires_python, day)):
                return True
    return False


def in_order(targets: tuple[Target, ...], *, oldest_first: bool) -> tuple[Target, ...]:
    """Return the targets in the order in which they are resolved.

    Newest Python first gives each Python the newest version it can have; oldest first gives one version for all.
    """
    return tuple(sorted(targets, key=_python_key, reverse=not oldest_first))


def excluded_by_python(project: Project, targets: tuple[Target, ...]) -> dict[Target, UsageError]:
    """Return the targets that requires-python excludes, with an error that names them all."""
    requires_python = project.requires_python
    outside = [target for target in targets if not python_fits(requires_python, target)]
    versions = ", ".join(dict.fromkeys(target.python_full_version for target in outside))
    error = UsageError(
        f"{project.source}: requires-python {requires_python!r} excludes Python {versions}"
        f" ({short_form([target.label for target in outside], [target.label for target in targets])})",
        hint="name Pythons that it admits: --python-version, or python-versions in [tool.deep-lock]",
    )
    return dict.fromkeys(outside, error)


def require_exclusion(targets: tuple[Target, ...], excluded: Mapping[Target, Unsatisfiable]) -> None:
    """Raise the first error that does not exclude its target: it is due to versions alone.

    Requirements of the project that contradict each other never do. Requirements of releases may follow from a file that is
    for other Pythons: they do if the platform has another Python.
    """
    left = {target.platform for target in targets if target not in excluded}
    for target, error in excluded.items():
        if error.cause == "project" or (error.cause == "release" and target.platform not in left):
            raise with_all_targets(error, excluded, targets)


def same_reasons(excluded: Mapping[Target, DeepLockError], targets: Sequence[Target]) -> list[tuple[list[str], str]]:
    """Return the labels that are excluded for the same reason, and the reason, which names all of them."""
    every = [target.label for target in targets]
    found: dict[str, dict[str, str]] = {}
    for target, error in excluded.items():
        found.setdefault(error.message.replace(target.label, ""), {})[target.label] = error.message
    return [
        ([*own], message.replace(label, in_words(own, every), 1))
        for own in found.values()
        for label, message in islice(own.items(), 1)
    ]


def with_all_targets(
    error: DeepLockError, excluded: Mapping[Target, DeepLockError], targets: Sequence[Target]
) -> DeepLockError:
    """Return the error of one target as that of all targets that have it."""
    if not isinstance(error, Unsatisfiable):
        return error
    label = next(target.label for target, own in excluded.items() if own is error)
    message = next(message for labels, message in same_reasons(excluded, targets) if label in labels)
    return Unsatisfiable(message, hint=error.hint, nowhere=error.nowhere, cause=error.cause)


def _python_key(target: Target) -> tuple[Version, bool]:
    """Order by Python alone: sorting is stable, so platforms stay as declared."""
    return (Version(target.python_full_version), not target.python.endswith("t"))


def _product(
    pythons: Sequence[str], platforms: Sequence[str], requires_python: str | None, today: date, host: HostFacts
) -> list[tuple[str, str]]:
    here = _minor(host)
    expanded = [here if python == HOST else python for python in pythons or default_pythons(requires_python, today)]
    return [(python, platform) for python in expanded for platform in platforms or DEFAULT_PLATFORMS]
