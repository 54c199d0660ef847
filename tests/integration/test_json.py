"""With --format json stdout is one document that fits its schema, also where a run fails; with --log-format json stderr is JSON lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from deep_lock.cli.main import run
from tests.support import schemas


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


def test_the_variable_selects_json_and_the_option_wins(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEP_LOCK_FORMAT", "json")
    assert _ran(capfd, "why", "six")[1]["code"] == "lock-invalid"
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
