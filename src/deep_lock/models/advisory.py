"""Advisories of the OSV schema, as far as they are about projects of the ecosystem PyPI; and what is ignored of them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from msgspec import Struct

Severity = Literal["critical", "high", "medium", "low", "none", "unknown"]
"""The ratings of CVSS. "unknown": no vector and no word of the database that can be read."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Threshold = Literal["any", "low", "medium", "high", "critical"]
"""The lowest severity that fails an audit. A severity that is not known is below none of them."""
THRESHOLDS: tuple[Threshold, ...] = get_args(Threshold)
AuditScope = Literal["runtime", "build", "all"]
AUDIT_SCOPES: tuple[AuditScope, ...] = get_args(AuditScope)
EventKind = Literal["introduced", "fixed", "last_affected", "limit"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

ECOSYSTEM = "PyPI"
MALWARE = "MAL-"
"""What the IDs of malicious packages begin with."""
_HOMES = (MALWARE, "GHSA-", "PYSEC-")
"""Of the IDs of one vulnerability that of the first database is shown, then the first by name."""

DEFAULT_MAX_AGE = timedelta(days=7)


# array_like and gc=False: a database has tens of thousands of these records
class Advisory(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One record, as far as it is about one project."""

    id: str
    aliases: tuple[str, ...] = ()
    """IDs of the same vulnerability in other databases."""
    summary: str = ""
    """One line."""
    url: str = ""
    vectors: tuple[str, ...] = ()
    """CVSS vectors of any version."""
    rating: str = ""
    """The word of the database for the severity, as it is."""
    ranges: tuple[tuple[tuple[EventKind, str], ...], ...] = ()
    """Events, each with its version. A range of git commits is left out."""
    versions: tuple[str, ...] = ()
    """Affected versions, as they are written."""


class AdvisoryRecord(Struct, frozen=True, kw_only=True):
    """What one document of the OSV schema says."""

    id: str
    modified: datetime
    """Aware."""
    advisories: tuple[tuple[str, Advisory], ...]
    """By normalized project name. Empty for a record that is withdrawn, or about other ecosystems."""
    is_of_ecosystem: bool
    """Whether it is about a project of PyPI, withdrawn or not."""


class AdvisorySource(Struct, frozen=True, kw_only=True):
    """Where advisories come from, and how old they are."""

    kind: Literal["database", "service", "index"]
    name: str
    """A path or a URL, without a login."""
    advisories: int | None = None
    """How many a database has for PyPI; None where that is not known."""
    packages: int | None = None
    """About how many packages a server was queried, and had a response; None: all of a database."""
    newest: datetime | None = None
    """When the newest record of a database was modified."""
    fetched: datetime | None = None
    """When a database was downloaded, or its server stated that it is unchanged; None for a file of this machine."""
    unreadable: int = 0
    """Records that were left out since they cannot be read."""


def is_malware(ids: Sequence[str]) -> bool:
    """Whether one of the IDs of a vulnerability is that of a malicious package."""
    return any(own.startswith(MALWARE) for own in ids)


def home_rank(own: str) -> tuple[int, str]:
    """Return the order in which the IDs of one vulnerability are shown."""
    return next((rank for rank, prefix in enumerate(_HOMES) if own.startswith(prefix)), len(_HOMES)), own


class Ignored(Struct, frozen=True, kw_only=True):
    """One ``ignore`` table of the configuration: a vulnerability that is accepted until a day."""

    id: str
    """Any ID of it."""
    reason: str
    until: date
    """The last day, in UTC."""


class VexStatement(Struct, frozen=True, kw_only=True):
    """What an OpenVEX document says of one vulnerability in one package."""

    ids: tuple[str, ...]
    """Of the vulnerability."""
    package: str
    """A normalized project name."""
    version: str
    """Empty: every version."""
    status: str
    """"not_affected", "affected", "fixed" or "under_investigation"."""
    justification: str
    """A word of OpenVEX for why a package is not affected; empty: none."""
    reason: str
    """All that it says, with the justification."""
    source: str
    """The name of the document."""


class AuditSettings(Struct, frozen=True, kw_only=True):
    """``[tool.deep-lock.audit]``. None: not set."""

    database: tuple[str, ...] | None = None
    """Paths as written, or URLs."""
    service: str | None = None
    max_age: timedelta | None = None
    fail_on: Threshold | None = None
    scope: AuditScope | None = None
    ignore: tuple[Ignored, ...] = ()
    ignore_until_fixed: tuple[str, ...] = ()
    openvex: tuple[str, ...] = ()
    """Paths of OpenVEX documents, as written."""


class SbomVulnerability(Struct, frozen=True, kw_only=True):
    """What an SBOM says of one vulnerability of one package."""

    key: tuple[str, str, str]
    """Name, version and source of the package."""
    ids: tuple[str, ...]
    """The shown one first."""
    summary: str
    url: str
    severity: Severity
    score: float | None
    vector: str
    fixed_in: tuple[str, ...]
    ignored: str
    """Why it is ignored; empty: it is not."""
    status: str
    """Of the OpenVEX statement by which it is ignored; empty: there is none."""
    justification: str
