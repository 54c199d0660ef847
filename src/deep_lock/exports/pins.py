"""Lines of a requirements or constraints file: one release, pinned, with the sha256 of each file that may be taken."""

from collections.abc import Iterable

from deep_lock.model.installed import is_built, tags_of
from deep_lock.model.lock import LockedFile, LockedPackage
from deep_lock.model.register import Register
from deep_lock.model.target import Target, rank


def pin_lines(entry: LockedPackage, marker: str | None, files: Iterable[LockedFile]) -> list[str]:
    """Return the lines that pin a release of an index; each but the last ends in a backslash."""
    return hashed(f"{entry.name}=={entry.version}", marker, (file.sha256 for file in files))


def hashed(requirement: str, marker: str | None, digests: Iterable[str]) -> list[str]:
    """Return the lines of a requirement with its sha256 digests, sorted."""
    first = f"{requirement} ; {marker}" if marker else requirement
    parts = [first, *(f"    --hash=sha256:{digest}" for digest in sorted(set(digests)))]
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]


def files_on(register: Register, entry: LockedPackage, targets: Iterable[Target]) -> list[LockedFile]:
    """Return the files of a release that these targets take: where a record holds its sdist, elsewhere what fits."""
    found: dict[str, LockedFile] = {}
    for target in targets:
        own = [entry.sdist] if is_built(register, entry, target) else [w for w in entry.wheels if _fits(w, target)]
        found |= {file.name: file for file in own if file is not None}
    return list(found.values())


def _fits(wheel: LockedFile, target: Target) -> bool:
    return rank(tags_of(wheel.name), target) is not None
