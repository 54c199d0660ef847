"""`deep-lock vet import`, through the front door: a server and a git repository on this machine, and hostile files."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.config.options import RunContext, VetImportOptions
from deep_lock.errors import Stale
from deep_lock.events import silent
from deep_lock.models.vetting import AUDITS, CONFIG, IMPORTS_LOCK
from deep_lock.operations.vet_import import plan_import, write_import
from deep_lock.parsing.vetting import read_imports_lock, read_vetting_config
from deep_lock.project.vetting_files import new_text
from tests.support.scenarios import git
from tests.support.served_policy import Served

HEAD = "version = 1\n"


def audit(name: str, version: str, *, criteria: str = "safe-to-run", more: str = "") -> str:
    sha256 = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    return (
        f'[[audits.{name}]]\nversion = "{version}"\ncriteria = ["{criteria}"]\nwho = "Ann <ann@example.org>"\n'
        f'date = 2026-11-30\n{more}files = [{{ name = "{name}-{version}.tar.gz", sha256 = "{sha256}" }}]\n'
    )


class Project:
    """A project with `supply-chain/`, and the command."""

    def __init__(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.folder = path / "supply-chain"
        self.folder.mkdir(parents=True)
        self._capfd = capfd
        for name in (AUDITS, CONFIG):
            (self.folder / name).write_text(new_text(name, ["alpha", "zeta"]), encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._capfd.readouterr()
        code = run(["vet", "import", *arguments, "--lock", str(self.path / "deep.lock")])
        captured = self._capfd.readouterr()
        assert code in {0, 2, 3, 4}, captured.err
        return code, captured.out, captured.err

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def imported(self) -> dict[str, list[str]]:
        """Return the projects and versions of each team, as `check` reads them, after both files were compared."""
        config = read_vetting_config((self.folder / CONFIG).read_text(encoding="utf-8"), CONFIG)
        imports = read_imports_lock((self.folder / IMPORTS_LOCK).read_text(encoding="utf-8"), IMPORTS_LOCK)
        assert {team: own.source for team, own in imports.items()} == config.imports
        return {team: [f"{each.package} {each.version}" for each in own.audits] for team, own in imports.items()}


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    return Project(tmp_path / "project", capfd)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def test_a_team_is_added_refreshed_and_removed(project: Project, served: Served) -> None:
    before = project.files()
    served.body = (HEAD + audit("zeta", "1.10") + audit("zeta", "1.9") + audit("alpha", "1")).encode()
    code, out, err = project.run("acme", "--url", served.url)
    assert code == 0, err
    assert out.count("  added  ") == 3
    assert hashlib.sha256(served.body).hexdigest() in out
    assert project.imported() == {"acme": ["alpha 1", "zeta 1.9", "zeta 1.10"]}
    assert read_vetting_config((project.folder / CONFIG).read_text(), CONFIG).exemptions == ()
    added = project.files()

    # the same again writes nothing; a dry run writes nothing
    assert project.run()[2].endswith("nothing changed\n")
    served.body = (HEAD + audit("alpha", "1") + audit("alpha", "2")).encode()
    code, out, err = project.run("--dry-run")
    assert (code, project.files()) == (0, added), err
    assert ("  added      alpha 2: safe-to-run, 1 file, by Ann" in out, out.count("  withdrawn  zeta")) == (True, 2)
    assert project.run("acme")[1] == out
    assert project.imported() == {"acme": ["alpha 1", "alpha 2"]}
    refreshed = project.files()

    # a failure changes nothing
    for body, expected in {b"": 3, b"[": 2, b"\xff": 2, b"version = 2\n": 2, b"x" * (9 * 1024 * 1024): 4}.items():
        served.body = body
        assert project.run()[0] == expected, body[:20]
        assert project.files() == refreshed
    assert project.run("--offline")[0] == 3
    assert project.run("acme", "--url", served.url)[0] == 2, "it exists"
    assert project.run("other")[0] == 2, "it does not exist"
    for name, url in {
        "a": "http://index.example/audits.toml",
        "b": "file:///audits.toml",
        "c": "https://index.example/audits.toml?token=abc",
        "Not A Name": served.url,
        "../d": served.url,
    }.items():
        code, _, err = project.run(name, "--url", url)
        assert (code, "abc" in err) == (2, False), url
    assert project.run("e", "--git", "https://ann:secret@index.example/a")[0] == 2
    assert project.run("e", "--git", "git://index.example/a")[0] == 2
    assert project.run("e", "--git", "ext::sh -c true")[0] in {2, 3}
    assert project.files() == refreshed

    # a second team is sorted in; without its login
    served.body = (HEAD + audit("alpha", "3")).encode()
    login = served.url.replace("http://", "http://ann:secret@")
    assert project.run("aaa", "--url", login)[0] == 0
    assert list(project.imported()) == ["aaa", "acme"]
    assert not any(b"secret" in text for text in project.files().values())
    assert project.run("--remove", "aaa")[0] == 0
    assert project.files() == refreshed
    assert project.run("--remove", "acme")[0] == 0
    assert project.imported() == {}
    assert project.files()[CONFIG] == before[CONFIG]


def test_a_repository_is_pinned_by_its_commit(project: Project, tmp_path: Path) -> None:
    repository = tmp_path / "team"
    (repository / "supply-chain").mkdir(parents=True)
    git(repository, "init", "-q", "-b", "main")
    (repository / "supply-chain" / AUDITS).write_text(HEAD + audit("alpha", "1"))
    (repository / "supply-chain" / CONFIG).write_text("not read [")
    (repository / "link.toml").symlink_to("supply-chain/audits.toml")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "one")
    commit = git(repository, "rev-parse", "HEAD").strip()
    code, out, err = project.run("team", "--git", str(repository), "--ref", "main")
    assert code == 0, err
    assert f"1 audit, commit {commit}" in out
    assert project.imported() == {"team": ["alpha 1"]}
    before = project.files()
    for arguments in (
        ("--path", "missing.toml"),
        ("--path", "link.toml"),
        ("--path", "supply-chain"),
        ("--ref", "none"),
    ):
        assert project.run("again", "--git", str(repository), *arguments)[0] == 2, arguments
        assert project.files() == before
    (repository / "supply-chain" / AUDITS).write_text(HEAD + audit("alpha", "2"))
    git(repository, "commit", "-q", "-a", "-m", "two")
    assert project.run()[0] == 0
    assert project.imported() == {"team": ["alpha 2"]}


def test_neither_file_is_written_where_another_program_wrote_one(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "audits.toml"
    for number, team in enumerate(("first", "second"), 1):
        path.write_text(HEAD + audit("alpha", str(number)))
        context = RunContext(cache_folder=tmp_path / "cache", now=datetime(2026, 11, 30, tzinfo=UTC))
        options = VetImportOptions(lock=project.path / "deep.lock", name=team, url=str(path), context=context)
        plan = plan_import(options, silent)
        with (project.folder / CONFIG).open("a") as file:
            file.write("# another program\n")
        before = project.files()
        with pytest.raises(Stale):
            write_import(plan)
        assert project.files() == before
        assert project.run(team, "--url", str(path))[0] == 0
    assert project.imported() == {"first": ["alpha 1"], "second": ["alpha 2"]}


def test_what_is_not_known_is_left_out_and_what_is_hostile_is_refused(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "audits.toml"
    unknown = "".join(f"key{number} = 1\n" for number in range(30))
    others = audit("alpha", "1", criteria="safe-to-deploy") + audit("zeta", "1", more=unknown)
    path.write_text(HEAD + others + audit("beta", "1"))
    code, _, err = project.run("local", "--url", str(path))
    assert code == 0, err
    assert project.imported() == {"local": ["beta 1"]}
    assert "safe-to-deploy" in err
    assert "is not a known criterion" in err
    assert "21 more keys and criteria are left out" in err
    before = project.files()
    hostile = {
        "a version": audit("alpha", "one"),
        "an escape": audit("alpha", "1").replace("Ann", "\\u001b[2JAnn"),
        "a name": audit("alpha", "1").replace("alpha-1.tar.gz", "../../x.tar.gz"),
        "a hash": audit("alpha", "1").replace('sha256 = "', 'sha256 = "z'),
        "nesting": f"x = {'[' * 50_000}",
    }
    for name, text in hostile.items():
        path.write_text(HEAD + text)
        code, out, err = project.run()
        assert (code, out, project.files()) == (2, "", before), name
        assert "\x1b" not in err
