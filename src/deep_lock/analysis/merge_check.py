"""Whether a merged lock installs what each extra and each group requires, and nothing else.

Two sides can each remove one of two requirements on a package; or one side removes the requirement on which a new one of the
other side relies. Then no side has a fault, and the merge has one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from deep_lock.lockfile.index import Key, LockIndex, called, index_lock, is_gate, key_of, parsed, referenced
from deep_lock.lockfile.selection import holds_in_lock, selection_of
from deep_lock.models.lock import Lock, LockedDirectory, LockedInputs, LockedPackage
from deep_lock.models.requirement import Requirement
from deep_lock.models.workspace import implied_scopes, scope_text
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.open_markers import MICRO_VARIABLES, SYSTEM_VARIABLES
from deep_lock.targets.target import Target, UnevaluableMarker, holds

Installed = Mapping[Key, LockedPackage]


def wrong_selections(merged: Lock, ours: Lock, theirs: Lock, targets: Sequence[Target]) -> Iterator[str]:
    """Yield a sentence for each package that a merged lock installs with a scope needlessly, or lacks there.

    A lock has the conditions of dependencies for folders only. Of other packages, each dependency that is installed counts as
    required, and one that is not installed as missing unless a side has it so. A lock with the pins of another tool is not
    checked: it does not have all requirements.
    """
    if merged.inputs.pinned:
        return
    graph, sides = _graph(merged), [index_lock(side) for side in (ours, theirs)]
    implied, lists = implied_scopes(merged.inputs.members), _lists(merged.inputs)
    for scope in (BASE, *lists):
        selected = {scope, implied.get(scope, scope)} - {BASE}
        texts = (*merged.inputs.requirements, *(text for own in sorted(selected) for text in lists.get(own, ())))
        known = [side for side in sides if scope == BASE or scope in _lists(side.lock.inputs)]
        for target in targets:
            there = _installed(graph.index, target, selected)
            before = [_installed(side, target, selected) for side in known]
            subject = f"with {scope_text(scope, merged.inputs.members)},"
            required = _required(graph, there, parsed(texts), target)
            for key in sorted(there.keys() - required.keys()):
                yield f"{subject} {called(there[key])} is installed, and nothing requires it"
            for key, extras in required.items():
                for child, _, is_certain in graph.children(there[key], extras, target):
                    is_optional = not is_certain and any(key in side and child not in side for side in before)
                    if child not in there and not is_optional:
                        yield f"{subject} {called(there[key])} is installed without {child[0]}"


class _Graph(Struct, frozen=True, kw_only=True):
    """A lock, and what its folders require."""

    index: LockIndex
    folders: Mapping[str, Sequence[Requirement]]
    """By path, of those folders whose requirements are known."""

    def children(
        self, entry: LockedPackage, extras: frozenset[str], target: Target
    ) -> Iterator[tuple[Key, frozenset[str], bool]]:
        """Yield what a package with these extras may depend on, with which extras, and whether it certainly does."""
        every = [key_of(own) for reference in entry.dependencies for own in referenced(reference, self.index)]
        path = entry.source.path if isinstance(entry.source, LockedDirectory) else ""
        if path not in self.folders:
            yield from ((key, frozenset(), False) for key in every)
            return
        for requirement in self.folders[path]:
            applies = _applies(requirement, extras, target)
            if applies is not False:
                keys = [key for key in every if key[0] == requirement.name]
                yield from ((key, frozenset(requirement.extras), applies is True and len(keys) == 1) for key in keys)


def _applies(requirement: Requirement, extras: frozenset[str], target: Target) -> bool | None:
    """Whether a requirement of a folder with these extras applies on a target; None where that is open."""
    if any(variable in str(requirement.marker or "") for variable in (*MICRO_VARIABLES, *SYSTEM_VARIABLES)):
        return None
    try:
        return holds(requirement.marker, target, ("", *extras))
    except UnevaluableMarker:
        return None


def _graph(lock: Lock) -> _Graph:
    folders = {tree.path: parsed(tree.requirements) for tree in lock.inputs.trees if tree.requirements is not None}
    return _Graph(index=index_lock(lock), folders=folders)


def _required(
    graph: _Graph, there: Installed, roots: Iterable[Requirement], target: Target
) -> Mapping[Key, frozenset[str]]:
    """Return the installed packages that these requirements need, each with its extras as far as they are known."""
    found: dict[Key, frozenset[str]] = {}
    waiting = [
        (key, frozenset[str](own.extras)) for own in roots for key, entry in there.items() if entry.name == own.name
    ]
    while waiting:
        key, extras = waiting.pop()
        if key in there and not (key in found and extras <= found[key]):
            found[key] = found.get(key, frozenset()) | extras
            waiting += [(child, own) for child, own, _ in graph.children(there[key], found[key], target)]
    return found


def _lists(inputs: LockedInputs) -> Mapping[Scope, tuple[str, ...]]:
    lists = {Scope(kind="extra", name=name): texts for name, texts in inputs.extras}
    return lists | {Scope(kind="group", name=name): texts for name, texts in inputs.dependency_groups}


def _installed(index: LockIndex, target: Target, selected: Iterable[Scope]) -> Installed:
    """Return what is installed with these scopes. A marker depends on those alone that it names: few evaluations are needed."""
    scopes = [(f"'{scope.name}'", scope) for scope in selected]
    return {
        key_of(entry): entry
        for entry in index.lock.packages
        if not is_gate(entry.marker)
        and _holds(entry.marker, target, frozenset(own for text, own in scopes if text in (entry.marker or "")))
    }


@lru_cache(maxsize=65536)
def _holds(marker: str | None, target: Target, selected: frozenset[Scope]) -> bool:
    return holds_in_lock(marker, target, selection_of(selected))
