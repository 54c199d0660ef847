"""Which repositories run when an index has something new: a fleet that is upgraded each night, through the front door."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from tests.support import schemas
from tests.support.fleet_repositories import PROJECT, Made, add_file, write_list
from tests.support.scenario_server import Releases, ScenarioServer

RELEASES: Releases = {
    "a 1.0": {},
    "b 1.0": {},
    "b 2.0": {"requires": ["d"]},
    "c 1.0": {},
    "c 2.0": {},
    "d 1.0": {"requires": ["c>=2"]},
    "s 1.0": {"wheels": [], "sdist": True, "build": ["poetry-core"], "backend": "poetry.core.masonry.api"},
    "poetry-core 2.1.0": {},
    "w 1.0": {"weak": True},
}
REQUIRES = {
    "plain": ["a"],
    "rejected": ["b", "c<2"],  # b 2.0 needs d, and d another c: no version of d is in the lock
    "built": ["s"],
    "both": ["a", "s"],
    "weak": ["w"],
    "aged": ["c"],
}
ALWAYS = {"weak", "aged"}


class Fleet:
    """Runs `fleet lock -U`, and knows which repositories ran."""

    def __init__(self, folder: Path, server: ScenarioServer, private: ScenarioServer, capfd: Any) -> None:
        self.folder, self.server, self.private, self.capfd = folder, server, private, capfd

    def run(self, *options: str, action: str = "lock", state: str = "state") -> dict[str, Any]:
        for server in (self.server, self.private):
            server.log.clear()
        self.capfd.readouterr()
        arguments = ["fleet", action, "-f", str(self.folder / "repos.toml"), "--state", str(self.folder / state)]
        run([*arguments, "--index", f"private={self.private.url}", "--format", "json", *options])
        document: dict[str, Any] = json.loads(self.capfd.readouterr().out)
        schemas.check(document)
        for server in (self.server, self.private):
            assert set(Counter(server.asked()).values()) <= {1}, "each page and file is requested once"
        return document

    def ask(self, *question: str) -> dict[str, Any]:
        self.capfd.readouterr()
        run(["fleet", "ask", *question, "--state", str(self.folder / "state"), "--format", "json"])
        document: dict[str, Any] = json.loads(self.capfd.readouterr().out)
        schemas.check(document)
        return document

    def ran(self, *options: str) -> set[str]:
        """Run, and return the repositories that ran. The plan has named the same ones, with the reason."""
        planned = self.run("-U", *options, action="plan")["repositories"]
        document = self.run("-U", "--workers", "1", *options)
        lines = (self.folder / "state" / "fleet.jsonl").read_text(encoding="utf-8").partition('{"kind":"run"')[2]
        found = {json.loads(line)["repository"] for line in lines.splitlines()[1:]}
        assert found == {own["name"] for own in planned if own["runs"]}
        assert document["skipped"] == len(REQUIRES) - len(found)
        assert self.results(document) == self.results(self.run("-U", "--workers", "1", state=f"state-{len(found)}"))
        return found

    def results(self, document: dict[str, Any]) -> dict[str, list[Any]]:
        """Return all of the results but what is of one run, and of repositories whose lock has the time of the run."""
        kept = ("project", "status", "code", "message", "warnings", "lock-sha256", "changes", "packages")
        rows = {own["repository"]: own["projects"] for own in document["repositories"]}
        return {
            name: [{key: own[key] for key in kept} for own in projects]
            for name, projects in rows.items()
            if name != "aged"
        }


@pytest.fixture
def fleet(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with ScenarioServer(cache_control="no-cache") as server, ScenarioServer(cache_control="no-cache") as private:
        monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("DEEP_LOCK_DEFAULT_INDEX", server.url)
        server.hold(RELEASES)
        made = Made(folder=tmp_path / "repositories", good=tuple(REQUIRES), workspaces=(), broken=(), hostile=())
        for name, requires in REQUIRES.items():
            age = 'exclude-newer = "P7D"\n' if name == "aged" else ""
            add_file(made, name, "pyproject.toml", PROJECT.format(name=name, requires=requires) + age)
        write_list(made, tmp_path / "repos.toml")
        yield Fleet(tmp_path, server, private, capfd)


def test_an_upgrade_runs_where_a_page_is_newer(fleet: Fleet) -> None:
    first = fleet.run("-U", "--workers", "1")
    assert (first["exit-code"], first["ran"]) == (0, len(REQUIRES))
    locked = fleet.results(first)

    planned = {own["name"]: own for own in fleet.run("-U", action="plan")["repositories"]}
    assert {name for name, own in planned.items() if own["runs"]} == ALWAYS
    assert planned["rejected"]["reason"] == "its 6 pages are the same"  # of b, c and d, each on two indexes
    assert planned["aged"]["reason"] == "the project depends on the time that the age in exclude-newer gives"
    assert planned["weak"]["reason"].startswith(
        "the project depends on the file w-1.0-py3-none-any.whl, which has no sha"
    )
    asked = fleet.server.asked()
    assert asked == [path for path in asked if path.startswith("/simple/")], "only pages, each with a condition"
    assert all("if-none-match" in own.headers for own in fleet.server.log)

    # a version of a project of which no version is locked
    fleet.server.hold({**RELEASES, "d 1.1": {}})
    (newer,) = [own for own in fleet.run("-U", action="plan")["repositories"] if own["newer"]]
    assert (newer["name"], newer["newer"], newer["reason"]) == ("rejected", ["d"], "newer in the index: d")
    assert fleet.ran() == {"rejected", *ALWAYS}
    assert fleet.results(fleet.run("-U", "--workers", "1"))["rejected"] != locked["rejected"]

    # a build requirement; then a project that the first index did not have
    fleet.server.hold({**RELEASES, "d 1.1": {}, "poetry-core 2.2.0": {}})
    assert fleet.ran() == {"built", "both", *ALWAYS}
    fleet.private.hold({"a 9.0": {}})
    for page in (fleet.folder / "cache" / "v1" / "pages-2").glob("*/*"):
        os.utime(page, (0, 0))  # that the index does not have a project is used for ten minutes
    assert fleet.ran() == {"plain", "both", *ALWAYS}


def test_what_is_not_known_runs(fleet: Fleet) -> None:
    only = ("--only", "plain", "--only", "built")
    fleet.run("-U", "--workers", "1", *only)

    def reasons(*options: str) -> list[str]:
        return [own["reason"] for own in fleet.run("-U", *only, *options, action="plan")["repositories"]]

    fleet.server.statuses["/simple/poetry-core/"] = 403
    assert reasons() == ["pages that cannot be requested: poetry-core", "its 2 pages are the same"]
    fleet.server.statuses.clear()
    for path in (fleet.folder / "state" / "pages").iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace("simple/a/", "simple/b/"), encoding="utf-8")
    assert reasons() == ["its 4 pages are the same", "the pages of the project are not known"]
    journal = fleet.folder / "state" / "fleet.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        for own in line.get("projects", ()):
            del own["pages"], own["may-change"]  # as an older version of deep-lock wrote it
    journal.write_text("".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines), encoding="utf-8")
    assert reasons() == ["the pages of the project are not known"] * 2


def test_a_lock_that_is_lost_is_made_again(fleet: Fleet) -> None:
    only = ("--only", "plain")
    fleet.run("--workers", "1", *only)
    (path,) = (fleet.folder / "state" / "locks").iterdir()
    lock = path.read_bytes()
    options = ("--workers", "1", "--deliver", "patch", "--patches", str(fleet.folder / "patches"), *only)

    path.write_bytes(b"")  # what is left where a machine lost its power
    (planned,) = fleet.run(*only, action="plan")["repositories"]
    assert planned["reason"] == "its lock is missing"
    document = fleet.run(*options)
    assert (document["exit-code"], document["ran"], path.read_bytes()) == (0, 1, lock)

    path.unlink()
    document = fleet.run("--resume", *options)
    assert (document["exit-code"], document["ran"], path.read_bytes()) == (0, 1, lock)


def test_a_run_that_is_resumed_requests_no_page_again(fleet: Fleet) -> None:
    only = ("--only", "plain", "--only", "both")
    fleet.run("-U", "--workers", "1", *only)
    fleet.server.hold({**RELEASES, "poetry-core 2.2.0": {}, "a 1.1": {}})
    first = fleet.run("-U", "--workers", "1", "--limit", "1", *only)
    asked = fleet.server.asked()
    second = fleet.run("-U", "--workers", "1", "--resume", *only)
    assert (first["ran"], first["left"], second["ran"], second["now"]) == (1, 1, 1, first["now"])
    assert not {*asked} & {*fleet.server.asked()}


def test_what_may_change_without_a_page_is_reported(fleet: Fleet) -> None:
    library, links = fleet.folder / "library", fleet.folder / "links"
    text = '[project]\nname = "{}"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    add_file(
        Made(folder=fleet.folder, good=(), workspaces=(), broken=(), hostile=()),
        "library",
        "pyproject.toml",
        text.format("library"),
    )
    links.mkdir()
    project = fleet.folder / "project"
    project.mkdir()
    wheel = f"{fleet.server.origin}/files/b-1.0-py3-none-any.whl"
    requires = [f"library @ git+{library.as_uri()}@main", f"b @ {wheel}", "a"]
    settings = f'find-links = ["{links.as_posix()}"]\n'
    (project / "pyproject.toml").write_text(
        PROJECT.format(name="project", requires=requires) + settings, encoding="utf-8"
    )
    fleet.capfd.readouterr()
    assert run(["--log-format", "json", "lock", "--project", str(project)]) == 0
    events = [json.loads(line) for line in fleet.capfd.readouterr().err.splitlines()]
    assert {own["name"] for own in events if own["event"] == "may-change"} == {
        "--find-links",
        "the branch or tag main of ../library",
        f"the file {wheel}",
    }
    (page,) = [own for own in events if own["event"] == "page-read"]
    assert (page["url"], len(page["digest"])) == (f"{fleet.server.url}a/", 64)


def test_a_repository_that_fails_keeps_its_last_lock_in_answers(fleet: Fleet) -> None:
    """The newest commit was not read: each answer reports it. A lock of another ref is not kept."""
    first = fleet.run("--workers", "1", "--only", "plain")["repositories"][0]
    (fleet.folder / "repositories" / "plain").rename(fleet.folder / "moved")
    for _ in range(2):  # also after a second failure
        own = fleet.run("--workers", "1", "--only", "plain")["repositories"][0]
        assert (own["status"], own["projects"], own["known"]) == ("failed", [], first["projects"])
    state, commit = str(fleet.folder / "state"), first["commit"]
    run(["fleet", "ask", "uses", "a", "--state", state])
    assert f"plain (of the older commit {commit[:12]}: its last run failed)" in fleet.capfd.readouterr().out
    run(["fleet", "ask", "uses", "evil", "--state", state])
    err = fleet.capfd.readouterr().err
    assert (
        f"1 project is in the answer with the lock of an older run, since the last run failed: plain (commit {commit[:12]}: "
        in err
    )
    assert "no project uses evil, of 1 project with a lock (1 of them with the lock of an older run)\n" in err
    document = fleet.ask("uses", "a")
    assert [use["commit"] for use in document["uses"]] == [commit]
    assert [(own["repository"], own["project"], own["commit"]) for own in document["unread"]] == [
        ("plain", ".", commit)
    ]

    listed = fleet.folder / "repos.toml"
    listed.write_text(
        listed.read_text(encoding="utf-8").replace('/plain"\n', '/plain"\nref = "gone"\n'), encoding="utf-8"
    )
    own = fleet.run("--workers", "1", "--only", "plain")["repositories"][0]
    assert (own["status"], own["known"]) == ("failed", [])
    document = fleet.ask("uses", "a")
    assert (document["uses"], [own["commit"] for own in document["unread"]]) == ([], [None])
