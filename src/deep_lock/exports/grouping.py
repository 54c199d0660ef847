"""The fewest groups without a quarrel inside: colouring a graph, exactly where it is small.

Law: the same graph gives the same groups, and what quarrels with nothing changes no other's group.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

MOST_STEPS = 50_000
"""Of the exact search, for each number of groups that is tried in one connected part: well below a second."""

Quarrels = Sequence[frozenset[int]]
"""Of each member, with which others it cannot be together."""


class Grouped(Struct, frozen=True, kw_only=True):
    """To which group each member belongs, from 0."""

    groups: tuple[int, ...]
    fewest: bool
    """Whether it is proven that fewer do not suffice."""


class _TooLong(Exception):
    pass


def group(quarrels: Quarrels) -> Grouped:
    """Put the members into the fewest groups, each part of the graph that hangs together by itself.

    Among the answers with the fewest it is the one in which early members are in low groups. Where the search takes
    too long, each member goes into the first group that has a place for it.
    """
    groups = [0] * len(quarrels)
    fewest = True
    for part in _parts(quarrels):
        answer, proven = _part_groups(part, quarrels)
        fewest = fewest and proven
        for member, own in answer.items():
            groups[member] = own
    return Grouped(groups=tuple(groups), fewest=fewest)


def _parts(quarrels: Quarrels) -> list[list[int]]:
    """Return the connected parts, the members of each in order."""
    parts: list[list[int]] = []
    seen: set[int] = set()
    for first in range(len(quarrels)):
        waiting, part = [first], []
        while waiting:
            member = waiting.pop()
            if member not in seen:
                seen.add(member)
                part.append(member)
                waiting += quarrels[member]
        if part:
            parts.append(sorted(part))
    return parts


def _part_groups(part: list[int], quarrels: Quarrels) -> tuple[Mapping[int, int], bool]:
    greedy = _first_fit(part, quarrels)
    most = max(greedy.values()) + 1
    try:
        for count in range(_least(part, quarrels), most):
            found = _search(part, quarrels, count)
            if found is not None:
                return found, True
    except _TooLong:
        return greedy, False
    return greedy, True


def _least(part: list[int], quarrels: Quarrels) -> int:
    """Return a number of members that all quarrel with each other: fewer groups cannot do."""
    best = 1
    for member in part:
        clique = {member}
        for other in sorted(quarrels[member], key=lambda other: (-len(quarrels[other]), other)):
            if clique <= quarrels[other]:
                clique.add(other)
        best = max(best, len(clique))
    return best


def _first_fit(part: list[int], quarrels: Quarrels) -> dict[int, int]:
    answer: dict[int, int] = {}
    for member in part:
        taken = {answer[other] for other in quarrels[member] if other in answer}
        answer[member] = next(number for number in range(len(part)) if number not in taken)
    return answer


def _search(part: list[int], quarrels: Quarrels, count: int) -> Mapping[int, int] | None:
    """Return the first answer in the order of members and groups that has no more groups than ``count``.

    A walk with a stack of its own: at each depth, the group that the member there has.
    """
    chosen: list[int] = []
    place = {member: depth for depth, member in enumerate(part)}
    number, steps = 0, 0
    while len(chosen) < len(part):
        steps += 1
        if steps > MOST_STEPS:
            raise _TooLong
        depth = len(chosen)
        taken = {chosen[place[other]] for other in quarrels[part[depth]] if place[other] < depth}
        open_to = min(count, max(chosen, default=-1) + 2)
        found = next((own for own in range(number, open_to) if own not in taken), None)
        if found is not None:
            chosen.append(found)
            number = 0
        elif not chosen:
            return None
        else:
            number = chosen.pop() + 1
    return dict(zip(part, chosen, strict=True))
