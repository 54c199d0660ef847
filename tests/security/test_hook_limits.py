"""`deep-lock lock` with a backend that uses more than its limits, in ways that no limit of one process counts."""

import textwrap
from pathlib import Path

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from tests.support.sandbox_layers import WITHOUT, machine_without
from tests.support.scenarios import Scenario, laid

pytestmark = pytest.mark.skipif(probe().level != "strong", reason=f"no strong sandbox here: {probe().layers}")

PREPARE = """
import ctypes, fcntl, os, struct, time
library = ctypes.CDLL(None, use_errno=True)
long = ctypes.c_long

def get_requires_for_build_wheel(config_settings=None):
"""
TOO_MUCH = {
    "processes": (
        "for number in range(3000):\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)\ntime.sleep(60)",
        "its backend had more than 1024 processes and threads",
    ),
    "deleted files": (
        """
        for number in range(22):
            assert library.fallocate(os.open('.', os.O_RDWR | os.O_TMPFILE), 0, long(0), long(250 << 20)) == 0
        time.sleep(60)
        """,
        "its backend wrote more than 2147483648 bytes of files",
    ),
}
REFUSED = {
    "space past the end": "library.fallocate(file, 1, long(0), long(300 << 20)) == 0",
    "space in the middle": "library.fallocate(file, 0x20, long(0), long(300 << 20)) == 0",
    "zeros past the end": "library.fallocate(file, 0x11, long(0), long(300 << 20)) == 0",
    "space by an ioctl": "ioctl(0x4030582A)",
    "zeros by an ioctl": "ioctl(0x40305839)",
    "memory in a file": "os.memfd_create('memory') >= 0",
}


def _lock(
    body: str, folder: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, list[str]]:
    table = {
        "requirements": ["thing"],
        "hooks": "sandbox",
        "pythons": ["here"],
        "platforms": ["host"],
        "releases": {
            "thing 1.0": {
                "wheels": [],
                "sdist": True,
                "build": [],
                "backend": "own",
                "backend-path": ["."],
                "tree": {"own.py": PREPARE + textwrap.indent(textwrap.dedent(body), "    ")},
            },
            "refused 1.0": {},
            "allowed 1.0": {},
        },
        "expect": {},
    }
    with laid(Scenario(name="limits", table=table), folder, capture, monkeypatch) as made:
        ran = made.lock()
        return ran.code, ran.stderr, ran.pins() if ran.text else []


@pytest.mark.parametrize("lacking", WITHOUT)
@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_lock_ends_with_the_limit(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    lacking: tuple[str, ...],
) -> None:
    body, reason = TOO_MUCH[name]
    with machine_without(lacking):
        code, stderr, _ = _lock(body, tmp_path, capfd, monkeypatch)
    assert (code, reason in stderr) == (4, True), stderr


@pytest.mark.parametrize("lacking", WITHOUT)
@pytest.mark.parametrize("name", REFUSED)
def test_a_backend_sees_that_the_call_is_refused(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    lacking: tuple[str, ...],
) -> None:
    """And goes on: the lock is made, with the requirement that the backend names where the call fails."""
    body = f"""
        file = os.open('file', os.O_RDWR | os.O_CREAT)
        os.write(file, bytes(1 << 20))
        def ioctl(number):
            fcntl.ioctl(file, number, struct.pack('=hhxxxxqqiI16x', 0, 0, 0, 300 << 20, 0, 0))
            return True
        try:
            done = {REFUSED[name]}
        except OSError:
            done = False
        return ['allowed' if done else 'refused']
    """
    with machine_without(lacking):
        code, stderr, pins = _lock(body, tmp_path, capfd, monkeypatch)
    assert code == 0, stderr
    assert "refused==1.0" in pins
    assert "allowed==1.0" not in pins
