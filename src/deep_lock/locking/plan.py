"""The plan of a run: its runtime problems, the project's own build, and the previous lock's pins as preferences.

Invariant: a previous pin is a preference, never a requirement. It is dropped where it no longer fits, and where the user
upgrades it.
"""

from collections.abc import Iterable

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.closure.model import Plan, Preferences, Subject
from deep_lock.errors import UsageError
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.selection import full_selections, installed_packages
from deep_lock.locking import conditional_indexes, imported_lock, project_build
from deep_lock.locking.request import LockRequest
from deep_lock.locking.settings import Move, Upgrade
from deep_lock.models.build_system import Hook
from deep_lock.models.conflicts import Choice, choices, chosen_scopes, conflicting_scopes
from deep_lock.models.lock import Lock
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import FixedPins, Problem
from deep_lock.targets.target import Target


def make_plan(request: LockRequest) -> Plan:
    """Return a runtime problem for each target, the project's own build, and the preferences.

    Raises UsageError (``-P``) and PyprojectInvalid.
    """
    inputs, settings, upgrade = request.inputs, request.settings, request.settings.upgrade
    targets = settings.targets
    allowed = choices(inputs.conflicts, [scope for scope, _ in inputs.scopes], inputs.implied)
    scopes = dict(inputs.scopes)
    runtime_hints, build_hints = (
        _hints(request.previous, targets, allowed) if request.previous is not None else ({}, {})
    )
    runtime_moves = [move for move in upgrade.moves if move.runtime]
    requirements = tuple(requirement for _, own in inputs.scopes for requirement in own)
    if inputs.foreign is not None:
        names = {name for hints in runtime_hints.values() for name in hints} | {own.name for own in requirements}
        _refuse_upgrades({move.name for move in runtime_moves}, names, inputs.foreign.source)
    decided = conditional_indexes.decided_indexes(
        settings.network.conditional, targets, inputs.source_scopes, inputs.conflicts, inputs.members
    )
    return Plan(
        runtime=tuple(
            Problem(
                requirements=tuple(
                    requirement
                    for scope in chosen_scopes(scopes, choice, allowed, inputs.implied)
                    for requirement in scopes[scope]
                ),
                target=target,
                choice=choice,
                constraints=(*inputs.constraints, *_versions_on(target, runtime_moves)),
                overrides=inputs.overrides,
                indexes=decided.runtime.get((target.label, choice), ()),
                selection=settings.selection,
                fixed_pins=_fixed_pins(request, target, choice, allowed),
            )
            for target in targets
            for choice in allowed
        ),
        project=_project_subject(request),
        build_constraints=inputs.build_constraints,
        observe_all=settings.observe,
        extra_build_requires=settings.extra_build_requires,
        config_settings=settings.config_settings,
        build_indexes=decided.builds,
        may_leave_out=not settings.declared.pythons,
        share=settings.build_resolution == "shared",
        share_runtime=settings.fork_strategy == "fewest",
        runtime_hints={
            key: _without(hints, {move.name for move in runtime_moves if move.is_on(key[0])})
            for key, hints in runtime_hints.items()
        },
        build_moves=_exact(move for move in upgrade.moves if not move.is_limited),
        build_hints={} if upgrade.builds else _moved_hints(build_hints, upgrade),
    )


def _project_subject(request: LockRequest) -> Subject | None:
    """Return the build subject of the project; None where it is virtual: then no reader of sdists is loaded."""
    project, folder = request.inputs.project, request.inputs.options.folder
    if project.build_system is None:
        return None
    return project_build.project_subject(folder, project, project.build_system, request.settings.config_settings)


def _fixed_pins(
    request: LockRequest, target: Target, choice: Choice, allowed: tuple[Choice, ...]
) -> tuple[FixedPins, ...] | None:
    inputs = request.inputs
    if inputs.foreign is None:
        return None
    scopes = chosen_scopes([scope for scope, _ in inputs.scopes], choice, allowed, inputs.implied)
    return imported_lock.fixed_pins(inputs.foreign, scopes, target, inputs.trees)


def _versions_on(target: Target, moves: Iterable[Move]) -> tuple[Requirement, ...]:
    found = (move.requirement for move in moves if move.is_on(target.label) and move.requirement.specifier)
    return tuple(dict.fromkeys(found))


def _exact(moves: Iterable[Move]) -> Preferences:
    return {
        move.name: tuple(Version(part.version) for part in move.requirement.specifier if part.operator == "==")
        for move in moves
        if move.requirement.specifier
    }


_BuildHints = dict[tuple[str, str, Hook], tuple[Preferences, str | None]]
"""By target label, project that is built and hook: the pins of the previous lock, and the version that is built."""


def _moved_hints(hints: _BuildHints, upgrade: Upgrade) -> dict[tuple[str, str, Hook], Preferences]:
    found: dict[tuple[str, str, Hook], Preferences] = {}
    for (label, name, hook), (pins, version) in hints.items():
        moves = [move for move in upgrade.moves if move.is_in_build(label, name, version)]
        found[label, name, hook] = {**_without(pins, {move.name for move in moves}), **_exact(moves)}
    return found


def _refuse_upgrades(upgrades: set[NormalizedName], runtime_names: set[NormalizedName], source: str) -> None:
    """Refuse -P for what another tool's lock pins: it would apply to build environments and not to the run time."""
    for name in sorted(runtime_names.intersection(upgrades)):
        raise UsageError(f"-P {name}: {source} pins it at run time", hint="upgrade it there, then run this again")


def _without(hints: Preferences, names: set[NormalizedName]) -> Preferences:
    return {name: versions for name, versions in hints.items() if name not in names}


def _hints(
    previous: Lock, targets: tuple[Target, ...], allowed: tuple[Choice, ...]
) -> tuple[dict[tuple[str, Choice], Preferences], _BuildHints]:
    """Return the previous lock's pins by target and choice, and by target and what is built."""
    lock_index = index_lock(previous)
    in_conflicts = conflicting_scopes(allowed)
    selections = full_selections(previous)
    runtime: dict[tuple[str, Choice], Preferences] = {}
    for choice in allowed:
        like = min(selections, key=lambda own: len((own.scopes & in_conflicts) ^ choice))
        for target in targets:
            runtime[target.label, choice] = {
                canonicalize_name(package.name): (Version(package.version),)
                for package in installed_packages(lock_index, target, like)
                if package.version is not None and package.source is None
            }
    labels = [target.label for target in targets]
    built: _BuildHints = {}
    for build in previous.builds:
        pins = {canonicalize_name(member.name): (Version(member.version),) for member in build.packages}
        for label in build.targets or labels:
            built[label, build.name, build.hook or "wheel"] = (pins, build.version)
    return runtime, built
