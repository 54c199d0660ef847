"""A lock that another tool wrote: its runtime pins, exactly, and where each is installed.

`foreign_locks` makes these records from text, without requests to an index. What a format cannot express stays empty.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Literal

from msgspec import Struct
from packaging.markers import Marker
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.events import Warned
from deep_lock.models.requirement import Origin
from deep_lock.models.workspace import Member
from deep_lock.targets.markers import BASE, Scope

ForeignKind = Literal[
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.txt", "pip freeze"
]


class ForeignFile(Struct, frozen=True, kw_only=True):
    """A file that a foreign lock names. ``sha256`` is lower-case hex; None for another digest or none."""

    name: str
    sha256: str | None = None


class Condition(Struct, frozen=True, kw_only=True):
    """A pin is installed where the scope is selected and the marker holds with this selection (PEP 751 variables too)."""

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


class ForeignPin(Struct, frozen=True, kw_only=True):
    """One release (or direct reference) with its conditions: it is installed where any of them holds.

    Of two pins of one name only one is installed on a target with one selection.
    """

    name: NormalizedName
    version: Version | None
    """None for a source tree without a version in the lock."""
    url: str | None = None
    """A direct reference, as a requirement's URL: "git+https://...@commit#subdirectory=x", "https://.../x-1.whl",
    "./packages/lib" (relative to the folder of the foreign lock, with "#editable=true" for an editable one)."""
    conditions: tuple[Condition, ...] = ()
    """Of a lock that lists conditions with each pin; empty in a graph."""
    edges: tuple[Edge, ...] = ()
    fits: Marker | None = None
    """Where a pin that is among alternatives can be installed at all."""
    direct: bool = False
    """Whether the project itself requires it, where the lock says so."""
    extras: frozenset[NormalizedName] = frozenset()
    """Its extras that the project itself requires, where a lock that is no graph says so."""
    files: tuple[ForeignFile, ...] = ()
    """All files that the lock lists."""
    sha256s: frozenset[str] = frozenset()
    """Digests without file names: a file must have one of them."""
    index: str | None = None
    """URL of the index in the lock, without a login."""
    origin: Origin


class ForeignLock(Struct, frozen=True, kw_only=True):
    """The runtime part of a lock, and the environments that it is for."""

    kind: ForeignKind
    source: str
    """The file's name, for messages."""
    requires_python: str | None = None
    """A valid specifier set."""
    environments: tuple[str, ...] = ()
    """Markers: the lock is for where any of them holds; empty is everywhere."""
    pythons: tuple[str, ...] = ()
    """Minor versions ("3.12") that it was made for; empty: unknown."""
    platforms: tuple[str, ...] = ()
    """Names of `targets.platforms` that it was made for; empty: unknown."""
    one_environment: bool = False
    """Whether it was made from one environment, and holds for that one alone (pip freeze, pip lock)."""
    extras: tuple[NormalizedName, ...] = ()
    groups: tuple[NormalizedName, ...] = ()
    members: tuple[Member, ...] = ()
    """Of the lock of a workspace: then extras and groups have the names of a deep.lock, and there is no base. Paths are
    relative to the folder of the lock."""
    pins: tuple[ForeignPin, ...]
    index_options: tuple[tuple[str, str], ...] = ()
    """Index options of a requirements file, with their values. A value may hold a password."""
    roots: tuple[tuple[Scope, tuple[Edge, ...]], ...] = ()
    """Of a lock that is a graph: the edges of each scope."""
    default_groups: tuple[NormalizedName, ...] = ()
    """Groups of conditions that are selected with the project itself, and with an extra (PEP 751)."""
    selectors: tuple[tuple[Scope, frozenset[str]], ...] = ()
    """Selectors that are active where a scope is chosen (uv's conflicting extras)."""
    conflicts: tuple[frozenset[Scope], ...] = ()
    """Scopes of which no two can be chosen together."""
    notes: tuple[Warned, ...] = ()
    """What is in the lock and not in its pins, and what is missing in the lock although it matters."""


def installed_pins(
    lock: ForeignLock, environment: Mapping[str, str], chosen: Collection[Scope] | None = None
) -> dict[int, frozenset[Scope]]:
    """Return the indexes of the pins that are installed in an environment, with the scopes that install each.

    What a scope installs may depend on the others that are ``chosen`` with it (extras that conflict); only chosen scopes
    are returned. None is every scope, each chosen with the project itself and no other.
    Raises packaging's UndefinedEnvironmentName or UndefinedComparison on a marker that cannot be evaluated.
    """
    found: dict[int, set[Scope]] = {}
    for index, pin in enumerate(lock.pins):
        for condition in pin.conditions:
            if (chosen is None or condition.scope in chosen) and _selected(lock, condition, environment):
                found.setdefault(index, set()).add(condition.scope)
    together = None if chosen is None else _follows(environment, selected_names(lock, environment, chosen))
    for scope, edges in lock.roots:
        if chosen is not None and scope not in chosen:
            continue
        follows = together or _follows(environment, selected_names(lock, environment, (BASE, scope)))
        for index in _installed_from(lock, edges, environment, follows):
            found.setdefault(index, set()).add(scope)
    return {index: frozenset(scopes) for index, scopes in sorted(found.items())}


def selected_names(lock: ForeignLock, environment: Mapping[str, str], chosen: Collection[Scope]) -> frozenset[str]:
    """Return the active selectors in an environment: those of the chosen scopes, and of the edges that they follow.

    The marker of an edge is evaluated with the selectors of the edge active: uv writes such edges so.
    """
    selected = frozenset[str]().union(*(names for scope, names in lock.selectors if scope in chosen))
    if not lock.selectors:
        return selected
    queue = [edge for scope, edges in lock.roots if scope in chosen for edge in edges]
    seen: set[tuple[int, NormalizedName | None]] = set()
    # breadth-first in the order of the lock, as uv does: a selector decides about the edges after it
    for edge in queue:
        if not is_followed(edge, environment, selected | edge.selects):
            continue
        selected |= edge.selects
        for extra in (None, *sorted(edge.extras)):
            if (edge.child, extra) not in seen:
                seen.add((edge.child, extra))
                queue += [below for below in lock.pins[edge.child].edges if below.of_extra == extra]
    return selected


def is_followed(edge: Edge, environment: Mapping[str, str], selected: frozenset[str]) -> bool:
    """Whether the marker of an edge holds. Raises as `installed_pins`."""
    return edge.marker is None or edge.marker.evaluate({**environment, "extras": selected}, context="lock_file")


def _follows(environment: Mapping[str, str], selected: frozenset[str]) -> Callable[[Edge], bool]:
    """Return `is_followed` with one selection. Each edge is evaluated once: several scopes follow it."""
    known: dict[int, bool] = {}

    def follows(edge: Edge) -> bool:
        key = id(edge)  # the lock has the edge as long as this function is used
        if key not in known:
            known[key] = is_followed(edge, environment, selected)
        return known[key]

    return follows


def _selected(lock: ForeignLock, condition: Condition, environment: Mapping[str, str]) -> bool:
    """Whether the marker of a condition holds with its scope selected, and no other."""
    scope = condition.scope
    groups = (scope.name,) if scope.kind == "group" else lock.default_groups
    selected = {
        "extras": frozenset((scope.name,)) if scope.kind == "extra" else frozenset[str](),
        "dependency_groups": frozenset[str](groups),
    }
    return condition.marker is None or condition.marker.evaluate({**environment, **selected}, context="lock_file")


def _installed_from(
    lock: ForeignLock, edges: tuple[Edge, ...], environment: Mapping[str, str], follows: Callable[[Edge], bool]
) -> frozenset[int]:
    """Return the indexes of all pins that these edges install."""
    excluded = frozenset(
        index
        for index, pin in enumerate(lock.pins)
        if pin.fits is not None and not pin.fits.evaluate(dict(environment), context="metadata")
    )
    while True:
        indexes, followed = _followed(lock, edges, follows, excluded)
        more = _newly_excluded(lock, followed) - excluded
        if not more:
            return indexes
        excluded |= more


def _followed(
    lock: ForeignLock, edges: tuple[Edge, ...], follows: Callable[[Edge], bool], excluded: frozenset[int]
) -> tuple[frozenset[int], list[Edge]]:
    """Follow the edges whose markers hold; return the indexes of their pins, and the edges."""
    queue = list(edges)
    seen: set[tuple[int, NormalizedName | None]] = set()
    followed: list[Edge] = []
    while queue:
        edge = queue.pop()
        if not follows(edge):
            continue
        followed.append(edge)
        child = next((index for index in (edge.child, *edge.alternatives) if index not in excluded), edge.child)
        for extra in (None, *edge.extras):
            if (child, extra) not in seen:
                seen.add((child, extra))
                queue += [below for below in lock.pins[child].edges if below.of_extra == extra]
    return frozenset(index for index, _ in seen), followed


def _newly_excluded(lock: ForeignLock, followed: list[Edge]) -> frozenset[int]:
    """Return the indexes of pins that one edge has among alternatives, and another edge to the same name excludes."""
    common: dict[NormalizedName, frozenset[int]] = {}
    optional: set[int] = set()
    for edge in followed:
        candidates = frozenset((edge.child, *edge.alternatives))
        name = lock.pins[edge.child].name
        common[name] = common.get(name, candidates) & candidates
        if edge.alternatives:
            optional |= candidates
    return frozenset(index for index in optional if (kept := common[lock.pins[index].name]) and index not in kept)
