"""The functions of the public API, which `deep_lock` exports. docs/reference/api.md has examples.

They read the environment (credentials of indexes, the cache folder) and the clock as the command line does. Options that
are not parameters come from ``[tool.deep-lock]`` of the project. Every error is a `DeepLockError`.
"""

from collections.abc import Iterable
from pathlib import Path

from deep_lock.cli.session import read_context
from deep_lock.config.options import (
    HookOptions,
    Hooks,
    InputOptions,
    LockOptions,
    NetworkOptions,
    ResolveOptions,
    UpgradeOptions,
)
from deep_lock.errors import LockInvalid, UsageError
from deep_lock.events import Reporter, silent
from deep_lock.files import write_atomically
from deep_lock.lockfile import rewrite
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking import lock as locking
from deep_lock.locking.read_inputs import require_lock
from deep_lock.models.lock import REVISION, Lock


def lock(
    project: str | Path = ".",
    *,
    upgrade: bool | str | Iterable[str] = False,
    python_versions: Iterable[str] = (),
    platforms: Iterable[str] = (),
    hooks: Hooks | None = None,
    default_index: str | None = None,
    offline: bool = False,
    refresh: bool = False,
    reporter: Reporter = silent,
) -> Lock:
    """Resolve a project to full depth and return its lock, as ``deep-lock lock`` does. Nothing is written.

    ``project`` is the folder of the project; of a member of a workspace, the workspace is locked. Pins of its ``deep.lock`` are kept where they still fit. ``upgrade`` is True for
    new versions of all packages, or one or more of "NAME" and "NAME==VERSION". ``python_versions`` and ``platforms`` are targets,
    as "3.12" and "x86_64-manylinux_2_28". ``hooks`` says whether build hooks may run: "static" (none), "sandbox", "trust".
    ``refresh`` requests project pages again; without it they are cached for at most ten minutes. ``reporter``
    receives warnings and progress (`deep_lock.events`), from worker threads too.

    Raises UserError (inputs, options), ActionNeeded (no versions fit), IndexFault (network), SafetyError (hashes, archives).
    """
    if isinstance(upgrade, bool):
        upgrades = UpgradeOptions(everything=upgrade)
    else:
        upgrades = UpgradeOptions(packages=(upgrade,) if isinstance(upgrade, str) else tuple(upgrade))
    options = LockOptions(
        inputs=InputOptions(folder=Path(project)),
        resolve=ResolveOptions(pythons=(*python_versions,), platforms=(*platforms,)),
        hooks=HookOptions(hooks=hooks),
        upgrade=upgrades,
        network=NetworkOptions(default_index=default_index, offline=offline, refresh=refresh),
        context=read_context(),
    )
    return locking.lock(options, reporter).lock


def check(project: str | Path = ".") -> tuple[str, ...]:
    """Return why the ``deep.lock`` of a project is stale, one sentence each; empty where it is up to date.

    This is ``deep-lock lock --check``: no request is made.

    Raises UserError, and PolicyBroken where the lock is up to date and breaks the policy of the project.
    """
    options = LockOptions(inputs=InputOptions(folder=Path(project)), context=read_context())
    return locking.check_lock(options).reasons


def read_lock(path: str | Path) -> Lock:
    """Read a ``deep.lock``. Raises LockInvalid where it is missing or has a wrong value."""
    return require_lock(Path(path), silent)


def write_lock(lock: Lock, path: str | Path) -> None:
    """Write a lock in its canonical form. The same records give the same bytes.

    The text is read back, compared and validated before it replaces the file, and the replacement is atomic. Of a lock
    that a later deep-lock wrote, the keys in the file that this one does not know are kept.

    Raises LockInvalid where the records do not agree with each other, UsageError where a target is not known or the file cannot
    be written.
    """
    targets = chosen_targets(lock, (), str(path))
    faults = broken_invariants(lock, targets)
    if faults:
        raise LockInvalid(f"{path}: not written: the lock contradicts itself:\n  " + "\n  ".join(faults))
    try:
        keeps_keys = lock.revision > REVISION and Path(path).is_file()
        previous = Path(path).read_bytes().decode(errors="replace") if keeps_keys else ""
        write_atomically(Path(path), rewrite.checked_text(lock, targets, previous=previous).encode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
