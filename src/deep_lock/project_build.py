"""The project itself as something to be built: its configuration is read from its folder, and nothing of it runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.build.backends.answer import told
from deep_lock.build.project_tree import read_project_tree
from deep_lock.graph import Subject
from deep_lock.inputs.project import Project
from deep_lock.model.build_system import ConfigSettings

MAX_FILE_BYTES = 256 * 1024
READ = ("*.toml", "*.py", "*.cfg", "*.txt", "*.in", "CMakeLists.txt", "*/__init__.py", "src/*.py", "src/*/__init__.py")
"""Where static rules look: configuration at the top, and the modules that may state a version."""

UNNAMED = canonicalize_name("project")


def project_subject(
    folder: Path, project: Project, settings: Mapping[NormalizedName, ConfigSettings]
) -> Subject | None:
    """Return the build subject of the project; None where it is virtual. Raises PyprojectInvalid."""
    if project.build_system is None:
        return None
    files = dict(_read(folder))
    name: NormalizedName = project.name or UNNAMED
    facts = read_project_tree(
        files,
        names=frozenset(files) | frozenset(path.name for path in folder.iterdir() if path.is_file()),
        name=name,
        version=project.version,
        build_system=project.build_system,
    )
    own = settings.get(name, ())
    return Subject(
        name=name,
        version=project.version,
        sdist=None,
        facts=told(facts) if own else facts,
        config_settings=own,
    )


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    for pattern in READ:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                yield path.relative_to(folder).as_posix(), path.read_bytes()
