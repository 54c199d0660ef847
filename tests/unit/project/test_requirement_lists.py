"""Lists of requirements: the place and the text of a new one, and what is not in the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deep_lock.errors import ProjectInvalid, RequirementInvalid, UserError
from deep_lock.project import edit
from deep_lock.project.requirement_lists import (
    ListName,
    texts,
    with_requirement,
    with_version,
    without_requirement,
)

Make = Callable[[str], edit.Document]
BASE, BUILD = ListName(), ListName(kind="build")
DEV, CLI = ListName(kind="group", name="dev"), ListName(kind="extra", name="cli")
HEAD = '[project]\nname = "app"\nversion = "1"\n'


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def document(text: str) -> edit.Document:
        path = tmp_path / "pyproject.toml"
        path.write_bytes(text.encode())
        return edit.open_document(path)

    return document


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        ([], "b", ["b"]),
        (["a", "c"], "b", ["a", "b", "c"]),
        (["a", "b"], "c", ["a", "b", "c"]),
        (["c", "a"], "b", ["c", "a", "b"]),
        (["c"], "b", ["b", "c"]),
        (["Alpha", "beta>=1", "Gamma"], "delta", ["Alpha", "beta>=1", "delta", "Gamma"]),
        (["ruff", "ruff-lsp", "zope"], "ruff_x", ["ruff", "ruff-lsp", "ruff_x", "zope"]),
        (["a-b>=1", "a>=1"], "a_c", ["a-b>=1", "a>=1", "a_c"]),
        # at its place
        (["c", "a>=1", "b"], "a<2", ["c", "a<2", "b"]),
        (["A.B>=1"], "a-b==2", ["a-b==2"]),
        (["a[x,y]>=1"], "a[z]>=2", ["a[x,y,z]>=2"]),
        (["a[x]>=1"], "a>=2; python_version > '3'", ["a[x]>=1", "a>=2; python_version > '3'"]),
        (["a>=1; python_version>'3'"], 'a>=2; python_version > "3"', ['a>=2; python_version > "3"']),
        (["a @ https://files.example/a.zip"], "a>=2", ["a>=2"]),
        (["a>=1"], "a @ https://files.example/a.zip", ["a @ https://files.example/a.zip"]),
        # without a version, the old one stays
        (["a>=1,<2"], "a", ["a>=1,<2"]),
        (["a >= 1 ; python_version > '3'"], "A[z] ; python_version>'3'", ["a[z] >= 1 ; python_version > '3'"]),
        (["a @ https://files.example/a.zip ; os_name == 'nt'"], "a", None),
    ],
)
def test_the_place_and_the_text(make: Make, before: list[str], new: str, after: list[str] | None) -> None:
    edited = with_requirement(make(f"{HEAD}dependencies = {before}\n"), BASE, new)
    assert list(texts(edited, BASE)) == (after if after is not None else [*before, new])


def test_a_requirement_that_is_there_changes_nothing(make: Make) -> None:
    document = make(f"{HEAD}dependencies = ['a[x] >=1']\n")
    assert with_requirement(document, BASE, "a") is document
    assert with_requirement(document, BASE, "a[x] >=1").text == document.text


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a", "a>=2"),
        (" a.B[x, y] ", "a.B[x, y]>=2"),
        ("a;python_version>'3'", "a>=2;python_version>'3'"),
        ("a [x] ; os_name=='nt'", "a [x]>=2 ; os_name=='nt'"),
    ],
)
def test_a_version_is_written_below_the_extras(text: str, after: str) -> None:
    assert with_version(text, ">=2").strip() == after


@pytest.mark.parametrize(
    ("before", "where", "after"),
    [
        (HEAD, BASE, f'{HEAD}dependencies = ["b"]\n'),
        (HEAD, CLI, f'{HEAD}\n[project.optional-dependencies]\ncli = ["b"]\n'),
        (HEAD, DEV, f'{HEAD}\n[dependency-groups]\ndev = ["b"]\n'),
        (HEAD.removesuffix("\n"), DEV, f'{HEAD}\n[dependency-groups]\ndev = ["b"]'),
        ("", DEV, '[dependency-groups]\ndev = ["b"]\n'),
        (
            f"{HEAD}\n[project.scripts]\n\n# of x\n[tool.x]\n",
            CLI,
            f'{HEAD}\n[project.scripts]\n\n[project.optional-dependencies]\ncli = ["b"]\n\n# of x\n[tool.x]\n',
        ),
        (
            f"[tool.x]\na = 1\n\n{HEAD}\n[tool.y]\n",
            DEV,
            f'[tool.x]\na = 1\n\n{HEAD}\n[dependency-groups]\ndev = ["b"]\n\n[tool.y]\n',
        ),
        (
            f'{HEAD}\n[dependency-groups]\ntest = ["x"]\n\n[tool.y]\n',
            DEV,
            f'{HEAD}\n[dependency-groups]\ntest = ["x"]\ndev = ["b"]\n\n[tool.y]\n',
        ),
        (
            f"{HEAD}optional-dependencies.x = []\n",
            CLI,
            f'{HEAD}optional-dependencies.x = []\noptional-dependencies.cli = ["b"]\n',
        ),
        ("[dependency-groups]\nDEV = []\n", DEV, '[dependency-groups]\nDEV = ["b"]\n'),
        ("[build-system]\nrequires = ['a']\n", BUILD, "[build-system]\nrequires = ['a', 'b']\n"),
    ],
)
def test_a_missing_list_is_created_where_a_person_would_put_it(
    make: Make, before: str, where: ListName, after: str
) -> None:
    assert with_requirement(make(before), where, "b").text == after


def test_a_group_of_the_standard_table_is_edited_in_a_project_of_poetry(make: Make) -> None:
    text = f"[tool.poetry.group.dev]\noptional = true\n{HEAD}[dependency-groups]\nDev = []\n"
    assert with_requirement(make(text), DEV, "b").text == text.replace("[]", '["b"]')


def test_includes_of_groups_stay(make: Make) -> None:
    document = make('[dependency-groups]\ndev = [\n  {include-group = "x"},\n  "c",\n]\n')
    edited = with_requirement(document, DEV, "b")
    assert edited.text == '[dependency-groups]\ndev = [\n  {include-group = "x"},\n  "b",\n  "c",\n]\n'
    assert without_requirement(edited, DEV, "b").text == document.text


def test_every_requirement_of_a_name_is_removed(make: Make) -> None:
    document = make(f"{HEAD}dependencies = [\"a>=1; os_name=='nt'\", 'b', \"A[x]; os_name!='nt'\"]\n")
    assert without_requirement(document, BASE, "a").text == f"{HEAD}dependencies = ['b']\n"


POETRY = '[tool.poetry]\nname = "app"\n[tool.poetry.dependencies]\na = "*"\n[tool.poetry.group.dev.dependencies]\n'
DYNAMIC = f'{HEAD}dynamic = ["dependencies", "optional-dependencies"]\n'


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        (POETRY, BASE, "tool.poetry.dependencies", "poetry add"),
        (POETRY, DEV, "tool.poetry.group.dev", "poetry add"),
        ("[tool.poetry.dev-dependencies]\n", DEV, "tool.poetry.dev-dependencies", "poetry add"),
        (DYNAMIC, BASE, "project.dependencies is dynamic", "take it out of project.dynamic"),
        (DYNAMIC, CLI, "project.optional-dependencies is dynamic", "edit it there"),
        (
            f'{DYNAMIC}[tool.setuptools.dynamic]\ndependencies = {{file = ["r.txt"]}}\n',
            BASE,
            "project.dependencies is dynamic: r.txt has it",
            "edit it there",
        ),
        ("[tool.x]\n", BASE, "has no [project] table", "--group NAME"),
        (HEAD, BUILD, "has no [build-system] table", "build-backend"),
        (
            f"{HEAD}dependencies = ['b>=1', 'b<2']\n",
            BASE,
            "b is required more than once under the same marker in the dependencies",
            "by hand",
        ),
        (f"{HEAD}dependencies = 'b'\n", BASE, "must be a list", ""),
        (f"{HEAD}optional-dependencies = []\n", CLI, "project.optional-dependencies must be a table, not a list", ""),
        ("project = 'b'\n", BASE, "project must be a table, not a string", ""),
        ("build-system = 'b'\n", BUILD, "build-system must be a table, not a string", ""),
    ],
)
def test_what_cannot_be_edited_is_explained(make: Make, text: str, where: ListName, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        with_requirement(make(text), where, "b")
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("./folder", "not a valid requirement"),
        ("https://files.example/a.zip", "not a valid requirement"),
        ("a>=x", "not a valid requirement"),
        ("a @ https://me:secret@files.example/a.zip", "has a login"),
    ],
)
def test_arguments_that_are_no_requirement(make: Make, text: str, message: str) -> None:
    with pytest.raises(RequirementInvalid) as caught:
        with_requirement(make(HEAD), BASE, text)
    assert message in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("where", "name", "message", "hint"),
    [
        (BASE, "requsts", "requsts is not in the dependencies", "did you mean requests?"),
        (BASE, "quite-other", "quite-other is not in the dependencies", ""),
        (
            BASE,
            "Pytest",
            "pytest is not in the dependencies, but in the dependency group dev and [build-system] requires",
            "run deep-lock remove pytest --group dev or deep-lock remove pytest --build",
        ),
        (
            DEV,
            "requests",
            "is not in the dependency group dev, but in the dependencies",
            "run deep-lock remove requests",
        ),
        (ListName(kind="group", name="none"), "x", "x is not in the dependency group none", ""),
        (BASE, "requests>=2", "is not a name", ""),
        (BASE, "", "'' is not a name", ""),
    ],
)
def test_a_name_that_is_not_in_the_list(make: Make, where: ListName, name: str, message: str, hint: str) -> None:
    text = (
        f'{HEAD}dependencies = ["requests"]\n[dependency-groups]\ndev = ["pytest"]\n[build-system]\nrequires=["pytest"]'
    )
    with pytest.raises(UserError) as caught:
        without_requirement(make(text), where, name)
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_a_script_has_dependencies_alone(tmp_path: Path) -> None:
    path = tmp_path / "tool.py"
    path.write_text("# /// script\n# requires-python = '>=3.12'\n# ///\n", encoding="utf-8")
    document = edit.open_document(path, script=True)
    edited = edit.to_bytes(with_requirement(document, BASE, "b")).decode()
    assert edited == "# /// script\n# requires-python = '>=3.12'\n# dependencies = [\"b\"]\n# ///\n"
    with pytest.raises(UserError, match="a script has dependencies alone"):
        with_requirement(document, DEV, "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\na = 2\n", "not valid TOML"),
        ("a = [\n", "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_read(make: Make, text: str, message: str) -> None:
    with pytest.raises(ProjectInvalid, match=message):
        make(text)
