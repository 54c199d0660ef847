"""The program of docs/guides/bots.md works from JSON alone, and what the page says of Dependabot."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.advisories import CRITICAL, record, write_zip
from tests.support.paths import ROOT
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, bench

PAGE = (ROOT / "docs" / "guides" / "bots.md").read_text(encoding="utf-8")
BACKEND = {"wheels": [], "sdist": True, "backend": "setuptools.build_meta"}
OLD: Releases = {
    "one 1.0": {**BACKEND, "build": ["setuptools", "maker"]},
    "two 1.0": {**BACKEND, "build": ["setuptools", "maker<2"]},
    "setuptools 80.0": {},
    "maker 1.0": {},
}
NEW: Releases = {**OLD, "setuptools 81.0": {}, "maker 1.5": {}, "maker 2.0": {}}


def test_the_bot_updates_one_build_requirement_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in program.splitlines() if line]) <= 31
    bot = tmp_path / "bot.py"
    bot.write_text(program, encoding="utf-8")
    database = tmp_path / "all.zip"
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.ask("one", "two")
        made.platforms = (LINUX,)
        settings = (
            f'[tool.deep-lock]\nhooks = "static"\npython-versions = ["3.13"]\nplatforms = ["{LINUX}"]\n'
            f'index = [{{name = "local", url = "{made.server.url}", default = true}}]\n'
        )
        with (made.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(settings)

        def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                command,
                cwd=made.folder,
                env={**os.environ, "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])},
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )

        def run_bot(*options: str) -> "subprocess.CompletedProcess[str]":
            return run(sys.executable, bot, *options)

        failed = run_bot()
        assert (failed.returncode, failed.stdout) == (2, "")
        assert "there is no lock" in failed.stderr
        locked = subprocess.run(
            [sys.executable, "-m", "deep_lock", "lock"], cwd=made.folder, capture_output=True, text=True, check=False
        )
        assert locked.returncode == 0, locked.stderr
        before = (made.folder / "deep.lock").read_text(encoding="utf-8")
        made.hold(NEW)
        write_zip(database, record("GHSA-m", "maker", "introduced 0", "fixed 1.2", score=CRITICAL))
        done = run_bot("--database", str(database), "--max-age", "P9999D", "--refresh")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(
            "Update maker to 2.0 in the build of one 1.0\n\nFixes GHSA-m (critical)\n- maker 1.0 -> 2.0 "
        )
        after = (made.folder / "deep.lock").read_text(encoding="utf-8")
        # a hunk for the new release of maker, and one for the member of one build
        assert [line for line in _environments(after) if line not in _environments(before)] == ['"one" maker 2.0']
        assert [line for line in _environments(before) if line not in _environments(after)] == ['"one" maker 1.0']
        upgrade, fail = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
        assert run("bash", "-ec", fail.replace("all.zip", f"{database} --max-age P9999D")).returncode == 1
        upgraded = run("bash", "-ec", upgrade)
        assert upgraded.returncode == 0, upgraded.stderr
        last = _environments((made.folder / "deep.lock").read_text(encoding="utf-8"))
        assert {'"one" setuptools 81.0', '"two" setuptools 81.0'} == {*last} - {*_environments(after)}


def _environments(text: str) -> list[str]:
    builds = text.split("[[tool.deep-lock.builds]]\n")[1:]
    member = re.compile(r'\{name = "(.*?)", version = "(.*?)"')
    return [
        f"{build.splitlines()[0].partition('= ')[2]} {name} {version}"
        for build in builds
        for name, version in member.findall(build)
    ]


def test_what_another_tool_edits_is_stale_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, {"lib 1.0": {}}) as made:
        made.ask("lib")
        made.platforms = (LINUX,)
        text = made.lock().text
        edited = re.sub(r'sha256 = "[0-9a-f]{64}"', f'sha256 = "{"0" * 64}"', text.replace('"1.0"', '"1.1"', 2))
        project = made.folder / "pyproject.toml"
        project.write_text(project.read_text(encoding="utf-8").replace("'lib'", "'lib>=1.0'"), encoding="utf-8")
        assert made.lock("--check").code == 1, "the bound was raised, and the lock is that of the old one"
        assert made.lock().code == 0
        assert made.lock("--check").code == 0
        made.write({"deep.lock": edited.replace('lock-version = "1.1"', 'lock-version = "1.0"')})
        assert made.lock("--check").code in {1, 2}
