"""Backends whose hook always returns the empty list: poetry-core, the names under which others offer it, uv-build."""

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from deep_lock.sdist.backends.rule import Rule, requires_nothing

_NOTHING = requires_nothing("its hook always returns the empty list")

RULES = (
    # read: poetry/core/masonry/api.py of 1.0.8, 1.9.1 and 2.5.0
    Rule(
        distribution=NormalizedName("poetry-core"),
        backends=frozenset({"poetry.core.masonry.api"}),
        read=SpecifierSet(">=1.0,<3"),
        declare=_NOTHING,
    ),
    # read: poetry/masonry/api.py of 1.1.0, 1.8.0 and 2.5.1; it imports poetry-core's (1.0 and before had their own)
    Rule(
        distribution=NormalizedName("poetry"),
        backends=frozenset({"poetry.masonry.api"}),
        read=SpecifierSet(">=1.1,<3"),
        declare=_NOTHING,
    ),
    # read: poetry_dynamic_versioning/backend.py of 1.10.1; it patches the version and imports the hooks
    Rule(
        distribution=NormalizedName("poetry-dynamic-versioning"),
        backends=frozenset({"poetry_dynamic_versioning.backend"}),
        read=SpecifierSet(">=1.10,<2"),
        declare=_NOTHING,
    ),
    # read: uv_build/__init__.py of 0.8.0 and 0.13.6
    Rule(
        distribution=NormalizedName("uv-build"),
        backends=frozenset({"uv_build"}),
        read=SpecifierSet(">=0.8,<1"),
        declare=_NOTHING,
    ),
)
