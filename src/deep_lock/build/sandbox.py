"""The sandbox that build hooks run in: what it can do on this machine, and the run itself.

Law: it fails closed. A hook runs confined only where every promise was tried and held (`probe`), and a step of the
confinement that fails ends the run before a stranger's first line.
"""

import functools
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from deep_lock.build.guarded_run import (
    EVERY_LAYER,
    UNCONFINED,
    Command,
    Ended,
    LayerName,
    Limits,
    execute,
)
from deep_lock.build.landlock import NEWEST_KNOWN, landlock_abi
from deep_lock.errors import DeepLockError, HookRefused

__all__ = ["Ability", "Command", "Ended", "Layer", "Level", "Limits", "probe", "run"]

Level = Literal["strong", "partial", "none"]

_CANARY = Path(__file__).with_name("canary.py")
_MEMORY = 1024 * 1024 * 1024
_STOPS: dict[LayerName, tuple[str, ...]] = {
    "landlock": ("reads", "writes"),
    "seccomp": ("opens_to_the_world", "connects", "leaves", "signals"),
    "limits": ("takes_memory",),
}
"""Which layer answers for which attempt of the canary. (Signals: Landlock's scope, and the filter before ABI 6.)"""


class Layer(Struct, frozen=True, kw_only=True):
    """One means of confinement: whether it works here, and why or why not; then also what would help."""

    name: str
    works: bool
    reason: str


class Ability(Struct, frozen=True, kw_only=True):
    """What the sandbox can do here. Hooks run confined only at level "strong"."""

    level: Level
    layers: tuple[Layer, ...]


@functools.cache
def probe() -> Ability:
    """Try the sandbox for real, in a child process; once for each process. Never raises."""
    layers = (_landlock(), _tried("seccomp", "Linux's system call filter"), _tried("limits", "limits of a process"))
    good = sum(layer.works for layer in layers)
    level: Level = "strong" if good == len(layers) else "partial" if good else "none"
    return Ability(level=level, layers=layers)


def run(command: Command) -> Ended:
    """Run a command and return how it ended. Whatever it started is dead by then.

    Raises HookRefused if it is to be confined and this machine cannot do that, HookFailed if the interpreter cannot be
    started. Never OSError.
    """
    if not command.confined:
        return execute(command, UNCONFINED)
    ability = probe()
    if ability.level != "strong":
        lacking = "; ".join(f"{layer.name}: {layer.reason}" for layer in ability.layers if not layer.works)
        raise HookRefused(
            f"a build hook would have to run, and there is no sandbox here to run it in ({lacking})",
            hint="run deep-lock on Linux 5.13 or newer; `deep-lock doctor` shows what is lacking",
        )
    return execute(command, EVERY_LAYER)


def _landlock() -> Layer:
    abi = landlock_abi()
    if abi > 0:
        return _tried("landlock", f"Landlock, ABI {min(abi, NEWEST_KNOWN)}")
    reason = f"the kernel says: {os.strerror(-abi)}" if abi else "this is not Linux"
    remedy = "needs Linux 5.13 or newer with Landlock enabled, and a container runtime that allows its system calls"
    return Layer(name="landlock", works=False, reason=f"{reason}; {remedy}")


def _tried(name: LayerName, found: str) -> Layer:
    try:
        broken = _breaches({name, "sweep"}, _STOPS[name])
    except (DeepLockError, OSError, ValueError) as error:
        return Layer(name=name, works=False, reason=str(error))
    if broken:
        return Layer(name=name, works=False, reason=f"{found}: does not stop what it should: {', '.join(broken)}")
    return Layer(name=name, works=True, reason=found)


def _breaches(layers: Iterable[LayerName], attempts: tuple[str, ...]) -> list[str]:
    """Return which of the attempts the canary got through with, in those layers."""
    with tempfile.TemporaryDirectory(prefix="deep-lock-probe-", ignore_cleanup_errors=True) as name:
        outside, inside = Path(name) / "outside", Path(name) / "inside"
        outside.write_text("secret")
        outside.chmod(0o600)
        inside.mkdir()
        command = Command(
            python=Path(sys.executable),
            arguments=(str(_CANARY), *[str(outside)] * 3, str(os.getpid()), str(2 * _MEMORY)),
            cwd=inside,
            environ={"LANG": "C.UTF-8"},
            readable=(_CANARY, *(Path(prefix) for prefix in {sys.base_prefix, sys.base_exec_prefix})),
            writable=(inside,),
            limits=Limits(wall_seconds=20, memory=_MEMORY),
        )
        ended = execute(command, frozenset(layers))
    said = dict(line.split(" ") for line in ended.output.splitlines())
    return [attempt for attempt in attempts if said.get(attempt) != "0"]
