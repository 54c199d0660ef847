"""Modules that are loaded at first use, so that a run loads only what it uses.

The ``__init__.py`` of a package names them: ``load_at_first_use(__name__, "explain")``. Other code imports
them as usual, ``from deep_lock.resolver import explain``, and uses them as ``explain.NAME``. Type checkers and the
import contract see an ordinary import.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

_names: list[str] = []
"""What `load_all` loads."""
_left_out: list[str] = []
"""What it does not load."""


class _LazyModule:
    """A module that is loaded when its first attribute is read. The import system makes that safe between threads."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(importlib.import_module(self._name), attribute, value)


def load_at_first_use(package: str, *modules: str, in_load_all: bool = True) -> None:
    """Let these modules of a package be loaded at first use. ``package`` is the caller's ``__name__``.

    ``in_load_all`` is false for a module that most runs do not use: the work of one command, or what `add_to_load_all` adds.
    """
    for module in modules:
        name = f"{package}.{module}"
        setattr(sys.modules[package], module, _LazyModule(name))
        (_names if in_load_all else _left_out).append(name)


def add_to_load_all(package: str) -> None:
    """Let `load_all` load what was left out of a package and of the packages in it: this run may need it."""
    for name in [name for name in _left_out if name.startswith(f"{package}.")]:
        _left_out.remove(name)
        _names.append(name)


def load_name(name: str, modules: Mapping[str, Sequence[str]]) -> Any:
    """Return a name that a package exports; ``modules`` has the names by module. Raises AttributeError."""
    for module, names in modules.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'deep_lock' has no attribute {name!r}")


def load_all() -> None:
    """Load every module that was named so far, and those that they name, before untrusted code runs."""
    done = 0
    while done < len(_names):
        importlib.import_module(_names[done])
        done += 1


if TYPE_CHECKING:
    import difflib
    import graphlib
    import ipaddress
    import json
    import shutil
    import socket
    import tempfile

    import filelock
else:
    _names.extend(("difflib", "filelock", "graphlib", "ipaddress", "json", "shutil", "socket", "tempfile"))
    difflib, filelock, graphlib, ipaddress, json, shutil, socket, tempfile = map(_LazyModule, _names)

__all__ = [
    "add_to_load_all",
    "difflib",
    "filelock",
    "graphlib",
    "ipaddress",
    "json",
    "load_all",
    "load_at_first_use",
    "load_name",
    "shutil",
    "socket",
    "tempfile",
]
