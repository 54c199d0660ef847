"""Markers on what a target leaves open: micro versions, the release and the version of the system."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.pylock import Pylock
from packaging.tags import Tag

from deep_lock.cli.main import run
from deep_lock.targets.factory import make_target
from tests.support.scenario_server import Release, Releases
from tests.support.scenarios import LINUX, MACOS, WINDOWS, Bench, Run, bench, check_whole

OTHERS: Releases = {"late 1.0": {"requires": ["deep"]}, "deep 1.0": {}, "late 2.0": {"requires": ["deep"]}}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, OTHERS) as own:
        own.pythons = ("3.11",)
        yield own


def lock(made: Bench, *requires: str, extra: bool = False) -> Run:
    """Lock a release with these requirements."""
    made.hold({**OTHERS, "lib 1.0": {"requires": list(requires)}, "lib 0.9": {"requires": []}})
    made.ask("lib[more]" if extra else "lib")
    ran = made.lock("-U", "--refresh")
    assert ran.code == 0, ran.stderr
    check_whole(made, ran)
    assert made.lock("--check").code == 0
    again = made.lock()
    assert (again.text, again.asked) == (ran.text, ())
    return ran


def installed(ran: Run, full_version: str, platform: str = LINUX, **environment: str) -> list[str]:
    """Return what packaging installs with one micro version of Python."""
    target = make_target(full_version, platform, host=None)
    chosen = Pylock.from_dict(tomllib.loads(ran.text)).select(
        environment={**target.environment, **environment},  # type: ignore[arg-type]  # a mapping of the same keys
        tags=[Tag(*tag.split("-")) for tag in target.tags],
    )
    return sorted(f"{package.name}=={package.version}" for package, _ in chosen)


def markers(ran: Run) -> dict[str, str | None]:
    return {entry.name: entry.marker for entry in ran.lock.packages}


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize(
    ("marker", "locked", "inside", "outside"),
    [
        ("python_full_version < '3.11.3'", "python_full_version < '3.11.3'", "3.11.2", "3.11.3"),
        ("python_full_version > '3.11.3'", "python_full_version >= '3.11.4'", "3.11.4", "3.11.3"),
        ("implementation_version <= '3.11.3'", "python_full_version < '3.11.4'", "3.11.3", "3.11.4"),
        ("python_full_version == '3.11.5'", "python_full_version == '3.11.5'", "3.11.5", "3.11.6"),
        ("python_full_version != '3.11.5'", "python_full_version != '3.11.5'", "3.11.6", "3.11.5"),
        ("python_full_version ~= '3.11.5'", "python_full_version >= '3.11.5'", "3.11.9", "3.11.4"),
    ],
)
def test_a_requirement_for_some_micro_versions_is_locked_with_its_marker(
    made: Bench, marker: str, locked: str, inside: str, outside: str, *, extra: bool
) -> None:
    ran = lock(made, f"late>=1; {marker}" + (" and extra == 'more'" if extra else ""), extra=extra)
    assert markers(ran) == {"lib": None, "late": locked, "deep": locked}
    assert installed(ran, inside) == ["deep==1.0", "late==2.0", "lib==1.0"]
    assert installed(ran, outside) == ["lib==1.0"]
    assert "lib 1.0: requires late>=1" in ran.stderr
    assert f"cp311-{LINUX}" in ran.stderr


def test_the_marker_is_that_of_the_targets_that_it_divides(made: Bench) -> None:
    made.pythons, made.platforms = ("3.10", "3.11", "3.12"), (LINUX, WINDOWS)
    ran = lock(made, "late; python_full_version < '3.11.3' and sys_platform == 'win32'")
    for python, late in (("3.10.1", True), ("3.11.2", True), ("3.11.3", False), ("3.12.0", False)):
        assert ("late==2.0" in installed(ran, python, WINDOWS)) == late, python
        assert installed(ran, python) == ["lib==1.0"]


@pytest.mark.parametrize("late", [{}, {"wheels": [], "sdist": True, "build": ["deep"]}], ids=["wheel", "sdist"])
def test_conditions_that_contradict_each_other_lock_nothing(made: Bench, late: Release) -> None:
    made.hold(
        {
            "lib 1.0": {"requires": ["mid; python_full_version < '3.11.5'"]},
            "mid 1.0": {"requires": ["late[more]; python_full_version >= '3.11.6'", "deep"]},
            "late 1.0": {**late, "requires": ["deep", "lib; extra == 'more'"]},
            "deep 1.0": {},
        }
    )
    made.ask("lib")
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    check_whole(made, ran)
    assert markers(ran) == {
        "lib": None,
        "mid": "python_full_version < '3.11.5'",
        "deep": "python_full_version < '3.11.5'",
    }
    assert "requires late" not in ran.stderr
    assert made.lock("--check").code == 0


def test_the_project_itself_may_require_it(made: Bench) -> None:
    made.write(
        {
            "pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'
            "dependencies = [\"late; python_full_version < '3.11.3'\", 'deep']\n"
            "[project.optional-dependencies]\nmore = [\"lib; python_full_version > '3.11.4'\"]\n"
        }
    )
    made.hold({**OTHERS, "lib 1.0": {}})
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    check_whole(made, ran)
    assert markers(ran) == {
        "deep": None,
        "late": "python_full_version < '3.11.3'",
        "lib": "'more' in extras and python_full_version >= '3.11.5'",
    }
    assert made.lock("--check").code == 0


@pytest.mark.parametrize(
    ("marker", "locked"),
    [
        ("platform_release >= '20.0'", 'platform_release >= "20.0"'),
        ("platform_version != 'a'", 'platform_version != "a"'),
        ("'Debian' in platform_version", '"Debian" in platform_version'),
        ("sys_platform == 'darwin' and platform_release >= '20.0'", 'platform_release >= "20.0"'),
        ("sys_platform == 'linux' and platform_release >= '20.0'", ""),
    ],
)
def test_a_requirement_for_some_systems_is_locked_with_its_marker(made: Bench, marker: str, locked: str) -> None:
    made.platforms = (MACOS,)
    ran = lock(made, f"late; {marker}")
    assert markers(ran) == ({"lib": None, "late": locked, "deep": locked} if locked else {"lib": None})
    if "release" in locked:
        assert installed(ran, "3.11.2", MACOS, platform_release="21.0") == ["deep==1.0", "late==2.0", "lib==1.0"]
        assert installed(ran, "3.11.2", MACOS, platform_release="19.0") == ["lib==1.0"]


@pytest.mark.parametrize(
    ("requires", "inside", "outside", "pins"),
    [
        (
            ["late<2; python_full_version < '3.11.3'", "late>=2; python_full_version >= '3.11.3'"],
            "3.11.3",
            "3.11.2",
            "2.0",
        ),
        (
            ["late<2; python_full_version > '3.11.3'", "late>=2; python_full_version <= '3.11.3'"],
            "3.11.9",
            "3.11.3",
            "1.0",
        ),
        (["late<2", "late>=2; python_full_version < '3.11.3'"], "3.11.3", "3.11.2", "1.0"),
    ],
)
def test_where_one_lock_cannot_have_both_environments_are_what_was_decided(
    made: Bench, requires: list[str], inside: str, outside: str, pins: str
) -> None:
    made.pythons = ("3.11", "3.12")
    made.hold({**OTHERS, "lib 1.0": {"requires": requires}, "lib 0.9": {}})
    made.ask("lib")
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert f"late=={pins}" in installed(ran, inside)
    included = {
        version: any(
            Marker(text).evaluate(dict(make_target(version, LINUX, host=None).environment))
            for text in ran.lock.environments
        )
        for version in (inside, outside, "3.12.0", "3.10.9")
    }
    assert included == {inside: True, outside: False, "3.12.0": True, "3.10.9": False}
    assert "lib 1.0: requires late" in ran.stderr
    assert f"(cp311-{LINUX})" in ran.stderr
    assert made.lock("--check").code == 0
    check_whole(made, ran)


def test_a_build_has_what_some_micro_versions_require(made: Bench) -> None:
    made.hold(
        {
            **OTHERS,
            "tool 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
            "maker 1.0": {"requires": ["late; python_full_version < '3.11.3'"]},
            "flit_core 3.9": {},
        }
    )
    made.ask("tool")
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    (build,) = ran.lock.builds
    assert [member.name for member in build.packages] == ["deep", "late", "maker"]
    assert "maker 1.0: requires late" in ran.stderr


def included(ran: Run, version: str) -> bool:
    environment = dict(make_target(version, LINUX, host=None).environment)
    return any(Marker(text).evaluate(environment) for text in ran.lock.environments)


@pytest.mark.parametrize("page", [">=3.11.4", ""], ids=["page", "metadata"])
@pytest.mark.parametrize("kind", ["runtime", "extra", "build", "sdist"])
def test_environments_are_those_that_requires_python_of_releases_admits(made: Bench, kind: str, page: str) -> None:
    made.pythons = ("3.11", "3.12")
    tool = {"requires-python": ">=3.11.4", "page-python": page}
    built = {"wheels": [], "sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"}
    releases: Releases = {
        "lib 1.0": {**built, "build": ["flit_core", "tool"]} if kind == "build" else {"requires": ["tool"]},
        "tool 2.0": {**tool, **(built if kind == "sdist" else {})},
        "flit_core 3.9": {},
    }
    made.hold(releases)
    more = '[project.optional-dependencies]\nmore = ["tool"]\n'
    made.ask("lib")
    if kind == "extra":
        made.write({"pyproject.toml": f'[project]\nname = "app"\nversion = "1"\n{more}'})
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert [included(ran, version) for version in ("3.11.3", "3.11.4", "3.12.0")] == [False, True, True]
    assert "tool 2.0: requires Python >=3.11.4" in ran.stderr
    assert f"cp311-{LINUX}" in ran.stderr
    check_whole(made, ran)
    assert made.lock("--check").code == 0
    assert made.lock().text == ran.text


def test_a_python_that_is_required_where_its_release_is_installed_limits_nothing(made: Bench) -> None:
    made.hold(
        {
            "lib 1.0": {"requires": ["tool; python_full_version >= '3.11.4'"]},
            "tool 2.0": {"requires-python": ">=3.11.4"},
        }
    )
    made.ask("lib")
    ran = made.lock()
    assert included(ran, "3.11.3")
    assert "requires Python" not in ran.stderr
    made.hold({"lib 1.0": {"requires-python": ">=3.11.4,!=3.10.1,<4"}})
    made.write(
        {
            "pyproject.toml": '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11.5"\ndependencies = ["lib"]\n'
        }
    )
    ran = made.lock("-U")
    assert (ran.code, "requires Python" in ran.stderr) == (0, False)
    assert ran.lock.environments == (
        "platform_machine == 'x86_64' and python_version == '3.11' and sys_platform == 'linux'",
    )


@pytest.mark.parametrize(
    ("setting", "pins", "inside"),
    [
        ("constraints = [\"late<2; python_full_version < '3.11.3'\"]", ["deep", "late", "lib"], False),
        ("constraints = [\"late>=2; python_full_version < '3.11.3'\"]", ["deep", "late", "lib"], True),
        ("constraints = [\"other<2; python_full_version < '3.11.3'\"]", ["deep", "late", "lib"], True),
        ("overrides = [\"late>=2; python_full_version < '3.11.3'\"]", ["deep", "late", "lib"], True),
    ],
)
def test_constraints_and_overrides_on_some_micro_versions(
    made: Bench, setting: str, pins: list[str], *, inside: bool
) -> None:
    made.hold({**OTHERS, "lib 1.0": {"requires": ["late"]}})
    made.write(
        {
            "pyproject.toml": f'[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n[tool.deep-lock]\n{setting}\n'
        }
    )
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert [entry.name for entry in ran.lock.packages] == pins
    assert (included(ran, "3.11.2"), included(ran, "3.11.3")) == (inside, True)
    assert ("which is true on a part of the target only" in ran.stderr) == (not inside or "overrides" in setting)
    if "overrides" in setting:
        assert markers(ran)["late"] == "python_full_version < '3.11.3'"
    assert made.lock("--check").code == 0


@pytest.mark.parametrize(
    ("requires_python", "python", "marker"),
    [
        (">=3.11.3", "3.11", "python_full_version < '3.11.3'"),
        (">=3.11", "3.11.5", "python_full_version < '3.11.3'"),
        (">=3.11", "3.11", "python_full_version <= '3.11.0a6'"),
        (">=3.11", "3.11", "python_full_version < '3.11'"),
    ],
)
def test_what_a_target_does_not_leave_open_is_decided(
    made: Bench, requires_python: str, python: str, marker: str
) -> None:
    made.pythons = (python,)
    made.hold({**OTHERS, "lib 1.0": {"requires": [f"late; {marker}"]}})
    made.write(
        {
            "pyproject.toml": f'[project]\nname = "app"\nversion = "1"\nrequires-python = "{requires_python}"\n'
            'dependencies = ["lib"]\n'
        }
    )
    ran = made.lock()
    assert (ran.code, ran.pins()) == (0, ["lib==1.0"]), ran.stderr
    assert "leaves open" not in ran.stderr


POETRY = """
[[package]]
name = "lib"
version = "1.0"
optional = false
python-versions = "*"
groups = ["main"]
files = []

[[package]]
name = "late"
version = "1.0"
optional = false
python-versions = "*"
groups = ["main"]
markers = "python_full_version < '3.11.3'"
files = []
{more}
[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = "x"
"""
SECOND = """
[[package]]
name = "late"
version = "2.0"
optional = false
python-versions = "*"
groups = ["main"]
markers = "python_full_version >= '3.11.3'"
files = []
"""


def deepen(made: Bench, text: str, name: str = "poetry.lock") -> Run:
    made.hold({**OTHERS, "lib 1.0": {}})
    made.write({name: text})
    flags = [flag for flag in made.flags() if not flag.startswith("--project") and flag != str(made.folder)]
    code = run(["deepen", str(made.folder / name), *flags])
    stderr = made.capture.readouterr().err
    assert code == 0, stderr
    check = run(["deepen", str(made.folder / name), "--check", *flags])
    assert check == 0, made.capture.readouterr().err
    return Run(code=code, stderr=stderr, text=(made.folder / "deep.lock").read_text(encoding="utf-8"), asked=())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("poetry.lock", POETRY.replace("{more}", "")),
        ("requirements.txt", "lib==1.0\nlate==1.0 ; python_full_version < '3.11.3'\n"),
    ],
)
def test_an_imported_lock_keeps_its_markers_on_micro_versions(made: Bench, name: str, text: str) -> None:
    ran = deepen(made, text, name)
    assert installed(ran, "3.11.2") == ["late==1.0", "lib==1.0"]
    assert installed(ran, "3.11.3") == ["lib==1.0"]


def test_two_versions_of_an_imported_lock_on_one_target_narrow_the_environments(made: Bench) -> None:
    made.pythons = ("3.11", "3.12")
    ran = deepen(made, POETRY.replace("{more}", SECOND))
    assert installed(ran, "3.11.3") == ["late==2.0", "lib==1.0"]
    assert f"pins two versions of late for different micro versions of cp311-{LINUX}" in ran.stderr
    environments = [Marker(text) for text in ran.lock.environments]
    for version, inside in (("3.11.2", False), ("3.11.3", True), ("3.12.0", True)):
        environment = dict(make_target(version, LINUX, host=None).environment)
        assert any(marker.evaluate(environment) for marker in environments) == inside, version
