"""Whatever writes a lock reads it back and checks it first: a fault of the writer leaves the old file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import deep_lock
from deep_lock.cli.main import run
from deep_lock.errors import LockInvalid
from deep_lock.lockfile import rewrite
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

RELEASES: Releases = {
    "lib 1.0": {"requires": ["dep"]},
    "dep 1.0": {},
    "tool 1.0": {"wheels": [], "sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
    "flit_core 3.9": {},
}
FAULTS: dict[str, Callable[[str], str]] = {
    "no TOML": lambda text: text.replace("[[packages]]", "[packages", 1),
    "cut": lambda text: text[: len(text) // 2],
    "another version": lambda text: text.replace('\nversion = "1.0"', '\nversion = "1.1"', 1),
    "a version that is none": lambda text: text.replace('\nversion = "1.0"', '\nversion = "2024.01.x"', 1),
    "no PEP 751": lambda text: text.replace('lock-version = "1.0"', 'lock-version = "9.0"', 1),
    "a package less": lambda text: (
        text[: text.index("[[packages]]")] + text[text.index("[[packages]]", text.index("[[packages]]") + 1) :]
    ),
}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.ask("lib")
        assert own.lock().code == 0
        yield own


@pytest.fixture(params=FAULTS)
def broken(made: Bench, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bench:
    """Let the writer make a fault in each lock from now on."""

    def written(lock: Lock) -> str:
        text = to_text(lock)
        edited = FAULTS[request.param](text)
        assert edited != text
        return edited

    monkeypatch.setattr(rewrite, "to_text", written)
    return made


def files(made: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in made.folder.iterdir() if path.is_file()}


def command(made: Bench, *arguments: str) -> tuple[int, str]:
    made.capture.readouterr()
    code = run([*arguments])
    return code, made.capture.readouterr().err


def options(made: Bench) -> list[str]:
    return [flag for flag in made.flags() if not flag.startswith("--project") and flag != str(made.folder)]


def test_lock_leaves_the_old_file(broken: Bench) -> None:
    broken.ask("lib", "tool")
    before = files(broken)
    ran = broken.lock()
    assert ran.code == 2
    assert "internal error, please report: the new lock" in ran.stderr
    assert files(broken) == before


def test_add_leaves_both_files(broken: Bench) -> None:
    before = files(broken)
    code, stderr = command(broken, "add", "tool", "--project", str(broken.folder), *options(broken))
    assert code == 2, stderr
    assert "internal error, please report: the new lock" in stderr
    assert files(broken) == before


def test_deepen_leaves_the_old_file(broken: Bench) -> None:
    broken.write({"requirements.txt": "tool==1.0\n"})
    before = files(broken)
    code, stderr = command(broken, "deepen", str(broken.folder / "requirements.txt"), *options(broken))
    assert code == 2, stderr
    assert "internal error, please report: the new lock" in stderr
    assert files(broken) == before


@pytest.mark.parametrize("both", [False, True])
def test_git_merge_leaves_our_file(broken: Bench, monkeypatch: pytest.MonkeyPatch, *, both: bool) -> None:
    with monkeypatch.context() as right:
        right.setattr(rewrite, "to_text", to_text)
        folder = broken.folder
        base = (folder / "deep.lock").read_bytes()
        broken.hold({**RELEASES, "lib 1.1": {"requires": ["dep"]}, "lib 1.2": {"requires": ["dep"]}})
        assert broken.lock("-P", "lib==1.2", "--refresh").code == 0
        theirs = (folder / "deep.lock").read_bytes()
        assert broken.lock("-P", "lib==1.1").code == 0
        ours = (folder / "deep.lock").read_bytes() if both else base
    paths = [folder.parent / name for name in ("base", "ours", "theirs")]
    for path, data in zip(paths, (base, ours, theirs), strict=True):
        path.write_bytes(data)
    code, stderr = command(broken, "git-merge", *map(str, paths), str(folder / "deep.lock"))
    assert code == 1, stderr
    assert "internal error, please report: the new lock" in stderr
    assert paths[1].read_bytes() == ours


def test_the_api_leaves_the_old_file(broken: Bench) -> None:
    path = broken.folder / "deep.lock"
    lock, before = deep_lock.read_lock(path), path.read_bytes()
    with pytest.raises(LockInvalid, match="internal error"):
        deep_lock.write_lock(lock, path)
    assert path.read_bytes() == before
