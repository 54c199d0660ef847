"""Which targets a lock has: what requires-python excludes, what a requirement excludes, and what a new Python changes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deep_lock.targets import factory
from deep_lock.targets.factory import CPYTHON, Series
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, NOW, WINDOWS, Bench, bench, check_whole

LIB: Releases = {"lib 1.0": {}}
PROJECT = '[project]\nname = "app"\nversion = "1"\nrequires-python = "{}"\ndependencies = ["lib"]\n{}'
SCRIPT = '# /// script\n# requires-python = "{}"\n# dependencies = ["lib"]\n# ///\n'
SETUP_CFG = "[metadata]\nname = app\nversion = 1\n[options]\npython_requires = {}\ninstall_requires = lib\n"
POETRY = '[tool.poetry]\nname = "app"\nversion = "1"\n[tool.poetry.dependencies]\npython = "{}"\nlib = "*"\n'


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, LIB) as own:
        yield own


# -- requires-python


@pytest.mark.parametrize("python", ["3.9", "3.11", "3.13", "3.13t", "3.12.2", "3.99"])
@pytest.mark.parametrize(
    ("files", "flags"),
    [
        ({"pyproject.toml": PROJECT.format(">=3.12.4,<3.13", "")}, []),
        ({"pyproject.toml": POETRY.format(">=3.12.4,<3.13")}, []),
        ({"setup.cfg": SETUP_CFG.format(">=3.12.4,<3.13")}, []),
        ({"run.py": SCRIPT.format(">=3.12.4,<3.13")}, ["--script", "{folder}/run.py"]),
    ],
)
def test_a_target_that_requires_python_excludes_is_an_error(
    made: Bench, files: dict[str, str], flags: list[str], python: str
) -> None:
    made.write(files)
    made.pythons = ("3.12", python)
    ran = made.lock(*flags)
    assert (ran.code, ran.text, ran.asked) == (2, "", ()), ran.stderr
    assert "' excludes Python 3." in ran.stderr
    assert f"cp{python.replace('.', '', 1).removesuffix('t')}" in ran.stderr
    assert "cp312-" not in ran.stderr
    made.pythons = ("3.12", "3.12.4")
    output = "run.py.deep.lock" if flags else "deep.lock"
    assert made.lock(*flags, output=output).code == 0


def test_a_target_of_the_configuration_that_requires_python_excludes_is_an_error(made: Bench) -> None:
    table = '[tool.deep-lock]\npython-versions = ["3.11", "3.12"]\n'
    made.write({"pyproject.toml": PROJECT.format(">=3.12", table)})
    made.pythons = ()
    ran = made.lock()
    assert (ran.code, ran.asked) == (2, ())
    assert f"excludes Python 3.11.16 (cp311-{LINUX})" in ran.stderr


def test_check_refuses_a_target_that_requires_python_excludes(made: Bench) -> None:
    made.write({"pyproject.toml": PROJECT.format(">=3.12", "")})
    assert made.lock().code == 0
    made.pythons = ("3.11",)
    assert made.lock("--check").code == 2


BACKEND = """
import os
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = os.path.join(metadata_directory, "app-1.dist-info")
    os.mkdir(folder)
    with open(os.path.join(folder, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.2\\nName: app\\nVersion: 1\\nRequires-Python: >=3.12,<3.14\\nRequires-Dist: lib\\n")
    return "app-1.dist-info"
"""
DYNAMIC = """
[project]
name = "app"
version = "1"
dynamic = ["dependencies", "requires-python"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def test_targets_are_those_of_the_requires_python_that_a_backend_returns(made: Bench) -> None:
    made.write({"pyproject.toml": DYNAMIC, "backend.py": BACKEND})
    made.hooks, made.pythons = "trust", ()
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert [target.python for target in ran.lock.targets] == ["3.12", "3.13"]
    assert ran.lock.requires_python == ">=3.12,<3.14"
    check = made.lock("--check")
    assert (check.code, check.asked) == (0, ()), check.stderr
    assert made.lock().text == ran.text
    made.pythons = ("3.14",)
    ran = made.lock("-U")
    assert (ran.code, "excludes Python 3.14" in ran.stderr) == (2, True), ran.stderr


# -- a Python that has just appeared

NEW = max(CPYTHON) + 1
TODAY = NOW.date()
NEWEST_KNOWN = f"3.{NEW - 1}"
NOT_YET = f"<3.{NEW}"


@pytest.fixture
def appeared(made: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a project for two Pythons that exist, in a world in which a third one appears today."""
    monkeypatch.setattr(
        factory,
        "CPYTHON",
        {
            **{minor: own for minor, own in CPYTHON.items() if minor >= NEW - 2},
            NEW: Series(newest=0, released=TODAY, end_of_life=TODAY + timedelta(days=1826)),
        },
    )
    made.pythons, made.platforms = (), (LINUX, WINDOWS)
    return made


def pythons(made: Bench, *flags: str) -> tuple[list[str], str]:
    ran = made.lock(*flags)
    assert ran.code == 0, ran.stderr
    assert {target.platform for target in ran.lock.targets} == set(made.platforms or factory.DEFAULT_PLATFORMS)
    check = made.lock("--check")
    assert (check.code, check.asked) == (0, ()), check.stderr
    again = made.lock()
    assert (again.text, again.asked) == (ran.text, ())
    return sorted({target.python for target in ran.lock.targets}), ran.stderr


EXCLUDING: dict[str, Releases] = {
    "requires-python": {"lib 1.0": {"requires-python": NOT_YET}},
    "a dependency": {"lib 1.0": {"requires": ["low"]}, "low 1.0": {"requires-python": NOT_YET}},
    "wheels": {
        "lib 1.0": {
            "wheels": [
                f"cp3{NEW - own}-cp3{NEW - own}-{tag}"
                for own in (1, 2)
                for tag in ("manylinux_2_28_x86_64", "win_amd64")
            ]
        }
    },
    "a build requirement": {
        "lib 1.0": {
            "wheels": [
                f"cp3{NEW - own}-cp3{NEW - own}-{tag}"
                for own in (1, 2)
                for tag in ("manylinux_2_28_x86_64", "win_amd64")
            ],
            "sdist": True,
            "build": ["low"],
            "backend": "flit_core.buildapi",
        },
        "low 1.0": {"requires-python": NOT_YET},
    },
}


@pytest.mark.parametrize("case", EXCLUDING)
@pytest.mark.parametrize("scope", ["dependencies", "extra", "group"])
def test_a_new_python_that_a_requirement_excludes_is_left_out_until_it_is_supported(
    appeared: Bench, case: str, scope: str
) -> None:
    tables = {
        "dependencies": 'dependencies = ["lib"]\n',
        "extra": '[project.optional-dependencies]\nmore = ["lib"]\n',
        "group": '[dependency-groups]\nmore = ["lib"]\n',
    }
    appeared.hold(EXCLUDING[case])
    appeared.write({"pyproject.toml": f'[project]\nname = "app"\nversion = "1"\n{tables[scope]}'})
    found, stderr = pythons(appeared)
    assert found == [f"3.{NEW - 2}", f"3.{NEW - 1}"]
    assert f"cp3{NEW} on Linux, Windows are left out: " in stderr
    appeared.hold({"lib 1.1": {}})
    found, stderr = pythons(appeared, "--refresh", "-U")
    assert found == [f"3.{NEW - 2}", f"3.{NEW - 1}", f"3.{NEW}"]
    assert "left out" not in stderr


def test_a_new_python_does_not_change_an_existing_lock(appeared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    appeared.ask("lib")
    world = dict(factory.CPYTHON)
    monkeypatch.setattr(factory, "CPYTHON", {minor: own for minor, own in world.items() if minor < NEW})
    first, _ = pythons(appeared)
    monkeypatch.setattr(factory, "CPYTHON", world)
    assert pythons(appeared) == (first, appeared.lock().stderr)
    renewed, _ = pythons(appeared, "-U")
    assert renewed == [*first, f"3.{NEW}"]


@pytest.mark.parametrize("where", ["command line", "configuration"])
def test_a_declared_python_that_a_requirement_excludes_is_an_error(appeared: Bench, where: str) -> None:
    appeared.hold(EXCLUDING["requires-python"])
    declared = [f"3.{NEW - 1}", f"3.{NEW}"]
    table = f"[tool.deep-lock]\npython-versions = {declared}\n" if where == "configuration" else ""
    appeared.pythons = () if table else declared
    appeared.write({"pyproject.toml": PROJECT.format(f">=3.{NEW - 1}", table)})
    ran = appeared.lock()
    assert (ran.code, ran.text) == (1, ""), ran.stderr
    assert f"no set of versions fits the runtime on cp3{NEW} on Linux, Windows:" in ran.stderr


def test_only_the_python_that_is_added_must_fit(appeared: Bench) -> None:
    appeared.hold(EXCLUDING["requires-python"])
    appeared.write({"pyproject.toml": PROJECT.format(f">=3.{NEW - 1}", "")})
    found, stderr = pythons(appeared, "--add-python", f"3.{NEW - 1}")
    assert found == [f"3.{NEW - 1}"], "the default ones that fit"
    assert f"cp3{NEW} on Linux, Windows are left out: " in stderr
    ran = appeared.lock("--add-python", f"3.{NEW}")
    assert ran.code == 1
    assert f"no set of versions fits the runtime on cp3{NEW} on Linux, Windows:" in ran.stderr


def test_a_declared_platform_is_kept(appeared: Bench) -> None:
    tags = ["manylinux_2_28_x86_64"]
    appeared.hold({"lib 1.0": {"wheels": [f"py3-none-{tag}" for tag in tags]}})
    appeared.ask("lib")
    ran = appeared.lock()
    assert (ran.code, ran.text) == (1, ""), ran.stderr
    assert "its tags py3-none-manylinux_2_28_x86_64 do not fit" in ran.stderr


LINUX_ONLY = "; sys_platform == 'linux'"
AGAINST: dict[str, tuple[Releases, list[str]]] = {
    "contradiction": ({"lib 1.0": {}, "lib 2.0": {}}, [f"lib>=2{LINUX_ONLY}", f"lib<2{LINUX_ONLY}"]),
    "on a Python": ({"lib 1.0": {}}, [f"lib>=2; python_version >= '3.{NEW}'"]),
    "on no index": ({}, [f"libb{LINUX_ONLY}"]),
    "too new": ({"lib 1.0": {}, "lib 2.0": {"uploaded": "2026-11-14T00:00:00Z"}}, [f"lib>=2{LINUX_ONLY}"]),
    "of releases": (
        {"one 1.0": {"requires": ["lib>=2"]}, "two 1.0": {"requires": ["lib<2"]}, "lib 1.0": {}, "lib 2.0": {}},
        [f"one{LINUX_ONLY}", f"two{LINUX_ONLY}"],
    ),
    "of a build": (
        {"lib 1.0": {"wheels": ["py3-none-win_amd64"], "sdist": True, "build": ["low>=2"]}, "low 1.0": {}},
        ["lib"],
    ),
}


@pytest.mark.parametrize("case", AGAINST)
@pytest.mark.parametrize("declared", [True, False])
def test_versions_that_conflict_exclude_no_target(appeared: Bench, case: str, *, declared: bool) -> None:
    releases, requirements = AGAINST[case]
    appeared.hold(releases)
    appeared.platforms = appeared.platforms if declared else ()
    appeared.ask(*requirements)
    ran = appeared.lock("--exclude-newer", "P7D")
    assert (ran.code, ran.text) == (1, ""), ran.stderr
    assert ran.stderr.count("no set of versions fits") == 1
    assert "left out" not in ran.stderr


FOR_SOME: dict[str, Releases] = {
    "wheels": {"lib 1.0": {"wheels": ["py3-none-win_amd64"]}},
    "wheels of a dependency": {"lib 1.0": {"requires": ["low>=2"]}, "low 2.0": {"wheels": ["py3-none-win_amd64"]}},
    "other version": {"lib 2.0": {"wheels": ["py3-none-win_amd64"], "requires": ["low"]}, "low 1.0": {}},
}


@pytest.mark.parametrize("case", FOR_SOME)
def test_a_default_platform_for_which_no_file_is_is_left_out(appeared: Bench, case: str) -> None:
    appeared.hold(FOR_SOME[case])
    appeared.platforms = ()
    appeared.ask("lib")
    ran = appeared.lock()
    assert ran.code == 0, ran.stderr
    assert {target.platform for target in ran.lock.targets} == {WINDOWS}
    assert "all but Windows are left out: " in ran.stderr


def test_a_python_that_a_release_excludes_in_a_roundabout_way_is_left_out(appeared: Bench) -> None:
    appeared.hold(
        {
            "lib 2.0": {"requires-python": NOT_YET},
            "lib 1.0": {"requires": ["low<2"]},
            "low 1.0": {},
            "low 2.0": {},
        }
    )
    appeared.ask("lib", "low>=2")
    found, stderr = pythons(appeared)
    assert found == [f"3.{NEW - 2}", f"3.{NEW - 1}"]
    assert f"cp3{NEW} on Linux, Windows are left out: " in stderr


def test_where_no_target_fits_the_run_fails_as_with_one(appeared: Bench) -> None:
    appeared.hold({"lib 1.0": {"requires": ["lib2>1"]}, "lib2 1.0": {}})
    appeared.ask("lib")
    ran = appeared.lock()
    assert (ran.code, ran.text) == (1, "")
    assert ran.stderr.count("no set of versions fits") == 1
    assert "left out" not in ran.stderr


# -- what later runs keep


@pytest.mark.parametrize("default", [True, False])
def test_a_platform_that_is_named_once_does_not_replace_others_unseen(made: Bench, *, default: bool) -> None:
    made.ask("lib")
    made.platforms = () if default else (LINUX, WINDOWS)
    first = made.lock()
    assert len(first.lock.targets) == (4 if default else 2)
    made.platforms = (LINUX,)
    ran = made.lock()
    assert ran.code == 0
    warning = ran.stderr.partition("targets that are not declared now are removed: ")[2].partition("\n")[0]
    assert warning == (f"3 of 4: all but cp313-{LINUX}" if default else f"cp313-{WINDOWS}")


@pytest.mark.parametrize("flags", [(), ("-U",), ("-P", "lib")])
def test_targets_of_the_command_line_hold_in_later_runs(made: Bench, flags: tuple[str, ...]) -> None:
    made.ask("lib")
    made.pythons, made.platforms = ("3.12",), (WINDOWS, LINUX)
    first = made.lock()
    made.pythons, made.platforms = (), ()
    ran = made.lock(*flags)
    assert ran.text == first.text
    assert "python-version kept from deep.lock" in ran.stderr
    assert "platform kept from deep.lock" in ran.stderr
    made.pythons = ("3.13",)
    ran = made.lock(*flags)
    assert [target.name for target in ran.lock.targets] == [f"cp313-{LINUX}", f"cp313-{WINDOWS}"]
    assert "platform kept from deep.lock" in ran.stderr
    assert "python-version kept" not in ran.stderr
    check_whole(made, made.lock())


# -- names for several platforms, and additions to the lock


def test_the_names_of_systems_are_their_default_platforms() -> None:
    names = [name for own in factory.SHORTHANDS.values() for name in own]
    assert tuple(names) == factory.DEFAULT_PLATFORMS
    for system, own in factory.SHORTHANDS.items():
        targets = [factory.make_target("3.13", name, host=None) for name in own]
        assert {target.environment["sys_platform"] for target in targets} == {
            {"linux": "linux", "macos": "darwin", "windows": "win32"}[system]
        }


def _pairs(made: Bench, *flags: str) -> list[tuple[str, str]]:
    """Lock, with the targets of the flags only; return them. A lock made without them, and the check, have the same."""
    ran = made.lock(*flags)
    assert ran.code == 0, ran.stderr
    for again in (("--check", *flags), ("--check",), ()):
        assert "up to date" in made.lock(*again).stderr
    return sorted((target.python, target.platform) for target in ran.lock.targets)


def test_targets_are_added_to_those_of_the_lock(made: Bench) -> None:
    made.pythons, made.platforms = (), ()
    linux = factory.SHORTHANDS["linux"]
    made.write({"pyproject.toml": PROJECT.format(">=3.9", "")})
    first = _pairs(made, "--python-version", "3.12", "--platform", "linux")
    assert first == sorted(("3.12", name) for name in linux)
    stale = made.lock("--add-platform", "windows", "--check")
    assert stale.code == 1
    assert "cp312-x86_64-windows" in stale.stderr
    more = _pairs(made, "--add-platform", "windows", "--add-platform", "linux")
    assert more == [*first, ("3.12", WINDOWS)]
    both = _pairs(made, "--add-python", "3.13", "--add-python", "3.12")
    assert both == sorted([*more, *(("3.13", name) for name in (*linux, WINDOWS))])
    assert _pairs(made, "-U", "--refresh") == both


def test_what_is_added_must_be_possible_and_not_configured(made: Bench) -> None:
    made.pythons, made.platforms = (), ()
    made.write({"pyproject.toml": PROJECT.format(">=3.12,<3.14", "")})
    for flags, text in (
        (("--add-python", "3.9"), "excludes Python 3.9"),
        (("--add-platform", "amiga"), "'amiga' is not a known platform"),
        (("--add-platform", "linux", "--platform", "windows"), "cannot be used together"),
    ):
        ran = made.lock(*flags)
        assert (ran.code, text in ran.stderr) == (2, True), ran.stderr
    configured = '[tool.deep-lock]\npython-versions = ["3.12"]\nplatforms = ["windows"]\n'
    made.write({"pyproject.toml": PROJECT.format(">=3.12,<3.14", configured)})
    assert _pairs(made) == [("3.12", WINDOWS)]
    ran = made.lock("--add-platform", "linux")
    assert ran.code == 2
    assert "hint: add 'linux' to platforms, and run deep-lock lock" in ran.stderr
