"""A machine that lacks open files, memory or disk space: the run ends with that reason, and nothing is stated of a package."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox import sandbox
from tests.support.fault_world import Desk, Ended, desk
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import MINOR, PLAIN

SUPPORT = Path(__file__).parents[1] / "support"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits, mounts, fork")
OWN = "def get_requires_for_build_wheel(config_settings=None):\n    return ['tool']\n"
HUNGRY = f"import pathlib\npathlib.Path(__import__('tempfile').gettempdir(), 'big').write_bytes(bytes(40 << 20))\n{OWN}"
THING: dict[str, Any] = {
    "wheels": [],
    "sdist": True,
    "build": ["base"],
    "backend": "own",
    "backend-path": ["."],
    "tree": {"own.py": OWN},
}
RELEASES: dict[str, Any] = {"thing 1.0": THING, "tool 1.0": {}, "base 1.0": {}}
ARGUMENTS = ("lock", f"--python-version={MINOR}", "--platform=host", "--hooks=sandbox", "--default-index")
LIMITED = """
import resource, sys
which, limit = sys.argv.pop(1).split("=")
resource.setrlimit(getattr(resource, which), (int(limit), int(limit)))
from deep_lock.__main__ import main
main()
"""

pytestmark = LINUX


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Desk, ScenarioServer]]:
    """A project that requires what only a hook knows, and its index."""
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    own = desk(tmp_path)
    (own.project / "pyproject.toml").write_text(PLAIN.format(["thing"]), encoding="utf-8")
    with ScenarioServer() as server:
        server.hold(RELEASES)
        yield own, server


@contextmanager
def small_folder(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small disk; skips the test where this may not be done."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting needs rights that this run does not have")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def is_of_the_machine(ended: Ended, own: Desk) -> bool:
    """Whether a run ended with the fault of the machine and wrote nothing."""
    return ended.code == 3 and "error: this machine: " in ended.stderr and not own.lock.exists()


@pytest.mark.parametrize("limit", [64, 16, 9, 7])
def test_few_open_files(world: tuple[Desk, ScenarioServer], limit: int) -> None:
    own, server = world
    ended = own.run(f"RLIMIT_NOFILE={limit}", *ARGUMENTS, server.url, before=("-c", LIMITED))
    if ended.code == 0:
        assert 'evidence = "observed"' in own.lock.read_text(encoding="utf-8")
    else:
        assert is_of_the_machine(ended, own), ended.stderr
        assert "Too many open files" in ended.stderr
        assert "ulimit -n" in ended.stderr
    assert limit < 64 or ended.code == 0, "64 are enough"


@pytest.mark.parametrize("size", ["4k", "32k", "64k", "128k"])
def test_a_temporary_folder_that_is_full(world: tuple[Desk, ScenarioServer], tmp_path: Path, size: str) -> None:
    own, server = world
    with small_folder(tmp_path / "tmp", size) as temporary:
        ended = own.run(*ARGUMENTS, server.url, environ={"TMPDIR": str(temporary)})
    if ended.code == 0:
        assert 'evidence = "observed"' in own.lock.read_text(encoding="utf-8")
    else:
        assert is_of_the_machine(ended, own), ended.stderr


def test_a_hook_that_finds_the_temporary_folder_full(world: tuple[Desk, ScenarioServer], tmp_path: Path) -> None:
    own, server = world
    server.hold({**RELEASES, "thing 1.0": {**THING, "tree": {"own.py": HUNGRY}}})
    with small_folder(tmp_path / "tmp", "30m") as temporary:
        ended = own.run(*ARGUMENTS, server.url, environ={"TMPDIR": str(temporary)})
        assert is_of_the_machine(ended, own), ended.stderr
        assert list(temporary.iterdir()) == []
    again = own.run(*ARGUMENTS, server.url)
    assert again.code == 0
    assert 'evidence = "observed"' in own.lock.read_text(encoding="utf-8"), "the failure was not kept"


def test_a_hook_that_fails_by_itself_is_no_fault_of_the_machine(world: tuple[Desk, ScenarioServer]) -> None:
    own, server = world
    server.hold({**RELEASES, "thing 1.0": {**THING, "tree": {"own.py": "raise OSError(24, 'Too many open files')"}}})
    ended = own.run(*ARGUMENTS, server.url)
    assert ended.code == 0
    assert 'evidence = "assumed"' in own.lock.read_text(encoding="utf-8")


NO_THREADS = """
import sys, threading
which = sys.argv.pop(1)
real = threading.Thread.start
def start(thread):
    if thread.name.startswith(which):
        raise RuntimeError("can't start new thread")
    real(thread)
threading.Thread.start = start
from deep_lock.__main__ import main
main()
"""


@pytest.mark.parametrize("which", ["deep-lock-index", "ThreadPoolExecutor"])
def test_no_more_threads(world: tuple[Desk, ScenarioServer], which: str) -> None:
    own, server = world
    ended = own.run(which, *ARGUMENTS, server.url, before=("-c", NO_THREADS))
    if which == "deep-lock-index":  # it only works ahead
        assert ended.code == 0, ended.stderr
        assert 'evidence = "observed"' in own.lock.read_text(encoding="utf-8")
    else:
        assert is_of_the_machine(ended, own), ended.stderr


@pytest.mark.parametrize(
    ("fault", "kind", "first"), [("EMFILE", "open", 4), ("ENOSPC", "write-on", 25), ("MEMORY", "open", 7)]
)
def test_a_fault_at_any_moment(
    world: tuple[Desk, ScenarioServer], tmp_path: Path, fault: str, kind: str, first: int
) -> None:
    """Some moments; all of them with STEP=1 in the environment."""
    own, server = world
    start = tmp_path / "start"
    start.mkdir()
    for part in ("project", "cache"):
        (tmp_path / part).rename(start / part)
    (start / "tmp").mkdir()
    step = os.environ.get("STEP", "29")
    more = {"STEP": step, "FIRST": "1" if step == "1" else str(first), "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, str(SUPPORT / "fault_machine.py"), str(tmp_path), fault, kind, *ARGUMENTS, server.url],
        env={**own.environ(), **more},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    *tried, calm = [json.loads(line) for line in ended.stdout.splitlines()]
    assert calm["code"] == 0
    assert 'evidence = "observed"' in calm["lock"]
    for each in tried:
        assert "Traceback" not in each["said"], each
        if each["code"] == 0:
            assert each["lock"] == calm["lock"], each
        else:
            assert not each["lock"], each
            says = ("error: this machine: ", "deep.lock: cannot be written: ")
            assert any(text in each["said"] for text in says), each
    assert any(each["code"] == 3 for each in tried)
