"""`deep-lock verify --installed`, through the front door: a wheelhouse, uv, and an environment that is not what the lock has."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.builds.installed import find_environment
from deep_lock.cli.main import run
from tests.support.wheelhouses import CHAIN, HOOKS, Yard, sdist, yard

Found = dict[str, list[tuple[str, str]]]


class Installed:
    """A locked project with its wheelhouse, and an environment that uv installed from it."""

    def __init__(self, made: Yard, environment: Path) -> None:
        self.yard = made
        self.environment = environment
        ended = made.make()
        assert ended.code == 0, ended.stderr
        run_uv("venv", "--quiet", "--python", sys.executable, str(environment))
        self.install("--require-hashes", "-r", str(made.folder / "requirements.txt"))
        (self.site,) = (environment / "lib").glob("python3*/site-packages")
        self.saved = environment.with_name("saved")
        shutil.copytree(self.site, self.saved)

    def install(self, *arguments: str) -> None:
        source = ("--no-index", "--find-links", str(self.yard.folder), "--offline")
        run_uv("pip", "install", "--quiet", "--python", str(self.environment), "--link-mode=copy", *source, *arguments)

    def restore(self) -> None:
        shutil.rmtree(self.site)
        shutil.copytree(self.saved, self.site)

    def verify(self, *flags: str) -> tuple[int, Found, str]:
        """Return the exit code, and by code the subjects and messages."""
        self.yard.bench.capture.readouterr()
        command = ["verify", "--lock", str(self.yard.lock), "--installed", str(self.environment), *flags]
        code = run([*command, "--format", "json"])
        printed = self.yard.bench.capture.readouterr()
        assert "Traceback" not in printed.err
        found: Found = {}
        for one in json.loads(printed.out).get("findings", []):
            found.setdefault(one["code"], []).append((one["subject"], one["message"]))
        return code, found, printed.err


def run_uv(*arguments: str) -> None:
    ended = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installed]:
    with yard(tmp_path, capsys, monkeypatch, CHAIN, "app-lib") as made:
        yield Installed(made, tmp_path / "environment")


def test_an_environment_is_compared_with_the_lock(installed: Installed) -> None:  # noqa: PLR0915 - one environment is made for all cases
    requests = len(installed.yard.bench.server.log)
    code, found, stderr = installed.verify()
    assert (code, set(found)) == (0, {"installed"}), found
    assert "verified 3 releases" in stderr
    compared = int(stderr.partition("verified 3 releases, ")[2].split()[0])
    notes = dict(found["installed"])
    assert set(notes) == {"app-lib 1.0", "other 1.0", "shared 2.0"}
    assert notes["shared 2.0"].endswith("its RECORD is that of shared-2.0-py3-none-any.whl")
    where = "in the sandbox" if HOOKS == "sandbox" else "without a sandbox"
    assert (
        f"states the build of the lock: app_lib-1.0.tar.gz in a build environment of 3 packages, {where}"
        in notes["app-lib 1.0"]
    )
    assert len(installed.yard.bench.server.log) == requests, "nothing is requested"

    # the folder of packages alone, and a named target
    folders = find_environment(installed.site)
    assert folders.prefix == str(installed.environment.resolve())
    assert installed.verify("--target", "host")[0] == 0

    # options that need an index, or an environment
    for flag in ("--deep", "--attestations=verify", "--target=cp39-x86_64-windows"):
        assert installed.verify(flag)[0] == 2
    assert run(["verify", "--lock", str(installed.yard.lock), "--all-extras"]) == 2
    # variables for other commands
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TARGET": "none", "GROUP": "dev", "FROM": "uv.lock", "ATTESTATIONS": "verify"}.items():
            patch.setenv(f"DEEP_LOCK_{name}", value)
        assert installed.verify()[0] == 0
        assert run(["verify", "--lock", str(installed.yard.lock)]) == 0

    # a file of the lock's wheel that changed, with and without its row in RECORD
    changed = installed.site / "shared.py"
    changed.write_text("NAME = 'evil!!'\n")
    code, found, _ = installed.verify()
    assert (code, found["installed-file-changed"]) == (
        4,
        [("shared 2.0", "shared.py: differs from its hash in RECORD")],
    )
    record = installed.site / "shared-2.0.dist-info" / "RECORD"
    digest = base64.urlsafe_b64encode(hashlib.sha256(changed.read_bytes()).digest()).decode().rstrip("=")
    rows = [row for row in record.read_text().splitlines() if not row.startswith("shared.py,")]
    record.write_text("\n".join([*rows, f"shared.py,sha256={digest},{changed.stat().st_size}"]))
    code, found, _ = installed.verify()
    assert code == 4
    assert "installed-file-changed" not in found
    assert "shared.py" in found["installed-wheel-differs"][0][1]
    # without the wheel nothing is claimed
    assert run(["cache", "clean"]) == 0
    code, found, _ = installed.verify()
    assert code == 0
    assert "so its RECORD was not compared" in dict(found["installed"])["shared 2.0"]
    assert installed.verify("--from", str(installed.yard.folder))[0] == 4, "the wheel in this folder is compared"
    installed.restore()

    # files that no RECORD has
    (installed.site / "evil.pth").write_text("import os\n")
    (installed.site / "sitecustomize.py").write_text("")
    (installed.site / "extra").mkdir()
    (installed.site / "extra" / "module.py").write_text("")
    (installed.site / "other.py").unlink()
    (installed.site / "old.egg-info").write_text("Name: old\n")
    code, found, stderr = installed.verify()
    assert code == 1
    assert f"verified 4 releases, {compared - 1} files" in stderr, "a file that is missing is not compared"
    assert found["installed-startup-file"][0][1].endswith(": evil.pth, sitecustomize.py")
    assert found["installed-file-unowned"][0][1] == "1 file that no RECORD lists: extra"
    assert found["installed-file-missing"] == [("other 1.0", "other.py: is in RECORD, but does not exist")]
    assert found["installed-record-missing"][0][0].startswith("old")
    installed.restore()

    # a release that is missing, one that the lock does not have, and another version
    shutil.rmtree(installed.site / "shared-2.0.dist-info")
    (installed.site / "shared.py").unlink()
    (installed.site / "app_lib-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: app-lib\nVersion: 9\n"
    )
    write_distribution(installed.site, "unknown", "1.0")
    write_distribution(installed.site, "maker", "3.0")
    write_distribution(installed.site, "pip", "99")
    code, found, _ = installed.verify("--fail-on", "finding")
    assert code == 4, "METADATA is in RECORD"
    assert [subject for subject, _ in found["installed-missing"]] == ["shared 2.0"]
    assert [subject for subject, _ in found["installed-version-differs"]] == ["app-lib 9"]
    assert dict(found["installed-not-locked"]).keys() == {"unknown 1.0", "maker 3.0", "pip 99"}
    assert "does not install it at run time on" in dict(found["installed-not-locked"])["maker 3.0"]
    installed.restore()

    # what an installer recorded
    origin = installed.site / "shared-2.0.dist-info" / "direct_url.json"
    origin.write_text(
        json.dumps({"url": "https://index.example/x.whl", "archive_info": {"hashes": {"sha256": "0" * 64}}})
    )
    code, found, _ = installed.verify()
    assert code == 4
    assert "which no file of the lock has" in found["installed-hash-differs"][0][1]
    origin.write_text(json.dumps({"url": "file:///project/shared", "dir_info": {"editable": True}}))
    assert "the lock has it from its index" in installed.verify()[1]["installed-origin-differs"][0][1]
    origin.write_text("[" * 100_000)
    assert "direct_url.json: cannot be read" in installed.verify()[1]["installed-origin-differs"][0][1]
    installed.restore()

    # a wheel that was built has no hash in the lock: it is compared with the one in the wheelhouse
    code, found, _ = installed.verify("--from", str(installed.yard.folder))
    assert code == 0
    assert dict(found["installed"])["app-lib 1.0"].endswith("its RECORD is that of app_lib-1.0-py3-none-any.whl")
    record = installed.site / "app_lib-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("app_lib.py,sha256=", "app_lib.py,sha256=x"))
    assert installed.verify("--from", str(installed.yard.folder))[1]["installed-wheel-differs"][0][0] == "app-lib 1.0"
    installed.restore()

    # an edited receipt, one of another build, and none
    receipt = installed.site / "app_lib-1.0.dist-info" / "deep-lock.json"
    text = receipt.read_text()
    receipt.write_text(text.replace('"sandbox"', '"sandbag"'))
    code, found, _ = installed.verify()
    assert (code, "installed-receipt-differs" in found) == (4, True), "its hash is in RECORD"
    receipt.unlink()
    code, found, _ = installed.verify()
    assert "has no receipt" in dict(found["installed"])["app-lib 1.0"]
    installed.restore()
    installed.yard.relock({**CHAIN, "tool 0.5": sdist(tool="NEW = 1\n")})
    code, found, _ = installed.verify()
    assert code == 1
    assert [subject for subject, _ in found["installed-receipt-differs"]] == ["app-lib 1.0"], "tool is two builds below"


def write_distribution(site: Path, name: str, version: str) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
