"""SIGTERM and SIGHUP end a run as Ctrl-C does: no temporary file and no process of it is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deep_lock.builds.sandbox import sandbox
from tests.support.fault_server import FaultServer, reply
from tests.support.fault_world import BETA, JSON, TARGET, Desk, desk, page, people
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import MINOR, PLAIN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
SLEEPING = """
import pathlib, subprocess, sys, time
pathlib.Path("started").write_text("")
subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(1000) # {mark}"])
time.sleep(1000)
"""
SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def processes_with(mark: str) -> list[str]:
    """Return the command lines of the running processes that have a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if mark in line:
            found.append(line)
    return found


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_an_index_is_slow(tmp_path: Path, number: signal.Signals) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        server.script("/simple/beta/", reply(page("beta", BETA), headers=[JSON], after="drip"))
        with own.start("lock", *TARGET, "-i", url) as child:
            while not server.count("/simple/beta/"):
                time.sleep(0.01)
            child.send_signal(number)
            _, said = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert said.strip() == "interrupted"
    assert own.lock.read_text(encoding="utf-8") == old
    assert own.litter() == []


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_hook_runs(tmp_path: Path, number: signal.Signals) -> None:
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    own: Desk = desk(tmp_path)
    temporary, mark = tmp_path / "tmp", f"mark-{os.getpid()}-{number}"
    temporary.mkdir()
    (own.project / "pyproject.toml").write_text(PLAIN.format(["thing"]), encoding="utf-8")
    thing = {
        "wheels": [],
        "sdist": True,
        "build": ["base"],
        "backend": "own",
        "backend-path": ["."],
        "tree": {"own.py": SLEEPING.format(mark=mark)},
    }
    with ScenarioServer() as server:
        server.hold({"thing 1.0": thing, "base 1.0": {}})
        arguments = ("lock", f"--python-version={MINOR}", "--platform=host", "--hooks=sandbox")
        with own.start(*arguments, "-i", server.url, environ={"TMPDIR": str(temporary)}) as child:
            _wait_for(child, lambda: _has_file(temporary, "started") and bool(processes_with(mark)))
            child.send_signal(number)
            _, said = child.communicate(timeout=60)
    assert child.returncode == 128 + number, said
    assert processes_with(mark) == []
    assert list(temporary.iterdir()) == []
    assert not own.lock.exists()


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    own = desk(tmp_path)
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from deep_lock.__main__ import main; main()"
    with FaultServer() as server:
        url = people(server)
        server.script("/simple/beta/", reply(page("beta", BETA), headers=[JSON], after="drip"))
        with own.start("lock", *TARGET, "-i", url, before=("-c", code)) as child:
            while not server.count("/simple/beta/"):
                time.sleep(0.01)
            child.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            assert child.poll() is None
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM


def _has_file(folder: Path, name: str) -> bool:
    """Whether there is such a file below a folder. Folders may disappear meanwhile, which `Path.rglob` does not bear."""
    return any(name in names for _, _, names in os.walk(folder))


def _wait_for(child: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
