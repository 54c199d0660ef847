"""What brings an entry of a lock in: chains from what the project asks for, across build levels.

Law: of all chains the one with the fewest builds is told, of these a shortest one, and the first of these in the lock's
order; equal locks have equal chains.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from deep_lock.model.lock import EnvironmentMember, LockedBuild, LockedPackage
from deep_lock.model.register import Key, Register, called, is_gate, key_of, meant, parsed

NodeKind = Literal["entry", "build", "member"]


class Node(Struct, frozen=True, kw_only=True):
    """A place on a chain: an entry at run time, a build, or a member of the environment of a build."""

    kind: NodeKind
    key: Key
    """Of the entry, of what is built, of the member's entry."""
    build: int = -1
    """The place of the record in the lock: of a build, and of the build that a member belongs to."""


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
    records: dict[Key, list[int]] = {}
    for place, build in enumerate(register.lock.builds):
        if build.needed != "project":
            records.setdefault((build.name, build.version or "", build.source or ""), []).append(place)
    before: dict[Node, Node | None] = {}
    parents: dict[Node, list[Node | None]] = {}
    nearest: dict[Key, Node] = {}
    level: deque[tuple[Node, Node | None]] = deque((root, None) for root in _roots(register))
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
        for below in _below(register, node, records):
            (deeper if below.kind == "build" else level).append((below, node))
    every = {node: tuple(dict.fromkeys(above)) for node, above in parents.items()}
    return Chains(register=register, before=before, parents=every, nearest=nearest)


def _roots(register: Register) -> Iterator[Node]:
    """What the project asks for itself, and its own builds; where no entry says so, what no other entry needs."""
    lock = register.lock
    installed = [entry for entry in lock.packages if not is_gate(entry.marker)]
    # of a lock that was made from another tool's pins, not every edge is known
    needed = {reference.name for entry in installed for reference in entry.dependencies}
    loose = lock.inputs.pinned or not any(entry.direct for entry in installed)
    direct = [entry for entry in installed if entry.direct or (loose and entry.name not in needed)]
    yield from (Node(kind="entry", key=key_of(entry)) for entry in direct)
    for place, build in enumerate(lock.builds):
        if build.needed == "project":
            yield Node(kind="build", key=(build.name, build.version or "", build.source or ""), build=place)


def _below(register: Register, node: Node, records: Mapping[Key, list[int]]) -> Iterator[Node]:
    if node.kind == "build":
        yield from _asked(register.lock.builds[node.build], node.build)
        return
    for place in records.get(node.key, ()):
        yield Node(kind="build", key=node.key, build=place)
    if node.kind == "entry":
        entry = register.entries.get(node.key)
        yield from (Node(kind="entry", key=key_of(child)) for child in _children(register, entry))
        return
    build = register.lock.builds[node.build]
    inside = {member.name: member for member in _members(build)}
    own = inside.get(node.key[0])
    for name in own.dependencies if own is not None else ():
        if name in inside:
            yield Node(kind="member", key=key_of(inside[name]), build=node.build)


def _children(register: Register, entry: LockedPackage | None) -> Iterator[LockedPackage]:
    for reference in entry.dependencies if entry is not None else ():
        yield from (child for child in meant(reference, register) if not is_gate(child.marker))


def _asked(build: LockedBuild, place: int) -> Iterator[Node]:
    """The members that the build itself asks for, then those that nothing in it is known to need."""
    texts = (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
    names = {requirement.name for requirement in parsed(texts)}
    members = _members(build)
    needed = {name for member in members for name in member.dependencies}
    for member in members:
        if member.name in names or member.name not in needed:
            yield Node(kind="member", key=key_of(member), build=place)


def _members(build: LockedBuild) -> tuple[EnvironmentMember, ...]:
    known = {key_of(member): member for member in (*(build.declared_packages or ()), *build.packages)}
    return tuple(known[key] for key in sorted(known))
