"""The project itself as something to be built: its source tree read like an sdist's, from its folder."""

from packaging.utils import canonicalize_name

from deep_lock.closure import Subject
from deep_lock.flags import InputFlags
from deep_lock.inputs.project import Project


def project_subject(inputs: InputFlags, project: Project) -> Subject:
    """Return the build subject of the project. Its configuration is read, and nothing of it runs."""
