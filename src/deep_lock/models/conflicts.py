"""Extras and dependency groups that exclude each other: which selections are allowed.

A conflict is a set of scopes of which at most one is selected at once. A choice is an allowed selection of the scopes that
are in conflicts; what a lock installs is decided for each choice. Other scopes are combined with every choice.

In a workspace an extra implies its member (`models.workspace.implied_scopes`): it is selected with the member only.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct, structs
from packaging.utils import InvalidName, canonicalize_name

from deep_lock.errors import LimitExceeded
from deep_lock.models.workspace import Member, owners, scope_text
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.open_markers import NEVER, TargetPart

Conflict = tuple[Scope, ...]
Choice = frozenset[Scope]
Implied = Mapping[Scope, Scope]
"""By scope the one that is always selected with it."""
NONE_IMPLIED: Implied = {}

MAX_CHOICES = 64
"""Each is resolved on each target."""


def broken_conflict(conflicts: Collection[Conflict], selected: Collection[Scope]) -> Conflict | None:
    """Return the scopes of the first conflict that are selected together; None if the selection is allowed."""
    for conflict in conflicts:
        both = tuple(scope for scope in conflict if scope in selected)
        if len(both) > 1:
            return both
    return None


def with_includes(conflicts: Sequence[Conflict], includes: Mapping[Scope, Collection[Scope]]) -> tuple[Conflict, ...]:
    """Add, as uv does, a conflict for two scopes of which each includes another scope of one conflict; sorted.

    ``includes`` has the scopes that a scope includes, at any depth.
    """
    found = set(conflicts)
    for conflict in conflicts:
        parts = {own: {own, *includes.get(own, ())}.intersection(conflict) for own in {*conflict, *includes}}
        found.update(
            pair
            for pair in combinations(sorted(own for own in parts if parts[own]), 2)
            if len(parts[pair[0]] | parts[pair[1]]) > 1 and not set(pair) <= set(conflict)
        )
    return tuple(sorted(found))


def choices(
    conflicts: Sequence[Conflict], scopes: Collection[Scope], implied: Implied = NONE_IMPLIED
) -> tuple[Choice, ...]:
    """Return the choices that these scopes allow, small ones first; without conflicts only the empty one.

    Raises LimitExceeded where there are more than MAX_CHOICES.
    """
    found: list[Choice] = [frozenset()]
    in_conflicts = {scope for conflict in conflicts for scope in conflict}.intersection(scopes)
    for scope in sorted(in_conflicts, key=lambda own: (own in implied, own)):
        with_it = [choice | {scope} for choice in found if _is_possible(scope, choice, in_conflicts, implied)]
        found += [choice for choice in with_it if broken_conflict(conflicts, choice) is None]
        if len(found) > MAX_CHOICES:
            raise LimitExceeded(
                f"the conflicts allow more than {MAX_CHOICES} combinations of extras and groups: {described(conflicts)}",
                hint="join conflicts that belong together in one list, or lock some of the extras in a file of their own"
                " (--extra, --group, --output)",
            )
    return tuple(sorted(found, key=lambda choice: (len(choice), sorted(choice))))


def conflicting_scopes(allowed: Iterable[Choice]) -> Choice:
    """Return the scopes that are in a conflict: those of all choices together."""
    return frozenset[Scope]().union(*allowed)


def chosen_scopes(
    scopes: Iterable[Scope], choice: Choice, allowed: Sequence[Choice], implied: Implied = NONE_IMPLIED
) -> list[Scope]:
    """Return the scopes that are selected together with a choice: those in no conflict, and its own."""
    in_conflicts = conflicting_scopes(allowed)
    others = in_conflicts - choice
    return [scope for scope in scopes if scope not in others and _is_possible(scope, choice, in_conflicts, implied)]


def _is_possible(scope: Scope, choice: Choice, in_conflicts: Collection[Scope], implied: Implied) -> bool:
    """Whether the member that a scope implies, if any, can be selected with a choice."""
    return implied.get(scope) not in in_conflicts or implied[scope] in choice


def described(conflicts: Sequence[Conflict], members: Sequence[Member] = ()) -> str:
    """Return the conflicts for a message. ``members`` are those of the workspace."""
    return "; ".join(" and ".join(scope_text(scope, members) for scope in conflict) for conflict in conflicts)


def declaration(conflicts: Iterable[Conflict], members: Sequence[Member] = ()) -> str:
    """Return the lines that declare these conflicts in a pyproject.toml; ``members`` are those of a workspace."""
    lists = (", ".join(_declared(scope, members) for scope in conflict) for conflict in conflicts)
    return f"[tool.deep-lock]\nconflicts = [{', '.join(f'[{own}]' for own in lists)}]"


def _declared(scope: Scope, members: Sequence[Member]) -> str:
    member, own = owners(members).get(scope, (None, scope))
    keys = [f'package = "{member.name}"'] if member is not None and (own == BASE or not member.root) else []
    keys += [f'{own.kind} = "{own.name}"'] if own != BASE else []
    return f"{{{', '.join(keys)}}}"


def parts_of(
    scope: Scope, wanted: Collection[Choice], free: Collection[Choice], every: Sequence[Choice]
) -> list[Scope]:
    """Return the parts of a scope that are selected with the wanted choices, and with no other one of ``every``.

    With the ``free`` ones they may be. The scope itself is the only part where nothing must be distinguished.
    """
    names = sorted(conflicting_scopes(every))
    forbidden = [choice for choice in every if choice not in wanted and choice not in free]
    waiting = [choice for choice in every if choice in wanted]
    found: list[Scope] = []
    while waiting:
        candidates = (_shortened(choice, names, forbidden) for choice in waiting)
        only, never = max(candidates, key=lambda own: (sum(_covers(own, choice) for choice in waiting), -len(own[1])))
        waiting = [choice for choice in waiting if not _covers((only, never), choice)]
        found.append(structs.replace(scope, only_with=tuple(sorted(only)), never_with=tuple(sorted(never))))
    return sorted(found)


_Literals = tuple[Choice, Choice]
"""Scopes that must be selected, and scopes that must not."""


def _covers(literals: _Literals, choice: Choice) -> bool:
    only, never = literals
    return only <= choice and not never & choice


def _shortened(choice: Choice, names: Sequence[Scope], forbidden: Sequence[Choice]) -> _Literals:
    """Return literals that a choice fulfils and no forbidden one does: one less would be too few."""
    only, never = choice, frozenset(names) - choice
    for name in reversed(names):  # "not in" first: the shorter marker
        if name in never and not any(_covers((only, never - {name}), other) for other in forbidden):
            never -= {name}
    for name in names:
        if name in only and not any(_covers((only - {name}, never), other) for other in forbidden):
            only -= {name}
    return only, never


def combined(
    by_choice: Mapping[Choice, Mapping[Scope, TargetPart]], every: Sequence[Choice], implied: Implied = NONE_IMPLIED
) -> Mapping[Scope, TargetPart]:
    """Return the scopes, or parts of them, that require a package, over all choices; each on a part of the target.

    What conflicting scopes require with a choice counts as required by the base with it.
    """
    if len(every) == 1:
        return by_choice.get(every[0], {})
    found: dict[Scope, TargetPart] = {}
    in_conflicts = conflicting_scopes(every)
    for scope in sorted({scope for own in by_choice.values() for scope in own}):
        impossible = [own for own in every if not _is_possible(scope, own, in_conflicts, implied)]
        by_part: dict[TargetPart, list[Choice]] = {}
        for choice in every:
            part = by_choice.get(choice, {}).get(scope)
            if part is not None:
                by_part.setdefault(part, []).append(choice)
        for part, wanted in by_part.items():
            free = [own for own in every if scope != BASE and by_choice.get(own, {}).get(BASE) == part] + impossible
            for own in parts_of(scope, [choice for choice in wanted if choice not in free], free, every):
                found[own] = found.get(own, NEVER) | part
    return found


class Declared(Struct, frozen=True, kw_only=True, order=True):
    """One scope of a declared conflict."""

    package: str = ""
    """The member of a workspace that has it, normalized; empty is the project itself."""
    scope: Scope


def read_declared(value: object) -> tuple[tuple[Declared, ...], ...]:
    """Read lists of tables such as ``[[{extra = "cpu"}, {package = "tools", extra = "gpu"}]]``, as uv has them; sorted.

    Raises ValueError.
    """
    if isinstance(value, list):
        return tuple(sorted({_read_conflict(own) for own in value}))
    raise ValueError("must be a list of lists of tables")


def read_conflicts(value: object) -> tuple[Conflict, ...]:
    """Read the conflicts of a lock, which name no package. Raises ValueError."""
    found = read_declared(value)
    if any(own.package for conflict in found for own in conflict):
        raise ValueError("must have tables without a package")
    return tuple(tuple(own.scope for own in conflict) for conflict in found)


def _read_conflict(value: object) -> tuple[Declared, ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise ValueError("must have lists of two tables or more")
    found = tuple(sorted({_read_scope(own) for own in value}))
    if len(found) < 2:
        raise ValueError(f"names {scope_text(found[0].scope)} twice in one list")
    return found


def _read_scope(value: object) -> Declared:
    if not isinstance(value, dict) or not all(isinstance(own, str) for own in value.values()):
        raise ValueError('must have tables such as {extra = "name"} or {group = "name"}')
    kinds = [kind for kind in ("extra", "group") if kind in value]
    if len(kinds) > 1 or not value or value.keys() - {*kinds, "package"}:
        raise ValueError(
            "must have tables with one of the keys extra and group; package may be added, or be the only key"
        )
    try:
        package = canonicalize_name(value["package"], validate=True) if "package" in value else ""
        if not kinds:
            return Declared(package=package, scope=BASE)
        name = canonicalize_name(value[kinds[0]], validate=True)
    except InvalidName as error:
        raise ValueError(str(error)) from None
    return Declared(package=package, scope=Scope(kind="extra" if kinds == ["extra"] else "group", name=name))
