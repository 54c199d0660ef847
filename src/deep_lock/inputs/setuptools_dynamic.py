"""Dynamic fields that setuptools takes from files: requirement lists, and setup.cfg.

Only what a file says plainly counts. Where both are silent, setup.py may speak, and that is code.
"""

from dataclasses import dataclass
from typing import Any

from packaging.utils import NormalizedName

from deep_lock.errors import ProjectInvalid
from deep_lock.inputs.faults import Faults
from deep_lock.inputs.requirement_list import is_list_of_strings, read_name
from deep_lock.inputs.requirements_txt import include_requirements
from deep_lock.inputs.setup_cfg import SetupCfg, read_setup_cfg_tables
from deep_lock.inputs.text import Opener
from deep_lock.model.requirement import Requirement

SETUP_CFG = "setup.cfg"
PLACE = "tool.setuptools.dynamic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dynamic:
    """What setuptools' files say. None: they do not say."""

    name: NormalizedName | None = None
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[Requirement, ...] | None = None
    extras: dict[NormalizedName, tuple[Requirement, ...]] | None = None

    @property
    def describes_project(self) -> bool:
        """Whether there is a project at all."""
        return self.name is not None or self.dependencies is not None


def read_setuptools_dynamic(table: Any, dynamic: frozenset[str], faults: Faults, opener: Opener) -> Dynamic:
    """Read ``[tool.setuptools.dynamic]`` and setup.cfg for the ``dynamic`` fields.

    Raises ProjectInvalid or RequirementsInvalid for what such a file has wrong.
    """
    directives = table.get("dynamic") if isinstance(table, dict) else None
    directives = directives if isinstance(directives, dict) else {}
    said = _read_setup_cfg(faults.source, opener)
    dependencies = said.dependencies if said else None
    extras = said.extras if said else None
    if "dependencies" in dynamic and "dependencies" in directives:
        dependencies = _read_files(directives["dependencies"], f"{PLACE}.dependencies", faults, opener)
    optional = directives.get("optional-dependencies")
    if "optional-dependencies" in dynamic and isinstance(optional, dict):
        extras = {
            read_name(extra, "the extra"): _read_files(value, f"{PLACE}.optional-dependencies.{extra}", faults, opener)
            for extra, value in optional.items()
        }
    return Dynamic(
        name=said.name if said else None,
        version=said.version if said else None,
        requires_python=said.requires_python if said else None,
        dependencies=dependencies,
        extras=extras,
    )


def _read_setup_cfg(source: str, opener: Opener) -> SetupCfg | None:
    try:
        text = opener(source, SETUP_CFG)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProjectInvalid(f"{SETUP_CFG}: cannot be read ({type(error).__name__})") from None
    if not any(section in text for section in ("[metadata]", "[options]", "[options.extras_require]")):
        # many projects keep only the settings of linters there
        return None
    return read_setup_cfg_tables(text, SETUP_CFG)


def _read_files(value: Any, place: str, faults: Faults, opener: Opener) -> tuple[Requirement, ...]:
    """Read ``{file = "requirements.txt"}`` or ``{file = [...]}``: lists of requirements, without pip's options."""
    files = value.get("file") if isinstance(value, dict) and len(value) == 1 else None
    names = [files] if isinstance(files, str) else files
    if not isinstance(names, list) or not is_list_of_strings(names):
        faults.add(f'{place} must be a table with one key, file = "NAME" or a list of names')
        return ()
    found: list[Requirement] = []
    for name in names:
        content = include_requirements(faults.source, name, opener)
        if content.constraints or content.index_options or content.hashes:
            raise ProjectInvalid(f"{place}: {name!r} holds options of pip, which setuptools does not read")
        found.extend(content.requirements)
    return tuple(found)
