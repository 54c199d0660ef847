"""Repositories in the cache that several threads or processes use."""

import os
import threading
from pathlib import Path

import pytest

from deep_lock.errors import NetworkError, RequirementInvalid
from deep_lock.files import take_lock
from deep_lock.network.git import Repositories
from tests.support.scenarios import git


def committed(work: Path, file: bytes, attributes: bytes) -> str:
    """Make a repository with one file and its attributes; return its commit."""
    work.mkdir()
    git(work, "init", "--quiet", "-b", "main")
    (work / "file").write_bytes(file)
    (work / ".gitattributes").write_bytes(attributes)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "first")
    return git(work, "rev-parse", "HEAD").strip()


@pytest.mark.skipif(os.name != "posix", reason="there are no locks across processes without flock")
def test_a_checkout_waits_for_another_run_that_changes_the_repository(tmp_path: Path) -> None:
    work = tmp_path / "work"
    commit = committed(work, b"x $Id$\n", b"file text eol=crlf ident\n")
    repositories = Repositories(tmp_path / "cache", dict(os.environ), offline=False)
    repositories.checkout(work.as_uri(), commit, None, tmp_path / "first")
    (bare,) = (own for own in (tmp_path / "cache" / "git").iterdir() if own.is_dir())
    assert (bare / "info" / "attributes").is_file()
    handle = take_lock(bare.with_name(f"{bare.name}.lock"))
    assert handle is not None
    other = threading.Thread(
        target=repositories.checkout, args=(work.as_uri(), commit, None, tmp_path / "second"), daemon=True
    )
    other.start()
    other.join(0.5)
    assert other.is_alive()
    assert not (tmp_path / "second").exists()
    os.close(handle)
    other.join(20)
    assert (tmp_path / "second" / "file").read_bytes() == b"x $Id$\n"  # without what attributes make of it


def test_the_attributes_of_an_older_version_are_replaced(tmp_path: Path) -> None:
    work = tmp_path / "work"
    commit = committed(work, b"x\n", b"file text eol=crlf\n")
    Repositories(tmp_path / "cache", dict(os.environ), offline=False).checkout(
        work.as_uri(), commit, None, tmp_path / "first"
    )
    (bare,) = (own for own in (tmp_path / "cache" / "git").iterdir() if own.is_dir())
    (bare / "info" / "attributes").write_text("", encoding="ascii")
    Repositories(tmp_path / "cache", dict(os.environ), offline=False).checkout(
        work.as_uri(), commit, None, tmp_path / "second"
    )
    assert (tmp_path / "second" / "file").read_bytes() == b"x\n"


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
def test_an_error_has_the_reason_and_not_the_last_line_of_git(tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'git@host: Permission denied (publickey).' >&2\nexit 255\n", encoding="utf-8")
    ssh.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    with pytest.raises(NetworkError, match="Permission denied"):
        Repositories(tmp_path / "cache", environ, offline=False).commit_of("ssh://git@host.example/app", None)


def test_a_default_branch_without_commits_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    with pytest.raises(RequirementInvalid, match="its default branch has no commits"):
        Repositories(tmp_path / "cache", dict(os.environ), offline=False).commit_of(
            (tmp_path / "empty.git").as_uri(), None
        )
