"""pylock.toml: on each environment and for each scope what packaging's own `select` takes."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from packaging.markers import Environment
from packaging.pylock import Pylock
from packaging.tags import Tag

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.pylock import read_pylock
from deep_lock.lockfile.writer import to_pylock
from deep_lock.models.foreign_lock import ForeignLock, installed_pins
from deep_lock.models.lock import Lock
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.target import Target
from tests.support.lock_strategies import closed_locks, targets_of

FIXTURES = Path(__file__).parents[3] / "fixtures" / "foreign"


def _installed(lock: ForeignLock, environment: Mapping[str, str], *scopes: Scope) -> set[str]:
    found = installed_pins(lock, environment)
    return {
        f"{lock.pins[place].name}=={lock.pins[place].version or 0}" for place, own in found.items() if own & {*scopes}
    }


def test_a_deep_lock_is_not_deepened() -> None:
    with pytest.raises(LockInvalid, match="is a deep lock already"):
        read_pylock((FIXTURES.parent / "locks" / "small.lock").read_text(encoding="utf-8"), "pylock.toml")


PIP = 'lock-version = "1.0"\ncreated-by = "{by}"\n[[packages]]\nname = "app"\ndirectory = {{path = "."}}\n[[packages]]\nname = "lib"\ndirectory = {{path = "lib", editable = true}}\n'


def test_pips_own_lock_is_for_one_environment_and_the_project_is_no_pin() -> None:
    lock = read_pylock(PIP.format(by="pip"), "pylock.toml")
    assert lock.one_environment
    assert [(pin.name, pin.url) for pin in lock.pins] == [("lib", "./lib#editable=true")]
    assert not read_pylock(PIP.format(by="uv"), "pylock.toml").one_environment


def _selected(lock: Pylock, target: Target, extras: list[str], groups: list[str]) -> set[str]:
    found = lock.select(
        environment=cast("Environment", dict(target.environment)),
        tags=[Tag(*tag.split("-", 2)) for tag in target.tags],
        extras=extras,
        dependency_groups=groups,
    )
    return {f"{package.name}=={0 if package.archive else package.version or 0}" for package, _ in found}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_a_pylock_means_what_packaging_selects_from_it(lock: Lock) -> None:
    text = to_pylock(lock, ())
    read, own = read_pylock(text, "pylock.toml"), Pylock.from_dict(tomllib.loads(text))
    for target in targets_of(lock):
        assert _installed(read, target.environment, BASE) == _selected(own, target, [], [])
        for name in read.extras:
            assert _installed(read, target.environment, Scope(kind="extra", name=name)) == _selected(
                own, target, [name], []
            )
        for name in read.groups:
            assert _installed(read, target.environment, Scope(kind="group", name=name)) == _selected(
                own, target, [], [name]
            )


def test_default_groups_of_a_pylock_are_with_the_project_and_with_its_extras() -> None:
    """PDM 2.29.3 puts the project's own dependencies into a group that is on by default."""
    text = (FIXTURES / "pdm-pylock" / "pylock.toml").read_text(encoding="utf-8")
    read, own = read_pylock(text, "pylock.toml"), Pylock.from_dict(tomllib.loads(text))
    assert (read.extras, read.groups, read.default_groups) == (("cli",), ("dev",), ("default",))
    for name in ("3.11 x86_64-manylinux_2_28", "3.12 arm64-macos_14", "3.13 x86_64-windows"):
        target = make_target(*name.split(), host=None)
        base = _installed(read, target.environment, BASE)
        assert "certifi==2026.10.18" in base
        assert base == _selected(own, target, [], ["default"])
        assert _installed(read, target.environment, Scope(kind="extra", name="cli")) == _selected(
            own, target, ["cli"], ["default"]
        )
        assert _installed(read, target.environment, Scope(kind="group", name="dev")) == _selected(
            own, target, [], ["dev"]
        )
