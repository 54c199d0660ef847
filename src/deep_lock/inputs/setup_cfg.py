"""setup.cfg of setuptools, as far as it is static.

What setup.py gives to ``setup()`` overrules setup.cfg, and setup.py is code. So a field counts only where the text of
setup.py cannot speak of it: it neither holds the field's name nor passes arguments that are put together (``**``).
"""

import re
from collections.abc import Mapping

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.errors import ProjectInvalid
from deep_lock.inputs.build_table import default_build
from deep_lock.inputs.faults import Faults
from deep_lock.inputs.ini import Sections, Value, read_ini
from deep_lock.inputs.project import Project
from deep_lock.inputs.requirement_list import check_count, read_name, read_requirement
from deep_lock.inputs.self_reference import expand_self_references
from deep_lock.inputs.specifiers import read_python_specifier
from deep_lock.inputs.text import notes_on_characters, readable, shown
from deep_lock.model.requirement import Origin, Requirement

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
