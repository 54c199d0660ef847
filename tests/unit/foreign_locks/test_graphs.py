"""uv.lock, pdm.lock and pylock.toml: on each environment and for each scope what the tool itself would install.

The recorded locks were made by uv 0.13.9 and PDM 2.29.3; expected.json is what their own `export` lists there. A source
tree has no version in it: it is written as version 0.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.markers import Environment, Marker
from packaging.pylock import Pylock
from packaging.tags import Tag

from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.foreign_locks.detect import read_foreign
from deep_lock.foreign_locks.pdm import read_pdm_lock
from deep_lock.foreign_locks.pylock import read_pylock
from deep_lock.foreign_locks.uv import read_uv_lock
from deep_lock.lockfile.writer import to_pylock
from deep_lock.models.foreign_lock import ForeignLock, ForeignPin, installed_pins
from deep_lock.models.lock import Lock
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import Scope
from deep_lock.targets.target import Target
from tests.support.lock_strategies import closed_locks, targets_of

FIXTURES = Path(__file__).parents[3] / "fixtures" / "foreign"
CASES = {"uv-rich": "uv.lock", "pdm-rich": "pdm.lock"}


def _read(case: str) -> ForeignLock:
    name = CASES[case]
    project = FIXTURES / case / "pyproject.toml"
    return read_foreign(
        (FIXTURES / case / name).read_text(encoding="utf-8"),
        name,
        project=project.read_text(encoding="utf-8") if project.is_file() else None,
        opener=lambda including, path: pytest.fail(f"{including} opens {path}"),
    )


def _installed(lock: ForeignLock, environment: Mapping[str, str], *scopes: Scope) -> set[str]:
    found = installed_pins(lock, environment)
    return {
        f"{lock.pins[place].name}=={lock.pins[place].version or 0}" for place, own in found.items() if own & {*scopes}
    }


BASE = Scope(kind="base")


@pytest.mark.parametrize("case", CASES)
def test_what_is_installed_is_what_the_tool_says(case: str) -> None:
    lock = _read(case)
    expected = json.loads((FIXTURES / case / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) >= 4
    for environment, scopes in expected.items():
        target = make_target(*environment.split(), host=None)
        for scope, pins in scopes.items():
            kind, _, name = scope.partition(" ")
            if not scope:
                assert _installed(lock, target.environment, BASE) == set(pins), environment
            elif kind == "group":
                assert _installed(lock, target.environment, Scope(kind="group", name=name)) == set(pins), (
                    scope,
                    environment,
                )
            elif name != "gpu":
                own = Scope(kind="extra", name=name)
                assert _installed(lock, target.environment, BASE, own) == set(pins), (scope, environment)
            else:
                # it excludes the others: base alone takes another click than base with it
                own = Scope(kind="extra", name=name)
                assert _installed(lock, target.environment, own) <= set(pins)
                assert "click==8.1.8" in _installed(lock, target.environment, own)


def test_uv_tells_pythons_environments_scopes_and_what_is_direct() -> None:
    lock = _read("uv-rich")
    assert lock.requires_python == ">=3.11"
    assert lock.environments == ("sys_platform == 'linux'", "sys_platform == 'win32'")
    assert (lock.extras, lock.groups) == (("all", "cpu", "gpu"), ("dev", "lint"))
    pins = {str(pin.name): pin for pin in lock.pins}
    assert "app-x" not in pins, "the project itself is no pin"
    assert {pin.name for pin in lock.pins if pin.direct} == {
        "celery", "click", "colorama", "lib", "numpy", "other", "pytest", "ruff", "six",
    }  # fmt: skip
    assert (pins["lib"].version, pins["lib"].url) == (None, "./packages/lib#editable=true")
    assert pins["celery"].index == "https://index.example/simple"
    files = {file.name: file.sha256 for file in pins["celery"].files}
    assert set(files) == {"celery-5.6.3.tar.gz", "celery-5.6.3-py3-none-any.whl"}
    assert all(digest is not None and len(digest) == 64 for digest in files.values())


def test_pdm_tells_extras_only_by_the_project_and_extras_of_pins() -> None:
    lock = _read("pdm-rich")
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


UV = 'version = 1\n[[package]]\nname = "app"\nversion = "1"\nsource = {{ virtual = "." }}\ndependencies = [{{ name = "x" }}]\n[[package]]\nname = "x"\nversion = "1"\nsource = {source}\n{more}\n'


@pytest.mark.parametrize(
    ("source", "more", "url"),
    [
        ('{ git = "https://files.example/x.git?tag=v1&subdirectory=in#0123456789012345678901234567890123456789" }', "",
         "git+https://files.example/x.git@0123456789012345678901234567890123456789#subdirectory=in"),
        ('{ url = "https://files.example/x-1.tar.gz" }', f'sdist = {{ hash = "sha256:{"0" * 64}" , url = "https://files.example/x-1.tar.gz" }}',
         f"https://files.example/x-1.tar.gz#sha256={'0' * 64}"),
        ('{ path = "../dist/x-1-py3-none-any.whl" }', "", "../dist/x-1-py3-none-any.whl"),
        ('{ directory = "x" }', "", "./x"),
    ],
)  # fmt: skip
def test_sources_of_uv(source: str, more: str, url: str) -> None:
    (pin,) = read_uv_lock(UV.format(source=source, more=more), "uv.lock").pins
    assert (pin.url, pin.version, pin.files) == (url, None, ())


FAULTS = [
    ("version = 2\n", "version is '2'; known is 1"),
    ("revision = 3\n", "lacks the key 'version'"),
    ('version = 1\n[[package]]\nname = 1\nsource = {registry = "https://index.example/simple"}\n', "package[0].name must be a string"),
    ('version = 1\n[[package]]\nname = "a"\nversion = "1"\n', "package[0] lacks the key 'source'"),
    ('version = 1\n[[package]]\nname = "a"\nversion = "x y"\nsource = {registry = "https://index.example/simple"}\n', "package[0].version"),
    (UV.format(source='{ registry = "https://index.example/simple" }', more='wheels = [{ url = "https://files.example/a.whl", hash = "sha256:12" }]'), "wheels[0].hash"),
    (UV.format(source='{ svn = "x" }', more=""), "source is of a kind that is not known"),
    (UV.replace('x" }}]', 'missing" }}]').format(source='{ virtual = "x" }', more=""), "dependencies[0] means 0 of the packages"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), FAULTS)
def test_what_is_wrong_in_a_uv_lock_is_named(text: str, told: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        read_uv_lock(text, "uv.lock")
    assert told in caught.value.message
    assert caught.value.message.startswith("uv.lock: ")


def test_a_pdm_lock_without_groups_is_refused_with_the_remedy() -> None:
    with pytest.raises(LockInvalid) as caught:
        read_pdm_lock(PDM.format(platform="linux").replace('"inherit_metadata"', ""), "pdm.lock")
    assert "pdm lock --strategy inherit_metadata" in (caught.value.hint or "")


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


def test_names_of_extras_are_compared_as_pdm_writes_them() -> None:
    lock = read_pdm_lock(
        PDM.format(platform="linux").replace('["default"]', '["default", "my-cli"]'),
        "pdm.lock",
        project='[project]\nname = "app"\n[project.optional-dependencies]\n"My_Cli" = ["a"]\n',
    )
    assert (lock.extras, lock.groups) == (("my-cli",), ())


WORDS = st.sampled_from(["[", "]", '"', "=", "{", "}", "sha256:", "\n[[package]]\n", "-1", "'", "name", "\\", "é", "0"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(CASES)), st.integers(0, 10_000), st.integers(0, 40), WORDS)
def test_nothing_but_our_errors_come_out_of_a_damaged_lock(case: str, start: int, length: int, word: str) -> None:
    text = (FIXTURES / case / CASES[case]).read_text(encoding="utf-8")
    place = start % len(text)
    damaged = text[:place] + word + text[place + length :]
    reader = read_uv_lock if case.startswith("uv") else read_pdm_lock
    try:
        lock = reader(damaged, CASES[case])
    except DeepLockError:
        return
    assert all(isinstance(pin, ForeignPin) for pin in lock.pins)
