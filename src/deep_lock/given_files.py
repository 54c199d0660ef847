"""The files of another tool's lock, as a sieve over what an index has.

Law: of a release that such a lock pins, only files that it vouches for are taken. Where the index has other bytes under
the same name, that is an error and never a choice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.display import show
from deep_lock.errors import HashMismatch
from deep_lock.model.distribution import Distribution
from deep_lock.model.foreign import ForeignLock, ForeignPin
from deep_lock.model.lock import Lock, LockedFile

_HINT = "the index, or the lock, was changed: find out which before you install anything of it"


class GivenFiles:
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
