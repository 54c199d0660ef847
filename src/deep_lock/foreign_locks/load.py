"""Opens another tool's lock, with what the project beside it tells."""

from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.config.config import Config
from deep_lock.config.options import InputOptions
from deep_lock.errors import LockInvalid, ProjectInvalid, UsageError
from deep_lock.foreign_locks import detect
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.project.files import MAX_LOCK_BYTES, opener_of, read_text, shown_path
from deep_lock.project.project import Project


def foreign_path(inputs: InputOptions, config: Config) -> Path | None:
    """Return the lock of another tool that is to be deepened, if there is one. Raises UsageError."""
    if inputs.script is not None or inputs.requirements:
        if inputs.from_lock is not None:
            raise UsageError("--from does not go together with --script and -r")
        return None
    if inputs.from_lock is not None:
        return inputs.from_lock
    return inputs.folder / config.from_lock if config.from_lock is not None else None


def read_given(path: Path, folder: Path) -> ForeignLock:
    """Read another tool's lock. Raises LockInvalid and UsageError."""
    try:
        text = read_text(path, LockInvalid, MAX_LOCK_BYTES)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such lock") from None
    return parse_given(text, path, folder)


def parse_given(text: str, path: Path, folder: Path) -> ForeignLock:
    """Read the text of another tool's lock, with the project beside ``path`` as it is now. Raises UserError."""
    beside = path.with_name("pyproject.toml")
    project = read_text(beside, ProjectInvalid) if beside.is_file() else None
    return detect.read_foreign(text, shown_path(path, folder), project=project, opener=opener_of(path, folder))


def informed(foreign: ForeignLock, project: Project) -> ForeignLock:
    """Return the lock with what the project beside it tells: what it asks for by itself, and with which extras."""
    wanted: dict[NormalizedName, frozenset[NormalizedName]] = {}
    named = (*project.extras, *project.groups)
    for requirement in (*project.dependencies, *(requirement for _, own in named for requirement in own)):
        wanted[requirement.name] = wanted.get(requirement.name, frozenset()) | requirement.extras
    pins = tuple(
        replace(pin, direct=True, extras=pin.extras | wanted[pin.name]) if pin.name in wanted else pin
        for pin in foreign.pins
    )
    return replace(foreign, pins=pins)


def given_project(project: Project, foreign: ForeignLock) -> Project:
    """Return the project with what is selectable in another tool's lock, and nothing that it asks for by itself."""
    return replace(
        project,
        requires_python=foreign.requires_python or project.requires_python,
        dependencies=(),
        extras=tuple((name, ()) for name in foreign.extras),
        groups=tuple((name, ()) for name in foreign.groups),
        broken_groups=(),
        unknown=frozenset(),
    )
