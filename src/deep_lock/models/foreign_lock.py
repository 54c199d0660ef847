"""A lock that another tool wrote: its runtime pins, exactly, with where each is installed.

Readers in `inputs/` make these records from text; nothing here or there asks an index. What a form cannot say stays empty.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import Struct
from packaging.markers import Marker
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.requirement import Origin
from deep_lock.targets.markers import BASE, Scope

ForeignKind = Literal[
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.txt", "pip freeze"
]


class ForeignFile(Struct, frozen=True, kw_only=True):
    """A file that a foreign lock names. ``sha256`` is lower-case hex; None where it gives another digest or none."""

    name: str
    sha256: str | None = None


class Condition(Struct, frozen=True, kw_only=True):
    """When a pin is installed: its scope is selected, and the marker holds with this selection (PEP 751 variables too)."""

    scope: Scope
    marker: Marker | None = None


class Edge(Struct, frozen=True, kw_only=True):
    """An edge of a lock that is a graph: a scope or a pin depends on another pin."""

    child: int
    """The index of a pin in the lock's pins."""
    alternatives: tuple[int, ...] = ()
    """Other pins of the same name, the next best first: of a lock whose edges only have a range of versions. The first
    pin that is in the ranges of all followed edges to the name is installed."""
    extras: frozenset[NormalizedName] = frozenset()
    """Extras of the child that are installed too."""
    marker: Marker | None = None
    """Evaluated as in lock files (PEP 751), with the active selectors as ``extras``."""
    selects: frozenset[str] = frozenset()
    """Selectors that following the edge makes active."""
    of_extra: NormalizedName | None = None
    """The extra of the parent pin that has the edge; None: the pin without an extra."""


class ForeignNote(Struct, frozen=True, kw_only=True):
    """What the user should know of a foreign lock. ``code`` as of `events.Warned`."""

    code: str
    subject: str
    message: str


class ForeignPin(Struct, frozen=True, kw_only=True):
    """One release (or direct reference), with the conditions under which it is installed: any of them is enough.

    Two pins of one name are told apart by their conditions: on one target, with one selection, only one of them holds.
    """

    name: NormalizedName
    version: Version | None
    """None where the lock names none: of a source tree."""
    url: str | None = None
    """A direct reference, as a requirement's URL: "git+https://...@commit#subdirectory=x", "https://.../x-1.whl",
    "./packages/lib" (seen from the folder of the foreign lock, "#editable=true" where it is so)."""
    conditions: tuple[Condition, ...] = ()
    """Of a lock that lists conditions with each pin; empty in a graph."""
    edges: tuple[Edge, ...] = ()
    fits: Marker | None = None
    """Where it can be taken at all, of a pin that edges offer among others."""
    direct: bool = False
    """Whether the project itself asks for it, where the lock tells."""
    extras: frozenset[NormalizedName] = frozenset()
    """Of it, that the project itself asks for, where a lock that is no graph tells."""
    files: tuple[ForeignFile, ...] = ()
    """All that it lists; empty where it names none."""
    sha256s: frozenset[str] = frozenset()
    """Digests that are given without file names: a file must have one of them."""
    index: str | None = None
    """Where the lock says that it is from, without a login."""
    origin: Origin


class ForeignLock(Struct, frozen=True, kw_only=True):
    """The runtime part of a lock, and what it tells of the environments that it is for."""

    kind: ForeignKind
    source: str
    """The file's name, for messages."""
    requires_python: str | None = None
    """A valid specifier set."""
    environments: tuple[str, ...] = ()
    """Markers: the lock is for where any of them holds; empty is everywhere."""
    pythons: tuple[str, ...] = ()
    """Minor versions ("3.12") that it was made for, where it tells them; empty: not told."""
    platforms: tuple[str, ...] = ()
    """Names of `model.platforms` that it was made for, where it tells them; empty: not told."""
    one_environment: bool = False
    """Whether it was made by looking at one environment, and holds for that one alone (pip freeze, pip lock)."""
    extras: tuple[NormalizedName, ...] = ()
    groups: tuple[NormalizedName, ...] = ()
    pins: tuple[ForeignPin, ...]
    roots: tuple[tuple[Scope, tuple[Edge, ...]], ...] = ()
    """Of a lock that is a graph: what each scope asks for."""
    default_groups: tuple[NormalizedName, ...] = ()
    """Groups of conditions that are selected with the project itself, and with an extra (PEP 751)."""
    selectors: tuple[tuple[Scope, frozenset[str]], ...] = ()
    """What is on in the markers of edges where a scope is chosen (uv's conflicting extras)."""
    conflicts: tuple[frozenset[Scope], ...] = ()
    """Scopes of which no two can be chosen together."""
    notes: tuple[ForeignNote, ...] = ()
    """What the lock says and its pins do not, and what it does not say although it matters."""


def installed_pins(
    lock: ForeignLock, environment: Mapping[str, str], chosen: Collection[Scope] | None = None
) -> dict[int, frozenset[Scope]]:
    """Return the places of the pins that are installed in an environment, with the scopes that install each.

    What a scope installs may depend on the others that are ``chosen`` with it (extras that conflict), and only these are
    told. None is every scope, each chosen beside the project itself and no other.
    Raises packaging's UndefinedEnvironmentName or UndefinedComparison on a marker that cannot be evaluated.
    """
    found: dict[int, set[Scope]] = {}
    for place, pin in enumerate(lock.pins):
        for condition in pin.conditions:
            if (chosen is None or condition.scope in chosen) and _selected(lock, condition, environment):
                found.setdefault(place, set()).add(condition.scope)
    for scope, edges in lock.roots:
        if chosen is not None and scope not in chosen:
            continue
        selected = selected_names(lock, environment, (BASE, scope) if chosen is None else chosen)
        for place in _reached(lock, edges, environment, selected):
            found.setdefault(place, set()).add(scope)
    return {place: frozenset(scopes) for place, scopes in sorted(found.items())}


def selected_names(lock: ForeignLock, environment: Mapping[str, str], chosen: Collection[Scope]) -> frozenset[str]:
    """Return the selectors that are on in an environment: those of the chosen scopes, and of the edges that they follow.

    An edge that selects is judged as if what it selects were on already: uv writes such edges so.
    """
    selected = frozenset[str]().union(*(names for scope, names in lock.selectors if scope in chosen))
    if not lock.selectors:
        return selected
    waiting = [edge for scope, edges in lock.roots if scope in chosen for edge in edges]
    seen: set[tuple[int, NormalizedName | None]] = set()
    # in the order of the lock, first near and then far, as uv goes: what is on early decides what is met later
    for edge in waiting:
        if not is_followed(edge, environment, selected | edge.selects):
            continue
        selected |= edge.selects
        for extra in (None, *sorted(edge.extras)):
            if (edge.child, extra) not in seen:
                seen.add((edge.child, extra))
                waiting += [below for below in lock.pins[edge.child].edges if below.of_extra == extra]
    return selected


def is_followed(edge: Edge, environment: Mapping[str, str], selected: frozenset[str]) -> bool:
    """Whether the marker of an edge holds. Raises as `installed_pins`."""
    return edge.marker is None or edge.marker.evaluate({**environment, "extras": selected}, context="lock_file")


def _selected(lock: ForeignLock, condition: Condition, environment: Mapping[str, str]) -> bool:
    """Whether the marker of a condition holds with its scope selected, and no other."""
    scope = condition.scope
    groups = (scope.name,) if scope.kind == "group" else lock.default_groups
    selected = {
        "extras": frozenset((scope.name,)) if scope.kind == "extra" else frozenset[str](),
        "dependency_groups": frozenset[str](groups),
    }
    return condition.marker is None or condition.marker.evaluate({**environment, **selected}, context="lock_file")


def _reached(
    lock: ForeignLock, edges: tuple[Edge, ...], environment: Mapping[str, str], selected: frozenset[str]
) -> frozenset[int]:
    """Return the places of all pins that these edges bring in."""
    barred = frozenset(
        place
        for place, pin in enumerate(lock.pins)
        if pin.fits is not None and not pin.fits.evaluate(dict(environment), context="metadata")
    )
    while True:
        places, followed = _followed(lock, edges, environment, selected, barred)
        refused = _refused(lock, followed) - barred
        if not refused:
            return places
        barred |= refused


def _followed(
    lock: ForeignLock,
    edges: tuple[Edge, ...],
    environment: Mapping[str, str],
    selected: frozenset[str],
    barred: frozenset[int],
) -> tuple[frozenset[int], list[Edge]]:
    """Walk the edges whose markers hold; return the places that they lead to, and the edges."""
    waiting = list(edges)
    seen: set[tuple[int, NormalizedName | None]] = set()
    followed: list[Edge] = []
    while waiting:
        edge = waiting.pop()
        if not is_followed(edge, environment, selected):
            continue
        followed.append(edge)
        child = next((place for place in (edge.child, *edge.alternatives) if place not in barred), edge.child)
        for extra in (None, *edge.extras):
            if (child, extra) not in seen:
                seen.add((child, extra))
                waiting += [below for below in lock.pins[child].edges if below.of_extra == extra]
    return frozenset(place for place, _ in seen), followed


def _refused(lock: ForeignLock, followed: list[Edge]) -> frozenset[int]:
    """Return the places that one edge offers among others, and another edge to the same name does not admit."""
    admitted: dict[NormalizedName, frozenset[int]] = {}
    offered: set[int] = set()
    for edge in followed:
        choice = frozenset((edge.child, *edge.alternatives))
        name = lock.pins[edge.child].name
        admitted[name] = admitted.get(name, choice) & choice
        if edge.alternatives:
            offered |= choice
    return frozenset(place for place in offered if (kept := admitted[lock.pins[place].name]) and place not in kept)
