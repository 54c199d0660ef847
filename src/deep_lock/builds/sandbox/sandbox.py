"""The sandbox that build hooks run in: its strength on this machine, and the run itself.

Invariant: it fails closed. A hook runs confined only where `probe` has tried every layer with success, and a step of the
confinement that fails ends the run before untrusted code starts.
"""

import functools
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.builds.sandbox.bubblewrap import find_bubblewrap
from deep_lock.builds.sandbox.cgroup import find_parent
from deep_lock.builds.sandbox.landlock import landlock_abi
from deep_lock.builds.sandbox.run import INNER_LAYERS, UNCONFINED, Command, Ended, LayerName, Limits, execute
from deep_lock.builds.temp_dirs import own_temporary_folder
from deep_lock.errors import DeepLockError, HookRefused, raise_machine_fault, raise_printed_fault

__all__ = ["Ability", "Command", "Ended", "Layer", "Level", "Limits", "probe", "run"]

Level = Literal["strong", "partial", "none"]

_PROBE = Path(__file__).with_name("probe.py")
_MEMORY = 1024 * 1024 * 1024
_STOPS: dict[LayerName, tuple[str, ...]] = {
    "landlock": ("reads", "writes"),
    "seccomp": ("opens_to_the_world", "connects", "leaves", "signals"),
    "limits": ("takes_memory",),
    "bubblewrap": ("reads", "writes", "opens_to_the_world", "signals"),
}
"""Attempts of the probe that each layer alone must stop. (The filter stops the signals that Landlock does not.)"""
_ATTEMPTS = frozenset(attempt for attempts in _STOPS.values() for attempt in attempts)
_ENABLE_LANDLOCK = (
    "needs Linux 5.13 or newer with Landlock enabled (see `lsm=` of the kernel's command line), "
    "and a container whose seccomp profile allows its system calls"
)
_ENABLE_NAMESPACES = (
    "optional: bubblewrap needs unprivileged user namespaces, which Ubuntu 24.04 and most containers deny"
)


class Layer(Struct, frozen=True, kw_only=True):
    """One layer of confinement: whether it works here, with the reason, and what would help if not."""

    name: str
    works: bool
    reason: str


class Ability(Struct, frozen=True, kw_only=True):
    """The strength of the sandbox here. Hooks run confined only at level "strong"."""

    level: Level
    layers: tuple[Layer, ...]


def is_possible() -> bool:
    """Whether a strong sandbox may be possible here, without a trial: `run` still tries before it runs anything."""
    return landlock_abi() > 0 or find_bubblewrap() is not None


@functools.cache
def probe() -> Ability:
    """Try the sandbox in child processes; once for each process. Raises MachineFault."""
    with own_temporary_folder():
        return _probe_all()


def _probe_all() -> Ability:
    layers = (
        _landlock(),
        _try("seccomp", "the kernel takes a system call filter"),
        _try("limits", "a process can be limited"),
        _bubblewrap(),
        _cgroup(),
    )
    works = {layer.name for layer in layers if layer.works and layer.name != "cgroup"}
    strong = {"seccomp", "limits"} <= works and works & {"landlock", "bubblewrap"}
    if strong and _breaches(_usable(layers), tuple(_ATTEMPTS)):
        strong = set()
    level: Level = "strong" if strong else "partial" if works else "none"
    return Ability(level=level, layers=layers)


def _usable(layers: Iterable[Layer]) -> frozenset[LayerName]:
    """Return the layers of a confined run: all, without Landlock, bubblewrap or a control group where that does not work."""
    lacking = {layer.name for layer in layers if not layer.works}
    wanted: frozenset[LayerName] = INNER_LAYERS | {"bubblewrap", "cgroup"}
    return frozenset(name for name in wanted if name not in lacking)


def run(command: Command) -> Ended:
    """Run a command and return how it ended. No process that it started is left.

    Raises HookRefused if it is to be confined and this machine cannot do that, HookFailed if the interpreter cannot be
    started. Never OSError.
    """
    if not command.confined:
        return execute(command, UNCONFINED | {"cgroup"})
    ability = probe()
    if ability.level != "strong":
        lacking = "; ".join(f"{layer.name}: {layer.reason}" for layer in ability.layers if not layer.works)
        raise HookRefused(
            f"a build hook must run, and this machine has no sandbox for it ({lacking})",
            hint="run deep-lock on Linux 5.13 or newer; `deep-lock doctor` shows what is missing",
        )
    return execute(command, _usable(ability.layers))


def _landlock() -> Layer:
    abi = landlock_abi()
    if abi > 0:
        return _try("landlock", f"ABI {abi}")
    reason = f"the kernel refuses: {os.strerror(-abi)}" if abi else "this is not Linux"
    return Layer(name="landlock", works=False, reason=f"{reason}; {_ENABLE_LANDLOCK}")


def _bubblewrap() -> Layer:
    program = find_bubblewrap()
    if program is None:
        return Layer(name="bubblewrap", works=False, reason="not installed; optional, as a layer around the others")
    layer = _try("bubblewrap", str(program))
    return layer if layer.works else replace(layer, reason=f"{layer.reason}; {_ENABLE_NAMESPACES}")


def _cgroup() -> Layer:
    """Report what a control group adds here; the level does not depend on it, since the supervisor counts and ends, too."""
    parent = find_parent()
    if parent is None:
        reason = "optional: needs cgroup version 2, and a group of this process in which this user may make another one"
        return Layer(name="cgroup", works=False, reason=reason)
    limited = " and ".join(sorted(parent.controllers)) or "nothing"
    return Layer(name="cgroup", works=True, reason=f"ends a hook as a whole, and limits {limited}; in {parent.folder}")


def _try(name: LayerName, found: str) -> Layer:
    """Try a layer without the others, to know which one fails."""
    broken = _breaches(frozenset({name, "sweep"}), _STOPS[name])
    return Layer(name=name, works=not broken, reason=broken or found)


def _breaches(layers: frozenset[LayerName], attempts: tuple[str, ...]) -> str:
    """Return which of the attempts succeeded in those layers, or why none was possible; "" where all were stopped."""
    try:
        outcomes = _probe(layers)
    except (DeepLockError, OSError, ValueError) as error:
        raise_machine_fault(error)
        return str(error)
    succeeded = [attempt for attempt in attempts if outcomes.get(attempt) != "0"]
    return f"does not stop what it should: {', '.join(succeeded)}" if succeeded else ""


def _probe(layers: frozenset[LayerName]) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="deep-lock-probe-", ignore_cleanup_errors=True) as name:
        outside, inside = Path(name) / "outside", Path(name) / "inside"
        outside.write_text("secret")
        outside.chmod(0o600)
        inside.mkdir()
        command = Command(
            python=Path(sys.executable),
            arguments=(str(_PROBE), *[str(outside)] * 3, str(os.getpid()), str(2 * _MEMORY)),
            cwd=inside,
            environ={"LANG": "C.UTF-8"},
            readable=(_PROBE, *(Path(prefix) for prefix in {sys.base_prefix, sys.base_exec_prefix})),
            writable=(inside,),
            limits=Limits(wall_seconds=20, memory=_MEMORY),
        )
        ended = execute(command, layers)
    if ended.code:
        raise_printed_fault(ended.output, "the trial of the sandbox")
    lines = [line.partition(" ") for line in ended.output.splitlines()]
    return {attempt: outcome for attempt, _, outcome in lines}
