"""The program around a hook: ``PYTHON -I -S confine.py SETTINGS.json``. A supervisor, and the confined child it forks.

Law: stands alone. It runs under whatever CPython (3.9 or newer) the hook needs, so it imports the standard library and
nothing of deep-lock; what it shall do stands in its settings. Nothing of a stranger runs before every step of the
confinement has succeeded, and a step that fails ends the run.

stdin is the line to deep-lock: when it closes, deep-lock is gone, and so is everything here. stdout takes one JSON
object, the report. The hook's own output goes to a file. ``-S``: with a site module, `.pth` files of the hook's
environment would run before anything was confined.
"""

# No pathlib: it takes 10 ms to import, and this program starts once for each hook.
# ruff: noqa: PTH123, PTH208
# Python 3.9 reads this file: no match, no unions at run time.
from __future__ import annotations

import contextlib
import json
import os
import runpy
import select
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

try:
    import ctypes
except ImportError:  # a Python built without libffi: no layer that needs it can be set up, and run says so
    ctypes = None  # type: ignore[assignment]  # the absence is what is noted
try:
    import resource
except ImportError:  # Windows, where this file is only looked at
    resource = None  # type: ignore[assignment]  # the absence is what is noted

Settings = dict[str, Any]

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_RULE_PATH_BENEATH = 1

TICK = 0.1
SWEEP_SECONDS = 10
MOST_ENTRIES = 500_000
"""More files than this in the writable folders count as too much space."""


# -- the confined child


class StepFailed(Exception):
    """A step of the confinement did not succeed: nothing of the hook has run."""


def libc() -> Any:
    """Return the C library, for the calls that Python has no name for."""
    if ctypes is None:
        raise StepFailed("this Python has no ctypes")
    return ctypes.CDLL(None, use_errno=True)


def called(answer: int, what: str) -> int:
    """Return the answer of a C call, or say what failed and why."""
    if answer < 0:
        raise StepFailed(what + ": " + os.strerror(ctypes.get_errno()))
    return answer


def prctl(option: int, value: int, *, must: bool = True) -> int:
    """Call prctl with one argument; the kernel wants the others to be 0."""
    numbers = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    answer = int(libc().prctl(option, *numbers))
    return called(answer, f"prctl {option}") if must else answer


def limit_resources(limits: Settings) -> None:
    """Set limits of one process each. None is ever raised, and none can be raised again."""
    for name, (soft, hard) in sorted(limits.items()):
        kind = getattr(resource, name, None)
        if kind is None:
            continue  # not on this system: the probe says what does not hold
        top = resource.getrlimit(kind)[1]
        bound = hard if top == resource.RLIM_INFINITY else min(hard, top)
        try:
            resource.setrlimit(kind, (min(soft, bound), bound))
        except (OSError, ValueError) as error:
            raise StepFailed(f"{name}: {error}") from None


def drop_capabilities() -> None:
    """Give up what root has over other users: Landlock and the filter bind it, but do not name every power."""
    for number in range(64):
        if prctl(PR_CAPBSET_DROP, number, must=False) < 0:
            break  # past the last capability, or not privileged: then there is nothing to drop
    libc().prctl(PR_CAP_AMBIENT, *[ctypes.c_ulong(n) for n in (PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)])
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), 8)
    nothing = ctypes.create_string_buffer(bytes(24), 24)
    called(libc().capset(header, nothing), "capset")


def restrict_files(ruleset: Settings) -> None:
    """Apply Landlock. A readable path that is not there is left out: then there is nothing to read."""
    call = libc().syscall
    attributes = struct.pack("=QQQ", ruleset["files"], ruleset["network"], ruleset["scopes"])
    size = ctypes.c_size_t(len(attributes))
    handle = called(call(LANDLOCK_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    for rule in ruleset["rules"]:
        flags = os.O_PATH | os.O_CLOEXEC | (0 if rule["follow"] else os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            path = os.open(rule["path"], flags)
        except OSError as error:
            if rule["follow"]:
                continue
            raise StepFailed(f"{rule['path']}: not a folder to write to: {error.strerror}") from None
        folder = stat.S_ISDIR(os.fstat(path).st_mode)
        rights = rule["rights"] if folder else rule["rights"] & ruleset["file_rights"]
        beneath = struct.pack("=Qi", rights, path)
        answer = call(LANDLOCK_ADD_RULE, handle, LANDLOCK_RULE_PATH_BENEATH, beneath, 0)
        called(answer, "landlock_add_rule " + rule["path"])
        os.close(path)
    called(call(LANDLOCK_RESTRICT_SELF, handle, 0), "landlock_restrict_self")
    os.close(handle)


def filter_calls(programs: Settings) -> None:
    """Install the system call filter for this machine."""
    program = programs.get(os.uname().machine)
    if program is None:
        raise StepFailed("no system call filter for " + os.uname().machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
    arguments = (ctypes.c_ulong(SECCOMP_MODE_FILTER), fprog, ctypes.c_ulong(0), ctypes.c_ulong(0))
    called(libc().prctl(PR_SET_SECCOMP, *arguments), "seccomp")


def confine(settings: Settings, supervisor: int) -> None:
    """Go through the steps, the strictest last."""
    os.umask(0o022)
    if settings["linux"]:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            raise StepFailed("the supervisor is gone")
    limit_resources(settings["resources"])
    if settings["landlock"] or settings["filters"]:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        drop_capabilities()
    if settings["landlock"]:
        restrict_files(settings["landlock"])
    if settings["filters"]:
        filter_calls(settings["filters"])


def become_child(settings: Settings, supervisor: int, output: int, ready: int) -> None:
    """Turn the forked process into the hook's: own session, no descriptor but the output, confined. Or end it."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.setsid()
        ready = os.dup2(ready, os.dup(ready) + 64)  # out of the way of 0 to 3
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(ready, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.chdir(settings["cwd"])
        confine(settings, supervisor)
    except (OSError, StepFailed) as error:
        os.write(3, str(error).encode("utf-8", "replace")[:2000] or b"?")
        os._exit(125)
    os.write(3, b"\n")
    os.close(3)


def run_script(settings: Settings) -> None:
    """Run the hook's script as the main program of this process, which ends as any Python program does."""
    if settings["prefix"]:
        sys.prefix = sys.exec_prefix = settings["prefix"]
    sys.path += settings["search_path"]
    sys.argv = settings["arguments"]
    runpy.run_path(sys.argv[0], run_name="__main__")


# -- the supervisor


def used_space(folders: list[str]) -> float:
    """Return the bytes on disk below the folders; what cannot be counted counts as endless."""
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
            continue  # it was removed meanwhile
        except OSError:
            return float("inf")  # a path made too long to be looked at, or a folder closed to us
        if entries > MOST_ENTRIES:
            return float("inf")
    return total


def offspring() -> list[int]:
    """Return the ids of all processes that descend from this one and are not dead, from /proc; none where it is not."""
    parents: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            parents.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def send(kill: Callable[[int, int], None], number: int, which: int) -> None:
    """Signal a process or group that may be gone."""
    with contextlib.suppress(OSError):
        kill(number, which)


def reap(child: int, code: int) -> tuple[int, bool]:
    """Collect the dead; return the child's exit code as soon as it is known, and whether any process is left."""
    while True:
        try:
            dead, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code, False
        if dead == 0:
            return code, True
        if dead == child:
            code = os.waitstatus_to_exitcode(status)


def sweep(child: int, code: int, *, deep: bool) -> int:
    """Kill whatever the hook left behind, and return its exit code. Stopped first, so that nothing outruns the sweep."""
    send(os.killpg, child, signal.SIGKILL)
    code, left = reap(child, code)
    end = time.monotonic() + SWEEP_SECONDS
    while left and deep and time.monotonic() < end:
        found = offspring()
        for which in (signal.SIGSTOP, signal.SIGKILL):
            for number in found:
                send(os.kill, number, which)
        time.sleep(0.002)
        code, left = reap(child, code)
    return code


def exceeded(settings: Settings, output: int, space: Space) -> str:
    """Return which limit the hook has passed, if any."""
    if os.fstat(output).st_size > settings["output_limit"]:
        return "output"
    return "space" if space.full() else ""


class Space:
    """What the writable folders have grown by, looked at so seldom that looking costs a tenth of the time at most."""

    def __init__(self, folders: list[str], limit: int) -> None:
        self.folders = folders
        self.limit = limit
        self.next = 0.0
        self.before = used_space(folders)

    def full(self) -> bool:
        """Whether they have grown by more than the limit, as far as was looked."""
        started = time.monotonic()
        if started < self.next:
            return False
        grown = used_space(self.folders) - self.before
        ended = time.monotonic()
        self.next = ended + max(0.3, 10 * (ended - started))
        return not grown <= self.limit


def watch(settings: Settings, child: int, output: int, wake: int) -> str:
    """Wait for the end of the child or of its allowance; return why it was stopped, if it was."""
    space = Space(settings["writable"], settings["folder_limit"])
    end = time.monotonic() + settings["wall_seconds"]
    while True:
        # The child stays a zombie here, so that its process group's number is nobody else's when the group is killed.
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        stopped = exceeded(settings, output, space)
        if ended or stopped or time.monotonic() > end:
            return stopped or ("" if ended else "time")
        readable = select.select([0, wake], [], [], TICK)[0]
        if wake in readable:
            os.read(wake, 512)
        if 0 in readable:  # deep-lock writes nothing: this is its end
            return "abandoned"


def supervise(settings: Settings) -> Settings | None:
    """Fork the child and see it to its end; return the report. In the child, return nothing once it is confined."""
    supervisor = os.getpid()
    if settings["linux"] and ctypes is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    output = os.open(settings["output"], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    status, ready = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        become_child(settings, supervisor, output, ready)
        return None
    os.close(ready)
    said = os.read(status, 4096)  # the child's own code, or its end: nothing of a stranger has run
    stopped = watch(settings, child, output, wake) if said == b"\n" else ""
    code = sweep(child, -signal.SIGKILL, deep=settings["sweep"])
    failed = "" if said == b"\n" else said.decode("utf-8", "replace") or "it ended at once"
    return {"failed": failed, "code": code, "stopped": stopped, "seconds": time.monotonic() - started}


def main() -> None:
    """Read the settings and take both parts."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    try:
        report = supervise(settings)
    except (OSError, StepFailed) as error:
        report = {"failed": str(error), "code": 125, "stopped": "", "seconds": 0.0}
    if report is None:
        run_script(settings)
        return
    os.write(1, json.dumps(report).encode())


if __name__ == "__main__":
    main()
