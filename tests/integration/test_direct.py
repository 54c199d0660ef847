"""Direct references over time: what makes a lock stale, which pins hold, what may be asked of a repository."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.errors import RequirementInvalid
from deep_lock.models.direct_url import parse_reference
from tests.support.scenario_server import Release
from tests.support.scenarios import Bench, bench, git, make_repository

TREE = '[project]\nname = "own"\nversion = "1"\ndependencies = {}\n[build-system]\nrequires = {}\n'
LIB = '[project]\nname = "lib"\nversion = "1"\ndependencies = {}\n[build-system]\nrequires = []\n'
RELEASES: dict[str, Release] = {"dep 1.0": {}, "dep 2.0": {}, "tool 1.0": {}, "setuptools 80.9.0": {}}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as laid:
        yield laid


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (TREE.format('["dep"]', "[]"), TREE.format('["dep<2"]', "[]"), "own now requires 'dep<2' instead of 'dep'"),
        (TREE.format("[]", "[]"), TREE.format("[]", '["tool"]'), "the [build-system] of own now requires 'tool'"),
        (
            TREE.format("[]", "[]"),
            TREE.format("[]", "[]").replace("[build", 'requires-python = ">=3.9"\n[build'),
            "requires-python of own changed",
        ),
    ],
    ids=["requirements", "build requirements", "Python"],
)
def test_a_changed_folder_makes_the_lock_stale(made: Bench, before: str, after: str, says: str) -> None:
    made.ask("own @ ./own")
    made.write({"own/pyproject.toml": before})
    first = made.lock()
    assert first.code == 0, first.stderr
    made.write({"own/pyproject.toml": "# a comment\n" + before.replace('"1"', '"1.1"')})
    assert made.lock("--check").code == 0
    made.write({"own/pyproject.toml": after})
    checked = made.lock("--check")
    assert (checked.code, checked.asked) == (1, ())
    assert says in checked.stderr
    assert made.lock().code == 0
    assert made.lock("--check").code == 0


def test_a_commit_stays_until_an_upgrade(made: Bench) -> None:
    place = made.folder.parent / "repositories" / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB.format("[]")}}])
    made.ask("lib @ git+{git:lib}@main")
    first = made.lock()
    assert first.code == 0, first.stderr
    old = git(place, "rev-parse", "HEAD")
    assert f'commit-id = "{old}"' in first.text
    (place / "pyproject.toml").write_text(LIB.format('["dep"]'), encoding="utf-8")
    git(place, "commit", "--quiet", "--all", "--message=two")
    new = git(place, "rev-parse", "HEAD")
    made.ask("lib @ git+{git:lib}@main", "tool")
    kept = made.lock()
    assert f'commit-id = "{old}"' in kept.text
    assert "dep==2.0" not in kept.pins()
    moved = made.lock("-P", "lib")
    assert f'commit-id = "{new}"' in moved.text
    assert "dep==2.0" in moved.pins(builds=False)
    assert str(made.folder.parent) not in moved.text


def test_a_repository_is_not_asked_twice(made: Bench) -> None:
    place = made.folder.parent / "repositories" / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB.format("[]")}}])
    made.ask("lib @ git+{git:lib}@main")
    assert made.lock().code == 0
    git(place, "checkout", "--quiet", "--detach")
    git(place, "branch", "--delete", "--force", "main")
    made.ask("lib @ git+{git:lib}@main", "tool")
    again = made.lock()
    assert again.code == 0, again.stderr


def test_nothing_of_the_repository_runs(made: Bench) -> None:
    place = made.folder.parent / "repositories" / "lib"
    make_repository(place, [{"files": {"pyproject.toml": LIB.format("[]")}}])
    trap = made.folder.parent / "trap"
    for hook in ("post-checkout", "post-merge", "reference-transaction"):
        path = place / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {trap}\n", encoding="utf-8")
        path.chmod(0o755)
    made.ask("lib @ git+{git:lib}")
    assert made.lock().code == 0
    assert not trap.exists()


def test_a_wheel_that_does_not_fit_is_said(made: Bench) -> None:
    made.hold({**RELEASES, "lib 1.0": {"wheels": ["cp39-cp39-win_amd64"]}})
    made.ask("lib @ {file:lib-1.0-cp39-cp39-win_amd64.whl}")
    ran = made.lock()
    assert ran.code == 1
    assert "its tags cp39-cp39-win_amd64 do not fit" in ran.stderr


def test_two_sources_of_one_project_are_said(made: Bench) -> None:
    made.ask("own @ ./own", "other @ ./other")
    made.write({"own/pyproject.toml": TREE.format("[]", "[]")})
    made.write({"third/pyproject.toml": TREE.format("[]", "[]")})
    other = '[project]\nname = "other"\nversion = "1"\ndependencies = ["own @ file:../third"]\n[build-system]\nrequires = []\n'
    made.write({"other/pyproject.toml": other})
    ran = made.lock()
    assert ran.code == 1
    assert "own can come from one URL only" in ran.stderr


def test_another_projects_folder_is_refused(made: Bench) -> None:
    made.ask("lib @ ./own")
    made.write({"own/pyproject.toml": TREE.format("[]", "[]")})
    ran = made.lock()
    assert ran.code == 4
    assert "pyproject.toml:4" in ran.stderr
    assert "is the project 'own', not 'lib'" in ran.stderr


def test_an_archive_of_each_platform(made: Bench) -> None:
    tags = {"linux": "cp313-cp313-manylinux_2_28_x86_64", "win32": "cp313-cp313-win_amd64"}
    made.platforms = ("x86_64-manylinux_2_28", "x86_64-windows")
    made.hold({**RELEASES, "lib 1.0": {"wheels": list(tags.values())}, "user 1.0": {"requires": ["lib"]}})
    made.ask("user", *(f"lib @ {{file:lib-1.0-{tag}.whl}} ; sys_platform == '{key}'" for key, tag in tags.items()))
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert len(re.findall(r"^archive = ", ran.text, re.MULTILINE)) == 2
    assert not [path for path in ran.asked if path.startswith("/simple/lib/")]
    assert made.lock("--check").code == 0


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("./a/../b", "./b"),
        ("../a b", "../a%20b"),
        ("file:///srv/a", "/srv/a"),
        (".", "."),
        (
            "git+https://user:hunter2@git.example/a.git@v1#subdirectory=b/",
            "git+https://git.example/a.git@v1#subdirectory=b",
        ),
        ("git+ssh://git@git.example/a.git", "git+ssh://git@git.example/a.git"),
        (
            "https://user:hunter2@files.example/a.whl#sha256=" + "A" * 64,
            "https://files.example/a.whl#sha256=" + "a" * 64,
        ),
    ],
)
def test_a_reference_has_one_form(written: str, text: str) -> None:
    reference = parse_reference(written)
    assert str(reference) == text
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "written",
    [
        "--upload-pack=x",
        "git+https://git.example/a@-x",
        "git+https://git.example/a@a..b",
        "git+ext::sh",
        "git+git://git.example/a",
        "https:///a.whl",
        "https://[a",
        "./a#subdirectory=../b",
        "./a#sha256=1",
        "file://server/a",
        "./a\nb",
    ],
)
def test_what_is_no_reference(written: str) -> None:
    with pytest.raises(RequirementInvalid):
        parse_reference(written)
