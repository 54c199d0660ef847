"""The requirement options of a setup.cfg, read as setuptools reads them (setuptools.config.setupcfg, 40.8 to 84.2)."""

import configparser
from collections.abc import Mapping

from deep_lock.sdist.pyproject import read_requirements
from deep_lock.sdist.setuptools_options import (
    EXTRAS,
    INSTALL,
    PYTHON,
    SETUP,
    SetuptoolsOptions,
    all_unproven,
    split_lines,
)

_FILE = "file:"


def read_setup_cfg(raw: bytes, files: Mapping[str, bytes]) -> SetuptoolsOptions:
    """Read the options; ``files`` answers ``file:`` directives. Never raises: what cannot be read is unproven."""
    # setuptools gives each file to a parser of its own, with case kept; ours does not interpolate: "%" is refused below
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep case
    try:
        parser.read_string(raw.decode("utf-8"))
    except (configparser.Error, ValueError) as error:
        return all_unproven(f"setup.cfg cannot be read: {type(error).__name__}")
    if parser.has_section("global"):
        return all_unproven("setup.cfg has a [global] section, which may set anything")
    options = _section(parser, "options")
    extras = _section(parser, "options.extras_require", underscores=False)
    unproven: dict[str, str] = {}

    def take(option: str, text: str) -> tuple[str, ...]:
        found = _requirements(text, files, may_be_file=option != SETUP)
        if found is None:
            unproven[option] = f"{option} in setup.cfg is not a plain list of requirements"
        return found or ()

    python_requires = options.get(PYTHON, "")
    if "%" in python_requires:
        unproven[PYTHON] = "python_requires in setup.cfg is computed"
    return SetuptoolsOptions(
        install_requires=take(INSTALL, options.get(INSTALL, "")),
        extras_require=tuple((key, take(EXTRAS, text)) for key, text in extras.items()),
        setup_requires=take(SETUP, options.get(SETUP, "")),
        python_requires=python_requires.strip(),
        unproven=unproven,
    )


def read_setup_cfg_identity(raw: bytes) -> tuple[str | None, str | None]:
    """Return name and version where ``[metadata]`` says them plainly. Never raises."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(raw.decode("utf-8"))
    except (configparser.Error, ValueError):
        return None, None
    metadata = _section(parser, "metadata")
    plain = {
        key: text
        for key, text in metadata.items()
        if text and not text.startswith(("attr:", _FILE)) and "%" not in text
    }
    return plain.get("name"), plain.get("version")


def _section(parser: configparser.RawConfigParser, name: str, *, underscores: bool = True) -> dict[str, str]:
    if not parser.has_section(name):
        return {}
    found = {}
    for key, value in parser.items(name):
        # old releases allowed "install-requires", with a warning
        found[key.replace("-", "_").lower() if underscores else key] = value or ""
    return found


def _requirements(text: str, files: Mapping[str, bytes], *, may_be_file: bool) -> tuple[str, ...] | None:
    if "%" in text:
        return None
    if text.startswith(_FILE) and may_be_file:
        parts = []
        for path in text.removeprefix(_FILE).split(","):
            raw = files.get(path.strip())
            if raw is None:
                return None
            parts.append(raw.decode("utf-8", "replace"))
        return split_lines("\n".join(parts))
    if "\n" in text:
        return split_lines(text)
    # On a single line, setuptools takes ";" for the separator of the list even where a marker was meant.
    found = tuple(part.strip() for part in text.split(";") if part.strip())
    return found if read_requirements(found) is not None else None
