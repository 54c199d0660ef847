"""What the processes of a hook use: their number, their memory, and space on disk, also where no folder shows it.

`supervise.py` loads it, and the invariant of `confine.py` holds. Linux: `proc(5)`. Where there is no /proc, only the folders
are measured.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

# No pathlib: it takes 10 ms to import, and this program starts once for each hook.
# ruff: noqa: PTH123, PTH208

MOST_ENTRIES = 500_000
"""More files than this in the writable folders count as too much space."""
SHARE = 10
"""Measuring takes one part in so many of the time."""
EXIT_SECONDS = 0.02
"""A process that is ending has, for less than this, open files that cannot be read."""

UNKNOWN = float("inf")
BUFFERS = {stat.S_IFSOCK: 416 * 1024, stat.S_IFIFO: 64 * 1024}
"""The largest buffer of one socket, and of one pipe, unless the system allows more."""


# -- processes


def children(process: str) -> tuple[list[str], int]:
    """Return the children of a process, and the number of its threads; none if it has ended."""
    found: list[str] = []
    try:
        threads = os.listdir(f"/proc/{process}/task")
        for thread in threads:
            with open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                found += file.read().decode().split()
    except OSError:
        return [], 0
    return found, len(threads)


def members(most: int) -> tuple[list[str], int]:
    """Return the living descendants of this process, and the number of their threads. It stops at ``most`` threads."""
    found, total = [], 0
    waiting = children("self")[0]
    while waiting and total <= most:
        process = waiting.pop()
        below, threads = children(process)
        waiting += below
        total += threads
        if threads:
            found.append(process)
    return found, total


# -- memory


def memory(processes: list[str], limit: int) -> int:
    """Return the bytes of memory that the processes use: an estimate up to the limit, and the exact number beyond it.

    The estimate counts shared memory once for each process.
    """
    total = sum(resident(process) for process in processes)
    return total if total <= limit else sum(proportional(process) for process in processes)


def resident(process: str) -> int:
    """Return the bytes of a process that are in memory; 0 if it has ended."""
    try:
        with open(f"/proc/{process}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def shared_memory() -> int:
    """Return the bytes of shared memory on this machine. What no process has touched is in the number of no process."""
    with contextlib.suppress(OSError), open("/proc/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"Shmem:"):
                return int(line.split()[1]) * 1024
    return 0


def proportional(process: str) -> int:
    """Return the bytes of a process in memory, with its share of what it has together with others."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return resident(process)


# -- space


def used_space(folders: list[str]) -> float:
    """Return the bytes on disk below the folders; infinity where they cannot be counted."""
    total = entries = 0
    waiting = list(folders)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    entries += 1
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError:
            return UNKNOWN  # a path that is too long, or a folder without access
        if entries > MOST_ENTRIES:
            return UNKNOWN
    return total


def free_space(folders: list[str]) -> int:
    """Return the free bytes of the disks that the folders are on."""
    free = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            status = os.statvfs(folder)
            free[os.stat(folder).st_dev] = status.f_bfree * status.f_frsize  # noqa: PTH116 - pathlib costs 10 ms to import
    return sum(free.values())


def open_files(process: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Return what the open files of a process take that no folder and no process shows: bytes on disk, bytes of memory.

    These are deleted files, and buffers of pipes and sockets. Each thread may have other files. Raises PermissionError where
    they cannot be read.
    """
    found = {}
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            folder = f"/proc/{process}/task/{thread}/fd"
            for number in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    status = os.stat(f"{folder}/{number}")  # noqa: PTH116 - pathlib costs 10 ms to import
                    kind = stat.S_IFMT(status.st_mode)
                    deleted = status.st_blocks * 512 if kind == stat.S_IFREG and status.st_nlink == 0 else 0
                    found[status.st_dev, status.st_ino] = deleted, BUFFERS.get(kind, 0)
    except (FileNotFoundError, ProcessLookupError):
        return found  # it has ended
    return found


def open_space(processes: list[str]) -> tuple[float, int]:
    """Return the same of all processes. The bytes on disk are infinity where they cannot be counted."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    unknown = 0.0
    for process in processes:
        end = time.monotonic() + EXIT_SECONDS
        while True:
            try:
                found.update(open_files(process))
            except PermissionError:
                if not has_ended(process) and time.monotonic() < end:
                    time.sleep(EXIT_SECONDS / 10)
                    continue
                unknown = unknown if has_ended(process) else UNKNOWN
            break
    return sum(disk for disk, _ in found.values()) + unknown, sum(buffer for _, buffer in found.values())


def has_ended(process: str) -> bool:
    """Whether a process is a zombie, or is no more."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def mapped_files(processes: list[str]) -> tuple[int, int]:
    """Return how many deleted files, and how many pieces of shared memory, the processes have in their memory.

    The kernel does not show the size of these: a part that is mapped keeps the whole.
    """
    files, shared = set(), set()
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process}/maps", "rb") as file:
            for line in file:
                if line.endswith(b" (deleted)\n"):
                    _, access, _, device, number, path = line.split(maxsplit=5)
                    if path != b"/dev/zero (deleted)\n":
                        files.add((device, number))
                    elif access.endswith(b"s"):
                        shared.add((device, number))
    return len(files), len(shared)


class Usage:
    """Measures the processes of a hook, so rarely that it takes a small part of the time."""

    def __init__(self, folders: list[str], limits: dict[str, int], *, confined: bool) -> None:
        self.folders = folders
        self.limits = limits
        self.confined = confined
        self.before = used_space(folders)
        self.free = self.measured_free = free_space(folders)
        self.shared = shared_memory()
        self.buffers = 0
        self.next_count = self.next_space = 0.0

    def exceeded(self) -> str:
        """Return which limit is exceeded, as last measured: "processes", "memory", "space", or none."""
        started = time.monotonic()
        free = free_space(self.folders)
        # A disk that fills fast is measured at once, even if this takes a large part of the time.
        space = started >= self.next_space or self.measured_free - free > self.limits["folder"] // 4
        if not space and started < self.next_count:
            return ""
        processes, threads = members(self.limits["processes"])
        if threads > self.limits["processes"]:
            return "processes"
        if self.uses_memory(processes):
            return "memory"
        counted = time.monotonic()
        self.next_count = counted + max(0.05, SHARE * (counted - started))
        if not space:
            return ""
        if self.uses_space(processes, free):
            return "space"
        self.measured_free = free
        ended = time.monotonic()
        self.next_space = ended + max(0.3, SHARE * (ended - counted))
        return ""

    def uses_memory(self, processes: list[str]) -> bool:
        """Whether the processes use more memory than their limit."""
        limit = self.limits["memory"]
        if memory(processes, limit) + self.buffers > limit:
            return True
        return shared_memory() - self.shared > limit and mapped_files(processes)[1] > 0

    def uses_space(self, processes: list[str], free: int) -> bool:
        """Whether the folders, with deleted files that are still in use, have grown by more than their limit."""
        limit = self.limits["folder"]
        deleted, self.buffers = open_space(processes)
        if deleted == UNKNOWN and not self.confined:
            deleted = 0  # trusted code may run a program of another user
        grown = used_space(self.folders) - self.before + deleted
        lost = self.free - free  # by other programs too: so it counts only as far as deleted files can explain it
        if grown <= limit < lost:
            grown += min(lost - grown, mapped_files(processes)[0] * self.limits["file"])
        return grown > limit
