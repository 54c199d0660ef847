"""An observed answer outlives a run on a machine that cannot ask, and no longer than what it was observed of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.builds.sandbox import sandbox
from tests.support.scenarios import MINOR, Bench, bench

OWN = """
import os
def get_requires_for_build_wheel(config_settings=None):
    return ["tool"]
"""
THING = {
    "wheels": [],
    "sdist": True,
    "build": ["base"],
    "backend": "own",
    "backend-path": ["."],
    "tree": {"own.py": OWN},
}
RELEASES = {"thing 1.0": THING, "tool 1.0": {}, "base 1.0": {}, "lib 1.0": {}}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.pythons, own.platforms, own.hooks = [MINOR], ["host"], "sandbox"
        own.ask("thing")
        yield own


def evidence(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("evidence"))


def test_a_second_lock_runs_no_hook(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made.lock()
    assert 'evidence = "observed"' in first.text
    (made.folder / "deep.lock").unlink()

    def refuse(command: sandbox.Command) -> sandbox.Ended:
        raise AssertionError(f"a hook ran: {command.arguments}")

    monkeypatch.setattr("deep_lock.builds.hooks.run", refuse)
    assert made.lock().text == first.text


def test_a_machine_that_cannot_ask_keeps_what_another_observed(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made.lock()
    monkeypatch.setattr(sandbox, "is_possible", lambda: False)
    made.ask("thing", "lib")
    second = made.lock()
    assert evidence(second.text) == evidence(first.text) == 'evidence = "observed"'
    assert 'requires-dynamic = [\n    "tool",\n]' in second.text
    assert "lib==1.0" in second.pins()


def test_another_release_of_what_is_declared_ends_the_observation(made: Bench) -> None:
    made.lock()
    made.hold({**RELEASES, "base 2.0": {}})
    again = made.lock("--upgrade-build", "--refresh", "--hooks=static")
    assert 'evidence = "assumed"' in again.text


def test_a_failure_is_remembered_until_refresh(made: Bench) -> None:
    flag = 'raise SystemExit("lacking")'
    made.hold(
        {
            **RELEASES,
            "thing 1.0": {**THING, "tree": {"own.py": f"def get_requires_for_build_wheel(c=None):\n    {flag}\n"}},
        }
    )
    assert "--refresh calls the hook again" not in made.lock("--refresh").stderr
    (made.folder / "deep.lock").unlink()
    assert "--refresh calls the hook again" in made.lock().stderr
    assert "--refresh calls the hook again" not in made.lock("--refresh").stderr
