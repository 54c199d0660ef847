"""bubblewrap, the outer layer where it works: own namespaces of processes, mounts and network around everything.

It is optional: a container's own rules or those of the distribution often forbid it.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deep_lock.build.confined.landlock import SYSTEM


def wrapped(arguments: Sequence[str], readable: Sequence[Path], writable: Sequence[Path], cwd: Path) -> list[str]:
    """Return the command that runs another one inside bubblewrap, with these folders under their own names."""
    made = [str(_program()), "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    made += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the inside of a new namespace
    for path in (*map(Path, SYSTEM), *readable):
        made += ["--ro-bind-try", str(path), str(path)]
    for path in writable:
        made += ["--bind", str(path), str(path)]
    return [*made, "--chdir", str(cwd), "--", *arguments]


def _program() -> str | None:
    return shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")


def tried() -> tuple[bool, str]:
    """Return whether it works here, and what was found."""
    if sys.platform != "linux":
        return False, "not on this system"
    if _program() is None:
        return False, "not installed (optional: it adds namespaces around the rest)"
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            wrapped(["/bin/true"], (), (), Path("/")), capture_output=True, check=False, timeout=20, env={}
        )
    except (OSError, subprocess.SubprocessError) as error:
        return False, f"cannot be run: {error}"
    if done.returncode:
        return False, f"does not work here: {done.stderr.decode(errors='replace').strip()[:200]} (optional)"
    return True, "namespaces of its own for processes, mounts and network"
