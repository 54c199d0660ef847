"""`deep-lock add` and `deep-lock remove`: edit the requirements of the project, then lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from deep_lock.cli import completion
from deep_lock.cli.commands.lock import lock_name, lock_options
from deep_lock.cli.lock_record import LockRecord, lock_document_of
from deep_lock.cli.options import EDIT_SECTIONS, FILE, PROJECT, TEXT_OR_JSON, Section, option, sectioned
from deep_lock.cli.session import Session
from deep_lock.errors import UsageError
from deep_lock.locking.lock import write_lock
from deep_lock.operations import edit
from deep_lock.project import requirement_lists
from deep_lock.sanitize import show

ADD_HELP = """\
Add requirements to pyproject.toml or to a script, and lock.

REQ is added to the dependencies of the project, or to the list that an option selects: an extra, a dependency group, or the
build requirements. If REQ has no version, the locked version becomes its lower bound. A requirement with the same name and
marker is replaced; it keeps its version if REQ has none. The order of a sorted list, comments and layout do not change.

If locking fails, no file changes.

\b
Examples:
  deep-lock add httpx                      writes httpx>=0.28.1, the version that was locked
  deep-lock add 'httpx[http2]<1' rich      with a version or extras; several requirements
  deep-lock add pytest --group dev         to [dependency-groups] dev
  deep-lock add rich --extra cli           to [project.optional-dependencies] cli
  deep-lock add cython --build             to [build-system] requires
  deep-lock add httpx --script tool.py     to the inline metadata of a script (PEP 723)
  deep-lock add httpx --project packages/web   to a member of a workspace; its lock is in the root
  deep-lock add 'lib @ git+https://git.example/lib@v1'
"""
REMOVE_HELP = """\
Remove requirements from pyproject.toml or from a script, and lock.

Every requirement on NAME is removed from the dependencies of the project, or from the list that an option selects: an extra, a
dependency group, or the build requirements. A package that another package requires stays in the lock.

If locking fails, no file changes.

\b
Examples:
  deep-lock remove httpx
  deep-lock remove pytest --group dev
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>; --extra, --group and --build by DEEP_LOCK_EDIT_<LONG NAME>. The other
options are those of deep-lock lock. Use the same options in each run, or write them as keys of [tool.deep-lock].
"""
LIST: Section = (
    "List of requirements to edit (default: the dependencies of the project)",
    (
        PROJECT,
        option(
            "--script",
            type=FILE,
            help="Edit the inline metadata of this script (PEP 723) and its lock, SCRIPT.deep.lock.",
        ),
        option("--extra", metavar="NAME", variable="EDIT_EXTRA", help="Edit the requirements of this extra."),
        option(
            "--group", metavar="NAME", variable="EDIT_GROUP", help="Edit the requirements of this dependency group."
        ),
        option(
            "--build",
            is_flag=True,
            variable="EDIT_BUILD",
            help="Edit the build requirements ([build-system] requires).",
        ),
    ),
)
BOUNDS: Section = (
    "Versions of new requirements",
    (
        option(
            "--bounds",
            choices=("lower", "exact", "none"),
            default="lower",
            show_default=True,
            help="The version of a requirement that has none: >= the locked version ('lower'), == the locked version ('exact'), or no version.",
        ),
    ),
)


@sectioned(
    "add",
    LIST,
    BOUNDS,
    *EDIT_SECTIONS,
    output=(TEXT_OR_JSON,),
    help=ADD_HELP,
    epilog=EPILOG,
    short_help="Add requirements to pyproject.toml, and lock.",
)
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True)
def add_command(session: Session, /, *, requirements: Sequence[str], **values: Any) -> None:
    """Add requirements."""
    options, where = lock_options(session, values), _list_of(values)
    with lock_document_of(session, values["form"]) as record:
        with session.reporting(record.observed) as reporter:
            edited = edit.add(options, where, requirements, bounds=values["bounds"], reporter=reporter)
        _finish(session, edited, where, record, lock_name(options, edited.outcome.path), dry_run=values["dry_run"])


@sectioned(
    "remove",
    LIST,
    *EDIT_SECTIONS,
    output=(TEXT_OR_JSON,),
    help=REMOVE_HELP,
    epilog=EPILOG,
    short_help="Remove requirements from pyproject.toml, and lock.",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=completion.packages)
def remove_command(session: Session, /, *, names: Sequence[str], **values: Any) -> None:
    """Remove requirements."""
    options, where = lock_options(session, values), _list_of(values)
    with lock_document_of(session, values["form"]) as record:
        with session.reporting(record.observed) as reporter:
            edited = edit.remove(options, where, names, reporter)
        _finish(session, edited, where, record, lock_name(options, edited.outcome.path), dry_run=values["dry_run"])


def _list_of(values: dict[str, Any]) -> requirement_lists.ListName:
    chosen = [kind for kind in ("extra", "group", "build") if values[kind] not in {None, False}]  # "" is a wrong name
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} cannot be used together: one list is edited")
    match chosen:
        case ["extra"]:
            return requirement_lists.ListName(kind="extra", name=values["extra"])
        case ["group"]:
            return requirement_lists.ListName(kind="group", name=values["group"])
        case ["build"]:
            return requirement_lists.ListName(kind="build")
    return requirement_lists.ListName()


def _finish(
    session: Session,
    edited: edit.Edited,
    where: requirement_lists.ListName,
    record: LockRecord,
    name: str,
    *,
    dry_run: bool,
) -> None:
    """Write both files, or show what would be written; report what changed. ``name`` is that of the lock."""
    printer, outcome = session.printer, edited.outcome
    if dry_run:
        record.write_difference(session, edit.difference(edited))
    elif edited.changed:
        write_lock(outcome)
    record.set_outcome(outcome, dry_run=dry_run)
    if outcome.edited is not None:
        keys = {"path": str(edited.source), "list": str(where), "removed": edited.removed, "added": edited.added}
        record.set("edited", [keys])
    verb = "would change" if dry_run else "changed"
    if outcome.edited is not None:
        printer.info(f"{verb} {where} in {edited.source}:")
        for sign, texts in (("-", edited.removed), ("+", edited.added)):
            for text in texts:
                printer.info(f"  {sign} {show(text)}")
    else:
        printer.info(f"{edited.source} has these requirements already")
    if not outcome.changed:
        printer.info(f"{name} is up to date")
        return
    printer.info(f"would write {name}" if dry_run else f"wrote {name}")
    record.report(session, outcome)
