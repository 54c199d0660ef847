"""Commands that run in the folder of a member work on the lock of the workspace, as in uv."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import Lock
from tests.support import workspace
from tests.support.scenarios import Bench, bench


class Members(Bench):
    """A workspace, and commands in the folder of a member."""

    def run(self, command: str, member: str, *arguments: str) -> tuple[int, str]:
        """Run a command in the folder of a member; return its code and stderr."""
        flags = self.flags()
        flags[flags.index("--project") + 1] = str(self.folder / member)
        self.capture.readouterr()
        code = run([command, *flags, *arguments])
        output = self.capture.readouterr()
        assert "Traceback" not in output.err
        return code, output.err

    @property
    def locked(self) -> Lock:
        return from_text((self.folder / "deep.lock").read_text(encoding="utf-8"), "deep.lock")

    def text(self, member: str) -> str:
        return (self.folder / member / "pyproject.toml").read_text(encoding="utf-8")

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*.*") if path.is_file()
        }


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Members]:
    with bench(tmp_path, capfd, monkeypatch, workspace.RELEASES) as own:
        members = Members(folder=own.folder, capture=own.capture, servers=own.servers, told=own.told)
        members.write(workspace.FILES)
        yield members


def test_lock_in_a_member_makes_the_lock_of_the_workspace(made: Members) -> None:
    code, err = made.run("lock", "packages/web")
    assert code == 0, err
    assert "wrote ../../deep.lock\n" in err
    assert not (made.folder / "packages" / "web" / "deep.lock").exists()
    text = (made.folder / "deep.lock").read_text(encoding="utf-8")
    assert made.lock().text == text, "the lock is that of the root"
    assert made.run("lock", "packages/core", "--check") == (0, "../../deep.lock is up to date\n")


def test_a_member_in_the_current_folder(made: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made.lock().code == 0
    monkeypatch.chdir(made.folder / "tools" / "cli")
    monkeypatch.setenv("DEEP_LOCK_DEFAULT_INDEX", made.server.url)
    assert run(["lock", "--check"]) == 0
    assert "../../deep.lock is up to date\n" in made.capture.readouterr().err
    assert run(["tree"]) == 2
    assert "a member of a workspace, whose lock is ../../deep.lock: --lock FILE" in made.capture.readouterr().err
    assert run(["tree", "--lock", "../../deep.lock", "--package", "cli"]) == 0
    assert "rich 13.0" in made.capture.readouterr().out


def test_check_in_a_member_names_the_member_that_is_stale(made: Members) -> None:
    assert made.lock().code == 0
    path = made.folder / "packages" / "worker" / "pyproject.toml"
    path.write_text(made.text("packages/worker").replace('"queue"', '"queue>=5"'), encoding="utf-8")
    code, err = made.run("lock", "packages/web", "--check")
    assert code == 1
    assert err.startswith("error: ../../deep.lock is stale:\n  member 'worker' ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["helper"], '    "flask",\n    "helper>=2.0",\n'),
        (["helper", "--extra", "db"], '    "driver",\n    "helper>=2.0",\n'),
        (["helper", "--group", "dev"], '    "helper>=2.0",\n    "tester",\n'),
        (["extra-tool", "--build"], 'requires = ["extra-tool>=1.0", "flit-core"]'),
    ],
)
def test_add_edits_the_member_and_locks_the_workspace(made: Members, arguments: list[str], line: str) -> None:
    assert made.lock().code == 0
    before = made.files()
    code, err = made.run("add", "packages/web", *arguments)
    assert code == 0, err
    assert line in made.text("packages/web")
    assert "warning" not in err
    assert f"wrote ../../deep.lock\n  {'build tools:' if '--build' in arguments else '+ helper 2.0'}" in err
    changed = {name for name, content in made.files().items() if before.get(name) != content}
    assert changed == {"packages/web/pyproject.toml", "deep.lock"}
    assert made.lock("--check").code == 0
    assert made.run("remove", "packages/web", *arguments)[0] == 0
    assert made.files()["deep.lock"] == before["deep.lock"]


def test_a_requirement_of_a_member_is_direct(made: Members) -> None:
    assert made.lock().code == 0
    direct = {entry.name for entry in made.locked.packages if entry.direct}
    assert direct == {"cli", "clicker", "core", "driver", "flask", "linter", "queue", "rich", "tester", "web", "worker"}
    assert run(["tree", "--lock", str(made.folder / "deep.lock")]) == 0
    roots = [line for line in made.capture.readouterr().out.splitlines() if line[0].isalpha()]
    assert roots == [
        "cli @ tools/cli",
        "core @ packages/core",
        "linter 1.0",
        "tester 8.0",
        "web @ packages/web",
        "worker @ packages/worker",
    ]


def test_a_failed_add_leaves_the_member_and_the_lock(made: Members) -> None:
    assert made.lock().code == 0
    before = made.files()
    assert made.run("add", "packages/web", "flask<2")[0] == 1
    assert made.files() == before


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write anywhere")
def test_a_lock_that_cannot_be_written_restores_the_member(made: Members) -> None:
    assert made.lock().code == 0
    before = made.files()
    made.folder.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        assert made.run("add", "packages/web", "helper")[0] == 2
    finally:
        made.folder.chmod(0o755)
    assert made.files() == before


def test_where_another_tool_decides_the_workspace_nothing_is_added_to_a_member(made: Members) -> None:
    made.write(
        {"pyproject.toml": workspace.ROOT + '[tool.deep-lock]\nfrom-lock = "uv.lock"\n', "uv.lock": "version = 1\n"}
    )
    code, err = made.run("add", "packages/web", "helper")
    assert code == 2
    assert "uv.lock decides the packages of the run time (from-lock)" in err


@pytest.mark.parametrize("option", ["--output", "from-lock"])
def test_a_member_may_have_a_lock_of_its_own(made: Members, option: str) -> None:
    folder = made.folder / "packages" / "core"
    if option == "--output":
        code, err = made.run("lock", "packages/core", "--output", str(folder / "deep.lock"))
    else:
        (folder / "pins.txt").write_text("clicker==8.0\n", encoding="utf-8")
        text = made.text("packages/core") + '[tool.deep-lock]\nfrom-lock = "pins.txt"\n'
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
        code, err = made.run("lock", "packages/core")
    assert code == 0, err
    assert "wrote deep.lock\n" in err
    assert not (made.folder / "deep.lock").exists()
    own = from_text((folder / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    assert [entry.name for entry in own.packages if not entry.build_only] == ["clicker"]


@pytest.mark.parametrize("table", ["[tool.deep-lock.workspace]", "[workspace]"])
def test_the_workspace_may_be_in_the_configuration_of_deep_lock(made: Members, table: str) -> None:
    text = workspace.ROOT.replace("[tool.uv.workspace]", table)
    if table == "[workspace]":
        start = text.index(table)
        text, rest = text[:start], text[start:]
        made.write({"deep-lock.toml": rest.partition("[tool.uv")[0]})
        text += "[tool.uv" + rest.partition("[tool.uv")[2]
    made.write({"pyproject.toml": text})
    code, err = made.run("lock", "tools/cli")
    assert code == 0, err
    assert "wrote ../../deep.lock" in err
    assert {member.name for member in made.locked.inputs.members} == {"cli", "core", "umbrella", "web", "worker"}


def test_a_folder_that_is_excluded_is_a_project_of_its_own(made: Members) -> None:
    made.write(
        {
            "pyproject.toml": workspace.ROOT.replace(
                "\n\n[tool.uv.sources]", '\nexclude = ["tools/cli"]\n\n[tool.uv.sources]'
            )
        }
    )
    code, err = made.run("lock", "tools/cli")
    assert code == 0, err
    assert (made.folder / "tools" / "cli" / "deep.lock").is_file()
    assert not (made.folder / "deep.lock").exists()


def test_init_in_a_member_names_the_root(made: Members) -> None:
    assert run(["init", "--project", str(made.folder / "tools" / "cli")]) == 0
    err = made.capture.readouterr().err
    assert f"is a member of the workspace in {made.folder.resolve()}" in err
    assert "run deep-lock init there" in err
