"""A second machine, whose cache folder is empty, finds in the store what the first one fetched; what is wrong there is not used."""

import io
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from packaging.utils import canonicalize_name

from deep_lock.errors import ConfigError, NetworkError, UsageError
from deep_lock.events import Event, Warned
from deep_lock.index import remote_cache
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.download import Downloads, Wanted
from deep_lock.index.remote_cache import MOST_FAULTS, RemoteCache, open_remote_cache
from deep_lock.index.settings import IndexSettings, IndexSource
from deep_lock.models.distribution import SourceDistribution, Wheel
from deep_lock.network.client import HttpClient, TransportSettings
from tests.support.index_server import IndexServer, make_sdist, make_wheel

NAME = canonicalize_name("foo")
DATA = b"some bytes"
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer(projects={NAME: [make_wheel(NAME, "1.0"), make_sdist(NAME, "1.0")]}) as server:
        yield server


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield f"file://{tmp_path}/store" if request.param == "file" else f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").store.clear()


def objects(store: str) -> dict[str, bytes]:
    """Return the content of the objects by path."""
    system, root = fsspec.core.url_to_fs(store)
    return {path: system.cat_file(path) for path in system.find(root)} if system.exists(root) else {}


def fetcher() -> HttpClient:
    return HttpClient(TransportSettings(), lambda _: None)


def read_all(server: IndexServer, folder: Path, store: str, *, read_only: bool = False) -> list[Warned]:
    """Read the metadata and the files of the project, as a machine with this cache folder; return the warnings."""
    events: list[Event] = []
    remote = open_remote_cache(store, events.append, read_only=read_only)
    cache = Cache(folder, events.append, remote=remote)
    settings = IndexSettings(sources=(IndexSource(name="i", url=server.url),), now=1e9)
    client = IndexClient(settings, cache, fetcher, events.append)
    for version in client.versions(NAME):
        for file in client.files(NAME, version):
            if isinstance(file, Wheel):
                assert client.wheel_metadata(file).name == NAME
            elif isinstance(file, SourceDistribution):
                with client.open_sdist(file) as archive:
                    assert sha256(archive.read()).hexdigest() == file.sha256
            assert client.cached_file(file).name == file.sha256
    client.close()
    return [event for event in events if isinstance(event, Warned)]


def test_a_second_machine_requests_the_pages_only(server: IndexServer, store: str, tmp_path: Path) -> None:
    assert read_all(server, tmp_path / "one", store) == []
    assert len(server.asked()) == 4
    found = objects(store)
    assert sorted(path.rpartition("/")[2] for path in found) == sorted(
        sha256(content).hexdigest() for content in found.values()
    )
    assert len(found) == 3  # the metadata file, the wheel, the sdist
    server.log.clear()
    assert read_all(server, tmp_path / "two", store) == []
    assert server.asked() == [f"/simple/{NAME}/"]


def test_an_object_with_other_bytes_is_refused_and_replaced(server: IndexServer, store: str, tmp_path: Path) -> None:
    read_all(server, tmp_path / "one", store)
    found = objects(store)
    system = fsspec.core.url_to_fs(store)[0]
    for path in found:
        system.pipe_file(path, b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\nRequires-Dist: evil\n")
    server.log.clear()
    warned = read_all(server, tmp_path / "two", store)
    assert len(server.asked()) == 4
    assert {event.code for event in warned} == {"RemoteObjectRefused"}
    assert sorted(event.subject.rpartition("/")[2] for event in warned) == sorted(
        path.rpartition("/")[2] for path in found
    )
    assert objects(store) == found


def test_nothing_is_written_where_the_run_only_reads(server: IndexServer, store: str, tmp_path: Path) -> None:
    assert read_all(server, tmp_path / "one", store, read_only=True) == []
    assert objects(store) == {}


def test_a_file_that_a_lock_names_comes_from_the_store_too(server: IndexServer, store: str, tmp_path: Path) -> None:
    wheel = server.projects[NAME][0]
    url = f"{server.origin}/files/{wheel.filename}"
    wanted = Wanted(name=wheel.filename, url=url, sha256=wheel.digest, size=len(wheel.content))
    ways = []
    for machine in ("one", "two"):
        cache = Cache(
            tmp_path / machine, lambda _: None, remote=open_remote_cache(store, lambda _: None, read_only=False)
        )
        downloads = Downloads(cache, fetcher, lambda _: server.url, offline=False)
        ways.append(downloads.put(wanted, tmp_path / f"{machine}.whl"))
        downloads.close()
        assert (tmp_path / f"{machine}.whl").read_bytes() == wheel.content
    assert ways == ["downloaded", "kept"]
    assert len(server.asked()) == 1


class Failing:
    """A store whose every call fails, or never ends."""

    protocol = "s3"

    def __init__(self, *, hangs: bool) -> None:
        self.calls = 0
        self.hangs = hangs
        self.end = threading.Event()

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> None:
            self.calls += 1
            if self.hangs:
                self.end.wait(30)
            raise PermissionError(f"{name}: no access")

        return call


def test_a_read_that_ends_late_does_not_open_a_closed_store_again() -> None:
    class Closing:
        protocol = "s3"

        def __init__(self) -> None:
            self.calls = 0

        def open(self, *_: object) -> None:
            self.calls += 1
            cache.close()
            raise FileNotFoundError

    system = Closing()
    cache = RemoteCache(system, "bucket", "s3://bucket", lambda _: None, read_only=True)
    assert [cache.read(DIGEST, limit=100) for _ in range(2)] == [None, None]
    assert system.calls == 1


class SlowFile(io.BytesIO):
    """Each read takes its time."""

    def read(self, size: int | None = -1, /) -> bytes:
        time.sleep(0.1)
        return super().read(size)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_store_that_fails_is_soon_not_used(*, hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SILENT_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(remote_cache, name, 0.2)
    events: list[Event] = []
    system = Failing(hangs=hangs)
    cache = RemoteCache(system, "bucket", "s3://bucket", events.append, read_only=False)
    cache.write(DIGEST, DATA)
    began = time.monotonic()
    assert [cache.read(DIGEST, limit=100) for _ in range(10)] == [None] * 10
    assert cache.open(DIGEST, limit=100) is None
    cache.close()
    assert time.monotonic() - began < 2
    system.end.set()
    assert system.calls <= (2 if hangs else MOST_FAULTS + 1)
    (warned,) = events
    assert isinstance(warned, Warned)
    assert warned.code == "RemoteCacheFailed"
    assert ("no response in time" if hangs else "no access") in warned.message


def test_objects_that_are_not_written_at_the_end_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_cache, "SILENT_SECONDS", 0.2)
    events: list[Event] = []
    system = Failing(hangs=True)
    cache = RemoteCache(system, "bucket", "s3://bucket", events.append, read_only=False)
    cache.write(DIGEST, DATA)
    cache.close()
    system.end.set()
    (warned,) = events
    assert isinstance(warned, Warned)
    assert "cannot be written; the run goes on without it: no response in time" in warned.message


def test_a_slow_store_may_take_its_time_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_cache, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(remote_cache, "_CHUNK", 2)
    store = SimpleNamespace(protocol="s3", open=lambda *_: SlowFile(DATA))
    cache = RemoteCache(store, "bucket", "s3://bucket", lambda _: pytest.fail("a warning"), read_only=True)
    assert cache.read(DIGEST, limit=100) == DATA


def test_an_object_is_read_up_to_the_limit(tmp_path: Path) -> None:
    events: list[Event] = []
    cache = open_remote_cache(f"file://{tmp_path}", events.append, read_only=False)
    cache.write(DIGEST, DATA)
    cache.close()
    cache = open_remote_cache(f"file://{tmp_path}", events.append, read_only=False)
    assert cache.read(DIGEST, limit=len(DATA)) == DATA
    assert events == []
    assert cache.read("0" * 64, limit=len(DATA)) is None
    (tmp_path / "v1" / DIGEST[:2] / DIGEST).write_bytes(DATA + b"0" * 50)
    assert cache.read(DIGEST, limit=len(DATA)) is None
    assert [event.code for event in events if isinstance(event, Warned)] == ["RemoteObjectRefused"]
    cache.close()


def test_a_store_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="remote cache nothing://bucket"):
        open_remote_cache("nothing://user:secret@bucket", lambda _: None, read_only=True)
    with pytest.raises(UsageError, match="cannot be used") as caught:
        open_remote_cache("gs://bucket", lambda _: None, read_only=True)
    assert "gcsfs" in caught.value.hint
    monkeypatch.setattr(remote_cache, "fsspec", None)
    with pytest.raises(UsageError) as caught:
        open_remote_cache("file:///x", lambda _: None, read_only=True)
    assert caught.value.hint == "install deep-lock[fleet]"


def test_what_others_need_is_there_before_the_run_goes_on(store: str) -> None:
    remote = open_remote_cache(store, lambda _: None, read_only=False)
    remote.supply(DIGEST, DATA, again=False)
    (path,) = objects(store)
    remote._system.pipe_file(path, b"other bytes")
    remote.supply(DIGEST, DATA, again=False)
    assert objects(store) == {path: b"other bytes"}, "it is not written twice"
    remote.supply(DIGEST, DATA, again=True)
    assert objects(store) == {path: DATA}


def test_what_others_need_and_cannot_be_written_ends_the_run() -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no bucket")

    system: Any = SimpleNamespace(protocol="s3", exists=lambda _: False, pipe_file=fails)
    remote = RemoteCache(system, "bucket", "s3://bucket", lambda _: None, read_only=False)
    with pytest.raises(NetworkError, match=r"s3://bucket cannot be written: no bucket \(OSError\)"):
        remote.supply(DIGEST, DATA, again=False)
