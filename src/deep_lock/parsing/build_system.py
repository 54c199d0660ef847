"""The ``[build-system]`` table (PEP 518, PEP 517): of the user's project, and of each sdist."""

import re
from typing import Any

from deep_lock.models.build_system import LEGACY_BACKEND, LEGACY_REQUIRES, BuildSystem
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import check_count, described, is_list_of_strings
from deep_lock.parsing.text import shown

KEY = "build-system"
DEFAULT_BUILD_SYSTEM = BuildSystem(requires=LEGACY_REQUIRES, backend=LEGACY_BACKEND, requires_from="default")
"""How a source tree without the table is built (PEP 517)."""

_BACKEND = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?", re.ASCII)


def read_build_system(table: Any, faults: Faults) -> BuildSystem | None:
    """Read the value of ``build-system``; what is wrong goes to ``faults``. None where nothing of it can be read.

    The texts of ``requires`` are not parsed here. Raises LimitExceeded.
    """
    if not isinstance(table, dict):
        faults.add(f"{KEY} must be a table, not {described(table)}")
        return None
    if "requires" not in table:
        faults.add(
            "[build-system] has no requires (PEP 518 requires it)",
            hint='Write requires = ["..."], or leave the whole table out.',
        )
        return None
    requires = table["requires"]
    if not is_list_of_strings(requires):
        faults.add(f"{KEY}.requires must be a list of strings, not {described(requires)}")
        requires = []
    check_count(len(requires), f"{faults.source}: {KEY}.requires")
    return BuildSystem(
        requires=tuple(requires),
        backend=_read_backend(table.get("build-backend", LEGACY_BACKEND), faults),
        backend_path=_read_backend_path(table.get("backend-path", []), faults),
    )


def _read_backend(value: Any, faults: Faults) -> str:
    if isinstance(value, str) and _BACKEND.fullmatch(value):
        return value
    what = shown(value) if isinstance(value, str) else described(value)
    faults.add(f'{KEY}.build-backend must be "module" or "module:object", not {what}')
    return LEGACY_BACKEND


def _read_backend_path(value: Any, faults: Faults) -> tuple[str, ...]:
    # PEP 517 wants a list. flit-core 2 and 3 wrote "." instead, which front ends read as a list of one-letter paths.
    paths = [value] if value == "." else value
    if not is_list_of_strings(paths):
        faults.add(f"{KEY}.backend-path must be a list of strings, not {described(paths)}")
        return ()
    for path in paths:
        if not _is_inside(path):
            faults.add(
                f"{KEY}.backend-path contains {shown(path)}, which is not a path inside the source tree (PEP 517)"
            )
    return tuple(paths)


def _is_inside(path: str) -> bool:
    """Whether a path cannot leave the source tree, on any system and through any link.

    PEP 517 resolves links first, so ".." may lead anywhere: it is refused in any position.
    """
    return (
        bool(path)
        and path.isprintable()
        and not path.startswith(("/", "~"))
        and not any(character in path for character in "\\:")
        and ".." not in path.split("/")
    )
