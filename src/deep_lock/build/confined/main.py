"""Runs one script of a stranger, confined: ``PYTHON -I -S main.py SETTINGS.json``.

On Linux this process becomes the supervisor; its child confines itself and then runs the script. Elsewhere there is no
supervisor, and the confinement, if any, was put around this process (sandbox-exec).

Law: everything that is needed is imported before the confinement, and nothing of the environment can be imported before
it: the search path of the environment is appended last, without its ``.pth`` files.
"""

import json
import os
import runpy
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself takes 5 ms to load
    from typing import Any

_PACKAGES = os.path.abspath(__file__).rsplit(os.sep, 4)[0]
sys.path.append(_PACKAGES)
LINUX = sys.platform == "linux"
if LINUX:
    import resource

    from deep_lock.build.confined import answers, kernel, landlock, seccomp, supervise
sys.path.pop()
_REPORT_SECONDS = 20.0


def main() -> int:
    """Read the settings, and run what they name."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    if not LINUX:
        return _run_script(settings)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
    if settings["parent"] and os.getppid() != settings["parent"]:
        return 1  # it died before we could ask to be told of that
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    own = os.getpid()
    process = os.fork()
    if process == 0:
        here.close()
        os._exit(_confined(settings, there, own))
    there.close()
    try:
        report = _watched(settings, here, process, told)
    finally:
        supervise.sweep()
    with open(settings["status"], "w", encoding="utf-8") as file:
        json.dump(report, file)
    return 0


def _watched(settings: "dict[str, Any]", here: socket.socket, process: int, told: "list[int]") -> "dict[str, Any]":
    listener, fault = _received(here)
    if fault:
        return {"code": 126, "stopped": "", "fault": fault}
    most = int(settings["limits"]["processes"])
    asked = answers.Answers(listener, settings["writable"], most) if listener >= 0 else None
    watched = supervise.Watched(process, settings["limits"], 1, settings["measured"])
    try:
        code, stopped = watched.wait(asked, told)
    finally:
        if asked is not None:
            asked.close()
    return {"code": code, "stopped": stopped, "fault": ""}


def _received(sock: socket.socket) -> "tuple[int, str]":
    """Return the listener (-1 for none), and why the confinement could not be made ("" if it could)."""
    sock.settimeout(_REPORT_SECONDS)
    with sock:
        try:
            data, handles, _, _ = socket.recv_fds(sock, 4096, 1)
        except OSError as error:
            return -1, str(error) or "no report"
    if data.startswith(b"+"):
        return (handles[0] if handles else -1), ""
    return -1, data[1:].decode(errors="replace") or "the process ended before it was confined"


def _confined(settings: "dict[str, Any]", sock: socket.socket, parent: int) -> int:
    """Confine this process, say so, run the script, and return its exit code."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        listener = _confine(settings, sock, parent)
        if listener >= 0:
            socket.send_fds(sock, [b"+"], [listener])
            os.close(listener)
        else:
            sock.sendall(b"+")
    except BaseException as error:  # nothing may go on from here unconfined
        sock.sendall(b"-" + str(error).encode())
        return 126
    sock.close()
    try:
        return _run_script(settings)
    except SystemExit as error:
        return _exit_code(error)
    except BaseException:  # what a process that ends by itself does: tell, and fail
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        _flush()


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def _confine(settings: "dict[str, Any]", sock: socket.socket, parent: int) -> int:
    """Give up everything but what the settings leave; returns the descriptor of questions, -1 for none."""
    layers, limits = settings["layers"], settings["limits"]
    os.setsid()
    _close_all_but(sock.fileno())
    if "limits" in layers:
        for name, value in (
            ("AS", limits["memory"]),
            ("CPU", limits["cpu_seconds"]),
            ("FSIZE", limits["file_size"]),
            ("NOFILE", limits["open_files"]),
            ("NPROC", _MOST_THREADS),
            ("CORE", 0),
        ):
            _limit(getattr(resource, f"RLIMIT_{name}"), int(value))
    if layers:
        kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the supervisor is gone")
    if "landlock" in layers:
        landlock.restrict(settings["readable"], settings["writable"])
    return seccomp.restrict() if "seccomp" in layers else -1


_MOST_THREADS = 8192
"""Of all programs of the user together, for that is what the kernel counts; it counts none for root."""


def _close_all_but(kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:  # the one that the list was read from
                continue


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def _run_script(settings: "dict[str, Any]") -> int:
    """Run the script as __main__, with the packages of its environment behind the standard library."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "deep_lock"]:
        del sys.modules[name]  # the stranger may be building a deep_lock of its own
    os.chdir(settings["cwd"])
    os.environ.clear()  # whatever was put around this process may have set some of its own
    os.environ.update(settings["environ"])
    sys.path += settings["search_path"]
    if settings["prefix"]:
        sys.prefix = sys.exec_prefix = settings["prefix"]
    sys.argv = list(settings["arguments"])
    runpy.run_path(sys.argv[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
