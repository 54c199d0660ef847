"""Bubblewrap around the supervisor: a root of its own, without network and without other processes.

Law: pure but for asking which files are there. It is never needed, and never trusted alone: the confinement inside is
the same. What it adds is that other files cannot even be seen to exist, and that the kernel ends every process of a hook
with its first one. Looked for in the system's folders, not on PATH, which is anyone's.
"""

from collections.abc import Iterable
from pathlib import Path

from deep_lock.builds.sandbox.landlock import SYSTEM

PLACES = (Path("/usr/bin/bwrap"), Path("/usr/local/bin/bwrap"), Path("/bin/bwrap"))


def find_bubblewrap() -> Path | None:
    """Return the program, or None where it is not installed."""
    return next((path for path in PLACES if path.is_file()), None)


def wrap(program: Path, *, python: Path, readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    """Return the arguments to put before a command line that starts ``python``.

    The folder of ``python`` is shown, and the file beside it that makes it a virtual environment's.
    """
    shown = {Path(path): "--ro-bind-try" for path in SYSTEM if not path.startswith("/dev/")}
    shown |= dict.fromkeys((*readable, python.parent, python.parent.parent / "pyvenv.cfg"), "--ro-bind-try")
    shown |= dict.fromkeys(writable, "--bind")
    binds = [part for path in sorted(shown) for part in (shown[path], str(path), str(path))]  # outer folders first
    start = [str(program), "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    return [*start, *binds, "--remount-ro", "/", "--chdir", "/"]
