"""Ties the knot: inputs, index, resolver and sdist readers to one Lock.

Law: until a lock is whole and lawful, nothing is written; what is there stays as it was.
"""

from contextlib import AbstractContextManager, closing, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.asking import Backends
from deep_lock.assembling import Assembly, builds, packages
from deep_lock.closure import close
from deep_lock.deferred import Deferred
from deep_lock.direct_sources import DirectSources, earlier_pins
from deep_lock.earlier import earlier_of
from deep_lock.errors import HookRefused, LockInvalid, Stale, UsageError
from deep_lock.events import Reporter, Warned, silent
from deep_lock.files import write_atomically
from deep_lock.findings import require_evidence, require_sources, tell
from deep_lock.flags import Flags, UpgradeFlags
from deep_lock.graph import Closure, Plan
from deep_lock.index_sources import IndexSources
from deep_lock.lockfile.emit import to_text
from deep_lock.lockfile.laws import check_closed
from deep_lock.machine import Machine
from deep_lock.model.lock import Lock, LockedInputs, LockedTarget
from deep_lock.model.requirement import Requirement, parse_requirement
from deep_lock.model.resolution import Selection
from deep_lock.model.target import Target
from deep_lock.model.target_markers import environment_marker, environments
from deep_lock.model.targets import read_host
from deep_lock.network import Network, index_settings, locked_indexes, locked_links, open_network
from deep_lock.planning import plan_of
from deep_lock.reading import Gathered, completed, gather, lock_path, read_lock
from deep_lock.settings import hook_policy_of, options_of, selection_of, targets_of
from deep_lock.sharing import releases, sharable
from deep_lock.workshop import Workshop

if TYPE_CHECKING:
    import filelock

    from deep_lock import project_metadata
    from deep_lock.index import vcs
    from deep_lock.lockfile import stale
else:
    filelock = Deferred("filelock")
    project_metadata = Deferred("deep_lock.project_metadata")
    vcs = Deferred("deep_lock.index.vcs")
    stale = Deferred("deep_lock.lockfile.stale")

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


class _Run(Struct, frozen=True, kw_only=True):
    """One run's inputs, settled."""

    flags: Flags
    path: Path
    gathered: Gathered
    old: Lock | None
    selection: Selection
    targets: tuple[Target, ...]

    @property
    def folder(self) -> Path:
        """Where the lock stands: from there it sees what lies beside it."""
        return self.path.parent.resolve()


def _settle(flags: Flags, reporter: Reporter) -> _Run:
    path = lock_path(flags.inputs)
    gathered = gather(flags, reporter)
    old = None if flags.upgrade.everything else read_lock(path, reporter)
    if gathered.project.unknown and old is not None:
        gathered = completed(gathered, project_metadata.from_lock(gathered.project, old), flags.inputs)
    return _Run(
        flags=flags,
        path=path,
        gathered=gathered,
        old=old,
        selection=selection_of(flags, gathered, old),
        targets=targets_of(flags, gathered, old, read_host()),
    )


def check_lock(flags: Flags, *, existence_only: bool = False) -> tuple[Path, tuple[str, ...]]:
    """Return why the lock is stale, a sentence each; nothing where it is up to date. Asks no index.

    Raises LockInvalid and UserError.
    """
    path = lock_path(flags.inputs)
    if not path.is_file():
        return path, ("there is no lock",)
    if existence_only:
        return path, ()
    run = _settle(flags, silent)
    return path, _reasons(run) if run.old is not None else ()


def _reasons(run: _Run) -> tuple[str, ...]:
    if run.old is None:
        return ("there is no lock",)
    head = _head(run)
    same = {target.name for target in run.old.targets} == {target.label for target in run.targets}
    return stale.stale_reasons(
        run.old,
        inputs=head.inputs,
        options=head.options,
        indexes=head.indexes,
        targets=head.targets,
        requires_python=head.requires_python,
        extras=head.extras,
        groups=head.dependency_groups,
        full_targets=run.targets if same else (),
    )


def lock(flags: Flags, reporter: Reporter) -> Outcome:
    """Resolve everything and return the lock, unwritten. An up-to-date lock is returned as it is, without an index.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    run = _settle(flags, reporter)
    before = run.path.read_bytes().decode("utf-8", errors="replace") if run.path.is_file() else None
    guard = guard_of(run.path, flags.surroundings.cache_folder)
    if run.old is not None and _may_stand(run) and not _reasons(run):
        return Outcome(path=run.path, lock=run.old, text=before or "", before=before, guard=guard)
    network = open_network(flags, run.gathered.config, reporter)
    with closing(network):
        made = _make(run, network, reporter)
    unlawful = check_closed(made, run.targets)
    if unlawful:
        raise LockInvalid("the new lock breaks its own laws; this is a fault of deep-lock:\n  " + "\n  ".join(unlawful))
    return Outcome(path=run.path, lock=made, text=to_text(made), before=before, guard=guard)


def _may_stand(run: _Run) -> bool:
    """Whether an earlier lock may stand as it is: nothing is to be moved, and no backend has to be asked to know that."""
    flags, unknown = run.flags, run.gathered.project.unknown
    return flags.upgrade == UpgradeFlags() and not flags.network.refresh and not unknown


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


# -- the head of the lock


def _texts(requirements: tuple[Requirement, ...]) -> tuple[str, ...]:
    return tuple(sorted({str(requirement) for requirement in requirements}))


def _head(run: _Run) -> Lock:
    """Return the lock without its entries: what it is made from."""
    gathered, project = run.gathered, run.gathered.project
    named = {
        kind: tuple(sorted((scope.name, _texts(own)) for scope, own in gathered.parts if scope.kind == kind))
        for kind in ("extra", "group")
    }
    base = tuple(requirement for scope, own in gathered.parts if scope.kind == "base" for requirement in own)
    system = project.build_system if run.selection.build_scope != "none" else None
    settings = index_settings(run.flags, gathered.config)
    return Lock(
        environments=environments(run.targets, project.requires_python),
        requires_python=project.requires_python,
        extras=tuple(name for name, _ in named["extra"]),
        dependency_groups=tuple(name for name, _ in named["group"]),
        inputs=LockedInputs(
            sources=gathered.sources,
            requirements=_texts(base),
            extras=named["extra"],
            dependency_groups=named["group"],
            constraints=_texts(gathered.constraints),
            overrides=_texts(gathered.overrides),
            build_constraints=_texts(gathered.build_constraints),
            extra_build_requires=tuple((name, _texts(own)) for name, own in gathered.config.extra_build_requires or ()),
            config_settings=gathered.config.config_settings or (),
            build_requires=tuple(sorted(set(system.requires))) if system is not None else None,
            trees=gathered.trees.inputs(requirement for _, own in gathered.parts for requirement in own),
        ),
        options=options_of(run.selection, run.flags.rules, gathered.config, locked_links(settings, run.folder)),
        indexes=locked_indexes(settings),
        targets=tuple(
            LockedTarget(
                name=target.label,
                marker=environment_marker(target, run.targets),
                python=target.python,
                platform=target.platform,
            )
            for target in run.targets
        ),
    )


# -- the body of the lock


def _make(run: _Run, network: Network, reporter: Reporter) -> Lock:
    machine = Machine(hook_policy_of(run.flags, run.gathered.config), run.targets, reporter)
    moved = frozenset(parse_requirement(text).name for text in run.flags.upgrade.packages)
    surroundings = run.flags.surroundings
    direct = DirectSources(
        client=network.client,
        repositories=vcs.Repositories(
            surroundings.cache_folder, surroundings.environ, offline=run.flags.network.offline
        ),
        trees=run.gathered.trees,
        earlier=earlier_pins(run.old, without=moved),
    )
    workshop = Workshop(
        machine=machine,
        client=network.client,
        cache=network.cache,
        project=run.flags.inputs.folder.resolve(),
        folder_of=run.gathered.trees.folder,
        checkout=direct.checkout,
    )
    plan = plan_of(run.flags, run.gathered, run.old, selection=run.selection, targets=run.targets)
    backends = Backends(
        workshop=workshop,
        machine=machine,
        cache=network.cache,
        reporter=reporter,
        afresh=run.flags.network.refresh,
    )
    sources = IndexSources(
        client=network.client,
        cache=network.cache,
        selection=run.selection,
        target=run.targets[0],
        reporter=reporter,
        backends=backends,
        earlier=earlier_of(run.old),
        added=plan.extra_build_requires,
        settings=plan.config_settings.keys(),
        direct=direct,
    )
    with closing(workshop):
        if run.gathered.project.unknown:
            run = _asked(run, plan, sources=sources, backends=backends, reporter=reporter)
            plan = plan_of(run.flags, run.gathered, run.old, selection=run.selection, targets=run.targets)
        return _closed(run, plan, sources, reporter)


def _asked(run: _Run, plan: Plan, *, sources: IndexSources, backends: Backends, reporter: Reporter) -> _Run:
    """Complete the project by what its own backend tells; where it cannot be asked, by what the old lock says.

    Raises HookRefused where neither can be.
    """
    project = run.gathered.project
    known = project_metadata.from_backend(
        project, plan, plan.runtime[0], sources=sources, backends=backends, reporter=reporter
    )
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
    return replace(run, gathered=completed(run.gathered, known, run.flags.inputs))


def _closed(run: _Run, plan: Plan, sources: IndexSources, reporter: Reporter) -> Lock:
    closure = _shared(plan, sources, reporter)
    require_sources(closure, run.selection)
    if run.flags.rules.require_evidence or run.gathered.config.require_evidence:
        require_evidence(closure)
    tell(closure, sources, reporter, added=plan.extra_build_requires, settings=plan.config_settings)
    assembly = Assembly(
        closure=closure,
        problems=plan.runtime,
        parts=run.gathered.parts,
        shelf=sources,
        selection=run.selection,
        folder=run.folder,
        every_file=run.gathered.config.files == "all",
    )
    return replace(_head(run), packages=packages(assembly), builds=builds(assembly))


def _shared(plan: Plan, sources: IndexSources, reporter: Reporter) -> Closure:
    """Close once; close again where environments could share more, and keep what names fewer releases."""
    closure = close(plan, sources, reporter)
    preferences = sharable(closure) if plan.share else {}
    if not preferences:
        return closure
    again = close(replace(plan, shared=preferences), sources, reporter)
    return again if releases(again) < releases(closure) else closure
