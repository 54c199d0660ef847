"""What a run will close: its inputs, and the pins of an earlier lock as hints, as one Plan.

Law: an earlier pin is a wish and never a demand. It is given up where it no longer fits, and where the user says so.
"""

from collections.abc import Mapping
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.closure.model import Plan, Preferences, Subject
from deep_lock.config.options import LockOptions
from deep_lock.errors import UsageError
from deep_lock.locking import imported_lock, project_build
from deep_lock.locking.read_inputs import ProjectInputs
from deep_lock.models.build_system import Hook
from deep_lock.models.lock import BUILD_MARKER, Lock
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.models.resolution import Problem, Selection
from deep_lock.targets.target import Target


def plan_of(
    flags: LockOptions, gathered: ProjectInputs, old: Lock | None, *, selection: Selection, targets: tuple[Target, ...]
) -> Plan:
    """Return what is to be closed: a runtime problem for each target, the project's own build, and earlier pins.

    Raises RequirementInvalid (``-P``) and PyprojectInvalid.
    """
    upgrade = flags.upgrade
    moved = _moved(upgrade.packages)
    wanted = tuple(requirement for _, own in gathered.parts for requirement in own)
    runtime_hints, build_hints = _hints(old, targets) if old is not None else ({}, {})
    pins = tuple(requirement for requirement in moved.values() if requirement.specifier)
    in_builds = frozenset(map(canonicalize_name, upgrade.in_builds))
    in_runtime_moved = moved if not in_builds else {}
    in_runtime = {name for hints in runtime_hints.values() for name in hints} | {own.name for own in wanted}
    foreign, trees, scopes = gathered.foreign, gathered.trees, [scope for scope, _ in gathered.parts]
    if foreign is not None:
        _refuse_moves(in_runtime_moved, in_runtime, foreign.source)
    problems = tuple(
        Problem(
            requirements=wanted,
            target=target,
            constraints=(
                *gathered.constraints,
                *(pin for pin in pins if pin.name in in_runtime_moved),
            ),
            overrides=gathered.overrides,
            selection=selection,
            fixed_pins=imported_lock.given_on(foreign, scopes, target, trees) if foreign is not None else None,
        )
        for target in targets
    )
    config = gathered.config
    return Plan(
        runtime=problems,
        project=_project_subject(gathered, flags.inputs.folder),
        build_constraints=gathered.build_constraints,
        observe_all=flags.rules.observe or bool(config.observe),
        extra_build_requires=dict(config.extra_build_requires or ()),
        config_settings=dict(config.config_settings or ()),
        share=(flags.rules.build_resolution or config.build_resolution or "shared") == "shared",
        runtime_hints={label: _without(hints, in_runtime_moved) for label, hints in runtime_hints.items()},
        build_moves=_exact(pins) if not in_builds else {},
        build_hints={
            key: {**_without(hints, moved), **_exact(pins)} if not in_builds or key[1] in in_builds else hints
            for key, hints in build_hints.items()
            if not upgrade.builds
        },
    )


def _moved(packages: tuple[str, ...]) -> dict[NormalizedName, Requirement]:
    """Return what -P names, by name. Raises RequirementInvalid, and UsageError for a name with two versions."""
    moved: dict[NormalizedName, Requirement] = {}
    for requirement in map(parse_requirement, packages):
        known = moved.setdefault(requirement.name, requirement)
        if known.specifier != requirement.specifier:
            raise UsageError(f"-P names {requirement.name} twice, as {known} and as {requirement}")
    return moved


def _refuse_moves(moved: Mapping[NormalizedName, Requirement], in_runtime: set[NormalizedName], source: str) -> None:
    """Refuse -P on what another tool's lock decides: build environments would move, and the run time would not."""
    for name in sorted(in_runtime.intersection(moved)):
        raise UsageError(f"-P {name}: {source} pins it at run time", hint="move it there, then run this again")


def _project_subject(gathered: ProjectInputs, folder: Path) -> Subject | None:
    if gathered.project.build_system is None:
        return None
    return project_build.project_subject(folder, gathered.project, dict(gathered.config.config_settings or ()))


def _without(hints: Preferences, moved: Mapping[NormalizedName, Requirement]) -> Preferences:
    return {name: versions for name, versions in hints.items() if name not in moved}


def _exact(pins: tuple[Requirement, ...]) -> Preferences:
    """Return the versions that -P NAME==VERSION names, for build environments to try first."""
    return {pin.name: tuple(Version(part.version) for part in pin.specifier if part.operator == "==") for pin in pins}


def _hints(
    old: Lock, targets: tuple[Target, ...]
) -> tuple[dict[str, Preferences], dict[tuple[str, str, Hook], Preferences]]:
    """Return the old lock's pins by target, and by target and what is built."""
    everything = {"extras": frozenset(old.extras), "dependency_groups": frozenset(old.dependency_groups)}
    runtime: dict[str, dict[NormalizedName, tuple[Version, ...]]] = {}
    markers = [(package, Marker(package.marker) if package.marker else None) for package in old.packages]
    for target in targets:
        own = runtime.setdefault(target.label, {})
        for package, marker in markers:
            if package.marker == BUILD_MARKER or package.version is None or package.source is not None:
                continue
            if marker is None or marker.evaluate({**target.environment, **everything}, context="lock_file"):
                own[canonicalize_name(package.name)] = (Version(package.version),)
    labels = [target.label for target in targets]
    built: dict[tuple[str, str, Hook], Preferences] = {}
    for build in old.builds:
        pins = {canonicalize_name(member.name): (Version(member.version),) for member in build.packages}
        for label in build.targets or labels:
            built[label, build.name, build.hook or "wheel"] = pins
    return dict(runtime), built
