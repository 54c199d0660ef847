"""`deep-lock vet`: record and check who reviewed the files of a lock."""

from pathlib import Path
from typing import Any

import click

from deep_lock.cli import completion
from deep_lock.cli.options import (
    DOWNLOADS,
    LOCK,
    NETWORK,
    TEXT_OR_JSON,
    Section,
    flag,
    format_option,
    option,
    pick,
    sectioned,
)
from deep_lock.cli.session import Session
from deep_lock.cli.usage_errors import CommandGroup
from deep_lock.config.options import CertifyOptions, NetworkOptions, VetDiffOptions, VetImportOptions, VetOptions
from deep_lock.errors import UsageError
from deep_lock.models.vetting import CRITERIA
from deep_lock.operations import vet_certify, vet_check, vet_diff, vet_import, vet_init, vet_suggest
from deep_lock.project import edit
from deep_lock.reports import document, vet
from deep_lock.reports import vet_diff as vet_diff_report
from deep_lock.reports import vet_import as vet_import_report
from deep_lock.sanitize import Safe, counted, show

HELP = """\
Record who reviewed which files of a lock, and check that each file has an audit or an exemption.

The records are in the folder supply-chain next to the lock. Each record names files by their sha256.

\b
  deep-lock vet init                                  exempt all files of the lock
  deep-lock vet suggest                               after an update: show what to review, smallest first
  deep-lock vet diff jinja2 3.1.5 3.1.6               review the changes
  deep-lock vet certify jinja2 3.1.6 --from 3.1.5     record the review
  deep-lock vet import acme --url URL                 use the audits of another team
  deep-lock vet check                                 in CI: exit with 1 if a file is not covered
"""
FILES_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: the lock cannot be read, or a file of supply-chain
exists already.
"""


@click.group("vet", cls=CommandGroup, help=HELP, short_help="Record and check who reviewed the files of a lock.")
def vet_command() -> None:
    """Record and check who reviewed the files of a lock."""


INIT_HELP = """\
Write supply-chain/audits.toml and supply-chain/config.toml, with an exemption for each file of the lock.

Afterwards, deep-lock vet check finds each file that is added to the lock. An existing file is never changed.
"""


@sectioned(
    "init",
    ("Lock", (LOCK,)),
    output=(TEXT_OR_JSON,),
    help=INIT_HELP,
    epilog=FILES_EPILOG,
    short_help="Exempt all files of a lock.",
)
def vet_init_command(session: Session, /, **values: Any) -> None:
    """Write the files."""
    with session.reporting() as reporter:
        begun = vet_init.init(pick(VetOptions, values, context=session.context), reporter)
    if values["form"] == "json":
        payload = {
            "lock": values["lock"].as_posix(),
            "folder": begun.folder.as_posix(),
            "files": begun.files,
            "packages": begun.packages,
        }
        session.printer.data(document.document("vet-init", 1, payload))
    files = counted(begun.files, "file")
    projects = counted(begun.packages, "project")
    verb = "is" if begun.files == 1 else "are"
    session.printer.info(f"wrote {begun.folder}: {files} of {projects} {verb} exempt; commit the folder")


CHECK_HELP = """\
Check that an audit or an exemption covers each file of a lock. Files that run in builds are shown first.

An exemption means that the file was not reviewed. Records are not signed: a person who can write to the repository can write an audit
with any name.

\b
Files of packages in build environments, and sdists that are built, need the criterion safe-to-build.
Files of packages that are installed at run time need the criterion safe-to-run.

A file is covered by an audit of its sha256, by an exemption, or by an audit of its differences from a covered file. No request is
made: the audits of other teams are read from supply-chain/imports.lock.
"""
CHECK_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0 each file is covered; 1 a file is not covered; 2 a lock or
a file of supply-chain is missing or cannot be read.
"""
NOT_COVERED = 1
FORMAT = format_option("text", "json", "markdown", "sarif", "github")


@sectioned(
    "check",
    ("Lock", (LOCK,)),
    output=(FORMAT,),
    help=CHECK_HELP,
    epilog=CHECK_EPILOG,
    short_help="Check that each file of a lock has an audit or an exemption.",
)
def vet_check_command(session: Session, /, **values: Any) -> None:
    """Check the lock, and write what is not covered."""
    with session.reporting() as reporter:
        found = vet_check.check(pick(VetOptions, values, context=session.context), reporter)
    session.printer.data(_text(found, values["form"]))
    session.printer.info(vet.claim(found))
    if found.uncovered:
        session.printer.info("deep-lock vet suggest shows what to read")
        raise click.exceptions.Exit(NOT_COVERED)


def _text(found: vet.VetCheck, form: str) -> Safe:
    match form:
        case "json":
            return vet.vet_json(found)
        case "markdown":
            return vet.vet_markdown(found)
        case "sarif":
            return vet.vet_sarif(found)
        case "github":
            return vet.vet_github(found)
        case _:
            return vet.vet_text(found)


CERTIFY_HELP = """\
Record in supply-chain/audits.toml that you reviewed the files of a package in the lock.

Without --from, the audit is of the whole files. With --from, it is of the differences from the files of that version: it covers a
file only if the file of that version is covered. The criteria are independent: safe-to-run does not include safe-to-build.

When all files of the package are covered, exemptions that are no longer needed are removed.

\b
  deep-lock vet certify jinja2
  deep-lock vet certify jinja2 3.1.6 --from 3.1.5 --notes "no change of behavior"
  deep-lock vet certify setuptools 80.9.0 --criteria safe-to-build
"""
CERTIFY_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 1 another program wrote a file of supply-chain during the run;
2 the lock does not contain the package or the file, or a file of supply-chain cannot be read or edited; 3 index failure.
"""
AUDIT: Section = (
    "Audit",
    (
        LOCK,
        option(
            "--from",
            "base",
            metavar="VERSION",
            default="",
            variable="CERTIFY_FROM",
            help="Record a review of the differences from this version.",
        ),
        option(
            "--criteria",
            choices=CRITERIA,
            repeatable=True,
            help="The criterion of the review.",
            default_text="what the lock needs for each file",
        ),
        option(
            "--file",
            "files",
            metavar="NAME",
            repeatable=True,
            variable="CERTIFY_FILE",  # DEEP_LOCK_FILE is for init
            help="Record this file only.",
            default_text="all files of the package",
        ),
        option(
            "--who",
            metavar="TEXT",
            default="",
            help="Name and address of the reviewer.",
            default_text="user.name and user.email of git",
        ),
        option("--notes", metavar="TEXT", default="", help="A note about the review, such as what was found."),
    ),
)


@sectioned(
    "certify",
    AUDIT,
    NETWORK,
    output=(TEXT_OR_JSON,),
    help=CERTIFY_HELP,
    epilog=CERTIFY_EPILOG,
    short_help="Record an audit of a package.",
)
@click.argument("name", shell_complete=completion.packages)
@click.argument("version", required=False, default="")
def vet_certify_command(session: Session, /, **values: Any) -> None:
    """Write the audit."""
    options = pick(CertifyOptions, values, vet=_vet_options(session, values))
    with session.reporting() as reporter:
        certified = vet_certify.certify(options, reporter)
    edit.write_all(certified.documents)
    if values["form"] == "json":
        payload = {
            "lock": values["lock"].as_posix(),
            "written": [own.path.as_posix() for own in certified.documents],
            "audits": [vet_import_report.audit_row(own) for own in certified.audits],
            "exemptions-removed": [{"name": own.package, "version": own.version or None} for own in certified.removed],
            "covered": certified.is_covered,
        }
        session.printer.data(document.document("vet-certify", 1, payload))
    for own in certified.audits:
        compared = f", compared with {own.base_version}" if own.base_version else ""
        release = f"{own.package} {own.version}".rstrip()
        files = counted(len(own.files), "file")
        session.printer.info(f"{release}: {', '.join(own.criteria)}, {files}{compared}, by {show(own.who)}")
    for exemption in certified.removed:
        session.printer.info(f"not needed any more: the exemption of {exemption.package} {exemption.version}".rstrip())
    if not certified.is_covered:
        session.printer.info("the release is not covered yet: deep-lock vet check shows what is missing")


SUGGEST_HELP = """\
Show what to review so that each file of a lock is covered, smallest review first.

The size of a review is the number of lines of text, and the bytes of other files. It counts the whole files, or the differences from
the nearest version that is covered. The files are downloaded from the index of the lock, and their sha256 is checked.
"""
SUGGEST_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 2 a lock or a file of supply-chain cannot be read; 4 the
sha256 of a file differs from the recorded one, or an archive is unsafe.
"""


@sectioned(
    "suggest",
    ("Lock", (LOCK,)),
    NETWORK,
    output=(TEXT_OR_JSON,),
    help=SUGGEST_HELP,
    epilog=SUGGEST_EPILOG,
    short_help="Show what to review, smallest first.",
)
def vet_suggest_command(session: Session, /, **values: Any) -> None:
    """Write the suggestions."""
    with session.reporting() as reporter:
        found = vet_suggest.suggest(_vet_options(session, values), reporter)
    write = vet.suggestions_json if values["form"] == "json" else vet.suggestions_text
    session.printer.data(write(found, values["lock"]))
    session.printer.info(vet.total(found))


def _vet_options(session: Session, values: dict[str, Any]) -> VetOptions:
    return pick(VetOptions, values, network=pick(NetworkOptions, values), context=session.context)


DIFF_HELP = """\
Show what differs between the files of two versions of a package.

Changes of native code, of files that Python reads when it starts, of scripts and of build files are shown first. Then follow all files
with the number of changed lines, and then the lines. With one version, the wheel is compared with the sdist: the files that only the
wheel has are shown.

The files are downloaded from the index of the lock. Their hashes are compared with those of the lock, or else of supply-chain, or else
of the index. Nothing is built or run. A version without differences is not proven to be harmless.

\b
  deep-lock vet diff jinja2 3.1.5 3.1.6              compare the wheels, or the sdists
  deep-lock vet diff jinja2 3.1.5 3.1.6 --stat       without the changed lines
  deep-lock vet diff jinja2 3.1.5 3.1.6 --to review  unpack both versions, for an editor
  deep-lock vet diff jinja2 3.1.6                    compare the wheel with its sdist
"""
DIFF_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 2 a version or a file does not exist; 3 a file could not be
downloaded; 4 a hash differs, or an archive is unsafe.
"""
COMPARISON: Section = (
    "Comparison",
    (
        LOCK,
        option(
            "--file",
            metavar="NAME",
            default="",
            variable="VET_DIFF_FILE",
            help="Compare this file of the new version with the file of the same kind of the old version.",
            default_text="a wheel for all platforms, else the sdist, else a wheel",
        ),
        flag("--stat", text="Do not show the lines that differ."),
        option(
            "--to",
            "folder",
            metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            help="Unpack both files into this folder. It must be new or empty.",
        ),
    ),
)


@sectioned(
    "diff",
    COMPARISON,
    NETWORK,
    output=(TEXT_OR_JSON,),
    help=DIFF_HELP,
    epilog=DIFF_EPILOG,
    short_help="Show what differs between the files of two versions.",
)
@click.argument("name", shell_complete=completion.packages)
@click.argument("old")
@click.argument("new", required=False, default="")
def vet_diff_command(session: Session, /, **values: Any) -> None:
    """Compare two releases, and write the differences."""
    with session.reporting() as reporter:
        found = vet_diff.compare(
            pick(VetDiffOptions, values, network=pick(NetworkOptions, values), context=session.context), reporter
        )
    write = vet_diff_report.as_json if values["form"] == "json" else vet_diff_report.as_text
    session.printer.data(write(found, stat=values["stat"]))
    if values["folder"] is not None:
        session.printer.info(f"unpacked into {values['folder']}")


IMPORT_HELP = """\
Import the audits of other teams, or refresh them.

The audits that are added and removed are shown. The command does not wait for a confirmation: use --dry-run first. supply-chain/imports.lock
contains the audits, with the sha256 of the file or the commit of the repository. deep-lock vet check reads this file and makes no
request. Exemptions and imports of the other team are not imported.

\b
  deep-lock vet import acme --url https://acme.example/supply-chain/audits.toml
  deep-lock vet import acme --git https://git.example/acme/app --ref main
  deep-lock vet import                          refresh the audits of all teams
  deep-lock vet import --dry-run                show what a refresh would change
  deep-lock vet import --remove acme
"""
IMPORT_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Credentials of a URL are DEEP_LOCK_INDEX_<NAME>_USERNAME and _PASSWORD with
the name of the team, or those in netrc. Exit codes: 1 another program wrote config.toml during the run; 2 an option or a file is wrong; 3 a
file could not be downloaded; 4 a file is too large.
"""
TEAM: Section = (
    "Team",
    (
        LOCK,
        option("--url", metavar="URL|PATH", default="", help="Add the team with this audits.toml."),
        option(
            "--git", metavar="REPO|PATH", default="", help="Add the team with the audits.toml in this git repository."
        ),
        option(
            "--ref",
            metavar="REF",
            default="",
            help="With --git: a branch, a tag or a commit.",
            default_text="the default branch",
        ),
        option(
            "--path",
            metavar="PATH",
            default="",
            help="With --git: the path of the file in the repository.",
            default_text="supply-chain/audits.toml",
        ),
        option("--remove", "removed", metavar="NAME", default="", help="Remove this team and its audits."),
        flag("--dry-run", text="Show what would change. Write nothing."),
    ),
)


@sectioned(
    "import",
    TEAM,
    DOWNLOADS,
    output=(TEXT_OR_JSON,),
    help=IMPORT_HELP,
    epilog=IMPORT_EPILOG,
    short_help="Import the audits of other teams.",
)
@click.argument("name", required=False, default="")
def vet_import_command(session: Session, /, **values: Any) -> None:
    """Import or refresh, and write what changed."""
    _check_import(values)
    options = pick(VetImportOptions, values, network=pick(NetworkOptions, values), context=session.context)
    with session.reporting() as reporter:
        plan = vet_import.plan_import(options, reporter)
    is_json, writes = values["form"] == "json", plan.changes_files and not values["dry_run"]
    if not is_json:
        session.printer.data(vet_import_report.as_text(plan.changes))
    if writes:
        vet_import.write_import(plan)
    if is_json:
        lock = values["lock"].as_posix()
        session.printer.data(vet_import_report.as_json(plan.changes, lock, written=writes))
    if values["dry_run"]:
        session.printer.info("nothing was written")
    else:
        session.printer.info(f"wrote {plan.imports}" if writes else "nothing changed")


def _check_import(values: dict[str, Any]) -> None:
    """Raise UsageError for options that contradict each other."""
    used = [name for name in ("url", "git", "removed") if values[name]]
    names = {"removed": "--remove"}
    if len(used) > 1:
        both = " and ".join(names.get(name, f"--{name}") for name in used)
        raise UsageError(f"{both} cannot be used together")
    if (values["ref"] or values["path"]) and not values["git"]:
        raise UsageError("--ref and --path are for --git only")
    if values["removed"] and values["name"]:
        raise UsageError("--remove has the name of the team; leave out the other one")


for command in (
    vet_init_command,
    vet_check_command,
    vet_suggest_command,
    vet_diff_command,
    vet_certify_command,
    vet_import_command,
):
    vet_command.add_command(command)
