"""`deep-lock outdated`, and the moves that follow from it, through the front door."""

import io
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.config.options import UpgradeOptions
from deep_lock.operations.outdated import read_upgrades
from tests.support.advisories import CRITICAL, record, write_zip
from tests.support.scenario_server import UPLOADED, Releases
from tests.support.scenarios import LINUX, NOW, WINDOWS, Bench, Run, bench

AGE = (NOW - datetime.fromisoformat(UPLOADED)).days

OLD: Releases = {
    "app-lib 1.0": {"requires": ["shared<3"]},
    "shared 2.0": {},
    "native 1.0": {
        "wheels": ["cp313-cp313-win_amd64"],
        "sdist": True,
        "build": ["maker<4"],
        "backend": "flit_core.buildapi",
    },
    "other 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.0": {"requires": ["inner"]},
    "inner 1.0": {},
}
NEW: Releases = {
    **OLD,
    "app-lib 1.1": {"requires": ["shared<3"]},
    "app-lib 2.0rc1": {},
    "shared 3.0": {},
    "maker 4.0": {"requires": ["inner"]},
    "inner 1.5": {"requires-python": "<3"},
    "native 1.1": {"wheels": ["cp313-cp313-win_amd64"]},
}


class Outdating:
    def __init__(self, made: Bench) -> None:
        self.bench = made
        made.platforms = (LINUX, WINDOWS)
        made.write(
            {
                "pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'
                'dependencies = ["app-lib<2", "native", "other", "shared"]\n'
            }
        )
        locked = made.lock()
        assert locked.code == 0, locked.stderr

    def run(self, *flags: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run(["outdated", "--lock", str(self.bench.folder / "deep.lock"), *flags])
        told = self.bench.capture.readouterr()
        return code, told.out, told.err

    def rows(self, *flags: str) -> list[dict[str, Any]]:
        document = json.loads(self.run("--format", "json", *flags)[1])
        assert (document["schema"], document["version"]) == ("deep-lock/outdated", 1)
        rows: list[dict[str, Any]] = document["outdated"]
        return rows


@pytest.fixture
def outdating(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outdating]:
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        yield Outdating(made)


def test_nothing_is_outdated_where_nothing_is_newer(outdating: Outdating) -> None:
    assert outdating.rows() == []
    code, out, said = outdating.run("--fail-on", "any")
    assert (code, out) == (0, "")
    assert "nothing is outdated" in said


def test_newer_releases_by_environment(outdating: Outdating) -> None:
    outdating.bench.hold(NEW)
    rows = outdating.rows()
    told = [(row["scope"], row["build"], row["name"], row["version"], row["newest"]) for row in rows]
    assert told == [
        ("runtime", "", "app-lib", "1.0", "1.1"),
        ("runtime", "", "native", "1.0", "1.1"),
        ("runtime", "", "shared", "2.0", "3.0"),
        ("build", "native 1.0", "maker", "3.0", "4.0"),
        ("build", "other 1.0", "maker", "3.0", "4.0"),
    ], "a pre-release, and one for no target, are no news"
    by_name = {(row["name"], row["build"]): row for row in rows}
    assert by_name["native", ""]["targets"] == [f"cp313-{WINDOWS}"]
    assert by_name["app-lib", ""]["targets"] == []
    assert not by_name["maker", "native 1.0"]["admitted"]
    assert by_name["maker", "other 1.0"]["admitted"]
    assert by_name["maker", "other 1.0"]["command"] == "deep-lock lock -P maker==4.0 --in-build other"
    assert all(row["direct"] for row in rows)
    assert by_name["maker", "native 1.0"]["command"] == ""
    assert by_name["maker", "native 1.0"]["blocked-by"] == [
        {"package": "native 1.0", "requirement": "maker<4", "reason": "", "chain": []}
    ]
    assert not by_name["shared", ""]["admitted"]
    assert by_name["shared", ""]["blocked-by"] == [
        {"package": "app-lib 1.0", "requirement": "shared<3", "reason": "", "chain": ["app-lib 1.0"]}
    ]


def test_one_scope_and_the_text(outdating: Outdating) -> None:
    outdating.bench.hold(NEW)
    assert {row["scope"] for row in outdating.rows("--build")} == {"build"}
    assert {row["scope"] for row in outdating.rows("--runtime")} == {"runtime"}
    code, out, said = outdating.run("--fail-on", "any")
    assert code == 1
    assert out.splitlines()[:2] == ["runtime", f"  app-lib  1.0 -> 1.1  ({AGE} days old)"]
    assert (
        f"build of native 1.0\n  maker    3.0 -> 4.0  ({AGE} days old)\n      held back by native 1.0: maker<4\n" in out
    )
    assert f"  shared   2.0 -> 3.0  ({AGE} days old)\n      held back by app-lib 1.0: shared<3\n" in out
    assert "packages are outdated" in said


def test_the_locks_own_rules_hold(outdating: Outdating) -> None:
    assert outdating.bench.lock("--prerelease", "allow", "--exclude-newer", "2024-06-01").code == 0
    late = {key: {**release, "uploaded": "2024-07-01T00:00:00Z"} for key, release in NEW.items() if key not in OLD}
    outdating.bench.hold({**OLD, **late, "shared 2.9rc1": {}})
    assert [(row["name"], row["newest"]) for row in outdating.rows("--runtime")] == [("shared", "2.9rc1")]


def test_the_command_that_is_told_moves_it_and_nothing_else(outdating: Outdating) -> None:
    outdating.bench.hold(NEW)
    before = outdating.bench.lock("--dry-run").lock
    row = next(row for row in outdating.rows("--runtime") if row["name"] == "app-lib")
    ended = outdating.bench.lock("--refresh", *row["command"].split(" ")[2:])
    assert ended.code == 0
    moved = {(entry.name, entry.version) for entry in ended.lock.packages} ^ {
        (entry.name, entry.version) for entry in before.packages
    }
    assert moved == {("app-lib", "1.0"), ("app-lib", "1.1")}


HELD: Releases = {
    "worker 1.0": {"requires": ["queue"]},
    "queue 1.0": {"requires": ["wire<2", "codec[fast]", "odd>=1; python_version < '3'"]},
    "wire 1.0": {},
    "codec 1.0": {"requires": ["zip<2; extra == 'fast'", "wide<2; extra == 'slow'"]},
    "zip 1.0": {},
    "wide 1.0": {},
    "odd 1.0": {},
    "lead 1.0": {},
    "base 1.0": {},
    "sub 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.0": {"requires": ["inner<2"]},
    "inner 1.0": {},
}
HELD_NEW: Releases = {
    **HELD,
    "wire 2.0": {},
    "zip 2.0": {},
    "wide 2.0": {},
    "odd 2.0": {},
    "lead 2.0": {"requires": ["base>=2"]},
    "base 2.0": {},
    "inner 2.0": {},
}


def _held(outdating: Outdating, *requirements: str, constraints: str = "") -> dict[str, dict[str, Any]]:
    own = outdating.bench
    own.hold(HELD)
    own.ask(*requirements)
    (own.folder / "c.txt").write_text(constraints, encoding="utf-8")
    (own.folder / "deep.lock").unlink(missing_ok=True)
    ended = own.lock("--refresh", "--upgrade", "-c", str(own.folder / "c.txt"))
    assert ended.code == 0, ended.stderr
    own.hold(HELD_NEW)
    return {row["name"]: row for row in outdating.rows()}


def test_a_locked_package_holds_another_back_and_the_chain_is_told(outdating: Outdating) -> None:
    rows = _held(outdating, "worker", "wide", "odd", "lead", "base", "sub")
    blocked = {name: row["blocked-by"] for name, row in rows.items()}
    assert blocked["wire"] == [
        {"package": "queue 1.0", "requirement": "wire<2", "reason": "", "chain": ["worker 1.0", "queue 1.0"]}
    ]
    # the bound of an extra counts where the extra is used
    assert [own["requirement"] for own in blocked["zip"]] == ['zip<2; extra == "fast"']
    assert blocked["wide"] == []
    assert blocked["odd"] == []
    assert [(own["package"], own["chain"]) for own in blocked["inner"]] == [
        ("maker 3.0", ["build of sub 1.0", "maker 3.0"])
    ]
    for row in rows.values():
        assert row["admitted"] == (not row["blocked-by"])
        assert bool(row["command"]) == row["admitted"]
    assert "held back by queue 1.0: wire<2 (via worker 1.0 > queue 1.0)" in outdating.run()[1]


def test_each_command_that_is_told_works(outdating: Outdating) -> None:
    rows = _held(outdating, "worker", "wide", "odd", "lead", "base<2", "sub")
    assert [(own["package"], own["requirement"], own["reason"]) for own in rows["lead"]["blocked-by"]] == [
        ("", "base<2", "lead 2.0 requires base>=2")
    ]
    assert rows["wide"]["command"]
    for row in rows.values():
        wanted = ["-P", f"{row['name']}=={row['newest']}"]
        assert row["command"].split()[2:4] in ([], wanted)
        ended = outdating.bench.lock("--refresh", "--dry-run", *wanted)
        assert (ended.code == 0) == bool(row["command"]), (row["name"], ended.stderr)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("lock -r r.txt", "r.txt"),
        ("lock -r 'my needs.txt'", "my needs.txt"),
        ("deepen requirements.txt", "requirements.txt"),
        ("lock --script job.py", "job.py"),
    ],
)
def test_the_command_names_the_inputs_of_the_lock(
    outdating: Outdating, command: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = outdating.bench
    own.hold(HELD)
    for path in own.folder.iterdir():
        path.unlink()
    monkeypatch.chdir(own.folder)
    text = "sub==1.0\n" if command.startswith("deepen") else "sub\nwide\n"
    if file.endswith(".py"):
        text = '# /// script\n# dependencies = ["sub", "wide"]\n# ///\n'
    own.write({file: text})
    flags = [flag for flag in own.flags() if flag not in {"--project", str(own.folder)}]
    assert run([*shlex.split(command), *flags, "--refresh"]) == 0
    (lock,) = own.folder.glob("*deep.lock")
    own.hold({**HELD, "wide 2.0": {}, "maker 3.1": {}})
    assert run(["outdated", "--lock", lock.name, "--format", "json"]) == 0
    rows = json.loads(own.capture.readouterr().out)["outdated"]
    assert rows
    for row in rows:
        build = " --in-build sub" if row["build"] else ""
        assert row["command"] == f"deep-lock {command} -P {row['name']}=={row['newest']}{build}"
        assert run([*shlex.split(row["command"])[1:], *flags, "--refresh"]) == 0
        assert f'"{row["newest"]}"' in lock.read_text(encoding="utf-8")


def test_a_constraint_holds_back_too(outdating: Outdating) -> None:
    rows = _held(outdating, "wide", "lead", "base", constraints="wide<1.5\nbase<2\n")
    assert [(own["package"], own["requirement"]) for own in rows["wide"]["blocked-by"]] == [("", "wide<1.5")]
    assert not rows["base"]["admitted"]
    assert not rows["lead"]["admitted"]


def test_what_only_a_backend_knows_is_not_called_admitted(outdating: Outdating) -> None:
    own = outdating.bench
    own.hold(
        {
            "unknown 1.0": {
                "wheels": [],
                "sdist": True,
                "build": ["maker"],
                "backend": "flit_core.buildapi",
                "requires": ["wire"],
                "metadata-version": "2.1",
            },
            "maker 3.0": {},
            "wire 1.0": {},
        }
    )
    own.ask("unknown")
    (own.folder / "deep.lock").unlink()  # other bytes under a locked file name would be refused
    assert own.lock("--refresh", "--upgrade").code == 0
    own.hold({**own.told, "wire 2.0": {}})
    (row,) = outdating.rows()
    assert not row["admitted"]
    assert not row["command"]
    assert [(own["package"], own["requirement"]) for own in row["blocked-by"]] == [("unknown 1.0", "")]
    assert "held back by unknown 1.0: no file of it states its requirements" in outdating.run()[1]
    (row,) = outdating.rows()
    assert row["admitted"] == (not row["blocked-by"])


# -- moving one build entry


BUILDS: Releases = {
    **{key: release for key, release in OLD.items() if not key.startswith("native")},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.5": {"requires": ["inner"]},
    "inner 1.6": {},
}


def _environments(ended: Run) -> dict[str, list[str]]:
    return {build.name: [f"{own.name} {own.version}" for own in build.packages] for build in ended.lock.builds}


def test_a_build_entry_moves_in_all_environments_that_admit_it_or_in_one(outdating: Outdating) -> None:
    own = outdating.bench
    own.hold({**OLD, "native 1.0": BUILDS["native 1.0"]})
    (own.folder / "deep.lock").unlink()  # other bytes under a locked file name would be refused
    assert own.lock("--refresh", "--upgrade").code == 0
    own.hold(BUILDS)
    one = own.lock("--refresh", "-P", "maker==3.5", "--in-build", "native", "--dry-run")
    assert one.code == 0
    assert own.lock("-P", "maker==3.5", "--in-build", "native").code == 0
    assert _environments(own.lock("--check")) == {
        "native": ["inner 1.0", "maker 3.5"],
        "other": ["inner 1.0", "maker 3.0"],
    }
    ended = own.lock("-P", "maker==3.5")
    assert _environments(ended) == {"native": ["inner 1.0", "maker 3.5"], "other": ["inner 1.0", "maker 3.5"]}


def test_a_build_entry_that_nothing_admits_is_an_error_that_names_who(outdating: Outdating) -> None:
    own = outdating.bench
    before = own.lock("--check").text
    own.hold({**OLD, "maker 4.0": {"requires": ["inner"]}})
    ended = own.lock("--refresh", "-P", "maker==4.0", "--in-build", "native")
    assert ended.code == 1
    assert "-P maker==4.0: no environment uses that version" in ended.stderr
    assert "the build of native 1.0 uses 3.0: it requires maker<4" in ended.stderr
    assert ended.text == before
    ended = own.lock("-P", "app-lib==1.0", "-P", "nowhere==1")
    assert ended.code == 2
    assert "-P nowhere: the lock does not use nowhere" in ended.stderr


# -- a bot that moved only the version


def _by_hand(own: Bench, name: str, was: str, now: str) -> str:
    path = own.folder / "deep.lock"
    text = path.read_text(encoding="utf-8")
    head = f'name = "{name}"\nversion = "'
    assert f'{head}{was}"' in text
    path.write_text(text.replace(f'{head}{was}"', f'{head}{now}"'), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_a_version_that_was_moved_by_hand_is_told_with_what_to_run(outdating: Outdating) -> None:
    own = outdating.bench
    own.hold(NEW)
    moved = _by_hand(own, "app-lib", "1.0", "1.1")
    for flags in ((), ("--check",), ("-P", "shared")):
        ended = own.lock("--refresh", *flags)
        assert ended.code == 2
        assert "only versions were edited in it: app-lib from 1.0 to 1.1" in ended.stderr
        assert "run deep-lock lock -P app-lib==1.1" in ended.stderr
        assert ended.text == moved
    ended = own.lock("--refresh", "-P", "app-lib==1.1")
    assert ended.code == 0
    assert "app-lib==1.1" in ended.pins()
    assert "shared==2.0" in ended.pins(), "earlier pins hold"
    assert own.lock("--check").code == 0


def test_a_lock_that_is_broken_otherwise_is_not_mistaken_for_it(outdating: Outdating) -> None:
    own = outdating.bench
    path = own.folder / "deep.lock"
    path.write_text(
        path.read_text(encoding="utf-8").replace('lock-version = "1.0"', 'lock-version = "9.0"'), encoding="utf-8"
    )
    ended = own.lock("-P", "app-lib==1.1")
    assert ended.code == 2
    assert "lock-version" in ended.stderr


# -- documents of bots


def test_what_outdated_wrote_is_what_lock_moves(outdating: Outdating, tmp_path: Path) -> None:
    own, document = outdating.bench, tmp_path / "outdated.json"
    own.hold(NEW)
    rows = [row for row in outdating.rows() if row["name"] in {"app-lib", "maker"}]
    document.write_text(json.dumps({"schema": "deep-lock/outdated", "version": 1, "outdated": rows}), encoding="utf-8")
    ended = own.lock("--refresh", "--upgrade-from", str(document))
    assert ended.code == 0, ended.stderr
    assert "app-lib==1.1" in ended.pins(builds=False)
    assert "shared==2.0" in ended.pins(builds=False)
    assert _environments(ended) == {"native": ["inner 1.0", "maker 3.0"], "other": ["inner 1.0", "maker 4.0"]}


def test_rows_without_a_scope_are_for_every_environment(tmp_path: Path) -> None:
    document = tmp_path / "outdated.json"
    rows = '[{"name": "A", "newest": "1"}, {"name": "b", "newest": "3"}, {"name": "b", "newest": "3"}]'
    document.write_text(f'{{"schema": "deep-lock/outdated", "version": 1, "outdated": {rows}}}', encoding="utf-8")
    assert read_upgrades(document) == UpgradeOptions(packages=("a==1", "b==3"))


def test_rows_of_the_builds_of_a_project_name_it(tmp_path: Path) -> None:
    document = tmp_path / "outdated.json"
    builds = ("app 1.0 (editable)", "app (editable)", "app")
    rows = [{"name": "b", "newest": "3", "scope": "build", "build": build} for build in builds]
    document.write_text(json.dumps({"schema": "deep-lock/outdated", "version": 1, "outdated": rows}), encoding="utf-8")
    assert [(row.build, row.build_version) for row in read_upgrades(document).rows] == [("app", "1.0"), ("app", "")]


def test_a_row_is_upgraded_in_its_own_build_and_on_its_own_targets(
    outdating: Outdating, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = outdating.bench
    own.hold({**NEW, "maker 3.5": {"requires": ["inner"]}})
    rows = {(row["name"], row["build"]): row for row in outdating.rows()}
    assert rows["native", ""]["targets"] == [f"cp313-{WINDOWS}"]
    chosen = [
        {**rows["maker", "other 1.0"], "newest": "3.5"},
        {**rows["maker", "native 1.0"], "newest": "3.5", "admitted": False},
        rows["native", ""],
    ]
    text = json.dumps({"schema": "deep-lock/outdated", "version": 1, "outdated": chosen})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ended = own.lock("--refresh", "--upgrade-from", "-")
    assert ended.code == 0, ended.stderr
    assert {entry.name: entry.version for entry in ended.lock.packages if entry.name == "app-lib"} == {"app-lib": "1.0"}
    # the wheel of 1.1 is for Windows alone
    native = {entry.version: entry.marker for entry in ended.lock.packages if entry.name == "native"}
    assert set(native) == {"1.0", "1.1"}
    assert "win32" in (native["1.1"] or "")
    assert _environments(ended) == {"native": ["inner 1.0", "maker 3.0"], "other": ["inner 1.0", "maker 3.5"]}
    assert own.lock("--check").code == 0


def test_all_rows_at_once_though_one_replaces_the_build_of_another(outdating: Outdating, tmp_path: Path) -> None:
    own, document = outdating.bench, tmp_path / "outdated.json"
    sdist = {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"}
    old: Releases = {"native 1.0": sdist, "gone 1.0": {}, "lead 1.0": {"requires": ["gone"]}, "maker 3.0": {}}
    own.hold(old)
    own.ask("native", "lead")
    (own.folder / "deep.lock").unlink()
    assert own.lock("--refresh").code == 0
    own.hold({**old, "native 2.0": sdist, "lead 2.0": {}, "gone 2.0": {}, "maker 3.5": {}, "maker 3.6": {}})
    rows = outdating.rows()
    assert [(row["name"], row["build"]) for row in rows] == [
        ("gone", ""),
        ("lead", ""),
        ("native", ""),
        ("maker", "native 1.0"),
    ]
    rows[-1]["newest"] = "3.5"
    document.write_text(json.dumps({"schema": "deep-lock/outdated", "version": 1, "outdated": rows}), encoding="utf-8")
    ended = own.lock("--refresh", "--upgrade-from", str(document))
    assert ended.code == 0, ended.stderr
    assert sorted(ended.pins(builds=False)) == ["lead==2.0", "native==2.0"]
    assert _environments(ended) == {"native": ["maker 3.5"]}


def test_two_versions_of_one_environment_are_refused(outdating: Outdating, tmp_path: Path) -> None:
    document = tmp_path / "outdated.json"
    row = {"name": "maker", "scope": "build", "build": "other 1.0"}
    rows = [{**row, "newest": "3.5"}, {**row, "newest": "4.0"}]
    document.write_text(json.dumps({"schema": "deep-lock/outdated", "version": 1, "outdated": rows}), encoding="utf-8")
    ended = outdating.bench.lock("--upgrade-from", str(document))
    assert ended.code == 2
    assert "names maker twice for one environment, as maker==3.5 and as maker==4.0" in ended.stderr


def test_security_fixes_ages_and_groups(outdating: Outdating, tmp_path: Path) -> None:
    outdating.bench.hold({**NEW, "maker 4.0": {**NEW["maker 4.0"], "uploaded": "2024-06-01T00:00:00Z"}})
    database = tmp_path / "all.zip"
    write_zip(
        database,
        record("GHSA-m", "maker", "introduced 0", "fixed 4.0", score=CRITICAL, aliases=["CVE-1"]),
        record("GHSA-s", "shared", "introduced 0"),
    )
    rows = {(row["name"], row["build"]): row for row in outdating.rows("--database", str(database))}
    assert rows["maker", "other 1.0"]["fixes"] == [{"id": "GHSA-m", "aliases": ["CVE-1"], "severity": "critical"}]
    assert rows["maker", "other 1.0"]["security"] is True
    assert rows["shared", ""]["security"] is False, "the newest version has it too"
    assert rows["maker", "other 1.0"]["published"] == "2024-06-01T00:00:00Z"
    assert rows["maker", "other 1.0"]["age-days"] == (NOW - datetime(2024, 6, 1, tzinfo=UTC)).days
    assert (rows["shared", ""]["update"], rows["app-lib", ""]["update"]) == ("major", "minor")
    by_security = outdating.rows("--database", str(database), "--group-by", "security")
    assert [row["group"] for row in by_security] == ["security fix"] * 2 + ["other"] * 3
    code, out, _ = outdating.run("--database", str(database), "--group-by", "package", "--fail-on", "security")
    assert code == 1
    assert "maker\n  maker    3.0 -> 4.0  (build of native 1.0; " in out
    assert "fixes GHSA-m (critical)" in out
    for kind, text, code in (
        ("security", "--runtime", 0),
        ("admitted", "--runtime", 1),
        ("direct", "--build", 1),
    ):
        assert outdating.run("--database", str(database), "--fail-on", kind, text)[0] == code
    assert outdating.rows()[0]["security"] is None
    code, _, said = outdating.run("--fail-on", "security")
    assert code == 2
    assert "--fail-on security needs --database" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "Expected `object`"),
        ('{"schema": "deep-lock/outdated", "version": 2, "outdated": []}', "$.version"),
        (
            '{"schema": "deep-lock/outdated", "version": 1, "outdated": [{"name": "a", "newest": "x y"}]}',
            "is not a version",
        ),
        (
            '{"schema": "deep-lock/outdated", "version": 1, "outdated": [{"name": "a", "newest": "1", "scope": "build"}]}',
            "the row of a has the scope build and the build ''",
        ),
    ],
)
def test_a_document_that_is_none_is_wrong_usage(text: str, told: str, outdating: Outdating, tmp_path: Path) -> None:
    document = tmp_path / "outdated.json"
    document.write_text(text, encoding="utf-8")
    ended = outdating.bench.lock("--upgrade-from", str(document))
    assert ended.code == 2
    assert told in ended.stderr
