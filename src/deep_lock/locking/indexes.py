"""Where files come from: the indexes of one run, and the client and cache that serve them."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.config.config import Config
from deep_lock.config.options import FetchOptions, LockOptions, NetworkOptions, RunContext
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.download import Downloads
from deep_lock.index.settings import Fetcher, IndexSettings, IndexSource
from deep_lock.lockfile.paths import path_of_url, seen_from
from deep_lock.models.lock import Lock
from deep_lock.network import client, public_index
from deep_lock.network.urls import without_user_info

DEFAULT = "default"


class Network(Struct, frozen=True, kw_only=True):
    """The client and cache of one run. Close it: the client owns threads and connections."""

    client: IndexClient
    cache: Cache

    def close(self) -> None:
        """Give up all connections."""
        self.client.close()


def indexes_of(lock: Lock, network: NetworkOptions, *, configured: bool) -> NetworkOptions:
    """Return the flags with the lock's own indexes, where neither the flags nor the settings name any.

    They are asked under names of our own: a login from the environment belongs to a name that a person gave a URL to, and
    must not follow it to a URL that only the lock gives.
    """
    if configured or network.default_index or network.indexes or network.no_index or not lock.indexes:
        return network
    urls = dict(lock.indexes)
    last = [url for name, url in urls.items() if name == DEFAULT]
    first = [url for name, url in urls.items() if name != DEFAULT]
    named = tuple(f"of-the-lock-{place}={url}" for place, url in enumerate((*first, *last), 1))
    return replace(network, indexes=named, only_named=True)


def _named_urls(network: NetworkOptions, config: Config) -> dict[str, str]:
    """Return the indexes that are asked, by name: those that were said, and without a default one the public one."""
    urls = _said_urls(network, config)
    if urls is None:
        return {}
    return urls if DEFAULT in urls or network.only_named else {**urls, DEFAULT: public_index.public_index()}


def _said_urls(network: NetworkOptions, config: Config) -> dict[str, str] | None:
    """Return the indexes by name, first asked first, the default one last, as written (user-info included).

    None where no index may be asked.
    """
    if network.no_index or (config.no_index and not network.default_index and not network.indexes):
        return None
    urls: dict[str, str] = {}
    for place, text in enumerate(network.indexes, 1):
        name, equals, url = text.partition("=")
        if not equals or "/" in name:
            name, url = f"index-{place}", text
        urls[name] = url
    default = network.default_index
    for setting in config.index or ():
        if setting.default:
            default = default or setting.url
        else:
            urls.setdefault(setting.name, setting.url)
    if default:
        urls[DEFAULT] = default
    return {name: url if url.endswith("/") else f"{url}/" for name, url in urls.items()}


def index_settings(flags: LockOptions, config: Config) -> IndexSettings:
    """Return which indexes are asked for what, without credentials. Raises ConfigError and UsageError."""
    explicit = {setting.name for setting in config.index or () if setting.explicit and not setting.default}
    standard = {setting.name: DEFAULT for setting in config.index or () if setting.default}
    network = flags.network
    if network.no_index and (network.default_index or network.indexes):
        raise UsageError("--no-index does not go together with --default-index or --index")
    links = (*network.find_links, *(config.find_links or ()))
    return IndexSettings(
        sources=tuple(
            IndexSource(name=name, url=without_user_info(url), explicit=name in explicit)
            for name, url in _named_urls(flags.network, config).items()
        ),
        pinned={
            project: standard.get(source, source) for project, source in config.sources or () if isinstance(source, str)
        },
        find_links=tuple(_absolute(link, flags.inputs.folder) for link in links),
        strategy=network.index_strategy or config.index_strategy or "first-index",
        offline=network.offline,
        refresh=network.refresh,
        refresh_packages=_normalized(network.refresh_packages),
        now=flags.surroundings.now.timestamp(),
    )


def _normalized(names: tuple[str, ...]) -> frozenset[NormalizedName]:
    return frozenset(canonicalize_name(name) for name in names)


def _is_page(link: str) -> bool:
    return "://" in link and path_of_url(link) is None


def _absolute(link: str, folder: Path) -> str:
    """Return the page as it is, or the folder from the root.

    A relative folder keeps the name that the project has for it, symbolic links or not: the lock names it so too.
    """
    if _is_page(link):
        return link
    path = path_of_url(link) or Path(link)
    return str(path.resolve()) if path.is_absolute() else os.path.normpath(folder.resolve() / path)


def locked_indexes(settings: IndexSettings) -> tuple[tuple[str, str], ...]:
    """Return the indexes as the lock holds them: the default first, then by name."""
    urls = {source.name: source.url for source in settings.sources}
    first = [(DEFAULT, urls.pop(DEFAULT))] if DEFAULT in urls else []
    return (*first, *sorted(urls.items()))


def locked_links(settings: IndexSettings, folder: Path) -> tuple[str, ...]:
    """Return the places of --find-links as a lock in this folder holds them. Raises ConfigError where it cannot."""
    return tuple(
        without_user_info(link) if _is_page(link) else seen_from(folder, Path(link)) for link in settings.find_links
    )


def open_network(flags: LockOptions, config: Config, reporter: Reporter) -> Network:
    """Open the cache, and make ready to ask the indexes. Nothing is asked yet. Raises CacheInvalid and ConfigError."""
    settings = index_settings(flags, config)
    cache = Cache(flags.surroundings.cache_folder, reporter)
    make_fetcher = _fetcher_maker(_named_urls(flags.network, config), flags.network, flags.surroundings, reporter)
    return Network(client=IndexClient(settings, cache, make_fetcher, reporter), cache=cache)


def open_downloads(
    flags: FetchOptions, config: Config, locked: Iterable[tuple[str, str]], reporter: Reporter
) -> Downloads:
    """Make ready to fetch files that a lock names. No index is asked; each is only where a login belongs.

    A login from the environment follows an index's name to the URL that flags or settings give that name, never to the
    one that the lock gives it: a lock is read by nobody. A host of the lock (``locked``: name and URL) may have one in netrc.

    Raises CacheInvalid, ConfigError and UsageError.
    """
    said = _said_urls(flags.network, config) or {}
    urls = {**said, **{url: url for _, url in locked if url not in said.values()}}
    cache = Cache(flags.surroundings.cache_folder, reporter)
    make_fetcher = _fetcher_maker(urls, flags.network, flags.surroundings, reporter)
    return Downloads(cache.files_folder, make_fetcher, offline=flags.network.offline)


def _fetcher_maker(
    urls: Mapping[str, str], network: NetworkOptions, surroundings: RunContext, reporter: Reporter
) -> Callable[[], Fetcher]:
    environ = surroundings.environ

    def make_fetcher() -> Fetcher:
        # the HTTP engine costs 60 ms to import, and a run that finds everything in the cache has no use for it
        fetcher: Fetcher = client.open_transport(
            urls,
            environ=environ,
            netrc_file=_netrc(surroundings),
            ca_file=network.ca_file or environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"),
            insecure_hosts=frozenset(network.insecure_hosts),
            reporter=reporter,
        )
        return fetcher

    return make_fetcher


def _netrc(surroundings: RunContext) -> Path | None:
    named = surroundings.environ.get("NETRC")
    if named:
        return Path(named)
    return surroundings.home / ".netrc" if surroundings.home is not None else None
