"""`vet init | check | suggest | certify`, through the front door: real locks of an index over sockets, real git."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.config.options import CertifyOptions, RunContext, VetOptions
from deep_lock.errors import Stale
from deep_lock.events import silent
from deep_lock.operations.vet_certify import certify
from deep_lock.parsing.vetting import read_audits, read_vetting_config
from deep_lock.project import edit
from tests.support import schemas
from tests.support.scenario_server import Release
from tests.support.scenarios import Bench, bench, git

BUILT: Release = {"wheels": [], "sdist": True, "build": ["tool"], "backend": "flit_core.buildapi"}
TEXT = "".join(f"line {number}\n" for number in range(40))
RELEASES: dict[str, Any] = {
    "demo 1.0": {"modules": {"demo.py": TEXT}},
    "demo 1.1": {"modules": {"demo.py": TEXT.replace("line 7\n", "line seven\n")}},
    "built 1.0": {**BUILT, "tree": {"built.py": "x = 1\n"}},
    "built 1.1": {**BUILT, "tree": {"built.py": "x = 2\n"}},
    "tool 1.0": {"modules": {"tool.py": "y = 1\n"}},
    "tool 1.1": {"modules": {"tool.py": "y = 1\nz = 2\n"}},
}
BEFORE = {key: own for key, own in RELEASES.items() if not key.endswith(" 1.1")}
UNUSED = f"""
[imports.acme]
url = "https://files.example/audits.toml"
[[exemptions.demo]]
version = "0.9"
criteria = ["safe-to-run"]
files = [{{ name = "demo-0.9-py3-none-any.whl", sha256 = "{"0" * 64}" }}]
"""
NOT_COVERED = """
[[audits.demo]]
version = "1.0"
from = "0.9"
criteria = ["safe-to-run"]
who = "Ada"
date = 2026-11-30
files = [{{ name = "demo-1.0-py3-none-any.whl", sha256 = "{}", from = "0000000000000000000000000000000000000000000000000000000000000000" }}]
"""
WHO = ("--who", "Ada <ada@files.example>")


class Vet:
    """A locked project, and the commands of `vet` on it."""

    def __init__(self, made: Bench) -> None:
        self.bench = made
        self.folder = made.folder
        self.chain = self.folder / "supply-chain"

    def __call__(self, command: str, *arguments: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run(["vet", command, "--lock", str(self.folder / "deep.lock"), *arguments])
        shown = self.bench.capture.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    def ok(self, command: str, *arguments: str) -> str:
        """Run a command that must succeed, and return both outputs."""
        code, out, err = self(command, *arguments)
        assert code == 0, err
        return out + err

    def check(self) -> dict[str, Any]:
        code, out, _ = self("check", "--format", "json")
        found: dict[str, Any] = json.loads(out)
        assert code == bool(found["not-covered"])
        return found

    def missing(self) -> list[tuple[str, str]]:
        return [(own["name"], own["criterion"]) for own in self.check()["not-covered"]]

    def update(self) -> None:
        self.bench.hold(RELEASES)
        locked = self.bench.lock("--upgrade", "--refresh")
        assert locked.code == 0, locked.stderr


@pytest.fixture
def vet(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Vet]:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with bench(tmp_path, capfd, monkeypatch, BEFORE) as made:
        made.ask("demo", "built")
        locked = made.lock()
        assert locked.code == 0, locked.stderr
        yield Vet(made)


def test_from_init_to_a_covered_lock(vet: Vet) -> None:
    assert "make the files: deep-lock vet init" in vet("check")[2]
    assert "3 files of 3 projects are exempt" in vet.ok("init")
    assert vet("init")[0] == 2
    config = (vet.chain / "config.toml").read_bytes()
    (vet.chain / "config.toml").unlink()
    assert f"remove {vet.chain}, then run deep-lock vet init" in vet("check")[2].replace("\n", "")
    (vet.chain / "config.toml").write_text("who = 1")
    assert f"{vet.chain / 'config.toml'}: has no version" in vet("check")[2].replace("\n", "")
    (vet.chain / "config.toml").write_bytes(config)
    before = {path.name: path.read_bytes() for path in vet.chain.iterdir()}
    assert before.keys() == {"audits.toml", "config.toml"}
    assert vet.missing() == []

    vet.update()
    code, out, err = vet("check")
    assert code == 1
    errors = [line for line in out.splitlines() if line.startswith("error")]
    assert errors == [  # builds first
        "error: built 1.1: safe-to-build: built-1.1.tar.gz is not covered  [unaudited-build-file]",
        "error: tool 1.1: safe-to-build: tool-1.1-py3-none-any.whl is not covered  [unaudited-build-file]",
        "error: built 1.1: safe-to-run: built-1.1.tar.gz is not covered  [unaudited-runtime-file]",
        "error: demo 1.1: safe-to-run: demo-1.1-py3-none-any.whl is not covered  [unaudited-runtime-file]",
    ]
    assert "    via build of built 1.1 > tool 1.1" in out
    assert "compared the sha256 of 3 files of deep.lock with supply-chain: 3 not covered" in err

    assert "by Ada <ada@files.example>" in vet.ok("certify", "demo", "--from", "1.0", "--notes", "one line", *WHO)
    assert ("demo", "safe-to-run") not in vet.missing()
    # the exemption of 1.0 is the base of the delta: it stays
    assert "demo" in {own.package for own in _config(vet).exemptions}
    assert (
        "has this audit of demo 1.1 already" in vet("certify", "demo", "--from", "1.0", "--notes", "one line", *WHO)[2]
    )
    # whole files need no exemption of an older release
    shown = vet.ok("certify", "tool", *WHO)
    assert "not needed any more: the exemption of tool 1.0" in shown
    assert "tool" not in {own.package for own in _config(vet).exemptions}
    vet.ok("certify", "built", "1.1", *WHO, "--criteria", "safe-to-run")
    assert vet.missing() == [("built", "safe-to-build")]
    assert "built" in {own.package for own in _config(vet).exemptions}  # as long as a file is not covered
    vet.ok("certify", "built", "1.1", *WHO, "--criteria", "safe-to-build", "--from", "1.0")
    assert vet.missing() == []
    assert vet.check()["files"] == {
        "audited": 1,
        "imported": 0,
        "exempt-base": 2,
        "exempt": 0,
        "not-covered": 0,
    }
    assert "1 audited, 2 audited as differences from exempt files, 0 not covered" in vet("check")[2]
    audits = read_audits((vet.chain / "audits.toml").read_text(encoding="utf-8"), "audits.toml")
    assert [(own.package, own.base_version, own.criteria) for own in audits] == [
        ("built", "", ("safe-to-run",)),
        ("built", "1.0", ("safe-to-build",)),
        ("demo", "1.0", ("safe-to-run",)),
        ("tool", "", ("safe-to-build",)),
    ]
    assert str(audits[0].date) == "2026-11-15"


def _config(vet: Vet) -> Any:
    return read_vetting_config((vet.chain / "config.toml").read_text(encoding="utf-8"), "config.toml")


def test_a_wheel_that_was_added_to_an_old_release(vet: Vet) -> None:
    vet.ok("init")
    vet.bench.hold(
        {**BEFORE, "demo 1.0": {**BEFORE["demo 1.0"], "wheels": ["py3-none-any", "cp313-cp313-manylinux_2_17_x86_64"]}}
    )
    assert vet.bench.lock("-P", "demo", "--refresh").code == 0
    _, out, _ = vet("check")
    assert "safe-to-run: 1 of 2 files is not covered: demo-1.0-cp313-cp313-manylinux_2_17_x86_64.whl" in out
    suggestion = json.loads(vet("suggest", "--format", "json")[1])["suggestions"][0]
    assert suggestion["from"] is None
    assert suggestion["commands"][0].split(" --lock ")[0] == (
        "deep-lock vet certify demo 1.0 --file demo-1.0-cp313-cp313-manylinux_2_17_x86_64.whl"
    )


def test_suggestions_have_the_least_to_read_first_and_their_commands_cover_the_lock(
    vet: Vet, monkeypatch: pytest.MonkeyPatch
) -> None:
    vet.ok("init")
    vet.update()
    found = json.loads(vet("suggest", "--format", "json")[1])["suggestions"]
    assert [(own["name"], own["from"], own["binary-bytes"]) for own in found] == [
        ("tool", "1.0", 0),
        ("built", "1.0", 0),
        ("demo", "1.0", 0),
    ]
    # the texts of the wheels and their METADATA, where the version differs
    assert [own["lines"] for own in found] == sorted(own["lines"] for own in found)
    assert found[0]["lines"] == 3
    text = vet.ok("suggest")
    assert text.startswith(
        "tool 1.1: 3 lines, compared with 1.0 (safe-to-build)\n    deep-lock vet diff tool 1.0 1.1 --lock "
    )
    assert "3 releases not covered, " in text
    with monkeypatch.context() as patch:
        patch.setenv("DEEP_LOCK_CACHE_DIR", str(vet.folder / "empty"))
        assert "3 releases not covered; no file could be fetched" in vet.ok("suggest", "--offline")
        vet.bench.hold(BEFORE)
        assert "the index does not have it any more" in vet.ok("suggest")
    assert vet.ok("suggest") == text, "files that the index does not have any more are in the cache"
    vet.bench.hold(RELEASES)
    for own in found:
        for command in own["commands"]:
            words = command.split()
            assert words[:2] == ["deep-lock", "vet"]
            assert run([*words[1:], *(WHO if words[2] == "certify" else ())]) == 0, command
    assert vet.missing() == []
    assert vet("suggest")[1] == ""


def test_a_base_that_only_the_index_knows_covers_nothing_yet(vet: Vet) -> None:
    vet.update()
    vet.ok("init")
    config = vet.chain / "config.toml"
    config.write_text("version = 1\n", encoding="utf-8")  # an exemption for nothing
    shown = vet.ok("certify", "demo", "--from", "1.0", *WHO)
    assert "not covered yet" in shown
    audit = read_audits((vet.chain / "audits.toml").read_text(encoding="utf-8"), "audits.toml")[0]
    page = next(file for file in vet.bench.server.projects["demo"] if file.filename.startswith("demo-1.0"))
    assert audit.files[0].base == hashlib.sha256(page.content).hexdigest()
    assert ("demo", "safe-to-run") in vet.missing()
    # neither is a release that is not covered itself suggested to compare with
    path = vet.chain / "audits.toml"
    digest = audit.files[0].base
    path.write_text(path.read_text(encoding="utf-8") + NOT_COVERED.format(digest), encoding="utf-8")
    suggestions = json.loads(vet("suggest", "--format", "json")[1])["suggestions"]
    assert {own["from"] for own in suggestions} == {None}


def test_other_bytes_under_the_name_of_a_covered_file(vet: Vet) -> None:
    vet.ok("init")
    changed = {**RELEASES["demo 1.0"], "comment": "other bytes"}
    vet.bench.hold({**RELEASES, "demo 1.0": changed})
    assert vet.bench.lock("--upgrade", "--refresh").code == 0
    assert run(["cache", "clean"]) == 0
    code, _, err = vet("suggest")
    assert code == 4
    assert "demo-1.0-py3-none-any.whl" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demmo",), "did you mean demo?"),
        (("demo", "9"), "it has 1.0"),
        (("demo", "x y"), "is not a version"),
        (("demo", "--file", "x.whl"), "it has demo-1.0-py3-none-any.whl"),
        (("demo", "--from", "1.0"), "is the version itself"),
        (("demo", "--from", "0.5"), "is neither in the audits and exemptions, nor on the index"),
        (("demo",), '--who "NAME <ADDRESS>"'),
        (("demo", "--who", "a\u202eb"), "--who must be one line"),
        (("demo", "--who", " "), "--who must be one line"),
        (("demo", *WHO, "--notes", "a\x1b[31m"), "--notes must be visible characters"),
    ],
)
def test_an_audit_that_is_refused_changes_nothing(vet: Vet, arguments: tuple[str, ...], message: str) -> None:
    vet.ok("init")
    before = {path.name: path.read_bytes() for path in vet.chain.iterdir()}
    code, _, err = vet("certify", *arguments)
    assert code == 2
    assert message in err
    assert {path.name: path.read_bytes() for path in vet.chain.iterdir()} == before


def test_neither_file_is_written_where_another_program_wrote_one(vet: Vet, tmp_path: Path) -> None:
    vet.ok("init")
    vet_options = VetOptions(
        lock=vet.folder / "deep.lock",
        context=RunContext(cache_folder=tmp_path / "cache", now=datetime(2026, 11, 30, tzinfo=UTC)),
    )
    certified = certify(CertifyOptions(vet=vet_options, name="tool", who="Ada"), silent)
    assert len(certified.documents) == 2
    config = vet.chain / "config.toml"
    config.write_text(config.read_text(encoding="utf-8") + "# another program\n", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in vet.chain.iterdir()}
    with pytest.raises(Stale, match="nothing was written"):
        edit.write_all(certified.documents)
    assert {path.name: path.read_bytes() for path in vet.chain.iterdir()} == before


def test_every_format_and_the_schema_of_json(vet: Vet) -> None:
    vet.ok("init")
    vet.update()
    document = json.loads(vet("check", "--format", "json")[1])
    schemas.check(document)
    own = document["not-covered"][1]
    assert (own["name"], own["chain"]) == ("tool", ["build of built 1.1", "tool 1.1"])
    sarif = json.loads(vet("check", "--format", "sarif")[1])["runs"][0]
    assert [own["ruleId"] for own in sarif["results"]][:3] == ["unaudited-build-file"] * 2 + ["unaudited-runtime-file"]
    assert "::error file=" in vet("check", "--format", "github")[1]
    markdown = vet("check", "--format", "markdown")[1]
    assert "- **error** tool 1.1: safe" in markdown.replace("\\", "")
    assert document["notes"] == []  # an exemption of an old release may be the base of a delta
    for name in ("built", "demo", "tool"):
        vet.ok("certify", name, *WHO)
    config = vet.chain / "config.toml"
    config.write_text(config.read_text(encoding="utf-8") + UNUSED, encoding="utf-8")
    document = json.loads(vet("check", "--format", "json")[1])
    schemas.check(document)
    assert [(own["subject"], own["code"]) for own in document["notes"]] == [
        ("supply-chain/imports.lock", "import-outdated"),  # its audits were never imported
        ("demo 0.9", "exemption-unused"),
    ]


def test_git_merges_audits_of_different_projects(vet: Vet) -> None:
    vet.ok("init")
    git(vet.folder, "init", "--quiet", "--initial-branch=main")
    git(vet.folder, "config", "user.name", "Ada")
    git(vet.folder, "config", "user.email", "ada@files.example")
    git(vet.folder, "add", "deep.lock", "pyproject.toml", "supply-chain")
    git(vet.folder, "commit", "--quiet", "--message=one")
    for name in ("built", "demo", "tool"):  # neighbors in the file, and each removes an exemption
        git(vet.folder, "checkout", "--quiet", "-B", name, "main")
        assert "by Ada <ada@files.example>" in vet.ok("certify", name)
        git(vet.folder, "commit", "--quiet", "--all", f"--message={name}")
    git(vet.folder, "merge", "--quiet", "--no-edit", "--message=m", "built")
    git(vet.folder, "merge", "--quiet", "--no-edit", "--message=m", "demo")
    assert vet.missing() == []
    assert vet.check()["files"] == {
        "audited": 3,
        "imported": 0,
        "exempt-base": 0,
        "exempt": 0,
        "not-covered": 0,
    }
    assert _config(vet).exemptions == ()


def test_a_plain_lock_loads_nothing_of_it(vet: Vet) -> None:
    script = (
        "import sys; from deep_lock.cli.main import run; code = run(sys.argv[1:]);"
        "print(code, *[name for name in sys.modules if ('vet' in name or 'content' in name) and name.startswith('deep_lock')])"
    )
    for arguments in (vet.bench.flags(), [*vet.bench.flags(), "--check"]):
        ran = subprocess.run(
            [sys.executable, "-c", script, "lock", *arguments], check=True, capture_output=True, text=True
        )
        assert ran.stdout.split() == ["0"], ran.stdout
