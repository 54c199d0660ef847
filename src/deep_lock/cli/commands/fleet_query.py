"""`deep-lock fleet ask`: a question about all locks of a fleet."""

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands import audit
from deep_lock.cli.options import DATABASES, DOWNLOADS, SERVICE, TEXT_OR_JSON, Section, flag, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import NetworkOptions
from deep_lock.events import Reporter, Warned
from deep_lock.fleet import answers, query, view, vulnerable
from deep_lock.fleet.questions import QUESTIONS, Question
from deep_lock.fleet.records import JOURNAL

CONFLICT = 4
STATE = Path(".deep-lock-fleet")
HELP = """\
Answer a question about all locks of a fleet.

The answer shows repository, project, package, build, targets and the chain of requirements. It is read from the state folder of
deep-lock fleet lock, check or audit, or from lock files (--locks).

\b
  deep-lock fleet ask builds-with puccinialin      builds that have it in their environment
  deep-lock fleet ask uses jinja2==3.1.5           at run time, and in builds
  deep-lock fleet ask has-file SHA256              at least the first 8 digits
  deep-lock fleet ask published-by pallets/jinja   the publisher that an index attests (PEP 740)
  deep-lock fleet ask vulnerable CVE-2025-27516 --database all.zip
  deep-lock fleet ask hash-conflicts               file names with more than one sha256
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0 the question is answered, even if nothing was found; 2
an argument is wrong, or there is no state folder; 3 a database of advisories cannot be read; 4 a file name has more than one sha256
(hash-conflicts).
"""
LOCKS: Section = (
    "Locks",
    (
        option(
            "--state",
            type=click.Path(file_okay=False, path_type=Path),
            default=STATE,
            show_default=True,
            metavar="DIR",
            variable="FLEET_STATE",
            help="Folder for the journal (fleet.jsonl) and the locks.",
        ),
        option(
            "--locks",
            metavar="DIR|-",
            default="",
            variable="FLEET_LOCKS",
            help="Use the lock files below this folder instead. -: read the paths of lock files from standard input, one in each line.",
        ),
        flag("--all", "every", text="Show every build of a package in a project. Without it: three."),
    ),
)
ADVISORIES: Section = (
    "Advisories for the question vulnerable (default: the last audit of the fleet)",
    (*DATABASES, SERVICE),
)


@sectioned(
    "ask",
    LOCKS,
    ADVISORIES,
    DOWNLOADS,
    output=(TEXT_OR_JSON,),
    help=HELP,
    epilog=EPILOG,
    short_help="Find the projects that use a package or file, or are vulnerable.",
)
@click.argument("question", type=click.Choice(QUESTIONS))
@click.argument("wanted", required=False, default="")
def query_command(session: Session, /, *, question: Question, wanted: str, **values: Any) -> None:
    """Answer the question."""
    query.require_wanted(question, wanted)
    if values["locks"]:
        paths, base = _lock_files(values["locks"])
        opened = view.of_files(paths, base, query.text_in_locks(question, wanted))
    else:
        opened = view.opened(values["state"])
    with session.reporting() as reporter, opened as connection:
        is_compared = values["databases"] or values["service"]
        affected_by = _affected_by(session, values, reporter) if is_compared else None
        found = query.answer(connection, question, wanted, affected_by)
    if values["form"] == "json":
        session.printer.data(answers.answer_json(found))
    else:
        session.printer.data(answers.answer_text(found, every=values["every"]))
    if found.unread:
        session.printer.warn(Warned(code="FleetUnread", subject="fleet", message=answers.unread_text(found)))
    if not values["locks"] and view.is_cut_off(values["state"]):
        message = f"{values['state'] / JOURNAL}: the last line was cut off, and its repository is not in the answer: lock again, or with --resume"
        session.printer.warn(Warned(code="FleetCutOff", subject="fleet", message=message))
    session.printer.info(answers.claim(found))
    if found.conflicts:
        raise click.exceptions.Exit(CONFLICT)


def _affected_by(session: Session, values: dict[str, Any], reporter: Reporter) -> "query.AffectedBy":
    """Return the function that compares releases with the databases, or the service, that the options name."""
    options, network = audit.advisory_options(values), pick(NetworkOptions, values)
    return lambda releases, wanted: vulnerable.affected(
        releases, wanted, options=options, network=network, context=session.context, reporter=reporter
    )


def _lock_files(locks: str) -> tuple[list[Path], Path]:
    """Return the lock files, and the folder to which their paths are relative."""
    if locks == "-":
        with click.open_file("-", encoding="utf-8") as file:
            return [Path(name) for line in file if (name := line.rstrip("\r\n"))], Path()
    return view.lock_files(Path(locks)), Path(locks)
