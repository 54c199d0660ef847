"""What a stranger would try. Run inside the sandbox: ``sandbox_inside.py PLACES.json``; writes answers.json.

An answer is true where the attempt seemed to work; whether it did is looked at from outside (sandbox_driver.py).
"""

import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
Places = dict[str, Any]
NEW_USER, TRACE_ME, TIOCSTI, SET_OWNER, SET_SIGNAL = 0x10000000, 0, 0x5412, 8, 10


def numbered(number: int, *arguments: object) -> int:
    found = int(LIBC.syscall(ctypes.c_long(number), *arguments))
    if found < 0:
        raise OSError(ctypes.get_errno(), "system call")
    return found


def in_child(attempt: Callable[[], object]) -> None:
    """Try in a process of its own what would change this one for good."""
    process = os.fork()
    if process == 0:
        try:
            attempt()
            os._exit(0)
        except OSError:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        raise OSError("refused")


def read(path: str) -> None:
    with open(path, "rb") as file:
        if not file.read():
            raise OSError("empty")


def read_by_link(home: str) -> None:
    os.symlink(f"{home}/netrc", "link")
    read("link")


def change_by_link(home: str) -> None:
    os.symlink(home, "home")
    os.chmod("home/mode2", 0o777)


def write(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"written")


def connect(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        sock.connect(address)


def send(address: "tuple[str, int]") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"sent", tuple(address))


def signal_by_owner(process: int) -> None:
    """Have the kernel signal another process when there is something to read."""
    one, other = socket.socketpair()
    with one, other:
        fcntl.fcntl(one, SET_SIGNAL, signal.SIGUSR2)
        fcntl.fcntl(one, SET_OWNER, process)
        fcntl.fcntl(one, fcntl.F_SETFL, fcntl.fcntl(one, fcntl.F_GETFL) | os.O_ASYNC)
        other.send(b"x")


def type_for_the_user() -> None:
    try:
        fcntl.ioctl(0, TIOCSTI, b"x")
    except OSError as error:
        if error.errno != 25:  # ENOTTY: the kernel looked at it, and only lacked a terminal
            raise


def call_or_fail(found: int) -> None:
    if found < 0:
        raise OSError(ctypes.get_errno(), "refused")


def move_out(path: str) -> None:
    write("moved")
    os.rename("moved", path)


def link_out(path: str) -> None:
    write("linked")
    os.link("linked", path)


def own_secret() -> None:
    if "SECRET" not in os.environ:
        raise OSError("not there")


def read_environment(process: int) -> None:
    with open(f"/proc/{process}/environ", "rb") as file:
        if b"SECRET=" not in file.read():
            raise OSError("somebody else's")


def large_file() -> None:
    with open("large", "wb") as file:
        file.truncate(300 << 20)


def many_files() -> None:
    in_child(lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(300)])


def attempts(places: Places) -> "dict[str, Callable[[], object]]":
    home, parent = places["home"], places["parent"]
    return {
        "read a file": lambda: read(f"{home}/netrc"),
        "read a file through a link": lambda: read_by_link(home),
        "list a folder": lambda: os.listdir(home),
        "write a file": lambda: write(f"{home}/bashrc"),
        "make a file": lambda: write(f"{home}/made"),
        "remove a file": lambda: os.unlink(f"{home}/removed"),
        "move a file out": lambda: move_out(f"{home}/moved"),
        "link a file in": lambda: os.link(f"{home}/linked", "linked-in"),
        "link a file out": lambda: link_out(f"{home}/linked-out"),
        "truncate a file": lambda: os.truncate(f"{home}/truncated", 1),
        "change a mode": lambda: os.chmod(f"{home}/mode", 0o777),
        "change a mode through a link": lambda: change_by_link(home),
        "change times": lambda: os.utime(f"{home}/times", (1, 1)),
        "change an owner": lambda: os.chown(f"{home}/owner", os.getuid(), os.getgid()),
        "change an attribute": lambda: os.setxattr(f"{home}/attribute", "user.x", b"1"),
        "talk TCP": lambda: connect(socket.AF_INET, tuple(places["tcp"])),
        "talk UDP": lambda: send(places["udp"]),
        "talk to a unix socket": lambda: connect(socket.AF_UNIX, places["unix"]),
        "talk to an abstract unix socket": lambda: connect(socket.AF_UNIX, "\0" + places["abstract"]),
        "read the environment of the parent": lambda: read_environment(parent),
        "find a secret in the environment": own_secret,
        "signal the parent": lambda: os.kill(parent, signal.SIGUSR1),
        "have the parent signalled": lambda: signal_by_owner(parent),
        "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
        "be traced": lambda: in_child(lambda: call_or_fail(LIBC.ptrace(TRACE_ME, 0, 0, 0))),
        "make a user namespace": lambda: in_child(lambda: call_or_fail(LIBC.unshare(NEW_USER))),
        "make an io_uring": lambda: os.close(numbered(425, ctypes.c_long(4), ctypes.create_string_buffer(120))),
        "type for the user": type_for_the_user,
        "share memory": lambda: call_or_fail(LIBC.shmctl(LIBC.shmget(0, 4096, 0o1600), 0, None)),
        "make a device": lambda: os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
        "take much memory": lambda: mmap.mmap(-1, 3 << 30).close(),
        "write a large file": large_file,
        "open many files": many_files,
    }


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        places = json.load(file)
    answers = {}
    for name, attempt in attempts(places).items():
        try:
            attempt()
            answers[name] = ""
        except (OSError, MemoryError, ValueError) as error:
            answers[name] = repr(error)
    with open("answers.json", "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main()
