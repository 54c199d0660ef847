"""`deep-lock export`: a lock in, the form that another tool reads out; how it is used, and what is lost, on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import OUTPUT, THE_LOCK, Section, option, sectioned
from deep_lock.config.options import ExportOptions
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import export

if TYPE_CHECKING:
    from deep_lock.exports.view import Exported


HELP = """\
Write what deep.lock holds in the form that another tool reads and enforces.

The lock is read as it is: nothing is resolved and no index is asked. One file goes to stdout, or to -o; several go into
a folder, -d. How the result is used, and what its form has no place for, is said on stderr.

\b
  deep-lock export -f pylock -o pylock.toml                a lock that pip and uv install from
  deep-lock export -f requirements -o requirements.txt     the same with --hash, for pip install --require-hashes
  deep-lock export -f build-constraints -d .               what builds are pinned to, for pip and uv
  deep-lock export -f dot -o deep-lock.dot                 the layers as a picture
  deep-lock export -f hermeto -d .                         requirements files for builds without a network
"""
EPILOG = (
    "Each option is also DEEP_LOCK_ and its long name. Exit code 2: a lock that cannot be read, or a name it has not."
)

FORMATS = (
    "pylock",
    "requirements",
    "build-constraints",
    "hermeto",
    "cyclonedx",
    "spdx",
    "json",
    "dot",
    "mermaid",
)

WHAT = (
    option("-f", "--format", type=click.Choice(FORMATS), required=True, help="The form to write."),
    THE_LOCK,
    click.option(
        "--build",
        envvar="DEEP_LOCK_EXPORT_BUILD",  # DEEP_LOCK_BUILD is a flag of `fetch`
        metavar="NAME[==VERSION]",
        default="",
        help="One build environment, not the run time: of this sdist, or of the project. For pylock and requirements.",
    ),
    option(
        "--per-sdist",
        is_flag=True,
        help="Build constraints: one file for each sdist, even where several could share one.",
    ),
    option(
        "--extra",
        "extras",
        multiple=True,
        metavar="NAME",
        help="With this extra. Repeatable.  [default: all extras; for requirements and hermeto none]",
    ),
    option("--all-extras", is_flag=True, help="With all extras."),
    option("--no-extras", is_flag=True, help="Without extras."),
    option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help="With this dependency group. Repeatable.  [default: all groups; for requirements and hermeto none]",
    ),
    option("--all-groups", is_flag=True, help="With all dependency groups."),
    option("--no-groups", is_flag=True, help="Without dependency groups."),
    option(
        "--target",
        "targets",
        multiple=True,
        metavar="LABEL",
        help="Only what this target of the lock needs. Repeatable.  [default: all targets]",
    ),
    option(
        "--index-options",
        is_flag=True,
        help="Requirements, Hermeto: name the lock's indexes in the file (--index-url).",
    ),
)
WHERE = (
    option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File to write.  [default: stdout]",
    ),
    option(
        "-d",
        "--dest",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder to write into, under the names that the tools expect; it is made if need be.",
    ),
)
SECTIONS: tuple[Section, ...] = (("What is written", WHAT), ("Where to", WHERE), ("What is said", OUTPUT))


@sectioned("export", SECTIONS, help=HELP, epilog=EPILOG, short_help="Write deep.lock in other tools' forms.")
@click.pass_obj
def export_command(session: Session, /, **values: Any) -> None:
    """Turn flags into what `exporting` takes, and write what it makes."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    if values["output"] is not None and values["folder"] is not None:
        raise UsageError("-o and -d do not go together")
    if values["output"] is not None and values["output"].resolve() == values["lock"].resolve():
        raise UsageError(f"{values['output']}: is the lock itself", hint="name another file: -o FILE")
    flags = ExportOptions(
        lock=values["lock"],
        format=values["format"],
        extras=_named(values, "extras", "extra"),
        groups=_named(values, "groups", "group"),
        targets=values["targets"],
        build=values["build"],
        per_sdist=values["per_sdist"],
        index_options=values["index_options"],
        output=values["output"],
        folder=values["folder"],
    )
    with session.reporting() as reporter:
        exported = export.export(flags, reporter)
    _write(session, exported, values["output"], values["folder"])
    for text in exported.unsupported:
        session.printer.info(f"not exported: {text}")
    session.printer.info(f"use: {exported.usage}")


def _named(values: dict[str, Any], key: str, one: str) -> tuple[str, ...] | Literal["all"] | None:
    """Return the names that were asked for; None where nothing was said."""
    said = [flag for flag in (f"all_{key}", f"no_{key}") if values[flag]] + ([one] if values[key] else [])
    if len(said) > 1:
        raise UsageError(" and ".join(f"--{flag.replace('_', '-')}" for flag in said) + " do not go together")
    if values[f"all_{key}"]:
        return "all"
    return () if values[f"no_{key}"] else values[key] or None


def _write(session: Session, exported: Exported, output: Path | None, folder: Path | None) -> None:
    """Write the files, each atomically. Raises UsageError."""
    if folder is None and len(exported.files) > 1:
        names = ", ".join(name for name, _ in exported.files)
        raise UsageError(f"this export is {len(exported.files)} files: {names}", hint="name a folder: -d DIR")
    if folder is None and output is None:
        session.printer.data(exported.files[0][1])
        return
    places = [(folder / name if folder else output, text) for name, text in exported.files]
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        for place, text in places:
            if place is not None:
                write_atomically(place, text.encode())
    except OSError as error:
        raise UsageError(f"{folder or output}: cannot be written: {error.strerror or error}") from None
