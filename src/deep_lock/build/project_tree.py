"""The project itself as a source tree: the same static rules as for an sdist, over files that were read from a folder."""

from collections.abc import Mapping

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.build.backends.answer import declare
from deep_lock.build.backends.rule import Source
from deep_lock.build.pyproject_file import read_toml
from deep_lock.build.source_tree import Members
from deep_lock.model.build_system import BuildSystem, SdistFacts

UNKNOWN_VERSION = Version("0")


def read_project_tree(
    files: Mapping[str, bytes],
    *,
    names: frozenset[str],
    name: NormalizedName,
    version: str | None,
    build_system: BuildSystem,
) -> SdistFacts:
    """Judge a source tree. ``files`` holds what was read of it, ``names`` every path that is there, both with "/".

    Raises PyprojectInvalid.
    """
    source = Source(
        name=name,
        version=_version(version),
        members=Members(top="", files=files, names=names),
        pyproject=read_toml(files["pyproject.toml"], "pyproject.toml") if "pyproject.toml" in files else {},
        build_system=build_system,
        project=None,
    )
    declared, self_hosted = declare(source)
    return SdistFacts(
        build_system=build_system,
        metadata=None,
        declared_hook=declared.requires,
        hook_reason=declared.reason,
        hook_since=declared.since,
        self_hosted=str(source.version) if self_hosted else "",
    )


def _version(text: str | None) -> Version:
    try:
        return Version(text) if text else UNKNOWN_VERSION
    except InvalidVersion:
        return UNKNOWN_VERSION
