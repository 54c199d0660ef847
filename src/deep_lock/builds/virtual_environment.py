"""Virtual environments of exact wheels, in which build hooks run.

Invariant: no code of a wheel runs while the environment is made; a `.pth` file is an ordinary file until the environment's
Python is started with `site`.

On Linux the environment is written by hand: a link to the interpreter, pyvenv.cfg and three folders are all that `site`
looks for (PEP 405), and `venv` takes some 100 ms to make them. Elsewhere (a launcher on Windows, frameworks on macOS) the
interpreter's own `venv` makes it.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from deep_lock.builds.interpreters import Interpreter
from deep_lock.builds.wheel_install import install_wheel
from deep_lock.errors import HookRefused, raise_machine_fault, raise_printed_fault
from deep_lock.targets.platforms import parse_platform

TIME_LIMIT = 60.0
"""Seconds that `venv` may take."""


class VirtualEnvironment(Struct, frozen=True, kw_only=True):
    """A virtual environment on the disk."""

    folder: Path
    python: Path
    """Its Python: a link to the interpreter, or a launcher of it."""
    site_packages: Path
    """purelib and platlib."""
    scripts: Path
    interpreter: Interpreter


def make_environment(folder: Path, interpreter: Interpreter, wheels: Sequence[tuple[Path, str]]) -> VirtualEnvironment:
    """Make an environment in a new or empty folder, and install wheels: (file, wheel file name).

    The order of wheels does not matter: two that have one file with different contents are refused. Raises ArchiveError in
    one of its four kinds or LimitExceeded of a wheel, HookRefused where the environment itself cannot be made here; the
    caller then removes the folder.
    """
    environment = plan_environment(folder.absolute(), interpreter)
    try:
        if parse_platform(interpreter.host.platform).system in {"manylinux", "musllinux"}:
            _write_environment(environment)
        else:
            run_venv(environment)
    except OSError as error:
        raise_machine_fault(error)
        raise HookRefused(f"{folder}: cannot make a virtual environment: {error.strerror}") from None
    owners: dict[Path, str] = {}
    for path, filename in wheels:
        install_wheel(
            path,
            filename,
            schemes={
                "purelib": environment.site_packages,
                "platlib": environment.site_packages,
                # a folder for each project, as pip has them: headers of two projects may have one name
                "headers": environment.folder
                / "include"
                / "site"
                / _python_folder(interpreter)
                / filename.split("-")[0],
                "scripts": environment.scripts,
                "data": environment.folder,
            },
            python=environment.python,
            owners=owners,
        )
    return environment


def plan_environment(folder: Path, interpreter: Interpreter) -> VirtualEnvironment:
    """Return where everything is: the `venv` scheme of sysconfig."""
    windows = os.name == "nt"
    scripts = folder / ("Scripts" if windows else "bin")
    return VirtualEnvironment(
        folder=folder,
        python=scripts / ("python.exe" if windows else "python"),
        site_packages=folder.joinpath(
            *(("Lib",) if windows else ("lib", _python_folder(interpreter))), "site-packages"
        ),
        scripts=scripts,
        interpreter=interpreter,
    )


def _python_folder(interpreter: Interpreter) -> str:
    return f"python3.{interpreter.minor}{'t' if interpreter.free_threaded else ''}"


def _write_environment(environment: VirtualEnvironment) -> None:
    interpreter = environment.interpreter
    environment.site_packages.mkdir(parents=True)
    environment.scripts.mkdir()
    (environment.folder / "lib64").symlink_to("lib")  # platlib of some distributors
    environment.python.symlink_to(interpreter.executable)
    for name in ("python3", f"python3.{interpreter.minor}"):
        (environment.scripts / name).symlink_to("python")
    (environment.folder / "pyvenv.cfg").write_text(
        f"home = {interpreter.executable.parent}\n"
        "include-system-site-packages = false\n"
        f"version = {interpreter.python_full_version}\n",
        encoding="utf-8",
        errors="surrogateescape",
    )


def run_venv(environment: VirtualEnvironment) -> None:
    """Have the interpreter's own `venv` make it, without site and with no environment variables."""
    executable = str(environment.interpreter.executable)
    try:
        subprocess.run(  # noqa: S603 - the user's own interpreter; no shell
            [executable, "-I", "-S", "-m", "venv", "--without-pip", str(environment.folder)],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=TIME_LIMIT,
            check=True,
        )
    except subprocess.SubprocessError as error:
        if isinstance(error, subprocess.CalledProcessError):
            raise_printed_fault(error.stderr.decode("utf-8", "replace"), executable)
        raise HookRefused(
            f"{executable}: cannot make a virtual environment ({type(error).__name__})",
            hint="Some systems ship Python without its venv module; install that, or name another Python.",
        ) from None
