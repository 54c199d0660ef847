"""Whatever is wrong with the cache, the run only gets slower."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deep_lock.errors import CacheInvalid
from deep_lock.events import Event, Warned, silent
from deep_lock.files import TEMPORARY_PREFIX, TEMPORARY_SUFFIX
from deep_lock.index.cache import Cache, CachedPage

URL = "https://index.example/simple/foo/"
NOW = 1_700_000_000.0
posix_only = pytest.mark.skipif(os.name != "posix", reason="the owner and mode of a folder are POSIX's")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def cache(tmp_path: Path, events: list[Event]) -> Cache:
    return Cache(tmp_path / "cache", events.append)


def warnings(events: list[Event]) -> list[str]:
    return [event.code for event in events if isinstance(event, Warned)]


def entries(cache: Cache) -> list[Path]:
    found = [path for path in cache.folder.glob("v1/**/*") if not path.name.startswith(TEMPORARY_PREFIX)]
    return [path for path in found if path.is_file()]


def page(listing: bytes | None = b"listing") -> CachedPage:
    return CachedPage(etag='"e"', body=b"digest", listing=None if listing is None else memoryview(listing))


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 100_000])
def test_a_record_comes_back(cache: Cache, data: bytes) -> None:
    assert cache.get_record("facts", "key") is None
    cache.put_record("facts", "key", data)
    assert cache.get_record("facts", "key") == data
    assert cache.get_record("other", "key") is None
    assert cache.get_record("facts", "other") is None


def test_any_text_is_a_key(cache: Cache) -> None:
    for key in ["", "../../x", "a\x00b", "\ud800", "x" * 10_000]:
        cache.put_record("facts", key, key.encode("utf-8", "surrogatepass"))
    for key in ["", "../../x", "a\x00b", "\ud800", "x" * 10_000]:
        assert cache.get_record("facts", key) == key.encode("utf-8", "surrogatepass")
    assert all(cache.folder in path.parents for path in entries(cache))


@pytest.mark.parametrize("listing", [b"listing", b"", None])
def test_a_page_comes_back(cache: Cache, listing: bytes | None) -> None:
    assert cache.get_page(URL) is None
    cache.put_page(URL, page(listing), fresh_until=NOW)
    assert cache.get_page(URL) == page(listing)


@pytest.mark.parametrize(
    ("until", "fresh"),
    [(NOW + 1, True), (NOW + 600, True), (NOW, False), (NOW - 1, False), (NOW + 601, False), (0, False)],
)
def test_freshness(cache: Cache, until: float, fresh: bool) -> None:  # noqa: FBT001 - a row of the table
    assert not cache.is_fresh(URL, NOW)
    cache.put_page(URL, page(), fresh_until=until)
    assert cache.is_fresh(URL, NOW) is fresh
    cache.renew_page(URL, fresh_until=NOW + 5)
    assert cache.is_fresh(URL, NOW)
    assert cache.get_page(URL) == page()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_kind_of_damage_is_noticed(cache: Cache, events: list[Event], data: st.DataObject) -> None:
    cache.put_page(URL, page(), fresh_until=NOW)
    (path,) = entries(cache)
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "grow", "empty"]))
    damaged = {
        "flip": good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
        "cut": good[:at],
        "grow": good + b"x",
        "empty": b"",
    }[kind]
    path.write_bytes(damaged)
    events.clear()
    assert cache.get_page(URL) is None
    assert warnings(events) == ["CacheEntryBad"]
    assert not path.exists()
    assert cache.get_page(URL) is None


def test_an_entry_in_another_place_is_bad(cache: Cache) -> None:
    cache.put_record("facts", "one", b"1")
    (one,) = entries(cache)
    cache.put_record("facts", "two", b"2")
    (two,) = set(entries(cache)) - {one}
    two.write_bytes(one.read_bytes())
    assert cache.get_record("facts", "two") is None
    assert cache.get_record("facts", "one") == b"1"


def test_a_sound_entry_that_is_no_page_is_dropped(cache: Cache, events: list[Event]) -> None:
    cache.put_record("pages-2", URL, b"\xc1 not msgpack")
    assert cache.get_page(URL) is None
    assert warnings(events) == ["CacheEntryBad"]
    assert entries(cache) == []


def test_a_cache_that_cannot_be_made_costs_one_warning(tmp_path: Path, events: list[Event]) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "cache", events.append)
    cache.put_record("facts", "key", b"x")
    cache.put_page(URL, page(), fresh_until=NOW)
    assert cache.get_record("facts", "key") is None
    assert cache.get_page(URL) is None
    assert warnings(events) == ["CacheNotWritten"]


def test_a_write_that_fails_costs_one_warning(cache: Cache, events: list[Event]) -> None:
    (cache.folder / "v1").write_bytes(b"a file where a folder should be")
    cache.put_record("facts", "key", b"x")
    cache.put_record("facts", "other", b"x")
    assert warnings(events) == ["CacheNotWritten"]


@posix_only
def test_the_folder_is_private_and_tagged(cache: Cache) -> None:
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


@posix_only
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o720])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(CacheInvalid, match="other users can write") as caught:
        Cache(folder, print)
    assert "chmod" in caught.value.hint
    folder.chmod(0o755)
    Cache(folder, print)


@posix_only
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    os.chown(folder, 12345, -1)
    with pytest.raises(CacheInvalid, match="another user"):
        Cache(folder, print)


def test_clean_says_how_much_went(cache: Cache) -> None:
    cache.put_record("facts", "one", b"1")
    cache.put_page(URL, page(), fresh_until=NOW)
    size = sum(path.stat().st_size for path in entries(cache))
    (cache.folder / "mine.txt").write_bytes(b"not the cache's")
    assert cache.clean() == (2, size)
    assert entries(cache) == []
    assert sorted(path.name for path in cache.folder.iterdir()) == ["CACHEDIR.TAG", "mine.txt"]
    assert cache.clean() == (0, 0)
    cache.put_record("facts", "one", b"1")
    assert cache.get_record("facts", "one") == b"1"


def test_prune_takes_old_temporary_files_only(cache: Cache) -> None:
    cache.put_record("facts", "one", b"1")
    (entry,) = entries(cache)
    os.utime(entry, (1, 1))
    old = entry.with_name(f"{TEMPORARY_PREFIX}old{TEMPORARY_SUFFIX}")
    new = entry.with_name(f"{TEMPORARY_PREFIX}new{TEMPORARY_SUFFIX}")
    for path, moment in ((old, NOW - 10), (new, NOW + 10)):
        path.write_bytes(b"half")
        os.utime(path, (moment, moment))
    assert cache.prune(older_than=NOW) == 1
    assert not old.exists()
    assert new.exists()
    assert cache.get_record("facts", "one") == b"1"


WRITER = """
import sys
from pathlib import Path
from deep_lock.index.cache import Cache
cache = Cache(Path(sys.argv[1]), print)
sys.stdin.close()
while True:
    for number in range(20):
        cache.put_record("facts", str(number), bytes([number]) * 300_000)
"""


def test_a_killed_process_leaves_no_bad_entry(cache: Cache, events: list[Event]) -> None:
    source = str(Path(sys.modules["deep_lock"].__path__[0]).parent)
    for pause in (0.0, 0.013, 0.031):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(cache.folder)], env={**os.environ, "PYTHONPATH": source}
        )
        end = time.monotonic() + 20
        while not entries(cache) and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(pause)
        writer.kill()
        writer.wait()
    found = [cache.get_record("facts", str(number)) for number in range(20)]
    assert any(found)
    assert all(data is None or data == bytes([number]) * 300_000 for number, data in enumerate(found))
    assert warnings(events) == []


def test_a_part_of_a_larger_run_knows_what_the_others_have_requested(tmp_path: Path) -> None:
    parts = [Cache(tmp_path, silent, larger_run=NOW) for _ in range(2)]
    with parts[0].once("kind", "key", seconds=1) as may_be_new:
        assert may_be_new
        assert not parts[1].is_validated("kind", "key")
        parts[0].set_validated("kind", "key")
        assert parts[1].is_validated("kind", "key")
    assert not parts[1].is_validated("kind", "other")
    assert not Cache(tmp_path, silent, larger_run=NOW + 0.001).is_validated("kind", "key")
    alone = Cache(tmp_path, silent)
    assert not alone.is_validated("kind", "key")
    with alone.once("kind", "key", seconds=1) as may_be_new:
        assert not may_be_new


@posix_only
def test_the_wait_for_another_part_has_an_end(tmp_path: Path) -> None:
    parts = [Cache(tmp_path, silent, larger_run=NOW) for _ in range(2)]
    with parts[0].once("kind", "key", seconds=1):
        began = time.monotonic()
        with parts[1].once("kind", "key", seconds=0.2):
            assert 0.2 <= time.monotonic() - began < 5
        with parts[1].once("kind", "other", seconds=10):
            assert time.monotonic() - began < 5


def test_a_larger_run_needs_no_folder_for_its_locks(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "once").write_text("no folder")
    cache = Cache(tmp_path, silent, larger_run=NOW)
    with cache.once("kind", "key", seconds=1):
        cache.set_validated("kind", "key")
    assert not cache.is_validated("kind", "key")
