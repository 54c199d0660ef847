"""The ``[tool.poetry]`` table of a source tree: the metadata that poetry-core makes of it."""

from collections.abc import Mapping

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import DeepLockError, MetadataInvalid
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.parsing import poetry
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.parsing.toml import Lines
from deep_lock.sdist.backends.rule import Source
from deep_lock.sdist.pyproject import nested_table, with_extra

BACKENDS = frozenset({"poetry.core.masonry.api", "poetry.masonry.api", "poetry_dynamic_versioning.backend"})
_OTHERS = frozenset({"setup.py", "setup.cfg"})


def read_poetry_metadata(source: Source) -> Metadata | None:
    """Return the metadata that Poetry's table proves; None where another backend builds the tree, or the table is not valid.

    References to folders are as written.
    """
    if not _is_built_by_poetry(source) or not _leaves_dependencies_to_poetry(source):
        return None
    table = nested_table(source.pyproject, "tool", "poetry")
    reading = poetry.Reading(lines=Lines(strings={}, keys={}), faults=Faults("pyproject.toml", MetadataInvalid))
    try:
        dependencies = poetry.read_main(table.get("dependencies", {}), reading)
        extras = poetry.read_extras(table.get("extras", {}), dependencies, reading)
        python = nested_table(source.pyproject, "project").get("requires-python")
        requires_python = python if isinstance(python, str) else poetry.read_python(table, reading.faults)
        requires_dist = [str(own.requirement) for own in dependencies if not own.optional]
        requires_dist += [with_extra(str(own), extra) for extra, listed in extras.items() for own in listed]
    except DeepLockError:
        return None
    if reading.faults.to_error() is not None:
        return None
    return Metadata(
        name=source.name,
        version=str(source.version),
        metadata_version="2.2",
        requires_dist=tuple(requires_dist),
        requires_python=requires_python,
        provides_extra=tuple(extras),
    )


def with_poetry_references(metadata: Metadata, source: Source) -> Metadata:
    """Return the metadata of a ``[project]`` table with the direct references that Poetry's table has for them."""
    if not _is_built_by_poetry(source):
        return metadata
    references = _references(nested_table(source.pyproject, "tool", "poetry", "dependencies"))
    if not references:
        return metadata
    required = map(parse_requirement, metadata.requires_dist)
    return replace(metadata, requires_dist=tuple(str(_directed(own, references)) for own in required))


def _directed(requirement: Requirement, references: Mapping[NormalizedName, str]) -> Requirement:
    if requirement.url is not None or requirement.name not in references:
        return requirement
    return replace(requirement, url=references[requirement.name])


def _references(table: Mapping[str, object]) -> dict[NormalizedName, str]:
    faults = Faults("pyproject.toml", MetadataInvalid)
    reading = poetry.Reading(lines=Lines(strings={}, keys={}), faults=faults)
    return {
        own.requirement.name: own.requirement.url for own in poetry.read_main(table, reading) if own.requirement.url
    }


def _is_built_by_poetry(source: Source) -> bool:
    if "build-system" not in source.pyproject:  # Poetry reads its table then too, if nothing else describes the tree
        return _OTHERS.isdisjoint(source.members.names)
    return source.build_system.backend in BACKENDS and not source.build_system.backend_path


def _leaves_dependencies_to_poetry(source: Source) -> bool:
    """Whether Poetry's table has all dependencies: there is no ``[project]`` table, or they are dynamic in it."""
    table, project = nested_table(source.pyproject, "tool", "poetry"), nested_table(source.pyproject, "project")
    name, dynamic = project.get("name", table.get("name")), project.get("dynamic")
    if not table or not isinstance(name, str) or canonicalize_name(name) != source.name:
        return False
    listed = dynamic if isinstance(dynamic, list) else []
    # optional dependencies of [project] would be in addition
    return not project or ("dependencies" in listed and "optional-dependencies" not in project)
