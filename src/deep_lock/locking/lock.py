"""Ties the knot: inputs, index, resolver and sdist readers to one Lock.

Law: until a lock is whole and lawful, nothing is written; what is there stays as it was.
"""

from contextlib import AbstractContextManager, closing, nullcontext
from functools import cache
from hashlib import sha256
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.builds.backend_answers import HookRunner
from deep_lock.builds.context import BuildContext
from deep_lock.builds.host import Machine
from deep_lock.closure.closure import close
from deep_lock.closure.model import Closure, Plan
from deep_lock.closure.version_sharing import releases, shared_preferences
from deep_lock.config.options import LockOptions, UpgradeOptions
from deep_lock.errors import HookRefused, Stale, UsageError
from deep_lock.events import Reporter, Warned, silent
from deep_lock.files import write_atomically
from deep_lock.lazy import filelock
from deep_lock.lockfile import staleness
from deep_lock.lockfile.rewrite import checked_text, keep_unknown, require_same_bytes
from deep_lock.locking import imported_lock, project_build, warnings
from deep_lock.locking.assemble import AssemblyInput, builds, packages
from deep_lock.locking.catalog import IndexCatalog
from deep_lock.locking.direct_sources import DirectSources, previous_pins
from deep_lock.locking.imported_lock import ImportedHashes
from deep_lock.locking.indexes import Network, open_network
from deep_lock.locking.inputs import LockRequest, head_of, resolve_inputs, with_targets
from deep_lock.locking.plan import plan_of
from deep_lock.locking.policy_gate import hold
from deep_lock.locking.previous_lock import earlier_of
from deep_lock.locking.read_inputs import lock_path, with_dynamic_metadata
from deep_lock.locking.settings import hook_policy_of
from deep_lock.locking.warnings import require_evidence, require_moved, require_sources, warn
from deep_lock.models.lock import Lock
from deep_lock.models.requirement import parse_requirement
from deep_lock.network import git


def build_lock(run: LockRequest, network: Network, reporter: Reporter) -> Lock:
    """Resolve everything to full depth, and assemble the lock.

    Raises ActionNeeded, IndexFault and SafetyError.
    """
    machine = Machine(hook_policy_of(run.flags, run.gathered.config), run.targets, reporter)
    moved = frozenset(parse_requirement(text).name for text in run.flags.upgrade.packages)
    surroundings = run.flags.surroundings
    direct = DirectSources(
        client=network.client,
        repositories=cache(
            lambda: git.Repositories(surroundings.cache_folder, surroundings.environ, offline=run.flags.network.offline)
        ),
        trees=run.gathered.trees,
        previous=previous_pins(run.old, without=moved),
    )
    workshop = BuildContext(
        machine=machine,
        client=network.client,
        cache=network.cache,
        project=run.flags.inputs.folder.resolve(),
        folder_of=run.gathered.trees.folder,
        checkout=direct.checkout,
    )
    plan = _plan(run)
    given = ImportedHashes(run.gathered.foreign)
    hooks = HookRunner(context=workshop, cache=network.cache, reporter=reporter, refresh=run.flags.network.refresh)
    sources = IndexCatalog(
        client=network.client,
        cache=network.cache,
        direct=direct,
        hooks=hooks,
        plan=plan,
        previous=earlier_of(run.old),
        hashes=given,
    )
    with closing(workshop):
        if run.gathered.foreign is not None:
            run = _fitting(run, plan, sources, reporter)
            made = _closed(run, _plan(run), sources, reporter)
            given.check(made)
            return made
        if run.gathered.project.unknown:
            run = _asked(run, plan, sources=sources, hooks=hooks, reporter=reporter)
            plan = _plan(run)
        return _closed(run, plan, sources, reporter)


def _plan(run: LockRequest) -> Plan:
    return plan_of(run.flags, run.gathered, run.old, selection=run.selection, targets=run.targets)


def _fitting(run: LockRequest, plan: Plan, sources: IndexCatalog, reporter: Reporter) -> LockRequest:
    """Leave out default targets that cannot take what another tool's lock pins."""
    foreign = run.gathered.foreign
    if foreign is None:
        return run
    declared = imported_lock.are_declared(run.flags, run.gathered.config)
    left = imported_lock.fitting(foreign, plan.runtime, sources, reporter, declared=declared)
    return run if left == run.targets else with_targets(run, left)


def _asked(
    run: LockRequest, plan: Plan, *, sources: IndexCatalog, hooks: HookRunner, reporter: Reporter
) -> LockRequest:
    """Complete the project by what its own backend tells; where it cannot be asked, by what the old lock says.

    Raises HookRefused where neither can be.
    """
    project = run.gathered.project
    known = project_build.from_backend(project, plan, plan.runtime[0], sources=sources, hooks=hooks, reporter=reporter)
    if known is None:
        fields = " and ".join(f"project.{key}" for key in sorted(project.unknown))
        said = f"{fields}: dynamic, known to the build backend only, and that cannot be asked here"
        if run.old is None:
            raise HookRefused(
                f"{project.source}: {said}", hint="write them in the file; deep-lock doctor says why it cannot be asked"
            )
        message = f"{said}: taken from the lock as it was"
        reporter(Warned(code="project-not-asked", subject=project.source, message=message))
        return run
    return replace(run, gathered=with_dynamic_metadata(run.gathered, known, run.flags.inputs))


def _closed(run: LockRequest, plan: Plan, sources: IndexCatalog, reporter: Reporter) -> Lock:
    closure = _shared(plan, sources, reporter)
    require_sources(closure, run.selection)
    upgrade = run.flags.upgrade
    named = (parse_requirement(text) for text in upgrade.packages)
    require_moved(closure, (requirement for requirement in named if requirement.specifier), upgrade.in_builds)
    if run.flags.rules.require_evidence or run.gathered.config.require_evidence:
        require_evidence(closure)
    if run.gathered.foreign is not None:
        warnings.tell_given(
            run.gathered.foreign,
            closure,
            plan.runtime,
            sources,
            reporter,
            indexes=[url for _, url in head_of(run).indexes],
        )
    warn(closure, sources, reporter, added=plan.extra_build_requires, settings=plan.config_settings)
    assembly = AssemblyInput(
        closure=closure,
        problems=plan.runtime,
        parts=run.gathered.parts,
        files=sources,
        selection=run.selection,
        folder=run.folder,
        every_file=run.gathered.config.files == "all",
    )
    return replace(head_of(run), packages=packages(assembly), builds=builds(assembly))


def _shared(plan: Plan, sources: IndexCatalog, reporter: Reporter) -> Closure:
    """Close once; close again where environments could share more, and keep what names fewer releases."""
    closure = close(plan, sources, reporter)
    preferences = shared_preferences(closure) if plan.share else {}
    if not preferences:
        return closure
    again = close(replace(plan, shared=preferences), sources, reporter)
    return again if releases(again) < releases(closure) else closure


WAIT_SECONDS = 30


class Outcome(Struct, frozen=True, kw_only=True):
    """A finished lock, its text, and where it belongs."""

    path: Path
    lock: Lock
    text: str
    before: str | None
    """What stood there when the run began."""
    guard: Path
    """The file that keeps two writers apart. In the cache: the project's folder gets nothing but the lock."""

    @property
    def changed(self) -> bool:
        return self.text != self.before


def check_lock(flags: LockOptions, *, existence_only: bool = False) -> tuple[Path, tuple[str, ...]]:
    """Return why the lock is stale, a sentence each; nothing where it is up to date. Asks no index.

    Raises UserError, and PolicyBroken where the lock is up to date and breaks the policy of the configuration.
    """
    path = lock_path(flags.inputs)
    if not path.is_file():
        return path, ("there is no lock",)
    if existence_only:
        return path, ()
    run = resolve_inputs(flags, silent)
    if run.old is None:
        return path, ()
    reasons, policy = _reasons(run), run.gathered.config.policy
    if not reasons and policy is not None:
        hold(run.old, policy, path.name, now=flags.surroundings.now)
    return path, reasons


def _reasons(run: LockRequest) -> tuple[str, ...]:
    if run.old is None:
        return ("there is no lock",)
    same = {target.name for target in run.old.targets} == {target.label for target in run.targets}
    reasons = staleness.stale_reasons(run.old, head_of(run), run.targets if same else ())
    moved = ImportedHashes(run.gathered.foreign).moved(run.old)
    return (*reasons, *moved)


def lock(flags: LockOptions, reporter: Reporter) -> Outcome:
    """Resolve everything and return the lock, unwritten. An up-to-date lock is returned as it is, without an index.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    run = resolve_inputs(flags, reporter)
    before = run.path.read_bytes().decode("utf-8", errors="replace") if run.path.is_file() else None
    guard = guard_of(run.path, flags.surroundings.cache_folder)
    if run.old is not None and _may_stand(run) and not _reasons(run):
        return Outcome(path=run.path, lock=run.old, text=before or "", before=before, guard=guard)
    network = open_network(flags, run.gathered.config, reporter)
    with closing(network):
        made = build_lock(run, network, reporter)
    if run.old is not None:
        made = keep_unknown(run.old, made)
        moved_names = {parse_requirement(text).name for text in flags.upgrade.packages}
        require_same_bytes(run.old, made, moved_names)
    return Outcome(path=run.path, lock=made, text=checked_text(made, run.targets), before=before, guard=guard)


def _may_stand(run: LockRequest) -> bool:
    """Whether an earlier lock may stand as it is: nothing is to be moved, and no backend has to be asked to know that."""
    flags, unknown = run.flags, run.gathered.project.unknown
    return flags.upgrade == UpgradeOptions() and not flags.network.refresh and not unknown


def write_lock(outcome: Outcome) -> None:
    """Write the lock atomically, if nobody else wrote it meanwhile.

    Raises Stale where the file changed since it was read, UsageError where it cannot be written.
    """
    path = outcome.path
    try:
        with _guarded(outcome.guard):
            now = path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else None
            if now == outcome.text:
                return  # another run came to the same lock
            if now != outcome.before:
                raise Stale(f"{path}: another program wrote it meanwhile; nothing was written", hint="run it again")
            write_atomically(path, outcome.text.encode())
    except filelock.Timeout:
        raise UsageError(f"{path}: another deep-lock has been writing it for {WAIT_SECONDS} s") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}; it is as it was") from None


def guard_of(path: Path, cache_folder: Path) -> Path:
    """Return the file that writers of one lock hold by turns: in the cache, so that none is left beside the lock."""
    name = sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:32]
    return cache_folder / "writing" / f"{name}.lock"


def _guarded(guard: Path) -> AbstractContextManager[object]:
    """Hold the guard. Without a cache that can be written there is none: what was read before writing still counts."""
    try:
        guard.parent.mkdir(parents=True, exist_ok=True)
        guard.touch()
    except OSError:
        return nullcontext()
    held: AbstractContextManager[object] = filelock.FileLock(guard, timeout=WAIT_SECONDS)
    return held
