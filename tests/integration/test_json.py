"""With --format json stdout is one document that fits its schema, also where a run fails; with --log-format json stderr is JSON lines."""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from deep_lock.cli import main
from deep_lock.cli.main import run
from tests.support import schemas
from tests.support.scenario_server import Releases
from tests.support.scenarios import HERE, MINOR, PLAIN, Bench, bench, git


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder whose lock is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep.lock").write_text("x", encoding="utf-8")


def _ran(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Run a command; return its exit code, its document, which was validated, and stderr."""
    capfd.readouterr()
    code = run(list(arguments))
    out, err = capfd.readouterr()
    document = json.loads(out)
    schemas.check(document)
    return code, document, err


def _log(err: str) -> list[Any]:
    """Return the documents of the log, which were validated."""
    assert err.isascii()
    rows = [json.loads(line) for line in err.splitlines()]
    for row in rows:
        schemas.check(row)
    return rows


# -- runs that lock

RELEASES: Releases = {"lib 1.0": {}, "lib 2.0": {}, "tool 1.0": {"requires": ["lib"]}}


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A project that requires lib<2, for this Python and machine, and its index."""
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as made:
        made.pythons, made.platforms = [MINOR], ["host"]
        made.ask("lib<2")
        monkeypatch.chdir(made.folder)
        yield made


def test_a_run_that_locks(project: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    path = project.folder / "deep.lock"

    def lock(*options: str, command: str = "lock") -> tuple[int, Any]:
        code, document, _ = _ran(capfd, command, *options, *project.flags(), "--format", "json")
        assert document["schema"] == "deep-lock/lock"
        assert document["status"] in {"stale", "failed"} or (code, document["error"]) == (0, None)
        return code, document

    _, planned = lock("--dry-run")
    assert (planned["status"], path.exists()) == ("would-change", False)
    begun = len(project.server.log)
    assert begun == planned["requests"]
    assert run(["cache", "clean"]) == 0
    _, made = lock()
    assert (made["status"], made["path"]) == ("written", str(path))
    assert made["sha256"] == planned["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert (made["packages"], made["builds"], made["targets"], made["changes"]) == (1, 0, [HERE], [])
    assert made["requests"] == len(project.server.log) - begun
    assert made["cache-hits"] == 0
    _, kept = lock()
    assert (kept["status"], kept["requests"], kept["sha256"]) == ("up-to-date", 0, made["sha256"])
    assert lock("-U")[1]["cache-hits"] > 0
    assert [lock(option)[1]["status"] for option in ("--check", "--check-exists")] == ["up-to-date", "exists"]
    assert lock("--check")[1]["sha256"] == made["sha256"]

    project.ask("lib<3", "tool")
    code, stale = lock("--check")
    assert (code, stale["status"], stale["error"]["code"]) == (1, "stale", "stale")
    assert any("tool" in reason for reason in stale["reasons"])
    (project.folder / "old.lock").write_bytes(path.read_bytes())
    _, changed = lock("-U")
    assert {(own["code"], own["name"]) for own in changed["changes"]} >= {
        ("version-changed", "lib"),
        ("package-new", "tool"),
    }
    assert changed["changes"] == _ran(capfd, "diff", "old.lock", "deep.lock", "--format=json")[1]["changes"]

    project.ask("lib>2", "tool")
    code, failed = lock()
    assert (code, failed["status"], failed["error"]["code"]) == (1, "failed", "unsatisfiable")
    project.ask("lib<2")
    assert lock("lib", command="remove")[1]["edited"][0]["removed"] == ["lib<2"]
    _, added = lock("lib==1.0", "--dry-run", command="add")
    assert (added["status"], added["edited"][0]["added"]) == ("would-change", ["lib==1.0"])
    assert '+    "lib==1.0"' in added["difference"]
    lock("lib==1.0", command="add")
    index = ["--default-index", project.server.url]
    applied = _ran(capfd, "outdated", "--apply", *index, "--hooks=static", "--format", "json")[1]
    assert (applied["status"], applied["edited"][0]["added"]) == ("written", ["lib==2.0"])
    (project.folder / "pins.txt").write_text("lib==1.0\n", encoding="utf-8")
    options = [own for own in project.flags() if own not in {"--project", str(project.folder)}]
    deepened = _ran(capfd, "deepen", "pins.txt", *options, "--format", "json")[1]
    assert [own["name"] for own in deepened["changes"] if own["code"] == "downgraded"] == ["lib"]


def test_all_projects_are_one_document(project: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    project.write({"a/pyproject.toml": PLAIN.format(["lib"]), "b/pyproject.toml": PLAIN.format(["lib>3"])})
    arguments = ["lock", "--all-projects", *project.flags(), "--format", "json", "--log-format", "json"]
    code, document, err = _ran(capfd, *arguments)
    found = {own["project"]: own for own in document["projects"]}
    assert (code, document["exit-code"], document["found"]) == (1, 1, 3)
    assert {path: own["status"] for path, own in found.items()} == {".": "written", "a": "written", "b": "failed"}
    assert found["a"]["requests"] + found["a"]["cache-hits"] > 0
    rows = _log(err)
    assert [(own["code"], own["project"]) for own in rows if own["event"] == "failed"] == [("unsatisfiable", "b")]
    fetched = [own["name"] for own in rows if own["event"] == "fetched"]
    assert len(fetched) == len(project.server.log) == sum(own["requests"] for own in found.values())
    quiet = _log(_ran(capfd, *arguments, "-q")[2])
    assert {own["event"] for own in quiet} == {"failed"}


# -- the other commands


def test_every_command_writes_its_document(project: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    assert project.lock().code == 0
    index = ["--default-index", project.server.url]

    def read(*arguments: str, code: int = 0) -> Any:
        found, document, err = _ran(capfd, *arguments, "--format", "json")
        assert found == code, err
        return document

    fetched = read("fetch", "-d", "files")
    assert (fetched["files"], fetched["origins"]["downloaded"]["files"], fetched["requests"]) == (1, 1, 2)
    made = read("wheelhouse", "-d", "wheels", "--from", "files")
    assert (made["published"], made["built"], made["target"]) == (1, [], HERE)
    assert [(own["level"], own["kind"], own["name"]) for own in read("tree")["rows"]] == [(0, "package", "lib")]
    assert [own["version"] for own in read("why", "lib")["packages"]] == ["1.0"]
    assert read("doctor")["cache"] == read("cache", "dir")["folder"]
    assert read("cache", "prune")["removed-files"] == 0
    assert [own["newest"] for own in read("outdated", *index)["outdated"]] == ["2.0"]
    assert read("verify", *index)["releases"] == 1
    assert {own["code"] for own in read("policy")["findings"]} <= {"advisories-unknown"}
    assert read("report", "-o", "page.html")["path"] == "page.html"
    assert read("export")["packages"][0]["name"] == "lib"
    assert (project.folder / "page.html").exists()
    assert read("vet", "init")["files"] == 1
    assert read("vet", "check")["not-covered"] == []
    assert read("vet", "suggest", *index)["suggestions"] == []
    certified = read("vet", "certify", "lib", "--who", "A", *index)
    assert (certified["covered"], certified["audits"][0]["version"]) == (True, "1.0")
    assert read("vet", "diff", "lib", "1.0", "2.0", *index)["new"]["version"] == "2.0"
    (project.folder / "theirs.toml").write_bytes((project.folder / "supply-chain" / "audits.toml").read_bytes())
    imported = read("vet", "import", "team", "--url", "theirs.toml")
    assert (imported["written"], [own["name"] for own in imported["teams"][0]["added"]]) == (True, ["lib"])
    git(project.folder, "init", "--quiet")
    assert read("git-setup", "--check", code=1)["changes"]
    assert read("git-setup")["written"]
    (project.folder / "new").mkdir()
    (project.folder / "new" / "pyproject.toml").write_text(PLAIN.format([]), encoding="utf-8")
    planned = read("init", "--project", "new", "--dry-run")
    assert (planned["written"], "+[tool.deep-lock]" in planned["difference"]) == (False, True)
    assert read("init", "--project", "new")["written"]
    assert read("init", "--project", "new", code=2)["schema"] == "deep-lock/error"
    assert read("cache", "clean")["removed-files"] > 0


# -- standard input


def test_documents_are_read_from_standard_input(
    project: Bench, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.lock().code == 0
    text = (project.folder / "deep.lock").read_bytes()
    (project.folder / "deep.lock").rename(project.folder / "other.lock")
    index = ["--default-index", project.server.url]

    def read(data: bytes, *arguments: str, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))
        found, document, err = _ran(capfd, *arguments, "--format", "json")
        assert found == code, err
        return document

    assert read(text, "why", "lib", "--lock", "-")["packages"][0]["version"] == "1.0"
    assert read(text, "tree", "--lock=-")["rows"][0]["name"] == "lib"
    assert read(text, "export", "--lock", "-")["lock"] == "-"
    assert read(text, "policy", "--lock", "-", "--against", "other.lock")["findings"] == []
    assert read(text, "report", "--lock", "-", "-o", "page.html")["lock"] == "-"
    refused = read(text, "report", "--lock", "-", "-o", "page.html", "--against", "other.lock", code=2)
    assert "a run reads standard input once" in refused["message"]
    assert read(text, "policy", "--lock", "other.lock", "--against", "-")["findings"] == []
    broken = read(b'deny = ["lib"]\n', "policy", "--lock", "other.lock", "--policy", "-", code=1)
    assert [own["code"] for own in broken["findings"]] == ["denied"]
    assert read(text, "verify", "--lock", "-", *index)["releases"] == 1
    assert read(text, "fetch", "--lock", "-", "-d", "files")["files"] == 1
    assert read(text, "wheelhouse", "--lock", "-", "-d", "wheels", "--from", "files")["published"] == 1
    outdated = read(text, "outdated", "--lock", "-", *index)
    assert [own["name"] for own in outdated["outdated"]] == ["lib"]
    project.ask("lib")
    assert project.lock().code == 0
    newer = (project.folder / "deep.lock").read_bytes()
    for (old, new), code in {("-", "other.lock"): "downgraded", ("other.lock", "-"): "version-changed"}.items():
        assert code in {own["code"] for own in read(newer, "diff", old, new)["changes"]}
    empty = read(text, "diff", "-", "-", code=2)
    assert (empty["code"], "a run reads it once" in empty["message"]) == ("lock-invalid", True)
    for command in ("lock", "report"):
        assert "not a file to write" in read(text, command, "-o", "-", code=2)["message"]
    assert run(["export", "-o", "-"]) == 2
    assert not (project.folder / "-").exists()


# -- failures


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("why", "six", "--format", "json"), 2, "lock-invalid"),
        (("why", "--format=json", "--all", "--unknown"), 2, "usage-error"),
        (("check", "--format", "json"), 2, "usage-error"),
        (("why", "six", "--format", "yaml", "--format", "json", "--lock", "\udce9"), 2, "usage-error"),
    ],
)
def test_a_failure_is_one_document(
    arguments: tuple[str, ...], exit_code: int, code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found, document, err = _ran(capfd, *arguments)
    assert (found, document["schema"]) == (exit_code, "deep-lock/error")
    assert (document["exit-code"], document["code"]) == (exit_code, code)
    assert document["message"]
    assert err


@pytest.mark.parametrize(
    ("fault", "exit_code", "code"),
    [(RuntimeError("some"), 70, "internal-error"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_a_fault_and_an_interruption_are_documents(
    fault: BaseException, exit_code: int, code: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(main, "open_session", fail)
    found, document, err = _ran(capfd, "cache", "dir", "--format", "json", "--log-format", "json")
    assert (found, document["exit-code"], document["code"]) == (exit_code, exit_code, code)
    assert {row["event"] for row in _log(err)} <= {"failed", "message"}


def test_the_variable_selects_json_and_the_option_wins(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEP_LOCK_FORMAT", "json")
    failed = _ran(capfd, "why", "six")[1]
    assert (failed["code"], failed["path"]) == ("lock-invalid", "deep.lock")
    assert run(["why", "six", "--format", "text"]) == 2
    assert capfd.readouterr().out == ""


def test_the_log_is_json_lines(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--log-format", "json", "why", "six"], ["why", "six", "--log-format=json"]):
        assert run(arguments) == 2
        out, err = capfd.readouterr()
        (row,) = _log(err)
        assert (out, row["event"], row["code"]) == ("", "failed", "lock-invalid")
    assert run(["why", "--log-format", "json", "--unknown\u00e9"]) == 2
    (row,) = _log(capfd.readouterr().err)
    assert row["code"] == "usage-error"
    assert "--unknown\u00e9" in row["message"]


def test_a_schema_refuses_a_wrong_document() -> None:
    right = {"schema": "deep-lock/error", "version": 1, "code": "x", "exit-code": 2, "message": "", "hint": ""}
    schemas.check(right)
    for wrong in ({"exit-code": "2"}, {"hint": None}, {"other": 1}):
        with pytest.raises(ValidationError):
            schemas.check({**right, **wrong})
