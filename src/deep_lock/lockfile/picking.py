"""Which files of a lock are meant: all, or those of the run time, of the builds, of some targets."""

from collections.abc import Iterable, Iterator, Sequence

from deep_lock.lockfile.fields import url_filename
from deep_lock.model.installed import everything, is_built, present, taken_files
from deep_lock.model.lock import Lock, LockedArchive, LockedDirectory, LockedFile, LockedPackage, LockedVcs
from deep_lock.model.register import Register, covers, key_of, members, open_register
from deep_lock.model.target import Target


def every_file(lock: Lock) -> tuple[LockedFile, ...]:
    """Return each file that the lock names, in the lock's order."""
    return tuple(file for entry in lock.packages for file in _files(entry))


def source_trees(lock: Lock) -> tuple[LockedPackage, ...]:
    """Return the entries that are no files: folders and commits."""
    return tuple(entry for entry in lock.packages if isinstance(entry.source, LockedDirectory | LockedVcs))


def picked_files(lock: Lock, targets: Iterable[Target], *, runtime: bool, build: bool) -> tuple[LockedFile, ...]:
    """Return the files that these targets take, in the lock's order.

    ``runtime``: what is installed there, with every extra and group. ``build``: the members of build environments. An
    sdist that is built on a target belongs to both.
    """
    register = open_register(lock)
    found: dict[str, LockedFile] = {}
    for target in targets:
        if runtime:
            entries = present(register, target, everything(register))
            found.update((file.sha256, file) for entry in entries for file in _taken(register, entry, target))
        if build:
            found.update((file.sha256, file) for file in _of_builds(register, target))
    return tuple(file for file in every_file(lock) if file.sha256 in found)


def archive_file(entry: LockedPackage) -> LockedFile | None:
    """Return the file of an entry that was named directly, if a file was named."""
    source = entry.source
    if not isinstance(source, LockedArchive):
        return None
    name = url_filename(source.url) if source.url is not None else (source.path or "").rpartition("/")[2]
    return LockedFile(name=name, url=source.url, path=source.path, sha256=source.sha256, size=source.size)


def _files(entry: LockedPackage) -> Sequence[LockedFile]:
    archive = archive_file(entry)
    if archive is not None:
        return (archive,)
    return entry.wheels if entry.sdist is None else (entry.sdist, *entry.wheels)


def _taken(register: Register, entry: LockedPackage, target: Target) -> Iterator[LockedFile]:
    archive = archive_file(entry)
    if archive is not None:
        yield archive
    yield from taken_files(register, entry, target)


def _of_builds(register: Register, target: Target) -> Iterator[LockedFile]:
    for build in register.lock.builds:
        if not covers(build, target.label):
            continue
        for member in members(build):
            entry = register.entries.get(key_of(member))
            if entry is not None:
                yield from _taken(register, entry, target)
    for entry in register.lock.packages:
        if is_built(register, entry, target):
            yield from (file for file in _files(entry) if file not in entry.wheels)
