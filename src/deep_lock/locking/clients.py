"""The clients of a run: one for its indexes, with their cache, and one for files that a lock names."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.config.config import Config
from deep_lock.config.options import NetworkOptions, RunContext
from deep_lock.errors import ConfigError
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_there
from deep_lock.index import remote_cache
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.download import Downloads, Wanted
from deep_lock.index.settings import Fetcher
from deep_lock.index.workers import LazyFetcher
from deep_lock.locking.indexes import (
    DEFAULT,
    OF_THE_LOCK,
    NetworkSettings,
    client_certs_of,
    configured_default,
    named_urls,
)
from deep_lock.network import client
from deep_lock.network.urls import LOGIN_VARIABLES, login_variables
from deep_lock.sanitize import show


class Network(Struct, frozen=True, kw_only=True):
    """The client and cache of one run. Close it: the client owns threads and connections."""

    client: IndexClient
    cache: Cache

    def close(self) -> None:
        """Close all connections."""
        self.client.close()


def open_network(settings: NetworkSettings, context: RunContext, reporter: Reporter) -> Network:
    """Open the cache and prepare a client; no request is made yet. Raises CacheInvalid and ConfigError."""
    cache = _open_cache(settings.options, context, reporter)
    own = (url for name, url in settings.urls.items() if not name.startswith(OF_THE_LOCK))
    hosts = _hosts((*own, *settings.indexes.find_links))
    make_fetcher = _fetcher_maker(
        settings.urls,
        settings.options,
        context,
        cache,
        reporter,
        client_certs=settings.client_certs,
        own_hosts=hosts,
        default_name=settings.default_name,
    )
    return Network(client=IndexClient(settings.indexes, cache, make_fetcher, reporter), cache=cache)


def open_downloads(
    options: NetworkOptions,
    config: Config,
    locked: Iterable[tuple[str, str]],
    context: RunContext,
    reporter: Reporter,
    *,
    folder: Path,
    namer_of: Callable[[Wanted], str],
) -> Downloads:
    """Prepare to fetch files that a lock names. No index is used; each is only the address that a login belongs to.

    ``namer_of`` as in Downloads.

    A login from the environment follows an index's name to the URL that options or configuration give that name, never to
    the one that the lock gives it: the URLs of a lock are not reviewed. A host of the lock (``locked``: name and URL) may
    have a login in netrc. ``folder`` is the project's.

    Raises CacheInvalid, ConfigError and UsageError.
    """
    named = named_urls(options, config) or {}
    urls = {**named, **{url: url for _, url in locked if url not in named.values()}}
    cache = _open_cache(options, context, reporter)
    client_certs = client_certs_of(urls, options, config, folder, context)
    make_fetcher = _fetcher_maker(
        urls,
        options,
        context,
        cache,
        reporter,
        client_certs=client_certs,
        own_hosts=_hosts(named.values()),
        default_name=configured_default(options, config),
    )
    return Downloads(cache, make_fetcher, namer_of, offline=options.offline)


class AddressClient(Struct, frozen=True, kw_only=True):
    """The client of addresses that are no indexes, and the cache of the run. Close it."""

    fetcher: LazyFetcher
    cache: Cache

    def close(self) -> None:
        """Close all connections."""
        self.fetcher.close()


def open_addresses(
    named: Mapping[str, str], options: NetworkOptions, config: Config, context: RunContext, reporter: Reporter
) -> AddressClient:
    """Prepare a client for addresses (name and URL, which may hold a login); no request is made yet.

    The indexes of options and configuration are known too, with their logins. Names of addresses that only a lock names begin
    with OF_THE_LOCK. Raises CacheInvalid, ConfigError and UsageError.
    """
    urls = {**(named_urls(options, config) or {}), **named}
    own = (url for name, url in urls.items() if not name.startswith(OF_THE_LOCK))
    cache = _open_cache(options, context, reporter, with_remote=False)
    make_fetcher = _fetcher_maker(
        urls,
        options,
        context,
        cache,
        reporter,
        client_certs={},
        own_hosts=_hosts(own),
        default_name=configured_default(options, config),
    )
    return AddressClient(fetcher=LazyFetcher(make_fetcher, offline=options.offline), cache=cache)


def _open_cache(options: NetworkOptions, context: RunContext, reporter: Reporter, *, with_remote: bool = True) -> Cache:
    larger_run = context.now.timestamp() if options.part_of_larger_run else None
    remote = None
    if options.remote_cache and with_remote and not options.offline:
        read_only = options.remote_cache_read_only
        remote = remote_cache.open_remote_cache(options.remote_cache, reporter, read_only=read_only)
    return Cache(context.cache_folder, reporter, larger_run=larger_run, remote=remote)


def _environ(
    urls: Mapping[str, str], options: NetworkOptions, context: RunContext, default_name: str
) -> Mapping[str, str]:
    """Return the environment. The login of the default index may have the name that the configuration gives to the index.

    In a checkout it has only the logins of indexes that the options name. Else the configuration of a repository could
    give the name of an index with a login another URL. Several names have the same variables ("corp-x", "corp_x"), so
    another index with the variables of one of them is refused. Raises ConfigError.
    """
    if context.checkout is None:
        own = dict(zip(login_variables(DEFAULT), login_variables(default_name), strict=True)) if default_name else {}
        if any(name in context.environ for name in own):
            return context.environ
        return {
            **context.environ,
            **{name: context.environ[key] for name, key in own.items() if key in context.environ},
        }
    named = named_urls(options, Config(source="")) or {}
    kept = {variable for name in named for variable in login_variables(name)}
    for name, url in urls.items():
        if named.get(name) != url and kept.intersection(login_variables(name)):
            raise ConfigError(
                f"the index {show(name)} of the repository would get the login of an index of the command line",
                hint=f"rename it in the configuration of the repository: both names have the variable {login_variables(name)[1]}",
            )
    return {key: value for key, value in context.environ.items() if not key.startswith(LOGIN_VARIABLES) or key in kept}


def _hosts(urls: Iterable[str]) -> frozenset[str]:
    """Return the hosts of URLs without their ports; a path of this machine has none."""
    return frozenset(host for url in urls if "://" in url and (host := urlsplit(url).hostname))


def _fetcher_maker(
    urls: Mapping[str, str],
    options: NetworkOptions,
    context: RunContext,
    cache: Cache,
    reporter: Reporter,
    *,
    client_certs: Mapping[str, str],
    own_hosts: frozenset[str],
    default_name: str,
) -> Callable[[], Fetcher]:
    environ = _environ(urls, options, context, default_name)

    def make_fetcher() -> Fetcher:
        # the HTTP engine costs 60 ms to import, and a run that finds everything in the cache has no use for it
        fetcher: Fetcher = client.open_client(
            urls,
            environ=environ,
            netrc_file=_netrc(context, reporter),
            ca_file=options.ca_file or environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"),
            insecure_hosts=frozenset(options.insecure_hosts),
            client_certs=client_certs,
            own_hosts=own_hosts,
            allowed_hosts=options.plain_allowed_hosts,
            keyring=options.keyring_provider == "subprocess",
            limits=client.RequestLimits(
                folder=cache.requests_folder, per_second=options.requests_per_second, at_once=options.max_requests
            )
            if options.part_of_larger_run or options.requests_per_second or options.max_requests
            else None,
            reporter=reporter,
        )
        return fetcher

    return make_fetcher


def _netrc(context: RunContext, reporter: Reporter) -> Path | None:
    named = context.environ.get("NETRC")
    if named:
        if not is_there(Path(named)):
            message = f"names {show(named)}, which does not exist: no credentials are read from it"
            reporter(Warned(code="netrc-missing", subject="NETRC", message=message))
        return Path(named)
    return context.home / ".netrc" if context.home is not None else None
