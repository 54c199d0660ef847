"""Bubblewrap around the supervisor: its own root folder, no network and no other processes.

It is optional, and never trusted alone: the confinement inside is the same. It adds that other files are invisible, and
that the kernel ends every process of a hook with its first one. It is searched for in the system's folders only, since
any user can extend PATH.
"""

from collections.abc import Iterable
from pathlib import Path

from deep_lock.builds.sandbox.landlock import SYSTEM

PLACES = (Path("/usr/bin/bwrap"), Path("/usr/local/bin/bwrap"), Path("/bin/bwrap"))


def find_bubblewrap() -> Path | None:
    """Return the program, or None where it is not installed."""
    return next((path for path in PLACES if path.is_file()), None)


def wrap(program: Path, *, python: Path, readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    """Return the arguments that go before a command line which starts ``python``.

    The folder of ``python`` is visible, and the pyvenv.cfg of its virtual environment.
    """
    visible = {Path(path): "--ro-bind-try" for path in SYSTEM if not path.startswith("/dev/")}
    visible |= dict.fromkeys((*readable, python.parent, python.parent.parent / "pyvenv.cfg"), "--ro-bind-try")
    visible |= dict.fromkeys(writable, "--bind")
    binds = [part for path in sorted(visible) for part in (visible[path], str(path), str(path))]  # outer folders first
    start = [str(program), "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    return [*start, *binds, "--remount-ro", "/", "--chdir", "/"]
