"""`deep-lock lock --all-projects`: every project below a folder, a lock each, in one run."""

import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.fault_server import FaultServer, reply
from tests.support.fault_world import BETA, JSON, TARGET, desk, page, people
from tests.support.scenario_server import Releases
from tests.support.scenarios import PLAIN, Bench, Run, bench, git

RELEASES: Releases = {"lib 1.0": {}, "lib 2.0": {}, "tool 1.0": {"requires": ["lib"]}, "poetry-core 2.1.0": {}}
POETRY = """
[tool.poetry]
name = "worker"
version = "1.0"
[tool.poetry.dependencies]
python = ">=3.12"
lib = "^1"
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
"""
GROUPS = '[dependency-groups]\ndev = ["tool"]\n'
FIVE = {
    "apps/current/pyproject.toml": PLAIN.format(["lib"]),
    "apps/stale/pyproject.toml": PLAIN.format(["lib"]),
    "libs/broken/pyproject.toml": PLAIN.format(["lib>3"]),
    "libs/worker/pyproject.toml": POETRY,
    "pyproject.toml": GROUPS,
}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        yield own


def table(ran: Run) -> dict[str, tuple[str, str]]:
    """Return result and number of packages by project, as the summary has them."""
    rows = re.findall(r"^  (\S+) +(\w[\w ]*?) +(\d+|-) +\d+\.\d$", ran.stderr, re.MULTILINE)
    return {path: (result, packages) for path, result, packages in rows}


def lock_of(made: Bench, project: str) -> str:
    path = made.folder / project / "deep.lock"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def with_five(made: Bench) -> None:
    """Write five projects: two of them locked, of which one is changed afterwards."""
    made.write(FIVE)
    root = made.folder
    for project in ("apps/current", "apps/stale"):
        made.folder = root / project
        assert made.lock().code == 0
    made.folder = root
    made.write({"apps/stale/pyproject.toml": PLAIN.format(["lib", "tool"])})


def test_five_projects(made: Bench) -> None:
    with_five(made)
    current, stale = lock_of(made, "apps/current"), lock_of(made, "apps/stale")
    checked = made.lock("--all-projects", "--check")
    assert (checked.code, checked.asked) == (1, ())
    assert table(checked) == {
        ".": ("stale", "-"),
        "apps/current": ("up to date", "1"),
        "apps/stale": ("stale", "-"),
        "libs/broken": ("stale", "-"),
        "libs/worker": ("stale", "-"),
    }
    assert "apps/stale:\nerror: deep.lock is stale:\n  pyproject.toml now requires 'tool'" in checked.stderr
    assert f"hint: run deep-lock lock --project {made.folder / 'apps' / 'stale'}\n" in checked.stderr
    assert "apps/current:" not in checked.stderr
    assert lock_of(made, "apps/stale") == stale

    ran = made.lock("--all-projects")
    assert ran.code == 1, "no version fits"
    assert table(ran) == {
        ".": ("locked", "2"),
        "apps/current": ("up to date", "1"),
        "apps/stale": ("locked", "2"),
        "libs/broken": ("failed", "-"),
        "libs/worker": ("locked", "2"),
    }
    assert ran.stderr.endswith("\n5 projects: 3 locked, 1 up to date, 1 failed\n")
    assert "libs/broken:\nerror: no set of versions fits" in ran.stderr
    assert "apps/stale:\nwrote deep.lock\n  + tool 1.0\n" in ran.stderr
    assert lock_of(made, "apps/current") == current
    assert lock_of(made, "libs/broken") == ""
    assert 'name = "tool"' in lock_of(made, ".")
    assert 'version = "1.0"' in lock_of(made, "libs/worker")

    made.write({"libs/broken/pyproject.toml": PLAIN.format(["lib"])})
    assert made.lock("--all-projects").code == 0
    again = made.lock("--all-projects", "--check")
    assert (again.code, again.asked) == (0, ())
    assert again.stderr.endswith("\n5 projects: 5 up to date\n")


def test_each_page_is_requested_once(made: Bench) -> None:
    made.write(FIVE)
    asked = made.lock("--all-projects").asked
    assert asked.count("/simple/lib/") == 1
    assert len(asked) == len(set(asked))


def test_the_locks_are_those_that_each_project_gets_alone(made: Bench) -> None:
    made.write(FIVE)
    root = made.folder
    made.lock("--all-projects")
    locks = {path: path.read_text(encoding="utf-8") for path in root.rglob("deep.lock")}
    assert len(locks) == 4
    for path, text in locks.items():
        path.unlink()
        made.folder = path.parent
        assert made.lock().text == text


def test_the_exit_code_is_the_worst_one(made: Bench) -> None:
    made.write(
        {
            "a/pyproject.toml": PLAIN.format(["lib>3"]),
            "b/pyproject.toml": PLAIN.format(["gone"]),
            "c/pyproject.toml": PLAIN.format(["lib"]),
        }
    )
    assert made.lock("--all-projects").code == 1
    made.write({"b/pyproject.toml": "[project\n"})
    ran = made.lock("--all-projects")
    assert ran.code == 2
    assert "b:\nerror: pyproject.toml: is not valid TOML" in ran.stderr
    assert made.lock("--all-projects", "--exclude", "b").code == 1
    text = lock_of(made, "c")
    digest = re.search(r'sha256 = "(\w+)"', text)
    assert digest is not None
    (made.folder / "c" / "deep.lock").write_text(text.replace(digest[1], "0" * 64), encoding="utf-8")
    ran = made.lock("--all-projects", "--upgrade")
    assert ran.code == 4, ran.stderr
    assert table(ran) == dict.fromkeys("abc", ("failed", "-"))


def test_an_internal_error_does_not_stop_the_others(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made.write({f"{name}/pyproject.toml": PLAIN.format(["lib"]) for name in "ab"})
    written = "deep_lock.cli.commands.lock.write_lock"

    def fail(outcome: object) -> None:
        monkeypatch.undo()
        raise AssertionError(outcome)

    cache = str(made.folder.parent / "cache")
    monkeypatch.setattr(written, fail)
    ran = made.lock("--all-projects")
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", cache)
    assert ran.code == 70, ran.stderr
    assert "a:\nerror: internal error, please report it: AssertionError" in ran.stderr
    assert table(ran)["b"] == ("locked", "1")


def test_a_dry_run_writes_nothing(made: Bench) -> None:
    with_five(made)
    ran = made.lock("--all-projects", "--dry-run", "--exclude", "libs*")
    assert ran.code == 0, ran.stderr
    assert [result for result, _ in table(ran).values()] == ["would change", "up to date", "would change"]
    assert lock_of(made, ".") == ""


def test_upgrades_apply_to_each_project(made: Bench) -> None:
    old: Releases = {"lib 1.0": {}, "other 1.0": {}}
    made.hold(old)
    made.write({"a/pyproject.toml": PLAIN.format(["lib"]), "b/pyproject.toml": PLAIN.format(["other"])})
    assert made.lock("--all-projects").code == 0
    made.hold({**old, "lib 2.0": {}, "other 2.0": {}})
    ran = made.lock("--all-projects", "--refresh", "-P", "lib")
    assert ran.code == 0, ran.stderr
    assert "a:\nwrote deep.lock\n  ~ lib 1.0 -> 2.0" in ran.stderr
    assert table(ran) == {"a": ("locked", "1"), "b": ("up to date", "1")}
    ran = made.lock("--all-projects", "-P", "lib==1.0", "-P", "other==2.0")
    assert table(ran) == {"a": ("locked", "1"), "b": ("locked", "1")}, ran.stderr
    ran = made.lock("--all-projects", "-P", "lib", "-P", "lid")
    assert ran.code == 2
    assert ran.stderr.endswith("error: -P lid: no lock uses lid\n")
    ran = made.lock("--all-projects", "-P", "lib==3.0")
    assert ran.code == 1
    assert table(ran) == {"a": ("failed", "-"), "b": ("up to date", "1")}


def test_a_lock_without_a_project_file_is_made_from_what_it_records(made: Bench) -> None:
    root = made.folder
    made.write({"job/requirements.in": "lib<2\n", "job/pyproject.toml": "[tool.other]\n"})
    made.folder = root / "job"
    assert made.lock("-r", str(made.folder / "requirements.in")).code == 0
    made.folder = root
    ran = made.lock("--all-projects", "--check")
    assert table(ran) == {"job": ("up to date", "1")}, ran.stderr
    made.write({"job/requirements.in": "lib<2\ntool\n"})
    ran = made.lock("--all-projects", "--check")
    assert "job:\nerror: deep.lock is stale:\n  requirements.in now requires 'tool'" in ran.stderr
    assert made.lock("--all-projects").code == 0
    assert 'name = "tool"' in lock_of(made, "job")

    (root / "job" / "requirements.in").unlink()
    ran = made.lock("--all-projects", "--check")
    assert ran.code == 2
    assert "deep.lock: it was made from requirements.in, which does not exist" in ran.stderr
    text = lock_of(made, "job")
    (root / "requirements.in").write_text("lib\n", encoding="utf-8")
    (root / "job" / "deep.lock").write_text(text.replace('"requirements.in"', '"../requirements.in"'), encoding="utf-8")
    ran = made.lock("--all-projects", "--check")
    assert ran.code == 2
    assert "it was made from ../requirements.in, which is not in its folder" in ran.stderr


def test_a_deepened_lock_without_a_project_file_keeps_its_pins(made: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    pipfile = '{"_meta": {"pipfile-spec": 6, "requires": {}, "sources": []}, "default": {"lib": {"version": "==1.0"}}, "develop": {}}'
    made.write({"job/Pipfile.lock": pipfile})
    flags = [flag for flag in made.flags() if flag not in {"--project", str(made.folder)}]
    assert run(["deepen", str(made.folder / "job" / "Pipfile.lock"), *flags]) == 0, capfd.readouterr().err
    ran = made.lock("--all-projects", "--check")
    assert table(ran) == {"job": ("up to date", "1")}, ran.stderr
    made.write({"job/Pipfile.lock": pipfile.replace("1.0", "2.0")})
    assert made.lock("--all-projects", "--check").code == 1
    assert made.lock("--all-projects").code == 0
    assert 'version = "2.0"' in lock_of(made, "job")


def test_a_workspace_is_locked_once_in_its_root(made: Bench) -> None:
    member = '[project]\nname = "{}"\nversion = "1"\ndependencies = ["{}"]\n'
    made.write(
        {
            "shop/pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "shop/packages/a/pyproject.toml": member.format("a", "lib<2"),
            "shop/packages/b/pyproject.toml": member.format("b", "tool"),
            "job/pyproject.toml": PLAIN.format(["lib"]),
        }
    )
    ran = made.lock("--all-projects")
    assert ran.code == 0, ran.stderr
    assert table(ran) == {"job": ("locked", "1"), "shop": ("locked", "2")}
    assert sorted(path.parent.name for path in made.folder.rglob("deep.lock")) == ["job", "shop"]
    made.write({"shop/packages/b/pyproject.toml": member.format("b", "tool>=1")})
    ran = made.lock("--all-projects", "--check")
    assert ran.code == 1
    assert "shop:\nerror: deep.lock is stale:\n" in ran.stderr
    assert "job:" not in ran.stderr


def test_what_git_ignores_is_not_locked(made: Bench) -> None:
    made.write({f"{name}/pyproject.toml": PLAIN.format(["lib"]) for name in ("a", "build/copy", "b/out/c")})
    made.write({".gitignore": "build/\n", "b/.gitignore": "out\n"})
    assert list(table(made.lock("--all-projects"))) == ["a", "b/out/c", "build/copy"]
    git(made.folder, "init", "--quiet")
    assert list(table(made.lock("--all-projects"))) == ["a"]
    git(made.folder, "add", "--force", "b/out/c/pyproject.toml")
    assert list(table(made.lock("--all-projects"))) == ["a", "b/out/c"], "it is tracked"
    made.folder = made.folder / "build"
    assert list(table(made.lock("--all-projects"))) == ["copy"], "the folder of the search is ignored itself"


@pytest.mark.parametrize(
    "flags",
    [
        ("--output", "x.lock"),
        ("--script", "in.py"),
        ("-r", "in.txt"),
        ("--from", "in.txt"),
        ("--upgrade-from", "in.txt"),
        ("--extra", "x"),
        ("--group", "x"),
        ("--only-group", "x"),
    ],
)
def test_options_of_one_project_are_refused(
    made: Bench, flags: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made.write({"pyproject.toml": PLAIN.format([]), "in.txt": "", "in.py": ""})
    monkeypatch.chdir(made.folder)
    ran = made.lock("--all-projects", *flags)
    assert ran.code == 2
    assert "error: --all-projects and --" in ran.stderr
    assert "cannot be used together" in ran.stderr
    assert ran.text == ""


def test_exclude_alone_is_refused(made: Bench) -> None:
    made.ask("lib")
    ran = made.lock("--exclude", "x")
    assert ran.code == 2
    assert "error: --exclude needs --all-projects" in ran.stderr


def test_a_folder_without_projects_is_an_error(made: Bench) -> None:
    ran = made.lock("--all-projects")
    assert ran.code == 2
    assert f"error: {made.folder}: no project in it or below it\nhint: a project is a folder with" in ran.stderr


def test_quiet_shows_errors_with_their_projects(made: Bench) -> None:
    with_five(made)
    ran = made.lock("--all-projects", "-q")
    assert ran.stderr.startswith("libs/broken:\nerror: no set of versions fits")
    assert not table(ran)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupted_run_leaves_the_finished_locks(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        project = own.project / "pyproject.toml"
        for name in ("a", "b"):
            (own.project / name).mkdir()
            shutil.copy(project, own.project / name)
        for path in (project, own.project / "a" / "pyproject.toml"):
            path.write_text(PLAIN.format([]), encoding="utf-8")
        server.script("/simple/beta/", reply(page("beta", BETA), headers=[JSON], after="drip"))
        with own.start("lock", "--all-projects", "--refresh", *TARGET, "-i", url) as child:
            while not server.count("/simple/beta/"):
                time.sleep(0.01)
            child.send_signal(signal.SIGTERM)
            _, said = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM
    assert said.endswith("\n2 of 3 projects: 2 locked\n\ninterrupted\n"), said
    assert "b:" not in said
    assert own.lock.read_text(encoding="utf-8") != old
    assert (own.project / "a" / "deep.lock").exists()
    assert not (own.project / "b" / "deep.lock").exists()
