"""Strangers for the sandbox: a script in a folder, run under layers, and a look at whether anything of it lives on."""

import os
import sys
import textwrap
import time
from pathlib import Path

from deep_lock.build.interpreters import Interpreter, inspect_interpreter
from deep_lock.build.sandbox import Command, Ended, Limits, run

PATH = "/usr/bin:/bin"
PATIENCE = 20.0


def own_interpreter() -> Interpreter:
    found = inspect_interpreter(Path(sys.executable))
    assert found is not None
    return found


def stranger(
    folder: Path,
    code: str,
    *arguments: str,
    limits: Limits | None = None,
    environ: dict[str, str] | None = None,
    interpreter: Interpreter | None = None,
    writable: tuple[Path, ...] = (),
    search_path: tuple[Path, ...] = (),
    prefix: Path | None = None,
    confined: bool = True,
) -> Command:
    """Return the command that runs this code in ``folder``/room, marked by the folder's name."""
    room = folder / "room"
    room.mkdir(parents=True, exist_ok=True)
    script = folder / "stranger.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    own = interpreter or own_interpreter()
    return Command(
        python=own.executable,
        arguments=(str(script), *arguments),
        cwd=room,
        environ={"PATH": PATH, "TMPDIR": str(room), "MARK": str(folder), **(environ or {})},
        readable=(*own.base, script),
        writable=writable or (room,),
        search_path=search_path,
        prefix=prefix,
        limits=limits or Limits(wall_seconds=60),
        confined=confined,
    )


def meet(folder: Path, code: str, layers: tuple[str, ...], *arguments: str, limits: Limits | None = None) -> Ended:
    """Run the code under these layers; nothing of it may live on."""
    ended = run(stranger(folder, code, *arguments, limits=limits), layers)
    # the innermost process of bubblewrap itself may end a moment after the others
    assert lives(folder, wanted=False) if "bubblewrap" in layers else not living(folder)
    return ended


def living(folder: Path) -> list[int]:
    """Return the processes that carry the folder's mark, zombies left out: those have no environment."""
    mark = f"MARK={folder}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def lives(folder: Path, *, wanted: bool) -> bool:
    """Wait until something of the stranger lives, or nothing does; return whether that came about."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if bool(living(folder)) == wanted:
            return True
        time.sleep(0.02)
    return False
