"""Compares a package of a lock with what the index and its files have now.

A published file never changes: other bytes under its name are an error, everything else is for a person to review.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from deep_lock.analysis.diff import identity_text
from deep_lock.errors import DeepLockError
from deep_lock.index.metadata_differences import differences
from deep_lock.lockfile.index import LockIndex, archive_file, called, files_of, parsed, referenced
from deep_lock.models.build_system import SdistFacts
from deep_lock.models.changes import Finding, Severity
from deep_lock.models.distribution import Distribution, Wheel
from deep_lock.models.lock import Identity, Lock, LockedBuild, LockedFile, LockedPackage
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.network.urls import host_and_port, without_signature
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.sanitize import listed, show
from deep_lock.targets.target import Target, python_fits, rank, same_pythons

LATE = timedelta(days=14)
"""A file this long after the first of its release is late: the public index accepts none after that."""
MAX_NAMES = 5
HINT = "this is not what deep-lock would write: run deep-lock lock and review the difference"


def index_findings(
    entry: LockedPackage, files: Sequence[Distribution], builds: Iterable[LockedBuild], targets: Sequence[Target]
) -> Iterator[Finding]:
    """Yield what changed on the index. ``files`` are all that it has of the release; ``builds`` are its records."""
    if not files:
        yield _finding("release-gone", "finding", entry, "the index no longer has any file of the release")
        return
    now = {file.filename: file for file in files}
    locked = files_of(entry)
    missing = [file.name for file in locked if file.name not in now]
    if missing:
        yield _finding("file-gone", "finding", entry, f"the index no longer has {_names(missing)}")
    for file in locked:
        if file.name in now:
            yield from _file_changes(entry, file, now[file.name])
    there = [now[file.name] for file in locked if file.name in now]
    yield from _yanked(entry, there)
    others = sorted({file.index for file in there if entry.index is not None and file.index != entry.index})
    if others:
        message = f"now comes from {show(', '.join(others))}, and from {show(entry.index or '')} in the lock"
        yield _finding("index-changed", "finding", entry, message)
    yield from _late_files(entry, files)
    yield from _new_wheels(entry, files, builds, targets)


def _finding(
    code: str, severity: Severity, subject: LockedPackage | LockedBuild, message: str, *, hint: str = ""
) -> Finding:
    return Finding(code=code, severity=severity, subject=called(subject), message=message, hint=hint)


def _names(names: Iterable[str]) -> str:
    return show(listed(sorted(names), MAX_NAMES), limit=1000)


def _file_changes(entry: LockedPackage, file: LockedFile, now: Distribution) -> Iterator[Finding]:
    name = show(file.name)
    if now.sha256 is not None and now.sha256 != file.sha256:
        message = f"{name} has sha256 {now.sha256} on the index, and {file.sha256} in the lock"
        hint = "published files must not change: find out why it changed before you install it"
        yield _finding("hash-changed", "error", entry, message, hint=hint)
    for what, locked, listed_now in (
        ("size", file.size, now.size),
        ("upload time", file.upload_time, now.upload_time),
    ):
        if None not in {locked, listed_now} and locked != listed_now:
            message = f"the {what} of {name} is {listed_now} on the index, and {locked} in the lock"
            yield _finding("file-differs", "error", entry, message)
    if file.url is not None and without_signature(now.url) != without_signature(file.url):
        yield _finding("url-changed", "note", entry, f"{name} is now at {show(now.url)}")


def unrequired(entry: LockedPackage) -> Iterator[Finding]:
    """Yield that nothing requires a package. No index is queried for it: its name could be anything."""
    yield _finding("lock-invalid", "error", entry, "nothing in the lock requires it, so it was not checked", hint=HINT)


def host_findings(entry: LockedPackage, named: frozenset[str]) -> Iterator[Finding]:
    """Yield the files of the lock on a host that is not their index's, and not in ``named``: the page's, and allowed ones."""
    own = named if entry.index is None else named | {host_and_port(entry.index)}
    yield from _foreign_host(entry, files_of(entry), own, "its index")


def archive_host_findings(lock: Lock, named: frozenset[str]) -> Iterator[Finding]:
    """Yield the archives of direct references on a host that is not in ``named``: the project's, and allowed ones."""
    for entry in lock.packages:
        archive = archive_file(entry)
        if archive is not None:
            yield from _foreign_host(entry, (archive,), named, "the project")


def _foreign_host(
    entry: LockedPackage, files: Iterable[LockedFile], named: frozenset[str], namer: str
) -> Iterator[Finding]:
    for file in files:
        host = host_and_port(file.url) if file.url is not None else None
        if host is not None and host not in named:
            message = f"{show(file.name)} is on {show(host)} in the lock, but {namer} does not name this host"
            hint = f"{HINT}; if the host is right: --allow-host {show(host)}"
            yield _finding("foreign-host", "error", entry, message, hint=hint)


def _yanked(entry: LockedPackage, files: Sequence[Distribution]) -> Iterator[Finding]:
    """PEP 592: a reason may be empty."""
    reasons: dict[str, list[str]] = {}
    for file in files:
        if file.yanked is not None:
            reasons.setdefault(file.yanked, []).append(file.filename)
    for reason, names in sorted(reasons.items()):
        what = "the release" if len(names) == len(files) else _names(names)
        message = f"{what} is yanked{f': {show(reason)}' if reason else ', without a reason'}"
        hint = f"select another version: deep-lock lock -P {entry.name}"
        yield _finding("yanked", "finding", entry, message, hint=hint)


def _late_files(entry: LockedPackage, files: Sequence[Distribution]) -> Iterator[Finding]:
    times = [file.upload_time for file in files if file.upload_time is not None]
    late = [file.filename for file in files if file.upload_time is not None and file.upload_time > min(times) + LATE]
    if late:
        message = f"{_names(late)} was added more than {LATE.days} days after the first file of the release"
        yield _finding("late-file", "note", entry, message)


def _new_wheels(
    entry: LockedPackage, files: Sequence[Distribution], builds: Iterable[LockedBuild], targets: Sequence[Target]
) -> Iterator[Finding]:
    """Report where a new wheel makes a build unnecessary."""
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
                message="is built from source, and the index now has a wheel",
                hint=f"lock again to use it: deep-lock lock -P {entry.name}",
                targets=labels,
            )


def sidecar_findings(entry: LockedPackage, filename: str, sidecar: Metadata, inside: Metadata) -> Iterator[Finding]:
    """Yield where the metadata that an index serves for a wheel differs from that in the wheel (PEP 658)."""
    for found in differences(sidecar, inside, names=("the index serves", "the wheel has")):
        yield _finding("sidecar-differs", "error", entry, f"{show(filename)}: {found}")


def publisher_findings(
    entry: LockedPackage, filename: str, attested: Collection[Identity], *, offered: bool
) -> Iterator[Finding]:
    """Yield where the index attests a file by none of the publishers that the lock records; ``offered``: by any."""
    recorded = " and ".join(map(identity_text, entry.attestation_identities))
    hint = "find out why before you use it: a file that is not published by the workflow of the publisher has no attestation"
    if not offered:
        message = f"{show(filename)} was attested by {show(recorded)}, and its index has no attestation now"
        yield _finding("attestation-gone", "error", entry, message, hint=hint)
    elif not set(entry.attestation_identities) <= set(attested):
        now = " and ".join(map(identity_text, sorted(attested))) or "none"
        message = f"{show(filename)} was attested by {show(recorded)}, and is attested by {show(now)} now"
        yield _finding("publisher-differs", "error", entry, message, hint=hint)


def python_findings(
    entry: LockedPackage, filename: str, inside: Metadata, takers: Sequence[Target]
) -> Iterator[Finding]:
    """Yield where a wheel, by its own metadata, is for none of the Pythons of the targets that take it."""
    if takers and not any(python_fits(inside.requires_python, target) for target in takers):
        message = f"{show(filename)}: its metadata needs Python {show(inside.requires_python or '')}"
        labels = tuple(target.label for target in takers)
        yield Finding(
            code="python-excluded", severity="error", subject=called(entry), message=message, hint=HINT, targets=labels
        )


def _meanings(texts: Iterable[str]) -> frozenset[object]:
    found: set[object] = set()
    for text in texts:
        try:
            found.add(parse_requirement(text).meaning)
        except DeepLockError:
            found.add(text)
    return frozenset(found)


def metadata_findings(entry: LockedPackage, every: Sequence[Metadata], lock_index: LockIndex) -> Iterator[Finding]:
    """Yield where a package differs from the metadata of its files. ``every`` is that of each file that a target takes."""
    if not every:
        return
    yield from _edges(entry, every, lock_index)
    pythons = [metadata.requires_python for metadata in every]
    locked = entry.requires_python
    if locked is None and len(set(pythons)) > 1:
        pythons = []  # no text holds for all of them: the lock states none
    if pythons and not any(same_pythons(text, locked) for text in pythons):
        yield _differs("python-differs", entry, "requires-python", locked or "nothing", pythons)
    licenses = [metadata.license for metadata in every]
    if entry.license is not None and entry.license not in licenses:
        yield _differs("license-differs", entry, "the license", entry.license, licenses)
    classifiers = [metadata.license_classifiers for metadata in every]
    if entry.license_classifiers and entry.license_classifiers not in classifiers:
        locked, found = ", ".join(entry.license_classifiers), [", ".join(texts) for texts in classifiers]
        yield _differs("license-differs", entry, "the classifiers of the license", locked, found)


def _edges(entry: LockedPackage, every: Iterable[Metadata], lock_index: LockIndex) -> Iterator[Finding]:
    """Yield dependencies that no metadata of the release has, and those on a version that none of it allows."""
    required: dict[str, list[Requirement]] = {}
    for metadata in every:
        for requirement in parsed(metadata.requires_dist):
            required.setdefault(requirement.name, []).append(requirement)
    for reference in entry.dependencies:
        if reference.name not in required:
            message = f"depends on {reference.name} in the lock, but none of its files requires it"
            yield _finding("edge-invented", "error", entry, message, hint=HINT)
            continue
        for child in referenced(reference, lock_index):
            if child.version is not None and not _meets(child.version, required[reference.name]):
                message = f"depends on {called(child)}, which no requirement of its files allows"
                yield _finding("edge-unmet", "error", entry, message, hint=HINT)


def _differs(code: str, entry: LockedPackage, what: str, locked: str, inside: Iterable[str | None]) -> Finding:
    texts = " or ".join(sorted({text or "nothing" for text in inside}))
    return _finding(
        code, "error", entry, f"{what} is {show(locked)} in the lock, and {show(texts)} in its files", hint=HINT
    )


def _meets(version: str, requirements: Iterable[Requirement]) -> bool:
    return any(requirement.specifier.contains(version, prereleases=True) for requirement in requirements)


def record_findings(build: LockedBuild, facts: SdistFacts) -> Iterator[Finding]:
    """Yield where a build record differs from the sdist that it names."""
    system = facts.build_system
    pairs: Mapping[str, tuple[object, object]] = {
        "requires": (_meanings(build.requires), _meanings(system.requires)),
        "backend": (build.backend, system.backend),
        "backend-path": (build.backend_path, system.backend_path),
        "cargo-lock": (build.cargo_lock, f"sha256:{facts.cargo_lock}" if facts.cargo_lock else None),
    }
    for key, (locked, real) in pairs.items():
        if locked != real:
            message = f"the {key} of its build record differs from that of its sdist"
            yield _finding("record-differs", "error", build, message, hint=HINT)
    if build.evidence == "static" and facts.declared_hook is None and not facts.self_hosted:
        message = (
            "its build record states that the build requirements of the backend are static, but no rule confirms that"
        )
        yield _finding("evidence-differs", "error", build, message, hint=HINT)
