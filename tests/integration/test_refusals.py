"""What a message says where no set of versions fits: which extra requires it, and many files on one line."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.scenario_server import Releases
from tests.support.scenarios import HERE, MINOR, Bench, bench

BACKEND = """
import os
def get_requires_for_build_wheel(settings=None):
    return []
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(folder + "/app-1.dist-info")
    with open(folder + "/app-1.dist-info/METADATA", "w") as file:
        file.write('''{metadata}''')
    return "app-1.dist-info"
"""
METADATA = """\
Metadata-Version: 2.1
Name: app
Version: 1
Provides-Extra: new-api
Provides-Extra: old
Requires-Dist: lib<2; extra == 'old'
Requires-Dist: lib>=2; extra == 'new-api'
"""
TWO: Releases = {
    "lib 1.0": {},
    "lib 2.0": {},
    "setuptools 80.0": {},
    "own-backend 1.0": {"modules": {"own_backend.py": BACKEND.format(metadata=METADATA)}},
}
DYNAMIC = """\
[build-system]
requires = ["own-backend"]
build-backend = "own_backend"
[project]
name = "app"
version = "1"
dynamic = ["dependencies", "optional-dependencies"]
"""
EXTRAS: Mapping[str, Mapping[str, str]] = {
    "backend": {"pyproject.toml": DYNAMIC},
    "project": {
        "pyproject.toml": "[project]\nname='app'\nversion='1'\n[project.optional-dependencies]\nold=['lib<2']\n"
        "new-api=['lib>=2']\n"
    },
    "setup.cfg": {
        "pyproject.toml": "[build-system]\nrequires=['setuptools']\nbuild-backend='setuptools.build_meta'\n",
        "setup.cfg": "[metadata]\nname=app\nversion=1\n[options.extras_require]\nold = lib<2\nnew-api = lib>=2\n",
    },
    "groups": {
        "pyproject.toml": "[project]\nname='app'\nversion='1'\n[dependency-groups]\nold=['lib<2']\nnew-api=['lib>=2']\n"
    },
}


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, TWO) as own:
        own.hooks, own.pythons, own.platforms = "trust", (MINOR,), ("host",)
        yield own


@pytest.mark.parametrize("form", EXTRAS)
def test_extras_that_contradict_each_other_are_named(made: Bench, form: str) -> None:
    made.write(EXTRAS[form])
    ended = made.lock()
    assert ended.code == 1, ended.stderr
    old, new = (
        ("[build backend, extra old]", "[build backend, extra new-api]")
        if form == "backend"
        else (".old]", ".new-api]")
    )
    assert f"{old} requires lib<2" in ended.stderr
    assert f"{new} requires lib>=2" in ended.stderr


WHEELS = [f"cp3{minor}-cp3{minor}-{system}" for minor in range(5, 11) for system in ("win_arm64", "macosx_11_0_arm64")]


def _lines_of(text: str, name: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(name)]


def test_many_wheels_that_do_not_fit_are_one_line(made: Bench) -> None:
    made.hold({"lib 2.0": {"wheels": WHEELS}, "lib 1.0": {"wheels": WHEELS}})
    made.ask("lib")
    ended = made.lock()
    assert ended.code == 1
    for version in ("2.0", "1.0"):
        (line,) = _lines_of(ended.stderr, f"lib-{version}")
        assert "-win_arm64.whl and 11 more wheels: none fits" in line or "and 11 more wheels: none fits" in line
        assert HERE in line
        assert "and 9 more" in line


def test_many_files_with_another_reason_are_one_line(made: Bench) -> None:
    wheels = [f"py3-none-{system}" for system in ("any", "win_arm64", "win_amd64", "win32", "macosx_11_0_arm64")]
    made.hold({"lib 2.0": {"wheels": wheels, "requires-python": ">=3.99"}})
    made.ask("lib")
    (line,) = _lines_of(made.lock().stderr, "lib-2.0")
    assert "and 4 more files: needs Python >=3.99" in line


def test_few_wheels_have_a_line_each(made: Bench) -> None:
    made.hold({"lib 2.0": {"wheels": WHEELS[:3]}})
    made.ask("lib")
    lines = _lines_of(made.lock().stderr, "lib-2.0")
    assert len(lines) == 3
    assert all("its tags" in line for line in lines)


@pytest.mark.parametrize("name", ["pylock.toml", "requirements.txt"])
def test_a_pin_of_another_lock_with_many_wheels_that_do_not_fit_is_one_line(made: Bench, name: str) -> None:
    made.hold({"lib 2.0": {"wheels": WHEELS}})
    text = "lib==2.0\n"
    if name == "pylock.toml":
        text = "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'lib'\nversion = '2.0'\n"
        text += f"[[packages.wheels]]\nurl = '{{file:lib-2.0-{WHEELS[0]}.whl}}'\nhashes = {{sha256 = '{{sha256:lib-2.0-{WHEELS[0]}.whl}}'}}\n"
    made.write({name: text})
    made.ask("lib")
    ended = made.lock("--from", str(made.folder / name))
    assert ended.code != 0
    assert len(_lines_of(ended.stderr, "lib-2.0")) <= 1, ended.stderr
    assert len(ended.stderr.splitlines()) < 8, ended.stderr


@pytest.mark.parametrize(
    "release",
    [
        {"metadata": "Metadata-Version: 2.1\nName: lib\nVersion: 3.0\n"},
        {"wheels": [], "sdist": True, "tree": {"PKG-INFO": "Metadata-Version: 2.2\nName: lib\nVersion: 3.0\n"}},
        {"sdist": True, "tree": {"PKG-INFO": "Metadata-Version: 2.2\nName: lib\nVersion: 3.0\n"}},
    ],
    ids=["wheel", "sdist", "sdist beside a wheel"],
)
@pytest.mark.parametrize("side", ["sidecar", "file", "folder"])
def test_the_newest_file_with_another_version_inside_is_refused_and_an_older_one_is_locked(
    made: Bench, release: Mapping[str, object], side: str
) -> None:
    made.hold(
        {
            "lib 2.0": release,
            "lib 1.0": {"sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
            "flit_core 3.9": {},
            "setuptools 80.0": {},
        }
    )
    made.ask("lib")
    flags = ["--no-binary", "lib"] if release.get("wheels", True) and "sdist" in release else []
    if side == "file":
        made.server.sidecars = "none"
    if side == "folder":
        (made.folder / "links").mkdir()
        for file in made.server.known.values():
            (made.folder / "links" / file.filename).write_bytes(file.content)
        flags += ["--no-index", "--find-links", str(made.folder / "links")]
    ended = made.lock(*flags)
    assert ended.code == 0, ended.stderr
    assert "lib==1.0" in ended.pins()
    assert "lib 2.0: it is not used: " in ended.stderr
    assert "3.0" in ended.stderr


def test_a_release_that_its_metadata_exclude_is_named_with_what_requires_it(made: Bench) -> None:
    made.hold({"lib 2.0": {"requires-python": ">=3.15", "page-python": ""}, "lib 1.0": {}})
    made.ask("lib>=2")
    ran = made.lock()
    assert ran.code == 1
    lines = ran.stderr.splitlines()
    assert "  pyproject.toml:4 [project.dependencies] requires lib>=2" in lines
    assert any(line.startswith("  lib 2.0 cannot be used: its metadata needs Python >=3.15") for line in lines)
