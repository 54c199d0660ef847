"""What brings an entry of a lock in: chains from what the project asks for, across build levels.

Law: of all chains the one with the fewest builds is told, of these a shortest one, and the first of these in the lock's
order; equal locks have equal chains.
"""

from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from deep_lock.model.places import Node, below, open_places, roots
from deep_lock.model.register import Key, Register, called

Chain = tuple[Node, ...]


class Chains(Struct, frozen=True, kw_only=True):
    """Every place of a lock, with the one before it on a shortest way from the project."""

    register: Register
    before: Mapping[Node, Node | None]
    """In the order in which they are reached. None: the project itself stands before it."""
    parents: Mapping[Node, tuple[Node | None, ...]]
    """All places before each one, the nearest first."""
    nearest: Mapping[Key, Node]
    """The place of each entry that is nearest to the project."""

    def level(self, key: Key) -> int | None:
        """Return how many builds stand above an entry: 0 at run time; None where nothing brings it in."""
        node = self.nearest.get(key)
        return sum(step.kind == "build" for step in self.to(node)) if node is not None else None

    def to(self, node: Node) -> Chain:
        """Return the way from the project to a place, the place included."""
        steps = [node]
        while (above := self.before[steps[-1]]) is not None:
            steps.append(above)
        return tuple(reversed(steps))

    def chain(self, key: Key) -> tuple[str, ...]:
        """Return the shortest way to an entry, in words; empty where nothing brings it in."""
        node = self.nearest.get(key)
        return words(self.register, self.to(node)) if node is not None else ()


def words(register: Register, chain: Chain) -> tuple[str, ...]:
    """Return a chain in words: "NAME VERSION", and "build of NAME VERSION" in the place of what is built."""
    found: list[str] = []
    for place, node in enumerate(chain):
        following = chain[place + 1] if place + 1 < len(chain) else None
        if following is not None and following.kind == "build":
            continue
        if node.kind == "build":
            found.append(f"build of {called(register.lock.builds[node.build])}")
        else:
            entry = register.entries.get(node.key)
            found.append(called(entry) if entry is not None else " ".join(node.key[:2]))
    return tuple(found)


def find_chains(register: Register) -> Chains:
    """Walk a lock from the project down, breadth first, by whatever edges it has. Linear in the edges."""
    places = open_places(register)
    before: dict[Node, Node | None] = {}
    parents: dict[Node, list[Node | None]] = {}
    nearest: dict[Key, Node] = {}
    level: deque[tuple[Node, Node | None]] = deque((root, None) for root in roots(places))
    deeper: deque[tuple[Node, Node | None]] = deque(item for item in level if item[0].kind == "build")
    level = deque(item for item in level if item[0].kind != "build")
    while level or deeper:
        if not level:
            level, deeper = deeper, deque()
        node, above = level.popleft()
        parents.setdefault(node, []).append(above)
        if node in before:
            continue
        before[node] = above
        if node.kind != "build":
            nearest.setdefault(node.key, node)
        for child in below(places, node):
            (deeper if child.kind == "build" else level).append((child, node))
    every = {node: tuple(dict.fromkeys(above)) for node, above in parents.items()}
    return Chains(register=register, before=before, parents=every, nearest=nearest)
