"""setup.cfg as setuptools reads it (setuptools.config.setupcfg, read in 40.8 to 84.2), without its interpolation."""

import re
from collections.abc import Mapping

from msgspec import Struct

from deep_lock.parsing.ini import Value, read_ini

EXTRAS_SECTION = "options.extras_require"
EMPTY = Value(lines=((0, ""),))

_DIRECTIVE = re.compile(r"\s*(attr|file)\s*:")


class SetupCfg(Struct, frozen=True, kw_only=True):
    """The sections that describe a project. Names of options are in lower case, with underscores."""

    metadata: Mapping[str, Value]
    options: Mapping[str, Value]
    extras: Mapping[str, Value]
    """``[options.extras_require]``, its keys as written."""
    has_global: bool
    """Whether there is a ``[global]`` section, which may set anything."""


def parse_setup_cfg(text: str, source: str) -> SetupCfg:
    """Read the sections. Raises ProjectInvalid with the line of the first fault."""
    sections = read_ini(text.replace("\r\n", "\n").replace("\r", "\n"), source, keep_case=True)
    return SetupCfg(
        metadata=_options(sections.get("metadata", {})),
        options=_options(sections.get("options", {})),
        extras=sections.get(EXTRAS_SECTION, {}),
        has_global="global" in sections,
    )


def describes_project(text: str) -> bool:
    """Whether a setup.cfg may describe a project: many have only the settings of linters."""
    return any(f"[{section}]" in text for section in ("metadata", "options", EXTRAS_SECTION))


def _options(section: Mapping[str, Value]) -> Mapping[str, Value]:
    # old releases of setuptools allowed "install-requires", with a warning
    return {key.replace("-", "_").lower(): value for key, value in section.items()}


def plain_text(value: Value | None) -> str | None:
    """Return the text of an option; None where it is missing, empty, read from elsewhere or interpolated."""
    text = "" if value is None else str(value).strip()
    return text if text and "%" not in text and not directive_of(text) else None


def directive_of(text: str) -> str:
    """Return "attr" or "file" where setuptools reads the value from elsewhere, else ""."""
    found = _DIRECTIVE.match(text)
    return found[1] if found else ""


def list_items(value: Value) -> list[tuple[int, str]]:
    """Return the items of setuptools' "list-semi" with their lines: one a line, or a single line with semicolons.

    Without comments. On a single line a semicolon parts items even where a marker was meant.
    """
    number, only = value.lines[0]
    parts = value.lines if "\n" in str(value) else tuple((number, part) for part in only.split(";"))
    found = [(line, part.partition(" #")[0].strip()) for line, part in parts if not part.lstrip().startswith("#")]
    return [(line, text) for line, text in found if text]
