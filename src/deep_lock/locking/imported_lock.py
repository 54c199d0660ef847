"""Another tool's lock as the runtime part of a plan: which of its pins each target and each scope installs.

Invariant: its pins, hashes and conditions are kept exactly; deep-lock adds what builds them and nothing else.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from operator import or_

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.closure.model import Sources
from deep_lock.errors import HashMismatch, LockInvalid, Unsatisfiable, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.models.conflicts import Conflict, choices, chosen_scopes
from deep_lock.models.distribution import Distribution
from deep_lock.models.foreign_lock import ForeignLock, ForeignPin, installed_pins, is_followed, selected_names
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import FixedPins, Problem, RequirementScope
from deep_lock.models.workspace import implied_scopes, scope_text
from deep_lock.project.local_trees import LocalTrees
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.fixed_pins import unsupported_reason
from deep_lock.sanitize import listed, show
from deep_lock.targets.factory import HOST
from deep_lock.targets.markers import BASE, Scope, enlarge, with_parts
from deep_lock.targets.open_markers import NEVER, TargetPart, is_open, micro_part, micro_samples, part_text, whole
from deep_lock.targets.target import Target, UnevaluableMarker

_DECLARE_HINT = (
    "declare the targets: --python-version and --platform, or python-versions and platforms in [tool.deep-lock]"
)
_HASH_HINT = "the index or the lock was changed: find out which before you install anything from it"


MAX_SHOWN_HASHES = 3


class TargetHints(Struct, frozen=True, kw_only=True):
    """The targets of a lock, as the options would name them."""

    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


def target_hints(lock: ForeignLock) -> TargetHints:
    """Return the Pythons and platforms that a lock was made for; nothing where it does not state them."""
    here = (HOST,) if lock.one_environment else ()
    return TargetHints(pythons=lock.pythons or here, platforms=lock.platforms or here)


def targets_outside(lock: ForeignLock, targets: tuple[Target, ...]) -> dict[Target, UsageError]:
    """Return the targets that the lock's own environments exclude, with the error of each."""
    return {
        target: UsageError(
            f"{lock.source} is not for {target.label}: it names the environments {'; '.join(lock.environments)}",
            hint=_DECLARE_HINT,
        )
        for target in targets
        if not _admits(lock, target)
    }


def _admits(lock: ForeignLock, target: Target) -> bool:
    if not lock.environments:
        return True
    try:
        return any(Marker(text).evaluate(dict(target.environment)) for text in lock.environments)
    except (InvalidMarker, *UnevaluableMarker) as error:
        raise LockInvalid(f"{lock.source}: an environment in it cannot be evaluated: {error}") from None


def unsupported_targets(
    lock: ForeignLock, problems: tuple[Problem, ...], sources: Sources
) -> dict[Target, Unsatisfiable]:
    """Return the targets that cannot take every pin of the lock, and why. Raises IndexFault and HashMismatch."""
    found: dict[Target, Unsatisfiable] = {}
    for problem in problems:
        pins, catalog = problem.fixed_pins or (), sources.for_problem(problem)
        if problem.target not in found and (reason := unsupported_reason(problem, pins, catalog)):
            hint = _missing_hint(lock, pins, problem.target, catalog) or _DECLARE_HINT
            found[problem.target] = Unsatisfiable(reason, hint=hint)
    return found


def _missing_hint(lock: ForeignLock, pins: Iterable[FixedPins], target: Target, catalog: Catalog) -> str:
    """Return the remedy for a pin of which no index has a file; "" where each has one."""
    for pin in pins:
        name, version = pin.requirement.name, pin.version
        if pin.requirement.url is not None or version is None or catalog.files(name, version, target):
            continue
        if version.local is not None:
            return (
                f"{version} has a local version, whose files are on an index of their own. Name it with"
                f" --index URL, or in [[tool.deep-lock.index]], and assign {name} to it in [tool.deep-lock.sources]"
            )
        return (
            f"name the index that has {name} {version}, with --index URL; or remove the pin from {lock.source}"
            " where the file is written by hand"
        )
    return ""


def recorded_requirements(
    lock: ForeignLock,
    scopes: Sequence[Scope],
    conflicts: Sequence[Conflict],
    targets: tuple[Target, ...],
    trees: LocalTrees,
) -> tuple[RequirementScope, ...]:
    """Return `scope_requirements` as a lock records them: of all choices between its conflicts.

    What the base installs only with a choice is recorded with the scopes of the choice. Raises as `scope_requirements`.
    """
    implied = implied_scopes(lock.members)
    allowed = choices(conflicts, scopes, implied)
    chosen = (chosen_scopes(scopes, own, allowed, implied) for own in allowed)
    first, *others = (scope_requirements(lock, own, targets, trees) for own in chosen)
    found = {scope: dict.fromkeys(dict(first).get(scope, ())) for scope in scopes}
    for choice, own in zip(allowed[1:], others, strict=True):
        for scope, requirements in own:
            for holder in choice if scope == BASE else (scope,):
                found[holder] |= dict.fromkeys(one for one in requirements if one not in found.get(BASE, ()))
    return tuple((scope, tuple(own)) for scope, own in found.items())


def scope_requirements(
    lock: ForeignLock, scopes: Sequence[Scope], targets: tuple[Target, ...], trees: LocalTrees
) -> tuple[RequirementScope, ...]:
    """Return what each scope installs together with the others, as requirements with markers that are exact on the targets.

    What an extra of a member installs as the member itself does is listed there only.
    Raises LockInvalid and RequirementInvalid.
    """
    implied = implied_scopes(lock.members)
    parts: dict[Scope, dict[int, dict[str, TargetPart]]] = {scope: {} for scope in scopes}
    for target in targets:
        for index, own in _installed(lock, target, scopes).items():
            for scope in own.keys() & parts.keys():
                parts[scope].setdefault(index, {})[target.label] = own[scope]

    @cache  # many scopes install the same
    def requirement(index: int, where: tuple[tuple[str, TargetPart], ...]) -> Requirement:
        return _requirement(lock.pins[index], trees, _marker(dict(where), targets))

    def is_of_member(scope: Scope, index: int) -> bool:
        return scope in implied and parts.get(implied[scope], {}).get(index) == parts[scope][index]

    return tuple(
        (
            scope,
            tuple(
                requirement(index, tuple(own.items()))
                for index, own in sorted(parts[scope].items())
                if not is_of_member(scope, index)
            ),
        )
        for scope in scopes
    )


def lockable_parts(
    lock: ForeignLock, scopes: Collection[Scope], targets: tuple[Target, ...], reporter: Reporter
) -> dict[str, TargetPart]:
    """Return the part of each target, by label, that deep.lock is for, where it is not for all of it, and warn of it.

    A target of deep.lock has one version of each package: if its micro versions have two, those of the newest one count.
    ``scopes`` are selected together.
    """
    parts = {target.label: _lockable(lock, target, _samples(lock, target, scopes)) for target in targets}
    found = {target.label: parts[target.label] for target in targets if parts[target.label] != whole(target)}
    for target in targets:
        if target.label in found:
            pins = {index for installed, _ in _samples(lock, target, scopes) for index in installed}
            counts = Counter(lock.pins[index].name for index in pins)
            names = ", ".join(sorted(name for name, count in counts.items() if count > 1))
            message = (
                f"pins two versions of {names} for different micro versions of {target.label}: the environments of"
                f" deep.lock have those of the newest one only ({part_text(found[target.label], target)})"
            )
            reporter(Warned(code="open-marker", subject=lock.source, message=message))
    return found


def fixed_pins(lock: ForeignLock, scopes: Iterable[Scope], target: Target, trees: LocalTrees) -> tuple[FixedPins, ...]:
    """Return the pins that one target installs, sorted by name.

    Raises Unsatisfiable where two scopes exclude each other or pin different versions of one package, LockInvalid and
    RequirementInvalid.
    """
    chosen = frozenset(scopes)
    _refuse_conflicts(lock, chosen)
    found: dict[NormalizedName, tuple[ForeignPin, frozenset[Scope]]] = {}
    for index, parts in _installed(lock, target, chosen).items():
        pin, own = lock.pins[index], frozenset(parts)
        if not own & chosen:
            continue
        first, scopes = found.get(pin.name, (pin, own))
        if (first.version, first.url) != (pin.version, pin.url):
            raise _two_versions(lock, target, (first, scopes), (pin, own), chosen)
        # one version in two sections, or under two markers that the target fulfils
        found[pin.name] = (
            replace(first, extras=first.extras | pin.extras, direct=first.direct or pin.direct),
            scopes | own,
        )
    extras = _direct_extras(lock, target, chosen)
    return tuple(
        FixedPins(
            requirement=_requirement(pin, trees, None, extras.get(name, frozenset())),
            version=pin.version,
            direct=pin.direct,
        )
        for name, (pin, _) in sorted(found.items())
    )


_Samples = list[tuple[dict[int, frozenset[Scope]], int]]
"""What each range of micro versions installs, and the range as bits; the newest one is the last."""


def _installed(lock: ForeignLock, target: Target, chosen: Collection[Scope]) -> dict[int, dict[Scope, TargetPart]]:
    """Return the pins of the lockable part of a target, with the part on which each scope installs each."""
    found: dict[int, dict[Scope, TargetPart]] = {}
    samples = _samples(lock, target, chosen)
    lockable = _lockable(lock, target, samples)
    for installed, micros in samples:
        part = micro_part(micros) & lockable
        for index, scopes in installed.items() if not part.is_never else ():
            own = found.setdefault(index, {})
            own.update((scope, own.get(scope, NEVER) | part) for scope in scopes)
    every = whole(target)
    if lockable == every:
        return dict(sorted(found.items()))
    return {index: dict.fromkeys(own, every) for index, own in sorted(found.items())}


def _lockable(lock: ForeignLock, target: Target, samples: _Samples) -> TargetPart:
    names = [lock.pins[index].name for index in {index for installed, _ in samples for index in installed}]
    if len(samples) == 1 or len(names) == len(set(names)):
        return whole(target)
    newest, _ = samples[-1]
    return reduce(or_, (micro_part(micros) for installed, micros in samples if installed == newest))


def _samples(lock: ForeignLock, target: Target, chosen: Collection[Scope]) -> _Samples:
    texts = filter(is_open, _marker_texts(lock))
    try:
        return [
            (installed_pins(lock, environment, chosen), micros) for environment, micros in micro_samples(texts, target)
        ]
    except UnevaluableMarker as error:
        raise LockInvalid(f"{lock.source}: a marker in it cannot be evaluated on {target.label}: {error}") from None


def _marker_texts(lock: ForeignLock) -> Iterator[str]:
    markers = [edge.marker for _, own in lock.roots for edge in own]
    for pin in lock.pins:
        markers += [pin.fits, *(own.marker for own in pin.conditions), *(own.marker for own in pin.edges)]
    yield from (str(marker) for marker in markers if marker is not None)


def _marker(parts: Mapping[str, TargetPart], targets: tuple[Target, ...]) -> str | None:
    # markers of the lock cannot distinguish twins either
    twins = {label: part for own, part in parts.items() for label in enlarge([own], targets)}
    return with_parts({label: {BASE: part} for label, part in twins.items()}, targets)


def _requirement(
    pin: ForeignPin, trees: LocalTrees, marker: str | None, extras: frozenset[NormalizedName] = frozenset()
) -> Requirement:
    requirement = Requirement(
        name=pin.name,
        extras=extras,
        specifier=SpecifierSet("" if pin.url is not None or pin.version is None else f"=={pin.version}"),
        marker=Marker(marker) if marker is not None else None,
        url=pin.url,
        origin=pin.origin,
    )
    return trees.named(requirement) if pin.url is not None else requirement


def _direct_extras(
    lock: ForeignLock, target: Target, chosen: Collection[Scope]
) -> dict[NormalizedName, frozenset[NormalizedName]]:
    """Return the extras that the project itself requires, by package; those that pins require are in the pins."""
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
            names = " and ".join(scope_text(scope, lock.members) for scope in both)
            raise Unsatisfiable(
                f"{lock.source} states that {names} exclude each other", hint=_apart_hint(lock, chosen, both)
            )


def _two_versions(
    lock: ForeignLock,
    target: Target,
    one: tuple[ForeignPin, frozenset[Scope]],
    other: tuple[ForeignPin, frozenset[Scope]],
    chosen: frozenset[Scope],
) -> Unsatisfiable:
    versions = " and ".join(
        f"{pin.version or pin.url} for {', '.join(scope.name or 'the project' for scope in sorted(scopes))}"
        for pin, scopes in (one, other)
    )
    message = f"{lock.source} contains {one[0].name} twice for {target.label}: {versions}"
    if one[1] & other[1]:
        origins = f"{one[0].origin} and {other[0].origin}"
        hint = f"the markers of both hold on this target: correct one of them ({origins}), or lock again with the tool"
        return Unsatisfiable(message, hint=hint)
    return Unsatisfiable(message, hint=_apart_hint(lock, chosen, sorted(one[1] | other[1])))


def _apart_hint(lock: ForeignLock, chosen: frozenset[Scope], conflict: Sequence[Scope]) -> str:
    """Return how to lock parts of a project that exclude each other: each with another file as its lock."""
    apart = next((scope for scope in reversed(conflict) if scope != BASE), BASE)
    left = [scope.name for scope in sorted(chosen) if scope.kind == apart.kind and scope != apart]
    kind = "groups" if apart.kind == "group" else "extras"
    alone = f"--only-group {apart.name}" if apart.kind == "group" else f"--extra {apart.name}"
    without = " ".join(f"--{apart.kind} {name}" for name in left) or f"{kind} = [] in [tool.deep-lock]"
    return (
        f"a target of deep.lock has one version of each package: make two locks, one without the {apart.kind}"
        f" ({without}), and one for it (deep-lock deepen {lock.source} {alone} -o deep-{apart.name}.lock)"
    )


class ImportedHashes:
    """The hashes that another tool's lock has of the files of its releases."""

    def __init__(self, lock: ForeignLock) -> None:
        self._source = lock.source
        self._pins: dict[tuple[NormalizedName, Version], list[ForeignPin]] = {}
        for pin in lock.pins:
            if pin.version is not None and pin.url is None:
                self._pins.setdefault((pin.name, pin.version), []).append(pin)

    def kept(self, name: NormalizedName, version: Version, files: Sequence[Distribution]) -> Sequence[Distribution]:
        """Return the files that have one of the hashes; of a release without hashes, all. Raises HashMismatch."""
        indexes = {file.index for file in files}
        hashes = self._hashes(name, version, indexes.pop() if len(indexes) == 1 else None)
        if hashes is None:
            return files
        named, unnamed = hashes
        kept = [
            file
            for file in files
            if file.filename in named or file.sha256 in unnamed or (unnamed and file.sha256 is None)
        ]
        for file in kept:
            self._compare(file.filename, file.sha256, named, unnamed)
        if files and not kept:
            wanted = listed(sorted({*filter(None, named.values()), *unnamed}), MAX_SHOWN_HASHES) or "no sha256"
            there = [f"{show(file.filename)} has sha256 {file.sha256 or '(not stated)'}" for file in files]
            raise HashMismatch(
                f"{self._source} pins {name} {version}, and no file of it on the index has a hash from that lock:"
                f" that lock has {wanted}; the index has {listed(there, MAX_SHOWN_HASHES)}",
                hint=_HASH_HINT,
            )
        return kept

    def is_about(self, name: NormalizedName, version: Version) -> bool:
        """Whether the lock has hashes of a release."""
        return self._hashes(name, version) is not None

    def check(self, lock: Lock) -> None:
        """Compare the files of a finished lock, whose sha256 are all known. Raises HashMismatch."""
        for file, named, unnamed in self._files(lock):
            self._compare(file.name, file.sha256, named, unnamed)

    def changes(self, lock: Lock) -> Iterator[str]:
        """Yield a sentence for each file of an earlier lock whose hash changed since."""
        for file, named, unnamed in self._files(lock):
            if file.name in named:
                change = f"another sha256 for {show(file.name)}"
                fits = named[file.name] in {None, file.sha256}
            else:
                change, fits = f"no hash for {show(file.name)}", file.sha256 in unnamed
            if not fits:
                yield f"{self._source} now has {change}"

    def _files(self, lock: Lock) -> Iterator[tuple[LockedFile, Mapping[str, str | None], frozenset[str]]]:
        """Yield the files of pinned releases that have hashes, with these hashes."""
        for entry in lock.packages:
            if entry.version is None:
                continue
            hashes = self._hashes(canonicalize_name(entry.name), Version(entry.version), entry.index)
            if hashes is not None:
                for file in (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ())):
                    yield file, *hashes

    def _hashes(
        self, name: NormalizedName, version: Version, index: str | None = None
    ) -> tuple[Mapping[str, str | None], frozenset[str]] | None:
        """Return the sha256 by file name, and those without one; None where a pin of the release has no hash.

        The lock may have the release of several indexes: then those of ``index``.
        """
        pins = self._pins.get((name, version), [])
        same = [pin for pin in pins if (pin.index or "").rstrip("/") == (index or "").rstrip("/")]
        pins = same or pins
        if not pins or not all(pin.files or pin.sha256s for pin in pins):
            return None
        named = {file.name: file.sha256 for pin in pins for file in pin.files}
        return named, frozenset(sha256 for pin in pins for sha256 in pin.sha256s)

    def _compare(self, name: str, sha256: str | None, named: Mapping[str, str | None], unnamed: frozenset[str]) -> None:
        expected = named.get(name)
        if sha256 is None or sha256 == expected or sha256 in unnamed or (name in named and expected is None):
            return
        stated = expected or listed(sorted(unnamed), MAX_SHOWN_HASHES)
        raise HashMismatch(
            f"{show(name)} has sha256 {sha256} on the index, but sha256 {stated} in {self._source}", hint=_HASH_HINT
        )
