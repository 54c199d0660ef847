"""The ``[build-system]`` table of the user's own project (PEP 518, PEP 517)."""

import re
from typing import Any

from deep_lock.models.build_system import LEGACY_BACKEND, LEGACY_REQUIRES, BuildSystem
from deep_lock.models.requirement import Origin, Requirement, parse_requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import described, is_list_of_strings, read_requirement_list
from deep_lock.parsing.text import shown
from deep_lock.parsing.toml import Lines

PLACE = "build-system"
Build = tuple[BuildSystem | None, tuple[Requirement, ...]]
"""The build system, and its requirements with their origins."""

_BACKEND = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?", re.ASCII)


def default_build(source: str) -> Build:
    """What builds a tree that does not say how it is built (PEP 517)."""
    system = BuildSystem(requires=LEGACY_REQUIRES, backend=LEGACY_BACKEND, requires_from="default")
    origin = Origin(source=source, place=f"{PLACE}.requires (default)")
    return system, tuple(parse_requirement(text, origin) for text in LEGACY_REQUIRES)


def read_build_system(document: dict[str, Any], lines: Lines, faults: Faults, *, package: bool | None) -> Build:
    """Read how the project is built.

    Without the table the project is virtual: (None, ()). ``package`` is the user's word on that: True takes the default
    backend then, False builds nothing in any case.
    """
    if package is False:
        return None, ()
    if PLACE not in document:
        return default_build(faults.source) if package else (None, ())
    table = document[PLACE]
    if not isinstance(table, dict):
        faults.add(f"{PLACE} must be a table, not {described(table)}")
        return None, ()
    if "requires" not in table:
        faults.add(
            "[build-system] has no requires (PEP 518 demands it)",
            hint='Write requires = ["..."], or leave the whole table out.',
        )
        return None, ()
    build_requires = read_requirement_list(table["requires"], f"{PLACE}.requires", lines, faults)
    system = BuildSystem(
        requires=tuple(table["requires"]) if is_list_of_strings(table["requires"]) else (),
        backend=_read_backend(table.get("build-backend", LEGACY_BACKEND), faults),
        backend_path=_read_backend_path(table.get("backend-path", []), faults),
    )
    return system, build_requires


def _read_backend(value: Any, faults: Faults) -> str:
    if isinstance(value, str) and _BACKEND.fullmatch(value):
        return value
    what = shown(value) if isinstance(value, str) else described(value)
    faults.add(f'{PLACE}.build-backend must be "module" or "module:object", not {what}')
    return LEGACY_BACKEND


def _read_backend_path(value: Any, faults: Faults) -> tuple[str, ...]:
    if not is_list_of_strings(value):
        faults.add(f"{PLACE}.backend-path must be a list of strings, not {described(value)}")
        return ()
    for path in value:
        if not _stays_inside(path):
            faults.add(f"{PLACE}.backend-path holds {shown(path)}, which does not stay inside the project (PEP 517)")
    return tuple(value)


def _stays_inside(path: str) -> bool:
    """Whether a relative path of either kind of system cannot leave its folder."""
    if not path or path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", path) or not path.isprintable():
        return False
    depth = 0
    for part in re.split(r"[/\\]", path):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return False
    return True
