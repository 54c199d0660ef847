"""A workspace read as one project: its members are dependency groups, so that one resolution has all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from deep_lock.errors import ConfigError, ProjectInvalid
from deep_lock.events import Warned
from deep_lock.models.direct_url import Reference
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.workspace import Member, scope_of, scopes_of
from deep_lock.project.project import Project
from deep_lock.targets.markers import BASE, Scope

HERE = str(Reference(kind="path", place=".", is_path=True))
"""The reference of a member to itself: relative to its folder, as all requirements of a member are."""


class WorkspaceMember(Struct, frozen=True, kw_only=True):
    """One member of a workspace, as its files describe it."""

    folder: Path
    project: Project
    member: Member

    @property
    def scopes(self) -> Mapping[Scope, Scope]:
        """The scopes of the member, and what each is called in the lock."""
        return scopes_of(self.member)


def workspace_member(folder: Path, project: Project, path: str, *, is_root: bool) -> WorkspaceMember:
    """Return a member of a workspace. ``path`` is that of its folder, as the lock has it. Raises ProjectInvalid."""
    if project.name is None:
        raise ProjectInvalid(
            f"{project.source}: is in a member of the workspace, and names no project",
            hint=f"write project.name, or leave the folder out: [tool.deep-lock.workspace] exclude = [{path!r}]",
        )
    groups = {*dict(project.groups), *dict(project.broken_groups)}
    return WorkspaceMember(
        folder=folder,
        project=project,
        member=Member(
            name=project.name,
            path=path,
            root=is_root,
            extras=tuple(sorted(dict(project.extras))),
            dependency_groups=tuple(sorted(groups)),
        ),
    )


def joined(root: Project, members: Sequence[WorkspaceMember]) -> Project:
    """Return the workspace as one project: each member is a group, and its extras and groups have names of their own.

    ``root`` is the project in the root; where it names no project, only its groups are taken. The requirements of a
    member are as it has them: its paths are relative to its folder.
    Raises ConfigError where two parts have one name, and where no Python fits all members.
    """
    _refuse_same_names(root, members)
    extras: list[tuple[NormalizedName, tuple[Requirement, ...]]] = []
    groups = list(root.groups) if root.name is None else []
    broken = list(root.broken_groups) if root.name is None else []
    included = list(root.included_groups) if root.name is None else []
    for own in members:
        project = own.project
        lists = {
            BASE: _itself(project) if project.build_system is not None else project.dependencies,
            **{
                Scope(kind="extra", name=name): _itself(project, name) if project.build_system is not None else listed
                for name, listed in project.extras
            },
            **{Scope(kind="group", name=name): _from_folder(project, listed) for name, listed in project.groups},
        }
        for scope, listed in lists.items():
            into = extras if scope.kind == "extra" else groups
            into.append((NormalizedName(scope_of(own.member, scope).name), listed))
        broken += [(_group(own.member, name), reason) for name, reason in project.broken_groups]
        included += [
            (_group(own.member, name), tuple(_group(own.member, part) for part in parts))
            for name, parts in project.included_groups
        ]
    return Project(
        source=root.source,
        own_extras={
            scope_of(own.member, part): frozenset(scope_of(own.member, extra) for extra in extras_of_part)
            for own in members
            for part, extras_of_part in own.project.own_extras.items()
        },
        requires_python=_requires_python([root, *(own.project for own in members)]),
        extras=tuple(sorted(extras)),
        groups=tuple(sorted(groups)),
        broken_groups=tuple(sorted(broken)),
        included_groups=tuple(sorted(included)),
        prerelease_names=frozenset(name for own in members for name in own.project.prerelease_names),
        tools=root.tools,
        notes=tuple(dict.fromkeys((*root.notes, *(note for own in members for note in _notes(own))))),
    )


def _group(member: Member, name: str) -> NormalizedName:
    """Return what a group of a member is called in the lock."""
    return NormalizedName(scope_of(member, Scope(kind="group", name=name)).name)


def _itself(project: Project, *extras: NormalizedName) -> tuple[Requirement, ...]:
    """Return the requirement on the member itself, which is built from its folder."""
    origin = Origin(source=project.source)
    return (Requirement(name=_name(project), extras=frozenset(extras), url=HERE, origin=origin),)


def _from_folder(project: Project, listed: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """Return a list in which the requirements on the member itself, if any are left, name its folder."""
    return tuple(replace(own, url=HERE) if own.name == project.name and own.url is None else own for own in listed)


def _name(project: Project) -> NormalizedName:
    return project.name or NormalizedName("")


def _notes(own: WorkspaceMember) -> Iterator[Warned]:
    yield from own.project.notes
    if "optional-dependencies" in own.project.unknown:
        message = "its extras are dynamic, known to its build backend only: they are not locked"
        yield Warned(code="member-extras-unknown", subject=own.project.source, message=message)


def _refuse_same_names(root: Project, members: Sequence[WorkspaceMember]) -> None:
    seen: dict[Scope, str] = {
        Scope(kind="group", name=name): root.source for name, _ in root.groups if root.name is None
    }
    for own in members:
        for scope in own.scopes.values():
            other = seen.setdefault(scope, own.project.source)
            if other != own.project.source:
                raise ConfigError(
                    f"{own.project.source} and {other}: both would be the {scope.kind} {scope.name!r} of the lock",
                    hint="rename one of the two members, or the extra or group",
                )


def _requires_python(projects: Iterable[Project]) -> str | None:
    """Return the Pythons that all projects allow. Raises ConfigError where there are none."""
    texts = {project.requires_python: project.source for project in projects if project.requires_python is not None}
    if len(texts) < 2:
        return next(iter(texts), None)
    every = SpecifierSet(",".join(texts))
    if every.is_unsatisfiable():
        listed = ", ".join(f"{source} has {text!r}" for text, source in texts.items())
        raise ConfigError(
            f"no Python fits requires-python of all members: {listed}",
            hint="change one of them, or leave a member out: [tool.deep-lock.workspace] exclude",
        )
    return str(every)
