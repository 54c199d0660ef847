"""Runs sandbox_inside.py under each plan of layers, and looks at what came of it: ``sandbox_driver.py FOLDER``.

A program of its own, so that it can run as another user, and with a secret in its environment. Writes answers.json:
plan to attempt to "" where it got through, else why not.
"""

import json
import os
import signal
import socket
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

from deep_lock.build.interpreters import inspect_interpreter
from deep_lock.build.sandbox import GIB, LAYERS, NEEDED, Command, Limits, probe, run

INSIDE = Path(__file__).with_name("sandbox_inside.py")
FILES = ("netrc", "bashrc", "removed", "linked", "truncated", "mode", "mode2", "times", "owner", "attribute")
PLANS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "limits": ("limits",),
    "landlock": ("landlock",),
    "seccomp": ("seccomp",),
    "needed": NEEDED,
    "all": LAYERS,
}
_signals: list[int] = []


class World:
    """What lies outside: a home with files in it, and who listens."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        for name in FILES:
            (self.home / name).write_text("0123456789", encoding="utf-8")
            (self.home / name).chmod(0o600)
        self.before = {name: (self.home / name).stat() for name in FILES}
        self.sockets: dict[str, socket.socket] = {}
        for name, family, kind, address in (
            ("talk TCP", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("talk UDP", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("talk to a unix socket", socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "sock")),
            ("talk to an abstract unix socket", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{os.getpid()}{folder.name}"),
        ):
            sock = held.enter_context(socket.socket(family, kind))
            sock.bind(address)
            sock.setblocking(False)  # noqa: FBT003 - the standard library's own
            if kind == socket.SOCK_STREAM:
                sock.listen()
            self.sockets[name] = sock

    def places(self) -> dict[str, object]:
        return {
            "home": str(self.home),
            "parent": os.getpid(),
            "tcp": self.sockets["talk TCP"].getsockname(),
            "udp": self.sockets["talk UDP"].getsockname(),
            "unix": self.sockets["talk to a unix socket"].getsockname(),
            "abstract": self.sockets["talk to an abstract unix socket"].getsockname()[1:].decode(),
        }

    def effects(self) -> dict[str, bool]:
        """Say of what can be seen from here whether it happened."""
        after = {name: (self.home / name).stat() for name in FILES if (self.home / name).exists()}
        return {
            **{name: _heard(sock) for name, sock in self.sockets.items()},
            "write a file": after["bashrc"].st_size != 10,
            "make a file": (self.home / "made").exists(),
            "remove a file": "removed" not in after,
            "move a file out": (self.home / "moved").exists(),
            "link a file in": after["linked"].st_nlink != 1,
            "link a file out": (self.home / "linked-out").exists(),
            "truncate a file": after["truncated"].st_size != 10,
            "change a mode": stat.S_IMODE(after["mode"].st_mode) != 0o600,
            "change a mode through a link": stat.S_IMODE(after["mode2"].st_mode) != 0o600,
            "change times": after["times"].st_mtime == 1,
            "change an owner": after["owner"].st_ctime_ns != self.before["owner"].st_ctime_ns,
            "change an attribute": after["attribute"].st_ctime_ns != self.before["attribute"].st_ctime_ns,
            "signal the parent": signal.SIGUSR1 in _signals,
            "have the parent signalled": signal.SIGUSR2 in _signals,
        }


def _heard(sock: socket.socket) -> bool:
    try:
        if sock.type == socket.SOCK_DGRAM:
            return bool(sock.recv(10))
        sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def try_plan(folder: Path, layers: tuple[str, ...]) -> dict[str, str]:
    _signals.clear()
    own = inspect_interpreter(Path(sys.executable))
    assert own is not None
    inside = folder / "inside"
    inside.mkdir(parents=True)
    with ExitStack() as held:
        world = World(folder, held)
        (inside / "places.json").write_text(json.dumps(world.places()), encoding="utf-8")
        command = Command(
            python=own.executable,
            arguments=(str(INSIDE), "places.json"),
            cwd=inside,
            environ={"PATH": "/usr/bin:/bin"},
            readable=(*own.base, INSIDE),
            writable=(inside,),
            limits=Limits(memory=2 * GIB),
        )
        ended = run(command, layers)
        path = inside / "answers.json"
        if not path.is_file():
            raise SystemExit(f"{layers}: {ended}")
        answers: dict[str, str] = json.loads(path.read_bytes())
        for name, happened in world.effects().items():
            answers[name] = "" if happened else answers[name] or "nothing happened"
        return answers


def main() -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda told, _: _signals.append(told))
    folder = Path(sys.argv[1])
    able = [layer.name for layer in probe().layers if layer.works]
    plans = {name: layers for name, layers in PLANS.items() if set(layers) <= set(able)}
    answers = {name: try_plan(folder / name, layers) for name, layers in plans.items()}
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main()
