"""`deep-lock fetch`, through the front door: what a folder holds afterwards, and what was asked of which server."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.files import is_temporary, temporary_file
from tests.support.fault_server import FaultServer, reply
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench

WIN_WHEEL = "cp313-cp313-win_amd64"
LINUX_WHEEL = "cp313-cp313-manylinux_2_17_x86_64"
RELEASES: Releases = {
    "app-lib 1.0": {
        "requires": ["native>=1", "shared"],
        "modules": {"app_lib.py": "import shared\nNAME = 'app-lib'\n"},
    },
    "shared 2.0": {"modules": {"shared.py": "NAME = 'shared'\n"}},
    "native 1.0": {"wheels": [WIN_WHEEL], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.0": {"wheels": [], "sdist": True, "build": ["flit_core", "shared"], "backend": "flit_core.buildapi"},
    "flit_core 3.9": {},
}
RUNTIME_LINUX = {"app_lib-1.0-py3-none-any.whl", "shared-2.0-py3-none-any.whl", "native-1.0.tar.gz"}
RUNTIME_WINDOWS = {"app_lib-1.0-py3-none-any.whl", "shared-2.0-py3-none-any.whl", f"native-1.0-{WIN_WHEEL}.whl"}
BUILD_LINUX = {
    "native-1.0.tar.gz",
    "maker-3.0.tar.gz",
    "flit_core-3.9-py3-none-any.whl",
    "shared-2.0-py3-none-any.whl",
}
WHOLE = RUNTIME_LINUX | RUNTIME_WINDOWS | BUILD_LINUX
ON_LINUX, ON_WINDOWS = f"cp313-{LINUX}", f"cp313-{WINDOWS}"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    code: int
    stderr: str
    asked: tuple[str, ...]
    """Names of the files that were asked for."""


@dataclass(frozen=True, kw_only=True)
class Depot:
    """A locked project, and a folder that files are fetched into."""

    bench: Bench
    folder: Path

    @property
    def lock(self) -> Path:
        return self.bench.folder / "deep.lock"

    def fetch(self, *flags: str) -> Fetched:
        server = self.bench.server
        before = len(server.log)
        self.bench.capture.readouterr()
        code = run(["fetch", "--lock", str(self.lock), "-d", str(self.folder), *flags])
        told = self.bench.capture.readouterr()
        assert told.out == ""
        assert "Traceback" not in told.err
        paths = [request.path for request in server.log[before:]]
        assert all(path.startswith("/files/") for path in paths), "only files are asked for"
        asked = sorted(path.removeprefix("/files/") for path in paths)
        # next to a wheel that is fetched, its metadata file is asked for, to be compared
        return Fetched(
            code=code, stderr=told.err, asked=tuple(name for name in asked if not name.endswith(".metadata"))
        )

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()

    def truth(self, name: str) -> bytes:
        return self.bench.server.known[name].content

    def is_right(self) -> bool:
        return all((self.folder / name).read_bytes() == self.truth(name) for name in self.names())

    def forget(self) -> None:
        """Empty the cache."""
        assert run(["cache", "clean"]) == 0


@contextmanager
def depot(folder: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    with bench(folder, capture, monkeypatch, RELEASES) as made:
        made.platforms = (LINUX, WINDOWS)
        made.ask("app-lib")
        locked = made.lock()
        assert locked.code == 0, locked.stderr
        yield Depot(bench=made, folder=folder / "wheels")


@pytest.fixture
def full(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    with depot(tmp_path, capsys, monkeypatch) as made:
        yield made


# -- which files


SELECTIONS: Mapping[tuple[str, ...], set[str]] = {
    (): WHOLE,
    ("--runtime", "--build"): WHOLE,
    ("--runtime",): RUNTIME_LINUX | RUNTIME_WINDOWS,
    ("--build",): BUILD_LINUX,
    (f"--target={ON_LINUX}",): RUNTIME_LINUX | BUILD_LINUX,
    (f"--target={ON_WINDOWS}",): RUNTIME_WINDOWS,
    (f"--target={ON_WINDOWS}", f"--target={ON_LINUX}"): WHOLE,
    ("--runtime", f"--target={ON_LINUX}"): RUNTIME_LINUX,
    ("--build", f"--target={ON_LINUX}"): BUILD_LINUX,
    ("--build", f"--target={ON_WINDOWS}"): set(),
}


@pytest.mark.parametrize("flags", SELECTIONS, ids=" ".join)
def test_what_is_asked_for_is_there_and_nothing_else(full: Depot, flags: tuple[str, ...]) -> None:
    wanted = SELECTIONS[flags]
    ended = full.fetch(*flags)
    assert ended.code == 0, ended.stderr
    assert full.names() == wanted
    assert full.is_right()
    assert set(ended.asked) == wanted
    assert len(ended.asked) == len(wanted), "no file is asked for twice"


def test_every_file_of_a_lock_for_mirrors_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = {
        "lib 1.0": {
            "wheels": ["py3-none-any", "cp39-cp39-win_amd64"],
            "sdist": True,
            "backend": "flit_core.buildapi",
            "build": [],
        }
    }
    with bench(tmp_path, capsys, monkeypatch, releases) as made:
        made.write(
            {
                "pyproject.toml": '[project]\nname="app"\nversion="1"\ndependencies=["lib"]\n[tool.deep-lock]\nfiles="all"\n'
            }
        )
        assert made.lock().code == 0
        place = Depot(bench=made, folder=tmp_path / "wheels")
        assert place.fetch("--runtime").code == 0
        assert place.names() == {"lib-1.0-py3-none-any.whl"}
        assert place.fetch().code == 0
        assert place.names() == {"lib-1.0-py3-none-any.whl", "lib-1.0-cp39-cp39-win_amd64.whl", "lib-1.0.tar.gz"}


def test_an_unknown_target_is_wrong_usage(full: Depot) -> None:
    ended = full.fetch("--target", "cp399-moon")
    assert ended.code == 2
    assert "has no target cp399-moon" in ended.stderr
    assert ON_LINUX in ended.stderr
    assert not full.folder.exists()


# -- again


def test_what_is_there_is_kept_and_what_is_wrong_is_replaced(full: Depot) -> None:
    assert full.fetch().code == 0
    same, cut, lost = sorted(WHOLE)[:3]
    before = (full.folder / same).stat()
    full.forget()
    (full.folder / cut).unlink()
    (full.folder / cut).write_bytes(full.truth(cut)[:-1] + b"\xff")
    (full.folder / lost).unlink()
    ended = full.fetch()
    assert ended.code == 0, ended.stderr
    assert ended.asked == tuple(sorted([cut, lost]))
    assert full.names() == WHOLE
    assert full.is_right()
    assert (full.folder / same).stat().st_mtime_ns == before.st_mtime_ns
    assert re.search(rf"already in the folder +{len(WHOLE) - 2} ", ended.stderr)


def test_a_file_that_is_changed_in_its_place_does_not_change_the_cache(full: Depot) -> None:
    assert full.fetch().code == 0
    name = min(WHOLE)
    with (full.folder / name).open("r+b") as file:
        file.write(b"XXXX")  # the cache may hold the same file under another name
    ended = full.fetch()
    assert (ended.code, ended.asked) == (0, (name,))
    assert full.is_right()


def test_a_second_folder_comes_from_the_cache(full: Depot, tmp_path: Path) -> None:
    assert full.fetch().code == 0
    other = Depot(bench=full.bench, folder=tmp_path / "other")
    ended = other.fetch("--offline")
    assert (ended.code, ended.asked) == (0, ()), ended.stderr
    assert other.names() == WHOLE
    assert other.is_right()


@pytest.mark.skipif(os.name != "posix", reason="files are shared with the cache on POSIX systems only")
def test_nothing_is_stored_twice_and_nothing_shared_that_others_may_write(full: Depot, tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        assert full.fetch().code == 0
        assert {(full.folder / name).stat().st_nlink for name in WHOLE} == {2}
        full.forget()
        os.umask(0o002)
        other = Depot(bench=full.bench, folder=tmp_path / "other")
        assert other.fetch().code == 0
        assert {(other.folder / name).stat().st_nlink for name in WHOLE} == {1}
    finally:
        os.umask(old)


def test_offline_names_everything_that_is_missing(full: Depot) -> None:
    full.forget()
    ended = full.fetch("--offline")
    assert (ended.code, ended.asked) == (3, ())
    for name in WHOLE:
        assert name in ended.stderr
    assert full.names() == set()


def test_others_in_the_folder_are_told_of(full: Depot) -> None:
    full.folder.mkdir()
    (full.folder / "shared-9.0-py3-none-any.whl").write_bytes(b"")
    ended = full.fetch("--runtime")
    assert ended.code == 0
    assert "files that are not in the lock: shared-9.0-py3-none-any.whl" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_what_a_killed_run_left_goes_and_what_is_being_written_stays(full: Depot) -> None:
    full.folder.mkdir()
    dead = full.folder / ".deep-lock-0011.tmp"
    dead.write_bytes(b"half")
    with temporary_file(full.folder / "x") as (alive, _):
        assert full.fetch().code == 0
        assert full.names() == WHOLE | {alive.name}


# -- faults


def test_other_bytes_than_locked_are_refused(full: Depot) -> None:
    name = "shared-2.0-py3-none-any.whl"
    full.bench.server.bodies[f"/files/{name}"] = ("application/octet-stream", b"x" * len(full.truth(name)))
    ended = full.fetch()
    assert ended.code == 4
    assert "states: do not use this file" in ended.stderr
    assert full.names() == WHOLE - {name}, "the others are there, and nothing of the wrong one"
    del full.bench.server.bodies[f"/files/{name}"]
    ended = full.fetch()
    assert (ended.code, ended.asked) == (0, (name,))
    assert full.is_right()


def test_more_bytes_than_locked_are_not_read(full: Depot) -> None:
    name = "shared-2.0-py3-none-any.whl"
    full.bench.server.bodies[f"/files/{name}"] = ("application/octet-stream", full.truth(name) + b"x")
    ended = full.fetch()
    assert ended.code == 4
    assert f"{len(full.truth(name))} bytes were expected" in ended.stderr
    assert name not in full.names()


@pytest.mark.parametrize("cached", [True, False])
def test_a_size_that_is_not_the_files_is_refused(full: Depot, *, cached: bool) -> None:
    if cached:
        assert full.fetch().code == 0
        shutil.rmtree(full.folder)
    name = "shared-2.0-py3-none-any.whl"
    size = len(full.truth(name))
    text = full.lock.read_text(encoding="utf-8")
    assert f"size = {size}," in text
    digest = hashlib.sha256(full.truth(name)).hexdigest()
    lines = [
        line.replace(f"size = {size},", f"size = {size + 1},") if digest in line else line for line in text.splitlines()
    ]
    full.lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not cached:
        full.forget()
    ended = full.fetch()
    assert ended.code == 4
    assert f"but {size + 1} bytes were expected" in ended.stderr
    assert full.names() == WHOLE - {name}


def test_a_file_that_is_gone_is_named_and_the_others_are_there(full: Depot) -> None:
    name = "maker-3.0.tar.gz"
    full.bench.server.statuses[f"/files/{name}"] = 404
    full.forget()
    ended = full.fetch()
    assert ended.code == 3
    assert name in ended.stderr
    assert f"{len(WHOLE) - 1} of {len(WHOLE)} files were fetched" in ended.stderr
    assert full.names() == WHOLE - {name}


def test_a_dead_server_ends_the_run_and_what_was_fetched_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with depot(tmp_path, capsys, monkeypatch) as made:
        assert made.fetch("--runtime").code == 0
        lock = made.lock.read_bytes()
        made.forget()
    made.lock.write_bytes(lock)
    capsys.readouterr()
    code = run(["fetch", "--lock", str(made.lock), "-d", str(made.folder)])
    told = capsys.readouterr().err
    assert code == 3
    assert "tried 3 times" in told
    assert made.names() == RUNTIME_LINUX | RUNTIME_WINDOWS


def test_a_server_that_fails_is_not_asked_for_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"lib{number}" for number in range(60)]
    with bench(tmp_path, capsys, monkeypatch, {f"{name} 1.0": {} for name in names}) as made:
        made.ask(*names)
        assert made.lock().code == 0
        for file in made.server.known:
            made.server.statuses[f"/files/{file}"] = 418  # no wait helps against it
        ended = Depot(bench=made, folder=tmp_path / "wheels").fetch()
        assert ended.code == 3
        assert len(set(ended.asked)) < len(names)
        assert "0 of 60 files were fetched" in ended.stderr


def test_a_folder_that_cannot_be_written_is_wrong_usage(full: Depot, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    ended = Depot(bench=full.bench, folder=tmp_path / "file" / "below").fetch()
    assert (ended.code, ended.asked) == (2, ())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file system that can be made too small")
def test_a_full_disk_leaves_nothing_half(full: Depot) -> None:
    """A limit on the size of files acts as a full disk does: a write fails in the middle of a file."""
    full.forget()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        "from deep_lock.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    arguments = ["fetch", "--lock", str(full.lock), "-d", str(full.folder)]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "cannot be written" in ended.stderr
    assert full.names() == set()


@pytest.mark.parametrize("text", ["", "lock-version = '1.0'\n", "packages = []\n"])
def test_a_lock_that_cannot_be_read_is_told_of(full: Depot, text: str) -> None:
    full.lock.write_text(text, encoding="utf-8")
    assert full.fetch().code == 2


def test_no_lock_is_told_of(full: Depot) -> None:
    full.lock.unlink()
    assert full.fetch().code == 2


def test_two_files_that_differ_in_case_alone_are_refused(full: Depot) -> None:
    name = "shared-2.0-py3-none-any.whl"
    digest = hashlib.sha256(full.truth(name)).hexdigest()
    text = full.lock.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if digest in line and name in line)
    twin = line.replace(name, "Shared-2.0-py3-none-any.whl").replace(digest, "0" * 64)
    full.lock.write_text(text.replace(line, f"{twin}\n{line}"), encoding="utf-8")
    ended = full.fetch()
    assert ended.code == 2, ended.stderr
    assert "two different files cannot be in one folder" in ended.stderr
    assert "Shared-2.0" in ended.stderr
    assert name in ended.stderr
    assert ended.asked == ()


# -- folders of files


def test_files_of_folders_are_copied_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        links = made.folder / "links"
        links.mkdir()
        name = "shared-2.0-py3-none-any.whl"
        (links / name).write_bytes(made.server.known[name].content)
        made.ask("shared")
        assert made.lock("--find-links", "links", "--no-index").code == 0
        place = Depot(bench=made, folder=tmp_path / "wheels")
        ended = place.fetch("--offline")
        assert (ended.code, ended.asked) == (0, ()), ended.stderr
        assert "from folders" in ended.stderr
        assert place.is_right()
        (place.folder / name).unlink()
        (links / name).write_bytes(made.server.known[name].content[:-1] + b"\xff")
        ended = place.fetch()
        assert (ended.code, place.names()) == (4, set())
        (links / name).unlink()
        ended = place.fetch()
        assert (ended.code, place.names()) == (3, set())


# -- logins


LOGIN = {"USERNAME": "me", "PASSWORD": "secret"}


@pytest.mark.parametrize(
    ("given", "code"),
    [((), 3), (("--default-index={url}",), 0), (("--index=default=http://127.0.0.1:1/simple/",), 3)],
    ids=["the lock's word is not enough", "said", "said of another origin"],
)
def test_a_login_by_name_goes_where_the_user_says_and_not_where_the_lock_says(
    full: Depot, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], code: int
) -> None:
    server = full.bench.server
    full.forget()
    server.auth = ("me", "secret")
    for key, value in LOGIN.items():
        monkeypatch.setenv(f"DEEP_LOCK_INDEX_DEFAULT_{key}", value)
    before = len(server.log)
    ended = full.fetch(*(text.replace("{url}", server.url) for text in given))
    assert ended.code == code, ended.stderr
    sent = any("authorization" in request.headers for request in server.log[before:])
    assert sent == (code == 0)


def test_the_settings_beside_the_lock_say_where_a_login_belongs(full: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    server = full.bench.server
    full.forget()
    server.auth = ("me", "secret")
    for key, value in LOGIN.items():
        monkeypatch.setenv(f"DEEP_LOCK_INDEX_HOUSE_{key}", value)
    full.bench.write({"deep-lock.toml": f'[[index]]\nname = "house"\nurl = "{server.url}"\n'})
    assert full.fetch().code == 0


def test_netrc_is_heeded_for_hosts_of_the_lock(full: Depot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full.forget()
    full.bench.server.auth = ("me", "secret")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert full.fetch().code == 0


# -- a kill


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_goes_on_where_it_was(full: Depot) -> None:
    """One file never ends: the run is killed as it waits, and the next one asks for that file alone."""
    slow = "app_lib-1.0-py3-none-any.whl"
    full.forget()
    with FaultServer() as server:
        for name in WHOLE:
            content = full.truth(name)
            whole = reply(content)
            server.script(f"/files/{name}.metadata", reply(status="404 Not Found"))
            server.script(
                f"/files/{name}", reply(content[:-9], length=len(content), after="keep") if name == slow else whole
            )
        text = full.lock.read_text(encoding="utf-8").replace(full.bench.server.origin, server.base)
        full.lock.write_text(text, encoding="utf-8")
        arguments = ["-m", "deep_lock", "fetch", "--lock", str(full.lock), "-d", str(full.folder)]
        with subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL) as child:
            for _ in range(400):
                if WHOLE - {slow} <= full.names() and any(is_temporary(name) for name in full.names()):
                    break
                try:
                    child.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                pytest.fail("the run ended by itself")
            child.kill()
        left = full.names() - WHOLE
        assert full.names() - left == WHOLE - {slow}
        assert all(is_temporary(name) for name in left)
        asked = len(server.requests)
        server.script(f"/files/{slow}", reply(full.truth(slow)))
        assert run(["fetch", "--lock", str(full.lock), "-d", str(full.folder)]) == 0
        targets = [request.target for request in server.requests[asked:]]
        assert [target for target in targets if not target.endswith(".metadata")] == [f"/files/{slow}"]
    assert full.names() - left == WHOLE


# -- what it is for


def test_pip_installs_from_the_folder_without_a_network(full: Depot, tmp_path: Path) -> None:
    """For Windows, where everything is a wheel: nothing is built."""
    assert full.fetch("--runtime").code == 0
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    dead = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    target = tmp_path / "site"
    command = ["install", "--isolated", "--disable-pip-version-check", "--no-index", "--find-links", str(full.folder)]
    command += ["--target", str(target), "--platform", "win_amd64", "--python-version", "3.13", "--abi", "cp313"]
    command += ["--implementation", "cp", "--only-binary", ":all:", "app-lib"]
    ended = subprocess.run(
        [sys.executable, "-m", "pip", *command],
        env={**environment, **dead},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert (target / "app_lib.py").is_file()
    shown = subprocess.run(
        [sys.executable, "-c", "import json, app_lib, shared; print(json.dumps([app_lib.NAME, shared.NAME]))"],
        env={**environment, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(shown.stdout) == ["app-lib", "shared"]
