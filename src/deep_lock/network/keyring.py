"""Passwords from the program ``keyring``, which knows the keyrings of the systems and its plugins those of clouds."""

import shutil
import subprocess
from collections.abc import Mapping

import httpx

from deep_lock.errors import ConfigError, raise_machine_fault
from deep_lock.network.urls import shown_text

SECONDS = 60.0
"""For one answer: a keyring may have to be unlocked by a person."""


def read_keyring(url: httpx.URL, username: str, *, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return user name and password for an index URL, else for its host; None where the keyring has neither.

    An empty user name takes any that the keyring has. Raises ConfigError where ``keyring`` does not run or does not end.
    """
    program = shutil.which("keyring", path=environ.get("PATH", ""))
    if program is None:
        raise ConfigError(
            "--keyring-provider subprocess: there is no program keyring on PATH", hint="pipx install keyring"
        )
    for service in (str(url), url.netloc.decode("ascii")):
        arguments = ["get", service, username] if username else ["--mode", "creds", "get", service]
        lines = _run([program, *arguments], environ)
        if username and len(lines) == 1:
            return username, lines[0]
        if not username and len(lines) == 2:
            return lines[0], lines[1]
    return None


def _run(command: list[str], environ: Mapping[str, str]) -> list[str]:
    """Return the lines that the program prints; none where it fails, since it does so for an unknown service."""
    try:
        ended = subprocess.run(  # noqa: S603 - no shell, and the arguments are a URL that was parsed and a user name
            command,
            env={**environ, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
        text = ended.stdout.decode("utf-8")
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise_machine_fault(error)
        raise ConfigError(f"{shown_text(command[0])}: returned no password ({type(error).__name__})") from None
    return text.splitlines() if ended.returncode == 0 else []
