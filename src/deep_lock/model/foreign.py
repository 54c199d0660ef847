"""A lock that another tool wrote: its runtime pins, exactly, with where each is installed.

Readers in `inputs/` make these records from text; nothing here or there asks an index. What a form cannot say stays empty.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from packaging.markers import Marker
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.model.requirement import Origin
from deep_lock.model.target_markers import Scope

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


class Need(Struct, frozen=True, kw_only=True):
    """An edge of a lock that is a graph: who has it brings in another pin."""

    child: int
    """The place of a pin in the lock's pins."""
    others: tuple[int, ...] = ()
    """Pins of the same name that would do as well, the next best first: of a lock whose edges only give a range of
    versions. Taken is the first one that every edge admits which is followed to that name."""
    extras: frozenset[NormalizedName] = frozenset()
    """Of the child, brought in too."""
    marker: Marker | None = None
    """Evaluated with the selected scope's `selectors` text as ``extra``."""
    of_extra: NormalizedName | None = None
    """The extra of the pin that has the edge; None: the pin by itself."""


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
    needs: tuple[Need, ...] = ()
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
    roots: tuple[tuple[Scope, tuple[Need, ...]], ...] = ()
    """Of a lock that is a graph: what each scope asks for."""
    selectors: tuple[tuple[Scope, str], ...] = ()
    """What stands for a selected scope as ``extra`` in the markers of edges (uv's conflicting extras)."""
    notes: tuple[ForeignNote, ...] = ()
    """What the lock says and its pins do not, and what it does not say although it matters."""


def installed_pins(lock: ForeignLock, environment: Mapping[str, str]) -> dict[int, frozenset[Scope]]:
    """Return the places of the pins that are installed in an environment, with the scopes that install each.

    Raises packaging's UndefinedEnvironmentName or UndefinedComparison on a marker that cannot be evaluated.
    """
    found: dict[int, set[Scope]] = {}
    for place, pin in enumerate(lock.pins):
        for condition in pin.conditions:
            if condition.marker is None or _selected(condition.marker, condition.scope, environment):
                found.setdefault(place, set()).add(condition.scope)
    selectors = dict(lock.selectors)
    for scope, needs in lock.roots:
        for place in _reached(lock, needs, {**environment, "extra": selectors.get(scope, "")}):
            found.setdefault(place, set()).add(scope)
    return {place: frozenset(scopes) for place, scopes in sorted(found.items())}


def _selected(marker: Marker, scope: Scope, environment: Mapping[str, str]) -> bool:
    selected = {
        "extras": frozenset((scope.name,)) if scope.kind == "extra" else frozenset[str](),
        "dependency_groups": frozenset((scope.name,)) if scope.kind == "group" else frozenset[str](),
    }
    return marker.evaluate({**environment, **selected}, context="lock_file")


def _reached(lock: ForeignLock, needs: tuple[Need, ...], environment: Mapping[str, str]) -> frozenset[int]:
    """Return the places of all pins that these edges bring in."""
    barred = frozenset(
        place
        for place, pin in enumerate(lock.pins)
        if pin.fits is not None and not pin.fits.evaluate(dict(environment), context="metadata")
    )
    while True:
        places, followed = _followed(lock, needs, environment, barred)
        refused = _refused(lock, followed) - barred
        if not refused:
            return places
        barred |= refused


def _followed(
    lock: ForeignLock, needs: tuple[Need, ...], environment: Mapping[str, str], barred: frozenset[int]
) -> tuple[frozenset[int], list[Need]]:
    """Walk the edges whose markers hold; return the places that they lead to, and the edges."""
    waiting = list(needs)
    seen: set[tuple[int, NormalizedName | None]] = set()
    followed: list[Need] = []
    while waiting:
        need = waiting.pop()
        if need.marker is not None and not need.marker.evaluate(dict(environment), context="metadata"):
            continue
        followed.append(need)
        child = next((place for place in (need.child, *need.others) if place not in barred), need.child)
        for extra in (None, *need.extras):
            if (child, extra) not in seen:
                seen.add((child, extra))
                waiting += [below for below in lock.pins[child].needs if below.of_extra == extra]
    return frozenset(place for place, _ in seen), followed


def _refused(lock: ForeignLock, followed: list[Need]) -> frozenset[int]:
    """Return the places that one edge offers among others, and another edge to the same name does not admit."""
    admitted: dict[NormalizedName, frozenset[int]] = {}
    offered: set[int] = set()
    for need in followed:
        choice = frozenset((need.child, *need.others))
        name = lock.pins[need.child].name
        admitted[name] = admitted.get(name, choice) & choice
        if need.others:
            offered |= choice
    return frozenset(place for place in offered if (kept := admitted[lock.pins[place].name]) and place not in kept)
