"""deep-lock: one hashed lockfile for runtime and build dependencies, to full depth. The public API: docs/reference/api.md."""

# No import here: `python -m deep_lock` runs this file before the current directory is off the module search path.
TYPE_CHECKING = False
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

    def __getattr__(name: str) -> object:
        """Load a name at its first use (PEP 562)."""
        from deep_lock.lazy import load_name  # noqa: PLC0415 - see above

        return load_name(
            name,
            {
                "deep_lock.api": ("check", "lock", "read_lock", "write_lock"),
                "deep_lock.errors": ("DeepLockError",),
                "deep_lock.models.lock": tuple(name for name in __all__ if name.startswith(("Lock", "Environment"))),
            },
        )
