"""Every command that touches a stranger's bytes has imported everything before the first answer is read (threats: import law)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_late_imports import MARK

from deep_lock.build import sandbox
from scenarios import MINOR, Bench, bench

FENCE = Path(__file__).parents[1] / "support" / "fault_late_imports.py"
OWN = """
import os, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return ["tool"]
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "thing-1.0-py3-none-any.whl"
    files = {"thing.py": "", "thing-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n",
             "thing-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""
RELEASES = {
    "thing 1.0": {
        "wheels": [], "sdist": True, "build": ["base"], "backend": "own", "backend-path": ["."],
        "dynamic": ["Requires-Dist"], "tree": {"own.py": OWN},
    },
    "tool 1.0": {}, "base 1.0": {}, "lib 1.0": {},
}  # fmt: skip


def late(own: Bench, *arguments: str) -> list[str]:
    """Run a command behind the fence, and return what it imported late."""
    done = subprocess.run(
        [sys.executable, "-I", str(FENCE), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        cwd=own.folder,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(MARK)]
    found: list[str] = json.loads(said[0].removeprefix(MARK))
    return found


def test_commands_import_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine: no hook would run")
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.pythons, own.platforms, own.hooks = [MINOR], ["host"], "sandbox"
        own.ask("thing", "lib")
        assert late(own, "lock", *own.flags()) == []
        text = (own.folder / "deep.lock").read_text(encoding="utf-8")
        assert 'evidence = "observed"' in text
        assert 'tool.deep-lock.metadata = "observed"' in text
        own.server.log.clear()
        assert late(own, "fetch", "-d", str(tmp_path / "files"), "--lock", str(own.folder / "deep.lock")) == []
        assert own.server.log
