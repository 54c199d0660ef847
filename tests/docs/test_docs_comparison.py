"""The table of docs/concepts/comparison.md and the picture of docs/index.md: tools, in their newest versions, with the real index."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest
from msgspec import Struct

from deep_lock.lockfile.reader import from_text
from tests.support.archives import make_tar
from tests.support.loopback_server import LoopbackServer
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "concepts" / "comparison.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for cells in (
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in re.findall(r"^\| (?!tool|---).*\|$", PAGE, re.MULTILINE)
    )
}

PROJECT = """\
[project]
name = "app"
version = "1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["docopt==0.6.2", "tqdm", "probe @ {url}"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.metadata]
allow-direct-references = true
"""
PIPFILE = """\
[packages]
docopt = "==0.6.2"
tqdm = "*"
probe = {{file = "{url}"}}
"""
SETUP = """\
try:
    open({mark!r}, "w").close()
except OSError:
    pass
from setuptools import setup
setup(name="probe", version="1.0", py_modules=["probe"], install_requires=["idna" for _ in range(1)])
"""


class Tool(Struct, frozen=True, kw_only=True):
    """How a tool is installed and called. `check` and `pylock` are empty where the tool has no such command."""

    install: tuple[str, ...]
    lock: tuple[str, ...]
    file: str
    check: tuple[str, ...] = ()
    pylock: tuple[str, ...] = ()


TOOLS = {
    "deep-lock": Tool(
        install=(),
        lock=("deep-lock", "lock"),
        file="deep.lock",
        check=("deep-lock", "lock", "--check"),
        pylock=("deep-lock", "export", "-f", "pylock", "-o", "pylock.toml"),
    ),
    "pip": Tool(install=("pip",), lock=("pip", "lock", "."), file="pylock.toml", pylock=("pip", "--version")),
    "pip-tools": Tool(
        install=("pip-tools",),
        lock=(
            "pip-compile",
            "--generate-hashes",
            "--all-build-deps",
            "--allow-unsafe",
            "-o",
            "all.txt",
            "pyproject.toml",
        ),
        file="all.txt",
    ),
    "uv": Tool(
        install=("uv",),
        lock=("uv", "lock", "--no-cache"),
        file="uv.lock",
        check=("uv", "lock", "--check", "--no-cache"),
        pylock=("uv", "export", "--no-cache", "--format", "pylock.toml", "-o", "pylock.toml"),
    ),
    "Poetry": Tool(
        install=("poetry",),
        lock=("poetry", "lock"),
        file="poetry.lock",
        check=("poetry", "check", "--lock"),
        pylock=("poetry", "export", "-f", "pylock.toml", "-o", "pylock.toml"),
    ),
    "PDM": Tool(
        install=("pdm", "hishel<2"),  # PDM 2.29.4 cannot lock with hishel 2
        lock=("pdm", "lock"),
        file="pdm.lock",
        check=("pdm", "lock", "--check"),
        pylock=("pdm", "export", "-f", "pylock", "-o", "pylock.toml"),
    ),
    "Pipenv": Tool(
        install=("pipenv",),
        lock=("pipenv", "lock"),
        file="Pipfile.lock",
        check=("pipenv", "verify"),
        pylock=("pipenv", "pylock", "--generate", "-o", "pylock.toml"),
    ),
    "fromager": Tool(
        install=("fromager", "uv", "wheel"),
        lock=("fromager", "--no-network-isolation", "bootstrap", "docopt==0.6.2"),
        file="work-dir/build-order.json",
    ),
}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """Serve the sdist whose setup.py writes `tmp_path / "mark"`, and yield its URL."""
    folder = tmp_path / "served"
    folder.mkdir()
    members = {
        "PKG-INFO": "Metadata-Version: 1.1\nName: probe\nVersion: 1.0\n",
        "setup.py": SETUP.format(mark=str(tmp_path / "mark")),
        "probe.py": "",
    }
    files = {name: text.encode() for name, text in members.items()}
    (folder / "probe-1.0.tar.gz").write_bytes(make_tar(files, top="probe-1.0"))
    server = LoopbackServer(partial(SimpleHTTPRequestHandler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/probe-1.0.tar.gz"
    server.shutdown()
    server.server_close()


def _programs(tool: Tool, folder: Path) -> tuple[Path, str]:
    """Install a tool into an environment of its own. Return the folder of its programs, and its version."""
    if not tool.install:
        return Path(sysconfig.get_path("scripts")), "0.1.0"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", "-U", *tool.install], check=True)
    shown = subprocess.run(
        [folder / "bin" / "pip", "show", tool.install[0]], check=True, capture_output=True, text=True
    ).stdout
    return folder / "bin", shown.partition("\nVersion: ")[2].splitlines()[0]


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _row(tool: Tool, programs: Path, folder: Path, url: str) -> list[str]:
    """Lock the project of the page, and return the cells of the table."""
    project = folder / "app"
    (project / "app").mkdir(parents=True)
    (project / "app" / "__init__.py").touch()
    (project / "pyproject.toml").write_text(PROJECT.format(url=url), encoding="utf-8")
    if tool.file == "Pipfile.lock":
        (project / "Pipfile").write_text(PIPFILE.format(url=url), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_CACHE_DIR": "1",
        "PIPENV_VENV_IN_PROJECT": "1",
        **{f"{name}_CACHE_DIR": str(folder / name) for name in ("POETRY", "PDM", "DEEP_LOCK")},
    }

    def run(*command: str) -> int:
        return subprocess.run(command, cwd=project, env=environment, check=False).returncode

    assert run(*tool.lock) == 0
    text = (project / tool.file).read_text(encoding="utf-8")
    marked = (folder / "mark").exists()
    exported = bool(tool.pylock) and shutil.which(tool.pylock[0], path=environment["PATH"]) is not None
    exported = exported and run(*tool.pylock) == 0 and (project / "pylock.toml").is_file()
    fresh = bool(tool.check) and run(*tool.check) == 0
    (project / "pyproject.toml").write_text(
        PROJECT.format(url=url).replace('"tqdm"', '"tqdm", "idna<3"'), encoding="utf-8"
    )
    if tool.file == "Pipfile.lock":
        (project / "Pipfile").write_text(f'{PIPFILE.format(url=url)}idna = "<3"\n', encoding="utf-8")
    stale = fresh and run(*tool.check) != 0
    named = {
        name
        for name in ("setuptools", "hatchling", "colorama")
        if re.search(rf'(?m)^{name}==|"?(?:name|dist)"?(?: =|:) "{name}"', text)
    }
    return [
        _yes("setuptools" in named),
        _yes("hatchling" in named),
        _yes("colorama" in named),
        _yes(len(re.findall(r"[0-9a-f]{64}", text)) >= 3),
        _yes(exported),
        _yes(stale),
        _yes(marked),
    ]


@pytest.mark.live
@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_writes_what_the_page_says(name: str, tmp_path: Path, archive: str) -> None:
    programs, version = _programs(TOOLS[name], tmp_path / "tool")
    found = [version, *_row(TOOLS[name], programs, tmp_path, archive)]
    assert ["-" if cell == "-" else own for own, cell in zip(found, ROWS[name], strict=True)] == ROWS[name]


def test_the_page_has_a_row_for_each_tool_that_is_run() -> None:
    assert set(ROWS) == set(TOOLS)


REPORTER = """\
[project]
name = "reporter"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["docopt", "hnswlib", "hydra-core", "psycopg2"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
CHIP = re.compile(r'<rect class="(\w+)"[^>]*/>\s*<text[^>]* class="name"[^>]*>([^<]+)</text>')


def _picture() -> dict[str, set[str]]:
    """Return the packages of the picture by their class: wheel, source, hidden."""
    found: dict[str, set[str]] = {}
    for kind, name in CHIP.findall((ROOT / "docs" / "images" / "builds.svg").read_text(encoding="utf-8")):
        found.setdefault(kind, set()).add(name)
    return found


def test_the_first_page_names_the_packages_of_its_picture() -> None:
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    picture = _picture()
    assert {kind: len(names) for kind, names in picture.items()} == {"wheel": 5, "source": 5, "hidden": 9}
    alternative = page.partition("![")[2].partition("](")[0]
    named = picture["hidden"] | picture["source"] - {"reporter"}
    assert [name for name in named if name not in alternative] == []
    assert [
        name
        for name in re.findall(r'"([\w-]+)"', REPORTER.split("dependencies")[1].splitlines()[0])
        if f"`{name}`" not in page
    ] == []


@pytest.mark.live
def test_the_picture_shows_what_uv_installs_and_what_its_lock_lists(tmp_path: Path) -> None:
    programs, _ = _programs(TOOLS["uv"], tmp_path / "tool")
    project = tmp_path / "reporter"
    (project / "src" / "reporter").mkdir(parents=True)
    (project / "src" / "reporter" / "__init__.py").touch()
    (project / "pyproject.toml").write_text(REPORTER, encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "DEEP_LOCK_CACHE_DIR": str(tmp_path / "DEEP_LOCK"),
        "UV_NO_CACHE": "1",
    }

    def run(*command: str) -> str:
        return subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True).stderr

    run("uv", "lock")
    log = run("uv", "sync", "-v", "--python", sys.executable)
    run(str(Path(sysconfig.get_path("scripts"), "deep-lock")), "lock", "--python-version", "host", "--platform", "host")
    listed = set(re.findall(r'^name = "(.+)"', (project / "uv.lock").read_text(encoding="utf-8"), re.MULTILINE))
    built = set(re.findall(r"([\w-]+)==", "\n".join(re.findall(r"Installing build requirements?: (.*)", log))))
    picture = _picture()
    assert picture["wheel"] | picture["source"] == listed
    assert picture["hidden"] == built - listed
    lock = from_text((project / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    assert {entry.name for entry in lock.packages} | {"reporter"} == listed | picture["hidden"]
