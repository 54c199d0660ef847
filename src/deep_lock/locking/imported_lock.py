"""Another tool's lock as the runtime part of a plan: which of its pins each target and each scope takes.

Law: its pins, hashes and conditions are kept exactly; deep-lock adds what builds them and nothing else.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.closure.scopes import RequirementScope
from deep_lock.config.config import Config
from deep_lock.config.options import LockOptions
from deep_lock.errors import HashMismatch, LockInvalid, Unsatisfiable, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.models.distribution import Distribution
from deep_lock.models.foreign_lock import ForeignLock, ForeignPin, installed_pins, is_followed, selected_names
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import FixedPins, Problem
from deep_lock.project.local_trees import LocalTrees
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.fixed_pins import unsupported_reason
from deep_lock.sanitize import show
from deep_lock.targets.factory import HOST
from deep_lock.targets.markers import Scope, enlarge, label_marker
from deep_lock.targets.target import Target, UnevaluableMarker

_TOGETHER = (
    "a target of deep.lock has one release of each project: name the extras and groups that go together, with --extra"
    " and --group"
)


def given_parts(
    lock: ForeignLock, scopes: Sequence[Scope], targets: tuple[Target, ...], trees: LocalTrees
) -> tuple[RequirementScope, ...]:
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


def given_on(lock: ForeignLock, scopes: Iterable[Scope], target: Target, trees: LocalTrees) -> tuple[FixedPins, ...]:
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
        FixedPins(
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


DECLARE = "declare the targets: --python-version and --platform, or python-versions and platforms in [tool.deep-lock]"


class Hints(Struct, frozen=True, kw_only=True):
    """What a lock tells of its targets, as the flags would name them."""

    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


def hints_of(lock: ForeignLock | None) -> Hints:
    """Return the Pythons and platforms that a lock was made for; nothing where it does not tell."""
    if lock is None:
        return Hints()
    here = (HOST,) if lock.one_environment else ()
    return Hints(pythons=lock.pythons or here, platforms=lock.platforms or here)


def are_declared(flags: LockOptions, config: Config) -> bool:
    """Whether somebody named the targets."""
    return bool(flags.rules.pythons or flags.rules.platforms or config.python_versions or config.platforms)


def admitted(lock: ForeignLock, targets: tuple[Target, ...], *, declared: bool) -> tuple[Target, ...]:
    """Return the targets that the lock's own environments admit. Raises UsageError where a declared one is not."""
    inside = tuple(target for target in targets if _admits(lock, target))
    for target in targets:
        if declared and target not in inside:
            raise UsageError(
                f"{lock.source} is not for {target.label}: it names the environments {'; '.join(lock.environments)}"
            )
    if not inside:
        raise UsageError(f"{lock.source} is for none of the default targets", hint=DECLARE)
    return inside


def _admits(lock: ForeignLock, target: Target) -> bool:
    if not lock.environments:
        return True
    try:
        return any(Marker(text).evaluate(dict(target.environment)) for text in lock.environments)
    except (InvalidMarker, *UnevaluableMarker) as error:
        raise LockInvalid(f"{lock.source}: an environment in it cannot be evaluated: {error}") from None


def fitting(
    lock: ForeignLock, problems: tuple[Problem, ...], catalog: Catalog, reporter: Reporter, *, declared: bool
) -> tuple[Target, ...]:
    """Return the targets that can take every pin of the lock, and tell of those that cannot.

    Raises Unsatisfiable where a declared target cannot, or none can; IndexFault and HashMismatch.
    """
    stories = {problem.target: unsupported_reason(problem, problem.fixed_pins or (), catalog) for problem in problems}
    left = tuple(target for target, story in stories.items() if not story)
    for target, story in stories.items():
        if not story:
            continue
        if declared or not left:
            raise Unsatisfiable(story, hint=DECLARE)
        message = f"{target.label} is left out: {story}"
        reporter(Warned(code="foreign-target", subject=lock.source, message=message))
    return left


_HINT = "the index, or the lock, was changed: find out which before you install anything of it"


class ImportedHashes:
    """The files that a lock vouches for, by release."""

    def __init__(self, lock: ForeignLock | None) -> None:
        self._source = lock.source if lock is not None else ""
        self._pins: dict[tuple[NormalizedName, Version], list[ForeignPin]] = {}
        for pin in lock.pins if lock is not None else ():
            if pin.version is not None and pin.url is None:
                self._pins.setdefault((pin.name, pin.version), []).append(pin)

    def kept(self, name: NormalizedName, version: Version, files: Sequence[Distribution]) -> Sequence[Distribution]:
        """Return the files that may be taken; of a release that is not pinned, all. Raises HashMismatch."""
        pins = self._pins.get((name, version))
        if pins is None or not all(pin.files or pin.sha256s for pin in pins):
            return files
        digests, loose = _vouched(pins)
        kept = [
            file
            for file in files
            if file.filename in digests or file.sha256 in loose or (loose and file.sha256 is None)
        ]
        for file in kept:
            self._compare(file.filename, file.sha256, digests, loose)
        if files and not kept:
            raise HashMismatch(
                f"{self._source} pins {name} {version}, and no file of it on the index has a hash that it gives",
                hint=_HINT,
            )
        return kept

    def check(self, lock: Lock) -> None:
        """Compare the files of a finished lock, whose digests are all known. Raises HashMismatch."""
        for file, digests, loose in self._files(lock):
            self._compare(file.name, file.sha256, digests, loose)

    def moved(self, lock: Lock) -> Iterator[str]:
        """Yield a sentence for each file of an earlier lock that is no longer vouched for."""
        for file, digests, loose in self._files(lock):
            if file.name in digests:
                told = f"another sha256 for {show(file.name)}"
                fits = digests[file.name] in {None, file.sha256}
            else:
                told, fits = f"no hash for {show(file.name)}", file.sha256 in loose
            if not fits:
                yield f"{self._source} now gives {told}"

    def _files(self, lock: Lock) -> Iterator[tuple[LockedFile, Mapping[str, str | None], frozenset[str]]]:
        """Yield the files of pinned releases that have hashes, with what is vouched for."""
        for entry in lock.packages:
            key = (canonicalize_name(entry.name), Version(entry.version or "0"))
            pins = self._pins.get(key, ()) if entry.version is not None else ()
            if pins and all(pin.files or pin.sha256s for pin in pins):
                digests, loose = _vouched(pins)
                for file in (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ())):
                    yield file, digests, loose

    def _compare(self, name: str, sha256: str | None, digests: Mapping[str, str | None], loose: frozenset[str]) -> None:
        wanted = digests.get(name)
        if sha256 is None or sha256 == wanted or sha256 in loose or (name in digests and wanted is None):
            return
        given = f"sha256 {wanted}" if wanted is not None else "other digests"
        raise HashMismatch(
            f"{show(name)} has sha256 {sha256} on the index, and {self._source} gives {given}", hint=_HINT
        )


def _vouched(pins: Iterable[ForeignPin]) -> tuple[dict[str, str | None], frozenset[str]]:
    """Return digests by file name, and those that are given without one."""
    named = {file.name: file.sha256 for pin in pins for file in pin.files}
    return named, frozenset(digest for pin in pins for digest in pin.sha256s)
