"""Imports: nothing from the folder of a hostile project, and nothing after the first byte from outside was read."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_late_imports import MARK
from tests.support.fault_server import FaultServer, reply
from tests.support.fault_world import ALPHA, FILES, GAMMA, JSON, SOURCE, TARGET, Desk, desk, file_path, page, people

FENCED = (str(Path(__file__).parents[1] / "support" / "fault_late_imports.py"),)

LIBRARIES = {"packaging", "msgspec", "click", "httpcore", "h11", "filelock", "platformdirs", "resolvelib", "certifi"}
LIBRARIES |= {
    "distlib",
    "rich",
    "tomli",
    "httpx",
    "truststore",
    "anyio",
    "idna",
    "socksio",
    "sitecustomize_of_a_stranger",
}

# `python -m` puts the current folder on the path and then imports these for itself (3.11 to 3.13), before any line of
# ours runs; the same goes for a folder `deep_lock`. Only -I or -P (PYTHONSAFEPATH) guards against them.
UNGUARDED = {"importlib", "warnings", "contextlib", "collections", "keyword", "operator", "reprlib", "functools"}
UNGUARDED |= {"types", "traceback", "runpy", "pkgutil"}

STANDARD = {name for name in sys.stdlib_module_names if name not in sys.builtin_module_names and name != "__main__"}


def _plant(own: Desk, names: set[str]) -> Path:
    """Put modules into the project that leave a mark when they are imported; half of them are packages."""
    marks = own.project.parent / "marks.txt"
    for number, name in enumerate(sorted(names)):
        code = f"import builtins\nwith builtins.open({str(marks)!r}, 'a') as file: file.write({name!r} + chr(10))\n"
        path = own.project / (f"{name}.py" if number % 2 else f"{name}/__init__.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(code + f"raise ImportError({name!r})\n", encoding="utf-8")
    return marks


def test_a_hostile_folder_is_not_imported_from(tmp_path: Path) -> None:
    own = desk(tmp_path)
    marks = _plant(own, (STANDARD | LIBRARIES) - UNGUARDED)
    with FaultServer() as server:
        ended = own.make_lock(people(server))
    assert not marks.exists(), marks.read_text(encoding="utf-8")
    assert ended.code == 0, ended.stderr


def test_isolated_mode_guards_against_all_of_it(tmp_path: Path) -> None:
    own = desk(tmp_path)
    marks = _plant(own, STANDARD | LIBRARIES | {"deep_lock"})
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import runpy; runpy.run_module('deep_lock', None, '__main__', True)"
    with FaultServer() as server:
        ended = own.make_lock(people(server), before=("-I", "-c", code))
    assert not marks.exists(), marks.read_text(encoding="utf-8")
    assert ended.code == 0, ended.stderr


def test_the_planted_modules_would_be_seen(tmp_path: Path) -> None:
    own = desk(tmp_path)
    marks = _plant(own, {"packaging", "httpcore"})
    with own.start("-c", "import packaging", before=()) as child:
        child.communicate()
    assert marks.read_text(encoding="utf-8") == "packaging\n"


# -- the fence


def _as_it_is(server: FaultServer) -> None:
    del server


def _html(server: FaultServer) -> None:
    body = f'<!DOCTYPE html><html><body><a href="../../files/{GAMMA}">x</a></body></html>'.encode()
    server.script("/simple/gamma/", reply(body, headers=[("Content-Type", "text/html")]))
    server.script(f"/files/{GAMMA}", reply(b"no wheel"))


def _no_such_project(server: FaultServer) -> None:
    server.script("/simple/beta/", reply(b"", status="404 Not Found"))


def _unsatisfiable(server: FaultServer) -> None:
    metadata = FILES[ALPHA] + b"Requires-Dist: gamma>9\n"
    server.script("/simple/alpha/", reply(page("alpha", ALPHA, promised=metadata), headers=[JSON]))
    server.script(file_path(ALPHA), reply(metadata))


def _busy(server: FaultServer) -> None:
    later = reply(b"", status="429 Later", headers=[("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"), ("Date", "x")])
    server.script("/simple/alpha/", later, reply(page("alpha", ALPHA), headers=[JSON]))


def _denied(server: FaultServer) -> None:
    server.script("/simple/alpha/", reply(b"", status="403 No"))


@pytest.mark.parametrize("change", [_as_it_is, _html, _no_such_project, _unsatisfiable, _busy, _denied])
def test_nothing_is_imported_after_the_first_answer(tmp_path: Path, change: Callable[[FaultServer], None]) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        change(server)
        ended = own.make_lock(url, before=FENCED)
        assert server.requests
        server.surprises.clear()
    said = [line for line in ended.stderr.splitlines() if line.startswith(MARK)]
    assert len(said) == 1, ended.stderr
    assert json.loads(said[0].removeprefix(MARK)) == []


def test_nothing_is_imported_late_for_a_remote_cache(tmp_path: Path) -> None:
    own = desk(tmp_path)
    store = (tmp_path / "store").as_uri()
    with FaultServer() as server:
        ended = own.make_lock(people(server), "--remote-cache", store, "--requests-per-second=900", before=FENCED)
    assert json.loads(ended.stderr.rpartition(MARK)[2]) == []
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def test_the_fence_hears(tmp_path: Path) -> None:
    """A module that is taken away from the run is found late."""
    own = desk(tmp_path)
    code = f"""
import runpy, sys
from deep_lock import lazy
lazy.load_all = lambda: None
sys.argv[0] = {FENCED[0]!r}
runpy.run_path({FENCED[0]!r}, run_name="__main__")
"""
    with FaultServer() as server:
        ended = own.run("lock", *TARGET, "-i", people(server), before=("-c", code))
    assert "deep_lock." in ended.stderr.rpartition(MARK)[2]
    shutil.rmtree(own.cache)
