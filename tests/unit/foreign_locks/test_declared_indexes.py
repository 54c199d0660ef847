"""What uv, Poetry and PDM declare about indexes becomes keys of deep-lock, and what cannot is reported."""

import tomllib

import pytest

from deep_lock.config.config import IndexSetting
from deep_lock.foreign_locks.declared_indexes import DeclaredIndexes, declared_indexes

CORP = "https://index.example/simple/"
OTHER = "https://other.example/simple/"


def read(text: str) -> DeclaredIndexes:
    return declared_indexes(tomllib.loads(text))


def corp(*, explicit: bool = False, default: bool = False) -> IndexSetting:
    return IndexSetting(name="corp", url=CORP, explicit=explicit, default=default)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'[[uv.index]]\nname = "corp"\nurl = "{CORP}"', [corp()]),
        (f'[[uv.index]]\nname = "corp"\nurl = "{CORP}"\nexplicit = true', [corp(explicit=True)]),
        (f'[[uv.index]]\nname = "corp"\nurl = "{CORP}"\ndefault = true', [corp(default=True)]),
        (f'[uv]\nindex-url = "{CORP}"', [IndexSetting(name="main", url=CORP, default=True)]),
        (f'[uv]\nextra-index-url = ["{CORP}"]', [IndexSetting(name="extra-1", url=CORP)]),
        (f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"', [corp(default=True)]),
        (f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\npriority = "explicit"', [corp(explicit=True)]),
        (f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\n[[poetry.source]]\nname = "PyPI"', [corp()]),
        (f'[[pdm.source]]\nname = "corp"\nurl = "{CORP}"', [corp()]),
        (f'[[pdm.source]]\nname = "pypi"\nurl = "{CORP}"', [IndexSetting(name="pypi", url=CORP, default=True)]),
        ("[uv]\nmanaged = true", []),
        ('uv = "x"\n[[poetry.source]]\nname = 1\nurl = 2', []),
    ],
)
def test_indexes_keep_what_they_are_used_for(text: str, expected: list[IndexSetting]) -> None:
    found = read(text)
    assert list(found.indexes) == expected
    assert found.left_out == ()


def test_a_login_is_not_copied_and_reported() -> None:
    found = read('[[uv.index]]\nname = "my corp"\nurl = "https://me:secret@index.example/simple/"')
    assert [index.url for index in found.indexes] == [CORP]
    (message,) = found.left_out
    assert "secret" not in message
    assert "DEEP_LOCK_INDEX_MY_CORP_USERNAME" in message


@pytest.mark.parametrize("url", ["https://${USER}.example/simple/", "file:///opt/index", "../index"])
def test_an_index_without_a_plain_url_is_left_out(url: str) -> None:
    found = read(f'[[uv.index]]\nname = "corp"\nurl = "{url}"\n[uv.sources]\nlib = {{index = "corp"}}')
    assert found.indexes == ()
    assert found.sources == {}
    assert len(found.left_out) == 2


def test_sources_of_uv() -> None:
    found = read(
        f'[[uv.index]]\nname = "corp"\nurl = "{CORP}"\n'
        '[uv.sources]\na = {index = "corp"}\nb = {git = "https://git.example/b", tag = "v1"}\nc = {workspace = true}\n'
        'd = [{index = "corp", marker = "os_name == \'nt\'"}]\ne = {path = "../e", package = false}\n'
        '[uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/x"]\n'
    )
    assert found.sources == {
        "a": {"index": "corp"},
        "b": {"git": "https://git.example/b", "tag": "v1"},
        "c": {"workspace": True},
    }
    assert found.members == ("packages/*",)
    assert len(found.left_out) == 3


def test_only_one_index_is_the_default_one() -> None:
    found = read(
        f'[uv]\nindex-url = "{OTHER}"\n[[uv.index]]\nname = "corp"\nurl = "{CORP}"\ndefault = true\n'
        f'[[pdm.source]]\nname = "pypi"\nurl = "{OTHER}"'
    )
    assert [(index.name, index.default) for index in found.indexes] == [
        ("corp", True),
        ("main", False),
        ("pypi", False),
    ]


def test_a_supplemental_source_of_poetry_is_reported() -> None:
    found = read(f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\npriority = "supplemental"')
    assert list(found.indexes) == [corp()]
    assert "after the others" in found.left_out[0]


def test_sources_that_dependencies_of_poetry_name() -> None:
    found = read(
        f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\n[[poetry.source]]\nname = "other"\nurl = "{OTHER}"\n'
        '[poetry.dependencies]\npython = "^3.12"\na = {version = "1", source = "corp"}\nb = "1"\n'
        'c = [{version = "1", source = "corp", python = "3.12"}, {version = "2", source = "other", python = "3.13"}]\n'
        '[poetry.group.dev.dependencies]\nd = {version = "1", source = "other"}\ne = {version = "1", source = "PyPI"}\n'
    )
    assert found.sources == {"a": {"index": "corp"}, "d": {"index": "other"}}
    assert [index.default for index in found.indexes] == [False, True]
    assert len(found.left_out) == 2
