"""Limits that hold, ends that leave nothing alive, and honest work that still gets done inside."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from sandbox_strangers import PATH, PATIENCE, lives, living, meet, own_interpreter, stranger

from deep_lock.build.confined import main
from deep_lock.build.interpreters import find_interpreters
from deep_lock.build.sandbox import LAYERS, NEEDED, Limits, Stopped, probe, run
from deep_lock.errors import HookRefused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are those of Linux")
SUPPORT = Path(__file__).parents[1] / "support"
MIB = 1024 * 1024

STOPPED: dict[str, tuple[str, Limits, Stopped]] = {
    "a spinner that ignores signals": (
        """
        import signal
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
        """,
        Limits(wall_seconds=0.5),
        "time",
    ),
    "a sleeper": ("import time\nwhile True: time.sleep(1)", Limits(wall_seconds=0.3), "time"),
    "a stopped one": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", Limits(wall_seconds=0.3), "time"),
    "a spinner with time": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        Limits(cpu_seconds=1, wall_seconds=60),
        "processor",
    ),
    "a flood": (
        """
        import os
        for _ in range(64):
            os.write(1, b"x" * (1 << 20))
            os.write(2, b"y" * (1 << 20))
        import time
        time.sleep(60)
        """,
        Limits(wall_seconds=60),
        "output",
    ),
    "a flood that ended by itself": ("print('x' * 5000)", Limits(output=4096), "output"),
    "a flood of a child": (
        "import subprocess\nsubprocess.run(['cat', '/dev/zero'])",
        Limits(wall_seconds=60, output=MIB),
        "output",
    ),
    "many files": (
        """
        import time
        for number in range(64):
            with open(str(number), "wb") as file:
                file.write(b"x" * 100_000)
        time.sleep(60)
        """,
        Limits(wall_seconds=60, folder=MIB),
        "space",
    ),
    "bytes below what any path can name": (
        """
        import os, time
        for _ in range(3000):
            os.mkdir("d")
            os.chdir("d")
        time.sleep(60)
        """,
        Limits(wall_seconds=60),
        "space",
    ),
}
FAILED: dict[str, tuple[str, Limits, str]] = {
    "memory": (
        "held = []\nwhile True: held.append(bytearray(64 << 20))",
        Limits(memory=512 * MIB),
        "MemoryError",
    ),
    "a large file": (
        "with open('large', 'wb') as file:\n    while True: file.write(b'x' * (1 << 20))",
        Limits(file_size=4 * MIB),
        "File too large",
    ),
    "a bomb": (
        """
        import os, time
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
            except BlockingIOError:
                raise SystemExit("no more processes")
        """,
        Limits(processes=20),
        "no more processes",
    ),
    "an exception": ("raise RuntimeError('as told')", Limits(), "RuntimeError: as told"),
    "a text as exit code": ("raise SystemExit('as told')", Limits(), "as told"),
}


@pytest.fixture(params=["needed", "all"])
def layers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    working = {layer.name: layer.reason for layer in probe().layers if layer.works}
    chosen = NEEDED if request.param == "needed" else LAYERS
    missing = [layer for layer in probe().layers if layer.name in chosen and layer.name not in working]
    if missing:
        pytest.skip(f"{missing[0].name}: {missing[0].reason}")
    return chosen


@pytest.mark.parametrize("name", STOPPED)
def test_what_is_stopped(tmp_path: Path, layers: tuple[str, ...], name: str) -> None:
    code, limits, stopped = STOPPED[name]
    ended = meet(tmp_path, code, layers, limits=limits)
    assert ended.stopped == stopped
    assert len(ended.output) <= 16 * 1024


@pytest.mark.parametrize("name", FAILED)
def test_what_fails_by_itself(tmp_path: Path, layers: tuple[str, ...], name: str) -> None:
    code, limits, said = FAILED[name]
    ended = meet(tmp_path, code, layers, limits=limits)
    assert (ended.stopped, ended.code) == ("", 1)
    assert said in ended.output


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os._exit(9)", 9),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_exit_codes(tmp_path: Path, layers: tuple[str, ...], code: str, expected: int) -> None:
    ended = meet(tmp_path, code, layers)
    assert (ended.code, ended.stopped, ended.output) == (expected, "", "")


# -- nothing lives on

DAEMON = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    print("parent done")
"""
RABBIT = """
    import os
    if os.fork() == 0:
        while True:  # each process lives a moment only: to find its number is to be late
            if os.fork():
                os._exit(0)
"""


def test_a_daemon_that_holds_the_output_dies(tmp_path: Path, layers: tuple[str, ...]) -> None:
    assert meet(tmp_path, DAEMON, layers).output == "parent done\n"


def test_a_chain_of_short_lives_ends(tmp_path: Path, layers: tuple[str, ...]) -> None:
    assert meet(tmp_path, RABBIT, layers).code == 0


def test_a_daemon_of_who_is_trusted_dies_too(tmp_path: Path) -> None:
    assert run(stranger(tmp_path, DAEMON, confined=False)).code == 0
    assert living(tmp_path) == []


@pytest.mark.parametrize("alone", ["landlock", "seccomp"])
@pytest.mark.parametrize(
    "attack",
    [
        "os.kill(os.getppid(), signal.SIGKILL)",
        "os.kill(os.getppid(), signal.SIGSTOP)",
        "os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)",
    ],
)
def test_the_supervisor_cannot_be_killed(tmp_path: Path, alone: str, attack: str) -> None:
    code = f"import os, signal\ntry:\n    {attack}\nexcept PermissionError:\n    raise SystemExit(7)"
    assert meet(tmp_path, code, ("limits", alone)).code == 7
    if alone == "seccomp" and "SIGKILL" in attack and "killpg" not in attack:
        with pytest.raises(HookRefused, match="without a report"):
            meet(tmp_path, code, ("limits",))  # nothing else held it back


def test_signals_to_ones_own(tmp_path: Path, layers: tuple[str, ...]) -> None:
    code = """
        import os, signal, subprocess, threading
        child = subprocess.Popen(["sleep", "60"])
        child.kill()
        assert child.wait() == -9
        session = subprocess.Popen(["sleep", "60"], start_new_session=True)
        os.killpg(session.pid, signal.SIGTERM)
        assert session.wait() == -15
        heard = []
        signal.signal(signal.SIGUSR1, lambda *told: heard.append(told[0]))
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(0, signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        assert heard == [signal.SIGUSR1] * 3
        worker = threading.Thread(target=heard.clear)
        worker.start()
        worker.join()
        assert heard == []
    """
    ended = meet(tmp_path, code, layers)
    assert ended.code == 0, ended.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_deep_lock_that_dies_takes_all_along(tmp_path: Path, layers: tuple[str, ...], number: signal.Signals) -> None:
    own = {"PATH": PATH, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "sandbox_waiting.py"), str(tmp_path), *layers], env=own, stderr=subprocess.PIPE
    )
    try:
        assert lives(tmp_path, wanted=True)
        while not (tmp_path / "room" / "ready").exists():
            assert process.poll() is None
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        assert lives(tmp_path, wanted=False)
    finally:
        process.kill()
        process.wait()


# -- what does not come about


def test_a_confinement_that_fails_runs_nothing(tmp_path: Path) -> None:
    command = stranger(tmp_path, "open('ran', 'w').close()", limits=Limits(open_files=4))
    with pytest.raises(HookRefused, match=r"cannot be set up: .*Too many open files"):
        run(command, NEEDED)
    assert not (tmp_path / "room" / "ran").exists()


@pytest.mark.parametrize(
    ("sent", "fault"),
    [(None, "ended before it was confined"), (b"", "timed out"), (b"-no rights", "no rights"), (b"x", "ended before")],
)
def test_a_child_that_reports_nothing_good(monkeypatch: pytest.MonkeyPatch, sent: bytes | None, fault: str) -> None:
    monkeypatch.setattr(main, "_REPORT_SECONDS", 0.05)
    here, there = socket.socketpair()
    with there:
        if sent is None:
            there.close()
        elif sent:
            there.send(sent)
        listener, found = main._received(here)
    assert listener == -1
    assert fault in found


def test_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    broken.chmod(0o700)
    command = stranger(tmp_path, "")
    for python in (broken, tmp_path / "none"):
        with pytest.raises(HookRefused):
            run(
                type(command)(
                    **{name: getattr(command, name) for name in command.__struct_fields__} | {"python": python}
                ),
                (),
            )


def test_without_a_strong_sandbox_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.cache_clear()
    monkeypatch.setattr("deep_lock.build.confined.landlock.SYSTEM", ())
    monkeypatch.setattr("deep_lock.build.sandbox._tried", lambda layers: (False, f"{layers}: not here"))
    try:
        assert probe().level == "none"
        with pytest.raises(HookRefused, match="no strong sandbox"):
            run(stranger(tmp_path, "open('ran', 'w').close()"))
    finally:
        probe.cache_clear()
    assert not (tmp_path / "room" / "ran").exists()


# -- what is found inside


def test_what_a_script_finds(tmp_path: Path, layers: tuple[str, ...]) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "helper.py").write_text("value = 'imported'\n", encoding="utf-8")
    (packages / "evil.pth").write_text("import os; open('pth', 'w').close()\n", encoding="utf-8")
    (packages / "sitecustomize.py").write_text("open('site', 'w').close()\n", encoding="utf-8")
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "json.py").write_text("open('shadow', 'w').close()\n", encoding="utf-8")
    code = """
        import json, os, sys
        import helper
        assert helper.value == "imported"
        assert sys.stdin.read() == ""
        left = []
        for handle in range(3, 200):
            try:
                os.fstat(handle)
                left.append(handle)
            except OSError:
                continue
        assert left == [], left
        assert not [name for name in sys.modules if name.startswith("deep_lock")]
        assert __name__ == "__main__" and sys.argv[0] == __file__
        assert not [name for name in ("pth", "site", "shadow") if os.path.exists(name)]
        assert os.getsid(0) == os.getpid()
        print(json.dumps([sys.argv[1:], os.getcwd(), sys.prefix, sys.exec_prefix, sys.path[-1], dict(os.environ)]))
    """
    command = stranger(
        tmp_path, code, "one", "two", environ={"A": "ü\n"}, search_path=(packages,), prefix=tmp_path / "prefix"
    )
    command = replace(command, readable=(*command.readable, packages))
    ended = run(command, layers)
    assert ended.code == 0, ended.output
    prefix = str(tmp_path / "prefix")
    found = json.loads(ended.output)
    assert found == [["one", "two"], str(command.cwd), prefix, prefix, str(packages), dict(command.environ)]


def test_each_python_of_this_machine(tmp_path: Path, layers: tuple[str, ...]) -> None:
    found = find_interpreters((), os.environ.get("PATH", ""))
    for number, interpreter in enumerate(found):
        folder = tmp_path / str(number)
        code = "import os, sys\nopen('made', 'w').close()\nos.chmod('made', 0o711)\nprint(*sys.version_info[:2])"
        ended = run(stranger(folder, code, interpreter=interpreter), layers)
        assert ended.output == f"3 {interpreter.minor}\n"
        assert (folder / "room" / "made").stat().st_mode & 0o777 == 0o711


def test_several_at_once(tmp_path: Path, layers: tuple[str, ...]) -> None:
    said: dict[int, str] = {}

    def one(number: int) -> None:
        said[number] = run(stranger(tmp_path / str(number), f"print({number})"), layers).output

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {number: f"{number}\n" for number in range(4)}


# -- honest work


@pytest.mark.skipif(shutil.which("cc", path=PATH) is None, reason="there is no C compiler")
def test_a_compiler_makes_a_program_that_runs(tmp_path: Path, layers: tuple[str, ...]) -> None:
    code = """
        import os, subprocess
        with open("hello.c", "w") as file:
            file.write('#include <stdio.h>\\nint main(void) { puts("hello"); return 0; }\\n')
        subprocess.run(["cc", "hello.c", "-o", "hello"], check=True)
        print(subprocess.run(["./hello"], check=True, stdout=subprocess.PIPE).stdout.decode(), end="")
    """
    ended = meet(tmp_path, code, layers)
    assert (ended.code, ended.output) == (0, "hello\n")


MODES_AND_TIMES = """
    import ctypes, os, pathlib, shutil, stat, subprocess

    def mode(path):
        return stat.S_IMODE(os.lstat(path).st_mode)

    pathlib.Path("new").touch()
    assert os.path.exists("new")
    os.chmod("new", 0o4751)
    assert mode("new") == 0o751, "a set-uid bit is for nobody"
    os.chmod(os.path.abspath("new"), 0o640)
    assert mode("new") == 0o640
    with open("new") as file:
        os.fchmod(file.fileno(), 0o600)
        assert mode("new") == 0o600
        os.chmod(f"/proc/self/fd/{file.fileno()}", 0o610)
        assert mode("new") == 0o610
    os.mkdir("folder")
    pathlib.Path("folder/inner").touch()
    handle = os.open("folder", os.O_RDONLY)
    os.chmod("inner", 0o604, dir_fd=handle)
    assert mode("folder/inner") == 0o604
    os.symlink(os.path.abspath("folder"), "absolute")
    os.chmod("absolute/inner", 0o641)
    assert mode("folder/inner") == 0o641
    os.chmod("folder/../absolute/../new", 0o642)
    assert mode("new") == 0o642
    os.utime("new", (1000, 2000))
    assert (os.stat("new").st_atime, os.stat("new").st_mtime) == (1000, 2000)
    os.utime("new", ns=(1, 1_500_000_000_000_000_007))
    assert os.stat("new").st_mtime_ns == 1_500_000_000_000_000_007
    os.utime("new")
    assert os.stat("new").st_mtime > 1_700_000_000
    os.utime("absolute", (5, 6), follow_symlinks=False)
    assert os.lstat("absolute").st_mtime == 6 and os.stat("folder").st_mtime != 6
    os.utime(handle, (7, 8))
    assert os.stat("folder").st_mtime == 8
    for wrong in ("missing", "new/below", "missing/below"):
        try:
            os.utime(wrong)
        except (FileNotFoundError, NotADirectoryError):
            continue
        raise AssertionError(wrong)
    subprocess.run(["touch", "-d", "@4242", "new", "fresh"], check=True)
    subprocess.run(["cp", "-p", "new", "copy"], check=True)
    subprocess.run(["chmod", "a+x", "copy"], check=True)
    assert os.stat("copy").st_mtime == os.stat("fresh").st_mtime == 4242
    assert mode("copy") == 0o753
    shutil.copytree("folder", "folder2")
    assert mode("folder2/inner") == 0o641
    subprocess.run(["tar", "-cf", "all.tar", "folder", "copy"], check=True)
    os.mkdir("out")
    subprocess.run(["tar", "-xpf", "all.tar", "-C", "out"], check=True)
    assert mode("out/copy") == 0o753 and os.stat("out/copy").st_mtime == 4242
"""


def test_modes_and_times_below_the_writable_folders(tmp_path: Path, layers: tuple[str, ...]) -> None:
    ended = meet(tmp_path, MODES_AND_TIMES, layers)
    assert ended.code == 0, ended.output


def test_a_writable_folder_behind_a_link(tmp_path: Path, layers: tuple[str, ...]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    code = "import sys, os\nfor name in sys.argv[1:]:\n    open(name, 'w').close()\n    os.chmod(name, 0o700)"
    places = [str(tmp_path / "link" / "one"), str(tmp_path / "real" / "two")]
    ended = run(stranger(tmp_path, code, *places, writable=(tmp_path / "link", tmp_path / "room")), layers)
    assert ended.code == 0, ended.output
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "real").iterdir()} == {
        "one": 0o700,
        "two": 0o700,
    }


NONSENSE = """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = {"x86_64": (90, 268, 280, 235, 132, 452, 91), "aarch64": (53, 88, 452, 52)}[os.uname().machine]
    bad = (0, 1, 2**47 - 3, 2**63, 2**64 - 1)
    for number in numbers:
        for one in bad:
            for other in bad:
                libc.syscall(ctypes.c_long(number), ctypes.c_ulong(one), ctypes.c_ulong(other), ctypes.c_ulong(one), 0)
    open("spoilt", "w").close()
    huge = ctypes.create_string_buffer(b"\\x7f" * 32, 32)
    name = ctypes.create_string_buffer(b"\\xff\\xfe" * 3000)
    for number in numbers:
        libc.syscall(ctypes.c_long(number), ctypes.c_long(-100), name, huge, 0)
        libc.syscall(ctypes.c_long(number), ctypes.c_long(-100), b"spoilt", huge, 0)
        libc.syscall(ctypes.c_long(number), b"spoilt", huge, 0, 0)
    open("kept", "w").close()
    os.chmod("kept", 0o711)
    print("still answered")
"""


def test_no_question_breaks_the_supervisor(tmp_path: Path, layers: tuple[str, ...]) -> None:
    ended = meet(tmp_path, NONSENSE, layers)
    assert (ended.code, ended.output) == (0, "still answered\n")
    assert (tmp_path / "room" / "kept").stat().st_mode & 0o777 == 0o711


def test_the_own_interpreter_is_not_a_virtual_environment() -> None:
    """Else the tests above would run in the environment of deep-lock itself."""
    assert not (own_interpreter().executable.parent.parent / "pyvenv.cfg").exists()
