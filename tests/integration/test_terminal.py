"""What a person sees in a terminal of 80 columns: the progress line while a run works, and the screen after it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.scenario_server import Releases
from tests.support.scenarios import WINDOWS, Bench, bench

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal of POSIX", allow_module_level=True)

import fcntl
import pty
import struct
import termios

COLUMNS = 80
LONG = "a-project-with-a-name-that-is-about-as-long-as-a-name-should-ever-be"
RELEASES: Releases = {
    **{f"{LONG}-{number} 1.0": {} for number in range(30)},
    "lib 1.0": {},
    "lib 2.0": {},
    "only-linux 1.0": {"wheels": ["py3-none-manylinux_2_28_x86_64"]},
}
_TOKEN = re.compile(r"\x1b\[(?P<number>[0-9;?]*)(?P<kind>[A-Za-z])|(?P<end>\r?\n)|(?P<start>\r)|(?P<text>[^\x1b\r\n]+)")


class Seen(NamedTuple):
    """What was on the screen."""

    code: int
    screen: str
    """After the run, without colors."""
    progress: list[str]
    """Each text that a progress line had."""
    colors: set[str]
    """The parameters of SGR."""


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.pythons = ("3.12", "3.13")
        yield own


def _run(made: Bench, *flags: str) -> Seen:
    """Run `deep-lock lock` in a pseudo-terminal, and do what it writes."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "deep_lock", "lock", *made.flags(), *flags]
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        raw = b""
        while data := _read(main):
            raw += data
    os.close(main)
    return _shown(process.returncode, raw.decode())


def _read(end: int) -> bytes:
    try:
        return os.read(end, 65536)
    except OSError:  # Linux has EIO where the other end is closed
        return b""


def _shown(code: int, text: str) -> Seen:
    lines, row, column = [""], 0, 0
    progress, colors = [], set()
    for token in _TOKEN.finditer(text):
        match token["kind"], token["number"]:
            case "K", "2":
                lines[row] = ""
            case "A", number:
                row -= int(number or 1)
            case "m", number:
                colors.add(number)
            case None, _:
                if token["end"]:
                    row, column = row + 1, 0
                    lines += [""] if row == len(lines) else []
                elif token["start"]:
                    column = 0
                else:
                    lines[row] = (
                        lines[row][:column].ljust(column) + token["text"] + lines[row][column + len(token["text"]) :]
                    )
                    column += len(token["text"])
                    progress += [lines[row]] if "\u2800" <= lines[row][0] <= "\u28ff" else []
    return Seen(code, "\n".join(lines), progress, colors)


def test_no_line_is_wider_than_the_terminal_and_the_progress_line_is_gone(made: Bench) -> None:
    made.ask("lib<2", *(f"{LONG}-{number}" for number in range(30)))
    first = _run(made)
    assert first.code == 0, first.screen
    assert first.progress, "the line was drawn"
    assert any(f"waiting for {LONG[:10]}" in line or "solving" in line for line in first.progress)
    assert any(re.search("[12] of 2 targets", line) for line in first.progress)
    assert max(map(len, first.progress)) < COLUMNS, "a full line would wrap"
    assert re.fullmatch(
        r"wrote deep.lock\n  31 packages in [0-9.]+ s\n  targets: cp312-cp313 on x86_64-manylinux_2_28\n"
        r"  only wheels are installed: no package runs its own code when it is installed\n",
        first.screen,
    )
    assert first.colors == set()
    made.ask("lib>=2", f"{LONG}-1")
    changed = _run(made)
    assert changed.screen.startswith(f"wrote deep.lock\n  ~ lib 1.0 -> 2.0\n  - {LONG}-0 1.0\n"), changed.screen
    assert "\n  and 10 more (-v shows all)\n  2 packages in " in changed.screen
    assert changed.colors == {"36", "31", "0"}, "cyan and red, for the signs only"


def test_an_error_is_wrapped_and_readable_on_dark_and_light(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made.platforms = (*made.platforms, WINDOWS)
    made.ask("only-linux")
    seen = _run(made)
    assert seen.code == 1
    assert seen.screen.startswith(
        "error: no set of versions fits the runtime on Windows:\n"
        "  pyproject.toml:4 [project.dependencies] requires only-linux (any version)\n"
    ), seen.screen
    assert max(map(len, seen.screen.split("\n"))) <= COLUMNS
    assert seen.colors == {"31", "1", "0"}, "red, bold, and back: neither white nor yellow"
    monkeypatch.setenv("NO_COLOR", "1")
    assert _run(made).colors == set()
