"""Which indexes a run uses, and how the lock names them: tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from deep_lock.config.config import read_config
from deep_lock.config.options import NetworkOptions, RunContext
from deep_lock.errors import ConfigError, UsageError
from deep_lock.index.settings import IndexSettings
from deep_lock.locking.indexes import locked_indexes, locked_links, network_settings, with_lock_indexes
from deep_lock.models.lock import Lock, LockedInputs
from deep_lock.network.public_index import public_index

CONTEXT = RunContext(cache_folder=Path("/cache"), now=datetime(2026, 11, 22, tzinfo=UTC))
PROJECT = Path("/project")
DEFAULT = "https://index.example/simple/"
CORP = "https://corp.example/simple/"


def index_settings(
    network: NetworkOptions, table: Mapping[str, Any] | None = None, folder: Path = PROJECT
) -> IndexSettings:
    return network_settings(network, read_config(table or {}, "pyproject.toml"), folder, CONTEXT).indexes


def indexes(network: NetworkOptions, table: Mapping[str, Any] | None = None) -> list[tuple[str, str, bool]]:
    found = index_settings(network, table)
    return [(source.name, source.url, source.explicit) for source in found.sources]


@pytest.mark.parametrize(
    ("network", "table", "expected"),
    [
        ({"default_index": DEFAULT}, {}, [("default", DEFAULT, False)]),
        ({"default_index": DEFAULT[:-1]}, {}, [("default", DEFAULT, False)]),
        ({}, {"index": [{"name": "main", "url": DEFAULT, "default": True}]}, [("default", DEFAULT, False)]),
        (
            {"default_index": DEFAULT, "indexes": (f"corp={CORP}", "https://other.example/a=b/")},
            {},
            [("corp", CORP, False), ("index-2", "https://other.example/a=b/", False), ("default", DEFAULT, False)],
        ),
        (
            {"default_index": DEFAULT},
            {
                "index": [
                    {"name": "corp", "url": CORP, "explicit": True},
                    {"name": "main", "url": CORP, "default": True},
                ]
            },
            [("corp", CORP, True), ("default", DEFAULT, False)],
        ),
        (
            {"default_index": DEFAULT, "indexes": (f"corp={DEFAULT}",)},
            {"index": [{"name": "corp", "url": CORP}]},
            [("corp", DEFAULT, False), ("default", DEFAULT, False)],
        ),
        ({"default_index": "https://user:secret@index.example/simple"}, {}, [("default", DEFAULT, False)]),
        ({"no_index": True}, {"index": [{"name": "corp", "url": CORP}]}, []),
        ({}, {"no-index": True}, []),
        ({"default_index": DEFAULT}, {"no-index": True}, [("default", DEFAULT, False)]),
    ],
)
def test_which_indexes_are_asked(
    network: dict[str, Any], table: dict[str, Any], expected: list[tuple[str, str, bool]]
) -> None:
    assert indexes(NetworkOptions(**network), table) == expected


def test_without_any_word_the_public_index_is_asked() -> None:
    assert indexes(NetworkOptions()) == [("default", public_index(), False)]


def test_a_name_may_be_sent_to_the_default_index_by_its_own_name() -> None:
    table = {"index": [{"name": "main", "url": DEFAULT, "default": True}], "sources": {"Lib": {"index": "main"}}}
    assert index_settings(NetworkOptions(), table).pinned == {"lib": "default"}


def test_an_index_that_an_option_replaces_stays_for_what_is_assigned_to_it() -> None:
    table: dict[str, Any] = {"index": [{"name": "main", "url": CORP, "default": True}]}
    replaced = NetworkOptions(default_index=DEFAULT)
    assert indexes(replaced, table) == [("default", DEFAULT, False)]
    assigned = {**table, "sources": {"lib": {"index": "main"}}}
    assert indexes(replaced, assigned) == [("main", CORP, True), ("default", DEFAULT, False)]
    assert index_settings(replaced, assigned).pinned == {"lib": "main"}


def test_a_fallback_is_the_last_index() -> None:
    table = {"index": [{"name": "late", "url": CORP, "fallback": True}, {"name": "early", "url": CORP}]}
    names = [name for name, _, _ in indexes(NetworkOptions(), table)]
    assert names == ["early", "default", "late"]
    assert indexes(NetworkOptions(default_index=DEFAULT), table)[-1] == ("late", CORP, False)


def test_patterns_assign_projects_to_an_index_or_keep_them_from_it() -> None:
    table = {
        "index": [
            {"name": "corp", "url": CORP, "include-packages": ["corp-*"]},
            {"name": "open", "url": DEFAULT, "default": True, "exclude-packages": ["secret-*"]},
        ]
    }
    found = index_settings(NetworkOptions(), table)
    names = ("corp-lib", "lib", "secret-lib")
    assert [[source.name for source in found.sources_of(canonicalize_name(name))] for name in names] == [
        ["corp"],
        ["corp", "default"],
        ["corp"],
    ]


def test_faults_in_what_was_asked() -> None:
    with pytest.raises(UsageError, match="--no-index"):
        indexes(NetworkOptions(no_index=True, default_index=DEFAULT))
    with pytest.raises(ConfigError, match="not defined"):
        indexes(NetworkOptions(default_index=DEFAULT), {"sources": {"lib": {"index": "corp"}}})


def test_the_lock_tells_of_indexes_without_credentials() -> None:
    network = NetworkOptions(default_index="https://u:p@index.example/simple/", indexes=(f"z={CORP}", f"b={CORP}"))
    found = locked_indexes(index_settings(network))
    assert found == (("default", DEFAULT), ("b", CORP), ("z", CORP))


def test_folders_of_files_are_taken_from_the_project() -> None:
    network = NetworkOptions(find_links=("wheels", "https://files.example/links.html"), no_index=True)
    found = index_settings(network).find_links
    assert found == (str(Path("/project/wheels").resolve()), "https://files.example/links.html")


def test_the_lock_sees_folders_from_where_it_stands() -> None:
    links = ("wheels", ".", "../a b", Path("/else/x").absolute().as_uri(), "https://u:p@files.example/links.html")
    found = index_settings(NetworkOptions(find_links=links))
    expected = ("wheels", ".", "../a b", "../else/x", "https://files.example/links.html")
    assert locked_links(found, Path("/project").resolve()) == expected


def test_a_folder_that_no_lock_can_name_is_refused() -> None:
    found = index_settings(NetworkOptions(find_links=("~x",)))
    with pytest.raises(ConfigError, match="must be a relative path"):
        locked_links(found, Path("/project").resolve())


def test_a_folder_behind_a_symbolic_link_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "links").symlink_to(tmp_path / "real", target_is_directory=True)
    network = NetworkOptions(find_links=("links",))
    found = index_settings(network, folder=tmp_path / "project")
    assert locked_links(found, (tmp_path / "project").resolve()) == ("links",)


def test_the_indexes_of_a_lock_are_used_where_nothing_names_one() -> None:
    lock = Lock(inputs=LockedInputs(), indexes=(("default", DEFAULT), ("corp", CORP)))
    plain, config = NetworkOptions(), read_config({}, "pyproject.toml")
    own = with_lock_indexes(plain, config, lock)
    assert (own.indexes, own.only_named) == ((f"of-the-lock-1={CORP}", f"of-the-lock-2={DEFAULT}"), True)
    named = NetworkOptions(default_index=CORP)
    assert with_lock_indexes(named, config, lock) is named
    assert with_lock_indexes(plain, read_config({"no-index": True}, "pyproject.toml"), lock) is plain
