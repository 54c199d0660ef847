"""pdm-backend: setuptools where it is configured to run it."""

from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from deep_lock.sdist.backends.rule import Declared, Editable, Rule, Source, UnprovenError
from deep_lock.sdist.pyproject import nested_table

_SETUPTOOLS = "setuptools>=40.8.0"
"""The text is the same in pdm-backend 2.0.0 and 2.5.0 and pdm-pep517 1.1.4."""


def _declare(source: Source) -> Declared:
    build: Any = nested_table(source.pyproject, "tool", "pdm").get("build", {})
    # pdm-pep517 took a string for the path of a setup script; pdm-backend fails on one
    runs = isinstance(build, str) or (isinstance(build, dict) and bool(build.get("run-setuptools", False)))
    return Declared(requires=(_SETUPTOOLS,) if runs else (), reason=f"[tool.pdm.build] run-setuptools is {runs}")


def _declare_own(source: Source) -> Declared:
    """pdm.backend.intree returns pdm-backend's own dependencies."""
    if source.project is None:
        raise UnprovenError("pdm-backend's own dependencies cannot be read")
    listed = tuple(text for text in source.project.requires_dist if "extra ==" not in text)
    return Declared(requires=listed, reason="pdm-backend builds itself with its own dependencies")


RULES = (
    # read: pdm/backend/__init__.py and config.py of 2.0.0 and 2.5.0
    Rule(
        distribution=NormalizedName("pdm-backend"),
        backends=frozenset({"pdm.backend"}),
        read=SpecifierSet(">=2.0,<3"),
        declare=_declare,
        editable=(
            # read: 2.0.0, 2.1.0, 2.2.1 and 2.3.0
            Editable(read=SpecifierSet("<=2.3.0"), requires=("editables",)),
            # read: 2.3.3 and 2.5.0
            Editable(read=SpecifierSet(">=2.3.3")),
        ),
    ),
    # read: pdm/backend/intree.py of 2.0.0 and 2.5.0
    Rule(
        distribution=NormalizedName("pdm-backend"),
        backends=frozenset({"pdm.backend.intree"}),
        read=SpecifierSet(">=2.0,<3"),
        declare=_declare_own,
        editable=(Editable(read=SpecifierSet(">=2.0"), requires=("editables",)),),
        only_itself=True,
    ),
    # read: pdm/pep517/api.py and metadata.py of 1.1.4, the last release
    Rule(
        distribution=NormalizedName("pdm-pep517"),
        backends=frozenset({"pdm.pep517.api"}),
        read=SpecifierSet(">=1.1,<2"),
        declare=_declare,
    ),
)
