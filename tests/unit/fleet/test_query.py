"""`deep-lock fleet ask`: each question, over real locks, through the command line; what is not in an answer is reported."""

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.lockfile.index import members
from deep_lock.lockfile.reader import from_text
from tests.support import schemas
from tests.support.advisories import OsvServer, record
from tests.support.fleet_state import CLICK, CLOSED, EXAMPLE, FINDING, project, repository, write_state

Ask = Callable[..., tuple[int, Any, str]]
REPLACED = CLOSED.replace(CLICK, "0" * 64)


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Call a question; return the exit code, the document, which was validated, and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments: str) -> tuple[int, Any, str]:
        capfd.readouterr()
        code = run(["fleet", "ask", *arguments, "--format", "json"])
        out, err = capfd.readouterr()
        document = json.loads(out)
        schemas.check(document)
        return code, document, err

    return call


def _fleet(*locks: str) -> None:
    """Write a state with a repository for each lock."""
    results = [repository(f"team/app{number}", project(f"team/app{number}", lock)) for number, lock in enumerate(locks)]
    write_state(Path(".deep-lock-fleet"), results, *locks)


def test_builds_and_uses(ask: Ask) -> None:
    """Compared with the build records themselves, for every package of two locks."""
    _fleet(CLOSED, EXAMPLE, CLOSED)
    locks = [from_text(text, "deep.lock") for text in (CLOSED, EXAMPLE, CLOSED)]
    for name in sorted({entry.name for lock in locks for entry in lock.packages}):
        code, found, _ = ask("uses", name)
        assert code == 0
        got = {
            (own["repository"], own["version"], own["build"], own["backend"])
            for own in found["uses"]
            if own["scope"] == "build"
        }
        wanted = {
            (f"team/app{number}", member.version, f"{build.name} {build.version or ''}".strip(), build.backend)
            for number, lock in enumerate(locks)
            for build in lock.builds
            for member in members(build)
            if member.name == name and not build.hook
        }
        assert got == wanted
    _, found, err = ask("builds-with", "Meson_Python")
    first = found["uses"][0]
    assert (first["repository"], first["project"], first["lock"], first["commit"]) == (
        "team/app0",
        ".",
        "deep.lock",
        "c" * 40,
    )
    assert first["chain"] == ["build of scipydemo 1.2.0", "meson-python 0.22.1"]
    assert "2 projects of 2 repositories build with Meson_Python (0.22.1), of 3 projects with a lock" in err
    _, found, _ = ask("uses", "setuptools == 80.9.0")
    assert {own["build"] for own in found["uses"]} == {"psycopg2 2.9.11", "cryptography 46.0.5"}
    assert found["uses"][0]["targets"] == ["cp312-x86_64-manylinux_2_28", "cp313-x86_64-manylinux_2_28"]
    assert found["uses"][0]["all-targets"] is False
    _, found, err = ask("builds-with", "click")
    assert found["uses"] == []
    assert "no project builds with click" in err


def test_text(ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    del ask
    _fleet(CLOSED)
    assert run(["fleet", "ask", "builds-with", "ninja"]) == 0
    out, _ = capfd.readouterr()
    assert out.startswith("team/app0\n  ninja 1.13.0\n    in the build of meson-python 0.22.1: ")
    assert run(["fleet", "ask", "uses", "colorama"]) == 0
    out, _ = capfd.readouterr()
    assert out == (
        "team/app0\n  colorama 0.4.6\n    at run time on cp313-x86_64-windows: click 8.5.1 > colorama 0.4.6\n"
    )


def test_files_and_publishers(ask: Ask) -> None:
    _fleet(CLOSED, EXAMPLE)
    for wanted in (CLICK, CLICK[:8].upper(), f"sha256:{CLICK}"):
        _, found, _ = ask("has-file", wanted)
        assert {own["match"] for own in found["uses"]} == {f"click-8.5.1-py3-none-any.whl sha256:{CLICK}"}
        assert [own["repository"] for own in found["uses"]] == ["team/app0"]
    assert ask("has-file", CLICK[:63] + "0")[1]["uses"] == []
    for wanted in ("example/CLICK", "repository:example/click", "publish.yml"):
        _, found, _ = ask("published-by", wanted)
        assert [(own["name"], own["match"]) for own in found["uses"]] == [
            ("click", "GitHub, repository: example/click, workflow: publish.yml")
        ]
    assert ask("published-by", "workflow:example/click")[1]["uses"] == []


def test_a_question_loads_little(ask: Ask, tmp_path: Path) -> None:
    """It takes less than 0.3 s with 500 locks: neither what runs a fleet nor what reads locks is loaded."""
    _fleet(CLOSED)
    assert ask("uses", "click")[0] == 0  # the database is made
    code = (
        "import sys; from deep_lock.cli.main import run; code = run(['fleet', 'ask', 'uses', 'click']);"
        " print(*(name for name in sys.modules if name.startswith(('deep_lock', 'dask', 'distributed', 'fsspec')))); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "colorama" not in ran.stdout
    loaded = {
        name
        for name in ran.stdout.splitlines()[-1].split()
        if not name.startswith(("deep_lock.cli", "deep_lock.config"))
    }
    assert {name for name in loaded if name.startswith("deep_lock.fleet.")} == {
        f"deep_lock.fleet.{name}" for name in ("answers", "database", "query", "questions", "records", "view")
    }
    assert not {
        name
        for name in loaded
        if name.startswith(("dask", "distributed", "fsspec", "deep_lock.locking", "deep_lock.builds."))
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["has-file", "12345"],
        ["has-file", "x" * 64],
        ["has-file"],
        ["uses", " "],
        ["hash-conflicts", "x"],
        ["vulnerable", "GHSA-1"],
        ["uses", "x", "--state", "nothing"],
        ["uses", "x", "--locks", "nothing"],
    ],
)
def test_a_wrong_argument_is_an_error(ask: Ask, arguments: list[str]) -> None:
    _fleet(CLOSED)
    code, document, _ = ask(*arguments)
    assert (code, document["schema"]) == (2, "deep-lock/error")


def test_vulnerable(ask: Ask, tmp_path: Path) -> None:
    other = project("other", EXAMPLE)
    audited = project("own", CLOSED, action="audit", status="failed", exit_code=1, findings=[FINDING])
    write_state(
        tmp_path / ".deep-lock-fleet", [repository("own", audited), repository("other", other)], CLOSED, EXAMPLE
    )
    for wanted in ("cve-2026-1", "GHSA-1"):
        _, found, _ = ask("vulnerable", wanted)
        assert [(own["repository"], own["match"]) for own in found["uses"]] == [
            ("own", "GHSA-1 (high): Summary of GHSA-1")
        ]
        assert found["unread"] == [
            {
                "repository": "other",
                "project": ".",
                "reason": "its last result is that of fleet lock, and not of an audit",
                "commit": None,
            }
        ]
    folder = tmp_path / "osv"
    folder.mkdir()
    rows = (
        record("GHSA-2", "setuptools", "introduced 0", "fixed 84", aliases=["CVE-2026-2"]),
        record("PYSEC-2", "setuptools", "introduced 0", "fixed 84", aliases=["CVE-2026-2"]),
        record("GHSA-3", "click", "introduced 0"),
    )
    for row in rows:
        (folder / f"{row['id']}.json").write_text(json.dumps(row), encoding="utf-8")
    for wanted in ("CVE-2026-2", "PYSEC-2"):
        code, found, _ = ask("vulnerable", wanted, "--database", str(folder), "--max-age", "P9999D")
        assert code == 0
        assert {(own["version"], own["build"]) for own in found["uses"]} == {
            ("80.9.0", "psycopg2 2.9.11"),
            ("80.9.0", "cryptography 46.0.5"),
        }
        assert "fixed in 84" in found["uses"][0]["match"]


def test_vulnerable_by_a_service(ask: Ask) -> None:
    _fleet(CLOSED, EXAMPLE)
    packages = [own for text in (CLOSED, EXAMPLE) for own in from_text(text, "deep.lock").packages]
    with OsvServer() as server:
        server.clean |= {(own.name, own.version or "") for own in packages}
        server.vulnerable["click", "8.5.1"] = [record("GHSA-1", "click", "introduced 0", aliases=["CVE-2026-1"])]
        for wanted in ("GHSA-1", "cve-2026-1"):
            code, found, _ = ask("vulnerable", wanted, "--service", server.url)
            assert (code, {own["name"] for own in found["uses"]}) == (0, {"click"})
        assert ask("vulnerable", "GHSA-2", "--service", server.url)[1]["uses"] == []
        queried = {(own["package"]["name"], own["version"]) for batch in server.batches for own in batch}
        assert ("setuptools", "80.9.0") in queried
        server.clean.clear()
        code, failed, _ = ask("vulnerable", "GHSA-1", "--service", server.url)
        assert (code, failed["schema"]) == (3, "deep-lock/error")
    code, failed, _ = ask("vulnerable", "GHSA-1", "--service", "file:///etc/passwd")
    assert (code, "--service" in failed["message"]) == (2, True)


def test_a_file_with_another_sha256_is_an_alarm(ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    _fleet(CLOSED, CLOSED, EXAMPLE)
    assert ask("hash-conflicts")[:2][0] == 0
    _fleet(CLOSED, REPLACED, CLOSED, EXAMPLE)
    code, found, err = ask("hash-conflicts")
    assert code == 4
    (conflict,) = found["conflicts"]
    assert (conflict["file"], conflict["one-index"]) == ("click-8.5.1-py3-none-any.whl", True)
    usual, other = conflict["variants"]
    assert (usual["sha256"], usual["usual"], len(usual["projects"])) == (CLICK, True, 2)
    assert (other["sha256"], other["usual"]) == ("0" * 64, False)
    assert other["projects"] == [{"repository": "team/app1", "project": "."}]
    assert "1 file has more than one sha256" in err
    assert run(["fleet", "ask", "hash-conflicts"]) == 4
    assert f"sha256:{'0' * 64}: 1 project from https://index.example/simple/\n    team/app1\n" in capfd.readouterr().out
    _fleet(CLOSED, REPLACED)  # two opinions: neither is the usual one
    assert [own["usual"] for own in ask("hash-conflicts")[1]["conflicts"][0]["variants"]] == [False, False]


def test_what_cannot_be_read_is_reported(ask: Ask, tmp_path: Path) -> None:
    broken, missing, changed = CLOSED.replace('"1.0"', '"9.9"', 1), f"{CLOSED}# 1\n", f"{CLOSED}# 2\n"
    results = [
        *(repository(name, project(name, text)) for name, text in (("a", CLOSED), ("b", broken), ("c", missing))),
        repository("d", project("d", changed)),
        repository("e", project("e", "", status="failed", exit_code=2, message="no pyproject.toml:\n  x")),
        repository("f", status="failed", exit_code=3, message="the connection was refused"),
    ]
    write_state(tmp_path / ".deep-lock-fleet", results, CLOSED, broken)
    own = tmp_path / ".deep-lock-fleet" / "locks" / f"{sha256(changed.encode()).hexdigest()}.lock"
    own.write_text(CLOSED, encoding="utf-8")
    _, found, err = ask("uses", "click")
    assert ({own["repository"] for own in found["uses"]}, found["projects"]) == ({"a"}, 1)
    reasons = {own["repository"]: own["reason"] for own in found["unread"]}
    assert sorted(reasons) == ["b", "c", "d", "e", "f"]
    assert "lock-version" in reasons["b"]
    assert (reasons["c"], reasons["e"]) == ("its file is missing", "no pyproject.toml:\n  x")
    assert "differs from that in the journal" in reasons["d"]
    assert "5 projects are not in the answer: b (" in err
    assert "e (no pyproject.toml)" in err


def test_locks_without_a_fleet(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, text in (
        ("checkouts/web/deep.lock", CLOSED),
        ("checkouts/web/.git/deep.lock", CLOSED),
        ("checkouts/tools/script.py.lock", EXAMPLE),
        ("checkouts/rust/other.lock", "version = 4\n"),
        ("checkouts/old/deep.lock", "not a lock of click\n"),
    ):
        own = tmp_path / path
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(text, encoding="utf-8")
    _, found, _ = ask("uses", "click", "--locks", "checkouts")
    assert {(own["repository"], own["lock"]) for own in found["uses"]} == {("web", "web/deep.lock")}
    assert ask("uses", "maturin", "--locks", "checkouts")[1]["uses"][0]["repository"] == "tools/script.py"
    assert ask("published-by", "EXAMPLE/click", "--locks", "checkouts")[1]["uses"][0]["name"] == "click"
    _, found, _ = ask("hash-conflicts", "--locks", "checkouts")
    assert [own["repository"] for own in found["unread"]] == ["old"]
    names = tmp_path / "names"
    names.write_text("checkouts/web/deep.lock\n", encoding="utf-8")
    with names.open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        _, found, _ = ask("builds-with", "ninja", "--locks", "-")
    assert {own["repository"] for own in found["uses"]} == {"checkouts/web"}


def test_a_state_that_cannot_be_written_and_a_journal_that_was_cut_off(ask: Ask, tmp_path: Path) -> None:
    state = tmp_path / ".deep-lock-fleet"
    write_state(state, [repository("a", project("a", CLOSED))], CLOSED)
    (state / "fleet.sqlite").mkdir()  # no file can be opened there
    code, found, err = ask("uses", "click")
    assert (code, {own["repository"] for own in found["uses"]}, "warning" in err) == (0, {"a"}, False)
    (state / "fleet.jsonl").write_bytes((state / "fleet.jsonl").read_bytes()[:100])
    code, found, err = ask("uses", "click")
    assert (code, found["projects"]) == (0, 0)
    assert "the last line was cut off, and its repository is not in the answer" in err
