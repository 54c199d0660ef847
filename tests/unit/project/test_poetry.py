"""Poetry's tables and its constraints."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.version import Version

from deep_lock.errors import LimitExceeded, RequirementInvalid
from deep_lock.models.requirement import Requirement
from deep_lock.parsing.poetry_constraints import to_python_marker, to_python_specifier, to_specifier
from deep_lock.project.project import Project
from deep_lock.project.pyproject import read_pyproject

FIXTURES = Path(__file__).parents[3] / "fixtures" / "inputs"
TABLES: dict[str, list[tuple[str, str]]] = tomllib.loads((FIXTURES / "constraints.toml").read_text("utf-8"))


def fixture(name: str) -> Project:
    return read_pyproject((FIXTURES / name).read_text("utf-8"), name)


def texts(requirements: tuple[Requirement, ...]) -> list[str]:
    return [str(requirement) for requirement in requirements]


def test_a_project_of_poetry_1() -> None:
    project = fixture("poetry1.toml")
    assert (project.name, project.version, project.requires_python) == ("ham", "0.4.0", "<4.0,>=3.9")
    assert texts(project.dependencies) == [
        "requests<3.0.0,>=2.31.0",
        "flexible",
        "pinned==1.4",
        'tables[fast-io]<3.5,>=3.4; (platform_machine == "x86_64" or sys_platform == "darwin") and python_version < "3.12"',
        'split<2; python_version < "3.11"',
        'split<3.0,>=2.0; python_version >= "3.11"',
        'posix<3,>=1; sys_platform == "linux" or sys_platform == "darwin"',
    ]
    assert {name: texts(asked) for name, asked in project.extras} == {
        "pg": ["psycopg2<3.0,>=2.9"],
        "db": ["psycopg2<3.0,>=2.9", "mysqlclient<3.0,>=2.2"],
    }
    assert {name: texts(asked) for name, asked in project.groups} == {
        "docs": ["sphinx>=7"],
        "ci": ["tox<5,>=4", "sphinx>=7"],
        "dev": ["pytest<9,>=8"],
        "local": ["neighbour @ ../neighbour"],
    }
    assert project.broken_groups == ()
    assert project.prerelease_names == {"split"}
    assert {note.code for note in project.notes} == {"unknown-extra-member"}
    assert str(project.dependencies[0].origin) == "poetry1.toml:7 [tool.poetry.dependencies]"
    assert project.build_system is not None


def test_a_project_of_poetry_2() -> None:
    project = fixture("poetry2.toml")
    assert (project.name, project.version, project.requires_python) == ("bacon", "2.0.1", ">=3.10")
    assert texts(project.dependencies) == ["attrs>=23"]
    assert project.prerelease_names == {"attrs"}
    assert {name: texts(asked) for name, asked in project.groups} == {"dev": ["pytest<9.0,>=8.1"], "docs": ["sphinx"]}


def test_dynamic_dependencies_are_poetrys() -> None:
    text = (
        "[project]\nname='a'\ndynamic=['dependencies','requires-python']\n"
        "[tool.poetry.dependencies]\npython='^3.11'\nb='^1'\n"
        "[build-system]\nrequires=['poetry-core']\nbuild-backend='poetry.core.masonry.api'"
    )
    project = read_pyproject(text, "pyproject.toml")
    assert texts(project.dependencies) == ["b<2,>=1"]
    assert project.requires_python == "<4.0,>=3.11"


def test_package_mode_off_builds_nothing() -> None:
    text = "[tool.poetry]\npackage-mode=false\n[build-system]\nrequires=['poetry-core']"
    assert read_pyproject(text, "pyproject.toml").build_system is None


@pytest.mark.parametrize(("text", "expected"), TABLES["specifiers"])
def test_specifiers(text: str, expected: str) -> None:
    if expected == "-":
        with pytest.raises(RequirementInvalid):
            to_specifier(text)
    else:
        assert str(to_specifier(text)) == expected


@pytest.mark.parametrize(("text", "expected"), TABLES["pythons"])
def test_pythons(text: str, expected: str) -> None:
    if expected == "-":
        with pytest.raises(RequirementInvalid):
            to_python_specifier(text)
    else:
        assert to_python_specifier(text) == expected


@pytest.mark.parametrize(("text", "expected"), TABLES["markers"])
def test_markers(text: str, expected: str) -> None:
    if expected == "-":
        with pytest.raises(RequirementInvalid):
            to_python_marker(text)
    else:
        assert to_python_marker(text) == expected
        if expected:
            Marker(expected)


def test_a_constraint_without_end() -> None:
    with pytest.raises(LimitExceeded):
        to_specifier("^1," * 1000)


numbers = st.integers(0, 3)
releases = st.lists(numbers, min_size=1, max_size=4).map(tuple)
finals = st.tuples(numbers, numbers, numbers)


def dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))


def caret_admits(base: tuple[int, ...], release: tuple[int, ...]) -> bool:
    """Independent of bounds: nothing up to and including the first number that is not zero may differ."""
    shown = base[:3]
    fixed = next((place + 1 for place, number in enumerate(shown) if number), len(shown))
    padded = (*release, 0, 0, 0, 0)
    return padded[:fixed] == base[:fixed] and padded[:4] >= (*base, 0, 0, 0)[:4]


def tilde_admits(base: tuple[int, ...], release: tuple[int, ...]) -> bool:
    """Only what stands behind the minor number may grow; of a lone major number, all behind it."""
    fixed = min(len(base), 2)
    padded = (*release, 0, 0, 0, 0)
    return padded[:fixed] == base[:fixed] and padded[:4] >= (*base, 0, 0, 0)[:4]


@given(releases, finals)
def test_caret_and_tilde_against_an_oracle(base: tuple[int, ...], release: tuple[int, ...]) -> None:
    version = Version(dotted(release))
    assert (version in to_specifier(f"^{dotted(base)}")) == caret_admits(base, release)
    assert (version in to_specifier(f"~{dotted(base)}")) == tilde_admits(base, release)


clauses = st.builds(
    lambda operator, release: operator + dotted(release),
    st.sampled_from(["^", "~", ">=", ">", "<", "<=", "=="]),
    releases,
)


@given(st.lists(clauses, min_size=2, max_size=3), finals)
def test_a_union_admits_what_one_of_its_parts_admits(parts: list[str], release: tuple[int, ...]) -> None:
    try:
        union = to_specifier(" || ".join(parts))
    except RequirementInvalid as error:
        assert "cannot be expressed" in error.message  # noqa: PT017  the other outcome is an answer, not an error
        return
    version = Version(dotted(release))
    assert (version in union) == any(version in to_specifier(part) for part in parts)


pythons = st.tuples(st.just(3), st.integers(6, 15), st.integers(0, 3))
bounds = st.builds(
    lambda operator, release: operator + dotted(release),
    st.sampled_from(["^", "~", ">=", ">", "<", "<="]),
    st.one_of(pythons, pythons.map(lambda release: release[:2])),
)


@given(st.lists(bounds, min_size=1, max_size=3), pythons)
def test_a_python_marker_says_what_the_constraint_says(parts: list[str], python: tuple[int, ...]) -> None:
    environment = {"python_version": dotted(python[:2]), "python_full_version": dotted(python)}
    marker = Marker(to_python_marker(" || ".join(parts)))
    assert marker.evaluate(environment) == any(Version(dotted(python)) in to_specifier(part) for part in parts)
