"""Options over configuration over defaults: tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deep_lock.config.config import read_config
from deep_lock.config.options import (
    InputOptions,
    LockOptions,
    ResolveOptions,
    RunContext,
    UpgradeOptions,
)
from deep_lock.errors import UsageError
from deep_lock.locking.read_inputs import ProjectInputs
from deep_lock.locking.settings import Settings, Upgrade, read_upgrade, resolve_settings
from deep_lock.locking.targets import DeclaredTargets
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget
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
        ({}, {}, "attestations", "off"),
        ({"attestations": "record"}, {}, "attestations", "record"),
        ({"attestations": "record"}, {"attestations": "off"}, "attestations", "off"),
        ({"files": "all"}, {}, "files", "all"),
        ({}, {}, "declared", DeclaredTargets()),
        ({"platforms": ["x86_64-windows"]}, {}, "declared", DeclaredTargets(platforms=True)),
        (
            {"platforms": ["x86_64-windows"]},
            {"pythons": ("3.12",)},
            "declared",
            DeclaredTargets(pythons=True, platforms=True),
        ),
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
    assert [str(move.requirement) for move in upgrade.moves] == ["a-b", "c==1"]
    assert [str(own) for own in upgrade.versions] == ["c==1"]
    assert {(move.runtime, move.builds) for move in upgrade.moves} == {(False, frozenset({"d-e"}))}
    assert (upgrade.builds, upgrade.everything) == (True, False)
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
