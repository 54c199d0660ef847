"""Looks up advisories for packages of a lock, in the sources that the options or the configuration name."""

import os
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.analysis.advisories import AdvisoriesOf, is_comparable
from deep_lock.config.config import Config
from deep_lock.config.options import AdvisoryOptions, NetworkOptions, RunContext
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.locking.clients import AddressClient, open_addresses
from deep_lock.locking.indexes import OF_THE_LOCK
from deep_lock.models.advisory import DEFAULT_MAX_AGE, Advisory, AdvisorySource, AuditSettings
from deep_lock.models.lock import LockedPackage
from deep_lock.network.urls import shown_url, without_user_info
from deep_lock.operations import advisory_database, advisory_service
from deep_lock.project.checkout import require_inside

NO_SOURCE = """\
name a source: --database with an export of the OSV schema for PyPI (a zip, a folder of records, or the URL of a zip), \
--service with the address of an OSV API, or --from-index; or set database in [tool.deep-lock.audit]"""


class LookedUp(Struct, frozen=True, kw_only=True):
    """What the sources know of the packages."""

    advisories: AdvisoriesOf
    sources: tuple[AdvisorySource, ...]


def is_configured(options: AdvisoryOptions, config: Config) -> bool:
    """Whether the options or the configuration name a source."""
    settings = config.audit or AuditSettings()
    return bool(options.databases or options.service or options.from_index or settings.database or settings.service)


def no_source() -> UsageError:
    """Return the error of a run without a source."""
    return UsageError("no source of advisories is named", hint=NO_SOURCE)


def look_up(
    packages: Sequence[LockedPackage],
    options: AdvisoryOptions,
    config: Config,
    folder: Path,
    *,
    network: NetworkOptions,
    context: RunContext,
    reporter: Reporter,
) -> LookedUp:
    """Return the advisories about the projects of these packages. Options that name a source replace those of ``config``.

    ``folder`` is that of the configuration. Raises UsageError, ConfigError, IndexFault and LimitExceeded.
    """
    if not is_configured(options, config):
        raise no_source()
    settings = config.audit or AuditSettings()
    databases, service = options.databases, options.service
    if not (databases or service or options.from_index):
        databases = tuple(_from(folder, own, context) for own in settings.database or ())
        service = settings.service or ""
    known = [entry for entry in packages if is_comparable(entry)]
    indexes = sorted({entry.index for entry in known if entry.index is not None}) if options.from_index else []
    urls = {f"database-{number}": own for number, own in enumerate(databases, 1) if advisory_database.is_url(own)}
    urls |= {"service": service} if service else {}
    urls |= {f"{OF_THE_LOCK}{number}": url for number, url in enumerate(indexes, 1)}
    max_age = options.max_age or settings.max_age or DEFAULT_MAX_AGE
    with closing(open_addresses(urls, network, config, context, reporter)) as client:
        found = [
            _of_database(own, known, client, max_age=max_age, now=context.now, reporter=reporter) for own in databases
        ]
        found += [_of_service(service, known, client)] if service else []
        found += [_of_indexes(known, client)] if options.from_index else []
    advisories: dict[str, tuple[Advisory, ...]] = {}
    for own in found:
        for name, records in own.advisories.items():
            advisories[name] = (*advisories.get(name, ()), *records)
    return LookedUp(advisories=advisories, sources=tuple(source for own in found for source in own.sources))


def _from(folder: Path, name: str, context: RunContext) -> str:
    """Return the database that a configuration in this folder names. Raises OutsideCheckout."""
    if advisory_database.is_url(name):
        return name
    path = Path(os.path.normpath(folder / name))
    return str(require_inside(path, context.checkout, "audit, database"))


def _of_database(
    name: str,
    packages: Sequence[LockedPackage],
    client: AddressClient,
    *,
    max_age: timedelta,
    now: datetime,
    reporter: Reporter,
) -> LookedUp:
    database = advisory_database.open_database(name, client, now, reporter)
    advisory_database.require_fresh(database.source, max_age, now)
    names = dict.fromkeys(canonicalize_name(entry.name) for entry in packages)
    return LookedUp(advisories=database.of(names), sources=(database.source,))


def _of_service(url: str, packages: Sequence[LockedPackage], client: AddressClient) -> LookedUp:
    name = shown_url(without_user_info(url))
    source = AdvisorySource(kind="service", name=name, packages=len(packages))
    return LookedUp(advisories=advisory_service.query_service(url, packages, client), sources=(source,))


def _of_indexes(packages: Sequence[LockedPackage], client: AddressClient) -> LookedUp:
    advisories, indexes = advisory_service.query_indexes(packages, client)
    sources = [AdvisorySource(kind="index", name=shown_url(url), packages=count) for url, count in indexes.items()]
    return LookedUp(advisories=advisories, sources=tuple(sources))
