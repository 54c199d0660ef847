"""An entry of a lock, held against what the index has of its release now.

Law: pure. A published file never changes: other bytes under its name are an error, everything else is for a person.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deep_lock.errors import DeepLockError
from deep_lock.lockfile.index import LockIndex, called, meant, parsed
from deep_lock.models.build_system import SdistFacts
from deep_lock.models.changes import Finding
from deep_lock.models.distribution import Distribution, Wheel
from deep_lock.models.lock import LockedBuild, LockedFile, LockedPackage
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.sanitize import show
from deep_lock.targets.target import Target, rank

LATE = timedelta(days=14)
"""So long after the first file of a release another one is late: the public index takes none after that."""
MAX_NAMES = 5


def against_index(
    entry: LockedPackage, files: Sequence[Distribution], builds: Iterable[LockedBuild], targets: Sequence[Target]
) -> Iterator[Finding]:
    """Yield what is not as it was. ``files`` are those that the index has of the release; ``builds`` are its records."""
    now = {file.filename: file for file in files}
    locked = locked_files(entry)
    if not files:
        message = "the release is gone: the index has no file of it any more"
        yield Finding(code="release-gone", severity="finding", subject=called(entry), message=message)
        return
    yield from _gone(entry, [file for file in locked if file.name not in now])
    for file in locked:
        if file.name in now:
            yield from _same_bytes(entry, file, now[file.name])
    yield from _yanked(entry, [now[file.name] for file in locked if file.name in now])
    yield from _elsewhere(entry, [now[file.name] for file in locked if file.name in now])
    yield from _late(entry, files)
    yield from _wheels(entry, files, builds, targets)


def locked_files(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the files of an entry, the sdist last."""
    return (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ()))


def _gone(entry: LockedPackage, files: Sequence[LockedFile]) -> Iterator[Finding]:
    if files:
        message = f"the index has no {_listed(file.name for file in files)} any more"
        yield Finding(code="file-gone", severity="finding", subject=called(entry), message=message)


def _same_bytes(entry: LockedPackage, file: LockedFile, now: Distribution) -> Iterator[Finding]:
    if now.sha256 is not None and now.sha256 != file.sha256:
        yield Finding(
            code="hash-changed",
            severity="error",
            subject=called(entry),
            message=f"{show(file.name)} has sha256 {now.sha256} on the index, and {file.sha256} in the lock",
            hint="published files do not change: do not install it before you know why",
        )
    for what, locked, told in (("size", file.size, now.size), ("upload time", file.upload_time, now.upload_time)):
        if None not in {locked, told} and locked != told:
            message = f"the {what} of {show(file.name)} is {told} on the index, and {locked} in the lock"
            yield Finding(code="file-differs", severity="error", subject=called(entry), message=message)
    if file.url is not None and now.url != file.url:
        message = f"{show(file.name)} lies at {show(now.url)} now"
        yield Finding(code="url-changed", severity="note", subject=called(entry), message=message)


def _yanked(entry: LockedPackage, files: Sequence[Distribution]) -> Iterator[Finding]:
    """PEP 592: a reason may be empty."""
    reasons: dict[str, list[str]] = {}
    for file in files:
        if file.yanked is not None:
            reasons.setdefault(file.yanked, []).append(file.filename)
    for reason, names in sorted(reasons.items()):
        what = "it" if len(names) == len(files) else _listed(names)
        told = f": {show(reason)}" if reason else ", and nobody says why"
        hint = f"take another version: deep-lock lock -P {entry.name}"
        yield Finding(
            code="yanked", severity="finding", subject=called(entry), message=f"{what} is yanked{told}", hint=hint
        )


def _elsewhere(entry: LockedPackage, files: Sequence[Distribution]) -> Iterator[Finding]:
    others = sorted({file.index for file in files if entry.index is not None and file.index != entry.index})
    if others:
        message = f"comes from {show(', '.join(others))} now, and from {show(entry.index or '')} by the lock"
        yield Finding(code="index-changed", severity="finding", subject=called(entry), message=message)


def _late(entry: LockedPackage, files: Sequence[Distribution]) -> Iterator[Finding]:
    times = [file.upload_time for file in files if file.upload_time is not None]
    late = [file.filename for file in files if file.upload_time is not None and file.upload_time > min(times) + LATE]
    if late:
        message = f"{_listed(late)} was added more than {LATE.days} days after the first file of the release"
        yield Finding(code="late-file", severity="note", subject=called(entry), message=message)


def _wheels(
    entry: LockedPackage, files: Sequence[Distribution], builds: Iterable[LockedBuild], targets: Sequence[Target]
) -> Iterator[Finding]:
    """Say where a wheel would do what a build does."""
    known = {file.name for file in entry.wheels}
    new = [file for file in files if isinstance(file, Wheel) and file.filename not in known and file.yanked is None]
    for build in builds:
        if build.needed not in {"always", "targets"}:
            continue
        own = [target for target in targets if not build.targets or target.label in build.targets]
        labels = tuple(target.label for target in own if any(rank(file.tags, target) is not None for file in new))
        if labels:
            yield Finding(
                code="wheel-appeared",
                severity="finding",
                subject=called(entry),
                message="is built from source, and the index has a wheel now",
                hint=f"lock again to take it: deep-lock lock -P {entry.name}",
                targets=labels,
            )


def _listed(names: Iterable[str]) -> str:
    every = sorted(names)
    more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
    return show(", ".join(every[:MAX_NAMES]), limit=1000) + more


HINT = "it is not what deep-lock would write: run deep-lock lock, and look at the difference"


def sidecar_findings(entry: LockedPackage, filename: str, sidecar: Metadata, inside: Metadata) -> Iterator[Finding]:
    """Yield where the metadata that an index serves beside a wheel is not that in the wheel (PEP 658)."""
    for field, one, other in (
        ("Name", sidecar.name, inside.name),
        ("Version", sidecar.version, inside.version),
        ("Requires-Dist", _meaning(sidecar.requires_dist), _meaning(inside.requires_dist)),
        ("Requires-Python", sidecar.requires_python, inside.requires_python),
        ("Provides-Extra", frozenset(sidecar.provides_extra), frozenset(inside.provides_extra)),
    ):
        if one != other:
            yield Finding(
                code="sidecar-differs",
                severity="error",
                subject=called(entry),
                message=f"{show(filename)}: the {field} that the index serves beside it is not that in the wheel",
            )


def _meaning(texts: Iterable[str]) -> frozenset[object]:
    found: set[object] = set()
    for text in texts:
        try:
            found.add(parse_requirement(text).meaning)
        except DeepLockError:
            found.add(text)
    return frozenset(found)


def metadata_findings(entry: LockedPackage, every: Iterable[Metadata], register: LockIndex) -> Iterator[Finding]:
    """Yield what an entry says otherwise than its files. ``every`` is the metadata of each file that some target takes."""
    known = list(every)
    if not known:
        return
    yield from _edges(entry, known, register)
    pythons = [metadata.requires_python for metadata in known]
    locked = entry.requires_python
    if locked and not any(_same_pythons(locked, text) for text in pythons):
        yield _differs("python-differs", entry, "requires-python", locked, pythons)
    licenses = [metadata.license for metadata in known]
    if entry.license is not None and entry.license not in licenses:
        yield _differs("license-differs", entry, "the licence", entry.license, licenses)


def _edges(entry: LockedPackage, known: Iterable[Metadata], register: LockIndex) -> Iterator[Finding]:
    """Yield edges that no metadata of the release has, and those to a release that nothing asks for."""
    asked: dict[str, list[Requirement]] = {}
    for metadata in known:
        for requirement in parsed(metadata.requires_dist):
            asked.setdefault(requirement.name, []).append(requirement)
    for reference in entry.dependencies:
        if reference.name not in asked:
            message = f"depends on {reference.name} by the lock, and by no file of it"
            yield Finding(code="edge-invented", severity="error", subject=called(entry), message=message, hint=HINT)
            continue
        for child in meant(reference, register):
            if child.version is not None and not _meets(child.version, asked[reference.name]):
                message = f"depends on {called(child)}, which nothing that its files ask for admits"
                yield Finding(code="edge-unmet", severity="error", subject=called(entry), message=message, hint=HINT)


def _differs(code: str, entry: LockedPackage, what: str, locked: str, inside: Iterable[str | None]) -> Finding:
    told = " or ".join(sorted({text or "nothing" for text in inside}))
    message = f"{what} is {show(locked)} in the lock, and {show(told)} in its files"
    return Finding(code=code, severity="error", subject=called(entry), message=message, hint=HINT)


def _same_pythons(one: str, other: str | None) -> bool:
    """Return whether two Requires-Python admit the same: order and blanks of the specifiers say nothing."""
    try:
        return SpecifierSet(one) == SpecifierSet(other or "")
    except InvalidSpecifier:
        return one == other


def _meets(version: str, asked: Iterable[Requirement]) -> bool:
    return any(requirement.specifier.contains(version, prereleases=True) for requirement in asked)


def record_findings(build: LockedBuild, facts: SdistFacts) -> Iterator[Finding]:
    """Yield what a build record says otherwise than the sdist that it names."""
    system = facts.build_system
    told: Mapping[str, tuple[object, object]] = {
        "requires": (_meaning(build.requires), _meaning(system.requires)),
        "backend": (build.backend, system.backend),
        "backend-path": (build.backend_path, system.backend_path),
        "cargo-lock": (build.cargo_lock, f"sha256:{facts.cargo_lock}" if facts.cargo_lock else None),
    }
    for key, (locked, real) in told.items():
        if locked != real:
            message = f"the record of its build says another {key} than its sdist"
            yield Finding(code="record-differs", severity="error", subject=called(build), message=message, hint=HINT)
    if build.evidence == "static" and facts.declared_hook is None and not facts.self_hosted:
        message = "the record of its build calls what the backend asks for proven, and no rule proves it"
        yield Finding(code="evidence-differs", severity="error", subject=called(build), message=message, hint=HINT)
