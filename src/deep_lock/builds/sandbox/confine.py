"""The program around a hook: ``PYTHON -I -S confine.py SETTINGS.json``. A guard, a supervisor, and the confined child.

Invariant: it runs under any CPython (3.9 or newer) that the hook needs, so it imports the standard library and nothing of
deep-lock; its settings are all of its input. No untrusted code runs before every step of the confinement has succeeded,
and a step that fails ends the run.

stdin is the connection to deep-lock: when it closes, deep-lock has ended, and this program ends the hook. stdout takes
one JSON object, the report. The hook's own output goes to a file. ``-S``: with a site module, `.pth` files of the hook's
environment would run before anything is confined.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import stat
import struct
import sys
from typing import Any

# No pathlib: it takes 10 ms to import, and this program starts once for each hook.
# ruff: noqa: PTH100, PTH118, PTH120, PTH123
# Python 3.9 reads this file: no match, no unions at run time.


try:
    import ctypes
except ImportError:  # a Python built without libffi: a layer that needs it fails, with a message
    ctypes = None  # type: ignore[assignment]  # its absence is recorded
try:
    import resource
except ImportError:  # Windows, where this file is only imported
    resource = None  # type: ignore[assignment]  # its absence is recorded

Settings = dict[str, Any]

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
SECCOMP_SET_MODE_FILTER, SECCOMP_FLAG_NEW_LISTENER = 1, 8
CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_RULE_PATH_BENEATH = 1


# -- the confined child


class StepFailed(Exception):
    """A step of the confinement failed: nothing of the hook has run."""


def libc() -> Any:
    """Return the C library, for calls that Python does not offer."""
    if ctypes is None:
        raise StepFailed("this Python has no ctypes")
    return ctypes.CDLL(None, use_errno=True)


def checked(answer: int, what: str) -> int:
    """Return the result of a C call. Raises StepFailed with the reason where it is an error."""
    if answer < 0:
        raise StepFailed(what + ": " + os.strerror(ctypes.get_errno()))
    return answer


def prctl(option: int, value: int, *, must: bool = True) -> int:
    """Call prctl with one argument; the kernel requires the others to be 0."""
    numbers = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    answer = int(libc().prctl(option, *numbers))
    return checked(answer, f"prctl {option}") if must else answer


def limit_resources(limits: Settings, *, must: bool) -> None:
    """Set limits of one process each. No limit is increased, and none can be increased again.

    ``must``: a limit that cannot be set is an error. On other systems than Linux some cannot, which the probe reports.
    """
    for name, (soft, hard) in sorted(limits.items()):
        kind = getattr(resource, name, None)
        if kind is None or (name == "RLIMIT_NPROC" and not has_own_users()):
            continue  # not on this system, which the probe reports
        top = resource.getrlimit(kind)[1]
        bound = hard if top == resource.RLIM_INFINITY else min(hard, top)
        try:
            resource.setrlimit(kind, (min(soft, bound), bound))
        except (OSError, ValueError) as error:
            if must:
                raise StepFailed(f"{name}: {error}") from None


def has_own_users() -> bool:
    """Whether this process is in a user namespace: outside of one, all processes of the user count."""
    with open("/proc/self/uid_map", "rb") as file:
        return file.read().split() != [b"0", b"0", b"4294967295"]


def drop_capabilities() -> None:
    """Drop the capabilities of root: Landlock and the filter hold for root too, but do not cover every capability."""
    for number in range(64):
        if prctl(PR_CAPBSET_DROP, number, must=False) < 0:
            break  # past the last capability, or not privileged: nothing to drop
    libc().prctl(PR_CAP_AMBIENT, *[ctypes.c_ulong(n) for n in (PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)])
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), 8)
    nothing = ctypes.create_string_buffer(bytes(24), 24)
    checked(libc().capset(header, nothing), "capset")


def restrict_files(ruleset: Settings) -> None:
    """Apply Landlock. A readable path that does not exist is left out."""
    call = libc().syscall
    attributes = struct.pack("=QQQ", ruleset["files"], ruleset["network"], ruleset["scopes"])
    size = ctypes.c_size_t(len(attributes))
    handle = checked(call(LANDLOCK_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    for rule in ruleset["rules"]:
        flags = os.O_PATH | os.O_CLOEXEC | (0 if rule["follow"] else os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            path = os.open(rule["path"], flags)
        except OSError as error:
            if rule["follow"]:
                continue
            raise StepFailed(f"{rule['path']}: not a writable folder: {error.strerror}") from None
        folder = stat.S_ISDIR(os.fstat(path).st_mode)
        rights = rule["rights"] if folder else rule["rights"] & ruleset["file_rights"]
        beneath = struct.pack("=Qi", rights, path)
        answer = call(LANDLOCK_ADD_RULE, handle, LANDLOCK_RULE_PATH_BENEATH, beneath, 0)
        checked(answer, "landlock_add_rule " + rule["path"])
        os.close(path)
    checked(call(LANDLOCK_RESTRICT_SELF, handle, 0), "landlock_restrict_self")
    os.close(handle)


def filter_calls(settings: Settings, which: str) -> int:
    """Install a system call filter for this machine; return the listener of its notifications, or -1 without one.

    Where the kernel refuses a listener (an outer sandbox may have one), the calls that would be passed on are pretended.
    """
    machine = os.uname().machine
    program = settings[which].get(machine)
    if program is None:
        raise StepFailed(f"no system call filter for {machine}")
    number = settings["seccomp_call"][machine]
    pretended = [[*one[:3], settings["pretend"] if one[3] == settings["notify"] else one[3]] for one in program]
    if any(one[3] == settings["notify"] for one in program):
        listener = load_filter(number, SECCOMP_FLAG_NEW_LISTENER, program)
        if listener >= 0:
            return listener
    checked(load_filter(number, 0, pretended), "seccomp")
    return -1


def load_filter(number: int, flags: int, program: list[list[int]]) -> int:
    """Call seccomp(2)."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
    return int(libc().syscall(number, SECCOMP_SET_MODE_FILTER, flags, fprog))


def confine(settings: Settings, supervisor: int) -> int:
    """Do every step, the strictest last; return the listener of the filter's notifications, or -1."""
    os.umask(0o022)
    if settings["linux"]:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            raise StepFailed("the supervisor process has ended")
    limit_resources(settings["resources"], must=settings["linux"])
    if settings["landlock"] or settings["filters"]:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    if settings["capabilities"]:
        drop_capabilities()
    if settings["landlock"]:
        restrict_files(settings["landlock"])
    return filter_calls(settings, "filters") if settings["filters"] else -1


def become_child(settings: Settings, supervisor: int, output: int, ready: int) -> None:
    """Make the forked process the hook's: own session, no descriptor but the output, confined. End it where that fails."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.setsid()
        while ready < 4:  # out of the way of 0 to 3; a high number could be above the limit of open files
            ready = os.dup(ready)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(ready, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.chdir(settings["cwd"])
        listener = confine(settings, supervisor)
        if listener >= 0:
            channel = socket.socket(fileno=os.dup(3))
            socket.send_fds(channel, [b"\n"], [listener])
            channel.close()
            os.close(listener)
        if settings["filters"]:
            filter_calls(settings, "last_filters")
    except (OSError, StepFailed) as error:
        os.write(3, str(error).encode("utf-8", "replace")[:2000] or b"?")
        os._exit(125)
    os.write(3, b"confined")
    os.close(3)


def run_script(settings: Settings) -> None:
    """Run the hook's script as the main program of this process."""
    os.environ.clear()  # Python and bubblewrap set variables
    os.environ.update(settings["environ"])
    if settings["prefix"]:
        sys.prefix = sys.exec_prefix = settings["prefix"]
    sys.path += settings["search_path"]
    sys.argv = settings["arguments"]
    runpy.run_path(sys.argv[0], run_name="__main__")


def sibling(name: str) -> Settings:
    """Load a file of this folder, by its path, since ``-I`` does not search this folder."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    names: Settings = {"__name__": name, "__file__": path}
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), names)  # noqa: S102 - a file of deep-lock's own
    return names


def main() -> None:
    """Read the settings, and run the guard, the supervisor or the child."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    programs = sibling("supervise")
    own, other = socket.socketpair()
    supervisor = 0
    try:
        if settings["linux"]:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        supervisor = os.fork()
        if supervisor:
            other.close()
            os._exit(1 if programs["guard"](settings, supervisor, own) else 0)
        own.close()
        os.setsid()  # a signal to the group of the guard does not end both
        if settings["linux"]:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        report = programs["supervise"](settings, become_child, sibling, other)
    except (OSError, StepFailed) as error:
        report = {"failed": str(error), "code": 125, "stopped": "", "seconds": 0.0}
    if report is None:
        run_script(settings)
        return
    os.write(1, json.dumps(report).encode())
    os._exit(0)  # at once: the guard kills a supervisor that has closed its connection and not ended


if __name__ == "__main__":
    main()
