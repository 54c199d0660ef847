"""Options over configuration over defaults, and the indexes that they give: tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deep_lock.config.config import read_config
from deep_lock.config.options import (
    InputOptions,
    LockOptions,
    NetworkOptions,
    ResolveOptions,
    RunContext,
    UpgradeOptions,
)
from deep_lock.errors import ConfigError, UsageError
from deep_lock.index.settings import IndexSettings
from deep_lock.locking.indexes import locked_indexes, locked_links, network_settings, with_lock_indexes
from deep_lock.locking.read_inputs import ProjectInputs
from deep_lock.locking.settings import Settings, Upgrade, read_upgrade, resolve_settings
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget
from deep_lock.network.public_index import public_index
from deep_lock.project.local_trees import LocalTrees
from deep_lock.project.project import Project
from deep_lock.targets.factory import HostFacts

NOW = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)
HOST = HostFacts(
    implementation="cpython",
    python_full_version="3.12.4",
    free_threaded=False,
    platform="x86_64-manylinux_2_39",
    machine="x86_64",
)
DEFAULT = "https://index.example/simple/"


CONTEXT = RunContext(cache_folder=Path("/cache"), now=NOW)
INPUTS = InputOptions(folder=Path("/project"))


def settings(
    table: Mapping[str, Any] | None = None,
    resolve: Mapping[str, Any] | None = None,
    previous: Lock | None = None,
    requires_python: str | None = None,
) -> Settings:
    options = LockOptions(inputs=INPUTS, resolve=ResolveOptions(**(resolve or {})), context=CONTEXT)
    return resolve_settings(options, inputs(table, requires_python), previous, upgrade=Upgrade(), host=HOST)


def inputs(table: Mapping[str, Any] | None = None, requires_python: str | None = None, **more: Any) -> ProjectInputs:
    config = read_config(table or {}, "pyproject.toml")
    return ProjectInputs(
        options=INPUTS,
        project=Project(source="pyproject.toml", requires_python=requires_python),
        config=config,
        scopes=(),
        trees=LocalTrees(Path("/project"), Path("/project"), config),
        sources=("pyproject.toml",),
        **more,
    )


def old_lock(**options: Any) -> Lock:
    return Lock(inputs=LockedInputs(), options=tuple(sorted((key.replace("_", "-"), options[key]) for key in options)))


@pytest.mark.parametrize(
    ("table", "resolve", "field", "value"),
    [
        ({}, {}, "resolution", "highest"),
        ({"resolution": "lowest"}, {}, "resolution", "lowest"),
        ({"resolution": "lowest"}, {"resolution": "highest"}, "resolution", "highest"),
        ({}, {}, "prereleases", "if-necessary"),
        ({"prerelease": "allow"}, {}, "prereleases", "allow"),
        ({"prerelease": "allow"}, {"prereleases": "disallow"}, "prereleases", "disallow"),
        ({}, {}, "build_scope", "needed"),
        ({"build-scope": "all"}, {"build_scope": "none"}, "build_scope", "none"),
        ({"no-binary": ["A_b"]}, {"no_binary": ("C.d", ":all:")}, "no_binary", {"a-b", "c-d", ":all:"}),
        ({"only-binary": ":all:"}, {}, "only_binary", {":all:"}),
        ({"allow-wheel": ["Torch"]}, {}, "allow_wheel", {"torch"}),
        ({}, {"exclude_newer": "2024-06-01"}, "exclude_newer", datetime(2024, 6, 2, tzinfo=UTC)),
        ({}, {"exclude_newer": "2024-06-01T10:00:00+02:00"}, "exclude_newer", datetime(2024, 6, 1, 8, tzinfo=UTC)),
        ({"exclude-newer": "P7D"}, {}, "exclude_newer", datetime(2026, 11, 15, 12, tzinfo=UTC)),
        (
            {"exclude-newer": "2024-01-01"},
            {"exclude_newer": "P1D"},
            "exclude_newer",
            datetime(2026, 11, 21, 12, tzinfo=UTC),
        ),
        (
            {"exclude-newer-package": {"A": False, "b": "2024-01-01"}},
            {"exclude_newer_package": ("B=2025-01-01",)},
            "exclude_newer_package",
            (("a", None), ("b", datetime(2025, 1, 2, tzinfo=UTC))),
        ),
    ],
)
def test_the_selection_of_a_run(table: dict[str, Any], resolve: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(settings(table, resolve).selection, field) == value


@pytest.mark.parametrize(
    ("table", "resolve", "field", "value"),
    [
        ({}, {}, "observe", False),
        ({"observe": True}, {}, "observe", True),
        ({}, {"require_evidence": True}, "require_evidence", True),
        ({}, {}, "build_resolution", "shared"),
        ({"build-resolution": "highest"}, {}, "build_resolution", "highest"),
        ({"fork-strategy": "fewest"}, {"fork_strategy": "newest"}, "fork_strategy", "newest"),
        ({"files": "all"}, {}, "files", "all"),
        ({}, {}, "targets_declared", False),
        ({"platforms": ["x86_64-windows"]}, {}, "targets_declared", True),
    ],
)
def test_the_settings_of_a_run(table: dict[str, Any], resolve: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(settings(table, resolve), field) == value


def test_an_age_stays_what_it_was_when_it_was_locked() -> None:
    kept = datetime(2026, 1, 1, tzinfo=UTC)
    old = old_lock(exclude_newer=kept, exclude_newer_package=("a=2026-02-01T00:00:00+00:00", "b=false"))
    selection = settings({}, {"exclude_newer": "P7D", "exclude_newer_package": ("a=P1D", "b=P1D")}, old).selection
    assert selection.exclude_newer == kept
    assert dict(selection.exclude_newer_package) == {
        "a": datetime(2026, 2, 1, tzinfo=UTC),
        "b": datetime(2026, 11, 21, 12, tzinfo=UTC),
    }


@pytest.mark.parametrize("text", ["lib", "lib:2024-01-01"])
def test_a_limit_for_a_package_needs_a_name_and_a_time(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=DATE"):
        settings({}, {"exclude_newer_package": (text,)})


def test_what_is_upgraded_is_parsed_once() -> None:
    upgrade = read_upgrade(UpgradeOptions(packages=("A_b", "c==1", "C == 1"), in_builds=("D.e",), builds=True))
    assert {name: str(own) for name, own in upgrade.packages.items()} == {"a-b": "a-b", "c": "c==1"}
    assert [str(own) for own in upgrade.versions] == ["c==1"]
    assert (upgrade.in_builds, upgrade.builds, upgrade.everything) == (frozenset({"d-e"}), True, False)
    assert read_upgrade(UpgradeOptions()) == Upgrade()


def test_a_project_is_upgraded_to_one_version() -> None:
    with pytest.raises(UsageError, match="-P names c twice"):
        read_upgrade(UpgradeOptions(packages=("c==1", "c==2")))


@pytest.mark.parametrize(
    ("table", "resolve", "requires_python", "labels"),
    [
        ({}, {"pythons": ("3.12",), "platforms": ("x86_64-windows",)}, None, ["cp312-x86_64-windows"]),
        (
            {"python-versions": ["3.11", "3.13"], "platforms": ["x86_64-windows"]},
            {},
            None,
            ["cp313-x86_64-windows", "cp311-x86_64-windows"],
        ),
        (
            {"python-versions": ["3.11", "3.13"], "platforms": ["x86_64-windows"]},
            {"fork_strategy": "fewest"},
            None,
            ["cp311-x86_64-windows", "cp313-x86_64-windows"],
        ),
        (
            {"python-versions": ["3.11"]},
            {"pythons": ("host",), "platforms": ("host",)},
            None,
            ["cp312-x86_64-manylinux_2_39"],
        ),
        (
            {"platforms": ["x86_64-windows"]},
            {},
            ">=3.14",
            ["cp315-x86_64-windows", "cp314-x86_64-windows"],
        ),
        (
            {},
            {"pythons": ("3.13t", "3.13", "3.13"), "platforms": ("x86_64-windows",)},
            None,
            ["cp313-x86_64-windows", "cp313t-x86_64-windows"],
        ),
    ],
)
def test_the_targets_of_a_run(
    table: dict[str, Any], resolve: dict[str, Any], requires_python: str | None, labels: list[str]
) -> None:
    found = settings(table, resolve, requires_python=requires_python).targets
    assert [target.label for target in found] == labels


def test_default_targets_stay_what_the_lock_says() -> None:
    target = LockedTarget(name="cp311-x86_64-windows", marker="", python="3.11", platform="x86_64-windows")
    old = Lock(inputs=LockedInputs(), requires_python=">=3.11", targets=(target,))
    kept = settings(previous=old, requires_python=">=3.11").targets
    assert [own.label for own in kept] == ["cp311-x86_64-windows"]
    anew = settings(previous=old, requires_python=">=3.12").targets
    assert len(anew) == 16


# -- indexes

CORP = "https://corp.example/simple/"


def index_settings(
    network: NetworkOptions, table: Mapping[str, Any] | None = None, folder: Path = INPUTS.folder
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
