"""A repository of a few bytes decides nothing about the work: each kind of too much ends at once, with a reason."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.errors import LimitExceeded, UsageError
from deep_lock.network import git as network_git
from deep_lock.network.git import Repositories, file_at
from tests.support.scenarios import Bench, bench, git, make_repository

LIB = '[project]\nname = "lib"\nversion = "1"\ndependencies = []\n[build-system]\nrequires = []\n'
FILE, FOLDER, LINK = "100644", "040000", "120000"


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, {}) as laid:
        yield laid


def write(place: Path, text: bytes) -> str:
    """Write a blob; return its id."""
    command = ["git", "-C", str(place), "hash-object", "-w", "--stdin"]
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().strip()


def tree(place: Path, entries: list[tuple[str, str, str]]) -> str:
    """Write a tree of (mode, id, name); return its id."""
    kind = {FOLDER: "tree"}
    lines = "".join(f"{mode} {kind.get(mode, 'blob')} {own}\t{name}\n" for mode, own, name in entries)
    command = ["git", "-C", str(place), "mktree"]
    return subprocess.run(command, input=lines.encode(), capture_output=True, check=True).stdout.decode().strip()


def nested(place: Path, leaf: tuple[str, str], levels: int, wide: int) -> tuple[str, str]:
    """Return a tree with ``wide`` ** ``levels`` of the leaf, each folder ``wide`` times the same."""
    for _ in range(levels):
        leaf = (FOLDER, tree(place, [(*leaf, f"n{number}") for number in range(wide)]))
    return leaf


def bomb(place: Path, name: str) -> tuple[str, str]:
    """Make the entry of a tree that is too large, deep or wide."""
    leaf, levels, wide = (FILE, write(place, b"x")), 8, 10
    match name:
        case "folders":
            leaf = (FOLDER, tree(place, []))
        case "links":
            leaf = (LINK, leaf[1])
        case "one folder":
            levels, wide = 1, 60_000
        case "bytes":
            leaf, levels, wide = (FILE, write(place, bytes(50 << 20))), 1, 30
        case "depth":
            levels, wide = 600, 1
        case "bytes of names":
            leaf = (FOLDER, tree(place, [(*leaf, "n" * 200 + str(number)) for number in range(100)]))
            levels = 4
    return nested(place, leaf, levels, wide)


LIST = "its list of files: git wrote more than 67108864 bytes"
BOMBS = {
    "files": f"{LIST} of output",
    "folders": f"{LIST} of output",
    "links": "",
    "one folder": "it has more than 50000 files and folders",
    "bytes": "its files have more than 1073741824 bytes",
    "depth": "",
    "bytes of names": "",
}
"""Why each tree is too large, if the test compares it."""


def make_bomb(place: Path, name: str) -> str:
    make_repository(place, [{"files": {"pyproject.toml": LIB}}])
    entry = bomb(place, name)
    root = tree(place, [(FILE, write(place, LIB.encode()), "pyproject.toml"), (*entry, "bomb")])
    git(place, "reset", "--quiet", "--soft", git(place, "commit-tree", root, "-p", "main", "-m", "two"))
    return git(place, "rev-parse", "HEAD")


@pytest.mark.parametrize(("name", "reason"), BOMBS.items())
def test_a_tree_is_measured_before_it_is_written(made: Bench, name: str, reason: str) -> None:
    commit = make_bomb(made.folder.parent / "repositories" / "lib", name)
    made.ask("lib @ git+{git:lib}@main")
    started = time.monotonic()
    ended = made.lock()
    assert ended.code == 4, ended.stderr
    assert "pyproject.toml:4" in ended.stderr
    assert time.monotonic() - started < 30
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1024 * 1024  # KiB
    if reason:
        assert f"the tree of {commit} is too large: {reason}" in ended.stderr
    if not reason:
        return  # a work tree may be larger than an archive
    folder = made.folder.parent / "checkout"
    repositories = Repositories(made.folder.parent / "other-cache", os.environ, offline=False)
    url = (made.folder.parent / "repositories" / "lib").as_uri()
    with pytest.raises(LimitExceeded, match="is too large"):
        repositories.checkout(url, commit, None, folder)
    assert not folder.exists()


def test_a_link_out_of_the_tree_is_refused(made: Bench) -> None:
    place = made.folder.parent / "repositories" / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB}}])
    (place / "secret").symlink_to("../../secret")
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message=two")
    made.ask("lib @ git+{git:lib}@main")
    ended = made.lock()
    assert ended.code == 4
    assert "secret" in ended.stderr


def test_filters_of_the_user_do_not_run(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    home = made.folder.parent / "home-of-git"
    home.mkdir()
    ran = home / "ran"
    (home / ".gitconfig").write_text(
        f'[filter "own"]\nsmudge = touch {ran}; cat\n[core]\nhooksPath = {home}\n', encoding="utf-8"
    )
    monkeypatch.setenv("HOME", str(home))
    place = made.folder.parent / "repositories" / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB, ".gitattributes": "* filter=own\n"}}])
    commit = git(place, "rev-parse", "HEAD")
    made.ask("lib @ git+{git:lib}@main")
    assert made.lock().code == 0
    repositories = Repositories(home / "cache", {"PATH": os.environ["PATH"], "HOME": str(home)}, offline=False)
    repositories.checkout(place.as_uri(), commit, None, home / "checkout")
    assert (home / "checkout" / "pyproject.toml").is_file()
    assert not ran.exists()


def test_references_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tag is a file. What is too large does not stay in the cache."""
    place = tmp_path / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB}}])
    commit = git(place, "rev-parse", "HEAD")
    tags = "".join(f"{commit} refs/tags/t{number:05}\n" for number in range(400))
    (place / ".git" / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{tags}")
    monkeypatch.setattr(network_git, "MAX_REPOSITORY_FILES", 300)
    repositories = Repositories(tmp_path / "cache", os.environ, offline=False)
    with pytest.raises(LimitExceeded, match="lib: git wrote more than 300 files"):
        repositories.checkout(place.as_uri(), commit, None, tmp_path / "checkout")
    assert [own for own in (tmp_path / "cache" / "git").iterdir() if own.is_dir()] == []


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limits")
@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("FILE_BYTES", 64 * 1024, "wrote too large a file"),
        ("MEMORY_BYTES", 64 * 1024 * 1024, "too much processor time or memory"),
        ("MAX_FOLDER_BYTES", 4096, "more than 4096 bytes of files"),
    ],
)
def test_git_itself_has_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, reason: str
) -> None:
    place = tmp_path / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB}}])
    (place / "random").write_bytes(os.urandom(1 << 20))
    (place / "zeros").write_bytes(bytes(100 << 20))
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message=two")
    monkeypatch.setattr(network_git, limit, value)
    repositories = Repositories(tmp_path / "cache", os.environ, offline=False)
    with (
        pytest.raises(LimitExceeded, match=reason),
        repositories.archive(place.as_uri(), git(place, "rev-parse", "HEAD"), None),
    ):
        pass


def program(folder: Path, text: str) -> dict[str, str]:
    """Make a program with the name of git; return the environment that finds it."""
    path = folder / "bin" / "git"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limits")
def test_the_processor_time_of_git_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_git, "PROCESSOR_SECONDS", 1)
    environ = program(
        tmp_path,
        "end=$(($(date +%s) + 20)); while [ $(date +%s) -lt $end ]; do n=0; while [ $n -lt 99999 ]; do n=$((n + 1)); done; done",
    )
    repositories = Repositories(tmp_path / "cache", environ, offline=False)
    with pytest.raises(LimitExceeded, match="too much processor time or memory"):
        repositories.commit_of("https://git.example/lib", None)


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
def test_git_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it started."""
    monkeypatch.setattr(network_git, "SHOW_SECONDS", 0.5)
    environ = program(tmp_path, f"(sleep 4; touch {tmp_path}/left) & sleep 4")
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"git took more than 0 s to read deep.lock at HEAD"):
        file_at(tmp_path / "deep.lock", "HEAD", environ)
    assert time.monotonic() - started < 4
    time.sleep(max(0.0, 5 - (time.monotonic() - started)))
    assert not (tmp_path / "left").exists()


def test_a_large_file_of_a_revision_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(tmp_path / "own", [{"files": {"deep.lock": "x" * 5000}}])
    lock = tmp_path / "own" / "deep.lock"
    assert file_at(lock, "HEAD", os.environ) == "x" * 5000
    assert file_at(lock, "HEAD~1", os.environ) is None
    monkeypatch.setattr(network_git, "MAX_BYTES", 4999)
    with pytest.raises(LimitExceeded, match=r"deep.lock at HEAD: more than 4999 bytes"):
        file_at(lock, "HEAD", os.environ)
    with pytest.raises(UsageError, match="git is needed"):
        file_at(lock, "HEAD", {"PATH": str(tmp_path)})
