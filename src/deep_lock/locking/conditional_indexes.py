"""Which index is the only one of a project whose ``sources`` have conditions: on which target, with which choice.

The tables of an extra or a group apply where it is selected, before those without one; among these the first whose marker
holds. Where none applies, the project comes from the indexes of every other project.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.errors import ConfigError
from deep_lock.models.conflicts import Choice, Conflict, choices, chosen_scopes, declaration
from deep_lock.models.resolution import ConditionalIndex, Indexes
from deep_lock.models.workspace import Member, implied_scopes, scope_text
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.target import Target, UnevaluableMarker, holds

Conditional = Mapping[NormalizedName, Sequence[ConditionalIndex]]
"""By project, the tables of an extra or a group first."""


class DecidedIndexes(Struct, frozen=True, kw_only=True):
    """The indexes of the projects that have conditions. Each is named with each target and choice."""

    runtime: Mapping[tuple[str, Choice], Indexes]
    """By target label and choice."""
    builds: Mapping[str, Indexes]
    """By target label: builds are shared by all choices."""


def decided_indexes(
    conditional: Conditional,
    targets: Iterable[Target],
    scopes: Mapping[Scope, Collection[Scope]],
    conflicts: Sequence[Conflict],
    members: Sequence[Member] = (),
) -> DecidedIndexes:
    """Return the indexes with each target and choice.

    ``scopes`` are the parts of the project that are locked, each with those whose requirements it has: its own too. ``members``
    are those of a workspace.
    Raises ConfigError where two scopes that can be selected together have different indexes for one project.
    """
    runtime: dict[tuple[str, Choice], Indexes] = {}
    builds: dict[str, Indexes] = {}
    faults: list[_Fault] = []
    implied = implied_scopes(members)
    allowed = choices(conflicts, scopes, implied)
    for target in targets if conditional else ():
        for choice in allowed:
            selected = {scope: scopes[scope] for scope in chosen_scopes(scopes, choice, allowed, implied)}
            found: dict[NormalizedName, str] = {}
            for name, tables in conditional.items():
                own = _of_scopes(name, tables, target, selected)
                if len({url for _, url in own}) > 1:
                    faults.append(_Fault(name=name, target=target, indexes=own))
                found[name] = own[0][1] if own else _of_every_scope(name, tables, target)
            runtime[target.label, choice] = tuple(sorted(found.items()))
        with_choices = [dict(runtime[target.label, choice]) for choice in allowed]
        for name, tables in sorted(conditional.items()):
            indexes = {each[name] for each in with_choices}
            index = indexes.pop() if len(indexes) == 1 else _of_every_scope(name, tables, target)
            builds[target.label] = (*builds.get(target.label, ()), (name, index))
    if faults:
        raise _contradiction(faults, conflicts, members)
    return DecidedIndexes(runtime=runtime, builds=builds)


class _Fault(Struct, frozen=True, kw_only=True):
    """Different indexes of one project with one choice, each with the scope that it is for."""

    name: NormalizedName
    target: Target
    indexes: Sequence[tuple[Scope, str]]


def _contradiction(faults: Sequence[_Fault], declared: Sequence[Conflict], members: Sequence[Member]) -> ConfigError:
    first = faults[0]
    listed = ", ".join(f"{url} for {scope_text(scope, members)}" for scope, url in first.indexes)
    found = {conflict for fault in faults for conflict in _excluding(dict(fault.indexes))}
    hint = "assign one of the indexes to each of them"
    if found:
        lines = declaration(sorted({*found, *declared}), members)
        hint = f"if no installation needs both, declare that they exclude each other:\n{lines}"
    return ConfigError(f"{first.name} must come from different indexes on {first.target.label}: {listed}", hint=hint)


def _excluding(indexes: Mapping[Scope, str]) -> list[Conflict]:
    """Return the conflicts between scopes with different indexes: one list where all differ, else one for each pair."""
    scopes = sorted(scope for scope in indexes if scope != BASE)
    if len({indexes[scope] for scope in scopes}) == len(scopes):
        return [tuple(scopes)] if len(scopes) > 1 else []
    return [(one, other) for one, other in combinations(scopes, 2) if indexes[one] != indexes[other]]


def _of_scopes(
    name: NormalizedName,
    tables: Iterable[ConditionalIndex],
    target: Target,
    selected: Mapping[Scope, Collection[Scope]],
) -> list[tuple[Scope, str]]:
    """Return the selected scopes that have an index of their own, each with it: the first whose marker holds."""
    found: dict[tuple[Scope, Scope], str] = {}
    for own in tables:
        for scope, parts in selected.items():
            if own.scope is not None and own.scope in parts and _holds(name, own, target):
                found.setdefault((scope, own.scope), own.url)
    return [(scope, url) for (scope, _), url in found.items()]


def _of_every_scope(name: NormalizedName, tables: Iterable[ConditionalIndex], target: Target) -> str:
    return next((own.url for own in tables if own.scope is None and _holds(name, own, target)), "")


def _holds(name: NormalizedName, own: ConditionalIndex, target: Target) -> bool:
    try:
        return holds(own.marker, target)
    except UnevaluableMarker as error:
        raise ConfigError(f"the marker of a source of {name} cannot be evaluated, {own.marker}: {error}") from None
