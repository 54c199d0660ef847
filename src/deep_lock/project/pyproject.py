"""pyproject.toml of the user's own project: ``[project]`` (PEP 621), groups (PEP 735), Poetry's tables, the build system.

What only a build backend knows is not guessed: it is read where a file states it plainly, else it is unknown.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.boundary import reading
from deep_lock.config.config import Config
from deep_lock.errors import ProjectInvalid
from deep_lock.events import Warned
from deep_lock.models.build_system import LEGACY_BACKEND
from deep_lock.models.requirement import Requirement
from deep_lock.parsing import build_system as build_table
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import (
    described,
    is_list_of_strings,
    read_name,
    read_names,
    read_python_specifier,
    read_requirement_list,
    read_string,
    read_table,
    read_version,
)
from deep_lock.parsing.text import Opener, notes_on_characters
from deep_lock.parsing.toml import Lines, read_toml
from deep_lock.project import poetry as poetry_table
from deep_lock.project import setuptools
from deep_lock.project.dependency_groups import PLACE as GROUPS
from deep_lock.project.dependency_groups import (
    RawGroups,
    expand_groups,
    included_groups,
    joined,
    read_groups,
    read_older_groups,
)
from deep_lock.project.project import (
    UNKNOWN_FIELDS,
    Build,
    Project,
    RuntimeFields,
    default_build,
    with_expanded_references,
)

_PLACES = (
    ("uv", "override-dependencies", "overrides"),
    ("uv", "constraint-dependencies", "constraints"),
)
"""Settings of other tools, and the key of deep-lock with the same meaning."""


def notes_on_foreign_settings(tools: dict[str, Any], source: str, config: Config | None = None) -> tuple[Warned, ...]:
    """One note for each setting of another tool that would change what is resolved, and that no key of deep-lock replaces.

    ``config`` as in `read_pyproject`.
    """
    settings = tools.get("deep-lock")
    own = (settings if isinstance(settings, dict) else {}) if config is None else config.keys
    return tuple(
        Warned(
            code="foreign-setting-unused",
            subject=f"{source} [tool.{tool}.{key}]",
            message="is another tool's setting and is not used: write it in [tool.deep-lock] if deep-lock should use it",
        )
        for tool, key, replacement in _PLACES
        if isinstance(table := tools.get(tool), dict) and table.get(key) and replacement not in own
    )


OPTIONAL = "project.optional-dependencies"

_NO_PROJECT_HINT = (
    "Write a [project] table with name, version and dependencies, or [dependency-groups], "
    "or give a requirements file with -r."
)


class _Document(Struct, frozen=True, kw_only=True):
    """One file while it is read."""

    table: dict[str, Any]
    lines: Lines
    faults: Faults
    opener: Opener | None
    may_be_settings: bool
    """Whether the file may have settings of tools alone: a lock of another tool, or members of a workspace, describe the rest."""


def read_pyproject(
    text: str,
    source: str,
    *,
    opener: Opener | None = None,
    config: Config | None = None,
    is_imported: bool = False,
) -> Project:
    """Read a pyproject.toml.

    ``opener`` opens what the file names: setup.cfg and requirement files of setuptools' dynamic fields. Without it those
    fields are faults. ``config`` is that of ``deep-lock.toml``: it overrules the file on whether the project is built.
    ``is_imported``: another tool's lock has the dependencies, so the file need not describe a project.
    Raises ProjectInvalid with all faults of the file, or LimitExceeded.
    """
    with reading(source, ProjectInvalid):
        return _read_pyproject(text, source, opener=opener, config=config, is_imported=is_imported)


def _read_pyproject(
    text: str, source: str, *, opener: Opener | None, config: Config | None, is_imported: bool
) -> Project:
    table, lines = read_toml(text, source, ProjectInvalid)
    faults = Faults(source, ProjectInvalid)
    tools = read_table(table.get("tool", {}), "tool", faults)
    settings = read_table(tools.get("deep-lock", {}), "tool.deep-lock", faults)
    uv = read_table(tools.get("uv", {}), "tool.uv", faults)
    has_others = is_imported or "from-lock" in settings or "workspace" in settings or "workspace" in uv
    may_be_settings = has_others and "build-system" not in table
    document = _Document(table=table, lines=lines, faults=faults, opener=opener, may_be_settings=may_be_settings)
    poetry = None
    if "poetry" in tools:
        poetry = poetry_table.read_poetry(tools["poetry"], lines, document.faults)
    core = _read_core(document, tools, poetry)
    raw_groups = _read_all_groups(document, tools, poetry)
    package = config.package if config is not None else None
    if package is None:
        package = _wants_package(settings, uv, poetry)
    if package is None and core.unknown and "project" not in table:
        package = True  # it is described by its setup.py alone, and that is a part of its build
    build_system, build_requires = _read_build(document, package=package)
    if build_system is None:
        for key in sorted(core.unknown):
            document.faults.add(
                f"project.{key} is dynamic, and there is no build backend that knows it: the project is not a package",
                hint=f"Write project.{key} in the file, and take it out of project.dynamic.",
            )
    document.faults.raise_any()
    groups, broken = expand_groups(raw_groups)
    project = Project(
        source=source,
        name=core.name,
        version=core.version,
        requires_python=core.requires_python,
        dependencies=core.dependencies,
        extras=tuple(core.extras.items()),
        unknown=core.unknown,
        groups=groups,
        broken_groups=broken,
        included_groups=included_groups(raw_groups),
        build_system=build_system,
        build_requires=build_requires,
        prerelease_names=poetry.prerelease_names if poetry else frozenset(),
        tools=tools,
        notes=(
            *core.notes,
            *notes_on_foreign_settings(tools, source, config),
            *notes_on_characters(text, source),
        ),
    )
    return project if project.unknown else with_expanded_references(project)


def _read_build(document: _Document, *, package: bool | None) -> Build:
    """Read how the project is built. Without the table it is virtual, unless ``package`` demands the default backend.

    Where ``package`` is False, nothing is built in any case.
    """
    key, faults = build_table.KEY, document.faults
    if package is False or (key not in document.table and not package):
        return None, ()
    if key not in document.table:
        return default_build(faults.source)
    system = build_table.read_build_system(document.table[key], faults)
    if system is None:
        return None, ()
    return system, read_requirement_list(system.requires, f"{key}.requires", document.lines, faults)


def _wants_package(settings: dict[str, Any], uv: dict[str, Any], poetry: poetry_table.Poetry | None) -> bool | None:
    for table in (settings, uv):
        wanted = table.get("package")
        if isinstance(wanted, bool):
            return wanted
    return False if poetry is not None and not poetry.package_mode else None


def _read_core(document: _Document, tools: dict[str, Any], poetry: poetry_table.Poetry | None) -> RuntimeFields:
    if "project" in document.table:
        return _read_project_table(document, tools, poetry)
    if poetry is not None:
        return poetry.fields
    # setup.cfg and setup.py may describe the project, or there are groups alone
    found = _read_setuptools(document, tools, frozenset())
    has_groups = GROUPS in document.table
    if found is not None and (found.has_setup_cfg or (found.has_setup_py and not has_groups)):
        return found.fields
    if not has_groups and not document.may_be_settings:
        document.faults.add("describes no project: no [project] table", hint=_NO_PROJECT_HINT)
    if found is not None and found.has_setup_py:
        message = "describes a project whose dependencies only code knows: they are not locked, the groups alone are"
        return RuntimeFields(notes=(Warned(code="setup-py-unread", subject=setuptools.SETUP_PY, message=message),))
    return RuntimeFields()


def _read_project_table(
    document: _Document, tools: dict[str, Any], poetry: poetry_table.Poetry | None
) -> RuntimeFields:
    faults = document.faults
    table = document.table["project"]
    if not isinstance(table, dict):
        faults.add(f"project must be a table, not {described(table)}")
        return RuntimeFields()
    dynamic = _read_dynamic(table.get("dynamic", []), faults)
    if poetry is not None and "poetry" in _backend(document):
        backend = poetry.fields
    else:
        backend = _from_setuptools(document, tools, dynamic)
    listed = table.get("dependencies", [])
    static = RuntimeFields(
        name=_read_project_name(table, faults),
        version=read_version(table.get("version"), "project.version", faults),
        requires_python=read_python_specifier(table.get("requires-python"), "project.requires-python", faults),
        dependencies=read_requirement_list(listed, "project.dependencies", document.lines, faults, direct=True),
        extras=_read_extras(table.get("optional-dependencies", {}), document.lines, faults),
    )
    return RuntimeFields(
        name=static.name,
        version=backend.version if "version" in dynamic else static.version,
        requires_python=backend.requires_python if "requires-python" in dynamic else static.requires_python,
        dependencies=backend.dependencies if "dependencies" in dynamic else _directed(static.dependencies, poetry),
        extras=backend.extras
        if "optional-dependencies" in dynamic
        else {extra: _directed(own, poetry) for extra, own in static.extras.items()},
        unknown=backend.unknown,
        notes=_notes_on_dynamic(dynamic, backend, faults.source),
    )


def _directed(requirements: tuple[Requirement, ...], poetry: poetry_table.Poetry | None) -> tuple[Requirement, ...]:
    """Add the direct references that Poetry's table has for them."""
    urls = poetry.sources if poetry is not None else {}
    return tuple(
        replace(own, url=urls[own.name]) if own.url is None and own.name in urls else own for own in requirements
    )


def _notes_on_dynamic(dynamic: frozenset[str], backend: RuntimeFields, source: str) -> tuple[Warned, ...]:
    if "requires-python" not in dynamic or backend.requires_python is not None:
        return ()
    message = "is dynamic: only the build backend knows it, so deep-lock assumes that every Python is allowed"
    return (Warned(code="requires-python-dynamic", subject=f"{source} [project.requires-python]", message=message),)


def _from_setuptools(document: _Document, tools: dict[str, Any], dynamic: frozenset[str]) -> RuntimeFields:
    """Read the dynamic fields out of setuptools' own files; what no file states is unknown."""
    wanted = dynamic & UNKNOWN_FIELDS
    found = _read_setuptools(document, tools, dynamic) if wanted or "requires-python" in dynamic else None
    if found is None:
        return RuntimeFields(unknown=wanted)
    return replace(found.fields, unknown=wanted & found.fields.unknown)


def _read_setuptools(
    document: _Document, tools: dict[str, Any], dynamic: frozenset[str]
) -> setuptools.StaticFields | None:
    """Read setuptools' files, if setuptools builds the project and the caller opens files."""
    if document.opener is None or not _backend(document).startswith("setuptools.build_meta"):
        return None
    return setuptools.read_setuptools_dynamic(tools.get("setuptools"), dynamic, document.faults, document.opener)


def _backend(document: _Document) -> str:
    """Return the backend as far as it is known before its table is checked."""
    build = document.table.get("build-system")
    backend = build.get("build-backend", LEGACY_BACKEND) if isinstance(build, dict) else LEGACY_BACKEND
    return backend if isinstance(backend, str) else ""


def _read_dynamic(value: Any, faults: Faults) -> frozenset[str]:
    if not is_list_of_strings(value):
        faults.add(f"project.dynamic must be a list of strings, not {described(value)}")
        return frozenset()
    if "name" in value:
        faults.add("project.dynamic must not contain 'name': a name is never dynamic (PEP 621)")
    return frozenset(value)


def _read_project_name(table: dict[str, Any], faults: Faults) -> NormalizedName | None:
    if "name" not in table:
        faults.add("project.name is missing", hint='Write name = "..." in the [project] table.')
    text = read_string(table.get("name"), "project.name", faults)
    if text is not None:
        with faults.collecting():
            return read_name(text, "project.name")
    return None


def _read_extras(value: Any, lines: Lines, faults: Faults) -> dict[NormalizedName, tuple[Requirement, ...]]:
    return {
        extra: read_requirement_list(listed, f"{OPTIONAL}.{spelling}", lines, faults, direct=True)
        for extra, spelling, listed in read_names(read_table(value, OPTIONAL, faults), "extra", OPTIONAL, faults)
    }


def _read_all_groups(document: _Document, tools: dict[str, Any], poetry: poetry_table.Poetry | None) -> RawGroups:
    """Groups of the standard table and of the older tables of uv and PDM; of Poetry's, those that these do not name."""
    groups: RawGroups = read_older_groups(tools, document.lines, document.faults)
    if GROUPS in document.table:
        groups = joined(read_groups(document.table[GROUPS], document.lines, document.faults), groups)
    return {**poetry.groups, **groups} if poetry else groups
