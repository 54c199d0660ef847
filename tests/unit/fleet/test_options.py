"""What the options of `deep-lock fleet lock` mean for the workers."""

from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.errors import UsageError
from deep_lock.fleet.run import FleetOptions


@pytest.mark.parametrize(
    ("action", "options", "runs_hooks"),
    [
        ("lock", (), True),
        ("lock", ("--hooks", "static"), False),
        ("lock", ("--hooks", "static", "--trust-hooks", "a"), True),
        ("check", (), False),
    ],
)
def test_tasks_that_may_run_hooks_need_a_worker_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, options: tuple[str, ...], *, runs_hooks: bool
) -> None:
    seen: list[FleetOptions] = []

    def run_fleet(own: FleetOptions, *_: object, **__: object) -> None:
        seen.append(own)
        raise UsageError("no more is needed")

    monkeypatch.setattr("deep_lock.fleet.run.run_fleet", run_fleet)
    (tmp_path / "urls.txt").write_text("https://git.example/app.git\n", encoding="utf-8")
    state = ("-f", str(tmp_path / "urls.txt"), "--state", str(tmp_path / "state"))
    assert run(["fleet", action, *state, *options]) == 2
    assert [own.engine.resources for own in seen] == [("sandbox",) if runs_hooks else ()]
