"""Names that look like well-known ones: what is told, and what must not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from deep_lock.analysis.downloading_packages import DOWNLOADERS
from deep_lock.analysis.popular_projects import KNOWN_NAMES, NEIGHBOURS
from deep_lock.analysis.typosquatting import MAX_LENGTH, TWO_LETTERS, well_known

LIKE = {
    # one letter more, less, other, or two swapped
    "reqeusts": "requests",
    "requets": "requests",
    "requestss": "requests",
    "setuptool": "setuptools",
    "colourama": "colorama",
    # two in a long name
    "cryptograhpyy": "cryptography",
    "beautifulsuop": "beautifulsoup4",
    # separators, digits for letters, letters that look alike
    "set-uptools": "setuptools",
    "djang0": "django",
    "c1ick": "click",
    "nurnpy": "numpy",
    "typingextensions": "typing-extensions",
    # the plural and the singular, and affixes
    "request": "requests",
    "urllibs3": "urllib3",
    "python-requests": "requests",
    "requests-py": "requests",
    # one word of several
    "google-auht": "google-auth",
    "python-dateutill": "python-dateutil",
    "meson-pyhton": "meson-python",
    "hatch-vsc": None,
}
HONEST = [
    "app",
    "lib",
    "pytest-env",
    "pytest-cpp",
    "google-adk",
    "azure-cosmos",
    "types-lxml",
    "httpcore2",
    "aiofile",
    "psycopg2",
    "tokenize-rt",
    "simpy",
    "parse",
    "pyaml",
    "hjson",
    "panel",
    "attr",
    "flake8",
    "black",
    "isort",
    "ujson",
    "orjson",
    "rtoml",
    "h3",
    "py-redis",
    "tree-sitter-json",
]


@pytest.mark.parametrize(("name", "expected"), LIKE.items())
def test_look_alikes(name: str, expected: str | None) -> None:
    assert well_known(name) == expected


@pytest.mark.parametrize("name", HONEST)
def test_names_that_are_near_by_chance(name: str) -> None:
    assert well_known(name) is None


def test_the_lists_are_as_they_should_be() -> None:
    assert not KNOWN_NAMES & NEIGHBOURS
    for name in (*KNOWN_NAMES, *NEIGHBOURS, *DOWNLOADERS):
        assert canonicalize_name(name) == name
    assert {"setuptools", "hatchling", "flit-core", "poetry-core", "pdm-backend", "maturin", "cython"} <= KNOWN_NAMES


def test_names_in_the_lists_are_not_told() -> None:
    assert all(well_known(name) is None for name in (*KNOWN_NAMES, *NEIGHBOURS))


def test_every_neighbour_would_be_told_without_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deep_lock.analysis.typosquatting.NEIGHBOURS", frozenset())
    assert [name for name in NEIGHBOURS if well_known(name) is None] == []


@given(st.sampled_from(sorted(name for name in KNOWN_NAMES if len(name) >= TWO_LETTERS and "-" not in name)), st.data())
def test_any_one_letter_of_a_long_name_is_told(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"))
    changed = name[:place] + letter + name[place + 1 :]
    if changed not in KNOWN_NAMES and changed not in NEIGHBOURS:
        assert well_known(changed) is not None


@given(st.text(st.sampled_from("abc019-"), max_size=3 * MAX_LENGTH))
def test_any_name_has_an_answer(name: str) -> None:
    assert well_known(name) in {None, *KNOWN_NAMES}
