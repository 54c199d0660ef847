"""The project itself as something to be built: its configuration is read from its folder, and nothing of it runs."""

from collections.abc import Mapping
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.build.backends.answer import told
from deep_lock.build.project_tree import read_project_tree
from deep_lock.graph import Subject
from deep_lock.inputs.project import Project
from deep_lock.local_trees import read_files
from deep_lock.model.build_system import ConfigSettings

UNNAMED = canonicalize_name("project")


def project_subject(
    folder: Path, project: Project, settings: Mapping[NormalizedName, ConfigSettings]
) -> Subject | None:
    """Return the build subject of the project; None where it is virtual. Raises PyprojectInvalid."""
    if project.build_system is None:
        return None
    files = dict(read_files(folder))
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
        source=None,
        unnamed=project.name is None,
        facts=told(facts) if own else facts,
        config_settings=own,
    )
