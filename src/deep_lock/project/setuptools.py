"""setup.cfg of setuptools, as far as it is static.

What setup.py gives to ``setup()`` overrules setup.cfg, and setup.py is code. So a field counts only where the text of
setup.py cannot speak of it: it neither holds the field's name nor passes arguments that are put together (``**``).
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.errors import ProjectInvalid
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.ini import Sections, Value, read_ini
from deep_lock.parsing.requirements import (
    check_count,
    is_list_of_strings,
    read_name,
    read_python_specifier,
    read_requirement,
)
from deep_lock.parsing.text import Opener, notes_on_characters, readable, shown
from deep_lock.project.project import Project, default_build, expand_self_references
from deep_lock.project.requirements_txt import include_requirements

MAX_SETUP_CFG = 1024 * 1024

SETUP_PY_HINT = "Write a [project] table with the dependencies in pyproject.toml, or let the project be a package."

_DIRECTIVE = re.compile(r"\s*(attr|file)\s*:")


class SetupCfg(Struct, frozen=True, kw_only=True):
    """What a setup.cfg says. None: setup.py may say something else."""

    name: NormalizedName | None
    version: str | None
    requires_python: str | None
    dependencies: tuple[Requirement, ...] | None
    extras: dict[NormalizedName, tuple[Requirement, ...]] | None


def read_setup_cfg(text: str, source: str, *, setup_py: str | None = None, package: bool | None = None) -> Project:
    """Read a setup.cfg as a whole project. ``setup_requires`` is the hook's affair.

    ``setup_py`` is the text of the setup.py beside it, None where there is none. ``package`` as in read_pyproject.
    Raises ProjectInvalid with all faults, or LimitExceeded.
    """
    said = read_setup_cfg_tables(text, source, setup_py)
    name, dependencies, extras = said.name, said.dependencies or (), said.extras or {}
    unknown = unknown_fields(said.dependencies, said.extras)
    if unknown and package is False:
        raise ProjectInvalid(
            f"{source}: setup.py has a say in the {_listed(unknown)}, and the project is not a package"
        )
    build_system, build_requires = default_build(source) if package or unknown else (None, ())
    return Project(
        source=source,
        name=name,
        version=said.version,
        requires_python=said.requires_python,
        dependencies=_expand(dependencies, name, extras),
        extras=tuple((extra, _expand(asked, name, extras, inside=extra)) for extra, asked in extras.items()),
        unknown=unknown,
        build_system=build_system,
        build_requires=build_requires,
        notes=notes_on_characters(text, source),
    )


def read_setup_py(source: str, *, package: bool | None = None) -> Project:
    """Return a project of which only a setup.py tells: its backend knows the rest. Raises ProjectInvalid."""
    if package is False:
        raise ProjectInvalid(f"{source} alone describes the project, and it is not a package", hint=SETUP_PY_HINT)
    build_system, build_requires = default_build(source)
    return Project(
        source=source,
        unknown=unknown_fields(None, None),
        build_system=build_system,
        build_requires=build_requires,
        notes=(),
    )


def describes_a_project(text: str) -> bool:
    """Whether a setup.cfg says something of a project: many hold only the settings of linters."""
    return any(section in text for section in ("[metadata]", "[options]", "[options.extras_require]"))


def unknown_fields(dependencies: object, extras: object) -> frozenset[str]:
    """Return what only the build backend can tell: None is what no file says."""
    known = (("dependencies", dependencies), ("optional-dependencies", extras))
    return frozenset(field for field, value in known if value is None)


def _listed(fields: frozenset[str]) -> str:
    return " and ".join(sorted(fields))


def read_setup_cfg_tables(text: str, source: str, setup_py: str | None) -> SetupCfg:
    """Read what a setup.cfg says, self-references left as they are. ``setup_py`` as in read_setup_cfg.

    Raises ProjectInvalid with all faults, or LimitExceeded.
    """
    faults = Faults(source, ProjectInvalid)
    text = readable(text, source, ProjectInvalid, MAX_SETUP_CFG).replace("\r\n", "\n")
    sections = read_ini(text, source)
    metadata, options = _options(sections, "metadata"), _options(sections, "options")
    extras_section = sections.get("options.extras_require", {})
    if not metadata and not options and not extras_section:
        raise ProjectInvalid(f"{source}: describes no project: neither [metadata] nor [options]", hint=SETUP_PY_HINT)
    name, spelling = None, _text(metadata, "name")
    if spelling is not None:
        with faults.collecting():
            name = read_name(spelling, "the project name")
    dependencies: tuple[Requirement, ...] | None = None
    if not _may_say(setup_py, "install_requires"):
        wanted = options.get("install_requires", Value(lines=((0, ""),)))
        dependencies = _read_list(wanted, "options.install_requires", faults)
    said = SetupCfg(
        name=name,
        version=_static(_text(metadata, "version")),
        requires_python=read_python_specifier(_text(options, "python_requires"), "options.python_requires", faults),
        dependencies=dependencies,
        extras=None if _may_say(setup_py, "extras_require") else _read_extras(extras_section, faults),
    )
    faults.raise_any()
    return said


def _may_say(setup_py: str | None, field: str) -> bool:
    return setup_py is not None and (field in setup_py or "**" in setup_py)


def _expand(
    requirements: tuple[Requirement, ...],
    name: NormalizedName | None,
    extras: dict[NormalizedName, tuple[Requirement, ...]],
    inside: NormalizedName | None = None,
) -> tuple[Requirement, ...]:
    return expand_self_references(requirements, name, extras, inside=inside, on_unknown=lambda _asker, _extra: None)


def _options(sections: Sections, name: str) -> dict[str, Value]:
    # setuptools took dashes for underscores in option names for years
    return {key.replace("-", "_"): value for key, value in sections.get(name, {}).items()}


def _text(options: dict[str, Value], key: str) -> str | None:
    return str(options[key]).strip() if key in options else None


def _read_list(value: Value, place: str, faults: Faults) -> tuple[Requirement, ...]:
    """Read setuptools' "list-semi": lines, or one line with semicolons."""
    text = str(value)
    if directive := _DIRECTIVE.match(text):
        faults.add(
            f"{place} is read by setuptools from elsewhere ({directive[1]}:)",
            hint="Write the requirements in the file itself: deep-lock does not run setuptools to read a project.",
        )
        return ()
    number, only = value.lines[0]
    parts = value.lines if "\n" in text else tuple((number, part) for part in only.split(";"))
    # setuptools takes " #" for the begin of a comment inside a line, too
    wanted = [(line, part.partition(" #")[0].strip()) for line, part in parts if not part.lstrip().startswith("#")]
    check_count(len(wanted), f"{faults.source}: {place}")
    requirements: list[Requirement] = []
    for line, asked in wanted:
        if asked:
            with faults.collecting():
                requirements.append(read_requirement(asked, Origin(source=faults.source, place=place, line=line)))
    return tuple(requirements)


def _read_extras(section: Mapping[str, Value], faults: Faults) -> dict[NormalizedName, tuple[Requirement, ...]]:
    extras: dict[NormalizedName, tuple[Requirement, ...]] = {}
    for spelling, value in section.items():
        with faults.collecting("options.extras_require"):
            extra = read_name(spelling, "the extra")
            if extra in extras:
                faults.add(f"options.extras_require: {shown(spelling)} stands twice after normalisation")
            extras[extra] = _read_list(value, f"options.extras_require.{spelling}", faults)
    return extras


def _static(version: str | None) -> str | None:
    """A version that stands in the file; None for one that setuptools would fetch from elsewhere."""
    if version is None or _DIRECTIVE.match(version) or not version.strip():
        return None
    return version.strip()


SETUP_CFG = "setup.cfg"
SETUP_PY = "setup.py"
PLACE = "tool.setuptools.dynamic"


class Dynamic(Struct, frozen=True, kw_only=True):
    """What setuptools' files say. None: they do not say, or setup.py may say something else."""

    name: NormalizedName | None = None
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[Requirement, ...] | None = None
    extras: dict[NormalizedName, tuple[Requirement, ...]] | None = None
    has_setup_cfg: bool = False
    """Whether there is a setup.cfg that describes a project."""
    has_setup_py: bool = False


NOTHING = Dynamic(dependencies=(), extras={})
"""Stands for what could not be read, once the fault is taken down: no second fault for the same cause."""


def read_setuptools_dynamic(table: Any, dynamic: frozenset[str], faults: Faults, opener: Opener) -> Dynamic:
    """Read ``[tool.setuptools.dynamic]`` and setup.cfg for the ``dynamic`` fields; what is wrong goes to ``faults``."""
    with faults.collecting():
        return _read(table, dynamic, faults, opener)
    return NOTHING


def _read(table: Any, dynamic: frozenset[str], faults: Faults, opener: Opener) -> Dynamic:
    directives = table.get("dynamic") if isinstance(table, dict) else None
    directives = directives if isinstance(directives, dict) else {}
    setup_py = _open_beside(faults.source, SETUP_PY, opener)
    said = _read_setup_cfg(faults.source, setup_py, opener)
    found = Dynamic(has_setup_py=setup_py is not None)
    if said is not None:
        found = Dynamic(
            name=said.name,
            version=said.version,
            requires_python=said.requires_python,
            dependencies=said.dependencies,
            extras=said.extras,
            has_setup_cfg=True,
            has_setup_py=setup_py is not None,
        )
    if "dependencies" in dynamic and "dependencies" in directives:
        listed = _read_files(directives["dependencies"], f"{PLACE}.dependencies", faults, opener)
        found = replace(found, dependencies=listed)
    optional = directives.get("optional-dependencies")
    if "optional-dependencies" in dynamic and isinstance(optional, dict):
        extras = {
            read_name(extra, "the extra"): _read_files(value, f"{PLACE}.optional-dependencies.{extra}", faults, opener)
            for extra, value in optional.items()
        }
        found = replace(found, extras=extras)
    return found


def _open_beside(source: str, name: str, opener: Opener) -> str | None:
    try:
        return opener(source, name)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise ProjectInvalid(f"{name}: cannot be read ({type(error).__name__})") from None


def _read_setup_cfg(source: str, setup_py: str | None, opener: Opener) -> SetupCfg | None:
    text = _open_beside(source, SETUP_CFG, opener)
    if text is None or not describes_a_project(text):
        # many projects keep only the settings of linters there
        return None
    return read_setup_cfg_tables(text, SETUP_CFG, setup_py)


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
                raise ProjectInvalid(f"{shown(name)} holds options of pip, which setuptools does not read")
            found.extend(content.requirements)
    return tuple(found)
