"""What a hostile hook tries, as a table, and a bench to try it on. `python sandboxed.py LAYERS...` tries all and prints JSON.

Each attack prints "got it" where it succeeds; each is harmless where it does: the victims are the bench's own.
"""

import json
import os
import signal
import socket
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.builds.results import is_result
from deep_lock.builds.sandbox.run import INNER_LAYERS, Command, Ended, LayerName, Limits, execute
from deep_lock.errors import DeepLockError

try:
    import fcntl
except ImportError:  # Windows, where the tests that use it are skipped
    fcntl = None  # type: ignore[assignment]  # its absence is recorded

GOT = "got it"
LAYERS: dict[str, frozenset[LayerName]] = {
    "inner": INNER_LAYERS,
    "bubblewrap": INNER_LAYERS | {"bubblewrap"},
    "cgroup": INNER_LAYERS | {"cgroup"},
    "all": INNER_LAYERS | {"bubblewrap", "cgroup"},
}
"""With and without the layers that are optional."""


class Bench(Struct, frozen=True, kw_only=True):
    """A folder of its own, with a home to attack and a folder to work in."""

    home: Path
    work: Path
    script: Path
    services: dict[str, str]

    def command(self, code: str, *, python: str = sys.executable, limits: Limits | None = None) -> Command:
        """Return a command that runs the code, with the bench's addresses in `it`."""
        self.script.write_text(f"import json, sys\nit = json.loads(sys.argv[1])\n{textwrap.dedent(code)}\n")
        return Command(
            python=Path(python),
            arguments=(str(self.script), json.dumps(self.services)),
            cwd=self.work,
            environ={"PATH": "/usr/bin:/bin", "HOME": str(self.work), "TMPDIR": str(self.work), "LANG": "C.UTF-8"},
            readable=(self.script, Path(sys.base_prefix), Path(python).resolve().parents[1]),
            writable=(self.work,),
            limits=limits or Limits(wall_seconds=30),
        )

    def attack(self, name: str, layers: frozenset[LayerName] = INNER_LAYERS, *, abi: int | None = None) -> bool:
        """Whether an attack of the table succeeds in those layers."""
        limits = Limits(wall_seconds=30, memory=1 << 30)
        ended = execute(self.command(ATTACKS[name].code, limits=limits), layers, abi=abi)
        return GOT in ended.output.splitlines()

    def excess(self, name: str, layers: frozenset[LayerName] = INNER_LAYERS) -> tuple[bool, str]:
        """Whether an excess of the table is done in those layers, and the limit that ended the run."""
        limits = replace(SMALL_LIMITS, **dict.fromkeys(EXCESSES[name].lifted, 1 << 40))
        ended = execute(self.command(EXCESSES[name].code, limits=limits), layers)
        return GOT in ended.output.splitlines(), ended.stopped

    def kill(self, killed: Sequence[int], layers: frozenset[LayerName] = INNER_LAYERS) -> str:
        """Kill some of the `programs` of a run of `HELD`, and return the error of the run; "left" if a process is left."""
        errors: list[str] = []

        def run() -> None:
            try:
                self.run(HELD, layers)
            except DeepLockError as error:
                errors.append(error.message)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: is_locked(self.work / "held"))
        found = programs()
        assert len(found) == 3
        for at in killed:
            with suppress(ProcessLookupError):  # the end of the first one can be that of the second one
                os.kill(found[at], signal.SIGKILL)
        thread.join(20)
        with suppress(AssertionError):
            until(lambda: not is_locked(self.work / "held"))
            return "; ".join(errors) if not thread.is_alive() and not programs() else "left"
        return "left"

    def result_is_read(self, name: str, layers: frozenset[LayerName] = INNER_LAYERS) -> bool:
        """Whether a file of the home is taken for a result of the hook, which left a link of the table to it."""
        code, path = LINKS[name]
        ended = self.run(f"import os\nos.mkdir('result')\n{code}", layers)
        assert (ended.code, (self.work / path).read_text()) == (0, "secret")
        return is_result(self.work / path, self.work)

    def run(self, code: str, layers: frozenset[LayerName] = INNER_LAYERS, *, limits: Limits | None = None) -> Ended:
        """Run the code."""
        return execute(self.command(code, limits=limits), layers)


@contextmanager
def bench() -> Iterator[Bench]:
    """Set up a home with secrets, and services of every kind."""
    with ExitStack() as stack:
        # short: the path of a unix socket has 108 bytes
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True)))
        home, work = place / "home", place / "work"
        home.mkdir()
        work.mkdir()
        for name in (".netrc", ".bashrc"):
            (home / name).write_text("secret")
            (home / name).chmod(0o600)
        (work / "link").symlink_to(home / ".netrc")

        def serve(family: int, kind: int, address: object) -> str:
            service = stack.enter_context(socket.socket(family, kind))
            service.bind(address)  # type: ignore[arg-type]  # the shape of an address depends on its family
            if kind == socket.SOCK_STREAM:
                service.listen()
            return str(service.getsockname()[1]) if family == socket.AF_INET else ""

        services = {
            "home": str(home),
            "parent": str(os.getpid()),
            "tcp": serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": serve(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        }
        serve(socket.AF_UNIX, socket.SOCK_STREAM, str(home / "agent"))
        serve(socket.AF_UNIX, socket.SOCK_DGRAM, str(home / "log"))
        services["abstract"] = f"deep-lock-{place.name}"
        serve(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{services['abstract']}")
        script = place / "script.py"
        yield Bench(home=home, work=work, script=script, services=services)


class Attack(Struct, frozen=True):
    """Code, and which layers each stop it: without all of them it succeeds."""

    code: str
    stopped_by: tuple[LayerName, ...]
    abi: int = 1
    """The version of Landlock that stops it, where Landlock does."""


def _attack(*stopped_by: LayerName, code: str, abi: int = 1) -> Attack:
    body = textwrap.indent(textwrap.dedent(code).strip(), "    ")
    return Attack(
        f"import os, socket\ntry:\n{body}\n    print('{GOT}')\nexcept OSError as e:\n    print(e)", stopped_by, abi
    )


ATTACKS: dict[str, Attack] = {
    "read netrc": _attack("landlock", code="assert open(it['home'] + '/.netrc').read()"),
    "read netrc through a link": _attack("landlock", code="assert open('link').read()"),
    "list the home": _attack("landlock", code="os.listdir(it['home'])"),
    "write bashrc": _attack("landlock", code="open(it['home'] + '/.bashrc', 'a').write('x')"),
    "remove bashrc": _attack("landlock", code="os.unlink(it['home'] + '/.bashrc')"),
    "link netrc in": _attack("landlock", code="os.link(it['home'] + '/.netrc', 'hard')"),
    "read the parent's environment": _attack(
        "landlock", "capabilities", code="open('/proc/' + it['parent'] + '/environ').read()"
    ),
    "tcp": _attack("landlock", "seccomp", code="socket.create_connection(('127.0.0.1', int(it['tcp'])), 5)", abi=4),
    "udp": _attack(
        "seccomp",
        code="socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(it['udp'])))",
    ),
    "unix socket by path": _attack("seccomp", code="socket.socket(socket.AF_UNIX).connect(it['home'] + '/agent')"),
    "unix socket from a datagram pair": _attack(
        "seccomp",
        code="socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', it['home'] + '/log')",
    ),
    "abstract unix socket": _attack(
        "landlock", "seccomp", code="socket.socket(socket.AF_UNIX).connect(chr(0) + it['abstract'])", abi=6
    ),
    "signal the parent": _attack("landlock", "seccomp", code="os.kill(int(it['parent']), 0)", abi=6),
    "limit the parent": _attack(
        "seccomp",
        code="""
        import resource
        files = resource.prlimit(int(it['parent']), resource.RLIMIT_NOFILE)
        resource.prlimit(int(it['parent']), resource.RLIMIT_NOFILE, files)
        """,
    ),
    "open netrc to the world": _attack(
        "seccomp",
        code="""
        os.chmod(it['home'] + '/.netrc', 0o644)
        if os.stat(it['home'] + '/.netrc').st_mode & 0o777 != 0o644:
            raise OSError('pretended')
        """,
    ),
    "open netrc to the world through a link": _attack(
        "seccomp",
        code="""
        os.chmod('link', 0o644)
        if os.stat(it['home'] + '/.netrc').st_mode & 0o777 != 0o644:
            raise OSError('pretended')
        """,
    ),
    "change the times of netrc": _attack(
        "seccomp",
        code="""
        os.utime(it['home'] + '/.netrc', (1, 1))
        if os.stat(it['home'] + '/.netrc').st_mtime != 1:
            raise OSError('pretended')
        """,
    ),
    "truncate netrc": _attack("landlock", "seccomp", code="os.truncate(it['home'] + '/.netrc', 0)", abi=3),
    "make a namespace": _attack(
        "seccomp",
        code="""
        import ctypes
        if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):  # CLONE_NEWUSER
            raise OSError(ctypes.get_errno(), 'unshare')
        """,
    ),
    "three gigabytes": _attack("limits", code="import mmap; mmap.mmap(-1, 3 << 30)"),
    "a file of 300 MiB": _attack("limits", code="os.truncate(os.open('big', os.O_RDWR | os.O_CREAT), 300 << 20)"),
    "leave the process group": _attack(
        "seccomp",
        code="""
        if os.fork() == 0:
            os.setsid()
            os._exit(0 if os.getpgid(0) == os.getpid() else 1)
        if os.wait()[1]:
            raise OSError('pretended')
        """,
    ),
    "space past the limit of a file": _attack(
        "seccomp",
        code="""
        import ctypes
        library = ctypes.CDLL(None, use_errno=True)
        big = os.open('big', os.O_RDWR | os.O_CREAT)
        if library.fallocate(big, 1, ctypes.c_long(0), ctypes.c_long(300 << 20)):  # FALLOC_FL_KEEP_SIZE
            raise OSError(ctypes.get_errno(), 'fallocate')
        """,
    ),
    "space past the limit of a file by an ioctl": _attack(
        "seccomp",
        code="""
        import fcntl, struct
        big = os.open('big', os.O_RDWR | os.O_CREAT)
        fcntl.ioctl(big, 0x4030582A, struct.pack('=hhxxxxqqiI16x', 0, 0, 0, 300 << 20, 0, 0))  # FS_IOC_RESVSP64
        """,
    ),
    "memory in a descriptor": _attack("seccomp", code="os.ftruncate(os.memfd_create('memory'), 250 << 20)"),
    "a file on its way to another process": _attack(
        "seccomp",
        code="""
        one, other = socket.socketpair()
        socket.send_fds(one, [b'x'], [os.open('kept', os.O_RDWR | os.O_CREAT)])
        """,
    ),
    "hide the open files": _attack(
        "seccomp",
        code="""
        import ctypes
        if ctypes.CDLL(None, use_errno=True).prctl(4, 0, 0, 0, 0):  # PR_SET_DUMPABLE
            raise OSError(ctypes.get_errno(), 'prctl')
        """,
    ),
    "a lease on a file": _attack(
        "seccomp", code="import fcntl; fcntl.fcntl(open(__file__), fcntl.F_SETLEASE, fcntl.F_RDLCK)"
    ),
    "watch a folder": _attack(
        "seccomp",
        code="import fcntl; fcntl.fcntl(os.open('/usr/lib', os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_CREATE)",
    ),
    "the priority of the parent": _attack("seccomp", code="os.getpriority(os.PRIO_PROCESS, int(it['parent']))"),
}


class Excess(Struct, frozen=True):
    """Code that uses more than `SMALL_LIMITS` allow and then prints "got it", and the limit that ends it."""

    code: str
    limit: str
    lifted: tuple[str, ...] = ()
    """Limits that are lifted, so that another one ends the code."""


def _excess(limit: str, code: str, *lifted: str) -> Excess:
    return Excess(
        f"import ctypes, mmap, os, threading, time\n{textwrap.dedent(code)}\ntime.sleep(3)\nprint('{GOT}')",
        limit,
        lifted,
    )


SMALL_LIMITS = Limits(
    wall_seconds=40, folder=48 << 20, file_size=16 << 20, total_memory=160 << 20, processes=48, open_files=128
)
EXCESSES: dict[str, Excess] = {
    "files that are there": _excess(
        "space", "for number in range(8):\n    open(str(number), 'wb').write(bytes(15 << 20))"
    ),
    "files that are deleted and open": _excess(
        "space",
        """
        kept = []
        for number in range(8):
            kept.append(open('kept', 'wb', buffering=0))
            kept[-1].write(bytes(15 << 20))
            os.unlink('kept')
        """,
    ),
    "files without a name": _excess(
        "space",
        """
        for number in range(8):
            os.write(os.open('.', os.O_RDWR | os.O_TMPFILE), bytes(15 << 20))
        """,
    ),
    "files of a thread of its own table": _excess(
        "space",
        """
        def keep():
            ctypes.CDLL(None).close_range(0xffffff, 0xffffff, 2)  # CLOSE_RANGE_UNSHARE
            for number in range(8):
                os.write(os.open('.', os.O_RDWR | os.O_TMPFILE), bytes(15 << 20))
            time.sleep(9)
        threading.Thread(target=keep, daemon=True).start()
        """,
    ),
    "files of a child": _excess(
        "space",
        """
        for number in range(8):
            if os.fork() == 0:
                os.write(os.open('.', os.O_RDWR | os.O_TMPFILE), bytes(15 << 20))
                time.sleep(9)
        """,
    ),
    "deleted files in memory": _excess(
        "space",
        """
        kept = []
        for number in range(8):
            with open('kept', 'w+b', buffering=0) as file:
                file.write(bytes(15 << 20))
                os.fsync(file.fileno())
                library = ctypes.CDLL(None)
                library.mmap.restype = ctypes.c_void_p
                assert library.mmap(None, ctypes.c_size_t(4096), 1, 1, file.fileno(), ctypes.c_long(0)) != 2 ** 64 - 1
            os.unlink('kept')
        """,
    ),
    "memory of many processes": _excess(
        "memory",
        """
        for number in range(6):
            if os.fork() == 0:
                kept = b'x' * (48 << 20)
                time.sleep(9)
        """,
    ),
    "memory that is shared": _excess(
        "memory",
        """
        for number in range(6):
            memory = mmap.mmap(-1, 48 << 20)
            memory.write(b'x' * (48 << 20))
            if os.fork() == 0:
                time.sleep(9)
            memory.close()
        """,
    ),
    "memory in buffers of sockets": _excess(
        "memory",
        """
        import socket
        for number in range(16):
            if os.fork() == 0:
                kept = [socket.socketpair() for _ in range(50)]
                for one, other in kept:
                    for end in (one, other):
                        end.setblocking(False)
                        try:
                            while True:
                                end.send(bytes(1 << 16))
                        except BlockingIOError:
                            pass
                time.sleep(9)
        """,
    ),
    "processes": _excess(
        "processes", "for number in range(96):\n    if os.fork() == 0:\n        time.sleep(9)\n        os._exit(0)"
    ),
    "a chain of processes": _excess(
        "processes",
        """
        for number in range(96):
            if os.fork():
                time.sleep(9)
                os._exit(0)
        """,
    ),
    "threads": _excess(
        "processes",
        "for number in range(96):\n    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    ),
    "processes whose first thread has ended": _excess(
        "processes",
        """
        for number in range(96):
            if os.fork() == 0:
                threading.Thread(target=time.sleep, args=(9,)).start()
                ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)
        """,
    ),
}


HELD = """
    import fcntl, os, subprocess, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            held = open('held', 'w')
            fcntl.flock(held, fcntl.LOCK_EX)
            os.set_inheritable(held.fileno(), True)
            subprocess.run(['sleep', '60'], close_fds=False)
        os._exit(0)
    time.sleep(60)
"""
"""A process of the hook that is none of its children has a lock, and so has a program that it started."""
KILLS = {"guard": (0,), "supervisor": (1,), "supervisor and hook": (1, 2)}
"""Positions in `programs`."""
LINKS = {
    "its folder": ("os.rmdir('result')\nos.symlink(it['home'], 'result')", "result/.netrc"),
    "a folder in it": ("os.symlink(it['home'], 'result/inner')", "result/inner/.netrc"),
    "the file": ("os.symlink(it['home'] + '/.netrc', 'result/METADATA')", "result/METADATA"),
    "a link to a link": (
        "os.symlink(it['home'], 'other')\nos.symlink('../other', 'result/inner')",
        "result/inner/.netrc",
    ),
}
"""What a hook leaves in place of a result, and the path of the result."""


def programs() -> list[int]:
    """Return the guard, the supervisor and the first process of the one hook that runs."""
    found, waiting = [], [os.getpid()]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        waiting += [int(number) for path in process.glob("task/*/children") for number in path.read_text().split()]
        line = (process / "cmdline").read_bytes().split(b"\0")
        if b"python" in line[0] and any(part.endswith(b"/confine.py") for part in line):
            found.append(int(process.name))
    return found[:3]


def is_locked(path: Path) -> bool:
    """Whether a process has the file locked. A lock and not a process id: within bubblewrap ids are others."""
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def until(met: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + 20
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


def try_all(layers: frozenset[LayerName]) -> dict[str, object]:
    """Try everything in these layers."""
    found: dict[str, object] = {}
    for name in (*ATTACKS, *EXCESSES, *KILLS, *LINKS):
        with bench() as place:
            if name in ATTACKS:
                found[name] = place.attack(name, layers)
            elif name in EXCESSES:
                found[name] = place.excess(name, layers)
            elif name in KILLS:
                found[name] = place.kill(KILLS[name], layers)
            else:
                found[name] = place.result_is_read(name, layers)
    return found


def main() -> None:
    """Try everything in each of the `LAYERS` that are named, and each attack without the layers that stop it."""
    found: dict[str, dict[str, object]] = {name: try_all(LAYERS[name]) for name in sys.argv[1:]}
    found["without"] = {}
    for name, attack in ATTACKS.items():
        with bench() as place:
            found["without"][name] = place.attack(name, INNER_LAYERS - set(attack.stopped_by))
    print(json.dumps(found))  # noqa: T201 - the one line that the test reads


if __name__ == "__main__":
    main()
