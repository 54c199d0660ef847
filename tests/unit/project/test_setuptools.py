"""setup.cfg as a project of its own."""

from pathlib import Path

import pytest

from deep_lock.errors import ProjectInvalid
from deep_lock.models.build_system import LEGACY_REQUIRES
from deep_lock.project.setuptools import read_setup_cfg, read_setup_py

FIXTURES = Path(__file__).parents[3] / "fixtures" / "inputs"
TEXT = (FIXTURES / "setup.cfg").read_text("utf-8")


def test_a_static_setup_cfg_is_read() -> None:
    project = read_setup_cfg(TEXT, "setup.cfg")
    assert (project.name, project.version, project.requires_python) == ("old-style", None, ">=3.8")
    assert [f"{one} from {one.origin}" for one in project.dependencies] == [
        "requests>=2.20 from setup.cfg:9 [options.install_requires]",
        'importlib-metadata; python_version < "3.10" from setup.cfg:11 [options.install_requires]',
    ]
    assert {name: [str(one) for one in asked] for name, asked in project.extras} == {
        "test": ["pytest"],
        "all": ["pytest", "rich"],
    }
    assert project.build_system is None


def test_it_is_built_where_the_user_says_so() -> None:
    project = read_setup_cfg(TEXT, "setup.cfg", package=True)
    assert project.build_system is not None
    assert project.build_system.requires == LEGACY_REQUIRES
    assert project.build_system.requires_from == "default"


def test_a_setup_py_without_a_say_changes_nothing() -> None:
    assert read_setup_cfg(TEXT, "setup.cfg", setup_py="import setuptools\nsetuptools.setup()\n") == read_setup_cfg(
        TEXT, "setup.cfg"
    )


@pytest.mark.parametrize(
    ("text", "setup_py", "says"),
    [
        ("", None, "describes no project"),
        ("[flake8]\nmax = 1", None, "describes no project"),
        ("name = x", None, "setup.cfg:1: comes before the first section"),
        ("[options]\na=1\na=2", None, "setup.cfg:3: the option occurs twice"),
        ("[options]\nabc", None, "setup.cfg:2: is neither a section nor an option"),
        ("[options]\n[options]", None, "setup.cfg:2: the section occurs twice"),
        ("[metadata]\nname = a b", None, "'a b' is not a valid name"),
        ("[options]\ninstall_requires = attr: x.y", None, "is read by setuptools from elsewhere (attr:)"),
        ("[options]\ninstall_requires =\n  file: r.txt", None, "is read by setuptools from elsewhere (file:)"),
        ("[options]\ninstall_requires =\n  ok\n  not ok", None, "setup.cfg:4 [options.install_requires]"),
        ("[options]\npython_requires = soon", None, "options.python_requires 'soon'"),
        ("[options]\n[options.extras_require]\nA_b = x\na-b = y", None, "'A_b' and 'a-b' are the same extra"),
    ],
)
def test_faults(text: str, setup_py: str | None, says: str) -> None:
    with pytest.raises(ProjectInvalid) as caught:
        read_setup_cfg(text, "setup.cfg", setup_py=setup_py)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("setup_py", "unknown"),
    [
        (None, set()),
        ("setup()", set()),
        ("setup(install_requires=[])", {"dependencies"}),
        ("setup(extras_require={})", {"optional-dependencies"}),
        ("setup(**more)", {"dependencies", "optional-dependencies"}),
    ],
)
def test_what_setup_py_has_a_say_in_is_its_backends_to_tell(setup_py: str | None, unknown: set[str]) -> None:
    text = "[options]\ninstall_requires = a"
    project = read_setup_cfg(text, "setup.cfg", setup_py=setup_py)
    assert project.unknown == unknown
    assert (project.build_system is not None) == bool(unknown)
    if unknown:
        with pytest.raises(ProjectInvalid, match="the project is not a package"):
            read_setup_cfg(text, "setup.cfg", setup_py=setup_py, package=False)


def test_a_setup_py_alone_is_a_project_of_its_backend() -> None:
    project = read_setup_py("setup.py")
    assert project.unknown == {"dependencies", "optional-dependencies"}
    assert project.build_system is not None
    assert project.build_system.requires_from == "default"
    with pytest.raises(ProjectInvalid, match="is not a package"):
        read_setup_py("setup.py", package=False)
