"""deep-lock: one hashed lockfile for runtime and build dependencies, to full depth. The public API: docs/api.md."""

from typing import TYPE_CHECKING

from deep_lock.lazy import names_at_first_use

__version__ = "0.1.0"

__all__ = [
    "DeepLockError",
    "EnvironmentMember",
    "Lock",
    "LockedArchive",
    "LockedBuild",
    "LockedDirectory",
    "LockedFile",
    "LockedInputs",
    "LockedPackage",
    "LockedReference",
    "LockedTarget",
    "LockedTree",
    "LockedVcs",
    "__version__",
    "check",
    "lock",
    "read_lock",
    "write_lock",
]

if TYPE_CHECKING:
    from deep_lock.api import check, lock, read_lock, write_lock
    from deep_lock.errors import DeepLockError
    from deep_lock.models.lock import (
        EnvironmentMember,
        Lock,
        LockedArchive,
        LockedBuild,
        LockedDirectory,
        LockedFile,
        LockedInputs,
        LockedPackage,
        LockedReference,
        LockedTarget,
        LockedTree,
        LockedVcs,
    )
else:
    __getattr__ = names_at_first_use(
        {
            "deep_lock.api": ("check", "lock", "read_lock", "write_lock"),
            "deep_lock.errors": ("DeepLockError",),
            "deep_lock.models.lock": (
                "EnvironmentMember",
                "Lock",
                "LockedArchive",
                "LockedBuild",
                "LockedDirectory",
                "LockedFile",
                "LockedInputs",
                "LockedPackage",
                "LockedReference",
                "LockedTarget",
                "LockedTree",
                "LockedVcs",
            ),
        }
    )
