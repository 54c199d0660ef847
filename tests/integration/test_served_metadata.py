"""Metadata that an index serves, and other ones in the wheel: found wherever the bytes of the wheel are at hand (exit 4)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox import sandbox
from deep_lock.cli.main import run
from tests.support.scenarios import LINUX, MINOR, Bench, bench

WHEEL = "lib-1.0-py3-none-any.whl"
RELEASES: dict[str, Any] = {
    "lib 1.0": {"requires": ["dep>=1", 'more>=1; extra == "more"'], "requires-python": ">=3.8"},
    "dep 1.0": {},
    "evil 1.0": {},
}
HEAD = "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n"
PYTHON, DEP, MORE = "Requires-Python: >=3.8\n", "Requires-Dist: dep>=1\n", 'Requires-Dist: more>=1; extra == "more"\n'
OTHER: dict[str, tuple[str, str, str]] = {
    "added": (HEAD + PYTHON + DEP + MORE + "Requires-Dist: evil\n", "Requires-Dist: the index serves evil", "the wheel has no other"),
    "dropped": (HEAD + PYTHON + MORE, "Requires-Dist: the index serves no other", "the wheel has dep>=1"),
    "version": (HEAD + PYTHON + "Requires-Dist: dep>=0.5\n" + MORE, "the index serves dep>=0.5", "the wheel has dep>=1"),
    "marker": (HEAD + PYTHON + DEP.replace(">=1", '>=1; os_name != "x"') + MORE, 'os_name != "x"', "the wheel has dep>=1"),
    "python": (HEAD + "Requires-Python: >=3.7\n" + DEP + MORE, "Requires-Python: the index serves >=3.7", "the wheel has >=3.8"),
    "no-python": (HEAD + DEP + MORE, "Requires-Python: the index serves nothing", "the wheel has >=3.8"),
    "extra": (HEAD + PYTHON + DEP + MORE + "Provides-Extra: more\n", "Provides-Extra: the index serves more", "the wheel has nothing"),
}  # fmt: skip
SAME = {
    "order": HEAD + MORE + DEP + PYTHON,
    "spelling": HEAD + "Requires-Python:  >= 3.8\nRequires-Dist: Dep (>= 1)\n" + MORE.replace(">=1", " >= 1 "),
    "text": "Metadata-Version: 2.1\nName: Lib\nVersion: 1.0.0\n"
    + PYTHON
    + DEP
    + MORE
    + "Summary: other\n\nother text\n",
}


class Served:
    """A project, and the metadata file that its index serves."""

    def __init__(self, made: Bench) -> None:
        self.bench = made
        made.ask("lib")

    def serve(self, metadata: str | None) -> None:
        """Let the index serve these in the place of the wheel's; None is no metadata file."""
        self.bench.server.known[WHEEL].metadata = None if metadata is None else metadata.encode()

    def run(self, *arguments: str) -> tuple[int, str]:
        self.bench.capture.readouterr()
        code = run(list(arguments))
        told = self.bench.capture.readouterr()
        assert "Traceback" not in told.err
        return code, told.out + told.err

    def fetch(self, *flags: str) -> tuple[int, str]:
        folder = self.bench.folder
        return self.run("fetch", "--lock", str(folder / "deep.lock"), "-d", str(folder / "all"), *flags)

    def asked(self) -> list[str]:
        return [path for path in self.bench.server.asked(WHEEL) if not path.endswith(".metadata")]


@pytest.fixture
def served(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as made:
        made.platforms = (LINUX,)
        yield Served(made)


@pytest.mark.parametrize("case", OTHER)
def test_lock_verify_metadata(case: str, served: Served) -> None:
    served.serve(OTHER[case][0])
    ran = served.bench.lock("--verify-metadata")
    assert (ran.code, ran.text) == (4, "")
    for text in (WHEEL, *OTHER[case][1:]):
        assert text in ran.stderr
    assert served.asked(), "the wheel was fetched"
    again = served.bench.lock()
    assert again.code == 4, "its bytes are in the cache now, and the answer is not forgotten"


@pytest.mark.parametrize("added", ["nowhere", "dep<1"])
def test_a_difference_that_makes_the_resolution_fail_is_named_instead(added: str, served: Served) -> None:
    served.serve(HEAD + PYTHON + DEP + MORE + f"Requires-Dist: {added}\n")
    assert served.bench.lock().code == 1
    ran = served.bench.lock("--verify-metadata")
    assert (ran.code, ran.text) == (4, "")
    assert f"the index serves {added}" in ran.stderr


@pytest.mark.parametrize("case", OTHER)
@pytest.mark.parametrize("cached", [True, False])
def test_fetch(case: str, served: Served, *, cached: bool) -> None:
    served.serve(OTHER[case][0])
    assert served.bench.lock().code == 0
    if not cached:
        assert run(["cache", "clean"]) == 0
    for _ in range(2):
        code, told = served.fetch()
        assert code == 4, "each time, also where the file is there"
        for text in (WHEEL, *OTHER[case][1:]):
            assert text in told


@pytest.mark.parametrize("case", ["added", "dropped", "python"])
@pytest.mark.parametrize("deep", [["--deep"], []])
def test_verify(case: str, deep: list[str], served: Served) -> None:
    served.serve(OTHER[case][0])
    assert served.bench.lock().code == 0
    code, told = served.run("verify", "--lock", str(served.bench.folder / "deep.lock"), *deep)
    assert code == 4
    assert "sidecar-differs" in told
    assert all(text in told for text in OTHER[case][1:])


@pytest.mark.parametrize("case", SAME)
def test_other_bytes_with_the_same_meaning_do_not_differ(case: str, served: Served) -> None:
    served.serve(SAME[case])
    ran = served.bench.lock("--verify-metadata")
    assert ran.code == 0, ran.stderr
    assert "the metadata of 2 wheels were compared with the wheels: no difference" in ran.stderr
    assert served.fetch()[0] == 0
    code, told = served.run("verify", "--lock", str(served.bench.folder / "deep.lock"), "--deep")
    assert code == 0, told


def test_a_lock_that_is_up_to_date_is_compared_too(served: Served) -> None:
    first = served.bench.lock()
    again = served.bench.lock("--verify-metadata")
    assert (again.code, again.text) == (0, first.text)
    assert "2 wheels were compared" in again.stderr
    assert not served.bench.lock("--check").code
    code, told = served.run("lock", *served.bench.flags(), "--check", "--verify-metadata")
    assert code == 2
    assert "--verify-metadata fetches wheels" in told


def test_metadata_that_were_read_from_a_part_of_the_wheel(served: Served) -> None:
    """A server can answer a range with another file than the whole one: the sha256 of the whole is that of the page."""
    server = served.bench.server
    served.serve(None)
    file = server.known[WHEEL]
    right = file.content
    served.bench.hold({**RELEASES, "lib 1.0": {"requires": ["evil"], "requires-python": ">=3.8"}})
    file = server.known[WHEEL]
    file.sha256, file.metadata = hashlib.sha256(right).hexdigest(), None
    assert served.bench.lock().pins() == ["evil==1.0", "lib==1.0"]
    file.content = right
    ran = served.bench.lock("--verify-metadata")
    assert ran.code == 4
    assert "the index serves evil, the wheel has dep>=1" in ran.stderr
    again = served.bench.lock("--verify-metadata")
    assert (again.code, again.pins()) == (0, ["dep==1.0", "lib==1.0"]), "what was wrong is not kept"


def test_metadata_of_a_part_are_compared_by_fetch(served: Served) -> None:
    server = served.bench.server
    right = server.known[WHEEL].content
    served.bench.hold({**RELEASES, "lib 1.0": {"requires": ["evil"], "requires-python": ">=3.8"}})
    file = server.known[WHEEL]
    file.sha256, file.metadata, size = hashlib.sha256(right).hexdigest(), None, len(file.content)
    assert served.bench.lock().pins() == ["evil==1.0", "lib==1.0"]
    file.content = right
    lock = served.bench.folder / "deep.lock"
    lock.write_text(
        lock.read_text(encoding="utf-8").replace(f"size = {size}", f"size = {len(right)}"), encoding="utf-8"
    )
    code, told = served.fetch()
    assert code == 4
    assert "the index serves evil, the wheel has dep>=1" in told


def test_a_server_without_metadata_files_is_no_fault(served: Served) -> None:
    served.bench.server.sidecars = "none"
    for file in served.bench.server.known.values():
        file.metadata = None
    assert served.bench.lock().code == 0
    assert run(["cache", "clean"]) == 0
    assert served.fetch()[0] == 0
    before = len(served.bench.server.log)
    assert served.fetch()[0] == 0
    assert len(served.bench.server.log) == before, "each wheel is compared once"


def test_a_page_in_the_place_of_metadata_is_no_difference(served: Served) -> None:
    """Some servers answer every path with a page of their own."""
    assert served.bench.lock().code == 0
    served.bench.server.bodies[f"/files/{WHEEL}.metadata"] = ("text/html", b"<html>log in</html>")
    assert served.fetch()[0] == 0


@pytest.mark.parametrize("status", [403, 401, 500])
def test_a_server_that_refuses_metadata_files_is_no_fault(status: int, served: Served) -> None:
    """Some servers answer 403 for what they do not have. They are asked once in a run."""
    assert served.bench.lock().code == 0
    assert run(["cache", "clean"]) == 0
    server = served.bench.server
    for name in server.known:
        server.statuses[f"/files/{name}.metadata"] = status
    code, told = served.fetch()
    assert code == 0, told


def test_wheelhouse(served: Served, tmp_path: Path) -> None:
    served.bench.pythons, served.bench.platforms = [MINOR], ["host"]
    served.serve(OTHER["dropped"][0])
    assert served.bench.lock().code == 0
    lock = str(served.bench.folder / "deep.lock")
    code, told = served.run("wheelhouse", "--lock", lock, "-d", str(tmp_path / "house"))
    assert code == 4
    assert all(text in told for text in OTHER["dropped"][1:])


def test_a_wheel_of_a_build_environment_is_compared_where_a_hook_runs(served: Served) -> None:
    """The wheel is installed for the hook anyway: plain `lock` finds the difference at no further request."""
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    own = "def get_requires_for_build_wheel(config_settings=None):\n    return []\n"
    thing = {
        "wheels": [], "sdist": True, "build": ["lib"], "backend": "own", "backend-path": ["."], "tree": {"own.py": own},
    }  # fmt: skip
    made = served.bench
    made.pythons, made.platforms, made.hooks = [MINOR], ["host"], "sandbox"
    made.hold({**RELEASES, "thing 1.0": thing})
    made.ask("thing")
    served.serve(OTHER["dropped"][0])
    ran = made.lock()
    assert (ran.code, ran.text) == (4, "")
    assert all(text in ran.stderr for text in OTHER["dropped"][1:])
