"""Interpreters by what they say of themselves. Those that are not on this machine are played by scripts."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.builds import interpreters
from deep_lock.builds.interpreters import Interpreter, find_interpreters, inspect_interpreter, interpreter_for
from deep_lock.targets.factory import HostFacts, make_target, read_host, runs_on

SCRIPTS = pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
HERE = (sys.version_info.minor, False)
OTHER = 14 if sys.version_info.minor != 14 else 13


def script(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def answer(minor: int = OTHER, **changes: object) -> str:
    build = [sys.maxsize.bit_length(), getattr(sys.implementation, "_multiarch", "")]
    said: dict[str, object] = {
        "executable": f"/opt/python3.{minor}",
        "version": f"3.{minor}.0",
        "minor": minor,
        "free_threaded": False,
        "build": build,
        "base": ["/", "/", "/nowhere"],
    }
    return f"cat <<'END'\n{json.dumps(said | changes)}\nEND"


def test_the_running_one() -> None:
    found = inspect_interpreter(Path(sys.executable))
    assert found is not None
    assert found.host == read_host()
    assert (found.minor, found.implementation) == (sys.version_info.minor, "cpython")
    assert found.executable.samefile(os.path.realpath(sys.executable))
    for needed in (os.__file__, json.__file__, sys.base_prefix, os.path.realpath(sys.executable)):
        assert any(Path(needed).resolve().is_relative_to(folder) for folder in found.base), needed
    assert all(folder.is_dir() and folder == folder.resolve() for folder in found.base)


def test_of_a_virtual_environment_its_base(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    folder = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    found = inspect_interpreter(folder / ("python.exe" if os.name == "nt" else "python"))
    assert found is not None
    assert not found.executable.is_relative_to(tmp_path)
    assert not any(path.is_relative_to(tmp_path) for path in found.base)


def test_nothing_of_the_surroundings_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json.py", "sitecustomize.py", "usercustomize.py"):
        (tmp_path / name).write_text("import os; os.abort()", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert inspect_interpreter(Path(sys.executable)) is not None


@SCRIPTS
@pytest.mark.parametrize(
    "text",
    [
        "exit 3",
        "echo hello",
        "true",
        "echo '{}'",
        answer(free_threaded="no"),
        answer(build=[31, ""]),
        answer(minor=8),
        f"echo '{'[' * 5000}'",
        "yes | head -c 100000",
        "printf '\\377'",
    ],
)
def test_what_is_no_python(text: str, tmp_path: Path) -> None:
    assert inspect_interpreter(script(tmp_path, "python", text)) is None


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "python").write_bytes(b"\0")
    assert inspect_interpreter(tmp_path / "python") is None
    assert inspect_interpreter(tmp_path) is None
    assert inspect_interpreter(tmp_path / "nowhere") is None
    assert inspect_interpreter(Path()) is None


@SCRIPTS
def test_one_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "TIME_LIMIT", 0.1)
    assert inspect_interpreter(script(tmp_path, "python", "exec sleep 60")) is None


@SCRIPTS
def test_found_in_order(tmp_path: Path) -> None:
    named = script(tmp_path / "named", "mine", answer(12 if sys.version_info.minor != 12 else 11))
    script(tmp_path / "first", f"python3.{OTHER}", "exit 127  # a shim of a version that is not there")
    script(tmp_path / "first", "python3.15", answer(OTHER))
    script(tmp_path / "second", f"python3.{OTHER}", answer())
    script(tmp_path / "second", f"python3.{OTHER}t", answer(free_threaded=True, executable="/opt/free"))
    script(tmp_path / "third", f"python3.{OTHER}", answer(executable="/opt/late"))
    path = os.pathsep.join(str(tmp_path / name) for name in ("first", "second", "third", "nowhere"))
    found = find_interpreters([named], path)
    assert [(one.minor, one.free_threaded) for one in found[:2]] == [HERE, (12 if HERE[0] != 12 else 11, False)]
    assert [str(one.executable) for one in found[2:]] == [f"/opt/python3.{OTHER}", "/opt/free"]
    assert find_interpreters([named], path) == found


@SCRIPTS
def test_only_what_is_wanted_is_asked(tmp_path: Path) -> None:
    mark = tmp_path / "asked"
    script(tmp_path, "python3.9", f"touch {mark}; exit 1")
    script(tmp_path, f"python3.{OTHER}", answer())
    found = find_interpreters([], str(tmp_path), wanted={(OTHER, False)})
    assert [one.minor for one in found] == [HERE[0], OTHER]
    assert not mark.exists()


@SCRIPTS
def test_no_folder_that_depends_on_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin", f"python3.{OTHER}", answer())
    script(tmp_path, f"python3.{OTHER}", answer())
    monkeypatch.chdir(tmp_path)
    assert len(find_interpreters([], os.pathsep.join(["", ".", "bin", "./bin"]))) == 1
    assert len(find_interpreters([], str(tmp_path / "bin"))) == 2


HOST = HostFacts(
    implementation="cpython",
    python_full_version="3.13.2",
    free_threaded=False,
    platform="x86_64-manylinux_2_36",
    machine="x86_64",
)


@pytest.mark.parametrize(
    ("python", "platform", "runs"),
    [
        ("3.13", "x86_64-manylinux_2_28", True),
        ("3.13.9", "x86_64-manylinux_2_36", True),
        ("3.13", "x86_64-manylinux_2_39", False),
        ("3.13t", "x86_64-manylinux_2_28", False),
        ("3.12", "x86_64-manylinux_2_28", False),
        ("3.13", "aarch64-manylinux_2_28", False),
        ("3.13", "x86_64-musllinux_1_2", False),
        ("3.13", "x86_64-windows", False),
        ("3.13", "x86_64-macos_14", False),
    ],
)
def test_for_which_targets_it_tells_the_truth(python: str, platform: str, *, runs: bool) -> None:
    target = make_target(python, platform, host=None)
    assert runs_on(HOST, target) is runs
    here = Interpreter(
        executable=Path("python"),
        python_full_version="3.13.2",
        minor=13,
        free_threaded=False,
        implementation="cpython",
        base=(),
        host=HOST,
    )
    old = replace(here, minor=9, host=replace(HOST, python_full_version="3.9.1"))
    assert interpreter_for(target, [old, here]) == (here if runs else None)


def test_the_question_is_understood_by_the_oldest() -> None:
    """Python 3.9's grammar is enough; older ones end in peace."""
    code = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))"
    subprocess.run([sys.executable, "-c", code], input=interpreters._DESCRIBE, text=True, check=True)
