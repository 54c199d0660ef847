"""A lock as a tree: what the project asks for, what that needs, and below what is built, the environment that builds it.

Law: what was shown in full once is shown as one line, with "(*)", after that: a graph of a thousand entries has too many paths.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from deep_lock.display import show
from deep_lock.model.chains import Node
from deep_lock.model.installed import everything, present
from deep_lock.model.lock import LockedBuild, LockedPackage
from deep_lock.model.register import Key, Register, called, covers, is_gate, key_of, meant, members, parsed, record_key
from deep_lock.model.target import Target

Below = Callable[[Node], list[Node]]


class Shape(Struct, frozen=True, kw_only=True):
    """What of the tree is shown."""

    builds: bool = False
    depth: int | None = None
    """Levels below the top; None: all."""
    target: Target | None = None
    """Only what is there on this target; None: on any."""


def tree_text(register: Register, shape: Shape) -> str:
    """Return the tree from the project down."""
    graph = _Graph(register, shape)
    return _drawn(graph.roots(), graph.below, graph.label, shape.depth)


def inverted_text(register: Register, shape: Shape, names: Iterable[str]) -> str:
    """Return the tree from some entries up to the project: who needs them."""
    graph = _Graph(register, shape)
    wanted = frozenset(names)
    above: dict[Node, list[Node]] = {}
    tops: dict[Node, None] = {}
    seen: set[Node] = set()
    queue = graph.roots()
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        for child in graph.below(node):
            above.setdefault(child, []).append(node)
            queue.append(child)
    for node in sorted(seen, key=lambda node: (node.key, node.kind, node.build)):
        if node.key[0] in wanted and node.kind != "build":
            tops[node] = None
    return _drawn(list(tops), lambda node: list(dict.fromkeys(above.get(node, ()))), graph.label, shape.depth)


class _Graph:
    """Entries, builds and members of environments, and the edges between them, on the shape's target."""

    def __init__(self, register: Register, shape: Shape) -> None:
        self._register = register
        self._shape = shape
        lock = register.lock
        if shape.target is None:
            own = [entry for entry in lock.packages if not is_gate(entry.marker)]
        else:
            own = present(register, shape.target, everything(register))
        self._installed = {key_of(entry): entry for entry in own}
        self._records: dict[Key, list[int]] = {}
        for place, build in enumerate(lock.builds):
            if build.needed != "project" and self._holds(build):
                self._records.setdefault(record_key(build), []).append(place)

    def _holds(self, build: LockedBuild) -> bool:
        return self._shape.builds and (self._shape.target is None or covers(build, self._shape.target.label))

    def roots(self) -> list[Node]:
        needed = {reference.name for entry in self._installed.values() for reference in entry.dependencies}
        loose = self._register.lock.inputs.pinned or not any(entry.direct for entry in self._installed.values())
        found = [
            Node(kind="entry", key=key)
            for key, entry in self._installed.items()
            if entry.direct or (loose and entry.name not in needed)
        ]
        for place, build in enumerate(self._register.lock.builds):
            if build.needed == "project" and self._holds(build):
                found.append(Node(kind="build", key=record_key(build), build=place))
        return found

    def below(self, node: Node) -> list[Node]:
        if node.kind == "build":
            return self._asked(self._register.lock.builds[node.build], node.build)
        found = [Node(kind="build", key=node.key, build=place) for place in self._records.get(node.key, ())]
        if node.kind == "entry":
            children = (
                child
                for reference in self._installed[node.key].dependencies
                for child in meant(reference, self._register)
                if key_of(child) in self._installed
            )
            return [Node(kind="entry", key=key_of(child)) for child in children] + found
        inside = {member.name: member for member in members(self._register.lock.builds[node.build])}
        own = inside.get(node.key[0])
        names = own.dependencies if own is not None else ()
        return [
            Node(kind="member", key=key_of(inside[name]), build=node.build) for name in names if name in inside
        ] + found

    @staticmethod
    def _asked(build: LockedBuild, place: int) -> list[Node]:
        texts = (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
        names = {requirement.name for requirement in parsed(texts)}
        needed = {name for member in members(build) for name in member.dependencies}
        known = {key_of(member): member for member in members(build)}
        return [
            Node(kind="member", key=key, build=place)
            for key, member in sorted(known.items())
            if member.name in names or member.name not in needed
        ]

    def label(self, node: Node) -> str:
        if node.kind == "build":
            build = self._register.lock.builds[node.build]
            where = f" on {', '.join(build.targets)}" if build.targets and self._shape.target is None else ""
            return show(f"build of {called(build)} by {build.backend}{where} [{build.evidence}]", limit=400)
        entry = self._register.entries.get(node.key)
        return show(_told(entry) if entry is not None else " ".join(node.key[:2]))


def _told(entry: LockedPackage) -> str:
    return f"{called(entry)}{' (sdist only)' if entry.sdist_only else ''}"


def _drawn(tops: list[Node], below: Below, label: Callable[[Node], str], depth: int | None) -> str:
    """Draw without recursion: the stack holds what is still to come, with the bars in front of it."""
    lines: list[str] = []
    shown: set[tuple[object, ...]] = set()
    stack: list[tuple[Node, str, str, int]] = [(node, "", "", 0) for node in reversed(tops)]
    while stack:
        node, lead, bars, level = stack.pop()
        children = below(node)
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
