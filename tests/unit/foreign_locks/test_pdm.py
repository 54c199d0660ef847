"""pdm.lock: on each environment and for each scope what PDM would install.

The lock was made by PDM 2.29.3; expected.json is what its own `export` lists there. A source tree has no version in it: it
is written as version 0.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.markers import Marker

from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.foreign_locks.pdm import read_pdm_lock
from deep_lock.models.foreign_lock import ForeignLock, ForeignPin, installed_pins
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import BASE, Scope

FIXTURES = Path(__file__).parents[3] / "fixtures" / "foreign"


def _read() -> ForeignLock:
    folder = FIXTURES / "pdm-rich"
    project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    return read_pdm_lock((folder / "pdm.lock").read_text(encoding="utf-8"), "pdm.lock", project)


def _installed(lock: ForeignLock, environment: Mapping[str, str], *scopes: Scope) -> set[str]:
    found = installed_pins(lock, environment)
    return {
        f"{lock.pins[place].name}=={lock.pins[place].version or 0}" for place, own in found.items() if own & {*scopes}
    }


def test_what_is_installed_is_what_pdm_says() -> None:
    lock = _read()
    expected = json.loads((FIXTURES / "pdm-rich" / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) >= 4
    for environment, scopes in expected.items():
        target = make_target(*environment.split(), host=None)
        for text, pins in scopes.items():
            kind, _, name = text.partition(" ")
            if kind == "group":
                chosen = [Scope(kind="group", name=name)]
            else:
                chosen = [BASE, *([Scope(kind="extra", name=name)] if name else [])]
            assert _installed(lock, target.environment, *chosen) == set(pins), (text, environment)


def test_pdm_tells_extras_only_by_the_project_and_extras_of_pins() -> None:
    lock = _read()
    assert (lock.extras, lock.groups) == (("cpu",), ("dev",))
    pins = {str(pin.name): pin for pin in lock.pins}
    assert pins["celery"].extras == {"redis"}
    assert (pins["lib"].version, pins["lib"].url) == (None, "./lib")
    bare = read_pdm_lock((FIXTURES / "pdm-rich" / "pdm.lock").read_text(encoding="utf-8"), "pdm.lock")
    assert (bare.extras, bare.groups) == ((), ("cpu", "dev"))


PDM = """
[metadata]
strategy = ["inherit_metadata"]
lock_version = "4.5.1"
[[metadata.targets]]
requires_python = ">=3.11"
platform = "{platform}"
[[package]]
name = "a"
version = "1"
groups = ["default"]
"""


@pytest.mark.parametrize(
    ("platform", "fits"),
    [
        ("linux", {"x86_64-manylinux_2_28", "aarch64-manylinux_2_28"}),
        ("manylinux_2_17_x86_64", {"x86_64-manylinux_2_28"}),
        ("macos_arm64", {"arm64-macos_14"}),
        ("macos_14_0_arm64", {"arm64-macos_14"}),
        ("musllinux_1_2_aarch64", {"aarch64-manylinux_2_28"}),
        ("manylinux_2_17_ppc64le", set()),
        ("alpine", {"x86_64-manylinux_2_28", "aarch64-manylinux_2_28"}),
        ("windows_amd64", {"x86_64-windows"}),
        ("windows_arm64", {"arm64-windows"}),
    ],
)
def test_platforms_of_pdm(platform: str, fits: set[str]) -> None:

    lock = read_pdm_lock(PDM.format(platform=platform), "pdm.lock")
    (text,) = lock.environments
    every = {"x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "arm64-macos_14", "x86_64-windows", "arm64-windows"}
    assert {
        own for own in every if Marker(text).evaluate(dict(make_target("3.12", own, host=None).environment))
    } == fits


def test_a_pdm_lock_without_groups_is_refused_with_the_remedy() -> None:
    with pytest.raises(LockInvalid) as caught:
        read_pdm_lock(PDM.format(platform="linux").replace('"inherit_metadata"', ""), "pdm.lock")
    assert "pdm lock --strategy inherit_metadata" in (caught.value.hint or "")


def test_names_of_extras_are_compared_as_pdm_writes_them() -> None:
    lock = read_pdm_lock(
        PDM.format(platform="linux").replace('["default"]', '["default", "my-cli"]'),
        "pdm.lock",
        project='[project]\nname = "app"\n[project.optional-dependencies]\n"My_Cli" = ["a"]\n',
    )
    assert (lock.extras, lock.groups) == (("my-cli",), ())


WORDS = st.sampled_from(["[", "]", '"', "=", "{", "}", "sha256:", "\n[[package]]\n", "-1", "'", "name", "\\", "é", "0"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.integers(0, 40), WORDS)
def test_nothing_but_our_errors_come_out_of_a_damaged_lock(start: int, length: int, word: str) -> None:
    text = (FIXTURES / "pdm-rich" / "pdm.lock").read_text(encoding="utf-8")
    index = start % len(text)
    try:
        lock = read_pdm_lock(text[:index] + word + text[index + length :], "pdm.lock")
    except DeepLockError:
        return
    assert all(isinstance(pin, ForeignPin) for pin in lock.pins)
