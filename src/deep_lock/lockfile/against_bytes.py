"""An entry or a build record of a lock, derived once more from the bytes that it names.

Law: pure. What the bytes do not bear out was not written by deep-lock, or not from these bytes.
"""

from collections.abc import Iterable, Iterator, Mapping

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deep_lock.display import show
from deep_lock.errors import DeepLockError
from deep_lock.model.build_system import SdistFacts
from deep_lock.model.lock import LockedBuild, LockedPackage
from deep_lock.model.metadata import Metadata
from deep_lock.model.register import Register, called, meant, parsed
from deep_lock.model.requirement import Requirement, parse_requirement
from deep_lock.model.review import Finding

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


def metadata_findings(entry: LockedPackage, every: Iterable[Metadata], register: Register) -> Iterator[Finding]:
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


def _edges(entry: LockedPackage, known: Iterable[Metadata], register: Register) -> Iterator[Finding]:
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
