"""The JSON document of a run that locks: `deep-lock/lock`, and `deep-lock/lock-projects` for several projects."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from deep_lock.analysis.diff import every_change, ranked
from deep_lock.models.lock import Lock
from deep_lock.reports.diff import change_row

NAME = "lock"
OF_PROJECTS = "lock-projects"
VERSION = 1
EMPTY: Mapping[str, Any] = MappingProxyType(
    {
        "status": "failed",
        "path": None,
        "sha256": None,
        "packages": None,
        "builds": None,
        "targets": (),
        "changes": (),
        "reasons": (),
        "kept-options": (),
        "changed-limits": (),
        "compared-wheels": None,
        "edited": (),
        "difference": "",
        "audit": None,
        "error": None,
    }
)
"""The keys of a run that did nothing yet, in their order."""


def lock_keys(lock: Lock, text: str | None) -> dict[str, Any]:
    """Return the keys that a lock decides; ``text`` is that of its file."""
    return {
        "sha256": None if text is None else sha256(text.encode()).hexdigest(),
        "packages": len(lock.packages),
        "builds": len(lock.builds),
        "targets": [target.name for target in lock.targets],
    }


def change_rows(previous: Lock | None, lock: Lock, now: datetime) -> list[dict[str, Any]]:
    """Return what differs from the previous lock, as `deep-lock diff` has it; nothing where there is none."""
    if previous is None or previous is lock:
        return []
    return [change_row(change) for change in ranked(every_change(previous, lock, now=now))]
