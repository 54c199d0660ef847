"""Whether a hook failed because this machine lacks a resource. Then the failure is not a property of the package.

A hook has limits of its own (`sandbox.run.Limits`), and what exceeds them is the hook's fault. The machine can have less: a
full disk, a lower limit that this process inherited, or no memory left for any process.
"""

import errno
import os
from pathlib import Path

from deep_lock.builds.sandbox.sandbox import Ended, Limits
from deep_lock.errors import MachineFault, raise_printed_fault

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]  # its absence is recorded

LEAST_FREE_BYTES = 16 * 1024 * 1024
LEAST_FREE_FILES = 64
_NEVER_ITS_OWN = (errno.ENOSPC, errno.EDQUOT, errno.ENFILE, errno.EIO)
"""Errors that no limit of a hook causes."""
_KILLED = -9


def count_memory_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory; 0 where it does not count them."""
    try:
        with open("/proc/vmstat", "rb") as file:  # noqa: PTH123 - once for each hook
            return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
    except OSError:
        return 0


def raise_hook_fault(ended: Ended, folder: Path, limits: Limits, *, memory_kills: int) -> None:
    """Raise MachineFault where a hook that failed had less than its limits allow.

    ``folder`` is one that it writes to; ``memory_kills`` is the count before it ran. The output of a hook is untrusted: with
    these words it ends the run, which a hook can do in other ways too.
    """
    free, free_files = _free(folder)
    if free < LEAST_FREE_BYTES or free_files < LEAST_FREE_FILES:
        what = f"{free // 1024} KiB" if free < LEAST_FREE_BYTES else f"{free_files} files"
        raise MachineFault(
            f"this machine: a build backend failed, and only {what} are free where its temporary files are ({folder.parent})",
            hint="free some space, or set TMPDIR to a folder with more, then run it again",
        )
    raise_printed_fault(ended.output, "a build backend", _NEVER_ITS_OWN)
    if _inherited("RLIMIT_NOFILE") < limits.open_files:
        raise_printed_fault(ended.output, "a build backend", (errno.EMFILE,))
    if _inherited("RLIMIT_AS") < limits.memory:
        raise_printed_fault(ended.output, "a build backend", (errno.ENOMEM,))
    if ended.code == _KILLED and count_memory_kills() > memory_kills:
        raise MachineFault(
            "this machine: the kernel killed a build backend, because the machine had no free memory",
            hint="more memory is needed, then run it again",
        )


def _free(folder: Path) -> tuple[float, float]:
    """Return the bytes and files that can still be written; infinity where that is not known."""
    if not hasattr(os, "statvfs"):
        return float("inf"), float("inf")
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize, status.f_favail if status.f_files else float("inf")


def _inherited(name: str) -> float:
    """Return a limit that no child of this process can exceed."""
    if resource is None:
        return float("inf")
    hard = resource.getrlimit(getattr(resource, name))[1]
    return float("inf") if hard == resource.RLIM_INFINITY else hard
