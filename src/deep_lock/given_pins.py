"""Another tool's lock as the runtime part of a plan: which of its pins each target and each scope takes.

Law: its pins, hashes and conditions are kept exactly; deep-lock adds what builds them and nothing else.
"""

from collections.abc import Collection, Iterable, Sequence

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from deep_lock.errors import LockInvalid, Unsatisfiable
from deep_lock.local_trees import LocalTrees
from deep_lock.model.foreign import ForeignLock, ForeignPin, installed_pins, is_followed, selected_names
from deep_lock.model.requirement import Requirement
from deep_lock.model.resolution import Given
from deep_lock.model.target import Target, UnevaluableMarker
from deep_lock.model.target_markers import Scope, enlarge, label_marker
from deep_lock.reach import Part

_TOGETHER = (
    "a target of deep.lock has one release of each project: name the extras and groups that go together, with --extra"
    " and --group"
)


def given_parts(
    lock: ForeignLock, scopes: Sequence[Scope], targets: tuple[Target, ...], trees: LocalTrees
) -> tuple[Part, ...]:
    """Return what each scope installs, as requirements with markers that are exact on the targets.

    Raises LockInvalid and RequirementInvalid.
    """
    labels: dict[tuple[Scope, int], set[str]] = {}
    for target in targets:
        for place, own in _installed(lock, target, scopes).items():
            for scope in own.intersection(scopes):
                labels.setdefault((scope, place), set()).add(target.label)
    return tuple(
        (
            scope,
            tuple(
                _requirement(lock.pins[place], trees, _marker(labels[scope, place], targets))
                for own, place in sorted(labels)
                if own == scope
            ),
        )
        for scope in scopes
    )


def given_on(lock: ForeignLock, scopes: Iterable[Scope], target: Target, trees: LocalTrees) -> tuple[Given, ...]:
    """Return the pins that one target takes, sorted by name.

    Raises Unsatisfiable where two scopes exclude each other or need different releases of one project, LockInvalid and
    RequirementInvalid.
    """
    wanted = frozenset(scopes)
    _refuse_conflicts(lock, wanted)
    found: dict[NormalizedName, tuple[ForeignPin, frozenset[Scope]]] = {}
    for place, own in _installed(lock, target, wanted).items():
        pin = lock.pins[place]
        if not own & wanted:
            continue
        if pin.name in found:
            raise _two(lock, target, found[pin.name], (pin, own))
        found[pin.name] = (pin, own)
    asked = _extras(lock, target, wanted)
    return tuple(
        Given(
            requirement=_requirement(pin, trees, None, asked.get(name, frozenset())),
            version=pin.version,
            direct=pin.direct,
        )
        for name, (pin, _) in sorted(found.items())
    )


def _installed(lock: ForeignLock, target: Target, chosen: Collection[Scope]) -> dict[int, frozenset[Scope]]:
    try:
        return installed_pins(lock, target.environment, chosen)
    except UnevaluableMarker as error:
        raise LockInvalid(f"{lock.source}: a marker in it cannot be evaluated on {target.label}: {error}") from None


def _marker(labels: Iterable[str], targets: tuple[Target, ...]) -> str | None:
    # markers of the lock cannot tell twins apart either
    return label_marker(enlarge(labels, targets), targets)


def _requirement(
    pin: ForeignPin, trees: LocalTrees, marker: str | None, extras: frozenset[NormalizedName] = frozenset()
) -> Requirement:
    made = Requirement(
        name=pin.name,
        extras=extras,
        specifier=SpecifierSet("" if pin.url is not None or pin.version is None else f"=={pin.version}"),
        marker=Marker(marker) if marker is not None else None,
        url=pin.url,
        origin=pin.origin,
    )
    return trees.named(made) if pin.url is not None else made


def _extras(
    lock: ForeignLock, target: Target, chosen: Collection[Scope]
) -> dict[NormalizedName, frozenset[NormalizedName]]:
    """Return the extras that the lock says are asked for by the project itself: what pins ask for, they say."""
    found: dict[NormalizedName, frozenset[NormalizedName]] = {pin.name: pin.extras for pin in lock.pins if pin.extras}
    selected = selected_names(lock, target.environment, chosen)
    for scope, needs in lock.roots:
        for need in needs if scope in chosen else ():
            if need.extras and is_followed(need, target.environment, selected):
                name = lock.pins[need.child].name
                found[name] = found.get(name, frozenset()) | need.extras
    return found


def _refuse_conflicts(lock: ForeignLock, chosen: frozenset[Scope]) -> None:
    for conflict in lock.conflicts:
        both = sorted(conflict & chosen)
        if len(both) > 1:
            told = " and ".join(f"{scope.kind} {scope.name!r}" if scope.name else "the project" for scope in both)
            raise Unsatisfiable(f"{lock.source} says that {told} exclude each other", hint=_TOGETHER)


def _two(lock: ForeignLock, target: Target, *pins: tuple[ForeignPin, frozenset[Scope]]) -> Unsatisfiable:
    told = " and ".join(
        f"{pin.version or pin.url} for {', '.join(scope.name or 'the project' for scope in sorted(scopes))}"
        for pin, scopes in pins
    )
    return Unsatisfiable(
        f"{lock.source} holds {pins[0][0].name} twice for {target.label}: {told}",
        hint=_TOGETHER,
    )
