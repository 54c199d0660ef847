"""`deep-lock export`: write a lock in the format of another tool. stderr shows how to use it, and what it cannot contain."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands import audit
from deep_lock.cli.options import (
    DOWNLOADS,
    LOCK,
    MAX_AGE,
    PACKAGE,
    TARGET_LABELS,
    Section,
    flag,
    not_standard_input,
    option,
    pick,
    sectioned,
    selected,
    selecting,
)
from deep_lock.cli.session import Session
from deep_lock.config.options import AuditOptions, ContentsOptions, ExportOptions, NetworkOptions
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import export
from deep_lock.sanitize import Safe

HELP = """\
Write the content of deep.lock in a format that another tool reads.

Nothing is resolved. Without --database and --deep no request is made. One file is written to stdout or to -o FILE, several files are
written to -d FOLDER. stderr shows how to use the result, and what the format cannot contain.

\b
  deep-lock export -f pylock -o pylock.toml                a lock that pip and uv can install
  deep-lock export -f requirements -o requirements.txt     requirements with hashes, for pip and uv
  deep-lock export -f build-constraints -d .               the pins of builds, for pip and uv
  deep-lock export -f dot -o deep-lock.dot                 a graph of builds, for Graphviz
  deep-lock export -f hermeto -d .                         requirements files for builds without a network
  deep-lock export -f cyclonedx --database all.zip         an SBOM with the known vulnerabilities
  deep-lock export -f cyclonedx --deep                     an SBOM with the contents of files: native code, import names
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: the lock cannot be read, or it does
not contain a name.
"""

FORMATS = ("pylock", "requirements", "build-constraints", "hermeto", "cyclonedx", "spdx", "json", "dot", "mermaid")
CONTENT: Section = (
    "Content",
    (
        option(
            "-f",
            "--format",
            required=True,
            choices=FORMATS,
            variable="EXPORT_FORMAT",  # DEEP_LOCK_FORMAT has other values for other commands
            help="The format to write, such as pylock.",
        ),
        LOCK,
        PACKAGE,
        click.option(
            "--build",
            envvar="DEEP_LOCK_EXPORT_BUILD",  # DEEP_LOCK_BUILD is an option of `fetch`
            metavar="NAME[==VERSION]",
            default="",
            help="Export one build environment instead of the runtime packages: of this sdist, or of the project. For pylock and"
            " requirements.",
        ),
        flag(
            "--per-sdist",
            text="Build constraints: write one file for each sdist, even if several sdists could share one.",
        ),
        *selecting(
            extras="all extras; for requirements and hermeto none",
            groups="all groups; for requirements and hermeto none",
        ),
        TARGET_LABELS,
        option(
            "--database",
            "databases",
            metavar="PATH|URL",
            repeatable=True,
            variable="EXPORT_DATABASE",  # DEEP_LOCK_DATABASE is for audits, and other formats have no vulnerabilities
            help="CycloneDX: advisories in the OSV schema, as for deep-lock audit. The known vulnerabilities are then in the document.",
        ),
        MAX_AGE,
        flag(
            "--deep",
            text="CycloneDX, SPDX: include the contents of files. Files that are not in the cache are downloaded.",
        ),
        flag("--index-options", text="Requirements, Hermeto: write the indexes of the lock to the file (--index-url)."),
    ),
)
DESTINATION: Section = (
    "Destination",
    (
        option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            callback=not_standard_input,
            help="File to write.",
            default_text="stdout",
        ),
        option(
            "-d",
            "--dest",
            "folder",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder to write into, with the file names that the tools expect. It is created if it does not exist.",
        ),
    ),
)


@sectioned(
    "export",
    CONTENT,
    DESTINATION,
    DOWNLOADS,
    help=HELP,
    epilog=EPILOG,
    short_help="Write deep.lock in other tools' formats.",
)
def export_command(session: Session, /, **values: Any) -> None:
    """Export a lock."""
    output, folder = values["output"], values["folder"]
    if output is not None and folder is not None:
        raise UsageError("-o and -d cannot be used together")
    if output is not None and os.path.realpath(output) == os.path.realpath(values["lock"]):
        raise UsageError(f"{output}: is the lock itself", hint="name another file: -o FILE")
    advisories = None
    if values["databases"]:
        if values["format"] != "cyclonedx":
            raise UsageError("--database is for the format cyclonedx", hint="deep-lock audit compares a lock with it")
        advisories = AuditOptions(
            lock=values["lock"],
            package=values["package"],
            sources=audit.advisory_options(values),
            scope="all",
            network=pick(NetworkOptions, values),
            context=session.context,
        )
    contents = None
    if values["deep"]:
        if values["format"] not in export.SBOMS:
            raise UsageError("--deep is for the formats cyclonedx and spdx")
        contents = ContentsOptions(network=pick(NetworkOptions, values), context=session.context)
    options = pick(
        ExportOptions,
        values,
        contents=contents,
        advisories=advisories,
        extras=selected(values, "extra"),
        groups=selected(values, "group"),
    )
    with session.reporting() as reporter:
        exported = export.export(options, reporter)
    _write(session, exported.files, output, folder)
    for text in exported.unsupported:
        session.printer.info(f"not exported: {text}")
    session.printer.info(f"use: {exported.usage}")


def _write(session: Session, files: Sequence[tuple[str, Safe]], output: Path | None, folder: Path | None) -> None:
    """Write the files (name and text), each atomically. Raises UsageError."""
    if folder is None and len(files) > 1:
        names = ", ".join(name for name, _ in files)
        raise UsageError(f"this export has {len(files)} files: {names}", hint="name a folder: -d DIR")
    if folder is None and output is None:
        session.printer.data(files[0][1])
        return
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        for name, text in files:
            write_atomically(folder / name if folder is not None else output or Path(name), text.encode())
    except OSError as error:
        raise UsageError(f"{folder or output}: cannot be written: {error.strerror or error}") from None
