"""Source trees that are no sdists: the project itself, folders, commits, archives of a tree. The same static rules hold."""

from collections.abc import Mapping

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.errors import MetadataInvalid, NameMismatch
from deep_lock.models.build_system import BuildSystem, SdistFacts
from deep_lock.models.metadata import parse_metadata
from deep_lock.models.resolution import UNKNOWN_VERSION
from deep_lock.sdist.backends.answer import declare
from deep_lock.sdist.backends.rule import Source
from deep_lock.sdist.facts import judge_members
from deep_lock.sdist.pyproject import read_table, read_toml
from deep_lock.sdist.setup_cfg import read_setup_cfg_identity
from deep_lock.sdist.source_tree import Members


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


class TreeFacts(Struct, frozen=True, kw_only=True):
    """A source tree as it describes itself."""

    name: NormalizedName
    version: Version | None
    """None where only its backend knows."""
    facts: SdistFacts
    is_sdist: bool = False
    """Whether a PKG-INFO vouches for the version."""


def read_tree(members: Members, where: str, *, name: NormalizedName | None = None) -> TreeFacts:
    """Judge a source tree whose name may not be known; ``where`` names it in messages.

    Raises NameMismatch where it is another project's, MetadataInvalid where nothing says whose it is, and as `read_sdist`.
    """
    pyproject = (
        read_toml(members.files["pyproject.toml"], f"pyproject.toml of {where}")
        if ("pyproject.toml" in members.files)
        else {}
    )
    said_name, said_version, is_sdist = _identity(members, pyproject, where)
    if said_name is not None and name is not None and canonicalize_name(said_name) != name:
        raise NameMismatch(f"{where}: is the project {canonicalize_name(said_name)!r}, not {name!r}")
    known = name if said_name is None else canonicalize_name(said_name)
    if known is None:
        raise MetadataInvalid(f"{where}: nothing in it says which project it is", hint="write NAME @ URL")
    version = _known_version(said_version)
    facts = judge_members(members, name=known, version=version or UNKNOWN_VERSION, release=f"{known} ({where})")
    return TreeFacts(name=known, version=version, facts=facts, is_sdist=is_sdist)


def _identity(members: Members, pyproject: Mapping[str, object], where: str) -> tuple[str | None, str | None, bool]:
    """Return name and version where a file says them plainly."""
    if "PKG-INFO" in members.files:
        metadata = parse_metadata(members.files["PKG-INFO"], f"PKG-INFO of {where}")
        return metadata.name, metadata.version, True
    for table in (read_table(pyproject, "project"), read_table(pyproject, "tool", "poetry")):
        name, version = table.get("name"), table.get("version")
        if isinstance(name, str):
            return name, version if isinstance(version, str) else None, False
    return (*read_setup_cfg_identity(members.files.get("setup.cfg", b"")), False)


def _known_version(text: str | None) -> Version | None:
    try:
        return Version(text) if text else None
    except (InvalidVersion, ValueError):
        return None
