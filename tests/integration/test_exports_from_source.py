"""Where a lock builds what has wheels too, a requirements file leaves an installer no wheel to take."""

from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenarios import bench

RELEASES = {
    "thing 1.0": {"sdist": True, "build": ["tool"], "backend": "flit_core.buildapi"},
    "tool 1.0": {},
}


@pytest.mark.parametrize("case", [("all", "tar.gz", "whl"), ("needed", "whl", "tar.gz")])
def test_the_scope_decides_which_bytes_are_admitted(
    case: tuple[str, str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scope, taken, left = case
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.ask("thing")
        assert own.lock("--build-scope", scope, "--allow-wheel", "tool").code == 0
        assert run(["export", "-f", "requirements", "--lock", str(own.folder / "deep.lock")]) == 0
        told = capsys.readouterr().out
        names = {"whl": "thing-1.0-py3-none-any.whl", "tar.gz": "thing-1.0.tar.gz"}
        assert own.filled(f"{{sha256:{names[taken]}}}") in told
        assert own.filled(f"{{sha256:{names[left]}}}") not in told
