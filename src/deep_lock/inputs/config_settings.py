"""``[tool.deep-lock.config-settings]``: what the user tells the build backend of a project (PEP 517, ``config_settings``)."""

import re
from typing import Any

from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.errors import LimitExceeded
from deep_lock.inputs.faults import Faults
from deep_lock.inputs.requirement_list import described, is_list_of_strings, read_name
from deep_lock.inputs.text import shown
from deep_lock.inputs.toml_text import Lines, line_of
from deep_lock.model.build_system import ConfigSettings, SettingValue
from deep_lock.model.requirement import MAX_REQUIREMENT_LENGTH, Origin

MAX_SETTINGS = 1000
"""Of one project."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read_config_settings(
    value: Any, place: str, lines: Lines, faults: Faults
) -> tuple[tuple[NormalizedName, ConfigSettings], ...]:
    """Read a table of names with tables of keys, each with a string or a list of strings; sorted, and none is empty.

    What is wrong with it goes to ``faults``. Raises LimitExceeded.
    """
    if not isinstance(value, dict):
        faults.add(f"{place} must be a table of names with tables of settings, not {described(value)}")
        return ()
    found: dict[NormalizedName, dict[str, SettingValue]] = {}
    for written, table in value.items():
        above = Origin(source=faults.source, place=place, line=line_of(lines.keys, written, place))
        if not isinstance(table, dict):
            faults.add(f"{above}: {shown(written)} must be a table of settings, not {described(table)}")
            continue
        with faults.collecting(str(above)):
            own = found.setdefault(read_name(written, "the name"), {})
            below = replace(above, place=f"{place}.{written[:100]}")
            for key, setting in _read_table(table, below, lines, faults).items():
                if key in own:
                    faults.add(f"{below}: {shown(key)} stands under two spellings of the name")
                own[key] = setting
    return tuple((name, tuple(sorted(own.items()))) for name, own in sorted(found.items()) if own)


def _read_table(table: dict[str, Any], above: Origin, lines: Lines, faults: Faults) -> dict[str, SettingValue]:
    if len(table) > MAX_SETTINGS:
        raise LimitExceeded(f"{above}: {len(table)} settings; at most {MAX_SETTINGS} are taken")
    own: dict[str, SettingValue] = {}
    for key, value in table.items():
        fault = _fault(key, value)
        if fault:
            line = line_of(lines.keys, key, above.place)
            faults.add(f"{replace(above, line=line or above.line)}: {shown(key)} {fault}")
        else:
            own[key] = value if isinstance(value, str) else tuple(value)
    return own


def _fault(key: str, value: Any) -> str:
    if not key:
        return "is no name of a setting"
    if not isinstance(value, str) and not is_list_of_strings(value):
        return f"must be a string or a list of strings, not {described(value)}"
    for text in (key, value) if isinstance(value, str) else (key, *value):
        if len(text) > MAX_REQUIREMENT_LENGTH:
            return f"is {len(text)} characters long; at most {MAX_REQUIREMENT_LENGTH} are taken"
        if _CONTROLS.search(text):
            return "holds a line break or another control character"
    return ""
