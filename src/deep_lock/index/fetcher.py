"""Opens the network for a run. Loaded at the first request that the cache cannot answer: all that is slow to import."""

from collections.abc import Mapping
from pathlib import Path

from deep_lock.deferred import load_all
from deep_lock.events import Reporter
from deep_lock.index.credentials import gather_credentials
from deep_lock.index.proxies import proxies_from
from deep_lock.index.transport import Transport, TransportSettings


def open_transport(
    indexes: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    netrc_file: Path | None,
    ca_file: str | None,
    insecure_hosts: frozenset[str],
    reporter: Reporter,
) -> Transport:
    """Return a transport that knows the logins of the indexes (name to URL, which may carry user-info).

    Whatever the run may need is imported before it: from the first foreign byte on, nothing is. Raises ConfigError.
    """
    load_all()
    settings = TransportSettings(
        ca_file=ca_file,
        insecure_hosts=insecure_hosts,
        proxies=proxies_from(environ),
        credentials=gather_credentials(indexes, environ=environ, netrc_file=netrc_file),
    )
    return Transport(settings, reporter)
