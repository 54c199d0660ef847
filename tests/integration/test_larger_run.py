"""Parts of a larger run: processes that share a cache folder and a clock."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deep_lock.config.config import read_config
from deep_lock.config.options import NetworkOptions, RunContext
from deep_lock.events import silent
from deep_lock.locking.clients import open_addresses
from deep_lock.operations import advisory_database
from tests.support import advisories
from tests.support.index_server import IndexServer, make_sdist, make_wheel
from tests.support.paths import ROOT

posix_only = pytest.mark.skipif(os.name != "posix", reason="there are no locks across processes without flock")

READER = ROOT / "tests" / "support" / "index_reader.py"
NOW = 1_700_000_000.5
NAMES = tuple(f"project{number}" for number in range(12))


@pytest.fixture
def server() -> Iterator[IndexServer]:
    projects = {name: [make_wheel(name, "1.0"), make_sdist(name, "1.0")] for name in NAMES}
    with IndexServer(projects=projects, cache_control="no-cache") as server:
        yield server


def start(server: IndexServer, cache: Path, seed: str, now: float = NOW) -> "subprocess.Popen[str]":
    command = [sys.executable, str(READER), server.url, str(cache), str(now), seed, *NAMES, "missing"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(*processes: "subprocess.Popen[str]") -> set[str]:
    read = set()
    for process in processes:
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        read.add(stdout)
    return read


@posix_only
def test_each_page_and_file_is_requested_once_for_all_parts(server: IndexServer, tmp_path: Path) -> None:
    read = ended(*(start(server, tmp_path, seed) for seed in ("1", "2", "3")))
    assert len(read) == 1
    assert server.asked("/simple/missing/") == ["/simple/missing/"]
    # a wheel, an sdist, the metadata and the page of each
    assert Counter(Counter(server.asked()).values()) == {1: 4 * len(NAMES) + 1}

    server.log.clear()
    assert ended(start(server, tmp_path, "4"), start(server, tmp_path, "refresh")) == read
    assert server.asked() == []

    # another run, also one with --refresh, requests the pages again: once
    assert ended(*(start(server, tmp_path, "refresh", NOW + 60) for _ in range(2))) == read
    assert Counter(server.asked()) == {f"/simple/{name}/": 1 for name in (*NAMES, "missing")}


@posix_only
def test_a_killed_part_leaves_nothing_locked(server: IndexServer, tmp_path: Path) -> None:
    first, second = start(server, tmp_path, "1"), start(server, tmp_path, "2")
    while len(server.log) < 10:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    began = time.monotonic()
    assert len(ended(second)) == 1
    assert time.monotonic() - began < 20
    counted = Counter(server.asked())
    assert len(counted) == 4 * len(NAMES) + 1
    assert max(counted.values()) <= 2  # what the killed part had requested and not written


@posix_only
def test_a_database_of_advisories_is_downloaded_once_for_all_parts(tmp_path: Path) -> None:
    record = advisories.record("PYSEC-1", "foo", "introduced 0")
    now = datetime(2026, 11, 30, tzinfo=UTC)
    with advisories.OsvServer(export=advisories.zip_of([record])) as server:

        def open_in_part(now: datetime) -> None:
            context = RunContext(cache_folder=tmp_path, now=now)
            network = NetworkOptions(part_of_larger_run=True)
            with closing(open_addresses({}, network, read_config({}, ""), context, silent)) as client:
                opened = advisory_database.open_database(f"{server.url}/all.zip", client, now, silent)
            assert opened.source.fetched == now

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(open_in_part, [now] * 4))
        assert len(server.headers) == 1
        open_in_part(now + timedelta(minutes=1))
        assert [own.get("if-none-match") for own in server.headers] == [None, server.etag]
