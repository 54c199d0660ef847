"""This machine: which hooks may run on it, and on which target.

Invariant: untrusted code runs only inside a strong sandbox, or where the user named its project on the command line.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.builds import interpreters
from deep_lock.builds.sandbox import sandbox
from deep_lock.events import MayChange, Reporter, Warned
from deep_lock.lazy import add_to_load_all
from deep_lock.targets import factory as target_names
from deep_lock.targets.target import Target


class HookPolicy(Struct, frozen=True, kw_only=True):
    """Whose code may run, and how."""

    sandboxed: bool = False
    """Any project's code may run inside a strong sandbox."""
    trusted: frozenset[NormalizedName] = frozenset()
    """Projects whose code may run unconfined."""
    trust_all: bool = False
    pythons: tuple[Path, ...] = ()
    """Interpreters that the user named."""
    search_path: str = ""
    """Where else interpreters are searched for, in the form of PATH."""


class Machine:
    """This machine. Interpreters and the sandbox, which are slow to find, are searched for at first use."""

    def __init__(self, policy: HookPolicy, targets: Sequence[Target], reporter: Reporter) -> None:
        self._policy = policy
        self._targets = targets
        self._reporter = reporter
        self._found: dict[tuple[int, bool], tuple[interpreters.Interpreter, ...]] = {}
        self._hook_targets: dict[str, Target | None] = {}
        self._is_strong: bool | None = None
        if policy.sandboxed or policy.trusted or policy.trust_all:
            add_to_load_all("deep_lock.builds")

    def is_confined(self, name: NormalizedName) -> bool:
        """Whether the project's code runs in the sandbox; else the user trusts it."""
        return not (self._policy.trust_all or name in self._policy.trusted)

    def is_allowed(self, name: NormalizedName) -> bool:
        """Whether the user allows the project's code to run, with or without a sandbox on this machine."""
        return self._policy.sandboxed or not self.is_confined(name)

    def may_run(self, name: NormalizedName) -> bool:
        """Whether the project's code may run here."""
        return not self.is_confined(name) or self._has_sandbox()

    def hook_target(self, name: NormalizedName, target: Target) -> Target | None:
        """Return the target on which the project's hooks are called for another; None where they may not or cannot run.

        That is the target itself where it runs here, else the nearest declared one that does, else this interpreter.
        """
        if not self.may_run(name):
            return None
        if target.label not in self._hook_targets:
            self._hook_targets[target.label] = self._nearest(target)
        return self._hook_targets[target.label]

    def interpreter(self, target: Target) -> "interpreters.Interpreter | None":
        """Return an interpreter that is the target; None where this machine has none."""
        series = (_minor(target), target.python.endswith("t"))
        if series not in self._found:
            host = target_names.read_host()
            running = (int(host.python_full_version.split(".")[1]), host.free_threaded)
            self._found[series] = interpreters.find_interpreters(
                self._policy.pythons, self._policy.search_path, wanted={series} - {running}
            )
        return interpreters.interpreter_for(target, self._found[series])

    def _has_sandbox(self) -> bool:
        if not self._policy.sandboxed:
            return False
        if self._is_strong is None:
            # without the probe, which takes half a second: a run that finds every answer in the cache never needs it
            self._is_strong = sandbox.is_possible()
            if not self._is_strong:
                layers = sandbox.probe().layers
                reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in layers if not layer.works)
                message = f"no build backend runs: this machine has no strong sandbox ({reasons}); see deep-lock doctor"
                self._reporter(Warned(code="no-sandbox", subject="hooks", message=message))
                self._reporter(MayChange(name="the sandbox of the machine"))
        return self._is_strong

    def _nearest(self, target: Target) -> Target | None:
        if self.interpreter(target) is not None:
            return target
        here = [own for own in self._targets if self.interpreter(own) is not None]
        if here:
            return min(here, key=lambda own: (abs(_minor(own) - _minor(target)), -_minor(own), own.label))
        host = target_names.host_target(target_names.read_host())
        return host if self.interpreter(host) is not None else None


def _minor(target: Target) -> int:
    return int(target.environment["python_version"].partition(".")[2])
