"""Build constraints where they are used: pip, uv and build, each with an index that has newer releases by then."""

import ast
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import MINOR, Bench, bench

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the command that is shown is one for a POSIX shell")
HOOKS = "sandbox" if probe().level == "strong" else "trust"
BACKEND = (Path(__file__).parents[2] / "fixtures" / "building" / "zipper.py").read_text(encoding="utf-8")
PROJECT = """
[build-system]
requires = ["zipper", "tool"]
build-backend = "zipper"
[project]
name = "app"
version = "1"
dependencies = {}
"""


def zipper(version: str) -> Releases:
    return {f"zipper {version}": {"modules": {"zipper.py": BACKEND}}}


def sdist(*build: str, **says: Any) -> dict[str, Any]:
    """Return a release that is an sdist only; its wheel says which zipper, and which tool, it was built with."""
    projects = ["zipper", *(["tool"] if any(text.startswith("tool") for text in build) else [])]
    tree = {"zipper.json": json.dumps({"records": projects, **says})}
    return {"wheels": [], "sdist": True, "build": ["zipper", *build], "backend": "zipper", "tree": tree}


OLD: Releases = {**zipper("1.0"), "tool 0.5": sdist(), "thing 1.0": sdist("tool"), "extra 1.0": {}}
NEW: Releases = {**zipper("2.0"), "tool 0.6": sdist()}
AS_LOCKED = {"zipper": "1.0", "tool": "0.5", "tool's own": {"zipper": "1.0"}}
AS_NEWEST = {"zipper": "2.0", "tool": "0.6", "tool's own": {"zipper": "2.0"}}


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A locked project with its exports, and an environment to install into."""

    bench: Bench
    place: Path
    without: frozenset[str] = frozenset()
    """Variables that are left out."""

    def lock(self, *asked: str) -> None:
        self.bench.write(
            {
                "pyproject.toml": PROJECT.format(list(asked)),
                "PKG-INFO": "Metadata-Version: 2.1\nName: app\nVersion: 1\n",
                "zipper.json": json.dumps({"records": ["zipper", "tool"]}),
            }
        )
        locked = self.bench.lock()
        assert locked.code == 0, locked.stderr

    def export(self, form: str) -> list[str]:
        """Write an export into the project's folder; return the commands that it tells to use."""
        self.bench.capture.readouterr()
        assert run(["export", "-f", form, "-d", "."]) == 0
        (use,) = (line for line in self.bench.capture.readouterr().err.splitlines() if line.startswith("use: "))
        return use.removeprefix("use: ").split(" && ")

    def run(self, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command as it is shown, in the project's folder."""
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.place),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.bench.server.url,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CACHE": "1",
            "UV_NO_CONFIG": "1",
            "UV_DEFAULT_INDEX": self.bench.server.url,
            "UV_PYTHON_DOWNLOADS": "never",
            "SOURCE_DATE_EPOCH": "1700000000",
        }
        own = {name: value for name, value in own.items() if name not in self.without}
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.bench.folder,
            env={**own, **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of pip or uv for the environment beside the project."""
        python = str(self.place / "venv" / "bin" / "python")
        return self.run(command, PIP_PYTHON=python, VIRTUAL_ENV=str(self.place / "venv"))

    def built_with(self, name: str) -> Mapping[str, Any]:
        (module,) = (self.place / "venv").glob(f"lib/python*/site-packages/{name}_records.py")
        return recorded(module.read_text(encoding="utf-8"))


def recorded(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = ast.literal_eval(text.removeprefix("BUILT_WITH = "))
    return found


def refused(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert ended.returncode != 0
    assert any(word in ended.stdout + ended.stderr for word in words), ended.stdout + ended.stderr


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.pythons, made.platforms, made.hooks = [MINOR], ["host"], HOOKS
        monkeypatch.chdir(made.folder)
        venv.create(tmp_path / "venv", symlinks=True)
        yield Shop(bench=made, place=tmp_path)


PIP = "pip install --no-cache-dir --require-hashes -r requirements.txt --build-constraint build-constraints.txt"
UV_WITHOUT = "uv pip install --require-hashes -r requirements.txt --build-constraints build-constraints.txt"
UV = f"{UV_WITHOUT} --require-build-hashes --preview-features build-dependency-hashes"
BUILD = (
    "PIP_BUILD_CONSTRAINT=build-constraints.txt "
    "python -m build --wheel --dependency-constraints-txt build-constraints.txt"
)


def test_pip_uv_and_build_take_what_is_locked_to_the_last_level(shop: Shop) -> None:
    shop.lock("thing")
    assert shop.export("hermeto")
    assert shop.export("build-constraints") == [
        PIP,
        BUILD,
    ]
    shop.bench.hold({**OLD, **NEW})
    unconstrained = shop.install("uv pip install --require-hashes -r requirements.txt")
    assert unconstrained.returncode == 0, unconstrained.stderr
    assert shop.built_with("thing") == AS_NEWEST, "or this test shows nothing"
    for command in (UV, PIP):
        ended = shop.install(f"{command} {'--reinstall' if command == UV else '--force-reinstall'}")
        assert ended.returncode == 0, ended.stderr
        assert shop.built_with("thing") == AS_LOCKED
    ended = shop.run(BUILD)
    assert ended.returncode == 0, ended.stderr
    with zipfile.ZipFile(shop.bench.folder / "dist" / "app-1-py3-none-any.whl") as archive:
        assert recorded(archive.read("app_records.py").decode()) == AS_LOCKED


def test_other_bytes_are_refused_even_in_a_build_inside_a_build(shop: Shop) -> None:
    shop.lock("thing")
    shop.export("hermeto")
    shop.export("build-constraints")
    shop.bench.hold({**OLD, **zipper("2.0"), "zipper 1.0": {"modules": {"zipper.py": f"{BACKEND}\n"}}})
    refused(shop.install(PIP), "DO NOT MATCH")
    refused(shop.install(UV), "Hash mismatch")
    shop.bench.hold({**OLD, "tool 0.5": sdist(says="other bytes")})
    refused(shop.install(PIP), "DO NOT MATCH")
    refused(shop.install(UV), "Hash mismatch")


@pytest.mark.parametrize(
    ("missing", "releases"),
    [
        ("zipper", OLD),
        ("tool", OLD),
        # a requirement that only a hook of the backend returns
        ("extra", {**OLD, "thing 1.0": sdist("tool", asks=["extra"])}),
        # a requirement of the build of a build requirement, and of nothing else
        ("extra", {**OLD, "tool 0.5": sdist("extra")}),
        ("extra", {**OLD, "tool 0.5": sdist(asks=["extra"])}),
    ],
    ids=["backend", "requirement", "hook", "nested-requirement", "nested-hook"],
)
def test_a_missing_pin_is_refused(shop: Shop, missing: str, releases: Releases) -> None:
    shop.bench.hold(releases)
    shop.lock("thing")
    shop.export("hermeto")
    shop.export("build-constraints")
    without_pin(shop.bench.folder / "build-constraints.txt", missing)
    refused(shop.install(PIP), "In --require-hashes mode")
    ended = shop.install(UV)
    refused(ended, f"no trusted hash was provided for: `{missing}`")
    assert "warning" not in ended.stderr
    assert not list((shop.place / "venv").glob("lib/python*/site-packages/thing*"))


def without_pin(path: Path, name: str) -> None:
    """Remove the pin of a project and its hashes from a file of constraints."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept: list[str] = []
    skipping = False
    for line in lines:
        skipping = line.startswith(f"{name}==") or (skipping and line.startswith(" "))
        kept += [] if skipping else [line]
    assert len(kept) < len(lines)
    path.write_text("".join(kept), encoding="utf-8")


def test_without_the_option_for_builds_uv_accepts_a_missing_pin(shop: Shop) -> None:
    """A constraint only narrows: --require-hashes of uv is about what is installed, as that of pip is about both."""
    shop.lock("thing")
    shop.export("hermeto")
    shop.export("build-constraints")
    without_pin(shop.bench.folder / "build-constraints.txt", "tool")
    assert shop.install(UV_WITHOUT).returncode == 0


def with_caches(shop: Shop) -> Shop:
    """Lock, then install with the caches of the tools and no constraints: they have a wheel with the newest releases."""
    shop = replace(shop, without=frozenset({"PIP_NO_CACHE_DIR", "UV_NO_CACHE"}))
    shop.lock("thing")
    shop.export("hermeto")
    shop.export("build-constraints")
    shop.bench.hold({**OLD, **NEW})
    for tool in ("pip", "uv pip"):
        assert shop.install(f"{tool} install --require-hashes -r requirements.txt").returncode == 0
    return shop


def test_pip_reuses_a_wheel_of_its_cache_without_the_option(shop: Shop) -> None:
    shop = with_caches(shop)
    reused = PIP.replace("--no-cache-dir ", "")
    assert shop.install(f"{reused} --force-reinstall").returncode == 0
    assert shop.built_with("thing") == AS_NEWEST, "pip has changed: the option is not needed any more"
    assert shop.install(f"{PIP} --force-reinstall").returncode == 0
    assert shop.built_with("thing") == AS_LOCKED


def test_uv_builds_again_with_other_constraints(shop: Shop) -> None:
    shop = with_caches(shop)
    assert shop.install(f"{UV} --reinstall").returncode == 0
    assert shop.built_with("thing") == AS_LOCKED


def test_builds_that_disagree_are_installed_file_by_file(shop: Shop) -> None:
    shop.bench.hold(
        {
            **zipper("1.0"),
            "tool 0.5": sdist(),
            "tool 0.6": sdist(),
            "left 1.0": sdist("tool<0.6"),
            "right 1.0": sdist("tool>=0.6"),
            "plain 1.0": {},
        }
    )
    shop.lock("left", "right", "plain")
    shop.export("hermeto")
    *installing, _ = commands = shop.export("build-constraints")
    assert len(commands) == 4
    files = [(shop.bench.folder / f"build-constraints-{number}.txt").read_text(encoding="utf-8") for number in (1, 2)]
    (shop.bench.folder / "build-constraints.txt").write_text("\n".join(files), encoding="utf-8")
    refused(shop.install(PIP), "conflict")
    refused(shop.install(UV), "unsatisfiable")
    shop.bench.hold({**shop.bench.told, **zipper("2.0"), "tool 0.7": sdist()})
    for command in installing:
        ended = shop.install(command)
        assert ended.returncode == 0, ended.stderr
    assert (shop.built_with("left")["tool"], shop.built_with("right")["tool"]) == ("0.5", "0.6")
    assert {shop.built_with(name)["zipper"] for name in ("left", "right")} == {"1.0"}
    assert list((shop.place / "venv").glob("lib/python*/site-packages/plain-1.0.dist-info"))
