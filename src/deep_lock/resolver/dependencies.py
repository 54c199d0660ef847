"""What a release asks for on one target: Requires-Dist lines turned into requirements, only where they apply."""

import re
from collections.abc import Iterable
from functools import lru_cache

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import DeepLockError
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.targets.target import Target, UnevaluableMarker, holds

_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")
BASE = canonicalize_name("")


class IneligibleError(Exception):
    """The release cannot be used on the target, and why: the resolver takes another one."""


@lru_cache(maxsize=1 << 16)
def _extra_needed(line: str) -> NormalizedName | None:
    """Return the extra without which the line cannot apply, by text alone; None where that takes a real evaluation.

    A project may list thousands of lines for its extras: they are left out before they are parsed.
    """
    marker = line.partition(";")[2]
    if "extra" not in marker or " or " in marker or "not" in marker:
        return None
    found = _EXTRA.search(marker)
    return canonicalize_name(found.group(1)) if found else None


@lru_cache(maxsize=1 << 17)
def _applied(line: str, target: Target, extra: NormalizedName) -> Requirement | None:
    requirement = parse_requirement(line)
    return requirement if holds(requirement.marker, target, (extra,)) else None


def applicable(requirements: Iterable[Requirement], target: Target) -> tuple[Requirement, ...]:
    """Return the requirements whose markers hold on the target, with no extra asked for."""
    return tuple(requirement for requirement in requirements if holds(requirement.marker, target))


def urls_first(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Put direct references in front: what they pin is not asked of an index by those behind them."""
    return tuple(sorted(requirements, key=lambda requirement: requirement.url is None))


def dependencies(
    metadata: Metadata, target: Target, extra: NormalizedName = BASE, *, may_name_urls: bool = False
) -> tuple[Requirement, ...]:
    """Return what the release asks for by itself (``extra`` BASE), or only because of one extra.

    Only a folder of the user's own may name URLs: whatever a stranger's release points to is refused.

    Raises IneligibleError where a line cannot be read or its marker cannot be evaluated (dependency specifiers: then
    the release must not be used).
    """
    found: list[Requirement] = []
    for line in metadata.requires_dist:
        needed = _extra_needed(line)
        if needed is not None and needed != extra:
            continue
        try:
            requirement = _applied(line, target, extra)
            if requirement is not None and extra and needed is None and _applied(line, target, BASE) is not None:
                continue  # holds without the extra: it belongs to the base
        except UnevaluableMarker:
            raise IneligibleError(f"its marker cannot be evaluated: {line[:200]}") from None
        except DeepLockError as error:
            raise IneligibleError(error.message) from None
        if requirement is None:
            continue
        if requirement.url is not None and not may_name_urls:
            raise IneligibleError(f"it asks for a direct URL, which a lock from indexes cannot hold: {line[:200]}")
        found.append(requirement)
    return urls_first(found)
