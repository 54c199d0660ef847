"""Opens what the user wrote: project files, requirements files, the configuration, the old lock.

The readers in `inputs/` take text; here is where files are opened, and where paths become the names in messages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from deep_lock.errors import LimitExceeded, ProjectInvalid, RequirementsInvalid, UsageError
from deep_lock.events import Reporter
from deep_lock.flags import Flags, InputFlags
from deep_lock.inputs.config import Config, read_config, read_config_file
from deep_lock.inputs.project import Project
from deep_lock.inputs.pyproject import read_pyproject
from deep_lock.inputs.requirements_txt import RequirementsFile, read_requirements
from deep_lock.inputs.script import read_script
from deep_lock.inputs.setup_cfg import read_setup_cfg
from deep_lock.lockfile.read import from_text
from deep_lock.model.lock import Lock
from deep_lock.model.requirement import Requirement
from deep_lock.model.target_markers import BASE, Scope
from deep_lock.reach import Part

MAX_INPUT_BYTES = 8 * 1024 * 1024
MAX_LOCK_BYTES = 64 * 1024 * 1024
LOCK_NAME = "deep.lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """All that the user wrote, read."""

    project: Project
    config: Config
    parts: tuple[Part, ...]
    """What each selectable part of the project asks for; the base comes first, if it is locked."""
    sources: tuple[str, ...]
    constraints: tuple[Requirement, ...] = ()
    overrides: tuple[Requirement, ...] = ()
    build_constraints: tuple[Requirement, ...] = ()
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()


def read_text(path: Path, limit: int = MAX_INPUT_BYTES) -> str:
    """Read a text file of the user's; a byte order mark is taken off. Raises UsageError or LimitExceeded."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    if len(raw) > limit:
        raise LimitExceeded(f"{path}: more than {limit} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequirementsInvalid(f"{path}: not UTF-8 text", hint="save the file as UTF-8") from None


def gather(flags: Flags, reporter: Reporter) -> Gathered:
    """Read every input that the flags name. Raises UserError."""
    inputs = flags.inputs
    project, files, sources = _project(inputs)
    for note in project.notes:
        reporter(note)
    config = _config(inputs, project)
    return Gathered(
        project=project,
        config=config,
        parts=_parts(project, files, inputs, config),
        sources=sources,
        constraints=(
            *(constraint for file in files for constraint in file.constraints),
            *_listed(inputs.constraints, inputs.folder),
            *config.constraints,
        ),
        overrides=(*_listed(inputs.overrides, inputs.folder), *config.overrides),
        build_constraints=(*_listed(inputs.build_constraints, inputs.folder), *config.build_constraints),
        no_binary=frozenset(name for file in files for name in file.no_binary),
        only_binary=frozenset(name for file in files for name in file.only_binary),
    )


def _project(inputs: InputFlags) -> tuple[Project, tuple[RequirementsFile, ...], tuple[str, ...]]:
    if inputs.script is not None:
        if inputs.requirements:
            raise UsageError("--script and -r do not go together")
        name = inputs.script.name
        return read_script(read_text(inputs.script), name), (), (name,)
    if inputs.requirements:
        files = tuple(_requirements_file(path, inputs.folder) for path in inputs.requirements)
        names = tuple(_shown(path, inputs.folder) for path in inputs.requirements)
        return Project(source=names[0]), files, names
    pyproject, setup_cfg = inputs.folder / "pyproject.toml", inputs.folder / "setup.cfg"
    if pyproject.is_file():
        return read_pyproject(read_text(pyproject), pyproject.name), (), (pyproject.name,)
    if setup_cfg.is_file():
        return read_setup_cfg(read_text(setup_cfg), setup_cfg.name), (), (setup_cfg.name,)
    raise ProjectInvalid(
        f"{inputs.folder}: no pyproject.toml and no setup.cfg",
        hint="name a folder with --project, or a requirements file with -r",
    )


def _shown(path: Path, folder: Path) -> str:
    """Return the path as the lock may hold it: relative to the project, never a place on this machine."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.name


def _requirements_file(path: Path, folder: Path) -> RequirementsFile:
    return read_requirements(read_text(path), _shown(path, folder), _opener(path, folder))


def _opener(first: Path, folder: Path) -> Callable[[str, str], str]:
    """Return what opens the files that a requirements file names: beside it or in the project, nowhere else."""
    roots = (first.resolve().parent, folder.resolve())

    def open_included(including: str, relative: str) -> str:
        base = next((root for root in roots if (root / including).is_file()), roots[0])
        path = ((base / including).parent / relative).resolve()
        if "://" in relative or not any(path.is_relative_to(root) for root in roots):
            raise RequirementsInvalid(f"{including}: a file outside the project is not read")
        return read_text(path)

    return open_included


def _listed(paths: Sequence[Path], folder: Path) -> tuple[Requirement, ...]:
    files = (_requirements_file(path, folder) for path in paths)
    return tuple(requirement for file in files for requirement in (*file.requirements, *file.constraints))


def _config(inputs: InputFlags, project: Project) -> Config:
    own = inputs.folder / "deep-lock.toml"
    if own.is_file():
        return read_config_file(read_text(own), own.name)
    return read_config(project.settings, project.source)


def _parts(
    project: Project, files: tuple[RequirementsFile, ...], inputs: InputFlags, config: Config
) -> tuple[Part, ...]:
    dependencies = (*project.dependencies, *(requirement for file in files for requirement in file.requirements))
    parts: list[Part] = []
    if not inputs.only_groups:
        parts.append((BASE, dependencies))
        parts += _chosen("extra", project.extras, inputs.extras or config.extras, project)
    groups = inputs.only_groups or inputs.groups or config.groups
    left_out = {canonicalize_name(name) for name in (config.default_groups or ("dev",)) if inputs.no_default_groups}
    parts += [
        part for part in _chosen("group", project.groups, groups, project) if groups or part[0].name not in left_out
    ]
    return tuple(parts)


def _chosen(
    kind: str, named: Sequence[tuple[str, tuple[Requirement, ...]]], wanted: Sequence[str] | None, project: Project
) -> list[Part]:
    known = dict(named)
    broken = dict(project.broken_groups) if kind == "group" else {}
    names = sorted({canonicalize_name(name) for name in wanted}) if wanted else sorted({*known, *broken})
    parts: list[Part] = []
    for name in names:
        if name in broken:
            raise ProjectInvalid(f"{project.source}: dependency group {name!r}: {broken[name]}")
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(f"{project.source} has no {kind} {name!r}", hint=f"there is: {there}")
        scope = Scope(kind="extra", name=name) if kind == "extra" else Scope(kind="group", name=name)
        parts.append((scope, known[name]))
    return parts


def read_lock(path: Path, reporter: Reporter) -> Lock | None:
    """Read the lock that is there; None where there is none. Raises LockInvalid."""
    if not path.is_file():
        return None
    return from_text(read_text(path, MAX_LOCK_BYTES), path.name, reporter)


def lock_path(inputs: InputFlags) -> Path:
    """Return where the lock stands: SCRIPT.deep.lock beside a script, else deep.lock in the project."""
    if inputs.output is not None:
        return inputs.output
    if inputs.script is not None:
        return inputs.script.with_name(f"{inputs.script.name}.{LOCK_NAME}")
    return inputs.folder / LOCK_NAME
