"""`deep-lock verify`: compare a lock with its indexes as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import (
    LOCK,
    NETWORK,
    Section,
    flag,
    format_option,
    option,
    pick,
    sectioned,
    selected,
    selecting,
)
from deep_lock.cli.session import Session
from deep_lock.config.options import InstalledOptions, NetworkOptions, SelectionOptions, VerifyOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.models.changes import SEVERITIES
from deep_lock.operations import verify, verify_installed
from deep_lock.reports import document, findings
from deep_lock.sanitize import Safe, joined

FOUND = 1
CHANGED = 4
CHANGED_CODES = frozenset(
    {
        "hash-changed",
        "sidecar-differs",
        "attestation-gone",
        "attestation-invalid",
        "publisher-differs",
        "installed-file-changed",
        "installed-wheel-differs",
        "installed-hash-differs",
    }
)
HELP = """\
Compare a lock with its indexes: which versions are yanked, which files are removed, changed or added, which projects are archived.

The default indexes are those of the lock. Options and the configuration next to the lock override them. Nothing is resolved or
written.

\b
  deep-lock verify                          compare index pages and the metadata of wheels
  deep-lock verify --deep                   download each file, and compare its content
  deep-lock verify --format json
  deep-lock verify --installed .venv        compare an environment with the lock, without an index
"""
SELECTING = ("extras", "all_extras", "no_extras", "groups", "all_groups", "no_groups")
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0 no finding at or above --fail-on; 1 findings; 2 a
wrong option, or a lock or an environment cannot be read; 3 index failure; 4 the content of a file differs from the lock, from its
metadata on the index or from RECORD, or its publisher differs.
"""
CHECKS: Section = (
    "Checks",
    (
        LOCK,
        flag("--deep", text="Download every file, and compare it with the build records and dependencies in the lock."),
        option(
            "--attestations",
            default="record",
            show_default=True,
            choices=("off", "record", "verify"),
            variable="VERIFY_ATTESTATIONS",
            help="Compare the publishers in the lock with those that the index attests. 'verify' also verifies the signatures.",
        ),
        option(
            "--fail-on",
            default="finding",
            show_default=True,
            choices=SEVERITIES,
            help="The lowest severity that causes exit code 1.",
        ),
    ),
)
INSTALLED: Section = (
    "Environments",
    (
        option(
            "--installed",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="PATH",
            help="Compare this virtual environment, Python prefix or folder site-packages with the lock. No index is used.",
        ),
        option(
            "--target",
            metavar="LABEL|host",
            variable="INSTALLED_TARGET",  # DEEP_LOCK_TARGET and the like are for other commands
            default="",
            help="The target of the environment, such as cp313-x86_64-manylinux_2_28.",
            default_text="the target of its Python on this machine",
        ),
        option(
            "--from",
            "fetched",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            variable="INSTALLED_FROM",
            repeatable=True,
            help="Read the wheels of the lock from this folder to compare their RECORD, or else from the cache.",
        ),
        *selecting("no extras", "no groups", prefix="INSTALLED_"),
    ),
)

FORMAT = format_option("text", "json", "sarif", "github")


@sectioned(
    "verify",
    CHECKS,
    INSTALLED,
    NETWORK,
    output=(FORMAT,),
    help=HELP,
    epilog=EPILOG,
    short_help="Compare deep.lock with its indexes.",
)
def verify_command(session: Session, /, **values: Any) -> None:
    """Compare the lock with its indexes, and write the findings."""
    with session.reporting() as reporter:
        verified = _verified(session, reporter, values)
    found = verified.findings
    session.printer.data(_text(verified, values["form"], values["lock"]))
    session.printer.info(f"verified {verified.releases} releases, {verified.files} files: {findings.counts(found)}")
    failing = SEVERITIES[: SEVERITIES.index(values["fail_on"]) + 1]
    if any(finding.code in CHANGED_CODES for finding in found):
        raise click.exceptions.Exit(CHANGED)
    if any(finding.severity in failing for finding in found):
        raise click.exceptions.Exit(FOUND)


def _verified(session: Session, reporter: Reporter, values: dict[str, Any]) -> verify.Verified:
    if values["installed"] is None:
        if used := _used(values, ("target", "fetched", *SELECTING)):
            raise UsageError(f"{used} is for --installed only")
        options = pick(VerifyOptions, values, network=pick(NetworkOptions, values), context=session.context)
        return verify.verify(options, reporter)
    if values["deep"] or values["attestations"] == "verify":
        other = "--deep" if values["deep"] else "--attestations verify"
        raise UsageError(f"--installed and {other} cannot be used together: no index is used")
    installed = pick(
        InstalledOptions,
        values,
        environment=values["installed"],
        selection=SelectionOptions(extras=selected(values, "extra"), groups=selected(values, "group")),
        context=session.context,
    )
    return verify_installed.verify_installed(installed, reporter)


def _used(values: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of these options that is used."""
    options = {"fetched": "from", "extras": "extra", "groups": "group"}
    return next((f"--{options.get(name, name).replace('_', '-')}" for name in names if values[name]), "")


def _text(verified: verify.Verified, form: str, lock: Path) -> Safe:
    match form:
        case "json":
            payload = {
                "lock": lock.as_posix(),
                "releases": verified.releases,
                "files": verified.files,
                "findings": findings.findings_rows(verified.findings),
            }
            return document.document("verify", 1, payload)
        case "sarif":
            return findings.findings_sarif(verified.findings, lock.as_posix(), verified.lines)
        case "github":
            return joined(findings.findings_github(verified.findings, lock.as_posix(), verified.lines))
        case _:
            return findings.findings_text(verified.findings)
