"""setuptools: the setup_requires of setup.py and setup.cfg, and wheel in releases before 70.1.

The hook runs setup.py up to the point where setuptools would fetch eggs; pyproject.toml plays no part in it
(setuptools._install_setup_requires). Dynamic fields of ``[project]`` do not matter either.
"""

import re

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.models.build_system import LEGACY_BACKEND, HookAnswer
from deep_lock.sdist.backends.rule import Declared, Environment, Rule, Source, UnprovenError, proven
from deep_lock.sdist.setuptools_options import SETUP
from deep_lock.targets.target import Target

BACKENDS = frozenset({"setuptools.build_meta", LEGACY_BACKEND})

_WHEEL_UNTIL = Version("70.1")
"""Read: 70.0.0 requires wheel, 70.1.0 does not."""

HARMLESS = frozenset(
    {
        # no plugin of setuptools at all
        "setuptools", "wheel", "pip", "build", "twine", "packaging", "toml", "tomli", "typing-extensions", "six",
        "certifi", "attrs", "jinja2", "docutils", "pkgconfig", "pkginfo", "semver", "invoke", "pathspec", "cppy",
        "cython", "numpy", "scipy", "oldest-supported-numpy", "pybind11", "nanobind", "pythran", "cmake", "ninja",
        "cymem", "preshed", "murmurhash", "blis", "thinc", "srsly", "pycparser", "versioneer", "mypy",
        "mypy-extensions", "librt", "ast-serialize", "types-psutil", "types-setuptools", "vcs-versioning",
        "importlib-metadata", "importlib-resources", "expandvars", "torch", "ply", "pyyaml",
        # plugins that set the version, the licence, commands or extension modules, and no requirements
        "setuptools-scm", "setuptools-scm-git-archive", "setuptools-git-versioning", "setuptools-rust", "calver",
        "coherent-licensed", "cffi", "pytest-runner",
    }
)  # fmt: skip
"""Build requirements that are known not to change the requirements of what they build.

A plugin of setuptools runs inside of setup() and may change anything (pbr does): a name that is not in this list
makes the answer "assumed".
"""

_OWN = SpecifierSet(">=59,<85")
"""Versions whose own setup.py was read (59.8.0, 65.5.0, 70.0.0, 70.1.0, 75.8.0, 80.9.0, 82.0.0, 84.2.1)."""

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)")


def find_plugin(texts: tuple[str, ...]) -> str:
    """Return the first of the requirements that might be a plugin which changes requirements, or ""."""
    for text in texts:
        match = _NAME.match(text)
        name = canonicalize_name(match[1]) if match else text
        if name not in HARMLESS:
            return name
    return ""


def _declare(source: Source) -> Declared:
    if source.build_system.backend_path and source.name == "setuptools":
        if _OWN.contains(source.version, prereleases=True):
            return Declared(requires=(), reason="setuptools builds itself; its setup.py has no setup_requires")
        raise UnprovenError(f"no rule for the setup.py of setuptools {source.version}")
    options = source.options
    if SETUP in options.unproven:
        raise UnprovenError(options.unproven[SETUP])
    plugin = find_plugin((*source.build_system.requires, *options.setup_requires))
    if plugin:
        raise UnprovenError(f"{plugin} might be a plugin that makes setuptools require more")
    return Declared(requires=options.setup_requires, reason="setup_requires in setup.py and setup.cfg")


def _complete(declared: tuple[str, ...], version: Version, target: Target, environment: Environment) -> HookAnswer:
    del target, environment
    return proven(("wheel", *declared) if version < _WHEEL_UNTIL else declared)


RULES = (
    # read: setuptools/build_meta.py and __init__.py of 40.8.0, 59.8.0, 65.5.0, 70.0.0, 70.1.0, 75.8.0, 80.9.0,
    # 82.0.0 and 84.2.1
    Rule(
        distribution=NormalizedName("setuptools"),
        backends=BACKENDS,
        read=SpecifierSet(">=40.8,<85"),
        declare=_declare,
        complete=_complete,
    ),
)
