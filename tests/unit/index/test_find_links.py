"""--find-links: folders and pages, beside the indexes."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.errors import ConfigError, HashMismatch, IndexInvalid, NetworkError, NotCached
from deep_lock.events import Event, Warned
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.settings import Fetcher, IndexSettings, IndexSource
from deep_lock.models.direct_url import path_of
from deep_lock.models.distribution import SourceDistribution, Wheel
from deep_lock.network.client import HttpClient, TransportSettings
from tests.support.index_server import IndexServer, make_sdist, make_wheel

Clients = Callable[..., IndexClient]
FOO, FOO_BAR = canonicalize_name("foo"), canonicalize_name("foo-bar")
ONE = Version("1.0")


@pytest.fixture
def links(tmp_path: Path) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    return folder


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


@pytest.fixture
def client_of(tmp_path: Path) -> Iterator[Clients]:
    """Makes clients for places of --find-links, and closes them in the end."""
    clients: list[IndexClient] = []

    def make(*places: str, events: list[Event] | None = None, **more: Any) -> IndexClient:
        heard = [] if events is None else events
        settings = IndexSettings(**{"sources": (), "now": 1_700_000_000.0, "find_links": places, **more})
        cache = Cache(tmp_path / "cache", heard.append)
        clients.append(IndexClient(settings, cache, lambda: transport(heard), heard.append))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def transport(events: list[Event]) -> Fetcher:
    return HttpClient(TransportSettings(), events.append, sleep=lambda _: None)


def test_a_folder_is_an_index_of_all_its_files(client_of: Clients, links: Path) -> None:
    wheel, sdist = make_wheel("foo", "1.0", "bar"), make_sdist("foo", "2.0")
    other = make_sdist("foo-bar", "3.0")
    for file in (wheel, sdist, other):
        (links / file.filename).write_bytes(file.content)
    (links / "notes.txt").write_bytes(b"")
    (links / "foo-9.0.zip").mkdir()
    client = client_of(str(links))
    assert [str(version) for version in client.versions(FOO)] == ["2.0", "1.0"]
    assert [str(version) for version in client.versions(FOO_BAR)] == ["3.0"]
    (found,) = client.files(FOO, ONE)
    assert isinstance(found, Wheel)
    assert (found.sha256, found.size) == (wheel.digest, len(wheel.content))
    assert (found.url, found.index) == ((links / wheel.filename).as_uri(), links.as_uri())
    assert client.wheel_metadata(found).requires_dist == ("bar",)
    (archive,) = client.files(FOO, Version("2.0"))
    assert isinstance(archive, SourceDistribution)
    with client.open_sdist(archive) as stream:
        assert stream.read() == sdist.content


@pytest.mark.parametrize("form", ["path", "url"])
def test_a_folder_may_be_a_path_or_a_url(client_of: Clients, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "a b%20c"
    folder.mkdir()
    (folder / "foo-1.0.zip").write_bytes(b"x")
    client = client_of(folder.as_uri() if form == "url" else str(folder))
    assert list(client.versions(FOO)) == [ONE]


def test_file_urls() -> None:
    assert path_of("/x/y") == Path("/x/y")
    assert path_of("file:///x/a%20b").parts[-2:] == ("x", "a b")
    assert path_of(Path("/x/é").absolute().as_uri()) == Path("/x/é").absolute()


def test_a_folder_that_is_not_there_is_the_users_fault(client_of: Clients, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--find-links"):
        client_of(str(tmp_path / "nowhere")).versions(FOO)


def test_a_changed_file_is_hashed_again_and_one_that_changes_meanwhile_is_refused(
    client_of: Clients, links: Path
) -> None:
    path = links / "foo-1.0.zip"
    path.write_bytes(b"one")
    first = client_of(str(links)).files(FOO, ONE)[0]
    path.write_bytes(b"two")
    os.utime(path, (1, 1))
    client = client_of(str(links))
    second = client.files(FOO, ONE)[0]
    assert first.sha256 != second.sha256
    path.write_bytes(b"third")
    assert isinstance(second, SourceDistribution)
    with pytest.raises(HashMismatch):
        client.open_sdist(second)
    path.unlink()
    with pytest.raises(NetworkError):
        client.open_sdist(second)


def test_folders_stand_before_indexes_and_differences_are_told(
    client_of: Clients, links: Path, server: IndexServer
) -> None:
    server.projects["foo"] = [make_sdist("foo", "1.0"), make_sdist("foo", "2.0")]
    (links / "foo-1.0.tar.gz").write_bytes(b"mine")
    events: list[Event] = []
    source = IndexSource(name="default", url=server.url)
    client = client_of(str(links), sources=(source,), events=events)
    assert [str(version) for version in client.versions(FOO)] == ["2.0", "1.0"]
    (mine,) = client.files(FOO, ONE)
    assert mine.index == links.as_uri()
    (theirs,) = client.files(FOO, Version("2.0"))
    assert theirs.index == server.url
    assert [event.code for event in events if isinstance(event, Warned)] == ["FileDiffers"]


def test_an_index_page_may_not_point_into_this_machine(client_of: Clients, links: Path, server: IndexServer) -> None:
    (links / "foo-1.0.zip").write_bytes(b"x")
    server.bodies["/links.html"] = ("text/html", f'<a href="{links.as_uri()}/foo-1.0.zip">x</a>'.encode())
    client = client_of(f"{server.origin}/links.html")
    assert list(client.versions(FOO)) == []


def test_a_page_of_links_serves_all_its_projects(client_of: Clients, server: IndexServer) -> None:
    wheel, other = make_wheel("foo", "1.0", "bar"), make_sdist("foo-bar", "3.0")
    server.projects["any"] = [wheel, other]
    body = "".join(f'<a href="files/{file.filename}#sha256={file.digest}">' for file in (wheel, other))
    server.bodies["/links.html"] = ("text/html", (body + '<a href="help.html">').encode())
    place = f"{server.origin}/links.html"
    client = client_of(place)
    assert list(client.versions(FOO)) == [ONE]
    assert list(client.versions(FOO_BAR)) == [Version("3.0")]
    (found,) = client.files(FOO, ONE)
    assert isinstance(found, Wheel)
    assert (found.url, found.index) == (f"{server.origin}/files/{wheel.filename}", place)
    assert client.wheel_metadata(found).requires_dist == ("bar",)
    assert len(server.asked("links")) == 1
    offline = client_of(place, offline=True)
    assert list(offline.versions(FOO)) == [ONE]
    with pytest.raises(NotCached, match="--find-links page"):
        client_of(f"{server.origin}/other.html", offline=True).versions(FOO)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html", b"<a href=help.html>"), ("text/plain", b"<a href=foo-1.0.zip>"), ("text/html", b"")],
)
def test_a_page_without_links_is_an_error(client_of: Clients, server: IndexServer, kind: str, body: bytes) -> None:
    server.bodies["/links.html"] = (kind, body)
    client = client_of(f"{server.origin}/links.html")
    with pytest.raises(IndexInvalid):
        client.versions(FOO)
    with pytest.raises(IndexInvalid):
        client_of(f"{server.origin}/gone.html").versions(FOO)
