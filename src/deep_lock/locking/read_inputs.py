"""Opens what the user wrote: project files, requirements files, the configuration, the old lock.

The readers in `inputs/` take text; here is where files are opened, and where paths become the names in messages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.closure.scopes import RequirementScope
from deep_lock.config.config import Config, read_config, read_config_file
from deep_lock.config.options import InputOptions, LockOptions
from deep_lock.errors import ConfigError, LockInvalid, ProjectInvalid, RequirementsInvalid, UsageError
from deep_lock.events import Reporter
from deep_lock.foreign_locks.load import foreign_path, imported_project, read_imported, with_direct_requirements
from deep_lock.lockfile import reader, rewrite
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.models.lock import Lock
from deep_lock.models.requirement import Requirement
from deep_lock.parsing import setup_cfg
from deep_lock.parsing.toml import read_toml
from deep_lock.project import requirements_txt, script, setuptools
from deep_lock.project.files import MAX_LOCK_BYTES, missing_lock, opener_of, read_text, shown_path
from deep_lock.project.local_trees import LocalTrees
from deep_lock.project.project import Project
from deep_lock.project.pyproject import read_pyproject
from deep_lock.sanitize import show
from deep_lock.targets.markers import BASE, Scope

LOCK_NAME = "deep.lock"
MAX_MOVED = 5
DEFAULT_GROUPS = ("dev",)


class ProjectInputs(Struct, frozen=True, kw_only=True):
    """All that the user wrote, read."""

    project: Project
    config: Config
    parts: tuple[RequirementScope, ...]
    """What each selectable part of the project asks for; the base comes first, if it is locked."""
    sources: tuple[str, ...]
    constraints: tuple[Requirement, ...] = ()
    overrides: tuple[Requirement, ...] = ()
    build_constraints: tuple[Requirement, ...] = ()
    foreign: ForeignLock | None = None
    """Another tool's lock, which decides the runtime part."""
    trees: LocalTrees
    """Folders that the project names."""
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()


def read_inputs(flags: LockOptions, reporter: Reporter) -> ProjectInputs:
    """Read every input that the flags name. Raises UserError."""
    inputs = flags.inputs
    own_config = _own_config(inputs.folder)
    project, files, sources = _project(inputs, own_config)
    for note in (*project.notes, *(note for file in files for note in file.notes)):
        reporter(note)
    config = own_config or read_config(project.settings, project.source)
    path = foreign_path(inputs, config)
    foreign = read_imported(path, inputs.folder) if path is not None else None
    if path is not None and foreign is not None:
        foreign = with_direct_requirements(foreign, project)
        project, sources = imported_project(project, foreign), (shown_path(path, inputs.folder),)
    trees = LocalTrees(lock_path(inputs).parent.resolve(), _base(inputs), config)
    return ProjectInputs(
        project=project,
        config=config,
        parts=() if project.unknown else _parts(project, files, inputs, config, trees),
        foreign=foreign,
        trees=trees,
        sources=sources,
        constraints=(
            *(constraint for file in files for constraint in file.constraints),
            *_listed(inputs.constraints, inputs.folder),
            *(config.constraints or ()),
        ),
        overrides=(*_listed(inputs.overrides, inputs.folder), *(config.overrides or ())),
        build_constraints=(*_listed(inputs.build_constraints, inputs.folder), *(config.build_constraints or ())),
        no_binary=frozenset(name for file in files for name in file.no_binary),
        only_binary=frozenset(name for file in files for name in file.only_binary),
    )


def with_dynamic_metadata(gathered: ProjectInputs, project: Project, inputs: InputOptions) -> ProjectInputs:
    """Return what was read, with the project as its own backend, or an earlier lock, completes it. Raises UsageError."""
    return replace(gathered, project=project, parts=_parts(project, (), inputs, gathered.config, gathered.trees))


def read_settings(folder: Path) -> Config:
    """Read the settings of a project, and nothing else of it: where there is none, nothing is set. Raises UserError."""
    own = _own_config(folder)
    if own is not None:
        return own
    path = folder / "pyproject.toml"
    if not path.is_file():
        return Config(source=path.name)
    tables, _ = read_toml(read_text(path, ProjectInvalid), path.name, ProjectInvalid)
    tool = tables.get("tool")
    settings = tool.get("deep-lock") if isinstance(tool, dict) else None
    return read_config(settings if isinstance(settings, dict) else {}, path.name)


def _project(
    inputs: InputOptions, own_config: Config | None
) -> tuple[Project, tuple[requirements_txt.RequirementsFile, ...], tuple[str, ...]]:
    package = own_config.package if own_config is not None else None
    if inputs.script is not None:
        if inputs.requirements:
            raise UsageError("--script and -r do not go together")
        name = inputs.script.name
        return script.read_script(read_text(inputs.script, ProjectInvalid), name), (), (name,)
    if inputs.requirements:
        files = tuple(_requirements_file(path, inputs.folder) for path in inputs.requirements)
        names = tuple(shown_path(path, inputs.folder) for path in inputs.requirements)
        return Project(source=names[0]), files, names
    pyproject, legacy, setup_py = (inputs.folder / name for name in ("pyproject.toml", "setup.cfg", "setup.py"))
    if pyproject.is_file():
        return (
            read_pyproject(
                read_text(pyproject, ProjectInvalid),
                pyproject.name,
                opener=opener_of(pyproject, inputs.folder),
                package=package,
            ),
            (),
            (pyproject.name,),
        )
    if legacy.is_file():
        script_text = read_text(setup_py, ProjectInvalid) if setup_py.is_file() else None
        text = read_text(legacy, ProjectInvalid)
        if script_text is None or setup_cfg.describes_project(text):
            return (
                setuptools.read_setup_cfg(text, legacy.name, setup_py=script_text, package=package),
                (),
                (legacy.name,),
            )
    if setup_py.is_file():
        return setuptools.read_setup_py(setup_py.name, package=package), (), (setup_py.name,)
    if inputs.from_lock is not None:
        return Project(source=inputs.from_lock.name), (), ()
    raise ProjectInvalid(
        f"{inputs.folder}: no pyproject.toml, setup.cfg or setup.py",
        hint="name a folder with --project, or a requirements file with -r",
    )


def _requirements_file(path: Path, folder: Path) -> requirements_txt.RequirementsFile:
    return requirements_txt.read_requirements(
        read_text(path, RequirementsInvalid), shown_path(path, folder), opener_of(path, folder)
    )


def _listed(paths: Sequence[Path], folder: Path) -> tuple[Requirement, ...]:
    files = (_requirements_file(path, folder) for path in paths)
    return tuple(requirement for file in files for requirement in (*file.requirements, *file.constraints))


def _own_config(folder: Path) -> Config | None:
    """Read deep-lock.toml: where it stands, ``[tool.deep-lock]`` is not looked at."""
    own = folder / "deep-lock.toml"
    return read_config_file(read_text(own, ConfigError), own.name) if own.is_file() else None


def _base(inputs: InputOptions) -> Path:
    """Return the folder that paths in the inputs are relative to."""
    return (inputs.script.parent if inputs.script is not None else inputs.folder).resolve()


def _parts(
    project: Project,
    files: tuple[requirements_txt.RequirementsFile, ...],
    inputs: InputOptions,
    config: Config,
    trees: LocalTrees,
) -> tuple[RequirementScope, ...]:
    dependencies = (*project.dependencies, *(requirement for file in files for requirement in file.requirements))
    parts: list[RequirementScope] = []
    if not inputs.only_groups:
        parts.append((BASE, dependencies))
        parts += _extras(project, inputs.extras or _named(config.extras))
    parts += _groups(project, inputs.only_groups or inputs.groups or _named(config.groups), _left_out(inputs, config))
    unnamed = {BASE: tuple(trees.unnamed(line) for file in files for line in file.unnamed)}
    return tuple((scope, (*map(trees.named, asked), *unnamed.get(scope, ()))) for scope, asked in parts)


def _named(names: Sequence[str] | Literal["all"] | None) -> Sequence[str] | None:
    return None if names == "all" else names


def _left_out(inputs: InputOptions, config: Config) -> frozenset[str]:
    if not inputs.no_default_groups:
        return frozenset()
    default = _named(config.default_groups)
    return frozenset(default if default is not None else DEFAULT_GROUPS)


def _extras(project: Project, wanted: Sequence[str] | None) -> list[RequirementScope]:
    known = dict(project.extras)
    names = sorted(known if wanted is None else {canonicalize_name(name) for name in wanted})
    _refuse_unknown("extra", names, known, project)
    return [(Scope(kind="extra", name=name), known[name]) for name in names]


def _groups(project: Project, wanted: Sequence[str] | None, left_out: frozenset[str]) -> list[RequirementScope]:
    """PEP 735: a broken group is a fault only for who selects it; by default all are selected."""
    known, broken = dict(project.groups), dict(project.broken_groups)
    every = {name for name in (*known, *broken) if name not in left_out}
    names = sorted(every if wanted is None else {canonicalize_name(name) for name in wanted})
    for name in names:
        if name in broken:
            raise ProjectInvalid(
                f"{project.source}: dependency group {name!r}: {broken[name]}",
                hint="mend it, or name the groups that are to be locked: --group NAME",
            )
    _refuse_unknown("dependency group", names, known, project)
    return [(Scope(kind="group", name=name), known[name]) for name in names]


def _refuse_unknown(
    kind: str, names: Sequence[NormalizedName], known: Mapping[NormalizedName, object], project: Project
) -> None:
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known))
            raise UsageError(f"{project.source} has no {kind} {name!r}", hint=f"there is: {there or 'none'}")


def require_lock(path: Path, reporter: Reporter) -> Lock:
    """Read the lock. Raises UsageError where there is none, and LockInvalid."""
    lock = read_lock(path, reporter)
    if lock is None:
        raise missing_lock(path)
    return lock


def read_lock(path: Path, reporter: Reporter, *, moving: Collection[str] = ()) -> Lock | None:
    """Read the lock that is there; None where there is none.

    ``moving`` are projects that are about to be moved: where somebody moved their versions in the file already, and nothing
    else, the lock is read as it was before. Raises LockInvalid.
    """
    if not path.is_file():
        return None
    return parse_lock(read_text(path, LockInvalid, MAX_LOCK_BYTES), path.name, reporter, moving=moving)


def parse_lock(text: str, name: str, reporter: Reporter, *, moving: Collection[str] = ()) -> Lock:
    """Read the text of a lock, as `read_lock` does. Raises LockInvalid; where a bot moved only versions, with the remedy."""
    try:
        return reader.from_text(text, name, reporter)
    except LockInvalid:
        by_hand = rewrite.moved_versions(text, name)
        if not by_hand:
            raise
        if {own.name for own in by_hand} <= frozenset(moving):
            return reader.from_text(rewrite.restored(text, by_hand), name, reporter)
        told = ", ".join(f"{show(own.name)} from {own.was} to {show(own.now)}" for own in by_hand[:MAX_MOVED])
        again = " ".join(f"-P {own.name}=={own.now}" for own in by_hand[:MAX_MOVED])
        raise LockInvalid(
            f"{name}: only versions were moved in it: {told}; the files are still those of before",
            hint=f"run deep-lock lock {show(again)}",
        ) from None


def lock_path(inputs: InputOptions) -> Path:
    """Return where the lock stands: SCRIPT.deep.lock beside a script, else deep.lock in the project."""
    if inputs.output is not None:
        return inputs.output
    if inputs.script is not None:
        return inputs.script.with_name(f"{inputs.script.name}.{LOCK_NAME}")
    return inputs.folder / LOCK_NAME
