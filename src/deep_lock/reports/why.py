"""Why something is in a lock: every way in, across build levels.

Law: a way in is told for each place that brings the entry in, by the shortest chain that leads there. All chains would be
too many to read, and each of them ends in one of these.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from msgspec import Struct

from deep_lock.analysis.graph import Chain, Chains, Places, PositionNode, open_places, positions_below, roots, words
from deep_lock.lockfile.index import Key, LockIndex, called, key_of
from deep_lock.models.lock import LockedPackage
from deep_lock.sanitize import show
from deep_lock.targets.target import Target


class Ways(Struct, frozen=True, kw_only=True):
    """What brings one entry in."""

    entry: LockedPackage
    runtime: tuple[tuple[str, ...], ...]
    builds: tuple[tuple[str, ...], ...]


def ways(entry: LockedPackage, chains: Chains) -> Ways:
    """Return the ways into an entry, shortest first."""
    found = sorted(
        _chains(key_of(entry), chains), key=lambda chain: (sum(node.kind == "build" for node in chain), len(chain))
    )
    told = [(any(node.kind == "build" for node in chain), words(chains.register, chain)) for chain in found]
    return Ways(
        entry=entry,
        runtime=tuple(dict.fromkeys(chain for built, chain in told if not built)),
        builds=tuple(dict.fromkeys(chain for built, chain in told if built)),
    )


def _chains(key: Key, chains: Chains) -> Iterator[Chain]:
    for node, parents in chains.parents.items():
        if node.key == key and node.kind != "build":
            for parent in parents:
                yield (*_above(parent, chains), node)


def _above(parent: PositionNode | None, chains: Chains) -> Chain:
    return () if parent is None else chains.to(parent)


def why_text(every: tuple[Ways, ...], limit: int) -> str:
    """Return the ways as text; of each kind at most ``limit``."""
    lines: list[str] = []
    for own in every:
        lines.append(f"{show(called(own.entry))}: {_role(own.entry)}")
        for heading, ways_in in (("installed because of", own.runtime), ("builds use it because of", own.builds)):
            if ways_in:
                lines.append(f"  {heading}")
                lines += [f"    {' > '.join(map(show, chain))}" for chain in ways_in[:limit]]
                more = len(ways_in) - limit
                lines += [f"    ... and {more} more ways (--all)"] if more > 0 else []
        if not own.runtime and not own.builds:
            lines.append("  nothing is known to bring it in")
    return "\n".join([*lines, ""])


def _role(entry: LockedPackage) -> str:
    marks = ["build-only" if entry.build_only else "run time and builds" if entry.also_build else "run time"]
    marks += ["the project asks for it"] if entry.direct else []
    marks += ["sdist-only"] if entry.sdist_only else []
    marks += [f"built on {len(entry.build_on)} targets"] if entry.build_on else []
    return ", ".join(marks)


Below = Callable[[PositionNode], Iterable[PositionNode]]


class Shape(Struct, frozen=True, kw_only=True):
    """What of the tree is shown."""

    builds: bool = False
    depth: int | None = None
    """Levels below the top; None: all."""
    target: Target | None = None
    """Only what is there on this target; None: on any."""


def tree_text(register: LockIndex, shape: Shape) -> str:
    """Return the tree from the project down."""
    places = open_places(register, target=shape.target, builds=shape.builds)
    return _drawn(list(roots(places)), partial(positions_below, places), _labels(places, shape), shape.depth)


def inverted_text(register: LockIndex, shape: Shape, names: Iterable[str]) -> str:
    """Return the tree from some entries up to the project: who needs them."""
    places = open_places(register, target=shape.target, builds=shape.builds)
    wanted = frozenset(names)
    above: dict[PositionNode, list[PositionNode]] = {}
    tops: dict[PositionNode, None] = {}
    seen: set[PositionNode] = set()
    queue = list(roots(places))
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        for child in positions_below(places, node):
            above.setdefault(child, []).append(node)
            queue.append(child)
    for node in sorted(seen, key=lambda node: (node.key, node.kind, node.build)):
        if node.key[0] in wanted and node.kind != "build":
            tops[node] = None
    return _drawn(list(tops), lambda node: dict.fromkeys(above.get(node, ())), _labels(places, shape), shape.depth)


def _labels(places: Places, shape: Shape) -> Callable[[PositionNode], str]:
    return partial(_label, places, everywhere=shape.target is None)


def _label(places: Places, node: PositionNode, *, everywhere: bool) -> str:
    """Return the line of a place; ``everywhere`` says on which targets a build holds that does not hold on all."""
    register = places.register
    if node.kind == "build":
        build = register.lock.builds[node.build]
        where = f" on {', '.join(build.targets)}" if build.targets and everywhere else ""
        return show(f"build of {called(build)} by {build.backend}{where} [{build.evidence}]", limit=400)
    entry = register.entries.get(node.key)
    return show(_told(entry) if entry is not None else " ".join(node.key[:2]))


def _told(entry: LockedPackage) -> str:
    return f"{called(entry)}{' (sdist only)' if entry.sdist_only else ''}"


def _drawn(tops: list[PositionNode], following: Below, label: Callable[[PositionNode], str], depth: int | None) -> str:
    """Draw without recursion: the stack holds what is still to come, with the bars in front of it."""
    lines: list[str] = []
    shown: set[tuple[object, ...]] = set()
    stack: list[tuple[PositionNode, str, str, int]] = [(node, "", "", 0) for node in reversed(tops)]
    while stack:
        node, lead, bars, level = stack.pop()
        children = list(following(node))
        # the same release in two environments has the same below only if the environments are the same
        again = (node.kind, node.key, node.build)
        folded = again in shown and bool(children)
        lines.append(f"{lead}{label(node)}{' (*)' if folded else ''}")
        if folded or (depth is not None and level >= depth):
            continue
        shown.add(again)
        for place, child in reversed(list(enumerate(children))):
            last = place == len(children) - 1
            stack.append(
                (child, f"{bars}{'└── ' if last else '├── '}", f"{bars}{'    ' if last else '│   '}", level + 1)
            )
    return "\n".join([*lines, ""]) if lines else ""
