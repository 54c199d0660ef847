"""Which folders below a folder are projects, and which are not entered."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from deep_lock.errors import LimitExceeded, UsageError
from deep_lock.events import Event, Warned
from deep_lock.project import discovery
from tests.support.scenarios import git

PROJECT = '[project]\nname = "app"\n'


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def found(
    root: Path, *exclude: str, environ: Mapping[str, str] = os.environ, warned: Iterable[str] = ()
) -> dict[str, bool]:
    """Return the paths, each with whether its lock decides; ``warned`` are the codes of the expected warnings."""
    events: list[Event] = []
    projects = discovery.find_projects(root, exclude, environ, events.append)
    assert [event.code for event in events if isinstance(event, Warned)] == list(warned)
    return {own.path: own.recorded for own in projects}


def test_what_makes_a_folder_a_project(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/pyproject.toml": PROJECT,
            "b/pyproject.toml": "[tool.poetry]\n",
            "c/pyproject.toml": "[tool.deep-lock]\n",
            "d/pyproject.toml": "[dependency-groups]\n",
            "e/pyproject.toml": "[tool.other]\n",
            "f/setup.py": "",
            "g/setup.py": "",
            "g/deep.lock": "",
            "h/deep-lock.toml": "",
            "i/pyproject.toml": "[tool.other]\n",
            "i/deep.lock": "",
            "j/pyproject.toml": "not TOML",
            "k/pyproject.toml": "[tool.uv.workspace]\n",
            "l/pyproject.toml": "[tool.uv]\n",
        },
    )
    recorded = {"g", "i"}
    assert found(tmp_path) == {name: name in recorded for name in "abcdghijk"}


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    names = ["a", "a/x", "a/x/y", "a-b", "b"]
    write(tmp_path, {"pyproject.toml": PROJECT, **{f"{name}/pyproject.toml": PROJECT for name in reversed(names)}})
    assert list(found(tmp_path)) == [".", *names]


def test_folders_that_are_not_entered(tmp_path: Path) -> None:
    names = ["a", ".hidden/a", "node_modules/a", "env/lib/a", "b/c"]
    write(tmp_path, {f"{name}/pyproject.toml": PROJECT for name in names})
    write(tmp_path, {"env/pyvenv.cfg": "", "env/pyproject.toml": PROJECT})
    outside = tmp_path.parent / "outside"
    write(outside, {"pyproject.toml": PROJECT})
    if sys.platform != "win32":
        (tmp_path / "link").symlink_to(outside, target_is_directory=True)
        (tmp_path / "a" / "up").symlink_to("..", target_is_directory=True)
    assert list(found(tmp_path)) == ["a", "b/c"]
    assert list(found(tmp_path, "a")) == ["b/c"]
    assert list(found(tmp_path, "b/*")) == ["a"]


def test_members_of_a_workspace_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "own/pyproject.toml": '[tool.deep-lock.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/old"]\n',
            "own/packages/a/pyproject.toml": PROJECT,
            "own/packages/a/example/pyproject.toml": PROJECT,
            "own/packages/old/pyproject.toml": PROJECT,
            "uv/pyproject.toml": PROJECT + '[tool.uv.workspace]\nmembers = ["b"]\n',
            "uv/b/pyproject.toml": PROJECT,
            "file/deep-lock.toml": '[workspace]\nmembers = ["c"]\n',
            "file/pyproject.toml": '[tool.deep-lock.workspace]\nmembers = ["d"]\n',
            "file/c/pyproject.toml": PROJECT,
            "file/d/pyproject.toml": PROJECT,
            "wrong/pyproject.toml": PROJECT + '[tool.deep-lock.workspace]\nmembers = "x"\n',
        },
    )
    assert list(found(tmp_path)) == [
        "file",
        "file/d",
        "own",
        "own/packages/a/example",
        "own/packages/old",
        "uv",
        "wrong",
    ]


def test_the_root_of_a_workspace_above_is_locked_once(tmp_path: Path) -> None:
    root = '[tool.deep-lock.workspace]\nmembers = ["packages/*"]\n'
    write(tmp_path, {"pyproject.toml": root, "packages/tool/pyproject.toml": "[tool.other]\n"})
    write(tmp_path, {f"packages/{name}/pyproject.toml": PROJECT for name in ("a", "b", "b/example")})
    assert list(found(tmp_path / "packages")) == ["..", "b/example"]
    assert list(found(tmp_path / "packages" / "a")) == ["../.."]
    assert list(found(tmp_path)) == [".", "packages/b/example"]


def test_a_repository_in_a_repository_is_not_entered(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}/pyproject.toml": PROJECT for name in ("a", "b", "b/build", "b/module")})
    write(tmp_path, {"b/.gitignore": "build/\n", "b/module/.git": "gitdir: ../.git/modules/module\n"})
    git(tmp_path / "b", "init", "--quiet")
    assert list(found(tmp_path)) == ["a", "b"]
    git(tmp_path, "init", "--quiet")
    assert list(found(tmp_path)) == ["a"]


def test_names_of_folders_that_git_ignores_may_have_any_characters(tmp_path: Path) -> None:
    names = [" x", "y ", "ä\n", '"z"', "plain"]
    write(tmp_path, {f"{name}/pyproject.toml": PROJECT for name in names})
    write(tmp_path, {".gitignore": "*\n!/plain\n!.gitignore\n"})
    git(tmp_path, "init", "--quiet")
    assert list(found(tmp_path)) == ["plain"]


def test_without_git_nothing_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, {"a/pyproject.toml": PROJECT, ".gitignore": "a\n"})
    git(tmp_path, "init", "--quiet")
    assert list(found(tmp_path, environ={"PATH": ""})) == ["a"]


def test_a_git_that_fails_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"a/pyproject.toml": PROJECT, ".git": "no repository\n"})
    assert list(found(tmp_path, warned=["git-ignore-unknown"])) == ["a"]


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid"), reason="modes of POSIX")
def test_a_folder_that_cannot_be_read_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a/pyproject.toml": PROJECT, "b/pyproject.toml": PROJECT})
    scandir = os.scandir

    def denied(path: Path) -> object:
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)  # root reads every folder
    assert list(found(tmp_path, warned=["folder-unread"])) == ["a"]


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no project in it or below it"):
        found(tmp_path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"{name}/pyproject.toml": PROJECT for name in ("a", "b", "c/d/e")})
    for name, limit, message in (
        ("MAX_PROJECTS", 2, "more than 2 projects"),
        ("MAX_FOLDERS", 4, "more than 4 folders"),
        ("MAX_DEPTH", 2, r"folders at a depth of more than 2 \(c/d/e\)"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(discovery, name, limit)
            with pytest.raises(LimitExceeded, match=message) as raised:
                found(tmp_path)
            assert "--exclude PATTERN" in raised.value.hint
            patched.setattr(discovery, name, limit + 1)
            assert len(found(tmp_path)) == 3
