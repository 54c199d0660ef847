"""A lock as places, and the edges between them: entries at run time, builds, and the members of their environments.

Law: the project asks for what is marked as direct, or, where not every edge is known, for what no other entry needs. Below an
entry or a member stands what it depends on, then how it is built; below a build, the environment that builds it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from deep_lock.model.installed import everything, present
from deep_lock.model.lock import EnvironmentMember, LockedBuild, LockedPackage
from deep_lock.model.register import Key, Register, covers, is_gate, key_of, meant, parsed, record_key
from deep_lock.model.target import Target

NodeKind = Literal["entry", "build", "member"]


class Node(Struct, frozen=True, kw_only=True):
    """A place on a chain: an entry at run time, a build, or a member of the environment of a build."""

    kind: NodeKind
    key: Key
    """Of the entry, of what is built, of the member's entry."""
    build: int = -1
    """The place of the record in the lock: of a build, and of the build that a member belongs to."""


class Places(Struct, frozen=True, kw_only=True, eq=False):
    """The places of a lock, on one target or on any."""

    register: Register
    installed: Mapping[Key, LockedPackage]
    """What the run time holds."""
    own_builds: tuple[int, ...]
    """The records of the project itself, by their place in the lock."""
    builds: Mapping[Key, tuple[int, ...]]
    """The records of entries, by their place in the lock."""


def open_places(register: Register, *, target: Target | None = None, builds: bool = True) -> Places:
    """Return the places of a lock that are there on a target, with every extra and group; None: on any.

    Without ``builds`` only the run time.
    """
    lock = register.lock
    if target is None:
        runtime = [entry for entry in lock.packages if not is_gate(entry.marker)]
    else:
        runtime = present(register, target, everything(register))
    own: list[int] = []
    records: dict[Key, list[int]] = {}
    for place, build in enumerate(lock.builds if builds else ()):
        if target is None or covers(build, target.label):
            (own if build.needed == "project" else records.setdefault(record_key(build), [])).append(place)
    return Places(
        register=register,
        installed={key_of(entry): entry for entry in runtime},
        own_builds=tuple(own),
        builds={key: tuple(found) for key, found in records.items()},
    )


def roots(places: Places) -> Iterator[Node]:
    """Yield what the project asks for itself, then its own builds."""
    needed = {reference.name for entry in places.installed.values() for reference in entry.dependencies}
    direct = any(entry.direct for entry in places.installed.values())
    # of a lock that was made from another tool's pins, not every edge is known
    loose = places.register.lock.inputs.pinned or not direct
    for key, entry in places.installed.items():
        if entry.direct or (loose and entry.name not in needed):
            yield Node(kind="entry", key=key)
    yield from _builds(places, places.own_builds)


def below(places: Places, node: Node) -> Iterator[Node]:
    """Yield the places that a place brings in itself."""
    if node.kind == "build":
        yield from _asked(places.register.lock.builds[node.build], node.build)
        return
    yield from _children(places, node.key) if node.kind == "entry" else _inside(places, node)
    yield from _builds(places, places.builds.get(node.key, ()))


def _builds(places: Places, records: Iterable[int]) -> Iterator[Node]:
    for place in records:
        yield Node(kind="build", key=record_key(places.register.lock.builds[place]), build=place)


def _children(places: Places, key: Key) -> Iterator[Node]:
    entry = places.installed.get(key)
    for reference in entry.dependencies if entry is not None else ():
        for child in meant(reference, places.register):
            if key_of(child) in places.installed:
                yield Node(kind="entry", key=key_of(child))


def _inside(places: Places, node: Node) -> Iterator[Node]:
    """Yield the members that a member depends on in its own environment."""
    inside = {member.name: member for member in _members(places.register.lock.builds[node.build])}
    own = inside.get(node.key[0])
    for name in own.dependencies if own is not None else ():
        if name in inside:
            yield Node(kind="member", key=key_of(inside[name]), build=node.build)


def _asked(build: LockedBuild, place: int) -> Iterator[Node]:
    """Yield the members that the build itself asks for, and those that nothing in it is known to need."""
    texts = (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
    names = {requirement.name for requirement in parsed(texts)}
    inside = _members(build)
    needed = {name for member in inside for name in member.dependencies}
    for member in inside:
        if member.name in names or member.name not in needed:
            yield Node(kind="member", key=key_of(member), build=place)


def _members(build: LockedBuild) -> tuple[EnvironmentMember, ...]:
    """Return the members of both stages, each release once; what the final stage says of one counts."""
    known = {key_of(member): member for member in (*(build.declared_packages or ()), *build.packages)}
    return tuple(known[key] for key in sorted(known))
