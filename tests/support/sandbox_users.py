"""As whom the sandbox is tried: as whoever runs the tests, and as a user without rights where that is root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

import deep_lock

NOBODY = 65534
USERS = ("own", "unprivileged")


@cache
def _unprivileged() -> "tuple[str, ...] | str":
    """Return the start of a command that runs a Python with our packages as nobody; else why there is none."""
    if os.geteuid() != 0:
        return "the tests run as a user without rights already"
    dropping = shutil.which("setpriv")
    if dropping is None:
        return "there is no setpriv"
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    path = os.pathsep.join([str(Path(deep_lock.__file__).parents[1]), *packages])
    start = (dropping, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", f"PYTHONPATH={path}")
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = (*start, python)
        trial = subprocess.run([*command, "-c", "import deep_lock.build.sandbox"], capture_output=True, check=False)
        if trial.returncode == 0:
            return command
    return "no Python that a user without rights may run has the packages that deep-lock needs"


def command_of(user: str) -> tuple[str, ...]:
    """Return the start of a command that runs Python as a user; skips the test where that cannot be done."""
    if user == "own":
        return ("env", f"PYTHONPATH={os.pathsep.join(filter(None, sys.path))}", sys.executable)
    found = _unprivileged()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """Make a folder that belongs to the user: those of pytest are closed to others."""
    with tempfile.TemporaryDirectory(prefix="deep-lock-test-", ignore_cleanup_errors=True) as name:
        if user != "own":
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)
