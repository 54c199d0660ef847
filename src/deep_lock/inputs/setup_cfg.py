"""setup.cfg of setuptools, as far as it is static.

What setup.py gives to ``setup()`` overrules setup.cfg, and setup.py is code. So a field counts only where the text of
setup.py cannot speak of it: it neither holds the field's name nor passes arguments that are put together (``**``).
"""

import configparser
import re

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.errors import ProjectInvalid
from deep_lock.inputs.build_table import default_build
from deep_lock.inputs.faults import Faults
from deep_lock.inputs.project import Project
from deep_lock.inputs.requirement_list import check_count, read_name, read_requirement
from deep_lock.inputs.self_reference import expand_self_references
from deep_lock.inputs.specifiers import read_python_specifier
from deep_lock.inputs.text import notes_on_characters, readable, shown
from deep_lock.model.requirement import Origin, Requirement

MAX_SETUP_CFG = 1024 * 1024

SETUP_PY_HINT = (
    "Write a [project] table with the dependencies in pyproject.toml: deep-lock runs no code to read a project."
)

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
    faults = Faults(source, ProjectInvalid)
    name, dependencies, extras = said.name, said.dependencies, said.extras
    if dependencies is None:
        faults.add("options.install_requires: setup.py has a say in it, and setup.py is code", hint=SETUP_PY_HINT)
    if extras is None:
        faults.add("options.extras_require: setup.py has a say in it, and setup.py is code", hint=SETUP_PY_HINT)
    faults.raise_any()
    dependencies, extras = dependencies or (), extras or {}
    build_system, build_requires = default_build(source) if package else (None, ())
    return Project(
        source=source,
        name=name,
        version=said.version,
        requires_python=said.requires_python,
        dependencies=_expand(dependencies, name, extras),
        extras=tuple((extra, _expand(asked, name, extras, inside=extra)) for extra, asked in extras.items()),
        build_system=build_system,
        build_requires=build_requires,
        notes=notes_on_characters(text, source),
    )


def read_setup_cfg_tables(text: str, source: str, setup_py: str | None) -> SetupCfg:
    """Read what a setup.cfg says, self-references left as they are. ``setup_py`` as in read_setup_cfg.

    Raises ProjectInvalid with all faults, or LimitExceeded.
    """
    faults = Faults(source, ProjectInvalid)
    text = readable(text, source, ProjectInvalid, MAX_SETUP_CFG).replace("\r\n", "\n")
    sections = _parse(text, source)
    metadata, options = sections.get("metadata", {}), sections.get("options", {})
    extras_section = sections.get("options.extras_require", {})
    if not metadata and not options and not extras_section:
        raise ProjectInvalid(f"{source}: describes no project: neither [metadata] nor [options]", hint=SETUP_PY_HINT)
    name = None
    if "name" in metadata:
        with faults.collecting():
            name = read_name(metadata["name"].strip(), "the project name")
    lines = _lines(text)
    said = SetupCfg(
        name=name,
        version=_static(metadata.get("version")),
        requires_python=read_python_specifier(options.get("python_requires"), "options.python_requires", faults),
        dependencies=None
        if _may_say(setup_py, "install_requires")
        else _read_list(options.get("install_requires", ""), "options.install_requires", lines, faults),
        extras=None if _may_say(setup_py, "extras_require") else _read_extras(extras_section, lines, faults),
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


def _parse(text: str, source: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        where = f"{source}:{line}" if isinstance(line, int) else source
        raise ProjectInvalid(f"{where}: not a valid setup.cfg ({type(error).__name__})") from None
    # setuptools took dashes for underscores in option names for years
    return {
        section: {
            key if section == "options.extras_require" else key.replace("-", "_"): value or ""
            for key, value in parser.items(section)
        }
        for section in parser.sections()
    }


def _lines(text: str) -> dict[str, int]:
    """The line of each line's text that stands only once."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        key = line.partition("=")[2] if line[:1].isalpha() and not line.strip().endswith("=") else line
        found.setdefault(key.partition(" #")[0].strip(), []).append(number)
    return {line: numbers[0] for line, numbers in found.items() if len(numbers) == 1}


def _read_list(value: str, place: str, lines: dict[str, int], faults: Faults) -> tuple[Requirement, ...]:
    """Read setuptools' "list-semi": lines, or one line with semicolons."""
    if directive := _DIRECTIVE.match(value):
        faults.add(
            f"{place} is read by setuptools from elsewhere ({directive[1]}:)",
            hint="Write the requirements in the file itself: deep-lock does not run setuptools to read a project.",
        )
        return ()
    parts = [part.strip() for part in (value.split("\n") if "\n" in value else value.split(";"))]
    # setuptools takes " #" for the begin of a comment inside a line, too
    texts = [part.partition(" #")[0].rstrip() for part in parts if part and not part.startswith("#")]
    check_count(len(texts), f"{faults.source}: {place}")
    requirements: list[Requirement] = []
    for text in texts:
        with faults.collecting():
            requirements.append(read_requirement(text, Origin(source=faults.source, place=place, line=lines.get(text))))
    return tuple(requirements)


def _read_extras(
    section: dict[str, str], lines: dict[str, int], faults: Faults
) -> dict[NormalizedName, tuple[Requirement, ...]]:
    extras: dict[NormalizedName, tuple[Requirement, ...]] = {}
    for spelling, value in section.items():
        place = f"options.extras_require.{spelling}"
        with faults.collecting("options.extras_require"):
            extra = read_name(spelling, "the extra")
            if extra in extras:
                faults.add(f"options.extras_require: {shown(spelling)} stands twice after normalisation")
            extras[extra] = _read_list(value, place, lines, faults)
    return extras


def _static(version: str | None) -> str | None:
    """A version that stands in the file; None for one that setuptools would fetch from elsewhere."""
    if version is None or _DIRECTIVE.match(version) or not version.strip():
        return None
    return version.strip()
