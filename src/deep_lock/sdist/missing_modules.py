"""Modules that a build needs and its environment lacks, by the names of the projects there, and what adds them."""

import re
from collections.abc import Iterable, Mapping

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.sdist.setup_imports import REMOVED, STANDARD, Need, project_module

Environment = Mapping[NormalizedName, Version]

_PROJECTS = {
    "Crypto": "pycryptodome", "MySQLdb": "mysqlclient", "OpenSSL": "pyopenssl", "PIL": "pillow", "Xlib": "python-xlib",
    "attr": "attrs", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "distutils": "setuptools", "dotenv": "python-dotenv", "gi": "pygobject", "git": "gitpython",
    "google.protobuf": "protobuf", "grpc": "grpcio", "grpc_tools": "grpcio-tools", "jpype": "jpype1", "jwt": "pyjwt",
    "magic": "python-magic", "mesonbuild": "meson", "mesonpy": "meson-python", "pkg_resources": "setuptools",
    "pyqtbuild": "pyqt-builder", "pythoncom": "pywin32", "pywintypes": "pywin32", "pyximport": "cython",
    "serial": "pyserial", "sipbuild": "sip", "skbuild": "scikit-build", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "slugify": "python-slugify", "usb": "pyusb", "win32api": "pywin32", "wx": "wxpython",
    "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
"""Module to the project that has it, where the names differ."""

_WITHOUT_PKG_RESOURCES = Version("82")
"""The first setuptools without pkg_resources; 81 warns that it goes."""
_WITH_PKG_RESOURCES = "setuptools<81"

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
            parts.append(f"{module}, and its build environment has no {project_of(module)}")
    return f"its setup.py imports {'; '.join(parts)}"


def project_of(module: str) -> NormalizedName:
    """Return the project that has a module, by a table or by its name. Without an index this is a guess."""
    return canonicalize_name(_PROJECTS.get(module, module))


def module_of_failure(output: str) -> str:
    """Return the module without which a program ended, "" where that was not the reason."""
    found = _FAILURE.findall(output)
    return project_module(found[-1]) if found else ""


def configuration_lines(
    lacking: Mapping[NormalizedName, Iterable[str]], added: Mapping[NormalizedName, Iterable[str]]
) -> str:
    """Return the TOML for pyproject.toml that adds the modules to the builds of the projects; "" where none can.

    ``added`` are the extra-build-requires that the configuration has already, of the same projects.
    """
    constraints = any("pkg_resources" in modules for modules in lacking.values())
    lines = ["[tool.deep-lock]", f'build-constraints = ["{_WITH_PKG_RESOURCES}"]'] if constraints else []
    table = []
    for name in sorted(lacking):
        projects = [project_of(own) for own in lacking[name] if _can_be_added(own) and project_module(own) != name]
        if projects:
            texts = dict.fromkeys((*added.get(name, ()), *projects))
            table.append(f"{name} = [{', '.join(map(_quoted, texts))}]")
    if table:
        lines += ["[tool.deep-lock.extra-build-requires]", *table]
    return "\n".join(lines)


def build_system_hint(modules: Iterable[str]) -> str:
    """Return what adds the modules to the project's own build, in one sentence."""
    listed = list(modules)
    projects = [
        _WITH_PKG_RESOURCES if own == "pkg_resources" else str(project_of(own)) for own in listed if _is_known(own)
    ]
    remedy = (
        f": add {', '.join(map(_quoted, projects))} to requires of [build-system] in pyproject.toml" if projects else ""
    )
    return f"its build imports {', '.join(listed)}{remedy}"


def _quoted(text: str) -> str:
    """Return a TOML string: requirements have double quotes in markers only."""
    return f"'{text}'" if '"' in text else f'"{text}"'


def _can_be_added(module: str) -> bool:
    return module != "pkg_resources" and _is_known(module)


def _is_known(module: str) -> bool:
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
    return project_of(module) in environment or canonicalize_name(first) in environment
