"""Opens the lock of another tool, with the project in its folder."""

from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.config.config import Config
from deep_lock.config.options import InputOptions
from deep_lock.errors import LockInvalid, ProjectInvalid, UsageError
from deep_lock.files import is_there
from deep_lock.foreign_locks import detect
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.project.files import MAX_LOCK_BYTES, opener_of, read_text, shown_path
from deep_lock.project.project import Project


def foreign_path(inputs: InputOptions, config: Config) -> Path | None:
    """Return the path of the lock to import, if there is one. Raises UsageError."""
    if inputs.script is not None or inputs.requirements:
        if inputs.from_lock is not None:
            raise UsageError("--from cannot be used with --script or -r")
        return None
    if inputs.from_lock is not None:
        return inputs.from_lock
    return inputs.folder / config.from_lock if config.from_lock is not None else None


def read_imported(path: Path, folder: Path) -> ForeignLock:
    """Read another tool's lock. Raises LockInvalid and UsageError."""
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
    """Return the project with the extras and groups of another tool's lock, and without requirements of its own."""
    return replace(
        project,
        requires_python=foreign.requires_python or project.requires_python,
        dependencies=(),
        extras=tuple((name, ()) for name in foreign.extras),
        groups=tuple((name, ()) for name in foreign.groups),
        broken_groups=(),
        unknown=frozenset(),
    )
