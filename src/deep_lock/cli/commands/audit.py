"""`deep-lock audit`: compare the packages of a lock with advisories, at run time and in builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deep_lock.cli.options import (
    DATABASES,
    DOCUMENT,
    LOCK,
    NETWORK,
    PACKAGE,
    SERVICE,
    Section,
    flag,
    format_option,
    option,
    pick,
    sectioned,
)
from deep_lock.cli.session import Session
from deep_lock.config.audit import read_max_age, read_service
from deep_lock.config.options import AdvisoryOptions, AuditOptions, NetworkOptions
from deep_lock.errors import ConfigError, UsageError
from deep_lock.models.advisory import AUDIT_SCOPES, THRESHOLDS
from deep_lock.models.lock import Lock
from deep_lock.operations import audit
from deep_lock.reports import audit as report
from deep_lock.sanitize import Safe

Value = TypeVar("Value")

FOUND = 1
MALWARE = 4
HELP = """\
Compare every package of a lock with known vulnerabilities and malicious packages.

The runtime packages and the packages of each build are compared. The advisories come from a database in the OSV schema, from a
service with an OSV API, or from the indexes of the lock. There is no default: name one with an option or in
[tool.deep-lock.audit]. A database is downloaded again only if it has changed. Each finding shows the command that locks a fixed
version, or the requirement that excludes the fixed version.

\b
  deep-lock audit --database all.zip              a downloaded database for PyPI
  deep-lock audit --database URL --max-age P2D    a database at a URL, at most two days old
  deep-lock audit --service URL                   send names and versions of packages to a service
  deep-lock audit --from-index                    use the vulnerabilities that the index states
  deep-lock audit --scope runtime --fail-on high
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0 no finding at or above --fail-on; 1 findings; 2 a lock, a
configuration or an OpenVEX document cannot be read, or no source of advisories is named; 3 a source cannot be read or is too old; 4
a malicious package.
"""


SOURCES: Section = (
    "Lock and advisories",
    (
        LOCK,
        PACKAGE,
        *DATABASES,
        SERVICE,
        flag("--from-index", text="Use the vulnerabilities that the indexes of the lock state for each version."),
    ),
)
FINDINGS: Section = (
    "Findings",
    (
        option(
            "--scope",
            choices=AUDIT_SCOPES,
            help="Compare the packages that are installed at run time, the packages of builds, or all.",
            default_text="all",
        ),
        option(
            "--fail-on",
            choices=THRESHOLDS,
            variable="AUDIT_FAIL_ON",  # DEEP_LOCK_FAIL_ON has other values for other commands
            help="The lowest severity that causes exit code 1. An unknown severity counts as the highest.",
            default_text="any",
        ),
        option("--ignore", metavar="ID", repeatable=True, help="Ignore the vulnerability that has this ID or alias."),
        option(
            "--ignore-until-fixed",
            metavar="ID",
            repeatable=True,
            help="Ignore the vulnerability with this ID or alias until a fixed version is known.",
        ),
        option(
            "--openvex",
            type=DOCUMENT,
            repeatable=True,
            help="Ignore the vulnerabilities with the status not_affected or fixed in this OpenVEX document.",
        ),
    ),
)
FORMAT = format_option("text", "json", "markdown", "sarif", "github")


@sectioned(
    "audit",
    SOURCES,
    FINDINGS,
    NETWORK,
    output=(FORMAT,),
    help=HELP,
    epilog=EPILOG,
    short_help="Compare deep.lock with known vulnerabilities.",
)
def audit_command(session: Session, /, **values: Any) -> None:
    """Compare the lock with advisories, and write the findings."""
    options = pick(
        AuditOptions,
        values,
        sources=advisory_options(values),
        network=pick(NetworkOptions, values),
        context=session.context,
    )
    with session.reporting() as reporter:
        found = audit.audit(options, reporter)
    session.printer.data(_text(found, values["form"]))
    finish(session, found)


def require_source(session: Session, values: dict[str, Any]) -> None:
    """Raise UsageError where `lock --audit` has no advisories to compare with."""
    audit.require_source(_of_lock(session, values, Path()))


def audit_made(session: Session, values: dict[str, Any], *, path: Path, lock: Lock, text: str) -> report.Audit:
    """Audit the lock of a run, which may not be written. ``values`` are those of `lock`."""
    with session.reporting() as reporter:
        return audit.audit_made(lock, text, _of_lock(session, values, path), reporter)


def _of_lock(session: Session, values: dict[str, Any], path: Path) -> AuditOptions:
    script = values.get("script")
    folder = script.parent if script is not None else values["folder"]
    return AuditOptions(lock=path, folder=folder, network=pick(NetworkOptions, values), context=session.context)


def advisory_options(values: dict[str, Any]) -> AdvisoryOptions:
    """Return the options of the sources. Raises UsageError."""
    age = _read("--max-age", read_max_age, values["max_age"]) if values["max_age"] is not None else None
    service = _read("--service", read_service, values["service"]) if values.get("service") else ""
    return pick(AdvisoryOptions, values, service=service, max_age=age)


def _read(name: str, reader: Callable[[str], Value], text: str) -> Value:
    try:
        return reader(text)
    except ConfigError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from None


def finish(session: Session, found: report.Audit) -> None:
    """Write what was compared, and end with the exit code of an audit."""
    session.printer.info(report.claim(found))
    if found.malware:
        raise click.exceptions.Exit(MALWARE)
    if found.failing:
        raise click.exceptions.Exit(FOUND)


def _text(found: report.Audit, form: str) -> Safe:
    match form:
        case "json":
            return report.audit_json(found)
        case "markdown":
            return report.audit_markdown(found)
        case "sarif":
            return report.audit_sarif(found)
        case "github":
            return report.audit_github(found)
        case _:
            return report.audit_text(found)
