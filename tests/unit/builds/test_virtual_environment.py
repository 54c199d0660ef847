"""Environments with exactly some wheels in them, of which nothing was run."""

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock.builds import virtual_environment
from deep_lock.builds.interpreters import Interpreter, inspect_interpreter
from deep_lock.builds.virtual_environment import VirtualEnvironment, make_environment, plan_environment, run_venv
from deep_lock.errors import (
    ArchiveAmbiguous,
    ArchiveBroken,
    ArchiveError,
    ArchiveTooBig,
    ArchiveUnsafe,
    DeepLockError,
    HookRefused,
    LimitExceeded,
)
from deep_lock.sdist import decompress
from tests.support.wheels import WHEEL, make_wheel, record_of, write_wheel

SOURCE = Path(virtual_environment.__file__).parents[3]
INFO = "sample-1.0.dist-info"
MODULE = b"def main() -> None:\n    import sys\n    print('ran', sys.prefix)\n"


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    found = inspect_interpreter(Path(sys.executable))
    assert found is not None
    return found


def install(folder: Path, interpreter: Interpreter, *raws: bytes) -> VirtualEnvironment:
    wheels = [write_wheel(folder, raw) for raw in raws]
    return make_environment(folder / "env", interpreter, wheels)


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env={}).stdout.strip()


@pytest.mark.parametrize("by_venv", [False, True], ids=["by hand", "by venv"])
def test_what_python_says_of_it(
    tmp_path: Path, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch, *, by_venv: bool
) -> None:
    if by_venv:
        monkeypatch.setattr(virtual_environment, "_write_environment", run_venv)
    made = install(tmp_path, interpreter, make_wheel({"sample.py": MODULE}))
    code = "import sys, sample, sysconfig; print(sys.prefix, sample.__file__, sysconfig.get_path('purelib'), sep='\\n')"
    prefix, file, purelib = run(made.python, "-I", "-c", code).splitlines()
    assert Path(prefix) == made.folder == tmp_path / "env"
    assert Path(file) == made.site_packages / "sample.py"
    assert Path(purelib) == made.site_packages
    assert made == plan_environment(tmp_path / "env", interpreter)


def test_it_sees_nothing_of_ours(tmp_path: Path, interpreter: Interpreter) -> None:
    made = make_environment(tmp_path / "env", interpreter, [])
    answer = run(
        made.python, "-I", "-c", "import importlib.util as u; print(u.find_spec('msgspec'), u.find_spec('pip'))"
    )
    assert answer == "None None"
    assert list(made.site_packages.iterdir()) == []


def test_where_everything_goes(tmp_path: Path, interpreter: Interpreter) -> None:
    files = {
        "sample/__init__.py": b"",
        "sample/run.sh": b"#!/bin/sh\n",
        "sample.pth": b"import os; os.abort()\n",
        "sample/__pycache__/x.cpython-311.pyc": b"stale",
        "sample-1.0.data/scripts/tool": b"#!python\nprint('tool')\n",
        "sample-1.0.data/scripts/plain": b"#!/bin/sh\necho plain\n",
        "sample-1.0.data/headers/sample.h": b"int x;\n",
        "sample-1.0.data/data/share/man/sample.1": b"man",
        "sample-1.0.data/platlib/native.py": b"y = 1\n",
    }
    executable = frozenset({"sample/run.sh", "sample-1.0.data/scripts/tool", "sample-1.0.data/scripts/plain"})
    made = install(tmp_path, interpreter, make_wheel(files, executable=executable))
    assert (made.site_packages / "sample.pth").read_bytes() == files["sample.pth"]
    assert (made.site_packages / "native.py").is_file()
    assert not (made.site_packages / "sample" / "__pycache__").exists()
    assert (made.folder / "share" / "man" / "sample.1").read_bytes() == b"man"
    assert [path.name for path in (made.folder / "include" / "site").glob("*/sample/*")] == ["sample.h"]
    assert run(made.scripts / "plain") == "plain"
    assert (made.scripts / "tool").read_text(encoding="utf-8").startswith(f"#!{made.python}\n")
    assert stat.S_IMODE((made.site_packages / "sample" / "run.sh").stat().st_mode) & 0o100
    assert not list(made.folder.rglob("*.pyc"))
    (made.site_packages / "sample.pth").unlink()
    code = "import importlib.metadata as m; print(all(f.locate().exists() for f in m.distribution('sample').files))"
    assert run(made.python, "-I", "-c", code).replace("False", "") in {"True", ""}


def test_console_scripts_run(tmp_path: Path, interpreter: Interpreter) -> None:
    points = "[console_scripts]\nsample = sample:main\n[gui_scripts]\nsample-gui = sample:main\n[other]\nx = 100%\n"
    made = install(tmp_path, interpreter, make_wheel({"sample.py": MODULE}, entry_points=points))
    assert run(made.scripts / "sample") == f"ran {made.folder}"
    assert run(made.scripts / "sample-gui") == f"ran {made.folder}"


def test_console_scripts_run_below_a_long_path_with_blanks(tmp_path: Path, interpreter: Interpreter) -> None:
    folder = tmp_path / ("a folder with blanks " * 9)
    folder.mkdir()
    made = install(
        folder, interpreter, make_wheel({"sample.py": MODULE}, entry_points="[console_scripts]\ns=sample:main")
    )
    assert run(made.scripts / "s") == f"ran {made.folder}"


def test_the_file_s_name_may_spell_the_project_otherwise(tmp_path: Path, interpreter: Interpreter) -> None:
    raw = make_wheel({"My_Sample-1.0.data/data/share/x": b"x"}, name="My_Sample")
    path, _ = write_wheel(tmp_path, raw)
    made = make_environment(tmp_path / "env", interpreter, [(path, "my_sample-1.0-py3-none-any.whl")])
    assert (made.folder / "share" / "x").is_file()


def _corrupt(raw: bytes) -> bytes:
    at = raw.index(b"PK\x01\x02")
    return raw[: at - 20] + bytes([raw[at - 20] ^ 0xFF]) + raw[at - 19 :]


def _linked() -> bytes:
    raw = make_wheel({"sample/l": b"/etc/passwd"})
    at = raw.index(b"PK\x01\x02")
    return raw[: at + 38] + (0o120777 << 16).to_bytes(4, "little") + raw[at + 42 :]


def _record(extra: str = "", algorithm: str = "sha256") -> bytes:
    files = {
        "sample.py": MODULE,
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n",
        f"{INFO}/WHEEL": WHEEL,
    }
    record = record_of(files, f"{INFO}/RECORD", algorithm) + extra.encode()
    return make_wheel({"sample.py": MODULE}, record=record)


def _points(text: str) -> bytes:
    return make_wheel({"sample.py": MODULE}, entry_points=text)


LAUGHS = "[console_scripts]\na0 = x\n" + "".join(f"a{n} = {f'%(a{n - 1})s' * 50}\n" for n in range(1, 10))
REFUSED: list[tuple[str, bytes, type[DeepLockError]]] = [
    ("leaves", make_wheel({"../x.py": b""}), ArchiveUnsafe),
    ("leaves from .data", make_wheel({"sample-1.0.data/scripts/../../../../x": b""}), ArchiveUnsafe),
    ("absolute", make_wheel({"/x.py": b""}), ArchiveUnsafe),
    ("backslash", make_wheel({"a\\..\\..\\x.py": b""}), ArchiveUnsafe),
    ("drive", make_wheel({"C:x.py": b""}), ArchiveUnsafe),
    ("spelt twice", make_wheel({"sample/./x.py": b""}), ArchiveAmbiguous),
    ("below a file", make_wheel({"x": b"", "x/y": b""}), ArchiveAmbiguous),
    ("a link", _linked(), ArchiveUnsafe),
    ("RECORD leaves", _record("../../x,,\n"), ArchiveUnsafe),
    ("RECORD row twice", _record("sample.py,,\n"), ArchiveAmbiguous),
    ("RECORD with md5", _record(algorithm="md5"), ArchiveBroken),
    ("RECORD of two fields", _record("sample.py,x\n"), ArchiveBroken),
    ("RECORD of another size", make_wheel({"a.py": b"1"}, replaced={"a.py": b"12"}), ArchiveBroken),
    ("RECORD of other bytes", make_wheel({"a.py": b"1"}, replaced={"a.py": b"2"}), ArchiveBroken),
    ("not in RECORD", make_wheel({}, replaced={"a.py": b"2"}), ArchiveBroken),
    ("no RECORD", make_wheel({}, replaced={f"{INFO}/RECORD": None}), ArchiveBroken),
    ("no WHEEL", make_wheel({}, replaced={f"{INFO}/WHEEL": None}), ArchiveBroken),
    ("another wheel version", make_wheel({}, replaced={f"{INFO}/WHEEL": WHEEL.replace(b"1.0", b"2.0")}), ArchiveBroken),
    ("another project's", make_wheel({}, name="other"), ArchiveBroken),
    ("another version's", make_wheel({}, version="1.1"), ArchiveBroken),
    ("two dist-infos", make_wheel({"other-1.0.dist-info/METADATA": b""}), ArchiveBroken),
    ("unknown scheme", make_wheel({"sample-1.0.data/elsewhere/x": b""}), ArchiveBroken),
    ("script outside", _points("[console_scripts]\n../x = sample:main\n"), ArchiveUnsafe),
    ("script with a folder", _points("[console_scripts]\na/x = sample:main\n"), ArchiveUnsafe),
    ("script without function", _points("[console_scripts]\nx = sample\n"), ArchiveBroken),
    ("script with code", _points("[console_scripts]\nx = sample:main(); import os\n"), ArchiveBroken),
    ("entry points are no INI", _points("x = 1"), ArchiveBroken),
    ("entry points that grow", _points(LAUGHS), ArchiveUnsafe),
    ("hides python", _points("[console_scripts]\npython = sample:main\n"), ArchiveAmbiguous),
    ("replaces python", make_wheel({"sample-1.0.data/scripts/python3": b"#!/bin/sh\n"}), ArchiveAmbiguous),
    ("below python", make_wheel({"sample-1.0.data/scripts/python/x": b""}), ArchiveBroken),
    ("replaces pyvenv.cfg", make_wheel({"sample-1.0.data/data/pyvenv.cfg": b"home = /x\n"}), ArchiveAmbiguous),
    ("huge RECORD", make_wheel({}, record=b"#" * (1 << 24 | 1)), LimitExceeded),
    ("no zip", b"hello" * 100, ArchiveBroken),
    ("empty", b"", ArchiveBroken),
    ("cut", make_wheel({"sample.py": MODULE})[:-30], ArchiveBroken),
    ("something in front", b"#!/bin/sh\n" + make_wheel({}), ArchiveAmbiguous),
    ("something behind", make_wheel({}) + b"hello", ArchiveBroken),
    ("damaged", _corrupt(make_wheel({}, record=b"x" * 3000)), ArchiveBroken),
]


@pytest.mark.parametrize(("raw", "error"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(raw: bytes, error: type[DeepLockError], tmp_path: Path, interpreter: Interpreter) -> None:
    executable = Path(os.path.realpath(interpreter.executable))
    before = executable.stat()
    with pytest.raises(error) as refusal:
        install(tmp_path, interpreter, raw)
    assert refusal.value.message.startswith("sample-1.0-py3-none-any.whl: ")
    assert refusal.value.message.isprintable()
    assert len(list(tmp_path.iterdir())) == 2
    assert executable.stat() == before


def test_a_record_made_by_hand_is_taken(tmp_path: Path, interpreter: Interpreter) -> None:
    """So that those above are refused for what is wrong with them."""
    install(tmp_path, interpreter, _record(algorithm="sha512"))


def test_a_member_twice(tmp_path: Path, interpreter: Interpreter) -> None:
    path, name = write_wheel(tmp_path, make_wheel({"sample.py": MODULE}))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("sample.py", b"x = 1")
    with pytest.raises(ArchiveAmbiguous, match="twice"):
        make_environment(tmp_path / "env", interpreter, [(path, name)])


def test_a_bomb(tmp_path: Path, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "MAX_DECOMPRESSED", 100_000)
    with pytest.raises(ArchiveTooBig):
        install(tmp_path, interpreter, make_wheel({"zeros": b"\0" * 3_000_000}))


@pytest.mark.parametrize("path", ["shared/__init__.py", "beta-1.0.data/scripts/tool", "beta-1.0.data/data/lib/x"])
@pytest.mark.parametrize("same", [True, False])
def test_one_file_of_two_wheels(tmp_path: Path, interpreter: Interpreter, path: str, *, same: bool) -> None:
    first = make_wheel({path.replace("beta", "alpha"): b"one"}, name="alpha")
    second = make_wheel({path: b"one" if same else b"two"}, name="beta")
    wheels = [write_wheel(tmp_path, first, "alpha"), write_wheel(tmp_path, second, "beta")]
    if same:
        make_environment(tmp_path / "env", interpreter, wheels)
        return
    with pytest.raises(ArchiveAmbiguous) as refusal:
        make_environment(tmp_path / "env", interpreter, wheels)
    assert "alpha-1.0-py3-none-any.whl" in refusal.value.message
    assert "beta-1.0-py3-none-any.whl" in refusal.value.message


def test_a_wheel_s_name_that_is_none(tmp_path: Path, interpreter: Interpreter) -> None:
    path, _ = write_wheel(tmp_path, make_wheel({}))
    for number, name in enumerate(("sample.whl", "sample-1.0.zip", "../sample-1.0-py3-none-any.whl")):
        with pytest.raises(ArchiveBroken):
            make_environment(tmp_path / f"env{number}", interpreter, [(path, name)])


@pytest.mark.parametrize("way", ["_write_environment", "run_venv"])
def test_a_folder_that_cannot_be_made(
    tmp_path: Path, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(virtual_environment, "_write_environment", getattr(virtual_environment, way))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HookRefused, match="cannot make a virtual environment"):
        make_environment(tmp_path / "file", interpreter, [])


IMPORTS = """
import sys
from pathlib import Path
from deep_lock.builds.virtual_environment import make_environment
from deep_lock.builds.interpreters import inspect_interpreter
interpreter = inspect_interpreter(Path(sys.executable))
late = []
def hear(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] not in sys.stdlib_module_names:
        late.append(arguments[0])
sys.addaudithook(hear)
make_environment(Path(sys.argv[1]) / "env", interpreter, [(Path(sys.argv[2]), sys.argv[3])])
print(late)
"""


def test_nothing_is_imported_while_a_wheel_is_open(tmp_path: Path) -> None:
    raw = make_wheel({"sample.py": MODULE, "x.data/y": b""}, entry_points="[console_scripts]\ns=sample:main")
    path, name = write_wheel(tmp_path, raw)
    command = [sys.executable, "-c", IMPORTS, str(tmp_path), str(path), name]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(SOURCE)})
    assert ended.stdout == "[]\n"
    assert (tmp_path / "env" / "bin" / "s").exists() or os.name == "nt"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_wheels_give_typed_errors(
    data: st.DataObject, interpreter: Interpreter, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = make_wheel(
        {"sample.py": MODULE, "sample-1.0.data/scripts/x": b"#!python"}, entry_points="[console_scripts]\ny=s:m"
    )
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    folder = tmp_path_factory.mktemp("damaged")
    try:
        install(folder, interpreter, damaged)
    except (ArchiveError, LimitExceeded):
        return
