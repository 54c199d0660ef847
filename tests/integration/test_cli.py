"""The command line: exit codes, streams, and what is refused."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from deep_lock import __version__
from deep_lock.cli import progress_line
from deep_lock.cli.main import run
from deep_lock.cli.progress import Progress
from deep_lock.cli.session import FOREIGN_INDEX_SETTINGS
from deep_lock.config.options import LockOptions
from deep_lock.errors import ProjectInvalid
from deep_lock.events import Building, Fetched, Fetching, Reporter, Solving, TargetStarted, Warned
from deep_lock.locking.lock import Outcome, lock
from deep_lock.project.files import MAX_INPUT_BYTES
from tests.support.scenarios import bench

PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = []\n'
TARGET = ["--python-version", "3.13", "--platform", "x86_64-windows"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    own = tmp_path / "project"
    own.mkdir()
    (own / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return own


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--version"], __version__),
        (["--help"], "Exit codes"),
        (["lock", "--help"], "--build-scope"),
        (["cache", "-h"], "prune"),
    ],
)
def test_help_is_data(arguments: list[str], text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    out, err = capfd.readouterr()
    assert text in out
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lokc"], "error: there is no command lokc\nhint: did you mean lock?\n"),
        (["vet", "chek"], "error: there is no command vet chek\nhint: did you mean vet check?\n"),
        (["cache"], "error: a command is missing\nhint: deep-lock cache --help lists the commands\n"),
        (["lock", "--zzz"], "error: there is no option --zzz\nhint: deep-lock lock --help shows the usage\n"),
        (
            ["lock", "--plaform", "x"],
            "error: there is no option --plaform\nhint: did you mean --platform? deep-lock lock --help",
        ),
        (["lock", "--resolution", "hihgest"], "did you mean highest?"),
        (["lock", "--resolution", "newest"], "error: invalid value for --resolution: 'newest' is not one of"),
        (["lock", "--project", "nowhere"], "nowhere"),
        (["lock", "--all-extras", "--extra", "x"], "--all-extras and --extra cannot be used together"),
        (["lock", "--python-version", "2.7"], "'2.7' is not a Python version"),
        (["lock", "--platform", "amiga"], "amiga"),
        (["lock", "--exclude-newer", "yesterday"], "yesterday"),
        (["lock", "--group", "nope"], "has no dependency group 'nope'"),
        (["lock", "--script", "pyproject.toml", "-r", "pyproject.toml"], "cannot be used together"),
        (["lock", "--no-index", "--default-index", "https://index.example/simple/"], "--no-index cannot be used with"),
    ],
)
def test_wrong_usage_is_2(
    folder: Path, arguments: list[str], text: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert text in err
    assert "Traceback" not in err
    assert not (folder / "deep.lock").exists()


@pytest.mark.parametrize(
    ("variable", "options", "is_colored"),
    [
        ("FORCE_COLOR", [], True),
        ("FORCE_COLOR", ["--color", "never"], False),
        ("NO_COLOR", ["--color", "always"], True),
    ],
)
def test_an_error_before_the_command_has_the_color_of_the_run(
    *,
    variable: str,
    options: list[str],
    is_colored: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "DEEP_LOCK_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    assert run([*options, "lokc"]) == 2
    assert ("\x1b[" in capfd.readouterr().err) == is_colored


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"pyproject.toml": "[project\n"}, "pyproject.toml"),
        ({"pyproject.toml": PROJECT + "[tool.deep-lock]\nresolutoin = 'lowest'\n"}, "did you mean 'resolution'?"),
        ({"pyproject.toml": PROJECT.replace("[]", '["a b c"]')}, "'a b c' is not a valid requirement"),
        ({"deep-lock.toml": "hooks = 'trust'\n"}, "is not allowed in a file"),
        ({"deep.lock": "lock-version = 1\n"}, "deep.lock"),
        ({"deep.lock": "\udcff"}, "deep.lock"),
        ({"pyproject.toml": "\udcff"}, "pyproject.toml"),
    ],
)
def test_unreadable_input_is_2(
    folder: Path, files: dict[str, str], text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    assert run(["lock", "--project", str(folder), *TARGET]) == 2
    assert text in capfd.readouterr().err


def test_a_file_of_any_size_is_not_read(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "deep-lock.toml").write_text("#" * (MAX_INPUT_BYTES + 1), encoding="utf-8")
    assert run(["lock", "--project", str(folder), *TARGET]) == 4
    assert f"more than {MAX_INPUT_BYTES} bytes" in capfd.readouterr().err


def test_no_project_at_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["lock", "--project", str(tmp_path)]) == 2
    assert "no pyproject.toml, setup.cfg or setup.py" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not delete the current folder of a process")
def test_the_current_folder_was_deleted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(["lock", "--check"]) == 2
    assert "error: the current folder was deleted\nhint: change to a folder that exists\n" in capfd.readouterr().err


def test_a_project_that_asks_for_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["lock", "--project", str(folder), "--no-index", *TARGET]) == 0
    assert "only wheels are installed" in capfd.readouterr().err
    assert run(["lock", "--project", str(folder), "--no-index", "--check", *TARGET]) == 0
    assert run(["-q", "lock", "--project", str(folder), "--no-index", *TARGET]) == 0
    assert "up to date" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_itself_is_replaced(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lock, loop = folder / "deep.lock", folder / "loop"
    lock.symlink_to(lock)
    assert run(["lock", "--project", str(folder)]) == 0
    assert not lock.is_symlink()
    for command in (["export", "-f", "json"], ["report"]):
        loop.symlink_to(loop)
        assert run([*command, "--lock", str(lock), "-o", str(loop)]) == 0
        assert not loop.is_symlink()
        loop.unlink()
    assert "Traceback" not in capfd.readouterr().err


def test_quiet_says_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["-q", "lock", "--project", str(folder), "--no-index", *TARGET]) == 0
    assert capfd.readouterr() == ("", "")


def test_flags_from_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEP_LOCK_LOCK_NO_INDEX", "1")
    monkeypatch.setenv("DEEP_LOCK_LOCK_RESOLUTION", "lowest")
    assert run(["lock", "--project", str(folder), *TARGET]) == 0, capfd.readouterr().err
    assert 'resolution = "lowest"' in (folder / "deep.lock").read_text(encoding="utf-8")


def test_index_settings_of_other_tools_are_told_of_and_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in FOREIGN_INDEX_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple/")
    assert run(["-v", "lock", "--project", str(folder), "--no-index", *TARGET]) == 0
    assert "not used without --index-from: PIP_INDEX_URL" in capfd.readouterr().err
    assert "index.example" not in (folder / "deep.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("asked", ["lib==1.0", "lib"])
def test_names_from_outside_cannot_write_to_the_terminal(
    asked: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = {"lib 1.0": {"yanked": "a\x1b[31mhole\nerror: forged\u202e"}}
    with bench(tmp_path, capfd, monkeypatch, releases) as made:
        made.ask(asked)
        ran = made.lock()
    assert "hole" in ran.stderr
    assert "\x1b[31m" not in ran.stderr
    assert "\u202e" not in ran.stderr
    assert "\nerror: forged" not in ran.stderr


def test_tracebacks_only_for_who_asks(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project\n", encoding="utf-8")
    with pytest.raises(ProjectInvalid, match=r"pyproject\.toml"):
        run(["-vv", "lock", "--project", str(folder)])


def test_the_live_line_tells_what_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(color=False) as live:
        live(Solving(subject="build of [red]odd 1.0", target="cp313"))
        assert live.line() == "0 s, solving build of [red]odd 1.0 on cp313"
        live(TargetStarted(target="cp313", number=3, total=12))
        live(Solving(subject="runtime", target="cp313"))
        assert live.line() == "3 of 12 targets, 0 s, solving runtime"
        for what in ("one", "two", "three\x1b[2J", "two"):
            live(Fetching(name=what))
        assert live.line() == "3 of 12 targets, 0 s, waiting for one and 2 more"
        live(Fetched(name="three\x1b[2J", size=2_500_000))
        live(Fetched(name="one"))
        live(Warned(code="x", subject="y", message="z"))
        assert live.line() == "3 of 12 targets, 2 fetched, 2.5 MB, 0 s, waiting for two"
        live(Fetching(name="a" + "\x1b[2J" * 30))
        assert len(live.line()) <= Console().width - 3
        assert live.line().endswith("...")
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b[2J" not in err


def test_a_log_has_a_line_for_a_step_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "SECONDS_BETWEEN_LINES", 0.01)
    written: list[str] = []
    seen = threading.Event()

    def write(text: str) -> None:
        written.append(text)
        if "build" in text:
            seen.set()

    with progress_line.LoggedProgress(write) as logged:
        logged(Building(name="odd\x1b[2J 1.0"))
        assert seen.wait(10)
    assert r"building odd\u{1b}[2J 1.0" in written[-1]
    count = len(written)
    time.sleep(0.05)
    assert len(written) == count


def test_the_cache_commands(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    del folder
    assert run(["cache", "dir"]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'cache'}\n"
    assert run(["cache", "clean"]) == 0
    assert run(["cache", "prune"]) == 0
    assert capfd.readouterr().out == ""


def test_an_sdist_with_an_old_spelling_of_its_version(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"wheels": [], "sdist": "lib-1.0-alpha-1.zip", "folder": "lib-1.0-alpha-1"}
    with bench(tmp_path, capfd, monkeypatch, {"lib 1.0a1": old, "setuptools 80.9.0": {}}) as made:
        made.ask("lib")
        ran = made.lock()
        assert ran.code == 0, ran.stderr
        assert 'name = "lib-1.0-alpha-1.zip"' in ran.text
        assert made.lock("--check").code == 0
        capfd.readouterr()
        assert run(["export", "-f", "requirements", "--lock", str(made.folder / "deep.lock")]) == 0
        assert "lib==1.0a1 \\\n" in capfd.readouterr().out


def test_another_writer_is_not_overwritten(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, {"lib 1.0": {}}) as made:
        made.ask("lib")
        monkeypatch.setattr(
            "deep_lock.cli.commands.lock.lock", _writes_meanwhile(made.folder / "deep.lock", "somebody else's")
        )
        ran = made.lock()
    assert ran.code == 1
    assert "another program wrote it during this run" in ran.stderr
    assert ran.text == "somebody else's"


def _writes_meanwhile(path: Path, text: str) -> Callable[[LockOptions, Reporter], Outcome]:
    def slow(flags: LockOptions, reporter: Reporter) -> Outcome:
        outcome = lock(flags, reporter)
        path.write_text(text, encoding="utf-8")
        return outcome

    return slow


def test_without_arguments_it_is_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capfd.readouterr()
    assert out.startswith("Usage: deep-lock [OPTIONS] COMMAND [ARGS]...\n")
    assert (err, out.count("\n  lock ")) == ("", 1)
