"""The facts of source trees that are no sdists: the project itself, folders, commits, archives of a tree."""

from collections.abc import Mapping

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.boundary import reading
from deep_lock.errors import MetadataInvalid, NameMismatch, PyprojectInvalid
from deep_lock.models.build_system import BuildSystem, SdistFacts
from deep_lock.models.metadata import parse_metadata
from deep_lock.models.resolution import UNKNOWN_VERSION
from deep_lock.sdist.backends.rule import Source
from deep_lock.sdist.facts import hook_facts, read_facts, version_of
from deep_lock.sdist.pyproject import nested_table, read_toml_bytes
from deep_lock.sdist.setup_cfg import read_identity
from deep_lock.sdist.source_tree import Members


def read_project_tree(
    files: Mapping[str, bytes],
    *,
    names: frozenset[str],
    modules: Mapping[str, bytes],
    name: NormalizedName,
    version: str | None,
    build_system: BuildSystem,
) -> SdistFacts:
    """Return the facts of the project.

    ``files`` has what was read of it, ``names`` every path in it, ``modules`` what its setup.py may import, all with "/".
    Raises PyprojectInvalid.
    """
    with reading("the project", PyprojectInvalid):
        source = Source(
            name=name,
            version=version_of(version) or UNKNOWN_VERSION,
            members=Members(top="", files=files, names=names, modules=modules),
            pyproject=read_toml_bytes(files["pyproject.toml"], "pyproject.toml") if "pyproject.toml" in files else {},
            build_system=build_system,
            project=None,
        )
        return hook_facts(source)


class TreeFacts(Struct, frozen=True, kw_only=True):
    """A source tree as it describes itself."""

    name: NormalizedName
    version: Version | None
    """None where only its backend knows."""
    facts: SdistFacts
    is_sdist: bool = False
    """Whether a PKG-INFO states the version."""


def read_tree(members: Members, where: str, *, name: NormalizedName | None = None) -> TreeFacts:
    """Return the facts of a source tree whose name may not be known; ``where`` names it in messages.

    Raises NameMismatch where it is another project's, MetadataInvalid where no file names the project, and as `read_sdist`.
    """
    with reading(where, MetadataInvalid):
        return _read_tree(members, where, name)


def _read_tree(members: Members, where: str, name: NormalizedName | None) -> TreeFacts:
    raw = members.files.get("pyproject.toml", b"")
    pyproject = read_toml_bytes(raw, f"pyproject.toml of {where}")
    stated_name, stated_version, is_sdist = _identity(members, pyproject, where)
    if stated_name is not None and name is not None and canonicalize_name(stated_name) != name:
        raise NameMismatch(f"{where}: is the project {canonicalize_name(stated_name)!r}, not {name!r}")
    known = name if stated_name is None else canonicalize_name(stated_name)
    if known is None:
        raise MetadataInvalid(f"{where}: no file in it names the project", hint="write NAME @ URL")
    version = version_of(stated_version)
    facts = read_facts(members, name=known, version=version or UNKNOWN_VERSION, release=f"{known} ({where})")
    return TreeFacts(name=known, version=version, facts=facts, is_sdist=is_sdist)


def _identity(members: Members, pyproject: Mapping[str, object], where: str) -> tuple[str | None, str | None, bool]:
    """Return name and version where a file states them plainly, and whether that is a PKG-INFO."""
    if "PKG-INFO" in members.files:
        metadata = parse_metadata(members.files["PKG-INFO"], f"PKG-INFO of {where}")
        return metadata.name, metadata.version, True
    for table in (nested_table(pyproject, "project"), nested_table(pyproject, "tool", "poetry")):
        name, version = table.get("name"), table.get("version")
        if isinstance(name, str):
            return name, version if isinstance(version, str) else None, False
    return (*read_identity(members.files.get("setup.cfg", b"")), False)
