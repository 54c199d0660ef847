"""A lock as a tree: what the project asks for, what that needs, and below what is built, the environment that builds it.

Law: what was shown in full once is shown as one line, with "(*)", after that: a graph of a thousand entries has too many paths.
"""

from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct

from deep_lock.display import show
from deep_lock.model.lock import LockedPackage
from deep_lock.model.places import Node, Places, below, open_places, roots
from deep_lock.model.register import Register, called
from deep_lock.model.target import Target

Below = Callable[[Node], Iterable[Node]]


class Shape(Struct, frozen=True, kw_only=True):
    """What of the tree is shown."""

    builds: bool = False
    depth: int | None = None
    """Levels below the top; None: all."""
    target: Target | None = None
    """Only what is there on this target; None: on any."""


def tree_text(register: Register, shape: Shape) -> str:
    """Return the tree from the project down."""
    places = open_places(register, target=shape.target, builds=shape.builds)
    return _drawn(list(roots(places)), partial(below, places), _labels(places, shape), shape.depth)


def inverted_text(register: Register, shape: Shape, names: Iterable[str]) -> str:
    """Return the tree from some entries up to the project: who needs them."""
    places = open_places(register, target=shape.target, builds=shape.builds)
    wanted = frozenset(names)
    above: dict[Node, list[Node]] = {}
    tops: dict[Node, None] = {}
    seen: set[Node] = set()
    queue = list(roots(places))
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        for child in below(places, node):
            above.setdefault(child, []).append(node)
            queue.append(child)
    for node in sorted(seen, key=lambda node: (node.key, node.kind, node.build)):
        if node.key[0] in wanted and node.kind != "build":
            tops[node] = None
    return _drawn(list(tops), lambda node: dict.fromkeys(above.get(node, ())), _labels(places, shape), shape.depth)


def _labels(places: Places, shape: Shape) -> Callable[[Node], str]:
    return partial(_label, places, everywhere=shape.target is None)


def _label(places: Places, node: Node, *, everywhere: bool) -> str:
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


def _drawn(tops: list[Node], following: Below, label: Callable[[Node], str], depth: int | None) -> str:
    """Draw without recursion: the stack holds what is still to come, with the bars in front of it."""
    lines: list[str] = []
    shown: set[tuple[object, ...]] = set()
    stack: list[tuple[Node, str, str, int]] = [(node, "", "", 0) for node in reversed(tops)]
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
