"""`--remote-cache`, through the front door: a second machine has another cache folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, Run, bench

RELEASES: Releases = {
    "app-lib 1.0": {"requires": ["native>=1"]},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.0": {"wheels": [], "sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
    "flit_core 3.9": {},
}


class Machines:
    """One project, one store, and a cache folder for each machine."""

    def __init__(self, made: Bench, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.bench = made
        self.monkeypatch = monkeypatch
        self.folder = folder
        self.store = folder / "store"
        made.ask("app-lib")

    def use(self, machine: str) -> None:
        self.monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(self.folder / machine))

    def lock(self, machine: str, *flags: str) -> Run:
        self.use(machine)
        (self.bench.folder / "deep.lock").unlink(missing_ok=True)
        return self.bench.lock("--remote-cache", self.store.as_uri(), *flags)

    def fetch(self, machine: str) -> tuple[int, list[str]]:
        """Fetch the files of the lock; return the exit code and the requests."""
        self.use(machine)
        before = len(self.bench.server.log)
        self.monkeypatch.setenv("DEEP_LOCK_REMOTE_CACHE", self.store.as_uri())
        lock = self.bench.folder / "deep.lock"
        code = run(["fetch", "--lock", str(lock), "-d", str(self.folder / f"{machine}-files")])
        self.monkeypatch.delenv("DEEP_LOCK_REMOTE_CACHE")
        return code, [request.path for request in self.bench.server.log[before:]]

    def objects(self) -> list[Path]:
        return sorted(path for path in self.store.rglob("*") if path.is_file())


@pytest.fixture
def machines(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        yield Machines(made, monkeypatch, tmp_path)


def test_a_second_machine_makes_the_same_lock_from_pages_and_the_store(machines: Machines) -> None:
    first = machines.lock("one")
    assert first.code == 0, first.stderr
    assert any("/files/" in path for path in first.asked)
    second = machines.lock("two")
    assert (second.code, second.text, second.stderr) == (0, first.text, first.stderr)
    assert [path for path in second.asked if "/simple/" not in path] == []
    assert machines.fetch("two")[0] == 0
    code, requests = machines.fetch("three")
    assert code == 0
    # the files are in the store, but the index is what has the metadata with which they are compared
    assert [path for path in requests if not path.endswith(".metadata")] == []


def test_a_poisoned_store_changes_no_lock(machines: Machines) -> None:
    first = machines.lock("one")
    good = {path: path.read_bytes() for path in machines.objects()}
    assert good
    for path in good:
        path.write_bytes(b"Metadata-Version: 2.1\nName: app-lib\nVersion: 1.0\nRequires-Dist: evil\n")
    second = machines.lock("two", "--remote-cache-read-only")
    assert (second.code, second.text) == (0, first.text)
    assert sorted(second.asked) == sorted(first.asked)
    for path in good:
        assert f"{path.as_uri()}: this object of the remote cache is not used" in second.stderr
    assert machines.lock("three").text == first.text
    assert {path: path.read_bytes() for path in machines.objects()} == good


@pytest.mark.parametrize("flags", [["--hooks=trust"], ["--trust-hooks=maker"]])
def test_a_run_with_code_outside_of_a_sandbox_writes_nothing(machines: Machines, flags: list[str]) -> None:
    assert machines.lock("one", *flags).code == 0
    assert machines.objects() == []


def test_offline_no_store_is_used(machines: Machines) -> None:
    assert machines.lock("one").code == 0
    assert machines.lock("two", "--offline").code == 3


def test_a_store_that_cannot_be_written_is_one_warning(machines: Machines) -> None:
    machines.store.write_text("no folder")
    ended = machines.lock("one")
    assert ended.code == 0
    assert ended.stderr.count("the remote cache cannot be") == 1


def test_a_url_that_is_none(machines: Machines) -> None:
    ended = machines.lock("one", "--remote-cache", "nothing://x")
    assert (ended.code, ended.text) == (2, "")
    assert "the remote cache nothing://x cannot be used" in ended.stderr
