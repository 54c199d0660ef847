"""The index client over real sockets: which requests are made, which are not, and what comes of every answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.errors import (
    AccessDenied,
    ConfigError,
    DeepLockError,
    HashMismatch,
    HashMissing,
    IndexInvalid,
    LimitExceeded,
    MetadataInvalid,
    NameMismatch,
    NetworkError,
    NotCached,
    NotFound,
)
from deep_lock.events import Event, Warned
from deep_lock.index.cache import METADATA, Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.pages import fresh_seconds
from deep_lock.index.settings import Fetcher, IndexSettings, IndexSource
from deep_lock.models.distribution import SourceDistribution, Wheel
from deep_lock.network.client import HttpClient, TransportSettings
from deep_lock.network.urls import sidecar_url
from tests.support.index_server import File, IndexServer, make_sdist, make_wheel, metadata_text

NOW = 1_700_000_000.0
FOO, BAR = canonicalize_name("foo"), canonicalize_name("bar")
ONE = Version("1.0")


@dataclass
class Desk:
    """Makes clients that share a cache, as runs of the command do, and remembers what they reported."""

    folder: Path
    events: list[Event] = field(default_factory=list)
    clients: list[IndexClient] = field(default_factory=list)
    fetchers: int = 0

    def client(self, *servers: IndexServer, **more: Any) -> IndexClient:
        sources = tuple(IndexSource(name=f"i{place}", url=server.url) for place, server in enumerate(servers))
        settings = IndexSettings(**{"sources": sources, "now": NOW, **more})
        client = IndexClient(settings, Cache(self.folder, self.events.append), self._fetcher, self.events.append)
        self.clients.append(client)
        return client

    def _fetcher(self) -> Fetcher:
        self.fetchers += 1
        return HttpClient(TransportSettings(), self.events.append, sleep=lambda _: None)

    def codes(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Warned)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "cache")
    yield desk
    for client in desk.clients:
        client.close()


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


@pytest.fixture
def other() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


def offer(server: IndexServer, *files: File, name: str = "foo") -> None:
    server.projects[name] = list(files)


def wheel_of(client: IndexClient, name: NormalizedName = FOO, version: Version = ONE) -> Wheel:
    (wheel,) = (file for file in client.files(name, version) if isinstance(file, Wheel))
    return wheel


def sdist_of(client: IndexClient) -> SourceDistribution:
    (sdist,) = (file for file in client.files(FOO, ONE) if isinstance(file, SourceDistribution))
    return sdist


# -- pages


@pytest.mark.parametrize("html", [False, True])
def test_versions_and_files(desk: Desk, server: IndexServer, html: bool) -> None:  # noqa: FBT001 - both forms
    server.html = html
    offer(server, make_wheel("foo", "1.0"), make_sdist("foo", "1.0"), make_wheel("foo", "2.0"))
    client = desk.client(server)
    assert list(client.versions(FOO)) == [Version("2.0"), ONE]
    assert [file.filename for file in client.files(FOO, ONE)] == ["foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz"]
    assert {file.index for file in client.files(FOO, ONE)} == {server.url}
    assert server.asked() == ["/simple/foo/"]
    assert "application/vnd.pypi.simple.v1+json" in server.log[0].headers["accept"]


def test_a_project_that_no_index_knows(desk: Desk, server: IndexServer) -> None:
    client = desk.client(server)
    assert list(client.versions(FOO)) == []
    assert client.files(FOO, ONE) == ()
    assert client.status(FOO) is None


def test_a_fresh_page_is_read_without_the_network(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    first = list(desk.client(server).versions(FOO))
    desk.fetchers = 0
    before = set(threading.enumerate())
    again = desk.client(server, now=NOW + 599)
    again.prefetch_pages([(FOO, "")])
    assert list(again.versions(FOO)) == first
    assert wheel_of(again).filename == "foo-1.0-py3-none-any.whl"
    assert desk.fetchers == 0
    assert set(threading.enumerate()) <= before


def test_an_old_page_is_revalidated(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    later = desk.client(server, now=NOW + 601)
    assert list(later.versions(FOO)) == [ONE]
    assert "if-none-match" in server.log[1].headers
    assert list(desk.client(server, now=NOW + 700).versions(FOO)) == [ONE]
    assert len(server.log) == 2


def test_a_changed_page_is_taken(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    offer(server, make_wheel("foo", "2.0"))
    assert list(desk.client(server, now=NOW + 601).versions(FOO)) == [Version("2.0")]


def test_without_etags_an_unchanged_page_is_known_by_its_bytes(desk: Desk, server: IndexServer) -> None:
    server.etags = False
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    assert list(desk.client(server, now=NOW + 601).versions(FOO)) == [ONE]
    assert list(desk.client(server, now=NOW + 602).versions(FOO)) == [ONE]
    assert len(server.log) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 600),
        ({"cache-control": "max-age=315360000"}, 600),
        ({"cache-control": "public, Max-Age=60"}, 60),
        ({"cache-control": "max-age=60", "age": "50"}, 10),
        ({"cache-control": "max-age=60", "age": "90"}, 0),
        ({"cache-control": "max-age=60", "age": "x"}, 60),
        ({"cache-control": "max-age=0"}, 0),
        ({"cache-control": "no-cache"}, 0),
        ({"cache-control": "no-store, max-age=60"}, 0),
        ({"cache-control": "max-age=-5"}, 600),
        ({"cache-control": 'max-age="30"'}, 30),
    ],
)
def test_for_how_long_a_page_is_fresh(headers: dict[str, str], seconds: float) -> None:
    assert fresh_seconds(headers) == seconds


@pytest.mark.parametrize("more", [{"refresh": True}, {"refresh_packages": frozenset({FOO})}])
def test_refresh_asks_past_all_caches(desk: Desk, server: IndexServer, more: dict[str, Any]) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    client = desk.client(server, **more)
    client.prefetch_pages([(FOO, "")])
    assert list(client.versions(FOO)) == [ONE]
    assert len(server.log) == 2
    assert "if-none-match" not in server.log[1].headers
    assert server.log[1].headers["cache-control"] == "no-cache"


def test_refresh_of_another_project_changes_nothing(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    desk.client(server, refresh_packages=frozenset({BAR})).versions(FOO)
    assert len(server.log) == 1


def test_offline_takes_any_cached_page_and_names_what_is_missing(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    online = desk.client(server)
    online.wheel_metadata(wheel_of(online))
    desk.fetchers = 0
    offline = desk.client(server, offline=True, now=NOW + 10**6)
    assert list(offline.versions(FOO)) == [ONE]
    assert offline.wheel_metadata(wheel_of(offline)).version == "1.0"
    with pytest.raises(NotCached, match=f"the page of bar on {server.url} is not in the cache"):
        offline.versions(BAR)
    with pytest.raises(NotCached, match=r"the file foo-1\.0-py3-none-any\.whl is not"):
        offline.digest(structs.replace(wheel_of(offline), sha256=None))
    assert desk.fetchers == 0


def test_offline_knows_what_was_not_there(desk: Desk, server: IndexServer, other: IndexServer) -> None:
    offer(other, make_wheel("foo", "1.0"))
    desk.client(server, other).versions(FOO)
    assert list(desk.client(server, other, offline=True).versions(FOO)) == [ONE]


def test_a_damaged_page_is_fetched_again(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    (path,) = (path for path in desk.folder.glob("v1/pages-2/*/*") if path.is_file())
    path.write_bytes(path.read_bytes()[:-3])
    assert list(desk.client(server).versions(FOO)) == [ONE]
    assert desk.codes() == ["CacheEntryBad"]


def test_a_sound_entry_without_a_listing_is_fetched_again(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    url = f"{server.url}foo/"
    cache = Cache(desk.folder, desk.events.append)
    page = cache.get_page(url)
    assert page is not None
    cache.put_page(url, structs.replace(page, listing=b"\x00\x00\x00\x01\xc1"), fresh_until=NOW + 600)
    assert list(desk.client(server).versions(FOO)) == [ONE]
    assert desk.codes() == ["CacheEntryBad"]


def test_status_and_notes(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"), replace(make_sdist("foo", "1.0"), filename="foo-x.tar.gz"))
    server.projects["foo"].append(replace(make_sdist("foo", "3.0"), sha256="abc"))
    server.status["foo"] = {"status": "archived", "reason": "see bar"}
    for _ in range(2):  # from the index, then from the cache
        desk.events.clear()
        client = desk.client(server)
        assert client.status(FOO) == "archived: see bar"
        assert [note.code for note in client.notes(FOO)] == ["HashInvalid", "VersionInvalid"]
        assert desk.codes() == ["HashInvalid"]


def test_a_newer_api_is_mentioned_once(desk: Desk, server: IndexServer) -> None:
    for name in ("foo", "bar"):
        offer(server, make_wheel(name, "1.0"), name=name)
        kind, body = server.page(name) or ("", b"")
        server.bodies[f"/simple/{name}/"] = (kind, body.replace(b'"1.1"', b'"1.8"'))
    client = desk.client(server)
    client.versions(FOO)
    client.versions(BAR)
    assert desk.codes() == ["ApiVersionNewer"]


def test_a_cut_page_without_a_length_is_not_taken(desk: Desk, server: IndexServer) -> None:
    server.without_length = True
    server.html = True
    offer(server, make_wheel("foo", "1.0"), make_wheel("foo", "2.0"))
    assert len(desk.client(server).versions(FOO)) == 2
    kind, body = server.page("foo") or ("", b"")
    server.bodies["/simple/foo/"] = (kind, body[:-20])
    server.log.clear()
    with pytest.raises(NetworkError, match="truncated"):
        desk.client(server, refresh=True).versions(FOO)
    assert len(server.log) == 2


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("text/html", b"<html><form action=/login></form></html>", IndexInvalid),
        ("application/json", b"{}", IndexInvalid),
        (
            "application/vnd.pypi.simple.v1+json",
            b'{"name":"bar","files":[],"meta":{"api-version":"1.0"}}',
            NameMismatch,
        ),
    ],
)
def test_what_is_not_the_page_is_an_error_and_not_kept(
    desk: Desk, server: IndexServer, kind: str, body: bytes, error: type[DeepLockError]
) -> None:
    server.bodies["/simple/foo/"] = (kind, body)
    client = desk.client(server)
    for _ in range(2):
        with pytest.raises(error):
            client.versions(FOO)
    assert len(server.log) == 1
    assert not list(desk.folder.glob("v1/pages-2/*/*"))


# -- several indexes


def test_the_first_index_that_has_the_name_wins(desk: Desk, server: IndexServer, other: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    offer(other, make_wheel("foo", "2.0"))
    offer(other, make_wheel("bar", "1.0"), name="bar")
    client = desk.client(server, other)
    assert list(client.versions(FOO)) == [ONE]
    assert list(client.versions(BAR)) == [ONE]
    assert other.asked() == ["/simple/bar/"]


def test_unsafe_best_match_takes_all(desk: Desk, server: IndexServer, other: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"), make_sdist("foo", "3.0"))
    offer(other, make_wheel("foo", "2.0"), make_wheel("foo", "1.0", "x"))
    client = desk.client(server, other, strategy="unsafe-best-match")
    assert [str(version) for version in client.versions(FOO)] == ["3.0", "2.0", "1.0"]
    assert wheel_of(client).index == server.url
    assert wheel_of(client, version=Version("2.0")).index == other.url
    assert desk.codes() == ["FileDiffers"]


@pytest.mark.parametrize(
    ("status", "error"), [(401, AccessDenied), (403, AccessDenied), (500, NetworkError), (410, NetworkError)]
)
def test_an_outage_never_falls_through(
    desk: Desk, server: IndexServer, other: IndexServer, status: int, error: type[DeepLockError]
) -> None:
    offer(other, make_wheel("foo", "9.0"))
    server.statuses["/simple/foo/"] = status
    for strategy in ("first-index", "unsafe-best-match"):
        with pytest.raises(error):
            desk.client(server, other, strategy=strategy).versions(FOO)
    assert other.log == []
    server.statuses.clear()
    assert not desk.client(server).knows(FOO), "a failure is not remembered as an absence"
    assert server.asked()[-1] == "/simple/foo/"


def test_an_explicit_index_is_asked_for_its_own_names_only(desk: Desk, server: IndexServer, other: IndexServer) -> None:
    offer(server, make_wheel("foo", "9.0"))
    offer(other, make_wheel("foo", "1.0"))
    offer(other, make_wheel("bar", "1.0"), name="bar")
    sources = (
        IndexSource(name="private", url=other.url, explicit=True),
        IndexSource(name="default", url=server.url),
    )
    client = desk.client(sources=sources, pinned={FOO: "private"})
    assert list(client.versions(FOO)) == [ONE]
    assert list(client.versions(BAR)) == []
    assert (server.asked(), other.asked()) == (["/simple/bar/"], ["/simple/foo/"])


def test_a_pinned_name_that_its_index_lacks_is_asked_nowhere_else(
    desk: Desk, server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    offer(server, make_wheel("foo", "9.0"))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "foo-8.0.zip").write_bytes(b"x")
    client = desk.client(server, other, pinned={FOO: "i1"}, find_links=(str(tmp_path / "links"),))
    assert list(client.versions(FOO)) == []
    assert server.log == []


def test_an_absence_is_fresh_as_long_as_a_page(desk: Desk, server: IndexServer, other: IndexServer) -> None:
    offer(other, make_wheel("foo", "1.0"))
    for now in (NOW, NOW + 599):
        client = desk.client(server, other, now=now)
        client.prefetch_pages([(FOO, ""), (BAR, "")])
        assert list(client.versions(FOO)) == [ONE]
        assert list(client.versions(BAR)) == []
        assert not client.knows(BAR)
    assert sorted(server.asked()) == sorted(other.asked()) == ["/simple/bar/", "/simple/foo/"]


@pytest.mark.parametrize("more", [{"now": NOW + 601}, {"refresh": True}, {"refresh_packages": frozenset({FOO})}])
def test_an_absence_is_asked_about_again(desk: Desk, server: IndexServer, more: dict[str, Any]) -> None:
    assert not desk.client(server).knows(FOO)
    offer(server, make_wheel("foo", "1.0"))
    assert list(desk.client(server, **more).versions(FOO)) == [ONE]
    assert list(desk.client(server, now=more.get("now", NOW)).versions(FOO)) == [ONE]
    assert server.asked() == ["/simple/foo/"] * 2


def test_an_absence_serves_offline_however_old(desk: Desk, server: IndexServer) -> None:
    desk.client(server).versions(FOO)
    offline = desk.client(server, offline=True, now=NOW + 10_000)
    assert not offline.knows(FOO)
    with pytest.raises(NotCached):
        offline.knows(BAR)


def test_a_page_that_went_away_is_an_absence(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    desk.client(server).versions(FOO)
    del server.projects["foo"]
    assert not desk.client(server, now=NOW + 601).knows(FOO)
    assert not desk.client(server, now=NOW + 602).knows(FOO)
    assert server.asked() == ["/simple/foo/"] * 2


@pytest.mark.parametrize(
    "more",
    [
        {"sources": (IndexSource(name="a", url="https://a.example/"), IndexSource(name="a", url="https://b.example/"))},
        {"pinned": {FOO: "nowhere"}},
        {"sources": (IndexSource(name="a", url="https://u:secret@a.example/"),)},
        {"sources": (IndexSource(name="a", url="https://a.example/simple"),)},
        {"sources": (IndexSource(name="a", url="ftp://a.example/"),)},
        {"sources": (IndexSource(name="a", url="https://[::/"),)},
    ],
)
def test_settings_that_contradict_themselves(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        IndexSettings(**{"sources": (), "now": NOW, **more})
    assert "secret" not in str(caught.value)


# -- metadata


@pytest.mark.parametrize("sidecars", ["hashed", "bare", "lost", "none"])
@pytest.mark.parametrize("ranges", ["yes", "ignored", "no-suffix"])
@pytest.mark.parametrize("padding", [0, 200_000])
def test_metadata_comes_by_the_cheapest_way_that_works(
    desk: Desk, server: IndexServer, sidecars: Any, ranges: Any, padding: int
) -> None:
    server.sidecars, server.ranges = sidecars, ranges
    offer(server, make_wheel("foo", "1.0", "bar>=2", padding=padding))
    client = desk.client(server)
    metadata = client.wheel_metadata(wheel_of(client))
    assert (metadata.name, metadata.version, metadata.requires_dist) == ("foo", "1.0", ("bar>=2",))
    whole = [request for request in server.log if request.path.endswith(".whl") and "range" not in request.headers]
    ranged = [request for request in server.log if "range" in request.headers]
    if sidecars in {"hashed", "bare"}:
        assert (whole, ranged) == ([], [])
    elif ranges == "yes":
        assert whole == []
        assert 1 <= len(ranged) <= 3
    else:
        assert len(ranged) == 1
        assert len(whole) == (0 if ranges == "ignored" else 1)
    assert desk.codes() == (["MetadataMissing"] if sidecars == "lost" else [])
    # ... and a later run needs no request at all
    server.log.clear()
    again = desk.client(server)
    assert again.wheel_metadata(wheel_of(again)) == metadata
    assert server.log == []


@pytest.mark.parametrize("without_length", [False, True])
def test_a_large_wheel_from_a_server_without_ranges_is_streamed_whole(
    desk: Desk,
    server: IndexServer,
    without_length: bool,  # noqa: FBT001 - both ways to send it
) -> None:
    server.sidecars, server.ranges = "none", "ignored"
    offer(server, make_wheel("foo", "1.0", "bar>=2", padding=9_000_000))
    client = desk.client(server)
    wheel = wheel_of(client)
    server.without_length = without_length
    assert client.wheel_metadata(wheel).requires_dist == ("bar>=2",)
    assert len(server.asked(".whl")) == 2


def test_wheels_that_share_their_metadata_share_the_request(desk: Desk, server: IndexServer) -> None:
    offer(server, *(make_wheel("foo", "1.0", tags=f"cp3{n}-cp3{n}-any") for n in range(8, 14)))
    client = desk.client(server)
    found = [client.wheel_metadata(wheel) for wheel in client.files(FOO, ONE) if isinstance(wheel, Wheel)]
    assert len(found) == 6
    assert len(server.asked(".metadata")) == 1


@pytest.mark.parametrize(("ranges", "count"), [("yes", 2), ("no-suffix", 2), ("ignored", 1)])
def test_a_server_that_ignores_ranges_is_asked_for_one_only_once(
    desk: Desk, server: IndexServer, ranges: Any, count: int
) -> None:
    server.sidecars, server.ranges = "none", ranges
    offer(server, make_wheel("foo", "1.0"), make_wheel("foo", "2.0"))
    client = desk.client(server)
    for version in client.versions(FOO):
        client.wheel_metadata(wheel_of(client, version=version))
    assert len([request for request in server.log if "range" in request.headers]) == count


def test_a_lying_metadata_file_stops_the_run(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    client = desk.client(server)
    wheel = wheel_of(client)
    server.projects["foo"][0].metadata = metadata_text("foo", "1.0", "evil")
    for _ in range(2):
        with pytest.raises(HashMismatch, match="fetched twice"):
            client.wheel_metadata(wheel)
    requests = [request for request in server.log if request.path.endswith(".metadata")]
    assert [request.headers.get("cache-control") for request in requests] == [None, "no-cache"]
    assert not list(desk.folder.glob("v1/metadata/*/*"))


@pytest.mark.parametrize("sidecars", ["hashed", "none"])
def test_metadata_of_another_project_is_refused(desk: Desk, server: IndexServer, sidecars: Any) -> None:
    server.sidecars = sidecars
    offer(server, make_wheel("foo", "1.0", metadata=metadata_text("bar", "1.0")))
    client = desk.client(server)
    with pytest.raises(NameMismatch):
        client.wheel_metadata(wheel_of(client))


@pytest.mark.parametrize(
    ("metadata", "error"),
    [(b"Name: foo\n", MetadataInvalid), (b"x" * (5 * 1024 * 1024), LimitExceeded), (b"\xff\x00", MetadataInvalid)],
)
def test_broken_metadata(desk: Desk, server: IndexServer, metadata: bytes, error: type[DeepLockError]) -> None:
    offer(server, replace(make_wheel("foo", "1.0"), metadata=metadata))
    client = desk.client(server)
    with pytest.raises(error):
        client.wheel_metadata(wheel_of(client))


def test_a_whole_wheel_is_checked_by_its_hash(desk: Desk, server: IndexServer) -> None:
    server.sidecars = "none"
    offer(server, replace(make_wheel("foo", "1.0"), sha256="0" * 64))
    for ranges in ("ignored", "no-suffix"):
        server.ranges = ranges
        client = desk.client(server)
        with pytest.raises(HashMismatch):
            client.wheel_metadata(wheel_of(client))


def test_a_listed_wheel_that_is_not_there(desk: Desk, server: IndexServer) -> None:
    server.sidecars = "none"
    offer(server, make_wheel("foo", "1.0"))
    client = desk.client(server)
    wheel = wheel_of(client)
    del server.projects["foo"]
    with pytest.raises(NotFound, match="does not exist, but the page"):
        client.wheel_metadata(wheel)


def test_damaged_metadata_in_the_cache_is_fetched_again(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0", "bar"))
    client = desk.client(server)
    wheel = wheel_of(client)
    client.wheel_metadata(wheel)
    Cache(desk.folder, desk.events.append).put_record(METADATA, wheel.metadata or "", b"\xc1")
    again = desk.client(server)
    assert again.wheel_metadata(wheel).requires_dist == ("bar",)
    assert desk.codes() == ["CacheEntryBad"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://files.example/f.whl", "https://files.example/f.whl.metadata"),
        ("https://files.example/f.whl?sig=a/b", "https://files.example/f.whl.metadata?sig=a/b"),
        ("https://files.example/f.whl#x", "https://files.example/f.whl.metadata"),
    ],
)
def test_where_the_metadata_file_stands(url: str, expected: str) -> None:
    assert sidecar_url(url) == expected


# -- whole files


def test_an_sdist_is_given_whole_and_vanishes(desk: Desk, server: IndexServer) -> None:
    file = make_sdist("foo", "1.0")
    offer(server, file)
    client = desk.client(server)
    with client.open_sdist(sdist_of(client)) as stream:
        assert stream.read() == file.content
    assert client.digest(sdist_of(client)) == file.digest


def test_an_sdist_with_other_bytes_is_never_seen(desk: Desk, server: IndexServer) -> None:
    offer(server, replace(make_sdist("foo", "1.0"), sha256="0" * 64))
    client = desk.client(server)
    with pytest.raises(HashMismatch):
        client.open_sdist(sdist_of(client))


def test_a_listed_sdist_that_is_not_there(desk: Desk, server: IndexServer) -> None:
    offer(server, make_sdist("foo", "1.0"))
    client = desk.client(server)
    sdist = sdist_of(client)
    del server.projects["foo"]
    with pytest.raises(NotFound, match="does not exist, but the page"):
        client.open_sdist(sdist)


def test_a_hash_that_is_not_promised_is_taken_from_the_bytes_once(desk: Desk, server: IndexServer) -> None:
    server.hashes = False
    file = make_sdist("foo", "1.0")
    offer(server, file)
    for _ in range(2):
        client = desk.client(server)
        assert sdist_of(client).sha256 is None
        assert client.digest(sdist_of(client)) == file.digest
    assert len(server.asked("/files/")) == 1
    assert desk.codes() == ["HashComputed", "HashComputed"]


def test_or_not_at_all(desk: Desk, server: IndexServer) -> None:
    server.hashes = False
    offer(server, make_sdist("foo", "1.0"))
    client = desk.client(server, hash_from_bytes=False)
    for ask in (client.digest, client.open_sdist):
        with pytest.raises(HashMissing, match="has no sha256"):
            ask(sdist_of(client))
    assert server.asked("/files/") == []


# -- ahead


def wait_until(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError


def test_pages_are_fetched_ahead(desk: Desk, server: IndexServer) -> None:
    names = [canonicalize_name(f"p{n}") for n in range(20)]
    for name in names:
        offer(server, make_wheel(name, "1.0"), name=name)
    client = desk.client(server, workers=4)
    client.prefetch_pages((name, "") for name in names)
    wait_until(lambda: len(server.asked("/simple/")) == 20)
    assert [len(list(client.versions(name))) for name in names] == [1] * 20
    client.prefetch_pages((name, "") for name in names)
    assert len(server.log) == 20
    assert desk.fetchers == 1


def test_what_fails_ahead_is_raised_for_who_asks(desk: Desk, server: IndexServer) -> None:
    server.statuses["/simple/foo/"] = 403
    client = desk.client(server)
    client.prefetch_pages([(FOO, ""), (BAR, "")])
    wait_until(lambda: len(server.log) == 2)
    assert list(client.versions(BAR)) == []
    with pytest.raises(AccessDenied):
        client.versions(FOO)
    assert len(server.log) == 2


def test_is_at_hand(desk: Desk, server: IndexServer, other: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    client = desk.client(server, other)
    assert not client.is_at_hand(FOO)
    client.versions(FOO)
    assert client.is_at_hand(FOO)
    later = desk.client(server, other)
    assert later.is_at_hand(FOO)
    assert not later.is_at_hand(BAR)
    assert not desk.client(server, other, now=NOW + 601).is_at_hand(FOO)
    assert len(server.log) == 1


def test_a_task_of_the_caller(desk: Desk, server: IndexServer) -> None:
    done = threading.Event()
    client = desk.client(server)
    client.prefetch(done.set)
    assert done.wait(5)


def test_a_worker_that_comes_late_opens_no_connection(desk: Desk, server: IndexServer) -> None:
    """What the run needed was in the cache, and a worker's request would be its first when it ends."""
    offer(server, make_wheel("foo", "1.0"))
    client = desk.client(server)
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()

    def come_late() -> None:
        begun.set()
        gate.wait(5)
        with suppress(DeepLockError):
            client.versions(FOO)
        done.set()

    client.prefetch(come_late)
    assert begun.wait(5)
    client.close()
    gate.set()
    assert done.wait(5)
    assert (desk.fetchers, server.asked()) == (0, [])


def test_closing_twice_is_harmless(desk: Desk, server: IndexServer) -> None:
    offer(server, make_wheel("foo", "1.0"))
    client = desk.client(server)
    client.versions(FOO)
    client.close()
    client.close()
    assert list(client.versions(FOO)) == [ONE]
