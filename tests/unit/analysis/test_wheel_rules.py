"""The rules on the contents of wheels, each alone; tests/integration/test_wheel_contents.py has them through the commands."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from msgspec.structs import replace

from deep_lock.analysis.well_known_commands import is_shadowed
from deep_lock.analysis.wheel_rules import FilesRead, wheel_matches
from deep_lock.lockfile.index import index_lock
from deep_lock.models.contents import FileContents
from tests.support.lock_strategies import package, small_lock, wheel

SETUPTOOLS = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim(); \n"
)
NAMESPACE = (
    "import sys, types, os;has_mfs = sys.version_info > (3, 5);"
    "p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('{0}',));"
    "importlib = has_mfs and __import__('importlib.util');has_mfs and __import__('importlib.machinery');"
    "m = has_mfs and sys.modules.setdefault('{0}', importlib.util.module_from_spec("
    "importlib.machinery.PathFinder.find_spec('{0}', [os.path.dirname(p)])));"
    "m = m or sys.modules.setdefault('{0}', types.ModuleType('{0}'));"
    "mp = (m or []) and m.__dict__.setdefault('__path__',[]);(p not in mp) and mp.append(p)\n"
)


def found(markers: Mapping[str, str] = MappingProxyType({}), /, **contents: FileContents) -> list[tuple[str, str]]:
    """Return the code and the project of each match in a lock of these projects, with these markers."""
    names = [name.replace("_", "-") for name in contents]
    lock = index_lock(small_lock(*(replace(package(name), marker=markers.get(name)) for name in names)))
    digests = {name: wheel(name, "1.0").sha256 for name in names}
    read = {digests[name.replace("_", "-")]: own for name, own in contents.items()}
    return sorted((match.code, match.name) for match in wheel_matches(lock, FilesRead(contents=read, total=len(read))))


@pytest.mark.parametrize(
    ("project", "name", "text"),
    [
        ("setuptools", "distutils-precedence.pth", SETUPTOOLS),
        ("setuptools", "distutils-precedence.pth", SETUPTOOLS.replace("'local') ==", "'stdlib') ==")),
        ("zope_thing", "zope_thing-1.0-py3.7-nspkg.pth", NAMESPACE.format("zope")),
        ("two", "two-nspkg.pth", NAMESPACE.format("zope") + NAMESPACE.format("more")),
    ],
)
def test_the_texts_of_setuptools_are_known(project: str, name: str, text: str) -> None:
    assert found(**{project: FileContents(startup=((name, text),))}) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("distutils-precedence.pth", SETUPTOOLS + "import evil\n"),
        ("distutils-precedence.pth", SETUPTOOLS.replace("_distutils_hack", "evil")),
        ("other.pth", SETUPTOOLS),
        ("x-nspkg.pth", NAMESPACE.format("zope") + "import evil\n"),
        ("x-nspkg.pth", NAMESPACE.format("zope").strip() + ";import evil\n"),
        ("x-nspkg.pth", NAMESPACE.format("json")),
        ("x-nspkg.pth", NAMESPACE.format("zope").replace("PathFinder", "Evil")),
        ("x.pth", ""),
        ("x.start", "x:main"),
    ],
)
def test_other_texts_are_not(name: str, text: str) -> None:
    assert found(setuptools=FileContents(startup=((name, text),))) == [("wheel-pth", "setuptools")]


@pytest.mark.parametrize(
    ("project", "module"),
    [
        ("python_dateutil", "dateutil"),
        ("PyYAML".lower(), "yaml"),
        ("scikit_learn", "sklearn"),
        ("attrs", "attr"),
        ("typing_extensions", "typing_extensions"),
        ("google_auth", "google"),
        ("legacy_cgi", "cgi"),
        ("setuptools", "pkg_resources"),
    ],
)
def test_names_that_the_project_explains(project: str, module: str) -> None:
    assert found(**{project: FileContents(modules=((module, True),))}) == []


def test_a_module_of_two_projects_is_reported_where_it_is_foreign() -> None:
    own, added = FileContents(modules=(("yaml", True),)), FileContents(modules=(("yaml", False),))
    assert found(pyyaml=own, evil=added) == [("wheel-foreign-top-level", "evil")]
    assert found(pyyaml=own, evil=own) == [("wheel-foreign-top-level", "evil")]
    assert found(yaml_one=own, yaml_two=own) == [
        ("wheel-foreign-top-level", "yaml-one"),
        ("wheel-foreign-top-level", "yaml-two"),
    ]
    tlz, more = FileContents(modules=(("tlz", True),)), FileContents(modules=(("tlz", False),))
    assert found(toolz=tlz, tlz_more=more) == [
        ("wheel-foreign-top-level", "tlz-more"),
        ("wheel-other-top-level", "toolz"),
    ]
    assert found(one=FileContents(modules=(("zope", True),)), two=FileContents(modules=(("zope", True),))) == []


def test_an_import_name_of_two_projects_is_reported_where_both_are_installed() -> None:
    one, other = FileContents(import_names=("space.part", "x")), FileContents(import_names=("space.part", "y"))
    assert found(one=one, other=other) == [("wheel-shared-import", "one")]
    apart = {"one": 'sys_platform == "linux"', "other": 'sys_platform == "win32"'}
    assert found(apart, one=one, other=other) == []
    both = {"one": 'sys_platform == "linux"', "other": 'sys_platform != "win32"'}
    assert found(both, one=one, other=other) == [("wheel-shared-import", "one")]
    # a name that is reported as a module of another project is not reported again
    module = FileContents(modules=(("yaml", True),), import_names=("yaml",))
    assert found(pyyaml=module, evil=module) == [("wheel-foreign-top-level", "evil")]


def test_a_script_of_two_projects_is_reported_where_it_is_not_the_name() -> None:
    own = FileContents(commands=("thing",))
    assert found(thing=own, evil=own) == [("wheel-command-shadow", "evil")]


@pytest.mark.parametrize(
    ("command", "project", "expected"),
    [
        ("python3.14t", "x", True),
        ("pip3.12", "pip", False),
        ("pip3.12", "x", True),
        ("cmake", "cmake", False),
        ("cmake", "x", True),
        ("aarch64-linux-gnu-g++", "x", True),
        ("gcc-13", "x", True),
        ("git", "git", True),
        ("git-clang-format", "clang-format", False),
        ("black", "black", False),
        ("f2py3.11", "numpy", False),
    ],
)
def test_well_known_commands(command: str, project: str, *, expected: bool) -> None:
    assert is_shadowed(command, project) is expected
