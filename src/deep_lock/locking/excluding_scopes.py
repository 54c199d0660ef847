"""Why a lock is impossible: which extras and groups exclude each other, and how the project can say so."""

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from deep_lock.closure.model import Sources
from deep_lock.errors import LimitExceeded, Unsatisfiable
from deep_lock.models.conflicts import Conflict, Implied, choices, chosen_scopes, declaration
from deep_lock.models.resolution import Impossible, Problem, RequirementScope
from deep_lock.models.workspace import Member, implied_scopes, scope_text
from deep_lock.resolver.candidates import Choices
from deep_lock.resolver.resolver import resolve
from deep_lock.targets.markers import BASE, Scope

MAX_SCOPES = 500
MAX_LISTS = 64
"""How many lists of scopes are looked at for conflicts."""
MAX_ROUNDS = 2_000
"""Of one resolution. What is known then is what the hint names."""


def conflict_hint(
    problems: Sequence[Problem],
    scopes: Sequence[RequirementScope],
    declared: Sequence[Conflict],
    catalog: Sources,
    *,
    members: Sequence[Member] = (),
) -> str:
    """Return all ``conflicts`` to declare, where extras and groups are what cannot be locked together; else "".

    ``problems`` are the runtime problems, ``scopes`` what each part of the project requires. ``declared`` are the conflicts
    that the project declares already: the lines replace them. ``members`` are those of the workspace. Raises IndexFault.
    """
    selectable = [scope for scope, _ in scopes if scope != BASE]
    if not 1 < len(selectable) <= MAX_SCOPES:
        return ""
    implied = implied_scopes(members)
    allowed = choices(declared, selectable, implied)
    for problem in problems:
        together = chosen_scopes(selectable, problem.choice, allowed, implied)
        found = _conflicts(problem, scopes, together, implied, catalog)
        if found:
            found = sorted({*found, *declared})
            try:
                choices(found, selectable, implied)
            except LimitExceeded:
                found = _joined(found)
            pairs = "; ".join(" and ".join(scope_text(own, members) for own in conflict) for conflict in found)
            return (
                f"{pairs} exclude each other. If no installation needs more than one of a list, declare it. Then each allowed"
                f" selection is locked:\n{declaration(found, members)}"
            )
    return ""


def _joined(conflicts: Sequence[Conflict]) -> list[Conflict]:
    """Return conflicts with those that have a scope in common as one: they allow fewer selections."""
    found: list[frozenset[Scope]] = []
    for conflict in conflicts:
        common = [own for own in found if not own.isdisjoint(conflict)]
        found = [own for own in found if own not in common] + [frozenset(conflict).union(*common)]
    return sorted(tuple(sorted(own)) for own in found)


def _conflicts(
    problem: Problem, scopes: Sequence[RequirementScope], together: Sequence[Scope], implied: Implied, catalog: Sources
) -> list[Conflict]:
    """Return conflicts of this problem; none if something else is the cause. ``together`` are its scopes.

    What is left without one scope of a known conflict can have others.
    """
    found: set[Conflict] = set()
    waiting, seen = [tuple(together)], set[tuple[Scope, ...]]()
    with suppress(Unsatisfiable):  # after MAX_ROUNDS
        while waiting and len(seen) < MAX_LISTS:
            left = waiting.pop()
            if left in seen:
                continue
            seen.add(left)
            conflict = next((own for own in found if set(own) <= set(left)), None)
            if conflict is None and _is_impossible(problem, scopes, left, catalog):
                conflict = tuple(sorted(_minimal(problem, scopes, left, catalog)))
                if len(conflict) < 2:
                    return []
                found.add(conflict)
            waiting += (
                tuple(own for own in left if own != scope and implied.get(own) != scope) for scope in conflict or ()
            )
    return sorted(found)


def _minimal(
    problem: Problem, scopes: Sequence[RequirementScope], impossible: Sequence[Scope], catalog: Sources
) -> list[Scope]:
    """Return the least scopes that have no answer together with the base, those at the end if there is a choice.

    Each of them is the last one of the shortest list that has no answer: some resolutions for each, and not one for each scope.
    """
    found: list[Scope] = []
    left = list(reversed(impossible))
    while not _is_impossible(problem, scopes, found, catalog):
        low, high = 1, len(left)
        while low < high:
            middle = (low + high) // 2
            if _is_impossible(problem, scopes, [*found, *left[:middle]], catalog):
                high = middle
            else:
                low = middle + 1
        found.append(left[high - 1])
        left = left[: high - 1]
    return [scope for scope in impossible if scope in found]


def _is_impossible(
    problem: Problem, scopes: Sequence[RequirementScope], kept: Sequence[Scope], catalog: Sources
) -> bool:
    requirements = tuple(requirement for scope, own in scopes if scope == BASE or scope in kept for requirement in own)
    own = replace(problem, requirements=requirements)
    return isinstance(resolve(own, catalog.for_problem(problem), Choices(), max_rounds=MAX_ROUNDS), Impossible)
