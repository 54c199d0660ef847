"""The table of docs/guides/private-indexes.md: the newest devpi and pypiserver serve what it states, and a lock is made from them."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.paths import ROOT
from tests.support.scenario_server import Releases, release_files

PAGE = (ROOT / "docs" / "guides" / "private-indexes.md").read_text(encoding="utf-8")
USER, PASSWORD = "ada", "s3cret-w0rd"  # made up
RELEASES: Releases = {
    "corp-tool 1.0": {"requires": ["corp-core"], "requires-python": ">=3.9", "sdist": True},
    "corp-core 1.0": {"requires-python": ">=3.9", "sdist": True},
}
PROJECT = """\
[project]
name = "app"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["corp-tool"]

[[tool.deep-lock.index]]
name = "corp"
url = "{url}"
default = true
"""


def _table() -> dict[str, dict[str, str]]:
    """Return the cells of the table by the heading of the column, then by that of the row."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", PAGE, re.MULTILINE)]
    start = next(number for number, row in enumerate(rows) if "pypiserver" in row[-1])
    heads, *body = [row for row in rows[start:] if len(row) == 3]
    return {heads[column]: {row[0]: row[column] for row in body} for column in (1, 2)}


def _install(folder: Path, *names: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", *names], check=True)
    return folder / "bin"


def _version(programs: Path, name: str) -> str:
    shown = subprocess.run([programs / "pip", "show", name], check=True, capture_output=True, text=True).stdout
    return f"{name} {shown.partition('Version: ')[2].splitlines()[0]}"


@contextmanager
def _served(command: list[str | Path], url: str) -> Iterator[None]:
    """Run a server until it has answered, and end it afterwards."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(240):
                try:
                    httpx.get(url, timeout=30)
                    break
                except httpx.TransportError:
                    time.sleep(0.5)
            yield
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _files(folder: Path) -> list[Path]:
    folder.mkdir()
    for key, release in RELEASES.items():
        for file in release_files(key, release):
            (folder / file.filename).write_bytes(file.content)
    return sorted(folder.iterdir())


@contextmanager
def _pypiserver(folder: Path) -> Iterator[tuple[str, str]]:
    programs = _install(folder / "venv", "pypiserver[passlib]")
    code = f"from passlib.apache import HtpasswdFile as F; f = F('users', new=True); f.set_password({USER!r}, {PASSWORD!r}); f.save()"
    subprocess.run([programs / "python", "-c", code], cwd=folder, check=True)
    _files(folder / "packages")
    url = f"http://127.0.0.1:{(port := _free_port())}/"
    login: list[str | Path] = ["-P", folder / "users", "-a", "update,download,list"]
    with _served(
        [programs / "pypi-server", "run", "-p", str(port), "-i", "127.0.0.1", *login, folder / "packages"], url
    ):
        yield _version(programs, "pypiserver"), f"{url}simple/"


@contextmanager
def _devpi(folder: Path) -> Iterator[tuple[str, str]]:
    programs = _install(folder / "venv", "devpi-server", "devpi-client")
    state, files = folder / "state", _files(folder / "files")
    subprocess.run(
        [programs / "devpi-init", "--serverdir", state, "--no-root-pypi"], check=True, stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{(port := _free_port())}/"
    server: list[str | Path] = [
        programs / "devpi-server",
        "--serverdir",
        state,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with _served(server, url):
        commands: tuple[list[str | Path], ...] = (
            ["use", url],
            ["user", "-c", USER, f"password={PASSWORD}"],
            ["login", USER, "--password", PASSWORD],
            ["index", "-c", "private", "bases="],
            ["use", f"{USER}/private"],
            ["upload", *files],
        )
        for words in commands:
            command = [programs / "devpi", *words, "--clientdir", folder / "client"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)})
        yield _version(programs, "devpi-server"), f"{url}{USER}/private/+simple/"


def _yes(value: object) -> str:
    return "yes" if value else "no"


@pytest.mark.live
@pytest.mark.parametrize("index", [_devpi, _pypiserver])
def test_an_index_serves_what_the_page_says(
    index: Callable[[Path], AbstractContextManager[tuple[str, str]]], tmp_path: Path
) -> None:
    work = tmp_path / "index"
    work.mkdir()
    with index(work) as (version, url), httpx.Client(auth=(USER, PASSWORD)) as client:
        written = _table()[version]
        page = client.get(f"{url}corp-tool/", headers={"accept": "application/vnd.pypi.simple.v1+json"})
        is_json = "json" in page.headers["content-type"]
        (link,) = re.findall(r'(?:href=|"url": )"([^"]+[.]whl)[^"]*"', page.text)
        part = client.get(str(page.url.join(link)), headers={"range": "bytes=-20"})
        found = {
            "sha256": _yes(re.search(r"[0-9a-f]{64}", page.text)),
            "pages as JSON (PEP 691)": f"yes, version {page.json()['meta']['api-version']}" if is_json else "no",
            "upload times (PEP 700)": _yes("upload-time" in page.text),
            "metadata files (PEP 658)": _yes(re.search("core-metadata|dist-info-metadata", page.text)),
            "`requires-python` in the page": _yes("requires-python" in page.text),
            "parts of a file": _yes(part.status_code == 206),
        }
        assert [name for name, own in found.items() if not written[name].startswith(own)] == [], found
        unknown = client.get(f"{url}no-such-project/").status_code
        assert written["the page of an unknown project"].startswith("a redirect" if unknown == 303 else str(unknown))
        project = tmp_path / "app"
        project.mkdir()
        (project / "pyproject.toml").write_text(PROJECT.format(url=url), encoding="utf-8")
        login = {"DEEP_LOCK_INDEX_CORP_USERNAME": USER, "DEEP_LOCK_INDEX_CORP_PASSWORD": PASSWORD}
        environ = {**os.environ, **login, "DEEP_LOCK_CACHE_DIR": str(tmp_path / "cache")}
        subprocess.run([sys.executable, "-m", "deep_lock", "lock"], cwd=project, env=environ, check=True)
        text = (project / "deep.lock").read_text(encoding="utf-8")
        assert text.count(f'index = "{url}"') == 2
        assert PASSWORD not in text
