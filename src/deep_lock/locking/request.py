"""One run's inputs and settings, and the head of the lock that they give."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import LockOptions, RunContext
from deep_lock.errors import ConfigError, LockInvalid
from deep_lock.events import Reporter, Warned, silent
from deep_lock.locking import imported_lock, project_build, recorded_options
from deep_lock.locking.indexes import locked_indexes, locked_links
from deep_lock.locking.read_inputs import ProjectInputs, lock_path, read_inputs, read_lock, with_dynamic_metadata
from deep_lock.locking.settings import NO_LIMIT, Settings, Upgrade, read_upgrade, resolve_settings
from deep_lock.models.conflicts import Conflict
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget, OptionValue
from deep_lock.models.requirement import Requirement
from deep_lock.models.workspace import Member, scope_of
from deep_lock.project.project import Project
from deep_lock.sanitize import show
from deep_lock.targets.factory import read_host
from deep_lock.targets.markers import BASE, Scope, environment_marker, environments
from deep_lock.targets.open_markers import limited
from deep_lock.targets.short_form import short_form
from deep_lock.targets.target import Target


class LockRequest(Struct, frozen=True, kw_only=True):
    """What one run locks."""

    context: RunContext
    path: Path
    """Of the lock."""
    inputs: ProjectInputs
    previous: Lock | None
    settings: Settings
    head: Lock
    """The lock without its entries: what it is made from."""

    @property
    def folder(self) -> Path:
        """The folder of the lock: its paths are relative to it."""
        return self.path.parent.resolve()


def open_request(options: LockOptions, reporter: Reporter, previous: Lock | None = None) -> LockRequest:
    """Read the inputs and the previous lock, unless the caller has it, and resolve the settings. Raises UserError."""
    path = lock_path(options.inputs)
    inputs = read_inputs(options.inputs, options.context.checkout, reporter)
    upgrade = read_upgrade(options.upgrade)
    recorded = previous or _recorded(path, upgrade, reporter)
    if not upgrade.everything:
        previous = recorded
    if inputs.project.unknown and previous is not None:
        inputs = with_dynamic_metadata(inputs, project_build.from_lock(inputs.project, previous))
    if previous is not None and previous.inputs.pinned and inputs.foreign is None:
        message = (
            f"was made from {show(', '.join(previous.inputs.sources))}, and this run resolves the project again:"
            " deep-lock deepen keeps its pins"
        )
        reporter(Warned(code="was-deepened", subject=path.name, message=message))
    settings = resolve_settings(options, inputs, recorded, upgrade=upgrade, host=read_host())
    if recorded is not None:
        _warn_of_targets(recorded, settings, path, reporter)
    return _request(options.context, path, inputs, previous, settings)


def _recorded(path: Path, upgrade: Upgrade, reporter: Reporter) -> Lock | None:
    """Read the previous lock. An upgrade of everything does not need it. Raises LockInvalid."""
    if not upgrade.everything:
        return read_lock(path, reporter, upgraded=upgrade.names)
    try:
        return read_lock(path, silent)
    except LockInvalid:
        return None


def _warn_of_targets(previous: Lock, settings: Settings, path: Path, reporter: Reporter) -> None:
    """Report targets of the previous lock that the declared ones replace."""
    labels = {target.label for target in settings.targets}
    removed = [target.name for target in previous.targets if target.name not in labels]
    if removed and (settings.declared.pythons or settings.declared.platforms):
        message = f"targets that are not declared now are removed: {short_form(removed, [target.name for target in previous.targets])}"
        reporter(Warned(code="targets-removed", subject=path.name, message=message))


def with_targets(request: LockRequest, targets: tuple[Target, ...]) -> LockRequest:
    """Return the request for these targets."""
    limits = request.inputs.project.requires_python
    settings = replace(request.settings, targets=limited(targets, limits))
    return _request(request.context, request.path, request.inputs, request.previous, settings)


def with_project(request: LockRequest, project: Project) -> LockRequest:
    """Return the request with the project as its build backend completes it. Raises UsageError."""
    inputs = with_dynamic_metadata(request.inputs, project)
    required = (requirement for _, own in inputs.scopes for requirement in own)
    assigned = dict(inputs.trees.with_folder_indexes(inputs.config, required).sources or ())
    for name, source in assigned.items() if request.settings.network.indexes.sources else ():
        if isinstance(source, str) and request.settings.network.indexes.only_source(name) is None:
            raise ConfigError(
                f"a folder that the build backend of the project requires assigns {name} to the index {source!r}",
                hint=f"assign it in the project: [tool.deep-lock.sources] {name}",
            )
    settings = replace(request.settings, targets=limited(request.settings.targets, project.requires_python))
    return _request(request.context, request.path, inputs, request.previous, settings)


def _request(
    context: RunContext, path: Path, inputs: ProjectInputs, previous: Lock | None, settings: Settings
) -> LockRequest:
    if inputs.foreign is not None:  # its requirements have markers that are exact on the targets
        scopes = [scope for scope, _ in inputs.scopes]
        pinned = imported_lock.recorded_requirements(
            inputs.foreign, scopes, inputs.conflicts, settings.targets, inputs.trees
        )
        inputs = replace(inputs, scopes=pinned)
    head = _head(inputs, settings, path.parent.resolve())
    return LockRequest(context=context, path=path, inputs=inputs, previous=previous, settings=settings, head=head)


def _head(inputs: ProjectInputs, settings: Settings, folder: Path) -> Lock:
    project, targets, indexes = inputs.project, settings.targets, settings.network.indexes
    extras, groups = (
        tuple(sorted((scope.name, _texts(own)) for scope, own in inputs.scopes if scope.kind == kind))
        for kind in ("extra", "group")
    )
    base = tuple(requirement for scope, own in inputs.scopes if scope.kind == "base" for requirement in own)
    default = _default_groups(inputs.members, inputs.conflicts) & {name for name, _ in groups}
    system = project.build_system if settings.selection.build_scope != "none" else None
    return Lock(
        environments=environments(targets, project.requires_python),
        requires_python=project.requires_python,
        extras=tuple(name for name, _ in extras),
        dependency_groups=tuple(name for name, _ in groups if name not in default),
        default_groups=tuple(sorted(default)),
        inputs=LockedInputs(
            sources=inputs.sources,
            pinned=inputs.foreign is not None,
            requirements=_texts(base),
            extras=extras,
            dependency_groups=groups,
            conflicts=inputs.conflicts,
            constraints=_texts(inputs.constraints),
            overrides=_texts(inputs.overrides),
            build_constraints=_texts(inputs.build_constraints),
            extra_build_requires=tuple((name, _texts(own)) for name, own in settings.extra_build_requires.items()),
            config_settings=tuple(settings.config_settings.items()),
            build_requires=tuple(sorted(set(system.requires))) if system is not None else None,
            members=_locked_members(inputs.members, {scope for scope, _ in inputs.scopes}),
            trees=inputs.trees.inputs(requirement for _, own in inputs.scopes for requirement in own),
        ),
        options=_locked_options(settings, locked_links(indexes, folder)),
        indexes=locked_indexes(indexes),
        targets=tuple(
            LockedTarget(
                name=target.label,
                marker=environment_marker(target, targets),
                python=target.python,
                platform=target.platform,
            )
            for target in targets
        ),
    )


def _default_groups(members: Sequence[Member], conflicts: Sequence[Conflict]) -> frozenset[str]:
    """Return the groups that an installer selects by default: the project in the root, else all members in no conflict."""
    in_conflict = {scope for conflict in conflicts for scope in conflict}
    roots = [member for member in members if member.root]
    every = [member for member in members if scope_of(member, BASE) not in in_conflict]
    return frozenset(member.name for member in roots or every)


def _locked_members(members: Sequence[Member], selected: Collection[Scope]) -> tuple[Member, ...]:
    """Return the members with those extras and groups that are locked."""

    def locked(member: Member, kind: Literal["extra", "group"], names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if scope_of(member, Scope(kind=kind, name=name)) in selected)

    return tuple(
        replace(
            member,
            extras=locked(member, "extra", member.extras),
            dependency_groups=locked(member, "group", member.dependency_groups),
        )
        for member in members
    )


def _texts(requirements: tuple[Requirement, ...]) -> tuple[str, ...]:
    return tuple(sorted({str(requirement) for requirement in requirements}))


def _locked_options(settings: Settings, links: tuple[str, ...]) -> tuple[tuple[str, OptionValue], ...]:
    """Return the settings that change the result, sorted by key: where one changes, the lock is stale."""
    selection = settings.selection
    options: dict[str, OptionValue] = {
        "build-scope": selection.build_scope,
        "prereleases": selection.prereleases,
        "resolution": selection.resolution,
    }
    if selection.exclude_newer is not None:
        options["exclude-newer"] = selection.exclude_newer
    if selection.exclude_newer_package:
        options["exclude-newer-package"] = tuple(
            f"{name}={NO_LIMIT if limit is None else limit.isoformat()}"
            for name, limit in selection.exclude_newer_package
        )
    for key, names in (
        ("no-binary", selection.no_binary),
        ("only-binary", selection.only_binary),
        ("allow-wheel", selection.allow_wheel),
        ("prerelease-names", selection.prerelease_names),
        ("find-links", frozenset(links)),
    ):
        if names:
            options[key] = tuple(sorted(names))
    if settings.command_line:
        options[recorded_options.KEY] = settings.command_line
    if settings.fork_strategy != "newest":
        options["fork-strategy"] = settings.fork_strategy
    if settings.build_resolution != "shared":
        options["build-resolution"] = settings.build_resolution
    if settings.attestations != "off":
        options["attestations"] = settings.attestations
    if settings.files == "all":
        options["files"] = settings.files
    return tuple(sorted(options.items()))
