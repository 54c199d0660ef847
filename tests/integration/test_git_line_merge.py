"""Two branches that touch different packages merge by git alone; two that touch one do not merge in silence."""

import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.errors import LockInvalid
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock, LockedPackage
from tests.support.lock_strategies import package, small_lock, wheel

NAMES = ("alpha", "beta", "gamma", "mid", "omega", "zeta")


def _lock(**versions: str) -> Lock:
    names = sorted({*NAMES, *versions})
    return small_lock(*(replace(package(name, versions.get(name, "1.0")), direct=True) for name in names))


class Repository:
    """A git repository with one file, deaf to the machine's configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "deep.lock"
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> int:
        names = {f"GIT_{who}_{what}": "x@mail.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        command = ["git", "-c", "core.autocrlf=false", *arguments]
        return subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, check=False).returncode

    def commit(self, lock: Lock, message: str) -> None:
        self.file.write_bytes(to_text(lock).encode())
        assert self.git("add", "deep.lock") == 0
        assert self.git("commit", "-q", "-m", message) == 0

    def branch(self, name: str, lock: Lock) -> None:
        assert self.git("checkout", "-q", "-b", name, "main") == 0
        self.commit(lock, name)

    def merge(self, ours: str, theirs: str) -> bool:
        assert self.git("checkout", "-q", ours) == 0
        return self.git("merge", "-q", "--no-edit", theirs) == 0


def _late_wheel(lock: Lock, name: str) -> Lock:
    def added(entry: LockedPackage) -> LockedPackage:
        if entry.name != name:
            return entry
        return replace(entry, wheels=(*entry.wheels, wheel(name, str(entry.version), "cp313-cp313-win_amd64")))

    return replace(lock, packages=tuple(map(added, lock.packages)))


@pytest.mark.parametrize(
    ("ours", "theirs", "both"),
    [
        (_lock(alpha="1.1"), _lock(omega="2.0"), _lock(alpha="1.1", omega="2.0")),
        (_lock(aardvark="0.1"), _lock(zulu="3.0"), _lock(aardvark="0.1", zulu="3.0")),
        (_lock(alpha="1.1"), _lock(beta="1.1"), _lock(alpha="1.1", beta="1.1")),
        (_lock(beta="1.1"), _lock(mid="1.1"), _lock(beta="1.1", mid="1.1")),
        (_late_wheel(_lock(), "beta"), _lock(omega="9"), _late_wheel(_lock(omega="9"), "beta")),
    ],
)
def test_branches_that_touch_different_packages_merge(tmp_path: Path, ours: Lock, theirs: Lock, both: Lock) -> None:
    repository = Repository(tmp_path)
    repository.commit(_lock(), "base")
    repository.branch("ours", ours)
    repository.branch("theirs", theirs)
    assert repository.merge("ours", "theirs")
    text = repository.file.read_bytes().decode()
    assert text == to_text(both)
    assert broken_invariants(from_text(text, "deep.lock")) == ()


def test_a_conflict_is_named_with_its_remedy(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit(_lock(), "base")
    repository.branch("ours", _lock(mid="1.1"))
    repository.branch("theirs", _lock(mid="1.2"))
    assert not repository.merge("ours", "theirs")
    text = repository.file.read_bytes().decode()
    with pytest.raises(LockInvalid, match=r"^deep\.lock:\d+: has conflict markers \('<<<<<<<'\)") as caught:
        from_text(text, "deep.lock")
    assert 'run "deep-lock lock"' in caught.value.hint
