"""The pages of indexes that results depend on: their lists in the state folder, and their present digests.

A line of a list is the digest of a page (`events.PageRead`), "-" for a project that the index does not have, and its URL.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import closing
from typing import TypeVar

from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.config.config import Config
from deep_lock.config.options import NetworkOptions, RunContext
from deep_lock.errors import ConfigError, DeepLockError, NetworkError
from deep_lock.events import Planning, Reporter, silent
from deep_lock.index.client import IndexClient
from deep_lock.index.settings import IndexSettings, IndexSource
from deep_lock.locking.clients import open_network
from deep_lock.locking.indexes import OF_THE_LOCK, NetworkSettings, client_certs_of, named_urls
from deep_lock.network.urls import without_user_info

AT_ONCE = 24
"""Pages that are requested at a time; the budget of requests may be less."""
MOST_FAILURES = 3
"""After so many failures of the network no further page of an index is requested."""
_MISSING = "-"
_Value = TypeVar("_Value")
_Made = TypeVar("_Made")


def page_list(digests: Mapping[str, str]) -> str:
    """Return the list of these pages; the digests are by URL."""
    return "".join(f"{digests[url] or _MISSING} {url}\n" for url in sorted(digests))


def read_page_list(text: str) -> dict[str, str]:
    """Return the digests of a list by URL."""
    rows = (line.partition(" ") for line in text.splitlines())
    return {url: "" if digest == _MISSING else digest for digest, _, url in rows}


def project_of(url: str) -> str:
    """Return the name of the project of a page."""
    return _split(url)[1]


def present_digests(
    urls: Collection[str], options: NetworkOptions, context: RunContext, reporter: Reporter = silent
) -> dict[str, str | None]:
    """Return the digest of each page as it is now, by URL; None where it cannot be requested.

    A page takes one request at most, and the tasks of the run whose clock ``context`` has take none for it. A login is sent to
    the indexes that the options name, and to hosts in netrc. Raises CacheInvalid and ConfigError.
    """
    if not urls:
        return {}
    settings = _settings({_split(url)[0] for url in urls}, options, context)
    failures = Counter[str]()
    guard = threading.Lock()

    def look_up(client: IndexClient, url: str) -> str | None:
        index, name = _split(url)
        if failures[index] >= MOST_FAILURES:
            return None
        try:
            return client.page_digest(NormalizedName(name), index)
        except DeepLockError as error:
            if isinstance(error, NetworkError):
                with guard:
                    failures[index] += 1
            return None

    with closing(open_network(settings, context, silent)) as network, ThreadPoolExecutor(AT_ONCE) as threads:
        ordered = sorted(urls)
        found = map_reported(threads, lambda url: look_up(network.client, url), ordered, "requesting pages", reporter)
    return dict(zip(ordered, found, strict=True))


def map_reported(
    threads: Executor, work: Callable[[_Value], _Made], values: Sequence[_Value], subject: str, reporter: Reporter
) -> list[_Made]:
    """Return the result of ``work`` for each value, and report how many are done as they end."""
    futures = [threads.submit(work, value) for value in values]
    try:
        for done, _ in enumerate(as_completed(futures), 1):
            reporter(Planning(subject=subject, done=done, total=len(futures)))
    except BaseException:  # Ctrl-C: what has not begun does not begin
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    return [future.result() for future in futures]


def _settings(bases: Collection[str], options: NetworkOptions, context: RunContext) -> NetworkSettings:
    """Return the indexes with these URLs. One that the options do not name has no login of theirs."""
    named = named_urls(options, Config(source="")) or {}
    names = {without_user_info(url): name for name, url in named.items()}
    sources: list[IndexSource] = []
    for number, base in enumerate(sorted(bases), 1):
        source = IndexSource(name=names.get(base, f"{OF_THE_LOCK}{number}"), url=base)
        try:
            IndexSettings(sources=(source,), now=0.0)
        except ConfigError:  # a list that is not of deep-lock: the page is not known
            continue
        sources.append(source)
    urls = {source.name: named.get(source.name, source.url) for source in sources}
    return NetworkSettings(
        indexes=IndexSettings(sources=tuple(sources), now=context.now.timestamp()),
        conditional={},
        urls=urls,
        client_certs=client_certs_of(urls, options, Config(source=""), context.cache_folder, context),
        options=replace(options, remote_cache=None),  # it has no pages
    )


def _split(url: str) -> tuple[str, str]:
    """Return the URL of the index of a page, and the name of the project."""
    index, _, name = url.removesuffix("/").rpartition("/")
    return f"{index}/", name
