"""Settings of the user's own repository, by git's own program.

Law: only the settings that are named here are read or written, and only in the repository's own configuration.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deep_lock.errors import UsageError

SECONDS = 30.0


def top_of(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return the top of the work tree that a folder is in. Raises UsageError where there is none, or no git."""
    code, told = _git(folder, environ, "rev-parse", "--show-toplevel")
    if code:
        raise UsageError(f"{folder}: is in no git repository", hint="run it in a work tree")
    return Path(told)


def setting(folder: Path, key: str, environ: Mapping[str, str]) -> str | None:
    """Return a setting of the repository; None where it is not set."""
    code, told = _git(folder, environ, "config", "--local", "--get", key)
    return None if code else told


def set_setting(folder: Path, key: str, value: str | None, environ: Mapping[str, str]) -> None:
    """Set a setting of the repository, or take it away (None). Raises UsageError."""
    arguments = ("--unset-all", key) if value is None else (key, value)
    code, told = _git(folder, environ, "config", "--local", *arguments)
    if code:
        raise UsageError(f"git config {key}: {told or 'it failed'}")


def _git(folder: Path, environ: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    program = shutil.which("git", path=environ.get("PATH"))
    if program is None:
        raise UsageError("git is needed, and is not on the search path", hint="install git")
    try:
        ran = subprocess.run(  # noqa: S603 - git by its full path; no shell
            [program, *arguments],
            cwd=folder,
            env={**environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"git cannot be run: {error}") from None
    return ran.returncode, (ran.stdout if ran.returncode == 0 else ran.stderr).strip()
