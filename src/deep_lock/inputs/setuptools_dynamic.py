"""Dynamic fields that setuptools takes from files: requirement lists, and setup.cfg.

Only what a file says plainly counts. Where both are silent, setup.py may speak, and that is code.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.errors import ProjectInvalid
from deep_lock.inputs.faults import Faults
from deep_lock.inputs.requirement_list import is_list_of_strings, read_name
from deep_lock.inputs.requirements_txt import include_requirements
from deep_lock.inputs.setup_cfg import SetupCfg, describes_a_project, read_setup_cfg_tables
from deep_lock.inputs.text import Opener, shown
from deep_lock.model.requirement import Requirement

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
