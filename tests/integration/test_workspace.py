"""A workspace: one lock has all members, each member installs its part of it, and a change of one moves no other."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from deep_lock.cli.main import run
from deep_lock.locking import excluding_scopes
from tests.support import scenarios
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, bench

ZIPPER = (Path(__file__).parents[2] / "fixtures" / "building" / "zipper.py").read_text(encoding="utf-8")
BUILD = '[build-system]\nrequires = ["zipper"]\nbuild-backend = "zipper"\n'
ROOT = """\
[project]
name = "site"
version = "1"
dependencies = ["core", "base"]

[project.optional-dependencies]
fast = ["engine"]

[dependency-groups]
dev = ["check"]

[tool.uv.workspace]
members = ["packages/*"]

[tool.uv.sources]
core = { workspace = true }
"""
VIRTUAL = """\
[dependency-groups]
dev = ["check"]

[tool.deep-lock.workspace]
members = ["packages/*"]

[tool.deep-lock.sources]
core = { workspace = true }
"""
CORE = f"""\
[project]
name = "core"
version = "1"
dependencies = ["shared"]

[project.optional-dependencies]
fast = ["speedups; sys_platform == 'win32'", "engine<2"]

[dependency-groups]
dev = ["check<2"]
docs = ["draw"]

{BUILD}"""
WEB = f"""\
[project]
name = "web"
version = "1"
dependencies = ["core", "pages"]

[project.optional-dependencies]
fast = ["core[fast]"]

[dependency-groups]
dev = ["check", "web-tests"]

{BUILD}"""
FILES = {"pyproject.toml": ROOT, "packages/core/pyproject.toml": CORE, "packages/web/pyproject.toml": WEB}
NAMES = ("base", "check", "draw", "engine", "pages", "shared", "speedups", "web-tests")
RELEASES: Releases = {
    **{f"{name} 1.0": {} for name in NAMES},
    "check 2.0": {},
    "engine 2.0": {},
    "zipper 1.0": {"modules": {"zipper.py": ZIPPER}},
}
NEWER: Releases = {**RELEASES, **{f"{name} 3.0": {} for name in NAMES}}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.platforms = (LINUX, WINDOWS)
        own.write(FILES)
        monkeypatch.chdir(own.folder)
        yield own


def virtual(made: Bench) -> None:
    made.write({"pyproject.toml": VIRTUAL})


def said(made: Bench, *command: str, code: int = 0) -> str:
    """Run a command; returns stdout, or stderr where it must fail."""
    made.capture.readouterr()
    ended = run([*command])
    out, err = made.capture.readouterr()
    assert ended == code, err
    assert "Traceback" not in err
    return out if code == 0 else err


def exported(made: Bench, *options: str) -> list[str]:
    """Return the requirements of an export on Linux, without hashes."""
    target = ["--target", made.targets[0].label]
    lines = said(made, "export", "-f", "requirements", *target, *options).splitlines()
    return sorted(line.split(" ")[0] for line in lines if line and line[0] not in "# ")


# -- what is selected


SELECTED: Mapping[str, tuple[str, str, list[str]]] = {
    "the root": ("", "site", ["base==1.0", "core", "shared==1.0"]),
    "a member": ("", "core", ["core", "shared==1.0"]),
    "a member that requires another one": ("", "web", ["core", "pages==1.0", "shared==1.0", "web"]),
    "an extra of the root": ("fast", "site", ["base==1.0", "core", "engine==1.0", "shared==1.0"]),
    "an extra of a member": ("core-extra-fast", "core", ["core", "engine==1.0", "shared==1.0"]),
    "a group of the root": ("", "dev", ["check==1.0"]),
    "a group of a member": ("", "web-group-dev", ["check==1.0", "web-tests==1.0"]),
    "both": ("", "core core-group-docs", ["core", "draw==1.0", "shared==1.0"]),
}


@pytest.mark.parametrize("case", SELECTED)
def test_each_member_and_its_extras_and_groups_are_selected_alone(made: Bench, case: str) -> None:
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    extras, groups, expected = SELECTED[case]
    parsed, target = Pylock.from_dict(tomllib.loads(ended.text)), made.targets[0]
    assert scenarios.selected(parsed, target, extras=extras.split(), groups=groups.split()) == expected


def test_the_root_is_what_is_installed_by_default(made: Bench) -> None:
    assert made.lock().lock.default_groups == ("site",)
    assert exported(made) == ["base==1.0", "core", "shared==1.0"]
    virtual(made)
    assert made.lock().lock.default_groups == ("core", "web")
    assert exported(made) == ["core", "pages==1.0", "shared==1.0", "web"]


@pytest.mark.parametrize("kind", ["a project", "virtual"])
def test_the_lock_is_read_back_and_stays_the_same(made: Bench, kind: str) -> None:
    if kind == "virtual":
        virtual(made)
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    scenarios.check_whole(made, ended)
    again = made.lock("--check")
    assert (again.code, again.asked) == (0, ())
    made.hold(NEWER)
    assert made.lock("--refresh").text == ended.text
    (made.folder / "deep.lock").unlink()
    made.hold(RELEASES)
    assert made.lock("--refresh").text == ended.text


EXPORTS: Mapping[str, tuple[list[str], list[str]]] = {
    "nothing": ([], ["base==1.0", "core", "shared==1.0"]),
    "an extra of the root": (["--extra", "fast"], ["base==1.0", "core", "engine==1.0", "shared==1.0"]),
    "an extra of a member, which selects the member too": (
        ["--extra", "web-extra-fast"],
        ["base==1.0", "core", "engine==1.0", "pages==1.0", "shared==1.0", "web"],
    ),
    "a group of a member": (["--group", "core-group-docs"], ["base==1.0", "core", "draw==1.0", "shared==1.0"]),
    "a member": (["--package", "core"], ["core", "shared==1.0"]),
    "a member as it writes its name": (["--package", "Core"], ["core", "shared==1.0"]),
    "a member and its extra": (["--package", "core", "--extra", "fast"], ["core", "engine==1.0", "shared==1.0"]),
    "a member and its group": (["--package", "core", "--group", "docs"], ["core", "draw==1.0", "shared==1.0"]),
    "a member and all it has": (
        ["--package", "web", "--all-extras", "--all-groups"],
        ["check==1.0", "core", "engine==1.0", "pages==1.0", "shared==1.0", "web", "web-tests==1.0"],
    ),
    "the root and its group": (
        ["--package", "site", "--group", "dev"],
        ["base==1.0", "check==1.0", "core", "shared==1.0"],
    ),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_an_export_has_what_is_selected(made: Bench, case: str) -> None:
    assert made.lock().code == 0
    options, expected = EXPORTS[case]
    assert exported(made, *options) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--package", "gone"], "deep.lock has no member 'gone'\nhint: it has: core, site, web"),
        (["--package", "core", "--extra", "core-extra-fast"], "deep.lock has no extra 'core-extra-fast'"),
        (["--package", "core", "--group", "web-group-dev"], "deep.lock has no group 'web-group-dev'"),
        (["--group", "docs"], "deep.lock has no group 'docs'"),
    ],
)
def test_a_name_that_is_not_there_is_refused(made: Bench, options: list[str], message: str) -> None:
    assert made.lock().code == 0
    assert message in said(made, "export", "-f", "requirements", *options, code=2)


def test_the_lock_of_one_project_has_no_members(made: Bench) -> None:
    shutil.rmtree(made.folder / "packages")
    made.ask("base")
    assert made.lock().code == 0
    said_ = said(made, "tree", "--package", "site", code=2)
    assert "deep.lock has no member 'site'\nhint: it is the lock of one project, and of no workspace" in said_


LOCKED: Mapping[str, tuple[list[str], str, str]] = {
    "one group": (["--group", "core-group-docs"], "core core-group-docs web", "core-extra-fast fast web-extra-fast"),
    "no group but some members": (["--only-group", "web"], "web", ""),
    "no default groups": (["--no-default-groups"], "core core-group-docs web", "core-extra-fast fast web-extra-fast"),
    "one extra": (
        ["--extra", "core-extra-fast"],
        "core core-group-dev core-group-docs dev web web-group-dev",
        "core-extra-fast",
    ),
}


@pytest.mark.parametrize("case", LOCKED)
def test_a_lock_of_some_groups_and_extras(made: Bench, case: str) -> None:
    options, groups, extras = LOCKED[case]
    ended = made.lock(*options)
    assert ended.code == 0, ended.stderr
    lock = ended.lock
    assert (" ".join(lock.dependency_groups), " ".join(lock.extras)) == (groups, extras)
    assert lock.default_groups == (() if "--only-group" in options else ("site",))
    assert made.lock(*options, "--check").code == 0
    scenarios.check_whole(made, ended)


def test_a_member_that_is_not_locked_is_not_an_empty_one(made: Bench) -> None:
    assert made.lock("--only-group", "web").code == 0
    assert exported(made, "--package", "web", "--no-extras") == ["core", "pages==1.0", "shared==1.0", "web"]
    message = said(made, "export", "-f", "requirements", "--package", "core", code=2)
    assert "deep.lock: member 'core' is not locked: the lock is of some groups only" in message


# -- what is refused


def member(name: str, *more: str) -> str:
    return "\n".join(["[project]", f'name = "{name}"', 'version = "1"', *more])


REFUSED: Mapping[str, tuple[dict[str, str], str]] = {
    "two members of one name": (
        {"packages/web/pyproject.toml": member("Core")},
        "packages/web/pyproject.toml and packages/core/pyproject.toml: both would be the group 'core' of the lock",
    ),
    "a member with the name of the root": (
        {"packages/web/pyproject.toml": member("site")},
        "both would be the group 'site' of the lock",
    ),
    "a member with the name of a group of another one": (
        {"packages/web/pyproject.toml": member("core-group-dev")},
        "packages/web/pyproject.toml and packages/core/pyproject.toml: both would be the group 'core-group-dev'",
    ),
    "a member with the name of a group of a virtual root": (
        {"pyproject.toml": VIRTUAL, "packages/web/pyproject.toml": member("dev")},
        "packages/web/pyproject.toml and pyproject.toml: both would be the group 'dev' of the lock",
    ),
    "a member without a name": (
        {"packages/web/pyproject.toml": '[dependency-groups]\ndev = ["check"]\n'},
        "packages/web/pyproject.toml: is in a member of the workspace, and names no project",
    ),
    "a member that is no TOML": ({"packages/web/pyproject.toml": "[project\n"}, "packages/web/pyproject.toml: is not"),
    "a member with a wrong requirement": (
        {"packages/web/pyproject.toml": member("web", 'dependencies = ["base>>1"]')},
        "packages/web/pyproject.toml:4 [project.dependencies]: 'base>>1' is not a valid requirement",
    ),
    "a group that cannot be read": (
        {"packages/core/pyproject.toml": CORE.replace('["draw"]', '[{include-group = "gone"}]')},
        "packages/core/pyproject.toml: dependency group 'docs': dependency group gone is included (docs -> gone)",
    ),
    "no Python for all": (
        {
            "packages/core/pyproject.toml": member("core", 'requires-python = ">=3.12"'),
            "packages/web/pyproject.toml": member("web", 'requires-python = "<3.12"'),
        },
        "packages/core/pyproject.toml has '>=3.12', packages/web/pyproject.toml has '<3.12'",
    ),
    "a member without a source": (
        {"packages/web/pyproject.toml": WEB, "pyproject.toml": ROOT.partition("[tool.uv.sources]")[0]},
        "core is a member of the workspace and has no source",
    ),
    "a pattern that is none": (
        {"pyproject.toml": ROOT.replace("packages/*", "/packages/*")},
        "the workspace has the pattern '/packages/*'",
    ),
    "no member and no project": (
        {"pyproject.toml": '[tool.uv.workspace]\nmembers = ["pkgs/*"]\n'},
        "pyproject.toml: describes no project, and its workspace has no members",
    ),
    "a conflict with a package that is no member": (
        {"pyproject.toml": f'{ROOT}[tool.deep-lock]\nconflicts = [[{{package = "core"}}, {{package = "gone"}}]]\n'},
        "conflicts names the package 'gone', which pyproject.toml does not have\nhint: it has: core, site, web",
    ),
    "a conflict with an extra that a member does not have": (
        {
            "pyproject.toml": f'{ROOT}[tool.deep-lock]\nconflicts = [[{{package = "core"}}, {{package = "web", '
            'extra = "slow"}]]\n'
        },
        "conflicts names extra 'slow' of the package 'web'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_locked_is_refused_and_the_old_lock_stays(made: Bench, case: str) -> None:
    before = made.lock()
    assert before.code == 0, before.stderr
    files, message = REFUSED[case]
    made.write(files)
    ended = made.lock()
    assert ended.code == 2, ended.stderr
    assert message in ended.stderr
    assert "hint: " in ended.stderr or "is not" in ended.stderr
    assert ended.text == before.text


# -- what changes


CHANGES: Mapping[str, tuple[dict[str, str], list[str]]] = {
    "a requirement of a member": (
        {"packages/web/pyproject.toml": WEB.replace('"pages"', '"pages", "draw"')},
        ["member 'web' now requires 'draw'"],
    ),
    "an extra": (
        {"packages/core/pyproject.toml": CORE.replace("engine<2", "engine<3")},
        ["member 'core' now requires 'engine<3; extra == \"fast\"' instead of 'engine<2; extra == \"fast\"'"],
    ),
    "a group": (
        {"packages/core/pyproject.toml": CORE.replace('["draw"]', '["draw>=1"]')},
        ["group 'docs' of member 'core' now requires 'draw>=1' instead of 'draw'"],
    ),
    "a new group": (
        {"packages/core/pyproject.toml": CORE.replace("docs =", "more = []\ndocs =")},
        ["group 'more' of member 'core' was added"],
    ),
    "a group of the root": (
        {"pyproject.toml": ROOT.replace('dev = ["check"]', 'dev = ["check<2"]')},
        ["group 'dev' now requires 'check<2' instead of 'check'"],
    ),
    "the build of a member": (
        {"packages/web/pyproject.toml": WEB.replace('["zipper"]', '["zipper", "base"]')},
        ["the [build-system] of member 'web' now requires 'base'"],
    ),
    "a new member": ({"packages/new/pyproject.toml": member("new")}, ["member 'new' was added"]),
    "a member of another name": (
        {"packages/web/pyproject.toml": WEB.replace('name = "web"', 'name = "net"')},
        ["member 'net' was added", "member 'web' was removed"],
    ),
    "requires-python of a member": (
        {"packages/web/pyproject.toml": WEB.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.9"')},
        [
            "requires-python changed from nothing to >=3.9",
            "requires-python of member 'web' changed from nothing to >=3.9",
        ],
    ),
    "a conflict": (
        {
            "pyproject.toml": f'{ROOT}[tool.deep-lock]\nconflicts = [[{{package = "web"}}, {{package = "core", extra = "fast"}}]]\n'
        },
        ["the conflict of extra 'fast' of member 'core' and member 'web' was added"],
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_check_names_the_member(made: Bench, case: str) -> None:
    assert made.lock().code == 0
    files, sentences = CHANGES[case]
    made.write(files)
    ended = made.lock("--check")
    assert ended.code == 1
    said_ = [line.strip() for line in ended.stderr.splitlines()[1:-1]]
    assert said_ == sentences
    assert made.lock().code == 0
    assert made.lock("--check").code == 0


def test_a_member_that_is_moved_is_named(made: Bench) -> None:
    assert made.lock().code == 0
    shutil.move(made.folder / "packages" / "web", made.folder / "packages" / "net")
    ended = made.lock("--check")
    assert ended.code == 1
    assert ended.stderr.splitlines()[1] == "  member 'web' moved from packages/web to packages/net"
    assert "was removed" not in ended.stderr
    shutil.rmtree(made.folder / "packages" / "net")
    ended = made.lock("--check")
    assert ended.code == 1
    assert ended.stderr.splitlines()[1:-1] == ["  member 'web' was removed"]


def test_a_change_in_one_member_moves_only_what_it_must(made: Bench) -> None:
    before = made.lock().text
    made.hold(NEWER)
    made.write({"packages/web/pyproject.toml": WEB.replace('"pages"', '"pages>=2"')})
    ended = made.lock("--refresh")
    assert ended.code == 0, ended.stderr
    versions = {entry.name: entry.version for entry in ended.lock.packages if entry.version != "1.0"}
    assert versions == {"core": None, "pages": "3.0", "web": None}
    new = [line for line in ended.text.splitlines() if line not in before.splitlines()]
    assert all("pages" in line or line == 'version = "3.0"' for line in new), new


def test_an_upgrade_of_one_package_moves_it_in_all_members(made: Bench) -> None:
    assert made.lock().code == 0
    made.hold(NEWER)
    ended = made.lock("--refresh", "-P", "shared", "-P", "check")
    assert ended.code == 0, ended.stderr
    versions = {entry.name: entry.version for entry in ended.lock.packages if entry.version != "1.0"}
    assert versions == {"core": None, "shared": "3.0", "web": None}, "check<2 of core holds for all"


# -- conflicts


APART = {
    "packages/core/pyproject.toml": CORE.replace('["shared"]', '["shared", "engine<2"]'),
    "packages/web/pyproject.toml": WEB.replace('"core", "pages"', '"pages", "engine>=2"').replace(
        'fast = ["core[fast]"]', 'old = ["pages<1"]'
    ),
}
DECLARED = '[tool.uv]\nconflicts = [[{package = "core"}, {package = "web"}], [{package = "site"}, {package = "web"}]]\n'


def test_members_that_exclude_each_other_are_named_with_the_lines_to_declare_it(made: Bench) -> None:
    virtual(made)
    made.write(
        {**APART, "packages/web/pyproject.toml": APART["packages/web/pyproject.toml"].replace("pages<1", "pages")}
    )
    ended = made.lock()
    assert ended.code == 1
    assert "member 'core' and member 'web' exclude each other." in ended.stderr
    block = ended.stderr.partition("[tool.deep-lock]\n")[2]
    assert block == 'conflicts = [[{package = "core"}, {package = "web"}]]\n'
    made.write({"pyproject.toml": f"[tool.deep-lock]\n{block}{VIRTUAL}"})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert ended.lock.default_groups == ()
    assert exported(made, "--package", "core", "--no-extras") == ["core", "engine==1.0", "shared==1.0"]
    assert exported(made, "--package", "web", "--no-extras") == ["engine==2.0", "pages==1.0", "web"]
    assert exported(made, "--group", "web") == ["engine==2.0", "pages==1.0", "web"]
    message = said(made, "export", "-f", "requirements", "--group", "web", "--extra", "core-extra-fast", code=2)
    assert "group 'core' and group 'web' cannot be selected together" in message


def test_a_member_in_conflict_with_the_root(made: Bench) -> None:
    made.write(
        {**APART, "packages/web/pyproject.toml": APART["packages/web/pyproject.toml"].replace("pages<1", "pages")}
    )
    made.write({"pyproject.toml": ROOT.replace('"core", "base"', '"core", "base", "engine<2"') + DECLARED})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert ended.lock.default_groups == ("site",)
    assert exported(made) == ["base==1.0", "core", "engine==1.0", "shared==1.0"]
    assert exported(made, "--package", "web") == ["engine==2.0", "pages==1.0", "web"]
    assert "engine==2.0" in exported(made, "--package", "web", "--all-extras", "--all-groups")
    scenarios_text = said(made, "export", "-f", "pylock", "--package", "web")
    assert "core" not in scenarios_text.replace("packages/core", "")
    made.write({"pyproject.toml": ROOT.replace('"core", "base"', '"core", "base", "engine<2"')})
    assert "member 'web'" in made.lock("--check").stderr


# -- the other commands


def test_each_command_with_a_package_knows_its_part_alone(made: Bench) -> None:
    assert made.lock().code == 0
    others = ("pages", "web-tests", "base")
    text = said(made, "tree", "--package", "core")
    assert "shared 1.0" in text
    assert not [name for name in others if name in text]
    assert "core @ packages/core > shared 1.0" in said(made, "why", "shared", "--package", "core")
    assert "has no package" in said(made, "why", "pages", "--package", "core", code=2)
    for form in ("pylock", "cyclonedx", "spdx", "json", "mermaid", "dot", "build-constraints"):
        text = said(made, "export", "-f", form, "--package", "core")
        assert ("zipper" if form == "build-constraints" else "shared") in text, form
        assert not [name for name in others if re.search(rf"\b{name}\b", text)], form
    said(made, "export", "-f", "hermeto", "-d", "out", "--package", "core", "--no-extras", "--no-groups")
    assert "shared==1.0" in (made.folder / "out" / "requirements.txt").read_text(encoding="utf-8")
    said(made, "report", "-o", "page.html", "--package", "core")
    page = (made.folder / "page.html").read_text(encoding="utf-8")
    assert "speedups" in page
    assert not [name for name in others if f'"{name}"' in page]
    said(made, "fetch", "-d", "files", "--package", "core")
    found = sorted(path.name.partition("-")[0] for path in (made.folder / "files").iterdir())
    assert found == ["check", "draw", "engine", "shared", "speedups", "zipper"]


def test_a_document_of_a_member_has_its_own_names(made: Bench) -> None:
    assert made.lock().code == 0
    document = json.loads(said(made, "export", "-f", "json", "--package", "core"))
    assert (document["extras"], document["dependency-groups"]) == (["fast"], ["dev", "docs"])
    parsed = Pylock.from_dict(tomllib.loads(said(made, "export", "-f", "pylock", "--package", "core")))
    assert (parsed.extras, parsed.dependency_groups, parsed.default_groups) == (["fast"], ["dev", "docs"], None)
    windows = made.targets[1]
    assert scenarios.selected(parsed, windows, extras=[], groups=[]) == ["core", "shared==1.0"]
    with_extra = ["core", "engine==1.0", "shared==1.0", "speedups==1.0"]
    assert scenarios.selected(parsed, windows, extras=["fast"], groups=[]) == with_extra


# -- real installers


def installed(site: Path) -> list[str]:
    return sorted(path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info"))


def ran(made: Bench, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "", "UV_CACHE_DIR": str(made.folder.parent / "uv"), "UV_PYTHON_DOWNLOADS": "never"}
    environ |= {"SOURCE_DATE_EPOCH": "1700000000", "UV_NO_CONFIG": "1", "HOME": str(made.folder.parent)}
    return subprocess.run(command, cwd=made.folder, env=environ, capture_output=True, text=True, check=False)


PIP = [sys.executable, "-m", "pip", "install", "--isolated", "--no-input", "--disable-pip-version-check"]
UV = [str(Path(sys.executable).with_name("uv")), "pip"]
MEMBERS: Mapping[str, tuple[list[str], list[str]]] = {
    "site": (["--no-extras", "--no-groups"], ["base-1.0", "core-1", "shared-1.0"]),
    "core": (["--extra", "fast", "--no-groups"], ["core-1", "engine-1.0", "shared-1.0"]),
    "web": (
        ["--no-extras", "--group", "dev"],
        ["check-1.0", "core-1", "pages-1.0", "shared-1.0", "web-1", "web_tests-1.0"],
    ),
}


@pytest.fixture
def locked(made: Bench) -> Bench:
    """A workspace that is locked for this machine; the index has newer releases by then."""
    made.pythons, made.platforms = (MINOR,), ("host",)
    for name in ("core", "web"):
        info = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        made.write({f"packages/{name}/PKG-INFO": info, f"packages/{name}/{name}.py": f"NAME = '{name}'\n"})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    made.hold({**NEWER, "zipper 2.0": {}})
    return made


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("form", ["pylock", "requirements"])
def test_uv_installs_a_member(locked: Bench, name: str, form: str) -> None:
    options, expected = MEMBERS[name]
    place = "pylock.toml" if form == "pylock" else "requirements.txt"
    said(locked, "export", "-f", form, "-o", place, "--package", name, *options)
    said(locked, "export", "-f", "build-constraints", "-o", "build.txt", "--package", name)
    site = locked.folder / "site"
    wanted = ["sync", place, "--preview"] if form == "pylock" else ["install", "-r", place]
    choice = [own for own in options if not own.startswith("--no-")] if form == "pylock" else []
    flags = ["--target", str(site), "--python", sys.executable, "--default-index", locked.server.url]
    ended = ran(locked, *UV, *wanted, *choice, *flags, "--build-constraint", "build.txt", "--no-sources")
    assert ended.returncode == 0, ended.stderr
    assert installed(site) == expected


@pytest.mark.parametrize("name", MEMBERS)
def test_pip_installs_a_member_from_its_wheelhouse(locked: Bench, name: str) -> None:
    options, expected = MEMBERS[name]
    folders = {"core-1", "web-1"}
    said(locked, "wheelhouse", "-d", "wheels", "--package", name, *options, "--hooks=trust")
    wheels = sorted("-".join(path.name.split("-")[:2]) for path in (locked.folder / "wheels").glob("*.whl"))
    assert wheels == [own for own in expected if own not in folders], "the members themselves are left out"
    site = locked.folder / "site"
    listed = (locked.folder / "wheels" / "requirements.txt").read_text(encoding="utf-8")
    assert "packages/" not in listed
    where = ["--no-index", "--find-links", "wheels", "--require-hashes", "-r", "wheels/requirements.txt"]
    ended = ran(locked, *PIP, "--target", str(site), *where)
    assert ended.returncode == 0, ended.stderr
    assert installed(site) == wheels


def test_pip_refuses_folders_next_to_hashes_as_the_export_says(locked: Bench) -> None:
    locked.capture.readouterr()
    assert run(["export", "-f", "requirements", "-o", "r.txt", "--package", "core"]) == 0
    assert "pip refuses such a file, uv accepts it" in locked.capture.readouterr().err
    ended = ran(locked, *PIP, "--target", str(locked.folder / "site"), "--index-url", locked.server.url, "-r", "r.txt")
    assert ended.returncode == 1
    assert "Can't verify hashes" in ended.stderr


def test_a_hint_that_would_take_too_long_does_not_replace_the_error(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    virtual(made)
    made.write(APART)
    monkeypatch.setattr(excluding_scopes, "MAX_ROUNDS", 1)
    ended = made.lock()
    assert ended.code == 1
    assert "core 1 requires engine<2" in ended.stderr
    assert "attempts" not in ended.stderr
    assert "exclude each other" not in ended.stderr


def test_conflicts_of_many_members_are_declared_as_one(made: Bench) -> None:
    """One member excludes six others, which could be combined in 64 ways."""
    shutil.rmtree(made.folder / "packages")
    virtual(made)
    others = [f"new{number}" for number in range(6)]
    made.write({f"packages/{name}/pyproject.toml": member(name, 'dependencies = ["engine>=2"]') for name in others})
    made.write({"packages/old/pyproject.toml": member("old", 'dependencies = ["engine<2"]')})
    ended = made.lock()
    assert ended.code == 1
    block = ended.stderr.partition("[tool.deep-lock]\n")[2]
    names = ", ".join(f'{{package = "{name}"}}' for name in [*others, "old"])
    assert block == f"conflicts = [[{names}]]\n"
    made.write({"pyproject.toml": f"[tool.deep-lock]\n{block}{VIRTUAL}"})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert exported(made, "--package", "old") == ["engine==1.0"]
    assert exported(made, "--package", "new3") == ["engine==2.0"]
