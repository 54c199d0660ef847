"""What this machine can do for a run: sandbox, interpreters, cache, commands. Looks, and changes nothing."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from deep_lock.deferred import Deferred
from deep_lock.flags import Surroundings
from deep_lock.model.targets import DEFAULT_PLATFORMS, default_pythons, make_target, runs_on

if TYPE_CHECKING:
    from deep_lock.build import interpreters, sandbox
else:
    interpreters = Deferred("deep_lock.build.interpreters")
    sandbox = Deferred("deep_lock.build.sandbox")

COMMANDS = ("git", "cc")
"""What builds are known to ask for: version control, and a C compiler."""


class Part(Struct, frozen=True, kw_only=True):
    """One layer of the sandbox."""

    name: str
    works: bool
    reason: str


class Python(Struct, frozen=True, kw_only=True):
    """One interpreter, and the default targets that it speaks for."""

    name: str
    path: Path
    targets: tuple[str, ...]


class Examination(Struct, frozen=True, kw_only=True):
    """What was found. A command that is not there has no path."""

    sandbox: str
    parts: tuple[Part, ...]
    pythons: tuple[Python, ...]
    cache: Path
    cache_works: bool
    commands: tuple[tuple[str, Path | None], ...]


def examine(surroundings: Surroundings) -> Examination:
    """Look at this machine. Runs the sandbox once, with a trial of our own in it, and asks each interpreter found."""
    ability = sandbox.probe()
    path = surroundings.environ.get("PATH", "")
    return Examination(
        sandbox=ability.level,
        parts=tuple(Part(name=layer.name, works=layer.works, reason=layer.reason) for layer in ability.layers),
        pythons=_pythons(path, surroundings),
        cache=surroundings.cache_folder,
        cache_works=_can_be_written(surroundings.cache_folder),
        commands=tuple((name, Path(found) if (found := shutil.which(name, path=path)) else None) for name in COMMANDS),
    )


def _pythons(path: str, surroundings: Surroundings) -> tuple[Python, ...]:
    targets = [
        make_target(python, platform, host=None)
        for python in default_pythons(None, surroundings.now.date())
        for platform in DEFAULT_PLATFORMS
    ]
    return tuple(
        Python(
            name=f"{found.python_full_version}{'t' if found.free_threaded else ''}",
            path=found.executable,
            targets=tuple(target.label for target in targets if runs_on(found.host, target)),
        )
        for found in interpreters.find_interpreters((), path)
    )


def _can_be_written(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that is there, takes new entries."""
    there = next((own for own in (folder, *folder.absolute().parents) if own.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
