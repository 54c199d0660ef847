"""Modules that are loaded at first use, because a run that needs little must start quickly.

Law: used only for what costs milliseconds and most runs do not need (HTML, archives, the network, sdist rules); types
are imported under TYPE_CHECKING, so that checkers and the floors test see the arrow. `load_all` loads every one of
them: whoever is about to open code of a stranger calls it first.
"""

import importlib
from typing import Any

_names: list[str] = []


class Deferred:
    """Stands for a module. Any attribute loads it; the import system's own locks make that safe between threads."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name
        _names.append(name)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


class DeferredCommand(Deferred):
    """Stands for what one command is made of. Another command never needs it, so `load_all` there leaves it out."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        self._name = name  # and not among the names


def load_all() -> None:
    """Load every deferred module that was named so far, and those that they name."""
    done = 0
    while done < len(_names):
        importlib.import_module(_names[done])
        done += 1
