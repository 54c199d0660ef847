"""What this machine may run, and for which targets it speaks.

Law: a stranger's code runs only inside a strong sandbox, or where the user named it on the command line.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.builds import interpreters
from deep_lock.builds.sandbox import sandbox
from deep_lock.events import Reporter, Warned
from deep_lock.targets import factory as target_names
from deep_lock.targets.target import Target


class HookPolicy(Struct, frozen=True, kw_only=True):
    """Whose code may run, and how."""

    sandboxed: bool = False
    """Anybody's, inside a strong sandbox."""
    trusted: frozenset[NormalizedName] = frozenset()
    """Projects whose code may run unconfined."""
    trust_all: bool = False
    pythons: tuple[Path, ...] = ()
    """Interpreters that the user named."""
    search_path: str = ""


class Machine:
    """This machine. What is slow to find out (interpreters, the sandbox) is found out when it is first asked."""

    def __init__(self, policy: HookPolicy, targets: Sequence[Target], reporter: Reporter) -> None:
        self._policy = policy
        self._targets = targets
        self._reporter = reporter
        self._found: dict[tuple[int, bool], tuple[interpreters.Interpreter, ...]] = {}
        self._hook_targets: dict[str, Target | None] = {}
        self._strong: bool | None = None

    def is_confined(self, name: NormalizedName) -> bool:
        """Whether the project's code runs in the sandbox; else the user trusts it."""
        return not (self._policy.trust_all or name in self._policy.trusted)

    def is_allowed(self, name: NormalizedName) -> bool:
        """Whether the user lets the project's code run, be there a sandbox or not."""
        return self._policy.sandboxed or not self.is_confined(name)

    def may_run(self, name: NormalizedName) -> bool:
        """Whether the project's code may run at all."""
        return not self.is_confined(name) or self._has_sandbox()

    def hook_target(self, name: NormalizedName, target: Target) -> Target | None:
        """Return the target on which this machine may ask on behalf of another; None where it must not or cannot.

        That is the target itself where it runs here, else the declared one nearest to it, else this very interpreter.
        """
        if not self.may_run(name):
            return None
        if target.label not in self._hook_targets:
            self._hook_targets[target.label] = self._nearest(target)
        return self._hook_targets[target.label]

    def interpreter(self, target: Target) -> "interpreters.Interpreter | None":
        """Return an interpreter that is the target; None where there is none here."""
        series = (_minor(target), target.python.endswith("t"))
        if series not in self._found:
            host = target_names.read_host()
            running = (int(host.python_full_version.split(".")[1]), host.free_threaded)
            wanted = {series} - {running}
            self._found[series] = interpreters.find_interpreters(
                self._policy.pythons, self._policy.search_path, wanted=wanted
            )
        return interpreters.interpreter_for(target, self._found[series])

    def _has_sandbox(self) -> bool:
        if not self._policy.sandboxed:
            return False
        if self._strong is None:
            # the trial takes half a second, and a run that finds every answer in the cache has no use for it
            self._strong = sandbox.is_possible()
            if not self._strong:
                layers = sandbox.probe().layers
                reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in layers if not layer.works)
                message = (
                    f"no backend is asked, since there is no strong sandbox here ({reasons}); see deep-lock doctor"
                )
                self._reporter(Warned(code="no-sandbox", subject="hooks", message=message))
        return self._strong

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
