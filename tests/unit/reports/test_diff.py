"""`deep-lock diff` over real locks: what it says in every form is what was read and agreed to once.

fixtures/reviews/README.md says what the data is. Both locks are made by the real command against a local index.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.models.changes import CODES
from tests.support.scenarios import Bench, bench

FOLDER = Path(__file__).parents[3] / "fixtures" / "reviews"
FORMS = {"text": "txt", "markdown": "md", "json": "json", "sarif": "sarif", "github": "github"}
CASES = sorted(path.stem for path in FOLDER.glob("*.toml"))
AGE = re.compile(r"published (?:today|\d+ days? ago)")


class Pair:
    """Two locks in a folder of their own, and the command."""

    def __init__(self, made: Bench, table: dict[str, Any]) -> None:
        self.bench = made
        self.first: str = table["first"]
        made.ask(*table["asks"])
        self._lock(table["both"] | table["old"], "old.lock", "")
        self._lock(table["both"] | table["new"], "new.lock", "old.lock", table.get("edit", ()))

    def _lock(self, releases: dict[str, Any], name: str, earlier: str, edits: Any = ()) -> None:
        self.bench.hold(releases)
        (self.bench.folder / "deep.lock").unlink(missing_ok=True)  # a lock refuses other bytes under a locked file name
        ended = self.bench.lock("--refresh", "--upgrade")
        assert ended.code == 0, ended.stderr
        text = ended.text.replace(self.bench.server.url, "https://index.example/simple/")
        text = text.replace(self.bench.server.origin, "https://files.example")
        for old, new in edits:
            assert old in text, f"{earlier} {old}"
            text = text.replace(old, new)
        (self.bench.folder / name).write_text(text, encoding="utf-8")

    def diff(self, *flags: str) -> tuple[int, str]:
        self.bench.capture.readouterr()
        code = run(["diff", "old.lock", "new.lock", *flags])
        return code, self.bench.capture.readouterr().out


@pytest.fixture
def pair(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pair]:
    table = tomllib.loads((FOLDER / f"{request.param}.toml").read_text(encoding="utf-8"))
    with bench(tmp_path, capsys, monkeypatch, {}) as made:
        made.pythons = ("3.13",)
        found = Pair(made, table)
        monkeypatch.chdir(made.folder)
        yield found


@pytest.mark.parametrize("pair", CASES, indirect=True, ids=CASES)
def test_what_is_said_of_a_pair(pair: Pair, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    for form, suffix in FORMS.items():
        code, out = pair.diff("--format", form)
        assert code == 0
        told, golden = AGE.sub("published AGE", out), FOLDER / f"{name}.{suffix}"
        if os.environ.get("DEEP_LOCK_WRITE_GOLDEN"):
            golden.write_text(told, encoding="utf-8")
        assert told == golden.read_text(encoding="utf-8"), form


@pytest.mark.parametrize("pair", CASES, indirect=True, ids=CASES)
def test_the_one_line_that_matters_is_read_first(pair: Pair) -> None:
    document = json.loads(pair.diff("--format", "json")[1])
    assert document["changes"][0]["code"] == pair.first
    ranks = [change["rank"] for change in document["changes"]]
    assert ranks == sorted(ranks)
    text = pair.diff()[1].splitlines()
    assert text[1].endswith(f"[{pair.first}]")
    assert CODES[pair.first][1] in {"danger", "look"}


@pytest.mark.parametrize("pair", ["sdist-only"], indirect=True)
def test_exit_codes(pair: Pair) -> None:
    assert pair.diff()[0] == 0
    assert pair.diff("--exit-code")[0] == 1
    (pair.bench.folder / "new.lock").write_bytes((pair.bench.folder / "old.lock").read_bytes())
    assert pair.diff("--exit-code") == (0, "")
    (pair.bench.folder / "new.lock").write_text("nothing", encoding="utf-8")
    assert pair.diff()[0] == 2


@pytest.mark.parametrize("pair", ["build-tool"], indirect=True)
@pytest.mark.parametrize(
    ("values", "code"),
    [
        (["danger"], 0),
        (["look"], 1),
        (["version"], 1),
        (["build-tool-changed"], 1),
        (["built-release-changed"], 1),
        (["build-new"], 0),
        (["hash-changed", "build-tool-changed"], 1),
        # it is listed as a built-release-changed
        (["version-changed"], 1),
        (["build-tools-changed"], 2),
    ],
)
def test_fail_on_a_level_or_a_code(pair: Pair, values: list[str], code: int) -> None:
    flags = [text for value in values for text in ("--fail-on", value)]
    assert pair.diff(*flags)[0] == code
    if code == 2:
        return
    (pair.bench.folder / "new.lock").write_bytes((pair.bench.folder / "old.lock").read_bytes())
    assert pair.diff(*flags)[0] == 0


@pytest.mark.parametrize("pair", ["build-tool"], indirect=True)
def test_what_runs_in_builds_is_never_cut_off_and_has_its_age(pair: Pair) -> None:
    for form in FORMS:
        out = pair.diff("--format", form)[1]
        tool = next(
            line
            for line in out.splitlines()
            if "80.9.0" in line and "84.2.1" in line and "->" in line.replace("\\", "")
        )
        assert AGE.search(tool), form
        assert "No build has a new package" not in out


@pytest.mark.parametrize("pair", ["build-tool"], indirect=True)
def test_what_one_lock_does_not_have_is_said_not_to_be_compared(pair: Pair) -> None:
    folder = pair.bench.folder
    (folder / "new.lock").rename(folder / "deep.lock")
    (folder / "requirements.txt").write_text("native==1.1 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    for old, new in (("requirements.txt", "deep.lock"), ("deep.lock", "requirements.txt")):
        for form in FORMS:
            pair.bench.capture.readouterr()
            assert run(["diff", old, new, "--format", form]) == 0
            out = pair.bench.capture.readouterr().out
            assert ("otCompared" if form == "sarif" else "not-compared" if form == "json" else "Not compared") in out
            assert "builds" in out
            assert "No build has a new package" not in out


def test_every_code_is_documented_as_it_is() -> None:
    page = (FOLDER.parents[1] / "docs" / "formats" / "diff-json.md").read_text(encoding="utf-8")
    rows = {
        tuple(cell.strip(" `") for cell in line.split("|")[1:5]) for line in page.splitlines() if line.startswith("| `")
    }
    for code, (rank, weight, meaning) in CODES.items():
        assert (code, str(rank), weight, meaning) in rows


@pytest.mark.parametrize("pair", ["sdist-only"], indirect=True)
def test_the_policy_of_the_project_is_told_first_in_every_form(pair: Pair) -> None:
    (pair.bench.folder / "deep-lock.toml").write_text(
        '[policy]\nbackends = ["setuptools.build_meta"]\n', encoding="utf-8"
    )
    (finding,) = [own for own in json.loads(pair.diff("--format", "json")[1])["policy"] if own["severity"] == "error"]
    assert finding["subject"].startswith("lib")
    assert pair.diff()[1].startswith("Policy (")
    for form in ("text", "markdown", "github"):
        assert "lib 1.1" in pair.diff("--format", form)[1]
