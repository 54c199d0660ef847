"""pyproject.toml in all its kinds: what is read, and what is said about broken ones."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deep_lock.config.config import Config, read_config_file
from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.models.build_system import LEGACY_BACKEND, LEGACY_REQUIRES
from deep_lock.models.requirement import Requirement
from deep_lock.project.project import Project
from deep_lock.project.pyproject import read_pyproject

FIXTURES = Path(__file__).parents[3] / "fixtures" / "inputs"
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "faults.toml").read_text("utf-8"))["case"]


def unfolded(text: str) -> str:
    """Fixtures write "@3*ab@" for "ababab"."""
    return re.sub(r"@(\d+)\*([^@]+)@", lambda found: int(found[1]) * found[2], text)


def fixture(name: str) -> Project:
    return read_pyproject((FIXTURES / name).read_text("utf-8"), name)


def texts(requirements: tuple[Requirement, ...]) -> list[str]:
    return [str(requirement) for requirement in requirements]


class Folder:
    """An opener over a dict. It refuses what it was not given; a file that says LOCKED cannot be read."""

    def __init__(self, **files: str) -> None:
        self._files = {name.replace("_DOT_", "."): text for name, text in files.items()}

    def __call__(self, including: str, relative: str, /) -> str:
        assert including in {"pyproject.toml", "options.txt"}
        if relative not in self._files:
            raise FileNotFoundError(relative)
        if self._files[relative] == "LOCKED":
            raise PermissionError(relative)
        return self._files[relative]


def test_the_standard_tables_are_read() -> None:
    project = fixture("pep621.toml")
    assert (project.name, project.version, project.requires_python) == ("spam-eggs", "1.2.0", ">=3.11")
    assert texts(project.dependencies) == ["requests>=2.31", 'tomli; python_version < "3.11"', "orjson"]
    assert {name: texts(asked) for name, asked in project.extras} == {
        "fast": ["orjson"],
        "test": ["pytest", 'orjson; sys_platform == "linux"'],
        "all": ["orjson", "pytest"],
        "ring-a": ["one", "two"],
        "ring-b": ["two", "one"],
    }
    assert project.build_system is not None
    assert project.build_system.requires == ("backend>=1.2", "backend-plugin[toml]; python_version < '3.12'")
    assert (project.build_system.backend, project.build_system.backend_path) == (
        "backend.api",
        ("tools", "tools/more"),
    )
    assert project.build_system.requires_from == "pyproject"
    assert texts(project.build_requires) == ["backend>=1.2", 'backend-plugin[toml]; python_version < "3.12"']
    assert project.tools["deep-lock"] == {"python-versions": ["3.12"]}


def test_every_requirement_knows_where_it_stands() -> None:
    project = fixture("pep621.toml")
    origins = {
        str(asked): str(asked.origin)
        for asked in (
            *project.dependencies,
            *project.build_requires,
            *(asked for _, named in project.groups for asked in named),
        )
    }
    assert origins == {
        "requests>=2.31": "pep621.toml:12 [project.dependencies]",
        'tomli; python_version < "3.11"': "pep621.toml:13 [project.dependencies]",
        "orjson": "pep621.toml:18 [project.optional-dependencies.Fast]",
        "backend>=1.2": "pep621.toml:3 [build-system.requires]",
        'backend-plugin[toml]; python_version < "3.12"': "pep621.toml:3 [build-system.requires]",
        "ruff": "pep621.toml:26 [dependency-groups.lint]",
        "pytest": "pep621.toml:25 [dependency-groups.Dev_Tools]",
    }


def test_groups_are_expanded_and_broken_ones_are_set_aside() -> None:
    project = fixture("pep621.toml")
    # the group asks for the project itself: its dependencies and its extra stand in place of it
    assert {name: texts(asked) for name, asked in project.groups} == {
        "dev-tools": ["ruff", "pytest", "requests>=2.31", 'tomli; python_version < "3.11"', "orjson"],
        "lint": ["ruff"],
    }
    broken = dict(project.broken_groups)
    assert sorted(broken) == ["broken", "circle", "uses-broken"]
    assert "'set-phasers-to'" in broken[project.broken_groups[0][0]]
    assert "circle -> circle" in broken[project.broken_groups[2][0]]


def test_a_foreign_setting_that_is_not_used_is_a_warning() -> None:
    text = '[project]\nname = "a"\nversion = "1"\n[tool.uv]\noverride-dependencies = ["b"]\nconstraint-dependencies = ["c"]\n'
    subjects = [note.subject for note in read_pyproject(text, "x").notes]
    assert subjects == ["x [tool.uv.override-dependencies]", "x [tool.uv.constraint-dependencies]"]
    own = "[tool.deep-lock]\noverrides = []\n"
    assert [note.subject for note in read_pyproject(text + own, "x").notes] == ["x [tool.uv.constraint-dependencies]"]
    config = read_config_file("overrides = []\nconstraints = []\n", "deep-lock.toml")
    assert read_pyproject(text, "x", config=config).notes == ()
    assert fixture("pep621.toml").notes == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_faults_are_said_all_at_once(case: dict[str, Any]) -> None:
    with pytest.raises(ProjectInvalid) as caught:
        read_pyproject(unfolded(case["text"]), "broken.toml")
    missing = [words for words in case["says"] if words not in caught.value.message]
    assert not missing, caught.value.message
    assert caught.value.message.startswith("broken.toml")
    assert len(caught.value.message) < 4000


@pytest.mark.parametrize(
    ("text", "package", "expected"),
    [
        ("", None, None),
        ("", True, LEGACY_REQUIRES),
        ("", False, None),
        ("[tool.deep-lock]\npackage = true", None, LEGACY_REQUIRES),
        ("[tool.deep-lock]\npackage = true", False, None),
        ("[build-system]\nrequires = ['b']", None, ("b",)),
        ("[build-system]\nrequires = []", None, ()),
        ("[build-system]\nrequires = ['b']\n[tool.deep-lock]\npackage = false", None, None),
        ("[build-system]\n[tool.deep-lock]\npackage = false", None, None),
        ("[build-system]\nrequires = ['b']\n[tool.deep-lock]\npackage = false", True, ("b",)),
    ],
)
def test_what_is_built(text: str, package: bool | None, expected: tuple[str, ...] | None) -> None:  # noqa: FBT001  a table's column
    project = read_pyproject(
        "[project]\nname = 'a'\n" + text, "pyproject.toml", config=Config(source="deep-lock.toml", package=package)
    )
    if expected is None:
        assert project.build_system is None
        return
    assert project.build_system is not None
    assert project.build_system.requires == expected
    assert project.build_system.backend == LEGACY_BACKEND
    assert project.build_system.requires_from == ("default" if expected == LEGACY_REQUIRES else "pyproject")


def test_groups_alone_are_a_project() -> None:
    project = read_pyproject("[dependency-groups]\ndev = ['pytest']", "pyproject.toml")
    assert project.name is None
    assert project.build_system is None
    assert [name for name, _ in project.groups] == ["dev"]


def test_a_byte_order_mark_and_crlf_are_taken() -> None:
    project = read_pyproject("\ufeff[project]\r\nname = 'a'\r\ndependencies = [\r\n 'b',\r\n]\r\n", "pyproject.toml")
    assert str(project.dependencies[0].origin) == "pyproject.toml:4 [project.dependencies]"


def test_an_unknown_extra_of_its_own_is_a_note() -> None:
    project = read_pyproject("[project]\nname='a'\n[project.optional-dependencies]\nx=['a[y]','b']", "pyproject.toml")
    assert texts(project.extras[0][1]) == ["b"]
    assert [(note.code, note.subject) for note in project.notes] == [
        ("unknown-extra", "pyproject.toml:4 [project.optional-dependencies.x]")
    ]


def test_characters_that_deceive_are_noted() -> None:
    project = read_pyproject("[project]\nname='a' # \u202e\n", "pyproject.toml")
    assert [(note.code, note.subject) for note in project.notes] == [("bidi-in-input", "pyproject.toml:2")]


def test_limits() -> None:
    many = ",".join(f"'p{number}'" for number in range(2001))
    with pytest.raises(LimitExceeded, match=r"project\.dependencies: 2001 requirements"):
        read_pyproject(f"[project]\nname='a'\ndependencies=[{many}]", "pyproject.toml")
    with pytest.raises(LimitExceeded, match="at most 1048576"):
        read_pyproject("#" * 1048577, "pyproject.toml")


def test_dots_in_strings_comments_and_values_are_no_keys() -> None:
    dots = "." * 500
    text = f"[project] # {dots}\nname='a'\n[tool.x]\ny = '{dots}'\n\"{dots}\" = 1\nz = '''\n{dots}\n'''\nw = [{'1.5,' * 200}]"
    assert read_pyproject(text, "pyproject.toml").name == "a"


def test_extras_that_multiply_are_stopped() -> None:
    rows = [f"e{n} = [\"a[e{n + 1}]; python_version > '{n}'\", \"a[e{n + 1}]; os_name > '{n}'\"]" for n in range(30)]
    text = "[project]\nname='a'\n[project.optional-dependencies]\n" + "\n".join(rows) + "\ne30 = ['b']"
    with pytest.raises(LimitExceeded):
        read_pyproject(text, "pyproject.toml")


def test_markers_that_pile_up_are_stopped() -> None:
    rows = [f"e{n} = [\"a[e{n + 1}]; python_version > '{n}'\"]" for n in range(60)]
    text = "[project]\nname='a'\n[project.optional-dependencies]\n" + "\n".join(rows) + "\ne60 = ['b']"
    with pytest.raises(LimitExceeded, match="nested more than 50 deep"):
        read_pyproject(text, "pyproject.toml")


def test_a_ring_of_extras_under_markers_ends() -> None:
    text = "[project]\nname='a'\n[project.optional-dependencies]\n" + "\n".join(
        f"e{n} = [\"a[e{(n + 1) % 12}]; python_version > '3.{n}'\", 'p{n}']" for n in range(12)
    )
    extras = dict(read_pyproject(text, "pyproject.toml").extras)
    assert all(sorted(one.name for one in asked) == sorted(f"p{n}" for n in range(12)) for asked in extras.values())


DYNAMIC = "[project]\nname='a'\ndynamic=['dependencies','optional-dependencies','requires-python']\n"


def test_dynamic_fields_are_read_from_setup_cfg() -> None:
    cfg = (
        "[options]\npython_requires = >=3.9\ninstall_requires = b>1\n"
        "[options.extras_require]\nx =\n  c; python_version < '4'\n  a[y]\ny = d"
    )
    project = read_pyproject(DYNAMIC, "pyproject.toml", opener=Folder(setup_DOT_cfg=cfg))
    assert project.requires_python == ">=3.9"
    assert texts(project.dependencies) == ["b>1"]
    assert {name: texts(asked) for name, asked in project.extras} == {
        "x": ['c; python_version < "4"', "d"],
        "y": ["d"],
    }
    assert str(project.dependencies[0].origin) == "setup.cfg:3 [options.install_requires]"


def test_dynamic_fields_are_read_from_named_files() -> None:
    text = DYNAMIC + (
        "[tool.setuptools.dynamic]\ndependencies = { file = ['req.txt'] }\n"
        "optional-dependencies.x = { file = 'x.txt' }\n"
    )
    folder = Folder(req_DOT_txt="b>1 # why\n", x_DOT_txt="c\nd\n")
    project = read_pyproject(text, "pyproject.toml", opener=folder)
    assert texts(project.dependencies) == ["b>1"]
    assert [(name, texts(asked)) for name, asked in project.extras] == [("x", ["c", "d"])]
    assert [note.code for note in project.notes] == ["requires-python-dynamic"]


@pytest.mark.parametrize(
    ("directive", "says"),
    [
        ("{ attr = 'a.b' }", "tool.setuptools.dynamic.dependencies must be a table with one key, file"),
        ("{ file = [5] }", "tool.setuptools.dynamic.dependencies must be a table with one key, file"),
        ("{ file = 'none.txt' }", "tool.setuptools.dynamic.dependencies: includes 'none.txt', which does not exist"),
        ("{ file = '/etc/hostname' }", "includes a URL or an absolute path"),
        ("{ file = '../up.txt' }", "includes a file outside the project"),
        ("{ file = 'options.txt' }", "'options.txt' has options of pip"),
        ("{ file = 'locked.txt' }", "cannot be read (PermissionError)"),
        ("{ file = 'text.txt' }", "text.txt:1: the line is not a requirement"),
    ],
)
def test_named_files_that_are_refused(directive: str, says: str) -> None:
    text = "[project]\nname='a'\ndynamic=['dependencies']\n[tool.setuptools.dynamic]\ndependencies = " + directive
    folder = Folder(options_DOT_txt="-c x.txt", x_DOT_txt="x", locked_DOT_txt="LOCKED", text_DOT_txt="some words")
    with pytest.raises(ProjectInvalid) as caught:
        read_pyproject(text, "pyproject.toml", opener=folder)
    assert says in caught.value.message
    assert "is dynamic" not in caught.value.message


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "project.dependencies is dynamic"),
        ({"setup_DOT_cfg": "LOCKED"}, "setup.cfg: cannot be read (PermissionError)"),
        ({"setup_DOT_cfg": "[options]\ninstall_requires = file: r.txt"}, "is read by setuptools from elsewhere"),
        (
            {"setup_DOT_cfg": "[options]\ninstall_requires = b", "setup_DOT_py": "setup(install_requires=['c'])"},
            "project.dependencies is dynamic",
        ),
        (
            {"setup_DOT_cfg": "[options]\ninstall_requires = b", "setup_DOT_py": "setup(**arguments)"},
            "project.dependencies is dynamic",
        ),
    ],
)
def test_what_only_the_backend_knows_is_a_fault(files: dict[str, str], says: str) -> None:
    with pytest.raises(ProjectInvalid) as caught:
        read_pyproject(DYNAMIC, "pyproject.toml", opener=Folder(**files))
    assert says in caught.value.message


def test_a_setup_cfg_beside_a_bare_build_system() -> None:
    cfg = "[metadata]\nname = old\n[options]\ninstall_requires = b\n"
    folder = Folder(setup_DOT_cfg=cfg, setup_DOT_py="from setuptools import setup\nsetup()\n")
    project = read_pyproject("[build-system]\nrequires=['setuptools']", "pyproject.toml", opener=folder)
    assert (project.name, texts(project.dependencies)) == ("old", ["b"])
    assert project.build_system is not None


@pytest.mark.parametrize("text", ["", "[tool.mypy]\nstrict = true", "[build-system]\nrequires=['setuptools']"])
def test_a_setup_py_beside_settings_of_linters_is_the_project(text: str) -> None:
    folder = Folder(setup_DOT_py="setup(install_requires=['b'])")
    project = read_pyproject(text, "pyproject.toml", opener=folder)
    assert project.unknown == {"dependencies", "optional-dependencies"}
    assert project.build_system is not None
    with pytest.raises(ProjectInvalid, match="there is no build backend that knows it"):
        read_pyproject(text, "pyproject.toml", opener=folder, config=Config(source="deep-lock.toml", package=False))


def test_a_setup_py_beside_groups_alone_is_noted() -> None:
    folder = Folder(setup_DOT_py="setup(install_requires=['b'])")
    project = read_pyproject("[dependency-groups]\ndev=['c']", "pyproject.toml", opener=folder)
    assert [note.code for note in project.notes] == ["setup-py-unread"]
