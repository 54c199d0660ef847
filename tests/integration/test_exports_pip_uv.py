"""What real installers make of the exports: pip and uv, against an index that has newer releases by then."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases, release_files
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, bench

ZIPPER = (Path(__file__).parents[2] / "fixtures" / "building" / "zipper.py").read_text(encoding="utf-8")
ELSEWHERE = LINUX if sys.platform == "win32" else WINDOWS
OFF = "linux" if sys.platform == "win32" else "win32"
BACKEND = {"build": [], "backend": "own.zipper", "backend-path": ["backend"]}
RELEASES: Releases = {
    "app-lib 1.0": {"requires": ["shared", "own", f"other; sys_platform == '{OFF}'"], "modules": {"app_lib.py": ""}},
    "shared 2.0": {"modules": {"shared.py": "NAME = 'shared'\n"}},
    "other 1.0": {},
    "fast 1.0": {},
    "own 1.0": {"wheels": [], "sdist": True, "tree": {"backend/own/zipper.py": ZIPPER, "own.py": ""}, **BACKEND},
    "thing 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "maker"},
    "maker 3.0": {"requires": ["shared<2"], "modules": {"maker.py": ""}},
    "shared 1.0": {},
}
NEWER: Releases = {
    **RELEASES,
    **{f"{name} 9.0": {} for name in ("app-lib", "shared", "other", "fast", "own", "thing", "maker")},
}
PROJECT = """
[project]
name = "app"
version = "1"
dependencies = ["app-lib"]
[project.optional-dependencies]
fast = ["fast"]
[dependency-groups]
build-it = ["thing"]
"""
BASE = {"app_lib-1.0", "shared-2.0", "own-1.0"}


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    said: str
    site: Path

    @property
    def installed(self) -> set[str]:
        return {path.name.removesuffix(".dist-info") for path in self.site.glob("*.dist-info")}


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A locked project, what is exported of it, and the tools that install."""

    bench: Bench
    folder: Path

    @property
    def project(self) -> Path:
        return self.bench.folder

    def export(self, *flags: str, place: str) -> Path:
        output = self.project / place
        output.parent.mkdir(parents=True, exist_ok=True)
        assert run(["export", "--lock", str(self.project / "deep.lock"), "-o", str(output), *flags]) == 0
        return output

    def run(self, command: list[str], site: Path) -> Ended:
        environ = {name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        environ |= {"UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(self.folder / "uv"), "UV_PYTHON_DOWNLOADS": "never"}
        environ |= {"SOURCE_DATE_EPOCH": "1700000000"}  # the backend of these tests asks for it
        ended = subprocess.run(
            command, cwd=self.project, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        return Ended(code=ended.returncode, said=ended.stdout + ended.stderr, site=site)

    def pip(self, *arguments: str) -> Ended:
        site = self.folder / f"pip-{len(list(self.folder.glob('pip-*')))}"
        site.mkdir()
        command = [sys.executable, "-m", "pip", "install", "--isolated", "--no-input", "--disable-pip-version-check"]
        command += ["--no-cache-dir", "--no-compile", "--index-url", self.bench.server.url, "--target", str(site)]
        return self.run([*command, *arguments], site)

    def uv(self, *arguments: str) -> Ended:
        home = self.folder / f"uv-{len(list(self.folder.glob('uv-*')))}"
        program = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
        assert program is not None
        made = self.run([program, "venv", "--quiet", "--python", sys.executable, str(home)], home)
        assert made.code == 0, made.said
        flags = ["--python", str(home), "--default-index", self.bench.server.url]
        (site,) = [*home.glob("lib/python*/site-packages"), *home.glob("Lib/site-packages")]
        return self.run([program, "pip", *arguments, *flags], site)


@pytest.fixture
def counter(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        made.pythons, made.platforms = (MINOR,), ("host", ELSEWHERE)
        made.write({"pyproject.toml": PROJECT})
        locked = made.lock()
        assert locked.code == 0, locked.stderr
        made.hold(NEWER)
        yield Counter(bench=made, folder=tmp_path)


Tool = tuple[str, str, list[str]]
TOOLS: Mapping[str, Tool] = {
    "pip, a lock": ("pylock", "pip", ["-r"]),
    "uv, a lock": ("pylock", "uv", ["sync"]),
    "pip, requirements": ("requirements", "pip", ["--require-hashes", "-r"]),
    "uv, requirements": ("requirements", "uv", ["install", "--require-hashes", "-r"]),
}


def install(counter: Counter, tool: Tool, path: Path) -> Ended:
    _, program, arguments = tool
    return (counter.pip if program == "pip" else counter.uv)(*arguments, str(path))


@pytest.mark.parametrize("case", TOOLS)
def test_an_installer_takes_what_is_locked_and_no_other_bytes(case: str, counter: Counter) -> None:
    """Newer releases are on the index; an entry is for another platform; an sdist brings its own backend."""
    form = TOOLS[case][0]
    place = counter.export("-f", form, place="pylock.toml" if form == "pylock" else "requirements.txt")
    assert "other" in place.read_text(encoding="utf-8")
    ended = install(counter, TOOLS[case], place)
    assert ended.code == 0, ended.said
    assert ended.installed == BASE
    (file,) = release_files("shared 2.0", RELEASES["shared 2.0"])
    digest = hashlib.sha256(file.content).hexdigest()
    text = place.read_text(encoding="utf-8")
    assert digest in text
    place.write_text(text.replace(digest, hashlib.sha256(b"other bytes").hexdigest()), encoding="utf-8")
    shutil.rmtree(counter.folder / "uv", ignore_errors=True)
    ended = install(counter, TOOLS[case], place)
    assert ended.code != 0
    assert re.search(r"(?i)hash", ended.said), ended.said
    assert "shared-2.0" not in ended.installed


def test_what_is_chosen_is_ordinary(counter: Counter) -> None:
    place = counter.export("-f", "pylock", "--extra", "fast", "--no-groups", place="pylock.toml")
    ended = counter.uv("sync", str(place))
    assert ended.code == 0, ended.said
    assert ended.installed == BASE | {"fast-1.0"}


def test_a_build_environment_is_installed_by_itself(counter: Counter) -> None:
    """It holds an older release than the run time."""
    place = counter.export("-f", "pylock", "--build", "thing", place="pylock.build-thing.toml")
    assert [f"{own.name} {own.version}" for own in Pylock.from_dict(tomllib.loads(place.read_text())).packages] == [
        "maker 3.0",
        "shared 1.0",
    ]
    ended = counter.uv("sync", str(place))
    assert ended.code == 0, ended.said
    assert ended.installed == {"maker-3.0", "shared-1.0"}


# -- places


@pytest.fixture
def placed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    """A project with a folder of files, an archive and a source tree beside it."""
    with bench(tmp_path, capsys, monkeypatch, {"shared 2.0": {}}) as made:
        made.pythons, made.platforms = (MINOR,), ("host",)
        (linked,) = release_files("linked 1.0", {})
        (named,) = release_files("named 1.0", {})
        for folder, file in (("links", linked), ("a b", named)):
            (made.folder / folder).mkdir()
            (made.folder / folder / file.filename).write_bytes(file.content)
        made.told = {"linked 1.0": {}, "named 1.0": {}, "shared 2.0": {}}
        yield Counter(bench=made, folder=tmp_path)


def lock(counter: Counter, *requirements: str, more: str = "", **tree: str) -> None:
    counter.bench.write(
        {
            "pyproject.toml": f'[project]\nname = "app"\nversion = "1"\ndependencies = {json.dumps(requirements)}\n{more}',
            **{name.replace("__", "/"): text for name, text in tree.items()},
        }
    )
    locked = counter.bench.lock("--find-links", "links")
    assert locked.code == 0, locked.stderr


NAMED = '[tool.deep-lock.sources]\nnamed = { path = "a b/named-1.0-py3-none-any.whl" }\n'


def test_files_in_folders_are_found_from_wherever_the_export_stands(placed: Counter) -> None:
    lock(placed, "linked", "named", "shared", more=NAMED)
    wanted = {"linked-1.0", "named-1.0", "shared-2.0"}
    ended = placed.uv("sync", str(placed.export("-f", "pylock", place="deps/pylock.toml")))
    assert (ended.code, ended.installed) == (0, wanted), ended.said
    place = placed.export("-f", "requirements", "--index-options", place="deps/requirements.txt")
    ended = placed.pip("--require-hashes", "-r", str(place))
    assert (ended.code, ended.installed) == (0, wanted), ended.said
    ended = placed.uv("install", "--require-hashes", "-r", str(place))
    assert (ended.code, ended.installed) == (0, wanted), ended.said


TREE = """
[project]
name = "tree"
version = "3"
[build-system]
requires = []
build-backend = "zipper"
backend-path = ["."]
"""


def test_a_source_tree_is_for_uv_as_the_export_says(placed: Counter) -> None:
    """In both forms pip refuses what has no hash beside what has one; if it once does not, the loss goes."""
    lock(
        placed,
        "tree",
        "shared",
        more='[tool.deep-lock.sources]\ntree = { path = "tree" }\n',
        **{
            "tree__pyproject.toml": TREE,
            "tree__zipper.py": ZIPPER,
            "tree__PKG-INFO": "Metadata-Version: 2.2\nName: tree\nVersion: 3\n",
            "tree__tree.py": "",
        },
    )
    for form, name, tool in (("pylock", "pylock.toml", ["sync"]), ("requirements", "r.txt", ["install", "-r"])):
        place = placed.export("-f", form, place=name)
        said = placed.bench.capture.readouterr().err
        assert "not exported: pip: tree @ tree is without a sha256" in said
        assert f"use: uv pip {' '.join(tool)} {place}" in said
        ended = placed.uv(*tool, str(place))
        assert (ended.code, ended.installed) == (0, {"tree-3", "shared-2.0"}), ended.said
        ended = placed.pip("-r", str(place))
        assert ended.code != 0
        assert "Can't verify hashes" in ended.said


# -- the command


def test_the_lock_itself_is_not_written_over(counter: Counter) -> None:
    path = counter.project / "deep.lock"
    before = path.read_bytes()
    assert run(["export", "--lock", str(path), "-f", "requirements", "-o", str(path)]) == 2
    assert path.read_bytes() == before
    assert "is the lock itself" in counter.bench.capture.readouterr().err
