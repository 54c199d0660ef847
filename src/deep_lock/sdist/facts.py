"""The facts of an sdist about its build and its dependencies, without unpacking or running anything of it.

Sources of runtime metadata, best first: PKG-INFO of 2.2 and up where Requires-Dist is not dynamic (PEP 643); the
``[project]`` table with nothing left to the backend; setup.py and setup.cfg where they are proven literal. Where none
applies there is only a guess, and only the backend knows. So it is where two of them contradict each other.
"""

import re
from typing import BinaryIO

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.boundary import reading
from deep_lock.errors import MetadataInvalid
from deep_lock.models.build_system import MetadataSource, SdistFacts
from deep_lock.models.metadata import Metadata, check_name, is_same_version, is_static, parse_metadata
from deep_lock.pep440 import parse_version
from deep_lock.sdist import contradictions, poetry
from deep_lock.sdist.backends import setuptools
from deep_lock.sdist.backends.answer import declare
from deep_lock.sdist.backends.rule import Source, UnprovenError
from deep_lock.sdist.pyproject import (
    guess_project,
    nested_table,
    parse_requirements,
    read_build_system,
    read_project,
    read_toml_bytes,
)
from deep_lock.sdist.setuptools_options import EXTRAS, INSTALL, options_requires_dist, parse_requires_txt, split_lines
from deep_lock.sdist.source_tree import Members, read_members

_NOTED_FILES = {"Cargo.toml": "cargo-toml", "meson.build": "meson-build"}
_LOCAL = re.compile(r"@ *file:")
_ONE_FUNCTION = frozenset({"poetry.core.masonry.api"})
"""Backends that write PKG-INFO and METADATA by one function, dynamic fields included: what they do not list, is not there.

Read: get_metadata_content and its uses in poetry/core/masonry/builders of 1.9.1 and 2.1.3.
"""
_STATING = frozenset({"setup.py", "setup.cfg"})
"""Files by which setuptools gets requirements: without them, and without ``[project]``, nothing is stated."""
_RUST_TOOLS = frozenset({"maturin", "setuptools-rust"})


def read_sdist(file: BinaryIO, *, filename: str, name: NormalizedName, version: Version) -> SdistFacts:
    """Read the facts of an sdist, a seekable binary file whose hash was checked before.

    Raises ArchiveError, LimitExceeded, PyprojectInvalid, MetadataInvalid (another version) or NameMismatch (another project).
    """
    members = read_members(file, filename)
    release = f"{name} {version} ({filename})"
    return read_facts(members, name=name, version=version, filename=filename, release=release)


def read_facts(
    members: Members, *, name: NormalizedName, version: Version, release: str, filename: str = ""
) -> SdistFacts:
    """Return the facts of a source tree; ``release`` names it in messages, ``filename`` is that of an sdist.

    Raises as `read_sdist`.
    """
    with reading(release, MetadataInvalid):
        return _facts(members, name, version, release, filename)


def _facts(members: Members, name: NormalizedName, version: Version, release: str, filename: str) -> SdistFacts:
    where = f"pyproject.toml of {release}"
    pyproject = read_toml_bytes(members.files["pyproject.toml"], where) if "pyproject.toml" in members.files else {}
    build_system, build_notes = read_build_system(pyproject, where)
    pkg_info = _pkg_info(members, name, version, release)
    source = Source(
        name=name,
        version=version,
        members=members,
        pyproject=pyproject,
        build_system=build_system,
        project=read_project(pyproject, name, str(version)),
    )
    metadata, metadata_source = _best_metadata(source, pkg_info)
    contradiction = _contradiction(source, pkg_info, metadata, metadata_source)
    if contradiction:
        metadata, metadata_source = None, ""
    guess = _union(source, pkg_info) if contradiction else _guess(source, pkg_info)
    return replace(
        hook_facts(source),
        metadata=metadata,
        metadata_source=metadata_source,
        guess=None if metadata is not None else guess,
        contradiction=contradiction,
        cargo_lock=_cargo_lock(source),
        notes=tuple(sorted({*members.notes, *build_notes, *_notes(source, filename)})),
    )


def hook_facts(source: Source) -> SdistFacts:
    """Return what is known of the build alone, without metadata."""
    runs_setup_py = source.build_system.backend in setuptools.BACKENDS and not source.build_system.backend_path
    facts = SdistFacts(
        build_system=source.build_system,
        metadata=None,
        known_hook=source.options.setup_requires if runs_setup_py else (),
        imports=source.imports if runs_setup_py else (),
    )
    try:
        declared, self_hosted = declare(source)
    except UnprovenError as reason:
        return replace(facts, hook_reason=str(reason))
    return replace(
        facts,
        declared_hook=declared.requires,
        hook_reason=declared.reason,
        hook_since=declared.since,
        self_hosted=str(source.version) if self_hosted else "",
    )


def version_of(text: str | None) -> Version | None:
    """Return the version (PEP 440), or None where the text is none."""
    try:
        return parse_version(text) if text else None
    except InvalidVersion:
        return None


def _pkg_info(members: Members, name: NormalizedName, version: Version, release: str) -> Metadata | None:
    raw = members.files.get("PKG-INFO")
    if raw is None:
        return None
    where = f"PKG-INFO of {release}"
    metadata = parse_metadata(raw, where)
    check_name(metadata, name, where)
    if not is_same_version(metadata.version, str(version)):
        # pip drops such a release too: what would be installed is not what was chosen
        raise MetadataInvalid(f"{where}: is the metadata of version {metadata.version[:100]}")
    return metadata


def _best_metadata(source: Source, pkg_info: Metadata | None) -> tuple[Metadata | None, MetadataSource]:
    if pkg_info is not None and is_static(pkg_info):
        return pkg_info, "pkg-info"
    if source.project is not None:
        project = poetry.with_poetry_references(source.project, source)
        if project.requires_python is None and pkg_info is not None:
            project = replace(project, requires_python=pkg_info.requires_python)
        return _with_license(project, pkg_info), "project"
    static = _poetry(source, pkg_info) or _static(source, pkg_info)
    return (_with_license(static, pkg_info), "static") if static is not None else (None, "")


def _with_license(metadata: Metadata, pkg_info: Metadata | None) -> Metadata:
    """Return metadata with the license that PKG-INFO states: no reader of other files reads one."""
    if pkg_info is None:
        return metadata
    return replace(metadata, license=pkg_info.license, license_classifiers=pkg_info.license_classifiers)


def _poetry(source: Source, pkg_info: Metadata | None) -> Metadata | None:
    """Return what Poetry's table proves, where no PKG-INFO has the dependencies.

    poetry-core writes folders as paths of the machine on which it made the sdist.
    """
    texts = pkg_info.requires_dist if pkg_info is not None else ()
    if texts and not any(_LOCAL.search(text) for text in texts):
        return None
    found = poetry.read_poetry_metadata(source)
    return found if pkg_info is None or (found is not None and found.requires_dist) else None


def _contradiction(
    source: Source, pkg_info: Metadata | None, metadata: Metadata | None, metadata_source: MetadataSource
) -> str:
    """Return the two files of the sdist that state different metadata, "" where none do."""
    by_poetry = metadata_source == "static" and source.build_system.backend in _ONE_FUNCTION
    if metadata is None or by_poetry:
        return ""
    own = "[project]" if source.project is not None else "setup.py or setup.cfg"
    if metadata_source == "pkg-info":
        return _pkg_info_contradiction(source, metadata, own)
    if pkg_info is not None and contradictions.is_more(pkg_info, metadata):
        return f"{own} and PKG-INFO, which differ"
    egg_info = _egg_info(source) if source.build_system.backend in setuptools.BACKENDS else None
    if egg_info is not None and contradictions.is_more(egg_info, metadata):
        return f"{own} and requires.txt, which differ"
    return ""


def _pkg_info_contradiction(source: Source, pkg_info: Metadata, own: str) -> str:
    stated, listed = source.project, _listed_project(source)
    if stated is None and (source.pyproject.get("project") or not source.members.files.keys().isdisjoint(_STATING)):
        stated = _static(source, None)
    if stated is not None:
        return f"{own} and PKG-INFO, which differ" if contradictions.differs(pkg_info, stated) else ""
    if listed is not None and contradictions.is_more(listed, pkg_info):
        return "[project] and PKG-INFO, which differ"
    silent = source.build_system.backend not in _ONE_FUNCTION and contradictions.is_silent(pkg_info, source.pyproject)
    return "PKG-INFO, which does not list what [project] leaves to the backend" if silent else ""


def _listed_project(source: Source) -> Metadata | None:
    """Return what ``[project]`` lists, where it is the sdist's own; its backend may add to it."""
    name = nested_table(source.pyproject, "project").get("name")
    if not isinstance(name, str) or canonicalize_name(name) != source.name:
        return None
    return guess_project(source.pyproject, source.name, str(source.version))


def _union(source: Source, pkg_info: Metadata | None) -> Metadata | None:
    """Return all that the files of the sdist state, as the guess where they contradict each other."""
    stated = (_listed_project(source), _static(source, None), pkg_info, _egg_info(source))
    found = [own for own in stated if own is not None]
    return contradictions.union(found) if found else None


def _static(source: Source, pkg_info: Metadata | None) -> Metadata | None:
    """Return what setup.py, setup.cfg and ``[tool.setuptools.dynamic]`` prove, where setuptools is the backend."""
    if source.build_system.backend not in setuptools.BACKENDS or source.build_system.backend_path:
        return None
    if setuptools.find_plugin((*source.build_system.requires, *source.options.setup_requires)):
        return None
    install, extras = _static_dependencies(source), _static_extras(source)
    found = options_requires_dist(install, extras) if install is not None and extras is not None else None
    if found is None:
        return None
    known_python = pkg_info.requires_python if pkg_info is not None else None
    return Metadata(
        name=source.name,
        version=str(source.version),
        metadata_version="2.2",
        requires_dist=found[0],
        provides_extra=tuple(map(NormalizedName, found[1])),
        requires_python=_static_python(source) or known_python,
    )


def _static_dependencies(source: Source) -> tuple[str, ...] | None:
    project = nested_table(source.pyproject, "project")
    if project and "dependencies" not in _dynamic(project):
        return _listed(project.get("dependencies", []))
    directive = nested_table(source.pyproject, "tool", "setuptools", "dynamic").get("dependencies")
    if project and directive is not None:
        return _directive(directive, source.members)
    return None if INSTALL in source.options.unproven else source.options.install_requires


def _static_extras(source: Source) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    project = nested_table(source.pyproject, "project")
    table = nested_table(source.pyproject, "tool", "setuptools", "dynamic", "optional-dependencies")
    if not project or ("optional-dependencies" in _dynamic(project) and not table):
        return None if EXTRAS in source.options.unproven else source.options.extras_require
    found = []
    listed = "optional-dependencies" not in _dynamic(project)
    for extra, value in (nested_table(project, "optional-dependencies") if listed else table).items():
        texts = _listed(value) if listed else _directive(value, source.members)
        if texts is None:
            return None
        found.append((extra, texts))
    return tuple(found)


def _static_python(source: Source) -> str | None:
    listed = nested_table(source.pyproject, "project").get("requires-python")
    return listed if isinstance(listed, str) and listed else source.options.python_requires or None


def _dynamic(project: dict[str, object]) -> list[object]:
    listed = project.get("dynamic")
    return listed if isinstance(listed, list) else []


def _listed(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        return None
    return tuple(value)


def _directive(value: object, members: Members) -> tuple[str, ...] | None:
    """Follow ``{file = ...}``: setuptools joins the files and reads each line as a requirement."""
    paths = value.get("file") if isinstance(value, dict) else None
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list) or not all(isinstance(path, str) and path in members.files for path in paths):
        return None
    return split_lines("\n".join(members.files[path].decode("utf-8", "replace") for path in paths))


def _guess(source: Source, pkg_info: Metadata | None) -> Metadata | None:
    """Return the best guess: what setuptools wrote when it made the sdist, else what other files list."""
    egg_info = _egg_info(source)
    if egg_info is not None:
        return replace(egg_info, requires_python=pkg_info.requires_python if pkg_info is not None else None)
    if pkg_info is not None and pkg_info.requires_dist:
        return pkg_info
    return guess_project(source.pyproject, source.name, str(source.version)) or pkg_info


def _egg_info(source: Source) -> Metadata | None:
    """Return the requirements that setuptools wrote when it made the sdist; None where there are none to read."""
    for path in sorted(source.members.files):
        if path.endswith(".egg-info/requires.txt") and _is_own(path, source.name):
            found = parse_requires_txt(source.members.files[path], source.name, str(source.version))
            if found is not None:
                return found
    return None


def _is_own(path: str, name: NormalizedName) -> bool:
    """Whether an egg-info folder is the project's own (there may be vendored ones)."""
    folder = path.split("/")[-2].removesuffix(".egg-info")
    return folder.replace("_", "-").replace(".", "-").lower() == name


def _cargo_lock(source: Source) -> str:
    """Return the digest of the Cargo.lock nearest to the top.

    Below the top only where a tool for Rust builds the sdist: elsewhere it is likely test data.
    """
    locks = source.members.cargo_locks
    if "Cargo.lock" in locks or not locks:
        return locks.get("Cargo.lock", "")
    requirements = parse_requirements(source.build_system.requires) or ()
    if not _RUST_TOOLS.intersection(requirement.name for requirement in requirements):
        return ""
    return locks[min(locks, key=lambda path: (path.count("/"), path))]


def _notes(source: Source, filename: str) -> set[str]:
    notes = {note for path, note in _NOTED_FILES.items() if path in source.members.names}
    normal = f"{source.name.replace('-', '_')}-{source.version}.tar.gz"
    if filename and filename != normal:
        notes.add("legacy-name")
    if source.build_system.backend_path:
        notes.add("in-tree-backend")
    return notes
