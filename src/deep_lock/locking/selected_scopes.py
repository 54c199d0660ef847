"""Which parts of the project a run locks: extras, dependency groups, members of a workspace; and which exclude each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.config.config import Config
from deep_lock.config.options import InputOptions
from deep_lock.errors import ConfigError, ProjectInvalid, UsageError
from deep_lock.models.conflicts import Conflict, Declared, with_includes
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.models.resolution import RequirementScope
from deep_lock.models.workspace import scope_of, scope_text
from deep_lock.project import requirements_txt
from deep_lock.project.local_trees import LocalTrees
from deep_lock.project.project import Project
from deep_lock.project.workspace import WorkspaceMember
from deep_lock.sdist import pyproject as document
from deep_lock.suggestions import choices_hint
from deep_lock.targets.markers import BASE, Scope

DEFAULT_GROUPS = ("dev",)


def declared_conflicts(
    config: Config, project: Project, workspace: Sequence[WorkspaceMember] = ()
) -> tuple[Conflict, ...]:
    """Return the conflicts of the configuration, in the names of the lock. Raises ConfigError on what does not exist."""
    known = {Scope(kind="extra", name=name) for name in dict(project.extras)}
    known |= {Scope(kind="group", name=name) for name in (*dict(project.groups), *dict(project.broken_groups))}
    by_name = {own.member.name: own.member for own in workspace}
    root = next((own.member for own in workspace if own.member.root), None)
    found: list[Conflict] = []
    for conflict in config.conflicts or ():
        scopes: set[Scope] = set()
        for own in conflict:
            is_own = own.package in {"", project.name}
            member = root if is_own else by_name.get(own.package)
            scope = own.scope if member is None else scope_of(member, own.scope)
            if scope not in known or (member is None and not is_own):
                raise _unknown_conflict(own, config, project, sorted(by_name), known)
            scopes.add(scope)
        if len(scopes) > 1:
            found.append(tuple(sorted(scopes)))
    return with_includes(found, _included(project)) if found else ()


def _included(project: Project) -> Mapping[Scope, Sequence[Scope]]:
    """Return the groups that groups of the project include, as scopes."""
    return {
        Scope(kind="group", name=name): [Scope(kind="group", name=own) for own in included]
        for name, included in project.included_groups
    }


def _unknown_conflict(
    own: Declared, config: Config, project: Project, members: Sequence[str], known: Collection[Scope]
) -> ConfigError:
    kind = own.scope.kind
    what = scope_text(own.scope) if own.scope != BASE else "the project"
    if own.package and own.package not in members:
        what, has = f"the package {own.package[:100]!r}", ", ".join(members)
    elif own.package:
        what, has = f"{what} of the package {own.package!r}", ""
    else:
        has = ", ".join(sorted(scope.name for scope in known if scope.kind == kind))
    return ConfigError(
        f"{config.source}: conflicts names {what}, which {project.source} does not have",
        hint=f"it has: {has or 'none'}" if has or not own.package else "name a part that the package has",
    )


def refuse_unknown_scopes(config: Config, own: Config, projects: Sequence[Project]) -> None:
    """Raise ConfigError where a source is for an extra or a group that does not require its subject: another index would answer.

    ``own`` is the part of the configuration that is deep-lock's. ``projects`` are the project and the members of its workspace.
    Sources that a member has from the root of its workspace are not those of the project.
    """
    names = {canonicalize_name(name) for name in document.nested_table(projects[0].tools, "uv", "sources")}
    names |= dict(own.sources or ()).keys()
    required: dict[Scope, set[str]] = {}
    for each in projects:
        lists = [(Scope(kind="extra", name=name), requirements) for name, requirements in each.extras]
        lists += [(Scope(kind="group", name=name), requirements) for name, requirements in each.groups]
        for scope, requirements in lists:
            required.setdefault(scope, set()).update(one.name for one in requirements)
    for name, source in config.sources or ():
        for scope in [part.scope for part in source if part.scope is not None] if isinstance(source, tuple) else ():
            if name in names and name not in required.get(scope, ()):
                raise ConfigError(
                    f"{config.source}: a source of {name} is for {scope_text(scope)}, which does not require {name} in"
                    f" {projects[0].source}",
                    hint="name an extra or a group that requires it; [tool.deep-lock.sources] has precedence",
                )


def selected_conflicts(
    declared: Sequence[Conflict], foreign: ForeignLock | None, scopes: Sequence[RequirementScope]
) -> tuple[Conflict, ...]:
    """Return the conflicts between selected parts of the project: those of another tool's lock, or the declared ones."""
    conflicts = foreign.conflicts if foreign is not None and foreign.conflicts else declared
    selected = {scope for scope, _ in scopes}
    kept = (tuple(sorted(scope for scope in conflict if scope in selected)) for conflict in conflicts)
    return tuple(sorted({conflict for conflict in kept if len(conflict) > 1}))


def selected_scopes(
    project: Project,
    options: InputOptions,
    config: Config,
    trees: LocalTrees,
    *,
    files: tuple[requirements_txt.RequirementsFile, ...] = (),
    workspace: Sequence[WorkspaceMember] = (),
) -> tuple[RequirementScope, ...]:
    """Return the selected parts of the project. Raises UsageError and ProjectInvalid."""
    dependencies = (*project.dependencies, *(requirement for file in files for requirement in file.requirements))
    scopes: list[RequirementScope] = []
    if not options.only_groups:
        scopes += [(BASE, dependencies)] if not workspace else []
        scopes += _extras(project, options.extras or _without_all(config.extras))
    groups = options.only_groups or options.groups or _without_all(config.groups)
    if groups is not None and not options.only_groups:
        groups = (*groups, *(own.member.name for own in workspace))
    scopes += _groups(project, groups, _left_out_groups(project, options, config, workspace), workspace)
    part_of: dict[Scope, tuple[frozenset[Scope], Path | None]]
    part_of = {scope: (source_scopes(project, scope), None) for scope, _ in scopes}
    for member in workspace:
        for own_scope, scope in member.scopes.items():
            part_of[scope] = (source_scopes(member.project, own_scope), member.folder)
    unnamed = {BASE: tuple(trees.unnamed(line) for file in files for line in file.unnamed)}
    named = (
        (scope, tuple(part for one in own for part in trees.alternatives(one, *part_of[scope])))
        for scope, own in scopes
    )
    return tuple((scope, (*own, *unnamed.get(scope, ()))) for scope, own in named)


def source_scopes(project: Project, scope: Scope) -> frozenset[Scope]:
    """Return the scopes whose sources are for the requirements of a scope: its own, and the extras that it names."""
    return project.own_extras.get(scope, frozenset()) | {scope}


def _without_all(names: Sequence[str] | Literal["all"] | None) -> Sequence[str] | None:
    return None if names == "all" else names


def default_groups(config: Config) -> frozenset[str] | None:
    """Return the groups that --no-default-groups leaves out; None is all of them."""
    if config.default_groups == "all":
        return None
    return frozenset(DEFAULT_GROUPS if config.default_groups is None else config.default_groups)


def _left_out_groups(
    project: Project, options: InputOptions, config: Config, workspace: Sequence[WorkspaceMember]
) -> frozenset[str]:
    if not options.no_default_groups:
        return frozenset()
    default = default_groups(config)
    if default is None:
        return frozenset((*dict(project.groups), *dict(project.broken_groups))) - {own.member.name for own in workspace}
    of_members = (scope for own in workspace for scope in map(own.scopes.get, _group_scopes(default)))
    return default | {scope.name for scope in of_members if scope is not None}


def _group_scopes(names: Iterable[str]) -> list[Scope]:
    return [Scope(kind="group", name=name) for name in names]


def _extras(project: Project, selected: Sequence[str] | None) -> list[RequirementScope]:
    known = dict(project.extras)
    names = sorted(known if selected is None else {canonicalize_name(name) for name in selected})
    _refuse_unknown("extra", names, known, project)
    return [(Scope(kind="extra", name=name), known[name]) for name in names]


def _groups(
    project: Project, selected: Sequence[str] | None, left_out: frozenset[str], workspace: Sequence[WorkspaceMember]
) -> list[RequirementScope]:
    """Return the selected groups, by default all. A broken group is an error only where it is selected (PEP 735)."""
    known, broken = dict(project.groups), dict(project.broken_groups)
    every = {name for name in (*known, *broken) if name not in left_out}
    names = sorted(every if selected is None else {canonicalize_name(name) for name in selected})
    for name in names:
        if name in broken:
            scope = Scope(kind="group", name=name)
            in_members = (
                (own.project.source, each.name) for own in workspace for each in own.scopes if own.scopes[each] == scope
            )
            source, called = next(in_members, (project.source, name))
            raise ProjectInvalid(
                f"{source}: dependency group {called!r}: {broken[name]}",
                hint="correct it, or select the groups to lock: --group NAME",
            )
    _refuse_unknown("dependency group", names, known, project)
    return [(Scope(kind="group", name=name), known[name]) for name in names]


def _refuse_unknown(
    kind: str, names: Sequence[NormalizedName], known: Mapping[NormalizedName, object], project: Project
) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"{project.source} has no {kind} {name!r}", hint=choices_hint(name, sorted(known)))
