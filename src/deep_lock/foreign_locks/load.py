"""Opens the lock of another tool, with the project in its folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.config.config import Config
from deep_lock.config.options import InputOptions
from deep_lock.errors import LockInvalid, ProjectInvalid, UsageError
from deep_lock.events import Warned
from deep_lock.files import is_there
from deep_lock.foreign_locks import detect
from deep_lock.lockfile.paths import seen_from
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.project.checkout import require_inside
from deep_lock.project.files import MAX_LOCK_BYTES, opener_of, read_text, shown_path
from deep_lock.project.project import Project
from deep_lock.project.workspace import WorkspaceMember
from deep_lock.sanitize import show


def foreign_path(inputs: InputOptions, config: Config) -> Path | None:
    """Return the path of the lock to import, if there is one. Raises UsageError."""
    if inputs.script is not None or inputs.requirements:
        if inputs.from_lock is not None:
            raise UsageError("--from cannot be used with --script or -r")
        return None
    if inputs.from_lock is not None:
        return inputs.from_lock
    return inputs.folder / config.from_lock if config.from_lock is not None else None


def read_imported(path: Path, folder: Path, checkout: Path | None = None) -> ForeignLock:
    """Read another tool's lock. ``checkout`` is that of the context. Raises LockInvalid, UsageError and OutsideCheckout."""
    require_inside(path, checkout, "from")
    try:
        text = read_text(path, LockInvalid, MAX_LOCK_BYTES)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such lock") from None
    return parse_imported(text, path, folder)


def parse_imported(text: str, path: Path, folder: Path) -> ForeignLock:
    """Read the text of another tool's lock, with the present pyproject.toml in the folder of ``path``. Raises UserError."""
    pyproject = path.with_name("pyproject.toml")
    project = read_text(pyproject, ProjectInvalid) if is_there(pyproject) else None
    return detect.read_foreign(text, shown_path(path, folder), project=project, opener=opener_of(path, folder))


def with_direct_requirements(foreign: ForeignLock, project: Project) -> ForeignLock:
    """Mark the pins that the project itself requires, and add the extras that it requires of them."""
    required: dict[NormalizedName, frozenset[NormalizedName]] = {}
    lists = (project.dependencies, *(own for _, own in (*project.extras, *project.groups)))
    for requirement in (requirement for own in lists for requirement in own):
        required[requirement.name] = required.get(requirement.name, frozenset()) | requirement.extras
    pins = tuple(
        replace(pin, direct=True, extras=pin.extras | required[pin.name]) if pin.name in required else pin
        for pin in foreign.pins
    )
    return replace(foreign, pins=pins)


def imported_project(project: Project, foreign: ForeignLock) -> Project:
    """Return the project with the extras and groups of another tool's lock, and without requirements of its own.

    The root of a workspace is one of its members: that is built.
    """
    if foreign.members:
        project = replace(project, name=None, version=None, build_system=None, build_requires=())
    return replace(
        project,
        requires_python=foreign.requires_python or project.requires_python,
        dependencies=(),
        extras=tuple((name, ()) for name in foreign.extras),
        groups=tuple((name, ()) for name in foreign.groups),
        broken_groups=(),
        unknown=frozenset(),
    )


def imported_members(foreign: ForeignLock, folder: Path, lock_folder: Path) -> tuple[WorkspaceMember, ...]:
    """Return the members of the workspace that another tool locked, as that lock describes them.

    ``folder`` is the root of the workspace, ``lock_folder`` that of deep.lock; both are absolute. Raises ConfigError.
    """
    folders = {member.name: Path(os.path.normpath(folder / member.path)) for member in foreign.members}
    return tuple(
        WorkspaceMember(
            folder=folders[member.name],
            project=Project(source=foreign.source, name=NormalizedName(member.name)),
            member=replace(member, path=seen_from(lock_folder, folders[member.name])),
        )
        for member in foreign.members
    )


def changed_members(
    foreign: ForeignLock, locked: Sequence[WorkspaceMember], present: Sequence[WorkspaceMember]
) -> Iterator[Warned]:
    """Yield a warning for each member below the root that only the lock of uv has, or only the workspace as it is now."""
    if foreign.kind != "uv.lock":
        return
    was, now = (
        {own.member.name: own.member.path for own in members if not own.member.root} for members in (locked, present)
    )
    for name in sorted({name for name, _ in was.items() ^ now.items()}):
        if name not in now:
            message = f"has the member {name!r} ({show(was[name])}), which is not in the workspace now"
        elif name not in was:
            message = f"lacks the member {name!r} ({show(now[name])}) of the workspace"
        else:
            message = f"has the member {name!r} in {show(was[name])}, and the workspace has it in {show(now[name])}"
        yield Warned(code="foreign-member", subject=foreign.source, message=f"{message}: run uv lock")
