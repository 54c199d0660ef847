"""`deep-lock wheelhouse --scheduler`: a scheduler and workers as processes on loopback, with TLS and a shared cache."""

import io
import os
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from deep_lock.fleet import engine, remote_builds
from deep_lock.fleet.records import BuildResult, BuildTask, Done
from deep_lock.fleet.worker_process import close_workers, run_in_worker
from tests.support.fleet_cluster import cluster, descendants
from tests.support.scenario_server import Releases
from tests.support.scenarios import HERE, MINOR
from tests.support.wheelhouses import BASE, HOOKS, STRONG, Made, Yard, sdist, yard

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="there are no locks across processes without flock"),
    pytest.mark.skipif(not STRONG, reason="there is no sandbox here"),
]
SDISTS = int(os.environ.get("DEEP_LOCK_TEST_SDISTS", "8"))
"""How many are built."""
LEVELS = 4
WINDOWS = f"cp{MINOR.replace('.', '')}-x86_64-windows"
MACOS = f"cp{MINOR.replace('.', '')}-arm64-macos_14"


def levels(number: int) -> Releases:
    """Return sdists in levels: the build of each needs one of the level below, and uses it."""
    names = [f"n{at:03}-{at % LEVELS}" for at in range(number)]
    found: dict[str, Any] = {**BASE}
    for at, name in enumerate(names):
        below = [names[at - 1]] if at % LEVELS else []
        own = sdist(*below, says={"uses": [module_of(name) for name in below]})
        found[f"{name} 1.0"] = {**own, "tree": {**own["tree"], f"{module_of(name)}.py": f"AT = {at}\n"}}
    return found


def module_of(name: str) -> str:
    return name.replace("-", "_")


class Cluster:
    """A scheduler, two workers that build for this machine, and one that states to be another one."""

    def __init__(self, folder: Path, address: str, tls: Path) -> None:
        self.folder = folder
        names = ("ca", "cert", "key")
        self.options = ["--scheduler", address]
        self.options += [part for name in names for part in (f"--tls-{name}", str(tls / f"{name}.pem"))]

    def files(self) -> int:
        """Return the number of files in the cache folder of the other worker."""
        return sum(path.is_file() for path in (self.folder / "other-cache").rglob("*"))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    environ = {
        **os.environ,
        "DEEP_LOCK_CACHE_DIR": str(folder / "cache"),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    }
    here, other = f"sandbox=1,{HERE}=1", f"sandbox=1,{WINDOWS}=1"
    with cluster(folder, environ, workers=2, resources=here, other=other) as (address, tls):
        yield Cluster(folder, address, tls)


@pytest.fixture
def open_project(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Releases], AbstractContextManager["Project"]]:
    """Give what locks these sdists."""

    @contextmanager
    def opened(releases: Releases) -> Iterator[Project]:
        asked = [own.partition(" ")[0] for own, release in releases.items() if release.get("sdist")]
        with yard(tmp_path, capfd, monkeypatch, releases, *asked) as made:
            yield Project(made, tmp_path)

    return opened


class Project:
    """A locked project, and a store that machines share."""

    def __init__(self, made: Yard, folder: Path) -> None:
        self.yard = made
        self.folder = folder
        self.store = folder / "store"

    def make(self, name: str, *options: str, hooks: str = HOOKS) -> Made:
        shared = ("--remote-cache", self.store.as_uri())
        return self.yard.make("-d", str(self.folder / name), *shared, *options, hooks=hooks)

    def files(self, name: str) -> dict[str, bytes]:
        folder = self.folder / name
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_machines_make_the_same_folder_and_one_of_them_may_be_killed(
    machines: Cluster, open_project: Any
) -> None:
    workers = descendants(os.getpid(), f"sandbox=1,{HERE}=1")
    assert len(workers) == 2
    before = machines.files()
    with open_project(levels(SDISTS)) as project:
        killer = threading.Thread(target=_kill_after, args=(project.folder / "far", workers[0]))
        killer.start()
        far = project.make("far", *machines.options)
        killer.join()
        assert (far.code, far.count("built")) == (0, SDISTS), far.stderr
        assert machines.files() == before, "the worker without the resource has no task"
        near = project.make("near")
        assert (near.code, near.count("built")) == (0, SDISTS), near.stderr
        assert project.files("far") == project.files("near")
        again = project.make("far", *machines.options)
        assert (again.code, again.count("built"), again.count("built before")) == (0, 0, SDISTS), again.stderr
        assert project.files("far") == project.files("near")


def _kill_after(folder: Path, worker: int) -> None:
    """Kill a worker of the scheduler when the first wheel is in the folder, and a hook runs below the worker."""
    end = time.monotonic() + 300
    itself_and_process = 2
    while time.monotonic() < end:
        if list(folder.rglob("*.whl")) and len(descendants(worker, "")) > itself_and_process:
            break
        time.sleep(0.02)
    os.kill(worker, signal.SIGKILL)


def test_objects_with_other_bytes_are_refused_named_and_replaced(
    machines: Cluster, open_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_builds, "BACK_OFF_SECONDS", (0.0,))
    with open_project(levels(2)) as project:
        assert project.make("first", *machines.options).code == 0
        shutil.rmtree(machines.folder / "cache")
        objects = {path: path.read_bytes() for path in project.store.rglob("*") if path.is_file()}
        wheel = next(path for name, path in _digests(project, "first").items() if name.startswith("n000"))
        assert wheel in objects, "the build of the next level needs it"
        for path, content in objects.items():
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        ended = project.make("second", *machines.options)
        assert ended.code == 0, ended.stderr
        assert f"{wheel}: this object of the remote cache is not used: its bytes have sha256" in ended.stderr
        assert project.files("second") == project.files("first")
        assert {path: path.read_bytes() for path in objects} == objects


def _digests(project: Project, name: str) -> dict[str, Path]:
    """Return the path of each wheel's object in the store."""
    found = {}
    for path, content in project.files(name).items():
        digest = sha256(content).hexdigest()
        found[Path(path).name] = project.store / "v1" / digest[:2] / digest
    return found


def test_a_worker_has_the_target_that_its_resource_states(machines: Cluster, open_project: Any) -> None:
    with open_project(levels(1)) as project:
        bench = project.yard.bench
        bench.platforms = ["host", "x86_64-windows", "arm64-macos_14"]
        assert bench.lock("-U").code == 0
        ended = project.make("none", *machines.options, "--target", MACOS)
        assert ended.code == 2
        assert f"none with the resources sandbox and {MACOS}: " in ended.stderr
        assert f"1 with {WINDOWS}=1, sandbox=1" in ended.stderr
        ended = project.make("false", *machines.options, "--target", WINDOWS)
        assert ended.code == 2
        assert f"has the resource {WINDOWS}, and no Python there is that target" in ended.stderr
        for option in ("--offline", "--remote-cache-read-only"):
            ended = project.make("no", *machines.options, option)
            assert (ended.code, f"--scheduler and {option} cannot be used together" in ended.stderr) == (2, True)


# -- results that are not believed


class Workers:
    """An engine in place of a scheduler: a process of deep-lock builds, and a test changes what it returns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.change: Callable[[BuildTask, BuildResult, bytes], tuple[BuildResult, bytes]] = lambda _, *result: result
        self.pythons: tuple[str, ...] = ("",)
        """Of the workers; empty: the true one."""
        self.known: dict[bytes, tuple[bytes, bytes]] = {}
        monkeypatch.setattr(remote_builds, "open_engine", self.opened)
        monkeypatch.setattr(remote_builds, "BACK_OFF_SECONDS", (0.0,))

    @contextmanager
    def opened(self, _: engine.EngineOptions) -> Iterator[engine.Engine]:
        yield engine.Engine(
            slots=2,
            submit=lambda raw, _: self.done(raw),
            submit_to_each=lambda raw: [self.done(raw, python) for python in self.pythons],
            has_workers=lambda: True,
        )

    def done(self, raw: bytes, python: str = "") -> "Future[Done]":
        task = msgspec.json.decode(raw, type=BuildTask)
        same = msgspec.json.encode(replace(task, now=task.now.replace(year=2000)))  # each run has a clock of its own
        if same not in self.known:
            self.known[same] = run_in_worker(raw)
        raw_result, wheel = self.known[same]
        result = msgspec.json.decode(raw_result, type=BuildResult)
        if task.key is None:
            result = replace(result, python_full_version=python or result.python_full_version)
        else:
            result, wheel = self.change(task, result, wheel)
        future: Future[Done] = Future()
        future.set_result(("w1", msgspec.json.encode(result), wheel))
        return future


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    yield Workers(monkeypatch)
    close_workers()


SCHEDULER = ("--scheduler", "tcp://127.0.0.1:1")


def _renamed(name: str) -> Callable[..., tuple[BuildResult, bytes]]:
    return lambda _, result, wheel: (replace(result, name=name), wheel)


def _with(wheel: bytes) -> Callable[..., tuple[BuildResult, bytes]]:
    return lambda _, result, __: (replace(result, sha256=sha256(wheel).hexdigest()), wheel)


def _requiring(wheel: bytes) -> bytes:
    """Return the wheel with a requirement more."""
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(new, "w") as archive:
        for entry in old.infolist():
            more = b"Requires-Dist: shared\n" if entry.filename.endswith("METADATA") else b""
            archive.writestr(entry, old.read(entry) + more)
    return new.getvalue()


def test_what_a_worker_returns_is_checked_here(
    workers: Workers, open_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_project({**BASE, "thing 1.0": sdist(thing="")}) as project:
        assert project.make("good", *SCHEDULER).code == 0
        ((raw, wheel),) = [own for own in workers.known.values() if own[1]]
        refused = {
            "../thing-1.0-py3-none-any.whl, which is not the name of a wheel": _renamed(
                "../thing-1.0-py3-none-any.whl"
            ),
            "thing\\u{0}-1.0-py3-none-any.whl, which is not the name": _renamed("thing\0-1.0-py3-none-any.whl"),
            "11..., which is not the name of a wheel": _renamed(f"thing-1.0-{'1' * 300}-py3-none-any.whl"),
            "thing.whl, which is not the name of a wheel": _renamed("thing.whl"),
            "thing-2.0-py3-none-any.whl, another release": _renamed("thing-2.0-py3-none-any.whl"),
            "does not fit": _renamed("thing-1.0-cp27-cp27m-win32.whl"),
            "with other bytes than it stated": lambda _, result, wheel: (result, wheel + b"x"),
            "the wheel that was built of thing 1.0": _with(b"no archive"),
            "requires shared, but its entry in the lock does not": _with(_requiring(wheel)),
        }
        for message, change in refused.items():
            workers.change = change
            ended = project.make("bad", *SCHEDULER)
            assert (ended.code, message in ended.stderr) == (4, True), (message, ended.stderr)
            assert not list(project.folder.glob("bad/*"))
        workers.change = lambda _, result, wheel: (
            replace(result, name="thing.whl", output="the output of the backend"),
            wheel,
        )
        assert project.make("bad", *SCHEDULER).code == 4
        log = project.folder / "bad" / "logs" / "thing-1.0.log"
        assert "the output of the backend" in log.read_text(encoding="utf-8"), "where the wheel is refused here"
        monkeypatch.setattr(remote_builds, "WHEEL_BYTES", 10)
        workers.change = lambda _, *result: result
        assert "with more than 10 bytes" in project.make("bad", *SCHEDULER).stderr
        assert msgspec.json.decode(raw, type=BuildResult).name == "thing-1.0-py3-none-any.whl"
        workers.pythons = ()
        ended = project.make("bad", *SCHEDULER)
        assert (ended.code, "error: the scheduler has had no worker\n" in ended.stderr) == (3, True), ended.stderr
        workers.pythons = ("", "3.9.99")
        ended = project.make("bad", *SCHEDULER)
        assert (ended.code, "have several versions of Python: " in ended.stderr) == (2, True)
        workers.pythons = ("3.9.99",)
        ended = project.make("bad", *SCHEDULER)
        assert (ended.code, "and other workers 3.9.99" in ended.stderr) == (2, True), ended.stderr


def test_a_build_that_fails_and_one_whose_workers_are_killed_do_not_end_the_others(
    workers: Workers, open_project: Any
) -> None:
    releases = {
        **BASE,
        "above 1.0": sdist("killed"),
        "killed 1.0": sdist(killed=""),
        "thing 1.0": sdist(thing=""),
        "wrong 1.0": sdist(says={"fails": "no way"}),
    }
    tasks: list[str] = []

    def kill(task: BuildTask, result: BuildResult, wheel: bytes) -> tuple[BuildResult, bytes]:
        name = (task.key or ("",))[0]
        tasks.append(name)
        return (remote_builds._decoded("KilledWorker")[1], b"") if name == "killed" else (result, wheel)

    workers.change = kill
    with open_project(releases) as project:
        ended = project.make("some", *SCHEDULER)
        assert ended.code == 4
        assert "2 builds failed:" in ended.stderr
        assert "killed 1.0: the worker was ended before the build was done: KilledWorker" in ended.stderr
        assert "wrong 1.0: its backend failed" in ended.stderr
        assert "no way" in (project.folder / "some" / "logs" / "wrong-1.0.log").read_text(encoding="utf-8")
        assert "not built, because their builds need one of these: above 1.0\n" in ended.stderr
        assert tasks.count("killed") == 3
        assert {path.name for path in project.folder.glob("some/*.whl")} == {"thing-1.0-py3-none-any.whl"}
        tasks.clear()
        project.yard.relock({**releases, "wrong 1.0": sdist(wrong="")})
        ended = project.make("some", *SCHEDULER)
        assert (ended.code, "1 build failed:" in ended.stderr) == (3, True), ended.stderr
