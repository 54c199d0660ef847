"""What strangers wrote is shown with its hidden characters made visible, wherever it gets to the screen from."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, Reply, redirect, reply
from tests.support.fault_world import ALPHA, BETA, JSON, PROJECT, core_metadata, desk, file_path, page, people, sdist

QUICK = (str(Path(__file__).parents[1] / "support" / "fault_quick.py"),)
NASTY = "\x1b[2J\x9b1m\u202egpj\u2066\u200b\x07\x00end"
ON_THE_WIRE = "\x1b[2J\x9b1m"
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

Change = Callable[[FaultServer], None]


def _entry(**more: object) -> Change:
    return lambda server: _serve_alpha(server, page("alpha", ALPHA, **more))  # type: ignore[arg-type]  # keys of an entry


def _page(**more: object) -> Change:
    return lambda server: _serve_alpha(server, json.dumps({**json.loads(page("alpha", ALPHA)), **more}).encode())


def _serve_alpha(server: FaultServer, body: bytes) -> None:
    server.script("/simple/alpha/", reply(body, headers=[JSON]))


def _answer(answer: Reply) -> Change:
    def change(server: FaultServer) -> None:
        server.script("/simple/alpha/", answer)

    return change


def _metadata(text: str) -> Change:
    def change(server: FaultServer) -> None:
        raw = text.encode()
        _serve_alpha(server, page("alpha", ALPHA, promised=raw))
        server.script(file_path(ALPHA), reply(raw))

    return change


def _sdist(pyproject: str, name: str = "beta") -> Change:
    def change(server: FaultServer) -> None:
        raw = sdist("beta", builds_with="gamma", pyproject=pyproject.encode(), pkg_info=core_metadata(name))
        server.script("/simple/beta/", reply(page("beta", BETA, promised=raw), headers=[JSON]))
        server.script(file_path(BETA), reply(raw))

    return change


HEAD = "Metadata-Version: 2.2\nName: alpha\nVersion: 1.0\n"
QUOTED = json.dumps(NASTY)
BUILD = '[build-system]\nrequires = ["gamma"]\n'
CASES: dict[str, tuple[Change, int]] = {
    "why a file is yanked": (_entry(yanked=NASTY), 1),
    "file name": (_entry(filename=f"alpha-1.0{NASTY}.tar.gz"), 1),
    "URL of a file": (_entry(url=f"http://h.example/{NASTY}"), 1),
    "requires-python": (_entry(**{"requires-python": f">=9{NASTY}"}), 1),
    "upload-time": (_entry(**{"upload-time": NASTY}), 0),
    "hash": (_entry(hashes={"sha256": NASTY}), 1),
    "name in a page": (_page(name=NASTY), 4),
    "version of the API": (_page(meta={"api-version": f"2.{NASTY}"}), 3),
    "status of the project": (_page(**{"project-status": {"status": NASTY, "reason": NASTY}}), 0),
    "reason of a 403": (_answer(reply(status=f"403 {ON_THE_WIRE}")), 3),
    "reason of a 500": (_answer(reply(status=f"500 {ON_THE_WIRE}")), 3),
    "status line": (_answer(Reply(raw=f"HTTP/1.1 {ON_THE_WIRE}\r\n\r\n".encode("latin-1"), after="close")), 3),
    "header": (_answer(reply(headers=[(f"X{ON_THE_WIRE}", ON_THE_WIRE)])), 3),
    "content type": (_answer(reply(b"x", headers=[("Content-Type", ON_THE_WIRE)])), 3),
    "location": (_answer(redirect(f"http://127.0.0.1:1/{ON_THE_WIRE}")), 4),
    "scheme of a location": (_answer(redirect(f"x{ON_THE_WIRE}://127.0.0.1:1/")), 4),
    "body": (_answer(reply(f'{{"{NASTY}"'.encode(), headers=[JSON])), 3),
    "name in metadata": (_metadata(HEAD.replace("alpha", NASTY)), 4),
    "version of another release": (_metadata(HEAD.replace("1.0", "2.0")), 4),
    "version of metadata": (_metadata(HEAD.replace("2.2", f"9{NASTY}")), 4),
    "requirement": (_metadata(f"{HEAD}Requires-Dist: be{NASTY}\n"), 1),
    "marker": (_metadata(f"{HEAD}Requires-Dist: beta; python_version == '{NASTY}'\n"), 1),
    "URL of a requirement": (_metadata(f"{HEAD}Requires-Dist: beta @ https://h{NASTY}/\n"), 1),
    "backend": (_sdist(f"{BUILD}build-backend = {QUOTED}\n"), 4),
    "backend path": (_sdist(f'{BUILD}build-backend = "b"\nbackend-path = [{QUOTED}]\n'), 4),
    "build requirement": (_sdist(f'[build-system]\nrequires = [{QUOTED}]\nbuild-backend = "b"\n'), 4),
    "broken TOML": (_sdist(f"[{NASTY}"), 4),
    "name in PKG-INFO": (_sdist(f'{BUILD}build-backend = "b"\n', NASTY), 4),
}


@pytest.mark.parametrize("case", CASES)
def test_what_an_index_says(tmp_path: Path, case: str) -> None:
    change, code = CASES[case]
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        change(server)
        ended = own.make_lock(url, before=QUICK)
    assert ended.code == code, ended.stderr
    assert HIDDEN.findall(ended.stdout + ended.stderr) == []
    assert own.lock.exists() == (code == 0)


def test_the_reason_is_shown_and_not_dropped(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        _entry(yanked=NASTY)(server)
        ended = own.make_lock(url)
    shown = r"\u{1b}[2J\u{9b}1m\u{202e}gpj\u{2066}\u{200b}\u{7}\u{0}end"
    assert f"{ALPHA}: yanked: {shown}" in ended.stderr


INPUTS = {
    "dependency": PROJECT.replace('"alpha"', QUOTED),
    "project name": PROJECT.replace('"letter"', QUOTED),
    "setting": f"{PROJECT}[tool.deep-lock]\n{QUOTED} = 1\n",
    "index": f'{PROJECT}[[tool.deep-lock.index]]\nname = {QUOTED}\nurl = "http://127.0.0.1:9/"\n',
    "group": f"{PROJECT}[dependency-groups]\n{QUOTED} = []\n",
    "broken TOML": f"[{NASTY.replace(chr(0), '')}",
}


@pytest.mark.parametrize("case", INPUTS)
def test_what_a_project_says(tmp_path: Path, case: str) -> None:
    own = desk(tmp_path)
    (own.project / "pyproject.toml").write_text(INPUTS[case], encoding="utf-8")
    ended = own.make_lock("http://127.0.0.1:9/simple/")
    assert ended.code == 2
    assert HIDDEN.findall(ended.stdout + ended.stderr) == []


FLAGS = (
    ("--python-version", "3."),
    ("-P", "alpha"),
    ("--index", "name="),
    ("--group", "x"),
    ("--resolution", "x"),
    ("--exclude-newer", "x"),
    ("-r", "no-such"),
    ("--no-such", "x"),
)


@pytest.mark.parametrize(("flag", "start"), FLAGS)
def test_what_a_flag_says(tmp_path: Path, flag: str, start: str) -> None:
    ended = desk(tmp_path).make_lock("http://127.0.0.1:9/simple/", flag, start + NASTY.replace("\x00", ""))
    assert ended.code == 2
    assert HIDDEN.findall(ended.stdout + ended.stderr) == []


@pytest.mark.parametrize("text", [f"lock-version = {QUOTED}\n", f"{NASTY}\n", f'[{QUOTED}]\nlock-version = "1.0"\n'])
def test_what_an_old_lock_says(tmp_path: Path, text: str) -> None:
    own = desk(tmp_path)
    own.lock.write_bytes(text.encode())
    ended = own.make_lock("http://127.0.0.1:9/simple/")
    assert ended.code == 2
    assert HIDDEN.findall(ended.stdout + ended.stderr) == []
    assert own.lock.read_bytes() == text.encode()
