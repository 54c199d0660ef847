"""Which packages of a lock advisories affect, and where each of them is used: at run time, and in which builds.

Invariants:

- A version is affected as the algorithm of the OSV schema defines it, with the order of versions of PEP 440. What cannot be
  read never makes a version unaffected: a bound that is no version does not end a range.
- One vulnerability of a package is one hit, even if several databases have a record of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.analysis.graph import Graph, Position, path_words, position_paths
from deep_lock.analysis.severity import Rated, rate
from deep_lock.lockfile.index import Key, LockIndex, called, key_of
from deep_lock.models.advisory import SEVERITIES, Advisory, AuditScope, EventKind, home_rank, is_malware
from deep_lock.models.changes import Change
from deep_lock.models.lock import LockedBuild, LockedDirectory, LockedPackage
from deep_lock.pep440 import parse_version

AdvisoriesOf = Mapping[str, Sequence[Advisory]]
"""Advisories by normalized project name."""
_ALL_BEFORE = "0"
"""An event "introduced" of this version comes before every version, also before a pre-release of 0."""


class Vulnerability(Struct, frozen=True, kw_only=True):
    """What one or several databases say of one vulnerability of a package."""

    id: str
    aliases: tuple[str, ...]
    """All other IDs."""
    summary: str
    url: str
    rated: Rated
    fixed_in: tuple[str, ...]
    """Versions after the locked one of which a record states that they have the fix, the lowest first."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Every ID, the shown one first."""
        return self.id, *self.aliases

    @property
    def is_malware(self) -> bool:
        """Whether the package is malicious."""
        return is_malware(self.ids)


class Use(Struct, frozen=True, kw_only=True):
    """Where a package is installed: at run time, or while something is built."""

    build: LockedBuild | None
    """None: the run time."""
    targets: tuple[str, ...]
    """Labels."""
    is_everywhere: bool
    """Whether these are all targets of the lock."""
    chain: tuple[str, ...]
    """A shortest path to it, as `path_words`."""


class Hit(Struct, frozen=True, kw_only=True):
    """A package of the lock that a vulnerability affects."""

    entry: LockedPackage
    vulnerability: Vulnerability
    uses: tuple[Use, ...]
    """The run time first. Empty: nothing in the lock requires the package."""

    @property
    def key(self) -> Key:
        return key_of(self.entry)


class Compared(Struct, frozen=True, kw_only=True):
    """What was found, and how much was compared."""

    hits: tuple[Hit, ...]
    """Malware first, then the most severe."""
    packages: int
    """How many packages were compared."""
    not_compared: tuple[str, ...]
    """Packages without a version, or from a folder: no database can know them."""


def in_scope(lock_index: LockIndex, graph: Graph, scope: AuditScope) -> tuple[LockedPackage, ...]:
    """Return the packages that are installed at run time, or in builds, or all of the lock."""
    if scope == "all":
        return lock_index.lock.packages
    nodes = graph.nodes.values()
    return tuple(node.entry for node in nodes if (node.runtime if scope == "runtime" else node.used))


def is_comparable(entry: LockedPackage) -> bool:
    """Whether a database can know the package: a folder is the user's own project, by any name."""
    return _version(entry.version or "") is not None and not isinstance(entry.source, LockedDirectory)


def compare(lock_index: LockIndex, graph: Graph, advisories: AdvisoriesOf, scope: AuditScope = "all") -> Compared:
    """Compare the packages of a lock with advisories. ``graph`` is that of the whole lock."""
    entries = in_scope(lock_index, graph, scope)
    comparable = [entry for entry in entries if is_comparable(entry)]
    found = [
        (entry, vulnerability)
        for entry in comparable
        if (own := advisories.get(canonicalize_name(entry.name)))
        for vulnerability in vulnerabilities(entry.version or "", own)
    ]
    uses = _uses(graph, {key_of(entry) for entry, _ in found}, scope) if found else {}
    hits = [
        Hit(entry=entry, vulnerability=vulnerability, uses=uses.get(key_of(entry), ()))
        for entry, vulnerability in found
    ]
    return Compared(
        hits=tuple(sorted(hits, key=_rank)),
        packages=len(comparable),
        not_compared=tuple(called(entry) for entry in entries if not is_comparable(entry)),
    )


def _rank(hit: Hit) -> tuple[object, ...]:
    own = hit.vulnerability
    return not own.is_malware, SEVERITIES.index(own.rated.severity), -(own.rated.score or 0), hit.key, own.id


def _uses(graph: Graph, keys: set[Key], scope: AuditScope) -> dict[Key, tuple[Use, ...]]:
    """Return by package its uses, in the order of the environments."""
    paths = position_paths(graph)
    found: dict[Key, list[tuple[Position, Use]]] = {}
    for position, path in paths.items():
        environment = position.environment
        if position.key not in keys or scope == ("build" if environment.record is None else "runtime"):
            continue
        targets = environment.targets if environment.record is not None else graph.nodes[position.key].runtime
        use = Use(
            build=environment.record,
            targets=graph.labels_of(targets),
            is_everywhere=len(graph.labels_of(targets)) == len(graph.labels),
            chain=path_words(graph, path),
        )
        found.setdefault(position.key, []).append((position, use))
    return {
        key: tuple(use for _, use in sorted(own, key=lambda pair: pair[0].environment.number))
        for key, own in found.items()
    }


def changes(old: Sequence[Hit], new: Sequence[Hit]) -> list[Change]:
    """Return the vulnerabilities that only one of two locks has: those of the new one, then those that are fixed."""
    brought = [_change("advisory-new", hit) for hit in new if not _is_among(hit, old)]
    return brought + [_change("advisory-fixed", hit) for hit in old if not _is_among(hit, new)]


def _is_among(hit: Hit, others: Sequence[Hit]) -> bool:
    ids = set(hit.vulnerability.ids)
    return any(own.entry.name == hit.entry.name and ids.intersection(own.vulnerability.ids) for own in others)


def _change(code: str, hit: Hit) -> Change:
    own, version = hit.vulnerability, hit.entry.version or ""
    is_new = code == "advisory-new"
    severity = "malware" if own.is_malware else own.rated.severity
    verb = "affects" if is_new else "affected"
    return Change(
        code=code,
        name=hit.entry.name,
        was="" if is_new else version,
        now=version if is_new else "",
        message=f"{own.id} ({severity}) {verb} {version}: {own.summary}".rstrip(": "),
        chain=hit.uses[0].chain if hit.uses else (),
    )


# -- one package


def vulnerabilities(version: str, advisories: Sequence[Advisory]) -> tuple[Vulnerability, ...]:
    """Return the vulnerabilities that affect a version of a project, of these records of it."""
    affecting = [own for own in advisories if is_affected(version, own)]
    return tuple(_vulnerability(version, group) for group in _grouped(affecting))


def _grouped(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Return records with a common ID, also over another record, as one group each."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        ids, members = {advisory.id, *advisory.aliases}, [advisory]
        rest = []
        for own in groups:
            if own[0] & ids:
                ids |= own[0]
                members = [*own[1], *members]
            else:
                rest.append(own)
        groups = [*rest, (ids, members)]
    return [members for _, members in groups]


def _vulnerability(version: str, group: Sequence[Advisory]) -> Vulnerability:
    own = sorted({advisory.id for advisory in group}, key=home_rank)
    others = {alias for advisory in group for alias in advisory.aliases}.difference(own)
    malware = [alias for alias in sorted(others) if is_malware((alias,))]
    first = min(group, key=lambda advisory: home_rank(advisory.id))
    ids = [*malware, *own, *sorted(others.difference(malware), key=home_rank)]
    return Vulnerability(
        id=ids[0],
        aliases=tuple(ids[1:]),
        summary=first.summary or next((each.summary for each in group if each.summary), ""),
        url=first.url or next((each.url for each in group if each.url), ""),
        rated=rate(group),
        fixed_in=fixes(version, group),
    )


def fixes(version: str, group: Sequence[Advisory]) -> tuple[str, ...]:
    """Return the versions after this one that records of one vulnerability name as fixed, and that none of them affects."""
    locked = _version(version)
    named = {
        parsed: text
        for advisory in group
        for events in advisory.ranges
        for kind, text in events
        if kind == "fixed" and (parsed := _version(text)) is not None and (locked is None or parsed > locked)
    }
    return tuple(str(own) for own in sorted(named) if not any(is_affected(named[own], each) for each in group))


def is_affected(version: str, advisory: Advisory) -> bool:
    """Whether an advisory affects a version, as the OSV schema defines it ("Evaluation")."""
    parsed = _version(version)
    if parsed is None:
        return version in advisory.versions
    return _is_listed(parsed, advisory.versions) or any(_is_in_range(parsed, events) for events in advisory.ranges)


def _is_listed(version: Version, versions: Iterable[str]) -> bool:
    """Whether a version is listed; its local part counts only where the list has one."""
    public = _public(version)
    return any((listed := _version(text)) is not None and listed in {version, public} for text in versions)


def _is_in_range(version: Version, events: Sequence[tuple[EventKind, str]]) -> bool:
    limits = [text for kind, text in events if kind == "limit"]
    if limits and not any("*" in text or _is_before(version, text) for text in limits):
        return False
    affected = False
    for kind, text in sorted(events, key=_position):
        match kind:
            case "introduced" if text == _ALL_BEFORE or _compared(version, text) >= 0:
                affected = True
            case "fixed" if _compared(version, text, unreadable=-1) >= 0:
                affected = False
            case "last_affected" if _compared(version, text, unreadable=-1) > 0:
                affected = False
    return affected


def _position(event: tuple[EventKind, str]) -> tuple[bool, Version, bool]:
    """Return the order of an event. Those of equal versions keep the order of the record, but a last affected version comes last."""
    kind, text = event
    parsed = None if kind == "introduced" and text == _ALL_BEFORE else _version(text)
    return (False, Version("0"), False) if parsed is None else (True, parsed, kind == "last_affected")


def _is_before(version: Version, limit: str) -> bool:
    return _compared(version, limit, unreadable=-1) < 0


def _compared(version: Version, bound: str, *, unreadable: int = 0) -> int:
    """Return -1, 0 or 1 as a version is before, at or after a bound; ``unreadable`` for a bound that is no version.

    The local part of the version counts only where the bound has one: 2.0+cpu has the faults and the fixes of 2.0.
    """
    parsed = _version(bound)
    if parsed is None:
        return unreadable
    own = version if parsed.local is not None else _public(version)
    return (own > parsed) - (own < parsed)


def _public(version: Version) -> Version:
    return Version(version.public) if version.local is not None else version


@lru_cache(maxsize=4096)
def _version(text: str) -> Version | None:
    try:
        return parse_version(text)
    except InvalidVersion:
        return None


def unaffected(versions: Iterable[Version], advisories: Sequence[Advisory]) -> Iterator[Version]:
    """Yield the versions of a project that none of its advisories affects."""
    return (own for own in versions if not any(is_affected(str(own), each) for each in advisories))
