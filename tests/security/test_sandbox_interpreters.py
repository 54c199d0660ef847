"""Through the front door: honest work on modes and times, and words that would end a supervisor that trusts them."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.builds.interpreters import inspect_interpreter
from deep_lock.builds.sandbox.run import INNER_LAYERS, execute
from deep_lock.builds.sandbox.sandbox import Command, Ended, Limits, probe, run
from deep_lock.builds.temp_dirs import disposable_folder

pytestmark = pytest.mark.skipif(probe().level != "strong", reason="there is no strong sandbox here")

MODES_AND_TIMES = """
import ctypes, os, pathlib, shutil, stat, subprocess

def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)

pathlib.Path("new").touch()
assert os.path.exists("new")
os.chmod("new", 0o4751)
assert mode("new") == 0o751, "no set-uid bit"
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

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
"""
SHORT_LIVES = """
import os
if os.fork() == 0:
    while True:  # each process lives a moment only: to find its number is to be late
        if os.fork():
            os._exit(0)
"""


@pytest.fixture(params=["inner layers", "front door"])
def layers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    with disposable_folder("deep-lock-test-") as made:
        yield made.resolve()


def meet(folder: Path, code: str, layers: str) -> Ended:
    """Run the code, marked by the folder's name."""
    own = inspect_interpreter(Path(sys.executable))
    assert own is not None
    room, script = folder / "room", folder / "stranger.py"
    room.mkdir()
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    command = Command(
        python=own.executable,
        arguments=(str(script),),
        cwd=room,
        environ={"PATH": "/usr/bin:/bin", "MARK": str(folder)},
        readable=(*own.base, script),
        writable=(room,),
        limits=Limits(wall_seconds=60),
    )
    return execute(command, INNER_LAYERS) if layers == "inner layers" else run(command)


def strangers(folder: Path) -> list[str]:
    """Return the commands that carry the folder's mark; bubblewrap's own may end a moment after the others."""
    mark = f"MARK={folder}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append((entry / "comm").read_text(encoding="utf-8").strip())
        except OSError:
            continue
    return [name for name in found if name != "bwrap"]


def test_modes_and_times_of_its_own_files(folder: Path, layers: str) -> None:
    ended = meet(folder, MODES_AND_TIMES, layers)
    assert ended.code == 0, ended.output


def test_no_word_of_a_hook_ends_the_supervisor(folder: Path, layers: str) -> None:
    ended = meet(folder, NONSENSE, layers)
    assert (ended.code, ended.output) == (0, "still answered")
    assert (folder / "room" / "kept").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("code", [DAEMON, SHORT_LIVES, DAEMON + NONSENSE])
def test_nothing_lives_on(folder: Path, layers: str, code: str) -> None:
    assert meet(folder, code, layers).code == 0
    assert strangers(folder) == []
