"""What a run that locks reports on stderr: what changed, and what runs code; and the warning of a downgrade."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench

OLD: Releases = {
    "app-lib 1.0": {"requires": ["shared"]},
    "shared 2.0": {},
    "going 1.0": {},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.0": {},
}
NEW: Releases = {**OLD, "app-lib 1.1": {"requires": ["shared", "coming"]}, "coming 1.0": {}, "maker 3.1": {}}
PLAIN = '[project]\nname = "app"\nversion = "1"\ndependencies = {}\n'


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, OLD) as own:
        own.ask("app-lib", "native", "going")
        yield own


def test_the_first_lock_has_nothing_to_compare(made: Bench) -> None:
    told = made.lock()
    numbers = r"wrote deep.lock\n  5 packages in [0-9.]+ s \(4 at run time, 1 in builds only, 1 sdist only\)\n"
    assert re.search(numbers + "  1 build environment; targets: cp313-x86_64-manylinux_2_28\n", told.stderr)
    assert " + " not in told.stderr


def test_what_changed_is_told_with_build_tools_apart(made: Bench) -> None:
    made.lock()
    made.hold(NEW)
    made.ask("app-lib", "native")
    for flags in (("--dry-run",), ()):
        told = made.lock("--refresh", "--upgrade", *flags)
        assert (
            "  + coming 1.0\n"
            "  ~ app-lib 1.0 -> 1.1\n"
            "  - going 1.0\n"
            "  build tools:\n"
            "    ~ maker 3.0 -> 3.1\n"
            "  5 packages "
        ) in told.stderr
    assert "~" not in made.lock().stderr


def test_a_downgrade_of_what_the_project_names_is_a_warning(made: Bench) -> None:
    """`-P` of one project takes another one back."""
    made.hold({**OLD, "going 2.0": {}})
    assert made.lock("--refresh").code == 0
    made.hold({**OLD, "going 2.0": {}, "shared 3.0": {"requires": ["going<2"]}})
    told = made.lock("--refresh", "-P", "shared==3.0")
    assert told.code == 0
    assert "warning: going: the project requires it, and it is downgraded from 2.0 to 1.0" in told.stderr
    assert "  ~ shared 2.0 -> 3.0\n  ~ going 2.0 -> 1.0 (downgraded)\n" in told.stderr
    # the user asks for it
    told = made.lock("-P", "shared==2.0", "-P", "going==1.0")
    assert "warning: going" not in told.stderr
    assert "warning: shared" not in told.stderr, "the project does not name it"
    assert "~ shared 3.0 -> 2.0 (downgraded)" in told.stderr


def test_a_downgrade_with_upgrade_of_everything_is_a_warning_too(made: Bench) -> None:
    made.hold({**OLD, "going 2.0": {}})
    assert made.lock("--refresh").code == 0
    made.hold(OLD)
    told = made.lock("--refresh", "--upgrade")
    assert "warning: going: the project requires it, and it is downgraded from 2.0 to 1.0" in told.stderr


def test_a_downgrade_on_one_target_is_one_and_an_older_version_for_a_new_target_is_none(made: Bench) -> None:
    only = ["cp313-cp313-manylinux_2_28_x86_64"]
    made.hold({**OLD, "going 2.0": {"wheels": only}})
    assert made.lock("--refresh").code == 0
    made.platforms = (LINUX, WINDOWS)
    told = made.lock()
    assert "~ going 2.0 -> 1.0 and 2.0\n" in told.stderr
    assert "warning: going" not in told.stderr
    windows = ["cp313-cp313-win_amd64"]
    made.hold({**OLD, "going 2.0": {"wheels": [*only, *windows]}})
    assert made.lock("--refresh", "-U").code == 0
    made.hold({**OLD, "going 2.0": {"wheels": only}})
    told = made.lock("--refresh", "-U")
    assert "~ going 2.0 -> 1.0 and 2.0 (downgraded)" in told.stderr
    assert "warning: going: the project requires it, and it is downgraded from 2.0 to 1.0 and 2.0" in told.stderr


def test_a_downgrade_of_a_build_requirement_of_the_project_is_a_warning(made: Bench) -> None:
    made.write(
        {
            "pyproject.toml": '[build-system]\nrequires = ["maker"]\nbuild-backend = "flit_core.buildapi"\n'
            + PLAIN.format([])
        }
    )
    made.hold({**OLD, "maker 4.0": {}})
    assert made.lock("--refresh").code == 0
    made.hold(OLD)
    told = made.lock("--refresh", "--upgrade")
    assert "warning: maker: the project requires it in its build, and it is downgraded from 4.0 to 3.0" in told.stderr
    assert "  build tools:\n    ~ maker 4.0 -> 3.0 (downgraded)\n" in told.stderr


@pytest.mark.parametrize("command", ["add", "remove", "deepen"])
def test_other_commands_that_lock_report_the_same(
    made: Bench, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made.folder)
    if command == "deepen":
        made.write({"requirements.txt": "app-lib==1.0\nshared==2.0\n"})
        arguments = ["deepen", "requirements.txt"]
        flags = [flag for flag in made.flags() if not flag.startswith("--project")]
        flags.remove(str(made.folder))
        assert run([*arguments, *flags]) == 0
        made.write({"requirements.txt": "app-lib==1.0\nshared==2.0\ngoing==1.0\n"})
        expected = "wrote deep.lock\n  + going 1.0\n  3 packages"
    else:
        assert made.lock().code == 0
        made.hold(NEW)
        flags = made.flags()
        arguments = ["add", "coming"] if command == "add" else ["remove", "going"]
        change = "  + coming 1.0\n  6 packages" if command == "add" else "  - going 1.0\n  4 packages"
        expected = f"wrote deep.lock\n{change} "
    capsys.readouterr()
    assert run([*arguments, *flags, *(["--refresh"] if command == "add" else [])]) == 0
    assert expected in capsys.readouterr().err


def test_many_changes_are_counted_and_v_lists_all(made: Bench) -> None:
    made.lock()
    many: Releases = {f"lib-{number} 1.0": {} for number in range(25)}
    made.hold({**OLD, **many})
    made.ask("app-lib", "native", *(name.partition(" ")[0] for name in many))
    brief = made.lock("--refresh", "--dry-run").stderr
    assert (brief.count("  + "), brief.count("  and 6 more (-v shows all)\n")) == (20, 1)
    whole = made.lock("--dry-run", "-v").stderr
    assert (whole.count("  + "), whole.count("  - "), whole.count(" more")) == (25, 1, 0)
    for color, text in (("always", "  \x1b[32m+\x1b[0m lib-0 1.0\n"), ("never", "  + lib-0 1.0\n")):
        assert run(["--color", color, "lock", *made.flags(), "--dry-run"]) == 0
        assert text in made.capture.readouterr().err


# -- what runs code


def test_a_project_that_is_built_is_named(made: Bench) -> None:
    made.write(
        {
            "pyproject.toml": '[build-system]\nrequires = ["maker"]\nbuild-backend = "flit_core.buildapi"\n'
            + PLAIN.format(["shared"])
        }
    )
    told = made.lock().stderr
    assert "  other packages are installed from wheels, which run no code when installed\n" in told
    assert "the project itself is built by flit_core.buildapi" in told


def test_a_release_with_several_build_records_is_named_once(made: Bench) -> None:
    made.platforms = (LINUX, WINDOWS)
    made.hold(
        {
            "native 1.0": {
                "wheels": [],
                "sdist": True,
                "build": ["maker", "colour; sys_platform == 'win32'"],
                "backend": "flit_core.buildapi",
            },
            "maker 3.0": {},
            "colour 1.0": {},
        }
    )
    made.ask("native")
    told = made.lock()
    assert len(told.lock.builds) == 2
    assert told.stderr.count("native 1.0 by ") == 1
    assert "native 1.0 by flit_core.buildapi [assumed] (every target)" in told.stderr


def test_without_locked_builds_nothing_is_claimed_about_them(made: Bench) -> None:
    told = made.lock("--build-scope", "none").stderr
    assert "builds are not locked" in told
    assert "only wheels" not in told


def test_a_package_that_is_installed_and_used_by_builds_is_counted_once(made: Bench) -> None:
    made.ask("native", "maker")
    assert re.search(r"\n  2 packages in [0-9.]+ s \(1 sdist only\)\n", made.lock().stderr)


PARTS = {
    "extra": "[project.optional-dependencies]\nx = []\n",
    "group": "[dependency-groups]\nx = []\n",
    "default group": '[dependency-groups]\nx = []\n[tool.deep-lock]\ndefault-groups = ["x"]\n',
    "constraint": '[tool.deep-lock]\nconstraints = ["shared<3"]\n',
    "index": '[[tool.deep-lock.index]]\nname = "corp"\nurl = "{url}"\n',
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", ["text", "markdown", "json", "github", "sarif"])
def test_a_setting_that_changed_is_one_line_of_a_review(made: Bench, part: str, form: str) -> None:
    made.lock()
    old = made.folder / "old.lock"
    shutil.copy(made.folder / "deep.lock", old)
    with_part = (made.folder / "pyproject.toml").read_text(encoding="utf-8") + PARTS[part]
    for before, after in ((PLAIN.format([]), with_part), (with_part, PLAIN.format([]))):
        made.write({"pyproject.toml": before})
        assert made.lock().code == 0
        shutil.copy(made.folder / "deep.lock", old)
        made.write({"pyproject.toml": after})
        assert made.lock().code == 0
        made.capture.readouterr()
        run(["diff", str(old), str(made.folder / "deep.lock"), "--format", form])
        told = made.capture.readouterr().out
        sentences = re.findall(r"[^\"\n:]*(?:'x'|shared|'corp')[^\"\n]*(?:added|removed)", told)
        assert sentences
        assert len(sentences) == len(set(sentences)), told
