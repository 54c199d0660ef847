"""Modules that a build needs and that no project in its environment provides, and the configuration that adds them.

Invariant: a project is named for a module only if a table here has it, or if the sdist itself requires it. A project that has
the name of the module on an index may be by other authors, and malicious.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.models.build_system import SdistFacts
from deep_lock.sdist.setup_imports import REMOVED, STANDARD, Need, project_module

Environment = Mapping[NormalizedName, Version]

_PROJECTS = {
    "Crypto": "pycryptodome", "MySQLdb": "mysqlclient", "OpenSSL": "pyopenssl", "PIL": "pillow", "Xlib": "python-xlib",
    "attr": "attrs", "bs4": "beautifulsoup4", "cpuinfo": "py-cpuinfo", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "distutils": "setuptools", "dotenv": "python-dotenv", "gi": "pygobject", "git": "gitpython",
    "google.protobuf": "protobuf", "grpc": "grpcio", "grpc_tools": "grpcio-tools", "jpype": "jpype1", "jwt": "pyjwt",
    "magic": "python-magic", "mesonbuild": "meson", "mesonpy": "meson-python", "mypyc": "mypy", "osgeo": "gdal",
    "pkg_resources": "setuptools",
    "pyqtbuild": "pyqt-builder", "pythoncom": "pywin32", "pywintypes": "pywin32", "pyximport": "cython",
    "serial": "pyserial", "sipbuild": "sip", "skbuild": "scikit-build", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "slugify": "python-slugify", "usb": "pyusb", "win32api": "pywin32", "wx": "wxpython",
    "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
"""Module to the project that has it, where the names differ."""

_SAME_NAME = frozenset({
    "altgraph", "astropy", "astropy-helpers", "attrs", "babel", "build", "cached-property", "certifi", "cffi",
    "chardet", "click", "cmake", "colorama", "cppy", "cryptography", "cython", "cytoolz", "d2to1", "deprecated",
    "distro", "django", "docutils", "expandvars", "extension-helpers", "fastrlock", "flask", "flit-core", "future",
    "gevent", "greenlet", "h5py", "hatchling", "importlib-metadata", "importlib-resources", "incremental", "jax",
    "jinja2", "kiwisolver", "lxml", "mako", "markdown", "markupsafe", "matplotlib", "maturin", "meson", "mpi4py",
    "msgpack", "mypy", "nanobind", "networkx", "ninja", "nose", "numba", "numexpr", "numpy", "packaging", "pandas",
    "paver", "pbr", "pip", "pkgconfig", "ply", "psutil", "pyarrow", "pybind11", "pycparser", "pygments", "pyparsing",
    "pytest", "pythran", "pytz", "requests", "rich", "ruamel-yaml", "scikit-build-core", "scipy", "semantic-version",
    "setupmeta", "setuptools-declarative-requirements", "setuptools-dso", "setuptools-git",
    "setuptools-git-versioning", "setuptools-golang", "setuptools-markdown", "setuptools-rust", "setuptools-scm",
    "setuptools-scm-git-archive", "simplejson", "six", "sphinx", "sqlalchemy", "swig", "sympy", "tensorflow", "toml",
    "tomli", "tomlkit", "torch", "tornado", "tqdm", "tree-sitter", "twisted", "typing-extensions", "ujson", "urllib3",
    "vcversioner", "versioneer", "versioningit", "virtualenv", "wheel", "zope-interface",
})  # fmt: skip
"""Projects that setup.py files are known to import, and whose modules have the name of the project."""

_WITHOUT_PKG_RESOURCES = Version("82")
"""The first setuptools without pkg_resources; 81 warns that it goes."""
_WITH_PKG_RESOURCES = "setuptools<81"

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,199})")
_FAILURE = re.compile(r"ModuleNotFoundError: No module named ['\"]([A-Za-z0-9_.]{1,200})['\"]")


def missing_modules(needs: Iterable[Need], environment: Environment, minor: int) -> tuple[str, ...]:
    """Return the first module of each need that no project of the environment has, by name, on Python 3.``minor``."""
    return tuple(
        dict.fromkeys(need[0] for need in needs if not any(_is_there(own, environment, minor) for own in need))
    )


def describe_missing(modules: Iterable[str], environment: Environment, minor: int) -> str:
    """Return why setup.py cannot run, in one sentence."""
    setuptools = environment.get(NormalizedName("setuptools"))
    parts = []
    for module in modules:
        if module == "pkg_resources" and setuptools is not None:
            parts.append(f"pkg_resources, which setuptools {setuptools} does not have")
        elif module in REMOVED and module not in _PROJECTS:
            parts.append(f"{module}, which Python 3.{minor} does not have")
        else:
            what = project_of(module, ()) or "project of that name"
            parts.append(f"{module}, and its build environment has no {what}")
    return f"its setup.py imports {'; '.join(parts)}"


def project_of(module: str, required: Collection[NormalizedName]) -> NormalizedName | None:
    """Return the project that is known to have a module; ``required`` are those that the sdist requires, for any purpose."""
    if module in _PROJECTS:
        return canonicalize_name(_PROJECTS[module])
    name = canonicalize_name(module)
    return name if name in _SAME_NAME or name in required else None


def required_by(facts: SdistFacts) -> frozenset[NormalizedName]:
    """Return every project that the files of an sdist name as a requirement."""
    known = [own for own in (facts.metadata, facts.guess) if own is not None]
    return names_of(
        (
            *facts.build_system.requires,
            *facts.known_hook,
            *(facts.declared_hook or ()),
            *(text for own in known for text in own.requires_dist),
        )
    )


def names_of(requirements: Iterable[str]) -> frozenset[NormalizedName]:
    """Return the projects that requirement texts name; what starts with no name names none."""
    found = map(_NAME.match, requirements)
    return frozenset(canonicalize_name(own[1]) for own in found if own is not None)


def project_of_import(name: NormalizedName) -> NormalizedName | None:
    """Return the project of a module whose name a user may take for that of its project; None where they do not differ."""
    return next((NormalizedName(own) for module, own in _PROJECTS.items() if canonicalize_name(module) == name), None)


def module_of_failure(output: str) -> str:
    """Return the module without which a program ended, "" where that was not the reason."""
    found = _FAILURE.findall(output)
    return project_module(found[-1]) if found else ""


def remedy(
    lacking: Mapping[NormalizedName, Iterable[str]],
    added: Mapping[NormalizedName, Iterable[str]],
    required: Mapping[NormalizedName, Collection[NormalizedName]],
) -> str:
    """Return what adds the modules to the builds of the projects, with TOML for pyproject.toml; "" where nothing can.

    ``added`` are the extra-build-requires that the configuration has already, ``required`` what the sdists require otherwise.
    """
    constraints = any("pkg_resources" in modules for modules in lacking.values())
    lines = ["[tool.deep-lock]", f'build-constraints = ["{_WITH_PKG_RESOURCES}"]'] if constraints else []
    table, unknown = [], []
    for name in sorted(lacking):
        modules = [own for own in lacking[name] if _can_be_added(own) and project_module(own) != name]
        projects = {own: project_of(own, required.get(name, ())) for own in modules}
        known = [project for project in projects.values() if project is not None]
        if known:
            texts = dict.fromkeys((*added.get(name, ()), *known))
            table.append(f"{name} = [{', '.join(map(_quoted, texts))}]")
        unknown += [f"for {name}, {_unknown(own)}" for own, project in projects.items() if project is None]
    if table:
        lines += ["[tool.deep-lock.extra-build-requires]", *table]
    parts = [f"add to [tool.deep-lock.extra-build-requires]: {'; '.join(unknown)}"] if unknown else []
    if lines:
        parts.append("\n".join(["these lines in pyproject.toml add what its build imports:", *lines]))
    return "\n".join(parts)


def build_system_hint(modules: Iterable[str], required: Collection[NormalizedName]) -> str:
    """Return what adds the modules to the project's own build, in one sentence; ``required`` as in `project_of`."""
    listed = list(modules)
    added = []
    for module in filter(_may_be_a_project, listed):
        project = _WITH_PKG_RESOURCES if module == "pkg_resources" else project_of(module, required)
        added.append(_quoted(project) if project else _unknown(module))
    what = f": add {', '.join(added)} to requires of [build-system] in pyproject.toml" if added else ""
    return f"its build imports {', '.join(listed)}{what}"


def _unknown(module: str) -> str:
    return f"the project that provides the module {module}"


def _quoted(text: str) -> str:
    """Return a TOML string: requirements have double quotes in markers only."""
    return f"'{text}'" if '"' in text else f'"{text}"'


def _can_be_added(module: str) -> bool:
    return module != "pkg_resources" and _may_be_a_project(module)


def _may_be_a_project(module: str) -> bool:
    """Whether a project might have the module: its name can be one, and the standard library did not lose it."""
    is_name = module in _PROJECTS or (module[:1].isalnum() and module[-1:].isalnum())
    return is_name and module not in STANDARD and (module not in REMOVED or module in _PROJECTS)


def _is_there(module: str, environment: Environment, minor: int) -> bool:
    first = module.partition(".")[0]
    if first in STANDARD or minor < REMOVED.get(first, 0):
        return True
    if first == "pkg_resources":
        setuptools = environment.get(NormalizedName("setuptools"))
        return setuptools is not None and setuptools < _WITHOUT_PKG_RESOURCES
    names = (project_of(module, ()), canonicalize_name(module), canonicalize_name(first))
    return any(name in environment for name in names if name is not None)
