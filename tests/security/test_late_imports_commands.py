"""Every command that reads untrusted bytes has imported everything before the first answer."""

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deep_lock.builds.sandbox import sandbox
from deep_lock.cli.main import run
from deep_lock.models.vetting import AUDITS, CONFIG, FOLDER
from deep_lock.project.vetting_files import new_text
from tests.support.advisories import CRITICAL, OsvServer, record, zip_of
from tests.support.fault_late_imports import MARK
from tests.support.provenance import provenance, publisher
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MINOR, PLAIN, Bench, bench
from tests.support.served_policy import Served

FENCE = Path(__file__).parents[1] / "support" / "fault_late_imports.py"
ZIPPER = (Path(__file__).parents[2] / "fixtures" / "building" / "zipper.py").read_text(encoding="utf-8")
RELEASES: Releases = {
    "thing 1.0": {
        "wheels": [],
        "sdist": True,
        "build": ["zipper"],
        "backend": "zipper",
        "dynamic": ["Requires-Dist"],
        "tree": {"zipper.json": json.dumps({"asks": ["tool"]}), "thing.py": ""},
    },
    "zipper 1.0": {"modules": {"zipper.py": ZIPPER}},
    "tool 1.0": {},
    "lib 1.0": {},
}


def late(own: Bench, *arguments: str, code: int = 0) -> list[str]:
    """Run a command behind the fence, and return what it imported late."""
    done = subprocess.run(
        [sys.executable, "-I", str(FENCE), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        cwd=own.folder,
    )
    assert done.returncode == code, done.stderr
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
        own.server.log.clear()
        arguments = ("-d", str(tmp_path / "house"), "--lock", str(own.folder / "deep.lock"), "--hooks=sandbox")
        monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "another-cache"))
        assert late(own, "wheelhouse", *arguments) == []
        assert (tmp_path / "house" / "thing-1.0-py3-none-any.whl").is_file()
        assert own.server.log


def test_commands_that_ask_the_index_about_a_lock_import_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.ask("thing", "lib")
        assert own.lock().code == 0
        pins = own.folder / "requirements.txt"
        assert late(own, "verify", "--deep") == []
        assert late(own, "outdated") == []
        assert run(["cache", "clean"]) == 0
        assert late(own, "policy", "--deep") == []
        assert run(["cache", "clean"]) == 0
        (own.folder / "old.lock").write_text("lib==1.0\n", encoding="utf-8")
        assert late(own, "diff", "old.lock", "deep.lock", "--deep") == []
        assert run(["cache", "clean"]) == 0
        assert late(own, "lock", *own.flags(), "--verify-metadata", "--format=json") == []
        own.server.provenance = {file: provenance(publisher("a/b")) for file in own.server.known}
        assert run(["cache", "clean"]) == 0
        assert late(own, "lock", *own.flags(), "--attestations=record") == []
        assert own.server.asked("/integrity/")
        own.server.log.clear()
        assert late(own, "verify") == []
        assert own.server.asked("/integrity/")
        pins.write_text("lib==1.0\nthing==1.0\n", encoding="utf-8")
        targets = ["--python-version=3.13", f"--platform={LINUX}"]
        assert late(own, "cache", "clean") == ["no response was checked"], "it sends no request"
        assert late(own, "deepen", str(pins), "--default-index", own.server.url, "--hooks=static", *targets) == []
        saving = ("deepen", str(pins), "--save", "--default-index", own.server.url, "--hooks=static", *targets)
        assert late(own, "cache", "clean") == ["no response was checked"]
        (own.folder / "deep.lock").unlink()
        assert late(own, *saving) == []


def test_commands_that_compare_with_advisories_import_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = f"{datetime.now(UTC):%Y-%m-%dT00:00:00Z}"
    known = record("PYSEC-1", "lib", "introduced 0", score=CRITICAL, modified=now)
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own, OsvServer(export=zip_of([known])) as server:
        own.ask("thing", "lib")
        assert own.lock().code == 0
        (own.folder / "old.lock").write_text("other==1.0\n", encoding="utf-8")
        server.vulnerable = {("lib", "1.0"): [known]}
        server.clean = {("thing", "1.0"), ("zipper", "1.0")}
        database = ["--database", f"{server.url}/all.zip"]
        lock = str(own.folder / "deep.lock")
        for arguments, code in (
            (("audit", *database), 1),
            (("audit", "--service", server.url, "--format", "sarif"), 1),
            (("diff", "old.lock", "deep.lock", "--deep", *database), 0),
            (("export", "-f", "cyclonedx", "--lock", lock, *database), 0),
            (("outdated", "--lock", lock, "--default-index", own.server.url, *database), 0),
        ):
            assert run(["cache", "clean"]) == 0
            assert late(own, *arguments, code=code) == [], arguments
        with (own.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(f'[tool.deep-lock.audit]\ndatabase = "{server.url}/all.zip"\n')
        for arguments, code in (
            (("policy", "--deep"), 1),
            (("lock", *own.flags(), "-U", "--audit", "--format=json"), 1),
        ):
            assert run(["cache", "clean"]) == 0
            assert late(own, *arguments, code=code) == [], arguments


def test_a_policy_that_is_fetched_imports_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own, closing(Served()) as served:
        served.body = b'deny = ["other"]\nlicenses = ["MIT"]\n'
        own.ask("lib")
        assert own.lock().code == 0
        own.write({"deep-lock.toml": f"[policy]\n{served.source()}"})
        assert late(own, "policy") == []
        assert served.requests == 1
        assert run(["cache", "clean"]) == 0
        assert late(own, "policy", "--deep", "--format", "sarif") == []
        files = {name: new_text(name, ["lib"]) for name in (AUDITS, CONFIG)}
        own.write({f"{FOLDER}/{name}": text for name, text in files.items()})
        sha256 = "0" * 64
        audit = f'version = "1"\ncriteria = ["safe-to-run"]\nwho = "A"\ndate = 2026-11-30\nfiles = [{{name = "a", sha256 = "{sha256}"}}]'
        served.body = f"version = 1\nunknown = 1\n[[audits.lib]]\n{audit}\n".encode()
        assert late(own, "vet", "import", "team", "--url", served.url) == []
        assert late(own, "vet", "import") == []


def test_raising_bounds_imports_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.ask("thing", "lib<2")
        settings = f'[tool.deep-lock]\npython-versions = ["3.13"]\nplatforms = ["{LINUX}"]\nhooks = "static"\n'
        path = own.folder / "pyproject.toml"
        path.write_text(path.read_text(encoding="utf-8") + settings, encoding="utf-8")
        assert own.lock().code == 0
        own.hold({**RELEASES, "lib 2.0": {}})
        assert late(own, "outdated", "--apply", "--default-index", own.server.url) == []
        assert "lib<3" in path.read_text(encoding="utf-8")


def test_commands_that_edit_import_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.ask("lib")
        assert own.lock().code == 0
        flags = [flag.replace("=static", "=sandbox") for flag in own.flags()]
        assert late(own, "add", *flags, "tool") == []
        assert late(own, "add", *flags, "zipper", "--group", "dev", "--dry-run") == []
        assert late(own, "remove", *flags, "lib", "--refresh") == []
        assert "dependencies = ['tool>=1.0']" in (own.folder / "pyproject.toml").read_text(encoding="utf-8")


def test_a_later_project_imports_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first project needs little; the others have hooks, a policy, another tool's lock, and other kinds of files."""
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine: no hook would run")
    with bench(tmp_path, capfd, monkeypatch, {**RELEASES, "poetry-core 2.1.0": {}}) as own:
        own.pythons, own.platforms = [MINOR], ["host"]
        static = '[tool.deep-lock]\nhooks = "static"\n'
        poetry = '[tool.poetry]\nname = "p"\nversion = "1"\n[tool.poetry.dependencies]\npython = ">=3.11"\n'
        own.write(
            {
                "a/pyproject.toml": PLAIN.format(["lib"]) + static,
                "b/pyproject.toml": PLAIN.format(["thing"]) + '[tool.deep-lock.policy]\nyanked = "error"\n',
                "c/pyproject.toml": '[tool.deep-lock]\nfrom-lock = "requirements.txt"\n',
                "c/requirements.txt": "lib==1.0\nthing==1.0\n",
                "d/pyproject.toml": poetry + 'tool = "*"\nthing = "*"\n',
                "e/setup.cfg": "[metadata]\nname = e\n[options]\ninstall_requires = zipper\n",
                "e/deep-lock.toml": "",
            }
        )
        flags = [flag for flag in own.flags() if not flag.startswith("--hooks")]
        assert late(own, "lock", "--all-projects", *flags) == []
        assert 'evidence = "observed"' in (own.folder / "b" / "deep.lock").read_text(encoding="utf-8")
        assert run(["cache", "clean"]) == 0
        assert late(own, "lock", "--all-projects", *flags, "--upgrade") == []


def test_the_review_of_a_lock_imports_nothing_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.ask("lib")
        assert own.lock().code == 0
        assert run(["vet", "init", "--lock", str(own.folder / "deep.lock")]) == 0
        own.hold({**RELEASES, "lib 1.1": {}})
        assert own.lock("--upgrade", "--refresh").code == 0
        assert run(["cache", "clean"]) == 0
        assert late(own, "vet", "suggest") == []
        assert run(["cache", "clean"]) == 0
        (own.folder / FOLDER / CONFIG).write_text(new_text(CONFIG, ()), encoding="utf-8")
        assert late(own, "vet", "certify", "lib", "--from", "1.0", "--who", "Ada") == []
