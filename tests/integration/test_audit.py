"""`deep-lock audit`, through the front door: real locks, real databases, a service on loopback."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema.exceptions import ValidationError

from deep_lock.cli.main import run
from tests.support import schemas
from tests.support.advisories import CRITICAL, MEDIUM, V2, OsvServer, Record, record, write_zip, zip_of
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, NOW, WINDOWS, Bench, bench, set_clock

RELEASES: Releases = {
    "requests 2.25": {"requires": ["urllib3<1.27"]},
    "urllib3 1.26.5": {},
    "urllib3 1.26.17": {},
    "urllib3 2.0.6": {},
    "docopt 0.6.2": {"wheels": [], "sdist": True, "build": ["setuptools<70"], "backend": "setuptools.build_meta"},
    "native 1.0": {
        "wheels": ["cp313-cp313-win_amd64"],
        "sdist": True,
        "build": ["setuptools"],
        "backend": "setuptools.build_meta",
    },
    "wheel 0.45": {},
    "setuptools 65.5.0": {},
    "setuptools 65.5.1": {},
    "setuptools 78.1.1": {},
}
PINS = "urllib3==1.26.5\nsetuptools==65.5.0\n"
GHSA = record(
    "GHSA-aaaa-bbbb-cccc",
    "urllib3",
    "introduced 0",
    "fixed 1.26.17",
    "introduced 2.0",
    "fixed 2.0.6",
    aliases=["CVE-2023-1"],
    score=CRITICAL,
)
PYSEC = record("PYSEC-2023-192", "urllib3", versions=["1.26.5"], aliases=["CVE-2023-1"])
SETUPTOOLS = record("PYSEC-2022-43012", "setuptools", "introduced 0", "fixed 65.5.1", score=MEDIUM)
LATER = record("PYSEC-2025-49", "setuptools", "introduced 0", "fixed 78.1.1", database_specific={"severity": "HIGH"})


class Auditing:
    """A locked project, and the command."""

    def __init__(self, made: Bench, tmp_path: Path) -> None:
        self.bench = made
        self.database = tmp_path / "all.zip"
        made.platforms = (LINUX, WINDOWS)
        made.ask("requests", "docopt", "native")
        (made.folder / "pins.txt").write_text(PINS, encoding="utf-8")
        pins = str(made.folder / "pins.txt")
        locked = made.lock("-c", pins, "-b", pins)
        assert locked.code == 0, locked.stderr
        # without the pins nothing but the lock holds the versions
        assert made.lock().code == 0
        assert "urllib3==1.26.5" in made.lock().pins()

    def hold(self, *records: Record | bytes) -> None:
        write_zip(self.database, *records)

    def run(self, *options: str, database: bool = True) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        named = ["--database", str(self.database)] if database else []
        code = run(["audit", "--lock", str(self.bench.folder / "deep.lock"), *named, *options])
        shown = self.bench.capture.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    def document(self, *options: str, database: bool = True) -> dict[str, Any]:
        _, out, err = self.run("--format", "json", *options, database=database)
        assert out, err
        document: dict[str, Any] = json.loads(out)
        return document

    def ids(self, *options: str) -> list[tuple[str, str]]:
        return [(own["id"], own["name"]) for own in self.document(*options)["findings"]]

    def configure(self, text: str) -> None:
        path = self.bench.folder / "pyproject.toml"
        path.write_text(path.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")


@pytest.fixture
def auditing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Auditing]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        yield Auditing(made, tmp_path)


def test_what_is_found_at_run_time_and_in_builds(auditing: Auditing) -> None:
    auditing.hold(GHSA, PYSEC, SETUPTOOLS)
    code, out, err = auditing.run()
    assert code == 1
    assert out.splitlines() == [
        "critical 9.8: urllib3 1.26.5: GHSA-aaaa-bbbb-cccc (PYSEC-2023-192, CVE-2023-1): Summary of GHSA-aaaa-bbbb-cccc",
        "    at run time, via requests 2.25 > urllib3 1.26.5",
        "    fix: deep-lock lock -P urllib3==1.26.17",
        "    https://advisories.example/GHSA-aaaa-bbbb-cccc",
        "medium 4.2: setuptools 65.5.0: PYSEC-2022-43012: Summary of PYSEC-2022-43012",
        "    while building docopt 0.6.2, via build of docopt 0.6.2 > setuptools 65.5.0",
        "    while building native 1.0, on 1 of 2 targets, via build of native 1.0 > setuptools 65.5.0",
        "    fix: deep-lock lock -P setuptools==65.5.1",
        "    https://advisories.example/PYSEC-2022-43012",
    ]
    assert "compared 6 packages with 3 advisories of " in err
    assert "(the newest changed on 2026-11-14): 1 critical, 1 medium" in err


def test_the_commands_that_are_shown_fix_what_was_found(auditing: Auditing) -> None:
    auditing.hold(GHSA, PYSEC, SETUPTOOLS)
    for found in auditing.document()["findings"]:
        for command in found["commands"]:
            program, lock, *options = command.split()
            assert (program, lock) == ("deep-lock", "lock")
            assert auditing.bench.lock(*options).code == 0
    code, out, err = auditing.run()
    assert (code, out) == (0, "")
    assert "compared 6 packages with 3 advisories of " in err
    assert err.rstrip().endswith("nothing found")


def test_a_fix_of_one_build_changes_no_other(auditing: Auditing) -> None:
    auditing.hold(LATER)
    (found,) = auditing.document()["findings"]
    docopt, native = found["uses"]
    assert (docopt["build"], native["build"]) == ("docopt 0.6.2", "native 1.0")
    assert docopt["fix"]["command"] == ""
    blocker = docopt["fix"]["blocked-by"][0]
    assert (blocker["package"], blocker["requirement"]) == ("docopt 0.6.2", "setuptools<70")
    assert native["fix"]["command"] == "deep-lock lock -P setuptools==78.1.1 --in-build native"
    assert found["commands"] == [native["fix"]["command"]]
    assert auditing.bench.lock(*native["fix"]["command"].split()[2:]).code == 0
    (left,) = auditing.document()["findings"]
    assert [own["build"] for own in left["uses"]] == ["docopt 0.6.2"]
    assert "    78.1.1 is blocked by docopt 0.6.2: setuptools<70" in auditing.run()[1].splitlines()


def test_a_requirement_of_a_locked_package_blocks_a_fix(auditing: Auditing) -> None:
    auditing.hold(record("PYSEC-1", "urllib3", "introduced 0", "fixed 2.0.6"))
    _, out, _ = auditing.run()
    assert "    2.0.6 is blocked by requests 2.25: urllib3<1.27" in out.splitlines()
    assert "fix:" not in out


def test_without_a_version_that_is_not_affected_no_command_is_shown(auditing: Auditing) -> None:
    auditing.hold(record("PYSEC-1", "urllib3", "introduced 0", "fixed 99"))
    _, out, _ = auditing.run()
    assert "    fix: no version without a known vulnerability is known" in out.splitlines()


def test_without_an_index_the_fix_is_that_of_the_advisories(auditing: Auditing) -> None:
    auditing.hold(GHSA)
    for server in auditing.bench.servers.values():
        server.statuses["/simple/urllib3/"] = 500
    code, out, err = auditing.run("--refresh")
    assert code == 1
    line = "    fix: deep-lock lock -P urllib3==1.26.17 (not compared with the index: a requirement may exclude the version)"
    assert line in out.splitlines()
    assert "an index cannot be used, and its fixes are those of the advisories only" in err


def test_an_index_that_fails_is_not_queried_again_and_others_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases: Releases = {"first 1": {}, "first 2": {}, "later 1": {}, "later 2": {}}
    own: Releases = {"lib 1": {}, "lib 2": {}}
    with bench(tmp_path, capsys, monkeypatch, releases, indexes={"own": own}) as made:
        made.named = ("own",)
        made.ask("first==1", "later==1", "lib==1")
        assert made.lock().code == 0
        made.server.statuses["/simple/first/"] = 400  # which is not tried again, as 500 is
        scores = {"first": CRITICAL, "later": MEDIUM, "lib": V2}
        records = [record(f"X-{name}", name, "introduced 0", "fixed 2", score=score) for name, score in scores.items()]
        database = write_zip(tmp_path / "all.zip", *records)
        capsys.readouterr()
        lock = str(made.folder / "deep.lock")
        assert run(["audit", "--lock", lock, "--database", str(database), "--refresh", "--format", "json"]) == 1
        found = json.loads(capsys.readouterr().out)["findings"]
    assert [(row["name"], row["uses"][0]["fix"]["checked"]) for row in found] == [
        ("first", False),
        ("lib", True),
        ("later", False),  # its page could be fetched: the index has failed before
    ]


def test_the_document_fits_its_schema(auditing: Auditing) -> None:
    auditing.hold(GHSA, PYSEC, SETUPTOOLS, LATER, b"{")
    auditing.configure('[tool.deep-lock.audit]\nignore-until-fixed = ["CVE-1999-1"]\n')
    document = auditing.document()
    schemas.check(document)
    for table in (document, document["findings"][0], document["findings"][0]["uses"][0], document["sources"][0]):
        table["other"] = 1
        with pytest.raises(ValidationError):
            schemas.check(document)
        del table["other"]


# -- what counts


def test_scopes(auditing: Auditing) -> None:
    auditing.hold(GHSA, SETUPTOOLS)
    runtime, build = ("GHSA-aaaa-bbbb-cccc", "urllib3"), ("PYSEC-2022-43012", "setuptools")
    assert auditing.ids() == [runtime, build]
    assert auditing.ids("--scope", "runtime") == [runtime]
    assert auditing.ids("--scope", "build") == [build]
    assert auditing.document("--scope", "build")["packages"] == 2
    assert "compared 2 packages of builds with " in auditing.run("--scope", "build")[2]


@pytest.mark.parametrize(("threshold", "code"), [("any", 1), ("low", 1), ("medium", 1), ("high", 0), ("critical", 0)])
def test_a_threshold(auditing: Auditing, threshold: str, code: int) -> None:
    auditing.hold(SETUPTOOLS)
    assert auditing.run("--fail-on", threshold)[0] == code
    assert auditing.ids("--fail-on", threshold) == [("PYSEC-2022-43012", "setuptools")]


def test_an_unknown_severity_is_below_no_threshold(auditing: Auditing) -> None:
    auditing.hold(record("PYSEC-1", "urllib3", "introduced 0", score="CVSS:3.1/nonsense"))
    code, out, _ = auditing.run("--fail-on", "critical")
    assert code == 1
    assert out.startswith("unknown: urllib3 1.26.5: PYSEC-1")


def test_malware_is_first_and_ends_with_4(auditing: Auditing) -> None:
    auditing.hold(GHSA, record("MAL-2026-1", "wheel", versions=["0.45"]))
    code, out, err = auditing.run("--fail-on", "critical")
    assert code == 4
    assert out.startswith("malware: wheel 0.45: MAL-2026-1: ")
    assert "1 malware, 1 critical" in err
    auditing.hold(record("GHSA-1", "wheel", versions=["0.45"], aliases=["MAL-2026-1"]))
    code, out, _ = auditing.run("--scope", "build")
    assert (code, out.partition(" (")[0]) == (4, "malware: wheel 0.45: MAL-2026-1")


def test_malware_fails_whatever_its_severity_is(auditing: Auditing) -> None:
    auditing.hold(record("MAL-2026-1", "wheel", "introduced 0", score=MEDIUM))
    (found,) = auditing.document("--fail-on", "critical")["findings"]
    assert (found["malware"], found["severity"], found["fails"]) == (True, "medium", True)


def test_the_targets_of_a_use(auditing: Auditing) -> None:
    auditing.hold(GHSA)
    auditing.bench.ask("urllib3<2; sys_platform == 'win32'")
    assert auditing.bench.lock("-P", "urllib3==1.26.5").code == 0
    (found,) = auditing.document()["findings"]
    (use,) = found["uses"]
    assert (use["targets"], use["all-targets"]) == ([f"cp313-{WINDOWS}"], False)
    assert "    at run time, on 1 of 2 targets" in auditing.run()[1].splitlines()


def test_a_direct_reference_is_compared_and_has_no_command(auditing: Auditing) -> None:
    auditing.hold(GHSA)
    (file,) = (own for own in auditing.bench.server.projects["urllib3"] if "1.26.5" in own.filename)
    (auditing.bench.folder / file.filename).write_bytes(file.content)
    auditing.bench.ask(f"urllib3 @ file:{file.filename}")
    assert auditing.bench.lock().code == 0
    code, out, _ = auditing.run()
    assert code == 1
    line = f"    1.26.17 is blocked by the project: urllib3 @ {file.filename}, its source decides the version"
    assert line in out.splitlines()


def test_withdrawn_and_other_ecosystems_do_not_count(auditing: Auditing) -> None:
    auditing.hold(
        {**GHSA, "withdrawn": "2026-01-01T00:00:00Z"},
        record("GHSA-2", "urllib3", "introduced 0", ecosystem="npm"),
        record("GHSA-3", "other", "introduced 0"),
        record("GHSA-4", "urllib3", "introduced 0", kind="GIT"),
    )
    code, out, _ = auditing.run()
    assert (code, out) == (0, "")


def test_a_name_is_compared_in_its_normal_form(auditing: Auditing) -> None:
    auditing.hold(record("PYSEC-1", "URLlib3", versions=["1.26.5.0"]))
    assert auditing.ids() == [("PYSEC-1", "urllib3")]


# -- what is ignored

IGNORE = """
[[tool.deep-lock.audit.ignore]]
id = "{id}"
reason = "no untrusted archives"
until = {until}
"""


@pytest.mark.parametrize("own", ["PYSEC-2022-43012", "cve-2022-40897"])
def test_an_entry_of_ignore(auditing: Auditing, own: str) -> None:
    auditing.hold({**SETUPTOOLS, "aliases": ["CVE-2022-40897"]})
    auditing.configure(IGNORE.format(id=own, until="2026-11-15"))
    code, out, err = auditing.run()
    assert code == 0
    assert "    ignored: until 2026-11-15: no untrusted archives" in out.splitlines()
    assert out.startswith("ignored 4.2: setuptools")
    assert err.rstrip().endswith("1 ignored")


def test_an_entry_that_is_over(auditing: Auditing) -> None:
    auditing.hold(SETUPTOOLS)
    auditing.configure(IGNORE.format(id="PYSEC-2022-43012", until="2026-11-14"))
    code, out, _ = auditing.run()
    assert code == 1
    assert "no longer ignored: PYSEC-2022-43012 was ignored until 2026-11-14: no untrusted archives" in out
    assert [own["code"] for own in auditing.document()["notes"]] == ["ignore-expired"]


def test_an_entry_that_nothing_needs(auditing: Auditing) -> None:
    auditing.hold(SETUPTOOLS)
    auditing.configure(IGNORE.format(id="CVE-1999-1", until='"2026-12-31"'))
    (note,) = auditing.document()["notes"]
    assert (note["code"], note["severity"], note["subject"]) == ("ignore-unused", "note", "CVE-1999-1")


def test_until_there_is_a_fix(auditing: Auditing) -> None:
    auditing.configure('[tool.deep-lock.audit]\nignore-until-fixed = ["CVE-2026-1"]\n')
    auditing.hold(record("PYSEC-1", "urllib3", "introduced 0", aliases=["CVE-2026-1"]))
    code, out, _ = auditing.run()
    assert (code, "    ignored: until there is a fix" in out.splitlines()) == (0, True)
    auditing.hold(record("PYSEC-1", "urllib3", "introduced 0", "fixed 1.26.17", aliases=["CVE-2026-1"]))
    code, out, _ = auditing.run()
    assert (code, "    no longer ignored: there is a fix" in out.splitlines()) == (1, True)


def test_the_options_that_ignore(auditing: Auditing) -> None:
    auditing.hold(SETUPTOOLS, GHSA)
    code, out, _ = auditing.run("--ignore", "PYSEC-2022-43012", "--ignore", "CVE-2023-1")
    assert (code, out.count("    ignored: by the option --ignore")) == (0, 2)
    assert auditing.run("--ignore-until-fixed", "CVE-2023-1")[0] == 1


VEX = {
    "@context": "https://openvex.example/ns/v0.2.0",
    "@id": "https://openvex.example/docs/1",
    "author": "A",
    "timestamp": "2026-11-01T00:00:00Z",
    "version": 1,
}


def _vex(*statements: dict[str, Any]) -> str:
    return json.dumps({**VEX, "statements": statements})


def _statement(product: object, status: str = "not_affected", **more: Any) -> dict[str, Any]:
    return {"vulnerability": {"name": "CVE-2023-1"}, "products": [product], "status": status, **more}


PARTS: list[tuple[list[dict[str, Any]], int]] = [
    ([_statement({"@id": "pkg:pypi/urllib3@1.26.5"})], 0),
    ([_statement({"@id": "pkg:pypi/urllib3"})], 0),
    ([_statement("pkg:pypi/urllib3", "fixed")], 0),
    ([_statement({"@id": "urllib3", "identifiers": {"purl": "pkg:pypi/URLlib3@1.26.5"}})], 0),
    ([_statement({"@id": "pkg:pypi/app", "subcomponents": [{"@id": "pkg:pypi/urllib3@1.26.5"}]})], 0),
    ([_statement({"@id": "pkg:pypi/urllib3", "subcomponents": [{"@id": "pkg:pypi/other"}]})], 1),
    ([_statement({"@id": "pkg:pypi/urllib3@1.26.4"})], 1),
    ([_statement({"@id": "pkg:npm/urllib3"})], 1),
    ([_statement({"@id": "pkg:pypi/urllib3"}, "under_investigation")], 1),
    ([_statement({"@id": "pkg:pypi/urllib3"}), _statement({"@id": "pkg:pypi/urllib3"}, "affected")], 1),
    (
        [
            _statement({"@id": "pkg:pypi/urllib3"}, "affected", timestamp="2026-11-02T00:00:00Z"),
            _statement({"@id": "pkg:pypi/urllib3"}, timestamp="2026-11-03T00:00:00Z"),
        ],
        0,
    ),
]


@pytest.mark.parametrize(("statements", "code"), PARTS)
def test_an_openvex_document(auditing: Auditing, tmp_path: Path, statements: list[dict[str, Any]], code: int) -> None:
    auditing.hold(GHSA, PYSEC)
    path = tmp_path / "a.vex.json"
    path.write_text(_vex(*statements), encoding="utf-8")
    assert auditing.run("--openvex", str(path))[0] == code


def test_an_openvex_document_on_standard_input(auditing: Auditing, monkeypatch: pytest.MonkeyPatch) -> None:
    auditing.hold(GHSA, PYSEC)
    statements, code = PARTS[-1]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(_vex(*statements).encode())))
    assert auditing.run("--openvex", "-")[0] == code == 0


def test_an_openvex_document_of_the_configuration(auditing: Auditing) -> None:
    auditing.hold(GHSA)
    auditing.configure('[tool.deep-lock.audit]\nopenvex = ["vex/a.json"]\n')
    code, _, err = auditing.run()
    assert (code, "there is no such file" in err) == (2, True)
    own = _statement({"@id": "pkg:pypi/urllib3"}, justification="vulnerable_code_not_in_execute_path")
    auditing.bench.write({"vex/a.json": _vex(own)})
    code, out, _ = auditing.run()
    line = "    ignored: not affected, by a.json: vulnerable_code_not_in_execute_path"
    assert (code, line in out.splitlines()) == (0, True)
    auditing.bench.write({"vex/a.json": '{"statements": 1}'})
    assert auditing.run()[0] == 2


# -- sources


def test_without_a_source_the_error_says_what_to_name(auditing: Auditing) -> None:
    code, _, err = auditing.run(database=False)
    assert code == 2
    assert "no source of advisories is named" in err
    for text in ("--database", "OSV schema", "--service", "--from-index", "[tool.deep-lock.audit]"):
        assert text in err


def test_a_database_of_the_configuration(auditing: Auditing) -> None:
    write_zip(auditing.bench.folder / "own.zip", GHSA)
    auditing.configure('[tool.deep-lock.audit]\ndatabase = "own.zip"\nfail-on = "high"\nscope = "runtime"\n')
    code, out, _ = auditing.run(database=False)
    assert (code, "GHSA-aaaa-bbbb-cccc" in out) == (1, True)
    auditing.hold(SETUPTOOLS)
    assert auditing.run()[0] == 0, "the option replaces it; the scope stays"
    assert auditing.run("--scope", "all")[0] == 0
    assert auditing.run("--scope", "all", "--fail-on", "low")[0] == 1


def test_a_folder_of_records_and_zips(auditing: Auditing, tmp_path: Path) -> None:
    folder = tmp_path / "database"
    (folder / "PyPI").mkdir(parents=True)
    (folder / "GHSA.json").write_text(json.dumps(GHSA), encoding="utf-8")
    (folder / "README.md").write_text("# text", encoding="utf-8")
    write_zip(folder / "PyPI" / "all.zip", SETUPTOOLS)
    both = [own["id"] for own in auditing.document("--database", str(folder), database=False)["findings"]]
    assert both == ["GHSA-aaaa-bbbb-cccc", "PYSEC-2022-43012"]
    (folder / "GHSA.json").write_text(json.dumps({**GHSA, "withdrawn": "2026-11-01T00:00:00Z"}), encoding="utf-8")
    assert [own["id"] for own in auditing.document("--database", str(folder), database=False)["findings"]] == both[1:]


def test_the_newest_record_of_two_databases_counts_once(auditing: Auditing, tmp_path: Path) -> None:
    auditing.hold(GHSA)
    other = write_zip(tmp_path / "other.zip", PYSEC, SETUPTOOLS)
    document = auditing.document("--database", str(other))
    assert [own["id"] for own in document["findings"]] == ["GHSA-aaaa-bbbb-cccc", "PYSEC-2022-43012"]
    assert [own["advisories"] for own in document["sources"]] == [1, 2]


def test_a_url_is_downloaded_once_and_then_only_if_it_changed(auditing: Auditing) -> None:
    with OsvServer(export=zip_of([GHSA])) as server:
        url = f"{server.url}/all.zip"
        assert auditing.run("--database", url, database=False)[0] == 1
        code, _, err = auditing.run("--database", url, database=False)
        assert code == 1
        assert "downloaded on 2026-11-15 12:00 UTC" in err
        assert [own.get("if-none-match") for own in server.headers] == [None, server.etag]
        server.export = zip_of([SETUPTOOLS])
        document = auditing.document("--database", url, database=False)
        assert [own["id"] for own in document["findings"]] == ["PYSEC-2022-43012"]
    code, _, err = auditing.run("--database", url, database=False)
    assert (code, "no connection" in err) == (3, True)
    code, out, _ = auditing.run("--database", url, "--offline", database=False)
    assert (code, "PYSEC-2022-43012" in out) == (1, True)


def test_offline_a_url_that_was_never_downloaded_is_named(auditing: Auditing) -> None:
    code, _, err = auditing.run("--database", "https://db.example/all.zip", "--offline", database=False)
    assert code == 3
    assert "the database of advisories https://db.example/all.zip is not in the cache" in err


def test_a_url_that_does_not_exist(auditing: Auditing) -> None:
    with OsvServer() as server:
        code, _, err = auditing.run("--database", f"{server.url}/all.zip", database=False)
    assert (code, "does not exist (HTTP 404)" in err) == (3, True)


def test_a_login_of_a_url_is_sent_and_not_shown(auditing: Auditing) -> None:
    with OsvServer(export=zip_of([GHSA])) as server:
        url = f"{server.url}/all.zip".replace("://", "://ann:secret@")
        code, out, err = auditing.run("--database", url, "--format", "json", database=False)
        assert code == 1
        assert "secret" not in out + err
        assert server.headers[0]["authorization"].startswith("Basic ")


@pytest.mark.parametrize(("age", "code"), [("P7D", 3), ("P13D", 3), ("P14D", 1), ("14 days", 1)])
def test_a_database_that_is_too_old(auditing: Auditing, age: str, code: int) -> None:
    old = {"modified": "2026-11-01T12:00:00Z"}
    # a time in the future makes no database new
    auditing.hold({**GHSA, **old}, {**PYSEC, **old}, {**SETUPTOOLS, "modified": "2027-01-01T00:00:00Z"})
    found, _, err = auditing.run("--max-age", age)
    assert found == code
    if code == 3:
        assert "its newest record was modified on 2026-11-01, 14 days ago" in err
        assert "--max-age P15D" in err


def test_a_download_that_is_too_old(auditing: Auditing, monkeypatch: pytest.MonkeyPatch) -> None:
    # newer than the download by the clock of its server: the age of the download alone counts
    with OsvServer(export=zip_of([{**GHSA, "modified": "2026-11-16T11:00:00Z"}])) as server:
        url = f"{server.url}/all.zip"
        assert auditing.run("--database", url, database=False)[0] == 1
    set_clock(monkeypatch, NOW + timedelta(days=7, hours=1))
    code, _, err = auditing.run("--database", url, "--offline", database=False)
    assert (code, "it was downloaded on 2026-11-15, 7 days ago" in err) == (3, True)
    assert auditing.run("--database", url, "--offline", "--max-age", "P8D", database=False)[0] == 1


@pytest.mark.parametrize("age", ["2026-11-01", "soon", "P1Y"])
def test_an_age_that_is_none(auditing: Auditing, age: str) -> None:
    auditing.hold(GHSA)
    code, _, err = auditing.run("--max-age", age)
    assert (code, "--max-age: " in err) == (2, True)


def test_one_index_of_each_database_is_kept(auditing: Auditing, tmp_path: Path) -> None:
    for number in range(3):
        auditing.hold({**GHSA, "summary": str(number)})
        assert auditing.run()[0] == 1
    folder = tmp_path / "cache" / "v1" / "advisories-1"
    assert sum(own.is_file() for own in folder.rglob("*")) == 1


def test_a_broken_file_of_a_folder_is_a_broken_record(auditing: Auditing, tmp_path: Path) -> None:
    folder = tmp_path / "database"
    folder.mkdir()
    (folder / "GHSA.json").write_text(json.dumps(GHSA), encoding="utf-8")
    (folder / "other.json").write_bytes(b"\xef\xbb\xbf[]")
    document = auditing.document("--database", str(folder), database=False)
    assert len(document["findings"]) == 1
    assert document["sources"][0]["unreadable"] == 1


def test_broken_records_are_counted_and_named(auditing: Auditing) -> None:
    auditing.hold(GHSA, b"{", json.dumps({"id": "PYSEC-1"}).encode(), b"[" * 100_000)
    for _ in range(2):  # from the cache too
        code, out, err = auditing.run()
        assert (code, "GHSA-aaaa-bbbb-cccc" in out) == (1, True)
        assert "3 records cannot be read and are not compared; the first: BROKEN-1.json: is not a record" in err
    assert auditing.document()["sources"][0]["unreadable"] == 3


def test_a_database_of_another_ecosystem_is_no_database(auditing: Auditing) -> None:
    auditing.hold(record("GHSA-2", "urllib3", "introduced 0", ecosystem="npm"))
    code, _, err = auditing.run()
    assert (code, "no record in it is about the ecosystem PyPI" in err) == (3, True)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"<html>"])
def test_what_is_no_database(auditing: Auditing, data: bytes) -> None:
    auditing.database.write_bytes(data)
    code, _, err = auditing.run()
    assert code == 3, err


def test_a_database_that_is_not_there(auditing: Auditing) -> None:
    code, _, err = auditing.run()
    assert (code, "there is no database of advisories" in err) == (2, True)


def test_a_damaged_cache_is_read_again(auditing: Auditing, tmp_path: Path) -> None:
    auditing.hold(GHSA)
    assert auditing.run()[0] == 1
    (path,) = (own for own in (tmp_path / "cache" / "v1" / "advisories-1").rglob("*") if own.is_file())
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert auditing.run()[0] == 1


# -- a service

CLEAN = {("requests", "2.25"), ("docopt", "0.6.2"), ("native", "1.0"), ("wheel", "0.45")}


def test_a_service(auditing: Auditing) -> None:
    vulnerable = {("urllib3", "1.26.5"): [GHSA, PYSEC], ("setuptools", "65.5.0"): [SETUPTOOLS, LATER]}
    with OsvServer(vulnerable=vulnerable, clean=CLEAN, page_size=1) as server:
        code, out, err = auditing.run("--service", server.url, database=False)
        assert code == 1
        assert [line.split(":")[2].split(" (")[0].strip() for line in out.splitlines() if not line.startswith(" ")] == [
            "GHSA-aaaa-bbbb-cccc",
            "PYSEC-2025-49",
            "PYSEC-2022-43012",
        ]
        assert f"what the service {server.url} states about 6 of them" in err
        assert [len(batch) for batch in server.batches] == [6, 2]
        requested = len(server.log)
        assert auditing.run("--service", server.url, database=False)[0] == 1
        assert {method for method, _ in server.log[requested:]} == {"POST"}, "records come from the cache"
        assert auditing.run("--service", server.url, "--offline", database=False)[0] == 3


def test_a_service_that_decides_that_a_version_is_affected(auditing: Auditing) -> None:
    unclear = record("GHSA-9", "urllib3", "introduced 3", kind="SEMVER")
    vulnerable = {("urllib3", "1.26.5"): [unclear], ("setuptools", "65.5.0"): []}
    with OsvServer(vulnerable=vulnerable, clean=CLEAN) as server:
        assert auditing.run("--service", server.url, database=False)[0] == 1


def test_a_service_that_refuses_a_query(auditing: Auditing) -> None:
    with OsvServer(clean=CLEAN) as server:
        code, _, err = auditing.run("--service", server.url, database=False)
        assert (code, "HTTP 400" in err) == (3, True)
        code, _, err = auditing.run("--service", f"{server.url}/v2", database=False)
        assert (code, "does not exist" in err) == (3, True)


def test_a_query_is_sent_to_no_other_address(auditing: Auditing) -> None:
    with OsvServer() as other, OsvServer(redirect=f"{other.url}/v1/querybatch") as server:
        code, _, err = auditing.run("--service", server.url, database=False)
        assert (code, "redirects a POST request" in err) == (3, True)
        assert other.log == []


def test_a_service_that_is_no_url(auditing: Auditing) -> None:
    code, _, err = auditing.run("--service", "osv", database=False)
    assert (code, "--service: the service is not an http(s) URL" in err) == (2, True)


# -- the index


def _document(*vulnerabilities: Record) -> tuple[str, bytes]:
    return "application/json", json.dumps({"info": {}, "vulnerabilities": vulnerabilities}).encode()


def test_what_the_index_states(auditing: Auditing) -> None:
    known = {
        "id": "PYSEC-2023-192",
        "aliases": ["CVE-2023-1"],
        "details": "Long.\nMore.",
        "summary": None,
        "fixed_in": ["1.26.17", "2.0.6"],
        "link": "https://advisories.example/PYSEC-2023-192",
        "source": "osv",
        "withdrawn": None,
    }
    gone = {**known, "id": "PYSEC-2", "aliases": [], "withdrawn": "2026-01-01T00:00:00Z"}
    bodies = auditing.bench.server.bodies
    bodies["/pypi/urllib3/1.26.5/json"] = _document(known, gone)
    bodies["/pypi/setuptools/65.5.0/json"] = _document()
    code, out, err = auditing.run("--from-index", database=False)
    assert code == 1
    assert out.splitlines()[0] == "unknown: urllib3 1.26.5: PYSEC-2023-192 (CVE-2023-1): Long."
    assert "    fix: deep-lock lock -P urllib3==1.26.17" in out.splitlines()
    assert f"what the index {auditing.bench.server.url} states about 2 of them" in err


def test_an_index_without_such_documents_is_no_source(auditing: Auditing) -> None:
    code, _, err = auditing.run("--from-index", database=False)
    assert (code, "no index of the lock serves the vulnerabilities of a release" in err) == (3, True)


# -- formats


def test_sarif(auditing: Auditing) -> None:
    auditing.hold(GHSA, SETUPTOOLS)
    auditing.configure(IGNORE.format(id="PYSEC-2022-43012", until="2026-12-31"))
    (ran,) = json.loads(auditing.run("--format", "sarif")[1])["runs"]
    first, second = ran["results"]
    assert (first["ruleId"], first["level"], "suppressions" in first) == ("GHSA-aaaa-bbbb-cccc", "error", False)
    assert second["suppressions"][0]["justification"] == "until 2026-12-31: no untrusted archives"
    rules = {rule["id"]: rule["properties"].get("security-severity") for rule in ran["tool"]["driver"]["rules"]}
    assert rules == {"GHSA-aaaa-bbbb-cccc": "9.8", "PYSEC-2022-43012": "4.2"}
    line = first["locations"][0]["physicalLocation"]["region"]["startLine"]
    lines = (auditing.bench.folder / "deep.lock").read_text(encoding="utf-8").splitlines()
    assert lines[line - 1] == 'name = "urllib3"'
    spaced = shutil.copy(auditing.bench.folder / "deep.lock", auditing.bench.folder / "a b.lock")
    document = json.loads(auditing.run("--lock", str(spaced), "--format", "sarif")[1])
    result = document["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/a%20b.lock")


def test_markdown_and_annotations(auditing: Auditing) -> None:
    auditing.hold({**GHSA, "summary": "[x](https://evil.example) ::error::"}, SETUPTOOLS)
    _, out, _ = auditing.run("--format", "markdown")
    assert "- **critical** urllib3 1.26.5: " in out
    assert "](https" not in out
    _, out, _ = auditing.run("--format", "github", "--fail-on", "high")
    first, second = out.splitlines()
    assert first.startswith("::error file=")
    assert second.startswith("::warning file=")
    assert "title=advisory::PYSEC-2022-43012" in second


def test_text_of_an_advisory_commands_no_terminal(auditing: Auditing) -> None:
    auditing.hold({**GHSA, "id": "GHSA-1", "summary": "\x1b[2J\u202e\n::error::x", "aliases": ["\x1b]0;x"]})
    for form in ("text", "markdown", "github", "json", "sarif"):
        _, out, _ = auditing.run("--format", form)
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert form == "github" or not any(own.lstrip().startswith("::") for own in out.splitlines())


def test_a_member_of_a_workspace(auditing: Auditing) -> None:
    auditing.hold(GHSA, SETUPTOOLS)
    member = '[project]\nname = "{0}"\nversion = "1"\ndependencies = ["{1}"]\n'
    auditing.bench.write(
        {
            "pyproject.toml": '[tool.deep-lock.workspace]\nmembers = ["one", "two"]\n',
            "one/pyproject.toml": member.format("one", "requests"),
            "two/pyproject.toml": member.format("two", "docopt"),
        }
    )
    locked = auditing.bench.lock("-P", "urllib3==1.26.5", "-P", "setuptools==65.5.0")
    assert locked.code == 0, locked.stderr
    assert {name for _, name in auditing.ids()} == {"urllib3", "setuptools"}
    assert auditing.ids("--package", "one") == [("GHSA-aaaa-bbbb-cccc", "urllib3")]
    assert auditing.ids("--package", "two") == [("PYSEC-2022-43012", "setuptools")]


def test_what_no_database_can_know_is_named(auditing: Auditing) -> None:
    auditing.hold(GHSA)
    own = '[project]\nname = "urllib3"\nversion = "1.26.5"\n[build-system]\nrequires = ["wheel"]\n'
    auditing.bench.write({"lib/pyproject.toml": own})
    auditing.bench.ask("urllib3 @ file:lib")
    assert auditing.bench.lock().code == 0
    code, out, err = auditing.run()
    assert (code, out) == (0, "")
    assert "not compared, since no database can know them: urllib3" in err


# -- policy


def _policy(auditing: Auditing, *options: str) -> tuple[int, str, str]:
    auditing.bench.capture.readouterr()
    code = run(["policy", "--lock", str(auditing.bench.folder / "deep.lock"), *options])
    shown = auditing.bench.capture.readouterr()
    return code, shown.out, shown.err


CONFIGURED = '[tool.deep-lock.audit]\ndatabase = "all.zip"\n'


def test_the_rule_of_a_policy(auditing: Auditing) -> None:
    write_zip(auditing.bench.folder / "all.zip", GHSA, SETUPTOOLS)
    assert "advisory" not in _policy(auditing)[1], "without a configured database nothing is compared"
    auditing.configure(CONFIGURED)
    code, out, _ = _policy(auditing)
    found = [line for line in out.splitlines() if "advisory" in line]
    assert code == 1
    assert [line.partition(": ")[0] for line in found] == [
        "error advisory:setuptools==65.5.0",
        "error advisory:urllib3==1.26.5",
    ]
    assert "(via build of docopt 0.6.2 > setuptools 65.5.0)" in found[0]
    auditing.configure('fail-on = "high"\n[tool.deep-lock.policy]\nadvisory = "finding"\n')
    found = [line for line in _policy(auditing)[1].splitlines() if "advisory" in line]
    assert [line.partition(": ")[0] for line in found] == ["finding advisory:urllib3==1.26.5"]


def test_an_exception_of_a_policy(auditing: Auditing) -> None:
    write_zip(auditing.bench.folder / "all.zip", GHSA)
    auditing.configure(CONFIGURED)
    accept = ["--accept", "advisory:urllib3==1.26.5", "--until", "2026-12-31", "--reason", "no proxies"]
    assert _policy(auditing, *accept)[0] == 0
    code, out, _ = _policy(auditing)
    assert code == 0
    assert any(line.startswith("note advisory:urllib3==1.26.5: ") for line in out.splitlines())


def test_a_rule_that_cannot_be_checked_is_refused(auditing: Auditing) -> None:
    auditing.configure('[tool.deep-lock.policy]\nadvisory = "error"\n')
    code, _, err = _policy(auditing)
    assert (code, "no database of advisories is configured" in err) == (2, True)


# -- lock, diff, export


def test_lock_audits(auditing: Auditing) -> None:
    asked = auditing.bench.lock("--audit")
    assert (asked.code, "no source of advisories is named" in asked.stderr) == (2, True)
    write_zip(auditing.bench.folder / "all.zip", GHSA)
    auditing.configure(CONFIGURED)
    auditing.bench.capture.readouterr()
    code = run(["lock", *auditing.bench.flags(), "--audit"])
    shown = auditing.bench.capture.readouterr()
    assert (code, shown.out.partition(":")[0]) == (1, "critical 9.8")
    assert "deep.lock is up to date" in shown.err
    code = run(["lock", *auditing.bench.flags(), "--audit", "-P", "urllib3==1.26.17"])
    shown = auditing.bench.capture.readouterr()
    assert (code, shown.out) == (0, "")
    assert shown.err.rstrip().endswith("nothing found")
    assert "urllib3==1.26.17" in auditing.bench.lock().pins()
    code = run(["lock", *auditing.bench.flags(), "--audit", "--check"])
    assert (code, "--audit cannot be used with --check" in auditing.bench.capture.readouterr().err) == (2, True)


def test_a_diff_shows_what_an_update_fixes_and_brings(auditing: Auditing, tmp_path: Path) -> None:
    auditing.hold(GHSA, SETUPTOOLS, record("PYSEC-9", "urllib3", "introduced 1.26.17", aliases=["CVE-9"], score=MEDIUM))
    old = tmp_path / "old.lock"
    new = auditing.bench.folder / "deep.lock"
    old.write_bytes(new.read_bytes())
    assert auditing.bench.lock("-P", "urllib3==1.26.17").code == 0
    auditing.bench.capture.readouterr()

    def diff(*options: str) -> tuple[int, str]:
        code = run(["diff", str(old), str(new), "--database", str(auditing.database), *options])
        return code, auditing.bench.capture.readouterr().out

    changes = json.loads(diff("--format", "json")[1])["changes"]
    found = {own["code"]: (own["name"], own["was"], own["now"], own["message"]) for own in changes}
    assert found["advisory-new"] == (
        *("urllib3", "", "1.26.17"),
        "PYSEC-9 (medium) affects 1.26.17: Summary of PYSEC-9",
    )
    assert found["advisory-fixed"] == (
        *("urllib3", "1.26.5", ""),
        "GHSA-aaaa-bbbb-cccc (critical) affected 1.26.5: Summary of GHSA-aaaa-bbbb-cccc",
    )
    assert diff("--fail-on", "advisory-new")[0] == 1
    assert diff("--fail-on", "hash-changed")[0] == 0
    run(["diff", str(old), str(new), "--format", "json"])
    assert "advisory" not in auditing.bench.capture.readouterr().out


def test_an_sbom_with_vulnerabilities(auditing: Auditing) -> None:
    auditing.hold(GHSA, PYSEC, SETUPTOOLS, record("PYSEC-9", "wheel", "introduced 0"))
    statement = _statement({"@id": "pkg:pypi/wheel"}, justification="vulnerable_code_not_in_execute_path")
    auditing.bench.write({"a.vex.json": _vex({**statement, "vulnerability": {"name": "PYSEC-9"}})})
    auditing.configure('[tool.deep-lock.audit]\nopenvex = ["a.vex.json"]\n')
    auditing.configure(IGNORE.format(id="PYSEC-2022-43012", until="2026-12-31"))
    lock = str(auditing.bench.folder / "deep.lock")
    auditing.bench.capture.readouterr()
    assert run(["export", "-f", "cyclonedx", "--lock", lock, "--database", str(auditing.database)]) == 0
    text = auditing.bench.capture.readouterr().out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    found = {own["id"]: own for own in document["vulnerabilities"]}
    assert set(found) == {"GHSA-aaaa-bbbb-cccc", "PYSEC-2022-43012", "PYSEC-9"}
    own = found["GHSA-aaaa-bbbb-cccc"]
    assert own["affects"] == [{"ref": "urllib3==1.26.5"}]
    assert own["affects"][0]["ref"] in {each["bom-ref"] for each in document["components"]}
    assert {each["id"] for each in own["references"]} == {"PYSEC-2023-192", "CVE-2023-1"}
    (rating,) = own["ratings"]
    assert (rating["severity"], rating["score"], rating["method"]) == ("critical", 9.8, "CVSSv31")
    assert "analysis" not in own
    assert found["PYSEC-2022-43012"]["analysis"]["state"] == "in_triage"
    assert found["PYSEC-9"]["analysis"]["state"] == "not_affected"
    assert found["PYSEC-9"]["analysis"]["justification"] == "code_not_reachable"
    run(["export", "-f", "cyclonedx", "--lock", lock])
    plain = json.loads(auditing.bench.capture.readouterr().out)
    assert "vulnerabilities" not in plain
    assert plain["serialNumber"] != document["serialNumber"]
    assert run(["export", "-f", "spdx", "--lock", lock, "--database", str(auditing.database)]) == 2


def test_deepen_audits_once_everything_is_written(auditing: Auditing) -> None:
    folder = auditing.bench.folder.parent / "other"
    folder.mkdir()
    write_zip(folder / "all.zip", GHSA)
    (folder / "deep-lock.toml").write_text('[audit]\ndatabase = "all.zip"\n', encoding="utf-8")
    (folder / "requirements.txt").write_text("urllib3==1.26.5\n", encoding="utf-8")
    flags = [flag for flag in auditing.bench.flags() if flag not in {"--project", str(auditing.bench.folder)}]
    assert run(["deepen", str(folder / "requirements.txt"), *flags, "--save", "--audit"]) == 1
    assert (folder / "deep.lock").is_file()
    assert 'from-lock = "requirements.txt"' in (folder / "deep-lock.toml").read_text(encoding="utf-8")
    line = "    1.26.17 is blocked by the project: urllib3==1.26.5, a pin of requirements.txt"
    assert line in auditing.bench.capture.readouterr().out.splitlines()


def test_another_scanner_finds_the_same_at_run_time(auditing: Auditing, tmp_path: Path) -> None:
    """The other one is uv audit, with the same service: what deep-lock finds in builds comes on top."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None
    shown = subprocess.run([uv, "audit", "--help"], capture_output=True, text=True, check=False)
    if "--service-url" not in shown.stdout:
        pytest.skip("this uv has no audit")
    both = record("GHSA-2", "requests", "introduced 0", aliases=["CVE-2"], score=MEDIUM)
    vulnerable = {
        ("urllib3", "1.26.5"): [GHSA, PYSEC],
        ("requests", "2.25"): [both],
        ("setuptools", "65.5.0"): [SETUPTOOLS],
    }
    environ = {
        **os.environ,
        "UV_DEFAULT_INDEX": auditing.bench.server.url,
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    folder = auditing.bench.folder
    subprocess.run([uv, "-q", "lock", "--upgrade-package", "urllib3==1.26.5"], cwd=folder, env=environ, check=True)
    with OsvServer(vulnerable=vulnerable, clean=CLEAN) as server:
        command = [uv, "audit", "--frozen", "--service-url", server.url, "--output-format", "json"]
        ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        assert ran.returncode == 1, ran.stderr
        theirs = {
            (own["dependency"]["name"], own["dependency"]["version"], frozenset({own["id"], *own["aliases"]}))
            for own in json.loads(ran.stdout)["vulnerabilities"]
        }
        found = auditing.document("--service", server.url, database=False)["findings"]

    def ours(scope: str) -> set[tuple[str, str, frozenset[str]]]:
        return {
            (own["name"], own["version"], frozenset({own["id"], *own["aliases"]}))
            for own in found
            if any(use["scope"] == scope for use in own["uses"])
        }

    assert ours("runtime") == theirs
    assert len(theirs) == 2
    assert ours("build") == {("setuptools", "65.5.0", frozenset({"PYSEC-2022-43012"}))}
