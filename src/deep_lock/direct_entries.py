"""Direct references as the lock writes them (PEP 751: ``directory``, ``vcs``, ``archive``)."""

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.model.distribution import (
    Archive,
    Direct,
    Directory,
    Installable,
    SourceDistribution,
    Vcs,
    Wheel,
    source_of,
)
from deep_lock.model.lock import LockedArchive, LockedDirectory, LockedSource, LockedVcs
from deep_lock.model.resolution import UNKNOWN_VERSION, Pin

EntryKey = tuple[NormalizedName, Version, str]
"""What tells entries apart: name, version, and where a direct reference leads. A source tree has UNKNOWN_VERSION."""


def entry_key(pin: Pin) -> EntryKey:
    """Return the key of a pin's entry."""
    version = pin.version if vouched_version(pin) is not None else UNKNOWN_VERSION
    return pin.name, version, source_of(pin.distribution)


def vouched_version(pin: Pin) -> str | None:
    """Return the version that an entry states: none for a source tree, whose version may change (PEP 751)."""
    match pin.distribution:
        case Directory() | Vcs() | Archive(version=None):
            return None
        case _:
            return str(pin.version)


def direct_of(file: Installable) -> Direct | None:
    """Return what was named directly, if it was."""
    return None if isinstance(file, Wheel | SourceDistribution) else file


def locked_source(file: Direct) -> LockedSource:
    """Return the source of an entry."""
    match file:
        case Directory():
            return LockedDirectory(path=file.path, editable=file.editable, subdirectory=file.subdirectory or None)
        case Vcs():
            return LockedVcs(
                url=file.url,
                path=file.path,
                requested_revision=file.requested_revision,
                commit_id=file.commit_id,
                subdirectory=file.subdirectory or None,
            )
        case Archive():
            return LockedArchive(
                url=None if file.is_path else file.place,
                path=file.place if file.is_path else None,
                size=file.file.size,
                sha256=file.file.sha256 or "",
                subdirectory=file.subdirectory or None,
            )
