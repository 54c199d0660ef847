"""The edges of one environment: who brings in whom at run time, or in the environment of one build.

Law: whatever stands in an environment hangs on its top. What nothing there is known to need is hung on the top itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from deep_lock.model.installed import Chosen
from deep_lock.model.lock import EnvironmentMember, LockedBuild, LockedInputs
from deep_lock.model.register import Key, Register, key_of, meant, parsed
from deep_lock.model.requirement import Requirement
from deep_lock.model.target import Target, UnevaluableMarker, holds

EdgeKind = Literal["runtime", "build", "inside"]
Texts = Sequence[tuple[str, int]]
"""Requirements as they were written, each with the targets on which its marker holds, as bits."""


class Masks(Struct, frozen=True, kw_only=True):
    """Sets of targets as bits, the first target lowest: they are cut and joined for each edge."""

    targets: tuple[Target, ...]
    known: dict[int, frozenset[str]] = field(default_factory=dict)
    """Filled as they are asked for: equal sets of labels are one object."""

    @property
    def everywhere(self) -> int:
        return (1 << len(self.targets)) - 1

    def where(self, true: Callable[[Target], bool]) -> int:
        """Return the targets of which something is true."""
        return sum(1 << place for place, target in enumerate(self.targets) if true(target))

    def bits(self, labels: frozenset[str]) -> int:
        """Return the set of these labels."""
        return self.where(lambda target: target.label in labels)

    def labels(self, bits: int) -> frozenset[str]:
        """Return the labels of a set."""
        found = self.known.get(bits)
        if found is None:
            found = frozenset(target.label for place, target in enumerate(self.targets) if bits >> place & 1)
            self.known[bits] = found
        return found


class DrawnEdge(Struct, frozen=True, kw_only=True):
    """An edge of one environment, with sets of targets as bits."""

    parent: Key | None
    """None is the top: the project, or what is built."""
    child: Key
    kind: EdgeKind
    bits: int
    requirements: tuple[str, ...] = ()
    declared_only: bool = False


def runtime_edges(register: Register, masks: Masks, chosen: Chosen, runtime: Mapping[Key, int]) -> Iterator[DrawnEdge]:
    """Yield what the project asks for, then the dependencies, in the lock's order."""
    needs: dict[Key, dict[Key, int]] = {}
    for key, bits in runtime.items():
        for reference in register.entries[key].dependencies:
            for child in map(key_of, meant(reference, register)):
                if both := bits & runtime.get(child, 0):
                    needs.setdefault(key, {})[child] = both
    direct = {key: bits for key, bits in runtime.items() if register.entries[key].direct}
    texts = _texts(_asked_by_project(register.lock.inputs, chosen), masks)
    top = _hung(runtime, needs, direct)
    for key in runtime:
        if key in top:
            asked = tuple(text for text, where in texts.get(key[0], ()) if where & top[key])
            yield DrawnEdge(parent=None, child=key, kind="runtime", bits=top[key], requirements=asked)
    for key in runtime:
        for child, bits in needs.get(key, {}).items():
            yield DrawnEdge(parent=key, child=child, kind="runtime", bits=bits)


def _asked_by_project(inputs: LockedInputs, chosen: Chosen) -> Iterator[str]:
    yield from inputs.requirements
    for names, tables in ((chosen.extras, inputs.extras), (chosen.groups, inputs.dependency_groups)):
        for name, texts in tables:
            if name in names:
                yield from texts


def build_edges(register: Register, masks: Masks, build: LockedBuild, bits: int) -> Iterator[DrawnEdge]:
    """Yield what a build asks for, then the dependencies inside its environment: of the final stage, then of the declared."""
    texts = _texts((*build.requires, *build.requires_user, *(build.requires_dynamic or ())), masks)
    seen: set[tuple[Key | None, Key]] = set()
    for stage, members in enumerate((build.packages, build.declared_packages or ())):
        for edge in _stage_edges(register, members, texts, bits):
            if (edge.parent, edge.child) not in seen:
                seen.add((edge.parent, edge.child))
                yield edge if stage == 0 else _declared(edge)


def _declared(edge: DrawnEdge) -> DrawnEdge:
    return DrawnEdge(
        parent=edge.parent,
        child=edge.child,
        kind=edge.kind,
        bits=edge.bits,
        requirements=edge.requirements,
        declared_only=True,
    )


def _stage_edges(
    register: Register, members: Sequence[EnvironmentMember], texts: Mapping[str, Texts], bits: int
) -> Iterator[DrawnEdge]:
    inside = {member.name: key_of(member) for member in members if key_of(member) in register.entries}
    needs = {
        inside[member.name]: {inside[name]: bits for name in member.dependencies if name in inside}
        for member in members
        if member.name in inside
    }
    asked: dict[Key, int] = {}
    for name, key in inside.items():
        for _, where in texts.get(name, ()):
            if where & bits:
                asked[key] = asked.get(key, 0) | where & bits
    top = _hung(dict.fromkeys(inside.values(), bits), needs, asked)
    for name, key in inside.items():
        if key in top:
            own = tuple(text for text, where in texts.get(name, ()) if where & bits)
            yield DrawnEdge(parent=None, child=key, kind="build", bits=top[key], requirements=own)
    for parent, children in needs.items():
        for child, both in children.items():
            yield DrawnEdge(parent=parent, child=child, kind="inside", bits=both)


def _texts(texts: Iterable[str], masks: Masks) -> dict[str, Texts]:
    """Return the requirements by name, each with where its marker holds; what holds on no target is left out."""
    found: dict[str, list[tuple[str, int]]] = {}
    for text in dict.fromkeys(texts):
        for requirement in parsed((text,)):
            if where := _where(requirement, masks):
                found.setdefault(requirement.name, []).append((text, where))
    return dict(found)


def _where(requirement: Requirement, masks: Masks) -> int:
    if requirement.marker is None:
        return masks.everywhere
    try:
        return masks.where(lambda target: holds(requirement.marker, target))
    except UnevaluableMarker:
        # the resolver leaves such a requirement out, and has said so
        return 0


def _hung(nodes: Mapping[Key, int], needs: Mapping[Key, Mapping[Key, int]], asked: Mapping[Key, int]) -> dict[Key, int]:
    """Return what hangs on the top: what is asked for; then what nothing needs; then the first of each circle left."""
    needed: dict[Key, int] = {}
    for parent, children in needs.items():
        for child, bits in children.items():
            needed[child] = needed.get(child, 0) | (bits if child != parent else 0)
    top = dict(asked)
    reached: dict[Key, int] = {}
    _flood(asked.items(), needs, reached)
    for wanted in (needed, {}):
        for key, bits in nodes.items():
            if loose := bits & ~reached.get(key, 0) & ~wanted.get(key, 0):
                top[key] = top.get(key, 0) | loose
                _flood([(key, loose)], needs, reached)
    return top


def _flood(starts: Iterable[tuple[Key, int]], needs: Mapping[Key, Mapping[Key, int]], reached: dict[Key, int]) -> None:
    waiting = list(starts)
    while waiting:
        key, bits = waiting.pop()
        if fresh := bits & ~reached.get(key, 0):
            reached[key] = reached.get(key, 0) | fresh
            waiting += [(child, fresh & both) for child, both in needs.get(key, {}).items() if fresh & both]
