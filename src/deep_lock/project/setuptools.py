"""The user's setup.cfg and setuptools' dynamic fields, as far as they are static.

What setup.py passes to ``setup()`` overrules setup.cfg, and setup.py is code. So a field counts only where the text of
setup.py cannot set it: it neither has the field's name in it nor passes a mapping of arguments (``**``).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.boundary import reading
from deep_lock.errors import ProjectInvalid, raise_machine_fault
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing import setup_cfg
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.ini import Value
from deep_lock.parsing.requirements import (
    check_count,
    is_list_of_strings,
    read_name,
    read_names,
    read_python_specifier,
    read_requirement,
)
from deep_lock.parsing.text import Opener, notes_on_characters, readable, shown
from deep_lock.project.project import UNKNOWN_FIELDS, Project, RuntimeFields, default_build, with_expanded_references
from deep_lock.project.requirements_txt import include_requirements

MAX_SETUP_CFG = 1024 * 1024

SETUP_PY_HINT = "Write a [project] table with the dependencies in pyproject.toml, or let the project be a package."

SETUP_CFG = "setup.cfg"
SETUP_PY = "setup.py"
PLACE = "tool.setuptools.dynamic"


class StaticFields(Struct, frozen=True, kw_only=True):
    """What setuptools' files state, and which of them exist. A field that setup.py may overrule is unknown."""

    fields: RuntimeFields
    has_setup_cfg: bool = False
    """Whether there is a setup.cfg that describes a project."""
    has_setup_py: bool = False


def read_setup_cfg(text: str, source: str, *, setup_py: str | None = None, package: bool | None = None) -> Project:
    """Read a setup.cfg as a whole project. ``setup_requires`` is left to the build backend.

    ``setup_py`` is the text of the setup.py in the same folder, None where there is none. ``package`` as in
    read_pyproject. Raises ProjectInvalid with all faults, or LimitExceeded.
    """
    fields = read_fields(text, source, setup_py)
    if fields.unknown and package is False:
        unknown = " and ".join(sorted(fields.unknown))
        raise ProjectInvalid(f"{source}: setup.py may change the {unknown}, and the project is not a package")
    build_system, build_requires = default_build(source) if package or fields.unknown else (None, ())
    project = Project(
        source=source,
        name=fields.name,
        version=fields.version,
        requires_python=fields.requires_python,
        dependencies=fields.dependencies,
        extras=tuple(fields.extras.items()),
        unknown=fields.unknown,
        build_system=build_system,
        build_requires=build_requires,
        notes=notes_on_characters(text, source),
    )
    return project if project.unknown else with_expanded_references(project)


def read_setup_py(source: str, *, package: bool | None = None) -> Project:
    """Return a project that only a setup.py describes: its backend knows the rest. Raises ProjectInvalid."""
    if package is False:
        raise ProjectInvalid(f"{source} alone describes the project, and it is not a package", hint=SETUP_PY_HINT)
    build_system, build_requires = default_build(source)
    return Project(source=source, unknown=UNKNOWN_FIELDS, build_system=build_system, build_requires=build_requires)


def read_fields(text: str, source: str, setup_py: str | None) -> RuntimeFields:
    """Read what a setup.cfg states, self-references left as they are. ``setup_py`` as in read_setup_cfg.

    Raises ProjectInvalid with all faults, or LimitExceeded.
    """
    with reading(source, ProjectInvalid):
        return _read_fields(text, source, setup_py)


def _read_fields(text: str, source: str, setup_py: str | None) -> RuntimeFields:
    faults = Faults(source, ProjectInvalid)
    config = setup_cfg.parse_setup_cfg(readable(text, source, ProjectInvalid, MAX_SETUP_CFG), source)
    if not (config.metadata or config.options or config.extras):
        raise ProjectInvalid(f"{source}: describes no project: neither [metadata] nor [options]", hint=SETUP_PY_HINT)
    name = None
    if "name" in config.metadata:
        with faults.collecting():
            name = read_name(str(config.metadata["name"]).strip(), "the project name")
    unknown = set()
    dependencies: tuple[Requirement, ...] = ()
    if _may_set(setup_py, "install_requires"):
        unknown.add("dependencies")
    else:
        wanted = config.options.get("install_requires", setup_cfg.EMPTY)
        dependencies = _read_list(wanted, "options.install_requires", faults)
    extras: Mapping[NormalizedName, tuple[Requirement, ...]] = {}
    if _may_set(setup_py, "extras_require"):
        unknown.add("optional-dependencies")
    else:
        extras = _read_extras(config.extras, faults)
    python = config.options.get("python_requires")
    found = RuntimeFields(
        name=name,
        version=_normal_version(setup_cfg.plain_text(config.metadata.get("version"))),
        requires_python=read_python_specifier(
            None if python is None else str(python).strip(), "options.python_requires", faults
        ),
        dependencies=dependencies,
        extras=extras,
        unknown=frozenset(unknown),
    )
    faults.raise_any()
    return found


def _normal_version(text: str | None) -> str | None:
    """Return a version in normal form; None for one that only setuptools can read."""
    try:
        return str(Version(text)) if text else None
    except (InvalidVersion, ValueError):
        return None


def _may_set(setup_py: str | None, field: str) -> bool:
    return setup_py is not None and (field in setup_py or "**" in setup_py)


def _read_list(value: Value, place: str, faults: Faults) -> tuple[Requirement, ...]:
    if directive := setup_cfg.directive_of(str(value)):
        faults.add(
            f"{place} is read by setuptools from elsewhere ({directive}:)",
            hint="Write the requirements in the file itself: deep-lock does not run setuptools to read a project.",
        )
        return ()
    items = setup_cfg.list_items(value)
    check_count(len(items), f"{faults.source}: {place}")
    requirements: list[Requirement] = []
    for line, text in items:
        with faults.collecting():
            requirements.append(read_requirement(text, Origin(source=faults.source, place=place, line=line)))
    return tuple(requirements)


def _read_extras(section: Mapping[str, Value], faults: Faults) -> dict[NormalizedName, tuple[Requirement, ...]]:
    return {
        extra: _read_list(value, f"{setup_cfg.EXTRAS_SECTION}.{spelling}", faults)
        for extra, spelling, value in read_names(section, "extra", setup_cfg.EXTRAS_SECTION, faults)
    }


def read_setuptools_dynamic(table: Any, dynamic: frozenset[str], faults: Faults, opener: Opener) -> StaticFields:
    """Read ``[tool.setuptools.dynamic]`` and setup.cfg for the ``dynamic`` fields; what is wrong goes to ``faults``."""
    with faults.collecting():
        return _read(table, dynamic, faults, opener)
    return StaticFields(fields=RuntimeFields())  # nothing unknown: no second fault for the same cause


def _read(table: Any, dynamic: frozenset[str], faults: Faults, opener: Opener) -> StaticFields:
    directives = table.get("dynamic") if isinstance(table, dict) else None
    directives = directives if isinstance(directives, dict) else {}
    setup_py = _open_sibling(faults.source, SETUP_PY, opener)
    config = _open_sibling(faults.source, SETUP_CFG, opener)
    fields = RuntimeFields(unknown=UNKNOWN_FIELDS)
    has_setup_cfg = config is not None and setup_cfg.describes_project(config)
    if config is not None and has_setup_cfg:
        fields = read_fields(config, SETUP_CFG, setup_py)
    if "dependencies" in dynamic and "dependencies" in directives:
        listed = _read_files(directives["dependencies"], f"{PLACE}.dependencies", faults, opener)
        fields = replace(fields, dependencies=listed, unknown=fields.unknown - {"dependencies"})
    optional = directives.get("optional-dependencies")
    if "optional-dependencies" in dynamic and isinstance(optional, dict):
        extras = {
            read_name(extra, "the extra"): _read_files(value, f"{PLACE}.optional-dependencies.{extra}", faults, opener)
            for extra, value in optional.items()
        }
        fields = replace(fields, extras=extras, unknown=fields.unknown - {"optional-dependencies"})
    return StaticFields(fields=fields, has_setup_cfg=has_setup_cfg, has_setup_py=setup_py is not None)


def _open_sibling(source: str, name: str, opener: Opener) -> str | None:
    try:
        return opener(source, name)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise_machine_fault(error)
        raise ProjectInvalid(f"{name}: cannot be read ({type(error).__name__})") from None


def _read_files(value: Any, place: str, faults: Faults, opener: Opener) -> tuple[Requirement, ...]:
    """Read ``{file = "requirements.txt"}`` or ``{file = [...]}``: lists of requirements, without pip's options."""
    files = value.get("file") if isinstance(value, dict) and len(value) == 1 else None
    names = [files] if isinstance(files, str) else files
    if not isinstance(names, list) or not is_list_of_strings(names):
        faults.add(f'{place} must be a table with one key, file = "NAME" or a list of names')
        return ()
    found: list[Requirement] = []
    for name in names:
        with faults.collecting(place):
            content = include_requirements(faults.source, name, opener)
            if content.constraints or content.index_options or content.hashes:
                raise ProjectInvalid(f"{shown(name)} has options of pip, which setuptools does not read")
            found.extend(content.requirements)
    return tuple(found)
