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
from pathlib import Path
from typing import Any

_PACKAGES = str(Path(__file__).resolve().parents[3])
sys.path.insert(0, _PACKAGES)
LINUX = sys.platform == "linux"
if LINUX:
    import resource

    from deep_lock.build.confined import attributes, kernel, landlock, seccomp, supervise
sys.path.remove(_PACKAGES)


def main() -> int:
    """Read the settings, and run what they name."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not LINUX:
        return _run_script(settings)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    process = os.fork()
    if process == 0:
        here.close()
        os._exit(_confined(settings, there))
    there.close()
    listener, fault = _received(here)
    server = attributes.Attributes(listener, settings["writable"]) if listener >= 0 else None
    watched = supervise.Watched(process, settings["limits"], 1, settings["writable"])
    code, stopped = watched.wait(server, listener, told)
    supervise.sweep()
    report = json.dumps({"code": code, "stopped": stopped, "fault": fault})
    Path(settings["status"]).write_text(report, encoding="utf-8")
    return 0


def _received(sock: socket.socket) -> "tuple[int, str]":
    """Return the listener (-1 for none), and why the confinement could not be made ("" if it could)."""
    with sock:
        data, handles, _, _ = socket.recv_fds(sock, 4096, 1)
        return (handles[0] if handles else -1), data[1:].decode(errors="replace") if data else "the child was gone"


def _confined(settings: "dict[str, Any]", sock: socket.socket) -> int:
    """Confine this process, say so, run the script, and return its exit code."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        listener = _confine(settings, sock)
    except OSError as error:
        sock.sendall(b"-" + str(error).encode())
        return 126
    if listener >= 0:
        socket.send_fds(sock, [b"+"], [listener])
        os.close(listener)
    else:
        sock.sendall(b"+")
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


def _confine(settings: "dict[str, Any]", sock: socket.socket) -> int:
    """Give up everything but what the settings leave; returns the listener of modes and times, -1 for none."""
    layers, limits = settings["layers"], settings["limits"]
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(sock.fileno(), 3)  # everything above goes, whatever we inherited
    sock.detach()
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    sock.__init__(fileno=3)  # type: ignore[misc]  # the same socket under its new number
    if "limits" in layers:
        for name, value in (
            ("AS", limits["memory"]),
            ("CPU", limits["cpu_seconds"]),
            ("FSIZE", limits["file_size"]),
            ("NOFILE", limits["open_files"]),
            ("CORE", 0),
        ):
            _limit(getattr(resource, f"RLIMIT_{name}"), int(value))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if "landlock" in layers:
        landlock.restrict(settings["readable"], settings["writable"])
    return seccomp.restrict() if "seccomp" in layers else -1


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
