"""A fault of deep-lock has an exit code of its own, and an interrupt at any moment ends without a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deep_lock.cli import main
from tests.support.paths import ROOT

FAULTS: list[Exception] = [
    RuntimeError("##vso[task.setvariable variable=PATH]/x\x1b[2J\n::error::y"),
    KeyError("x"),
    RecursionError("maximum recursion depth exceeded"),
    ValueError("Exceeds the limit (4300 digits)"),
    AssertionError(),
]


def _failing(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    def fail(*_: object, **_options: object) -> None:
        raise fault

    monkeypatch.setattr(main, "open_session", fail)


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_of_the_program(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, fault)
    assert main.run(["cache", "dir"]) == 70
    out, err = capfd.readouterr()
    assert out == ""
    assert f"error: internal error, please report it: {type(fault).__name__}" in err
    assert "Traceback" not in err
    assert "\x1b[2J" not in err
    assert "-v" in err


@pytest.mark.parametrize("option", ["-v", "-vv", "--verbose"])
def test_the_traceback_of_a_fault_is_for_those_who_report_it(
    option: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, FAULTS[0])
    assert main.run([option, "cache", "dir"]) == 70
    err = capfd.readouterr().err
    assert "Traceback (most recent call last):" in err
    assert "test_exit_codes.py" in err
    assert "\x1b[2J" not in err


def test_a_file_that_cannot_be_read_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, PermissionError(13, "Permission denied", "some/file"))
    assert main.run(["cache", "dir"]) == 2
    assert "error: some/file: Permission denied" in capfd.readouterr().err


def test_the_codes_are_documented() -> None:
    assert "\n  70   " in main.HELP
    assert "\n| 70 |" in (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")


INTERRUPTED = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
sys.meta_path.insert(0, Finder())
sys.argv = ["deep-lock", "lock", "--help"]
runpy.run_module("deep_lock", run_name="__main__")
"""


@pytest.mark.skipif(os.name != "posix", reason="a process cannot send itself this signal")
@pytest.mark.parametrize(
    "module",
    ["deep_lock.cli", "deep_lock.cli.main", "click", "deep_lock.errors", "deep_lock.cli.commands.lock", "msgspec"],
)
def test_an_interrupt_while_modules_are_loaded(module: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode in {130, -signal.SIGINT}, ended.stderr
