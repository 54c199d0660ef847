"""Reads the files of a run: the project, requirements files, the configuration, and the lock.

The readers of `project`, `config` and `lockfile` take text. Here files are opened, and paths become the names in messages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.boundary import reading
from deep_lock.config.config import Config, read_config, read_config_file
from deep_lock.config.declared_indexes import declared_indexes, of_options, with_declared
from deep_lock.config.options import InputOptions
from deep_lock.errors import ConfigError, LimitExceeded, LockInvalid, ProjectInvalid, RequirementsInvalid, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import Replacement, is_stream, is_there
from deep_lock.foreign_locks.load import (
    changed_members,
    foreign_path,
    imported_members,
    imported_project,
    read_imported,
    with_direct_requirements,
)
from deep_lock.lockfile import edited_versions, reader
from deep_lock.lockfile.paths import seen_from
from deep_lock.locking import file_options
from deep_lock.locking.selected_scopes import (
    declared_conflicts,
    refuse_unknown_scopes,
    selected_conflicts,
    selected_scopes,
    source_scopes,
)
from deep_lock.models.conflicts import Conflict, Implied
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.models.lock import LOCK_NAME, Lock
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import RequirementScope
from deep_lock.models.workspace import Member, implied_scopes
from deep_lock.parsing import setup_cfg
from deep_lock.parsing.text import decode
from deep_lock.parsing.toml import read_toml
from deep_lock.project import requirements_txt, script, setuptools
from deep_lock.project.checkout import require_inside
from deep_lock.project.files import MAX_LOCK_BYTES, STANDARD_INPUT, missing_lock, opener_of, read_text, shown_path
from deep_lock.project.folder_config import completed, members, workspace_root
from deep_lock.project.local_trees import MAX_MEMBERS, LocalTrees
from deep_lock.project.project import Project
from deep_lock.project.pyproject import read_pyproject
from deep_lock.project.workspace import WorkspaceMember, joined, workspace_member
from deep_lock.sanitize import show
from deep_lock.sdist import pyproject as document
from deep_lock.targets.markers import Scope

PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
MAX_SHOWN_VERSIONS = 5


class HashFiles(Struct, frozen=True, kw_only=True):
    """The requirements files of a run, which may give hashes of files, by what they are for."""

    run_time: tuple[requirements_txt.RequirementsFile, ...] = ()
    limits: tuple[requirements_txt.RequirementsFile, ...] = ()
    """Constraints and overrides."""
    builds: tuple[requirements_txt.RequirementsFile, ...] = ()

    @property
    def every(self) -> tuple[requirements_txt.RequirementsFile, ...]:
        return (*self.run_time, *self.limits, *self.builds)

    @property
    def have_hashes(self) -> bool:
        """Whether any line has hashes, or must have them."""
        return any(file.hashes or file.require_hashes for file in self.every)


class ProjectInputs(Struct, frozen=True, kw_only=True):
    """Everything that the user wrote, read."""

    options: InputOptions
    project: Project
    config: Config
    scopes: tuple[RequirementScope, ...]
    """What each selected part of the project requires; the base comes first, if it is locked."""
    sources: tuple[str, ...]
    constraints: tuple[Requirement, ...] = ()
    overrides: tuple[Requirement, ...] = ()
    build_constraints: tuple[Requirement, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    """Of the selected parts of the project."""
    workspace: tuple[WorkspaceMember, ...] = ()
    """The members, if the project is the root of a workspace: then ``project`` has all of them as groups."""
    foreign: ForeignLock | None = None
    """Another tool's lock, which decides the runtime part."""
    trees: LocalTrees
    """Folders that the project names."""
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()
    hash_files: HashFiles = HashFiles()

    @property
    def implied(self) -> Implied:
        """By extra of a member of the workspace the scope of the member."""
        return implied_scopes(self.members)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of the workspace, as the lock has them."""
        return tuple(own.member for own in self.workspace)

    @property
    def source_scopes(self) -> Mapping[Scope, frozenset[Scope]]:
        """By selected part of the project, the parts whose sources are for its requirements."""
        return {scope: source_scopes(self.project, scope) for scope, _ in self.scopes}


def read_inputs(options: InputOptions, checkout: Path | None, reporter: Reporter) -> ProjectInputs:
    """Read every input that the options name. ``checkout`` is that of the context. Raises UserError and OutsideCheckout."""
    own_config = _config_file(options.folder)
    if options.script is not None and options.requirements:
        raise UsageError("--script and -r cannot be used together")
    files = _requirements_files(options.requirements, options.folder)
    constraints = _limit_files(options.constraints, options.folder)
    overrides = _limit_files(options.overrides, options.folder)
    build_constraints = _limit_files(options.build_constraints, options.folder)
    names = tuple(shown_path(path, options.folder) for path in options.requirements)
    project = Project(source=names[0]) if names else read_project(options, own_config)
    limits = (*constraints, *overrides, *build_constraints)
    config = own = own_config or _own_config(project.tools, project.source)
    if options.script is not None:
        with reading(project.source, ConfigError):
            config = with_declared(config, declared_indexes(project.tools))
    elif not files:
        config = completed(config, project.tools, options.folder.resolve())
    root, workspace = project, () if files else _workspace(project, config, options, checkout, reporter)
    if workspace:
        project = joined(root, workspace)
    if not files and not project.unknown:
        refuse_unknown_scopes(config, own, (root, *(member.project for member in workspace)))
    sources = names or (project.source,)
    for note in (*project.notes, *(file_options.notes(files, limits) if files or limits else ())):
        reporter(note)
    conflicts = () if files or project.unknown else declared_conflicts(config, project, workspace)
    options_of_files = [
        own for file in (*files, *constraints, *overrides, *build_constraints) for own in file.index_options
    ]
    if options_of_files:
        config = with_declared(config, of_options(options_of_files))
    path = foreign_path(options, config)
    foreign = read_imported(path, options.folder, checkout) if path is not None else None
    if path is not None and foreign is not None:
        imported = imported_members(foreign, options.folder.resolve(), lock_path(options).parent.resolve())
        if root.name is not None or config.workspace is not None:
            _warn_of_changed_members(foreign, imported, workspace, reporter)
        workspace = imported
        foreign = foreign if workspace else with_direct_requirements(foreign, root)
        project, sources = imported_project(root, foreign), (shown_path(path, options.folder),)
    base = options.script.parent if options.script is not None else options.folder
    trees = LocalTrees(
        lock_path(options).parent.resolve(),
        base.resolve(),
        config,
        name=project.name,
        version=project.version,
        edited=options.edited,
        checkout=checkout,
    )
    scopes = (
        () if project.unknown else selected_scopes(project, options, config, trees, files=files, workspace=workspace)
    )
    return ProjectInputs(
        options=options,
        project=project,
        config=config,
        scopes=scopes,
        conflicts=selected_conflicts(conflicts, foreign, scopes),
        workspace=workspace,
        foreign=foreign,
        trees=trees,
        sources=sources,
        constraints=(
            *(constraint for file in files for constraint in file.constraints),
            *_requirements(constraints),
            *(config.constraints or ()),
        ),
        overrides=(*_requirements(overrides), *(config.overrides or ())),
        build_constraints=(
            *_requirements(build_constraints),
            *(config.build_constraints or ()),
        ),
        no_binary=frozenset(name for file in files for name in file.no_binary),
        only_binary=frozenset(name for file in files for name in file.only_binary),
        hash_files=HashFiles(run_time=files, limits=(*constraints, *overrides), builds=build_constraints),
    )


def at_workspace_root(options: InputOptions) -> InputOptions:
    """Return the options of a member of a workspace with the root as the folder: one lock has all members, as in uv.

    A run that names other inputs or the file of the lock has its own folder, and so has a project that is made from the
    lock of another tool. Raises UserError.
    """
    if options.script is not None or options.requirements or options.output is not None:
        return options
    root = workspace_root(options.folder.resolve())
    if root is None or foreign_path(options, read_project_config(options.folder)) is not None:
        return options
    return replace(options, folder=root)


def with_dynamic_metadata(inputs: ProjectInputs, project: Project) -> ProjectInputs:
    """Return the inputs with the project as its backend, or the previous lock, completes it. Raises UsageError."""
    scopes = selected_scopes(project, inputs.options, inputs.config, inputs.trees)
    declared = declared_conflicts(inputs.config, project)
    conflicts = selected_conflicts(declared, inputs.foreign, scopes)
    return replace(inputs, project=project, scopes=scopes, conflicts=conflicts)


def _workspace(
    project: Project, config: Config, options: InputOptions, checkout: Path | None, reporter: Reporter
) -> tuple[WorkspaceMember, ...]:
    """Read the members of a workspace; none where there is only its root. Raises UserError and OutsideCheckout."""
    workspace = config.workspace
    if options.script is not None or workspace is None:
        return ()
    root, lock_folder = options.folder.resolve(), lock_path(options).parent.resolve()
    found: list[WorkspaceMember] = []
    if project.name is not None:
        found.append(workspace_member(root, project, seen_from(lock_folder, root), is_root=True))
    folders = list(islice(members(root, workspace), MAX_MEMBERS + 1))
    if len(folders) > MAX_MEMBERS:
        raise LimitExceeded(f"{project.source}: the workspace has more than {MAX_MEMBERS} members")
    for folder in folders[1:]:
        require_inside(folder, checkout, f"{project.source}, members of the workspace")
        path = seen_from(root, folder)
        own = _read_folder(folder, f"{path}/", edited=options.edited)
        if own is not None:
            found.append(workspace_member(folder, own, seen_from(lock_folder, folder), is_root=False))
        elif not folder.name.startswith("."):  # a folder of a tool, such as .venv
            message = "is a folder of the workspace's members without a project, and is left out"
            reporter(Warned(code="member-without-project", subject=path, message=message))
    if all(own.member.root for own in found):
        if (options.from_lock or config.from_lock) is None:
            _refuse_empty_workspace(project)
        return ()
    return tuple(sorted(found, key=lambda own: own.member.name))


def _warn_of_changed_members(
    foreign: ForeignLock, imported: Sequence[WorkspaceMember], workspace: Sequence[WorkspaceMember], reporter: Reporter
) -> None:
    for note in changed_members(foreign, imported, workspace):
        reporter(note)


def _refuse_empty_workspace(root: Project) -> None:
    if root.name is None and not root.groups:
        raise ProjectInvalid(
            f"{root.source}: describes no project, and its workspace has no members",
            hint='name the folders of its members: [tool.deep-lock.workspace] members = ["packages/*"]',
        )


def read_project_config(folder: Path) -> Config:
    """Read the configuration of a project and nothing else; without a project nothing is set. Raises UserError."""
    own = _config_file(folder)
    path = folder / "pyproject.toml"
    tables = read_toml(read_text(path, ProjectInvalid), path.name, ProjectInvalid)[0] if is_there(path) else {}
    tools = document.nested_table(tables, "tool")
    return completed(own or _own_config(tools, path.name), tools, folder.resolve())


def _own_config(tools: Mapping[str, Any], source: str) -> Config:
    return read_config(document.nested_table(tools, "deep-lock"), source)


def _config_file(folder: Path) -> Config | None:
    """Read deep-lock.toml; where it exists, ``[tool.deep-lock]`` is not read."""
    path = folder / "deep-lock.toml"
    return read_config_file(read_text(path, ConfigError), path.name) if is_there(path) else None


def read_project(options: InputOptions, own_config: Config | None) -> Project:
    """Read the script, pyproject.toml, setup.cfg or setup.py. Raises UserError."""
    if options.script is not None:
        return script.read_script(_project_text(options.script, options.edited), options.script.name)
    imported = options.from_lock or (own_config.from_lock if own_config is not None else None)
    found = _read_folder(options.folder, edited=options.edited, config=own_config, is_imported=imported is not None)
    if found is not None:
        return found
    if imported is not None:
        return Project(source=imported.name if isinstance(imported, Path) else str(imported))
    if own_config is not None and own_config.workspace is not None:
        return Project(source=own_config.source)
    raise ProjectInvalid(
        f"{options.folder}: no pyproject.toml, setup.cfg or setup.py",
        hint="name a folder with --project, or a script with --script; deep-lock lock also reads requirements files (-r)",
    )


def _read_folder(
    folder: Path,
    shown: str = "",
    *,
    edited: Replacement | None = None,
    config: Config | None = None,
    is_imported: bool = False,
) -> Project | None:
    """Read the project of a folder; None where there is none. ``shown`` is the start of file names in messages."""
    package = config.package if config is not None else None
    pyproject, legacy, setup_py = (folder / name for name in PROJECT_FILES)
    if is_there(pyproject):
        text = _project_text(pyproject, edited)
        source, opener = f"{shown}{pyproject.name}", opener_of(pyproject, folder)
        return read_pyproject(text, source, opener=opener, config=config, is_imported=is_imported)
    if is_there(legacy):
        code = read_text(setup_py, ProjectInvalid) if is_there(setup_py) else None
        text = read_text(legacy, ProjectInvalid)
        if code is None or setup_cfg.describes_project(text):
            return setuptools.read_setup_cfg(text, f"{shown}{legacy.name}", setup_py=code, package=package)
    if is_there(setup_py):
        return setuptools.read_setup_py(f"{shown}{setup_py.name}", package=package)
    return None


def _project_text(path: Path, edited: Replacement | None) -> str:
    """Read a file of the project; of one that the run edits, the new text."""
    if edited is not None and edited.is_of(path):
        return decode(edited.after, path.name, ProjectInvalid)
    return read_text(path, ProjectInvalid)


def _requirements_files(paths: Sequence[Path], folder: Path) -> tuple[requirements_txt.RequirementsFile, ...]:
    return tuple(
        requirements_txt.read_requirements(
            read_text(path, RequirementsInvalid), shown_path(path, folder), opener_of(path, folder)
        )
        for path in paths
    )


def _limit_files(paths: Sequence[Path], folder: Path) -> tuple[requirements_txt.RequirementsFile, ...]:
    return tuple(file_options.limits_only(file) for file in _requirements_files(paths, folder))


def _requirements(files: Sequence[requirements_txt.RequirementsFile]) -> tuple[Requirement, ...]:
    return tuple(requirement for file in files for requirement in (*file.requirements, *file.constraints))


def require_lock(path: Path, reporter: Reporter) -> Lock:
    """Read a lock that must exist. Raises UsageError where it does not, and LockInvalid."""
    lock = read_lock(path, reporter)
    if lock is None:
        raise missing_lock(path)
    return lock


def read_lock(path: Path, reporter: Reporter, *, upgraded: Collection[str] = ()) -> Lock | None:
    """Read a lock, as `parse_lock` does; None where there is none. Raises LockInvalid."""
    if path != STANDARD_INPUT and (not is_there(path) or is_stream(path)):  # of -o /dev/stdout nothing is read
        return None
    return parse_lock(read_text(path, LockInvalid, MAX_LOCK_BYTES), path.name, reporter, upgraded=upgraded)


def parse_lock(text: str, name: str, reporter: Reporter, *, upgraded: Collection[str] = ()) -> Lock:
    """Read the text of a lock.

    A bot may have edited versions in the file and nothing else. Where all of these are of ``upgraded`` projects, the lock is
    read with the versions from before; else LockInvalid says how to upgrade them.

    Raises LockInvalid.
    """
    try:
        return reader.from_text(text, name, reporter)
    except LockInvalid:
        edited = edited_versions.moved_versions(text, name)
        if not edited:
            raise
        if {own.name for own in edited} <= frozenset(upgraded):
            return reader.from_text(edited_versions.restored(text, edited), name, reporter)
        changes = ", ".join(
            f"{show(own.name)} from {own.was} to {show(own.now)}" for own in edited[:MAX_SHOWN_VERSIONS]
        )
        again = " ".join(f"-P {own.name}=={own.now}" for own in edited[:MAX_SHOWN_VERSIONS])
        raise LockInvalid(
            f"{name}: only versions were edited in it: {changes}; its files are still those of the old versions",
            hint=f"run deep-lock lock {show(again)}",
        ) from None


def lock_path(options: InputOptions) -> Path:
    """Return the path of the lock: SCRIPT.deep.lock next to a script, else deep.lock in the project."""
    if options.output is not None:
        return options.output
    if options.script is not None:
        return options.script.with_name(f"{options.script.name}.{LOCK_NAME}")
    return options.folder / LOCK_NAME
