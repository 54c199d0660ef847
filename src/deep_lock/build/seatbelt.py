"""sandbox-exec of macOS, where it is present.

Written by its documentation and never run by us: there was no such machine to test on. `tried` decides by trying.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROGRAM = Path("/usr/bin/sandbox-exec")
_SYSTEM = ("/usr", "/bin", "/sbin", "/System", "/Library", "/opt", "/private/var/select", "/dev")


def wrapped(arguments: Sequence[str], readable: Sequence[Path], writable: Sequence[Path]) -> list[str]:
    """Return the command that runs another one inside sandbox-exec."""
    lines = ["(version 1)", "(deny default)", "(allow process*)", "(allow signal (target same-sandbox))"]
    lines += ["(allow sysctl-read)", "(allow file-read-metadata)"]
    lines += [f"(allow file-read* (subpath {_quoted(path)}))" for path in (*map(Path, _SYSTEM), *readable)]
    lines += [f"(allow file* (subpath {_quoted(path)}))" for path in writable]
    lines += ['(allow file-write-data (literal "/dev/null"))']
    return [str(PROGRAM), "-p", "\n".join(lines), *arguments]


def _quoted(path: Path) -> str:
    text = str(path.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def tried() -> tuple[bool, str]:
    """Return whether it holds here, and what was found: a file outside must not be readable."""
    if not PROGRAM.is_file():
        return False, "there is no sandbox-exec on this machine"
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "secret")
        secret.write_text("secret", encoding="utf-8")
        script = f"import sys\ntry:\n    open({str(secret)!r})\nexcept PermissionError:\n    sys.exit(7)\n"
        base = (Path(sys.base_prefix), Path(sys.base_exec_prefix))
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                wrapped([sys.executable, "-I", "-S", "-c", script], base, ()),
                capture_output=True,
                check=False,
                timeout=20,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return False, f"cannot be run: {error}"
    if done.returncode != 7:
        return False, f"does not hold: {done.stderr.decode(errors='replace').strip()[:200]}"
    return True, "files and network are out of reach"
