"""A project that requires itself: the extras it asks of itself are put in place, and no self-edge is left.

Self-referential extras (``all = ["name[a,b]"]``) are an official idiom; they may be nested, carry markers and be cyclic.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import and_

from msgspec.structs import replace
from packaging.markers import Marker
from packaging.utils import NormalizedName

from deep_lock.errors import LimitExceeded
from deep_lock.inputs.requirement_list import check_count
from deep_lock.model.requirement import Requirement

Markers = tuple[Marker, ...]

MAX_NESTED_MARKERS = 50


def expand_self_references(
    requirements: tuple[Requirement, ...],
    name: NormalizedName | None,
    extras: Mapping[NormalizedName, tuple[Requirement, ...]],
    *,
    inside: NormalizedName | None = None,
    base: tuple[Requirement, ...] = (),
    on_unknown: Callable[[Requirement, NormalizedName], None],
) -> tuple[Requirement, ...]:
    """Replace each requirement on ``name`` by what it asks for, in place, under the markers on the way.

    ``inside`` is the extra that the list itself defines. ``base`` is what the bare name asks for: the project's
    dependencies, where the list does not belong to the project anyway (a dependency group).
    Raises LimitExceeded where nested extras multiply beyond reason.
    """
    if not any(requirement.name == name for requirement in requirements):
        return requirements
    found: list[Requirement] = []
    reached: dict[NormalizedName | None, list[frozenset[Marker]]] = {inside: [frozenset()]} if inside else {}
    pending: list[tuple[Requirement, Markers]] = [(requirement, ()) for requirement in reversed(requirements)]
    steps = 0
    while pending:
        steps += 1
        check_count(steps, f"{name}: extras that require each other")
        requirement, outer = pending.pop()
        marker = requirement.marker
        markers = outer if marker is None or marker in outer else (*outer, marker)
        if len(markers) > MAX_NESTED_MARKERS:
            raise LimitExceeded(f"{name}: extras nested more than {MAX_NESTED_MARKERS} deep, each with a marker")
        held = frozenset(markers)
        if requirement.name != name:
            found.append(replace(requirement, marker=reduce(and_, markers) if markers else None))
            continue
        for extra in (*sorted(requirement.extras, reverse=True), None):
            if extra is not None and extra not in extras:
                on_unknown(requirement, extra)
                continue
            # Reached before under weaker markers: nothing new, and the end of every cycle.
            if any(earlier <= held for earlier in reached.get(extra, [])):
                continue
            reached.setdefault(extra, []).append(held)
            asked = base if extra is None else extras[extra]
            pending.extend((child, markers) for child in reversed(asked))
    return tuple(found)
