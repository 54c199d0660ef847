"""A file as an earlier revision of the user's own repository has it.

Law: git only reads here, runs no hook and no filter, and gets no argument that could be taken for an option.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deep_lock.errors import LimitExceeded, UsageError

SECONDS = 60.0
MAX_BYTES = 64 * 1024 * 1024


def file_at(path: Path, revision: str, environ: Mapping[str, str]) -> str | None:
    """Return the text of a file in a revision (a branch, a tag, a commit, HEAD~1); None where it is not there.

    Raises UsageError where there is no git, or git does not end; LimitExceeded.
    """
    if revision.startswith("-") or not revision.isprintable():
        return None
    program = shutil.which("git", path=environ.get("PATH"))
    if program is None:
        raise UsageError("git is needed to read a revision, and is not on the search path", hint="install git")
    command = [program, "-c", "core.fsmonitor=false", "cat-file", "blob", f"{revision}:./{path.name}"]
    try:
        ran = subprocess.run(  # noqa: S603 - git by its full path; no shell, and no argument is an option
            command,
            cwd=path.parent,
            env={**environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"git took more than {SECONDS:.0f} s to read {path.name} at {revision}") from None
    except OSError as error:
        raise UsageError(f"git cannot be run: {error.strerror or error}") from None
    if ran.returncode:
        return None
    if len(ran.stdout) > MAX_BYTES:
        raise LimitExceeded(f"{path.name} at {revision}: more than {MAX_BYTES} bytes")
    return ran.stdout.decode("utf-8", "replace")
