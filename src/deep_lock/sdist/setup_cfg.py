"""The requirement options of an sdist's setup.cfg."""

import re
from collections.abc import Mapping

from deep_lock.errors import ProjectInvalid
from deep_lock.parsing.ini import Value
from deep_lock.parsing.setup_cfg import EMPTY, SetupCfg, list_items, parse_setup_cfg, plain_text
from deep_lock.sdist.pyproject import parse_requirements
from deep_lock.sdist.setuptools_options import (
    EXTRAS,
    INSTALL,
    OPTIONS,
    PYTHON,
    SETUP,
    SetuptoolsOptions,
    all_unproven,
    split_lines,
)

_FILE = "file:"
_COMMA = re.compile(r",\s*(?=[A-Za-z0-9])")
"""A comma that separates names, and not the parts of a specifier."""


def read_options(raw: bytes, files: Mapping[str, bytes]) -> SetuptoolsOptions:
    """Read the options; ``files`` are those that ``file:`` may name. Never raises: what cannot be read is unproven.

    Of ``setup_requires`` that are unproven, those that can be read are returned.
    """
    config = _sections(raw)
    if config is None:
        return all_unproven("setup.cfg cannot be read")
    unproven: dict[str, str] = {}
    if config.has_global:
        unproven = dict.fromkeys(OPTIONS, "setup.cfg has a [global] section, which may set anything")

    def take(option: str, value: Value) -> tuple[str, ...]:
        found = _requirements(value, files, may_be_file=option != SETUP)
        if found is None:
            unproven.setdefault(option, f"{option} in setup.cfg is not a plain list of requirements")
            return _readable(value) if option == SETUP else ()
        return found

    python_requires = str(config.options.get(PYTHON, EMPTY)).strip()
    if "%" in python_requires:
        unproven[PYTHON] = "python_requires in setup.cfg is computed"
    return SetuptoolsOptions(
        install_requires=take(INSTALL, config.options.get(INSTALL, EMPTY)),
        extras_require=tuple((key, take(EXTRAS, value)) for key, value in config.extras.items()),
        setup_requires=take(SETUP, config.options.get(SETUP, EMPTY)),
        python_requires=python_requires,
        unproven=unproven,
    )


def read_identity(raw: bytes) -> tuple[str | None, str | None]:
    """Return name and version where ``[metadata]`` states them plainly. Never raises."""
    config = _sections(raw)
    metadata = config.metadata if config is not None else {}
    return plain_text(metadata.get("name")), plain_text(metadata.get("version"))


def _sections(raw: bytes) -> SetupCfg | None:
    try:
        return parse_setup_cfg(raw.decode("utf-8"), "setup.cfg")
    except (ProjectInvalid, UnicodeDecodeError):
        return None


def _readable(value: Value) -> tuple[str, ...]:
    """Return the items that are requirements, also of a list with commas, which setuptools does not read."""
    items = [part.strip() for _, item in list_items(value) for part in _COMMA.split(item)]
    return tuple(item for item in items if "%" not in item and parse_requirements((item,)) is not None)


def _requirements(value: Value, files: Mapping[str, bytes], *, may_be_file: bool) -> tuple[str, ...] | None:
    text = str(value)
    if "%" in text:
        return None
    if text.startswith(_FILE) and may_be_file:
        parts = [files.get(path.strip()) for path in text.removeprefix(_FILE).split(",")]
        if None in parts:
            return None
        return split_lines("\n".join(part.decode("utf-8", "replace") for part in parts if part is not None))
    found = tuple(item for _, item in list_items(value))
    return found if parse_requirements(found) is not None else None
