"""The definition of a rule about a build backend, and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.build_system import BuildSystem, HookAnswer
from deep_lock.models.metadata import Metadata
from deep_lock.sdist import setup_cfg, setup_imports, setup_py, source_tree
from deep_lock.sdist.setuptools_options import SetuptoolsOptions, merge_options
from deep_lock.targets.target import Target


@dataclass(frozen=True, kw_only=True)  # no slots: cached_property needs a __dict__
class Source:
    """An sdist as far as static rules look at it."""

    name: NormalizedName
    version: Version
    members: source_tree.Members
    pyproject: Mapping[str, Any]
    build_system: BuildSystem
    project: Metadata | None
    """The metadata that the ``[project]`` table proves."""

    @cached_property
    def imports(self) -> tuple[setup_imports.Need, ...]:
        """The modules that setup.py imports whenever it runs."""
        return setup_imports.needed_modules(
            self.name, {**self.members.modules, **self.members.files}, self.members.names
        )

    @cached_property
    def options(self) -> SetuptoolsOptions:
        """The options of setup.py and setup.cfg together; a missing setup.py is a bare ``setup()``."""
        files = self.members.files
        script = setup_py.read_options(files["setup.py"]) if "setup.py" in files else SetuptoolsOptions()
        config = setup_cfg.read_options(files["setup.cfg"], files) if "setup.cfg" in files else SetuptoolsOptions()
        return merge_options(script, config)


class UnprovenError(Exception):
    """What a hook requires cannot be proven. Carries the reason; never leaves `sdist`."""


class Declared(Struct, frozen=True, kw_only=True):
    """The requirements that the configuration in the sdist makes the hook return."""

    requires: tuple[str, ...]
    reason: str
    since: str = ""
    """The lowest version of the backend that reads its configuration so."""


Environment = Mapping[NormalizedName, Version]
Declare = Callable[[Source], Declared]
"""Raises UnprovenError."""
Complete = Callable[[tuple[str, ...], Version, Target, Environment], HookAnswer]


def requires_nothing(reason: str) -> Declare:
    """Return the declaration of a backend whose configuration never makes its hook require anything."""
    return lambda _source: Declared(requires=(), reason=reason)


def add_nothing(declared: tuple[str, ...], version: Version, target: Target, environment: Environment) -> HookAnswer:
    """Return the answer of a hook that depends on the configuration alone."""
    del version, target, environment
    return proven(declared)


def proven(requires: tuple[str, ...], reason: str = "", *, conditional: str = "") -> HookAnswer:
    """Return an answer that needed no code to run."""
    return HookAnswer(requires=requires, evidence="static", conditional=conditional, reason=reason)


def unknown(reason: str, known: tuple[str, ...] = ()) -> HookAnswer:
    """Return the answer of a hook whose requirements are not known, or only in part."""
    return HookAnswer(requires=known or None, evidence="assumed", reason=reason)


class Editable(Struct, frozen=True, kw_only=True):
    """What the hook for editable installations (PEP 660) requires beyond the hook for wheels."""

    read: SpecifierSet
    requires: tuple[str, ...] = ()


class Rule(Struct, frozen=True, kw_only=True):
    """One backend. A rule is right only for the versions whose code was read."""

    distribution: NormalizedName
    """The project whose version decides which code runs."""
    backends: frozenset[str]
    """Values of build-backend."""
    read: SpecifierSet
    """Versions of the distribution that the rule covers. A newer major version has to be read first."""
    declare: Declare
    complete: Complete = add_nothing
    editable: tuple[Editable, ...] = ()
    """Empty: every version that was read requires the same as for a wheel, or has no such hook."""
    only_itself: bool = False
    """The backend serves no other project than the one it is part of."""
