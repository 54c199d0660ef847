"""What a run gives to those who behave, and how it ends those who do not."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.builds.sandbox import sandbox
from deep_lock.builds.sandbox.run import INNER_LAYERS, LayerName, execute
from deep_lock.builds.sandbox.sandbox import Ability, Command, Layer, Limits, probe, run
from deep_lock.errors import HookFailed, HookRefused
from tests.support.sandboxed import Bench, bench, is_locked, programs, until

pytestmark = pytest.mark.skipif(probe().level != "strong", reason=f"no strong sandbox here: {probe().layers}")

DAEMON = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open("daemon", "w") as file:
                file.write(str(os.getpid()))
            time.sleep(60)
        os._exit(0)
    while not (os.path.exists("daemon") and os.path.getsize("daemon")):
        time.sleep(0.01)
    print("left", flush=True)
"""


@pytest.fixture
def place() -> Iterator[Bench]:
    with bench() as made:
        yield made


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("without", [set(), {"seccomp"}, {"sweep"}], ids=["all", "no filter", "no sweep"])
def test_a_daemon_does_not_survive(place: Bench, without: set[LayerName]) -> None:
    ended = place.run(DAEMON, INNER_LAYERS - without)
    assert (ended.code, ended.output) == (0, "left")
    assert not _lives(int((place.work / "daemon").read_text()))


def test_a_daemon_survives_without_group_and_sweep(place: Bench) -> None:
    place.run(DAEMON, INNER_LAYERS - {"seccomp", "sweep"})
    daemon = int((place.work / "daemon").read_text())
    assert _lives(daemon)
    os.kill(daemon, 9)


def test_who_ignores_every_signal_is_stopped_in_time(place: Bench) -> None:
    code = """
        import os, signal
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.fork()
        while True:
            pass
    """
    ended = place.run(code, limits=Limits(wall_seconds=0.5))
    assert (ended.stopped, ended.code) == ("time", -9)


def test_processor_time_is_limited(place: Bench) -> None:
    ended = place.run("while True: pass", limits=Limits(wall_seconds=20, cpu_seconds=1))
    assert (ended.stopped, ended.code) == ("", -24)


def test_a_flood_of_output_is_stopped(place: Bench) -> None:
    ended = place.run("for _ in range(1024): sys.stdout.write('x' * 65535 + chr(10))\nwhile True: pass")
    assert ended.stopped == "output"
    assert len(ended.output) <= 16 * 1024


def test_a_folder_that_fills_is_stopped(place: Bench) -> None:
    code = """
        import os
        for number in range(64):
            with open(f"{number}", "wb") as file:
                file.write(bytes(1 << 20))
        while True:
            pass
    """
    assert place.run(code, limits=Limits(wall_seconds=20, folder=8 << 20)).stopped == "space"


def test_a_folder_too_deep_to_be_looked_at_counts_as_full(place: Bench) -> None:
    code = """
        import os
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        while True:
            pass
    """
    assert place.run(code, limits=Limits(wall_seconds=20)).stopped == "space"
    # too deep for rmtree on some Pythons; the bench forgives what is left
    subprocess.run(["rm", "-rf", str(place.work)], check=True)


def test_who_holds_the_output_does_not_hold_the_run(place: Bench) -> None:
    ended = place.run("import os, time\nif os.fork() == 0:\n    time.sleep(60)")
    assert (ended.code, ended.stopped) == (0, "")
    assert ended.seconds < 30


def test_output_is_made_safe_to_show(place: Bench) -> None:
    assert place.run("print('\\x1b[31m red'); print('\\u202e')").output == "\\u{1b}[31m red\n\\u{202e}"


@pytest.mark.parametrize(("code", "wanted"), [("sys.exit(7)", 7), ("1 / 0", 1), ("import os; os.abort()", -6)])
def test_the_exit_code_is_the_script_s(place: Bench, code: str, wanted: int) -> None:
    assert place.run(code).code == wanted


def test_a_compiled_program_runs(place: Bench) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here")
    code = """
        import os, subprocess
        with open("hello.c", "w") as file:
            file.write('#include <stdio.h>\\nint main(void) { puts("compiled"); return 0; }')
        subprocess.run(["gcc", "hello.c", "-o", "hello", "-lpthread"], check=True)
        subprocess.run(["./hello"], check=True)
    """
    assert place.run(code).output == "compiled"


def test_what_builds_do_to_their_own_files_works(place: Bench) -> None:
    code = """
        import os, shutil, subprocess, tempfile, threading
        os.makedirs("a/b")
        with open("a/one", "w") as file:
            file.write("#!/bin/sh\\necho ran")
        os.chmod("a/one", 0o4755)
        assert oct(os.stat("a/one").st_mode) == "0o100755", oct(os.stat("a/one").st_mode)
        os.utime("a/one", (5, 6))
        assert os.stat("a/one").st_mtime == 6
        os.rename("a/one", "a/b/two")
        os.symlink("b/two", "a/three")
        os.chmod("a/three", 0o700)
        os.link("a/b/two", "a/four")
        assert os.stat("a/four").st_mode & 0o777 == 0o700
        with open("a/four") as file:
            os.fchmod(file.fileno(), 0o711)
            os.utime(file.fileno())
        assert os.stat("a/four").st_mode & 0o777 == 0o711
        folder = os.open("a", os.O_RDONLY)
        os.chmod("four", 0o755, dir_fd=folder)
        assert os.stat("a/four").st_mode & 0o777 == 0o755
        shutil.copytree("a", "c", symlinks=True)
        try:
            os.chmod("nothing", 0o700)
        except FileNotFoundError:
            pass
        else:
            raise AssertionError
        subprocess.run(["a/four"], check=True)
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
            file.truncate(0)
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        with open(os.devnull, "w") as null:
            null.write("x")
        shutil.rmtree("c")
        print(len(os.urandom(4)))
    """
    ended = place.run(code)
    assert (ended.code, ended.output.splitlines()) == (0, ["ran", "thread", "4"])


def test_other_pythons_work(place: Bench) -> None:
    found = []
    for minor in range(9, 16):
        python = shutil.which(f"python3.{minor}")
        asked = [python or "false", "-c", "import sys; print(sys.executable)"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            ended = execute(place.command("print(sys.version_info[1])", python=answer.stdout.strip()), INNER_LAYERS)
            assert ended.output == str(minor)
            found.append(minor)
    if not found:
        pytest.skip("no Python is named by its version on PATH")


def test_an_environment_is_seen_and_its_pth_files_are_not_run(place: Bench) -> None:
    venv = place.script.with_name("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "backend.py").write_text("NAME = 'the backend'\n")
    (packages / "evil.pth").write_text(f"import os; os.mkdir({str(place.work / 'evil')!r})\n")
    (packages / "sitecustomize.py").write_text(f"import os; os.mkdir({str(place.work / 'evil')!r})\n")
    code = "import backend, sysconfig; print(backend.NAME, sys.path[-1], sys.prefix, sysconfig.get_path('purelib'))"
    command = place.command(code, python=str(venv / "bin" / "python"))
    command = replace(
        command, readable=(*command.readable, venv, Path(sys.base_prefix)), search_path=(packages,), prefix=venv
    )
    ended = execute(command, INNER_LAYERS)
    assert ended.output == f"the backend {packages} {venv} {packages}"
    assert not (place.work / "evil").exists()


# -- the front door


def test_without_a_strong_sandbox_nothing_runs(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = Ability(level="partial", layers=(Layer(name="landlock", works=False, reason="not here"),))
    monkeypatch.setattr(sandbox, "probe", lambda: weak)
    command = place.command("open('ran', 'w')")
    with pytest.raises(HookRefused, match="landlock: not here"):
        run(command)
    assert not (place.work / "ran").exists()


def test_the_front_door_confines(place: Bench) -> None:
    code = "open(it['home'] + '/.netrc')"
    assert run(place.command(code)).code == 1
    assert run(replace(place.command(code), confined=False)).code == 0


def test_trusted_hooks_are_swept_too(place: Bench) -> None:
    assert run(replace(place.command(DAEMON), confined=False)).output == "left"
    assert not _lives(int((place.work / "daemon").read_text()))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"python": Path("/nonexistent/python")}, HookFailed),
        ({"python": Path(os.devnull)}, HookFailed),
        ({"cwd": Path("/nonexistent")}, HookRefused),
        ({"writable": (Path("/nonexistent"),)}, HookRefused),
    ],
    ids=["no python", "not a program", "no folder", "nothing to write to"],
)
def test_what_cannot_be_set_up_is_an_error(place: Bench, change: dict[str, object], kind: type[Exception]) -> None:
    command: Command = replace(place.command("print(1)"), **change)
    with pytest.raises(kind):
        run(command)


def test_a_writable_folder_must_not_be_a_link(place: Bench) -> None:
    trap = place.script.with_name("trap")
    trap.symlink_to(place.home)
    with pytest.raises(HookRefused, match="not a writable folder"):
        run(replace(place.command("print(1)"), writable=(place.work, trap)))


DEEP_LOCK = """
import sys
from pathlib import Path
from deep_lock.builds.sandbox.run import INNER_LAYERS, Command, execute
from deep_lock.builds.sandbox.sandbox import run
command = Command(python=Path(sys.executable), arguments={arguments!r}, cwd=Path({work!r}), environ={{}},
    readable=(Path(sys.base_prefix), Path({script!r})), writable=(Path({work!r}),))
{call}
"""


@pytest.mark.parametrize("call", ["run(command)", "execute(command, INNER_LAYERS)"], ids=["all layers", "inner layers"])
@pytest.mark.parametrize("stopped", [False, True], ids=["killed", "stopped, and the guard is killed"])
def test_a_hook_dies_with_deep_lock(place: Bench, call: str, *, stopped: bool) -> None:
    # A lock and not a process id: within bubblewrap ids are others.
    code = "import fcntl, time\nheld = open('held', 'w')\nfcntl.flock(held, fcntl.LOCK_EX)\ntime.sleep(60)"
    arguments, work, script = place.command(code).arguments, str(place.work), str(place.script)
    ours = DEEP_LOCK.format(arguments=arguments, work=work, script=script, call=call)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", ours], env=environ) as process:
        try:
            until(lambda: is_locked(place.work / "held"))
            if stopped:  # its end of the connection to the supervisor stays open
                process.send_signal(signal.SIGSTOP)
                os.kill(programs()[0], signal.SIGKILL)
            else:
                process.kill()
            until(lambda: not is_locked(place.work / "held"))
        finally:
            process.kill()
