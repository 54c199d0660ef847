"""One run's inputs, settled, and the head of the lock that is made from them."""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import LockOptions
from deep_lock.events import Reporter, Warned
from deep_lock.locking import imported_lock, project_build
from deep_lock.locking.indexes import index_settings, locked_indexes, locked_links
from deep_lock.locking.read_inputs import ProjectInputs, lock_path, read_inputs, read_lock, with_dynamic_metadata
from deep_lock.locking.settings import options_of, selection_of, targets_of
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.models.resolution import Selection
from deep_lock.sanitize import show
from deep_lock.targets.factory import read_host
from deep_lock.targets.markers import environment_marker, environments
from deep_lock.targets.target import Target


class LockRequest(Struct, frozen=True, kw_only=True):
    """One run's inputs, settled."""

    flags: LockOptions
    path: Path
    gathered: ProjectInputs
    old: Lock | None
    selection: Selection
    targets: tuple[Target, ...]

    @property
    def folder(self) -> Path:
        """Where the lock stands: from there it sees what lies beside it."""
        return self.path.parent.resolve()


def resolve_inputs(flags: LockOptions, reporter: Reporter) -> LockRequest:
    """Read the inputs, the earlier lock and the rules. Raises UserError."""
    path = lock_path(flags.inputs)
    gathered = read_inputs(flags, reporter)
    moving = [parse_requirement(text).name for text in flags.upgrade.packages]
    old = None if flags.upgrade.everything else read_lock(path, reporter, moving=moving)
    if gathered.project.unknown and old is not None:
        gathered = with_dynamic_metadata(gathered, project_build.from_lock(gathered.project, old), flags.inputs)
    if old is not None and old.inputs.pinned and gathered.foreign is None:
        made_from = ", ".join(old.inputs.sources)
        message = (
            f"was made from {show(made_from)}, and this run resolves the project anew: deep-lock deepen keeps to that"
        )
        reporter(Warned(code="was-deepened", subject=path.name, message=message))
    selection = selection_of(flags, gathered, old)
    targets = targets_of(flags, gathered, old, read_host())
    return with_targets(
        LockRequest(flags=flags, path=path, gathered=gathered, old=old, selection=selection, targets=targets), targets
    )


def with_targets(run: LockRequest, targets: tuple[Target, ...]) -> LockRequest:
    """Return the run for these targets: what another tool's lock asks for is told target by target."""
    gathered, foreign = run.gathered, run.gathered.foreign
    if foreign is not None:
        scopes = [scope for scope, _ in gathered.parts]
        gathered = replace(gathered, parts=imported_lock.given_parts(foreign, scopes, targets, gathered.trees))
    return replace(run, gathered=gathered, targets=targets)


def _texts(requirements: tuple[Requirement, ...]) -> tuple[str, ...]:
    return tuple(sorted({str(requirement) for requirement in requirements}))


def head_of(run: LockRequest) -> Lock:
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
            pinned=gathered.foreign is not None,
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
