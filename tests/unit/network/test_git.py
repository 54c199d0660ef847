"""Repositories in the cache that several threads or processes use."""

import os
import threading
from pathlib import Path

import pytest

from deep_lock.files import take_lock
from deep_lock.network.git import Repositories
from tests.support.scenarios import git


@pytest.mark.skipif(os.name != "posix", reason="there are no locks across processes without flock")
def test_a_checkout_waits_for_another_run_that_changes_the_repository(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "--quiet", "-b", "main")
    (work / "file").write_text("x", encoding="utf-8")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "first")
    commit = git(work, "rev-parse", "HEAD").strip()
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
    assert (tmp_path / "second" / "file").is_file()
