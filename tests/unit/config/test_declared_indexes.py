"""What uv, Poetry and PDM declare about indexes becomes keys of deep-lock, and what cannot is a fault."""

import tomllib

import msgspec
import pytest

from deep_lock.config.config import IndexSetting, Workspace
from deep_lock.config.declared_indexes import DeclaredIndexes, declared_indexes, for_configuration

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
        (f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"', [corp()]),
        (f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\ndefault = true', [corp(default=True)]),
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
    assert [msgspec.to_builtins(index) for index in found.indexes] == [msgspec.to_builtins(index) for index in expected]
    assert found.faults == ()


@pytest.mark.parametrize(
    ("texts", "public"),
    [
        (['name = "corp"\nurl = "https://index.example/"'], "unused"),
        (['name = "corp"\nurl = "https://index.example/"', 'name = "PyPI"'], "used"),
        (['name = "corp"\nurl = "https://index.example/"', 'name = "PyPI"\npriority = "explicit"'], "assigned"),
        (['name = "corp"\nurl = "https://index.example/"\npriority = "supplemental"'], None),
        (['name = "corp"\nurl = "https://index.example/"\npriority = "explicit"'], None),
    ],
)
def test_primary_sources_of_poetry_replace_the_public_index(texts: list[str], public: str | None) -> None:
    assert read("".join(f"[[poetry.source]]\n{text}\n" for text in texts)).public == public


def test_a_login_is_not_copied_and_reported() -> None:
    found, left_out = for_configuration(
        read('[[uv.index]]\nname = "my corp"\nurl = "https://me:secret@index.example/simple/"')
    )
    assert [index.url for index in found.indexes] == [CORP]
    (message,) = left_out
    assert "secret" not in message
    assert "DEEP_LOCK_INDEX_MY_CORP_USERNAME" in message


@pytest.mark.parametrize("url", ["https://${USER}.example/simple/", "file:///opt/index", "../index"])
def test_an_index_without_a_plain_url_is_a_fault(url: str) -> None:
    found = read(f'[[uv.index]]\nname = "corp"\nurl = "{url}"\n[uv.sources]\nlib = {{index = "corp"}}')
    assert found.indexes == ()
    assert len(found.faults) == 1
    configured, left_out = for_configuration(found)
    assert configured.sources == {}
    assert len(left_out) == 2


def test_sources_of_uv() -> None:
    found = read(
        f'[[uv.index]]\nname = "corp"\nurl = "{CORP}"\n'
        '[uv.sources]\na = {index = "corp"}\nb = {git = "https://git.example/b", tag = "v1", lfs = false}\nc = [{workspace = true}]\n'
        'd = [{index = "corp", marker = "os_name == \'nt\'"}]\ne = {path = "../e", package = false}\n'
        '[uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/x"]\n'
    )
    assert found.sources == {
        "a": {"index": "corp"},
        "b": {"git": "https://git.example/b", "tag": "v1"},
        "c": {"workspace": True},
        "d": {"index": "corp", "marker": "os_name == 'nt'"},
    }
    assert for_configuration(found)[0].sources.keys() == {"a", "b", "c", "d"}
    assert found.workspace == Workspace(members=("packages/*",), exclude=("packages/x",))
    assert [fault.project for fault in found.faults] == ["e"]


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


def test_a_supplemental_source_of_poetry_is_a_fallback() -> None:
    (index,) = read(f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\npriority = "supplemental"').indexes
    assert (index.fallback, index.explicit) == (True, False)


def test_the_last_primary_source_of_poetry_is_the_default_one_of_a_configuration() -> None:
    text = f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\n[[poetry.source]]\nname = "other"\nurl = "{OTHER}"\n'
    found, left_out = for_configuration(read(text))
    assert [(index.name, index.default) for index in found.indexes] == [("corp", False), ("other", True)]
    assert left_out == ()


def test_sources_that_dependencies_of_poetry_name() -> None:
    found = read(
        f'[[poetry.source]]\nname = "corp"\nurl = "{CORP}"\n[[poetry.source]]\nname = "other"\nurl = "{OTHER}"\n'
        '[[poetry.source]]\nname = "PyPI"\n'
        '[poetry.dependencies]\npython = "^3.12"\na = {version = "1", source = "Corp"}\nb = "1"\n'
        'c = [{version = "1", source = "corp", python = "3.12"}, {version = "2", source = "other", python = "3.13"}]\n'
        '[poetry.group.dev.dependencies]\nd = {version = "1", source = "other"}\ne = {version = "1", source = "PyPI"}\n'
    )
    assert found.sources == {"a": {"index": "corp"}, "d": {"index": "other"}, "e": {"index": "default"}}
    assert [fault.project for fault in found.faults] == ["c"]
