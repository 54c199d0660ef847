"""The repository contains no address of a package registry and no path of a developer's machine."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from distlib.index import DEFAULT_INDEX

ROOT = Path(__file__).parents[2]
PARTS = ("src", "tests", "docs", "fixtures", ".ci")
MADE_HERE = {"deep.lock", "deep.lock.lck"}


def _files() -> list[Path]:
    """Return the files of the repository: those that git does not ignore, or without git those of its folders."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for part in PARTS for path in (ROOT / part).rglob("*") if "__pycache__" not in path.parts]
        paths = [*ROOT.glob("*.*"), *(path for path in paths if path.name not in MADE_HERE)]
    return sorted(path for path in paths if path.is_file())


def _registry_hosts() -> list[str]:
    """Return the names to search for, in parts: this file must not contain them either."""
    host = urlsplit(DEFAULT_INDEX).hostname
    assert host is not None
    return [host, "python" + "hosted.", "pypi" + ".python", "pypi" + ".io"]


def _paths() -> list[str]:
    return [str(ROOT), *(f"/{name}/" for name in ("wo" + "rk", "ro" + "ot", "Us" + "ers")), "/" + "tmp/bash"]


def _containing(words: list[str]) -> list[str]:
    found = []
    for path in _files():
        content = path.read_bytes()
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word.encode() in content]
    return found


def test_the_scan_covers_the_repository() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in _files()}
    assert {"README.md", "pyproject.toml", "docs/index.md", "src/deep_lock/locking/lock.py", ".ci/run"} <= names


@pytest.mark.parametrize("word", ["deep_lock.locking.lock", "index.example"])
def test_the_scan_finds_words(word: str) -> None:
    assert _containing([word])


def test_no_registry_is_named() -> None:
    assert _containing(_registry_hosts()) == []


def test_no_path_of_a_machine_is_named() -> None:
    assert _containing(_paths()) == []
