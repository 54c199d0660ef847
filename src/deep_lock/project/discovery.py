"""Finds the projects below a folder, for a run that locks all of them.

The search skips hidden folders, virtual environments, ``node_modules``, links, git repositories inside of a git repository
(submodules, work trees), and what git ignores.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from deep_lock.errors import DeepLockError, LimitExceeded, UsageError, raise_machine_fault
from deep_lock.events import Reporter, Warned
from deep_lock.models.lock import LOCK_NAME
from deep_lock.network import git
from deep_lock.project.folder_config import CONFIG, PYPROJECT, read_document, workspace_root
from deep_lock.sdist.pyproject import nested_table

MAX_DEPTH = 32
MAX_FOLDERS = 100_000
MAX_PROJECTS = 1000
NOT_ENTERED = frozenset({"node_modules"})
_TABLES = (
    ("project",),
    ("dependency-groups",),
    ("tool", "poetry"),
    ("tool", "deep-lock"),
    ("tool", "uv", "workspace"),
)
"""Tables of a pyproject.toml that make its folder a project."""


class FoundProject(Struct, frozen=True, kw_only=True):
    """A folder whose project gets a lock."""

    parts: tuple[str, ...]
    """Of its path, relative to the folder of the search: empty for this folder itself, ``..`` for the root of its workspace."""
    recorded: bool
    """Only its deep.lock states what is locked: there is no pyproject.toml that describes a project."""

    @property
    def path(self) -> str:
        """The relative path, for messages."""
        return "/".join(self.parts) or "."


class _Folder(Struct, frozen=True, kw_only=True):
    """A folder that is entered."""

    path: Path
    parts: tuple[str, ...]
    repository: Path | None
    """The top of the git repository that it is in."""


def find_projects(
    root: Path, exclude: Sequence[str], environ: Mapping[str, str], reporter: Reporter
) -> tuple[FoundProject, ...]:
    """Return the projects in a folder and below it, sorted by path. Instead of members of a workspace, it has their root once.

    ``exclude`` are patterns (``*``, ``?``) of relative paths that are not entered. A folder that cannot be read is a warning.
    Raises UsageError where there is no project, LimitExceeded for too many folders or projects.
    """
    top = Path(os.path.realpath(root))
    found: dict[Path, bool] = {}
    for folder, names in _entered(top, exclude, environ, reporter):
        if _describes_project(folder.path, names):
            found[_with_its_lock(folder.path)] = False
        elif LOCK_NAME in names:
            found.setdefault(folder.path, True)
        if len(found) > MAX_PROJECTS:
            raise _too_many(root, f"more than {MAX_PROJECTS} projects")
    if not found:
        raise UsageError(
            f"{root}: no project in it or below it",
            hint="a project is a folder with a pyproject.toml that has [project], [dependency-groups], [tool.poetry] or"
            " [tool.deep-lock], or with a deep.lock",
        )
    relative = ((Path(os.path.relpath(folder, top)).parts, recorded) for folder, recorded in found.items())
    return tuple(FoundProject(parts=parts, recorded=recorded) for parts, recorded in sorted(relative))


def _entered(
    top: Path, exclude: Sequence[str], environ: Mapping[str, str], reporter: Reporter
) -> Iterator[tuple[_Folder, frozenset[str]]]:
    """Yield each folder that is entered, with the names in it, level by level: git is called once for a level."""
    level = [_Folder(path=top, parts=(), repository=_repository_of(top, environ, reporter))]
    count = 0
    while level:
        below: list[_Folder] = []
        for folder in level:
            names, folders = _listed(folder.path, reporter)
            repository = folder.repository
            if folder.parts and ("pyvenv.cfg" in names or (repository is not None and ".git" in names)):
                continue
            if repository is None and ".git" in names:
                repository = folder.path
            yield folder, names
            for name in folders:
                parts = (*folder.parts, name)
                if not any(fnmatchcase("/".join(parts), pattern.rstrip("/")) for pattern in exclude):
                    below.append(_Folder(path=folder.path / name, parts=parts, repository=repository))
        ignored = _ignored(below, environ, reporter)
        level = [folder for folder in below if folder.path not in ignored]
        count += len(level)
        if count > MAX_FOLDERS:
            raise _too_many(top, f"more than {MAX_FOLDERS} folders")
        if level and len(level[0].parts) > MAX_DEPTH:
            raise _too_many(top, f"folders at a depth of more than {MAX_DEPTH} ({'/'.join(level[0].parts)})")


def _too_many(root: Path, what: str) -> LimitExceeded:
    return LimitExceeded(
        f"{root}: it has {what}",
        hint="search in one of its folders (--project FOLDER), or leave folders out (--exclude PATTERN)",
    )


def _listed(folder: Path, reporter: Reporter) -> tuple[frozenset[str], list[str]]:
    """Return the names in a folder, and those of its folders that may be entered; nothing where it cannot be read."""
    names: set[str] = set()
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.add(entry.name)
                if entry.name.startswith(".") or entry.name in NOT_ENTERED:
                    continue
                if entry.is_dir(follow_symlinks=False) and not getattr(entry, "is_junction", bool)():
                    folders.append(entry.name)
    except OSError as error:
        raise_machine_fault(error)
        message = f"cannot be read, so no project in it is locked: {error.strerror or error}"
        reporter(Warned(code="folder-unread", subject=str(folder), message=message))
        return frozenset(), []
    return frozenset(names), sorted(folders)


# -- projects


def _describes_project(folder: Path, names: Collection[str]) -> bool:
    """Whether the files of a folder describe a project. A pyproject.toml that cannot be read counts: locking reports why."""
    if CONFIG in names:
        return True
    if PYPROJECT not in names:
        return False
    try:
        document = read_document(folder)
    except (DeepLockError, OSError) as error:
        raise_machine_fault(error)
        return True
    return document is None or any(keys[-1] in nested_table(document, *keys[:-1]) for keys in _TABLES)


def _with_its_lock(folder: Path) -> Path:
    """Return the folder that has the lock of a project: the root of its workspace, else its own."""
    try:
        return workspace_root(folder) or folder
    except (DeepLockError, OSError) as error:
        raise_machine_fault(error)
        return folder  # the configuration is wrong: locking reports why


# -- git


def _repository_of(top: Path, environ: Mapping[str, str], reporter: Reporter) -> Path | None:
    """Return the git repository around the folder of the search; None where it ignores this folder."""
    for folder in (top, *top.parents):
        if (folder / ".git").exists():
            own = _Folder(path=top, parts=(), repository=folder)
            return None if folder != top and _ignored([own], environ, reporter) else folder
    return None


def _ignored(folders: Iterable[_Folder], environ: Mapping[str, str], reporter: Reporter) -> frozenset[Path]:
    """Return the folders that git ignores. Where git cannot state it, none, with a warning."""
    by_repository: dict[Path, list[Path]] = {}
    for folder in folders:
        if folder.repository is not None:
            by_repository.setdefault(folder.repository, []).append(folder.path)
    ignored: set[Path] = set()
    for repository, paths in by_repository.items():
        try:
            ignored |= git.ignored(repository, paths, environ)
        except UsageError as error:
            message = f"git does not state which folders are ignored, so all are searched: {error.message}"
            reporter(Warned(code="git-ignore-unknown", subject=str(repository), message=message))
    return frozenset(ignored)
