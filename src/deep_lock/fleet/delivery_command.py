"""The command that opens a pull request: a document on its standard input, a clean environment, bounds of time and output."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from msgspec import Struct

from deep_lock.errors import UsageError, raise_machine_fault
from deep_lock.sanitize import show

SYSTEM = ("PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE")
"""Variables that each command gets. Others have passwords: they are passed by name only."""
MAX_OUTPUT_BYTES = 1024 * 1024
TIMED_OUT = 124
"""The exit code of a command that took too long, as that of timeout(1)."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a command ended."""

    exit_code: int
    message: str
    """The last line of its output."""


def run(
    command: Sequence[str],
    document: str,
    *,
    seconds: float,
    passed: Sequence[str],
    environ: Mapping[str, str],
) -> Ended:
    """Run a command without a shell, in an empty folder. Raises UsageError where it cannot be started."""
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        raise UsageError(f"--deliver-command {show(command[0])}: there is no such program on the search path")
    own = {name: environ[name] for name in (*SYSTEM, *passed) if name in environ}
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as content,
        tempfile.TemporaryFile() as output,
    ):
        content.write(document.encode())
        content.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own program, by its full path; no shell
                [program, *command[1:]],
                stdin=content,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=own,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            raise_machine_fault(error)
            raise UsageError(f"--deliver-command {show(command[0])}: {error.strerror or error}") from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return Ended(exit_code=TIMED_OUT, message=f"it took more than {seconds:.0f} s")
        except BaseException:
            _end(process)
            raise
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - MAX_OUTPUT_BYTES))
        lines = output.read().decode("utf-8", "replace").strip().splitlines()
        return Ended(exit_code=code, message=lines[-1] if lines else "")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and what it started."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
