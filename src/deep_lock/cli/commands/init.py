"""`deep-lock init`: write a first configuration for the project."""

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import FILE, TEXT_OR_JSON, Section, flag, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import InitOptions
from deep_lock.operations import init
from deep_lock.project import edit
from deep_lock.reports import document
from deep_lock.sanitize import lines, show

HELP = """\
Write a [tool.deep-lock] table for the project: targets, builds, indexes and the first rules of a policy.

The Python versions are the maintained ones that requires-python allows. If [tool.uv] has environments, the targets are those that
match them. Indexes and sources are those that the project declares for uv, Poetry or PDM. A comment explains each key. The rest
of the file does not change. An existing [tool.deep-lock] table is an error. No request is made.

\b
  deep-lock init                     write [tool.deep-lock] to pyproject.toml
  deep-lock init --dry-run           show the change, and write nothing
  deep-lock init --file              write deep-lock.toml instead
  deep-lock init --script tool.py    write the table to the inline metadata of a script
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: there is a configuration already, or a project
file cannot be read.
"""
FILES: Section = (
    "File",
    (
        option(
            "--project",
            "folder",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default=Path(),
            show_default="the current folder",
            help="Folder of the project.",
        ),
        flag(
            "--file",
            "own_file",
            text="Write deep-lock.toml instead of pyproject.toml. This is the default if there is no pyproject.toml.",
        ),
        option("--script", type=FILE, help="Write to the inline metadata of this script (PEP 723)."),
        flag("--dry-run", text="Show the change as a diff. Write nothing."),
    ),
)


@sectioned("init", FILES, output=(TEXT_OR_JSON,), help=HELP, epilog=EPILOG, short_help="Write a first configuration.")
def init_command(session: Session, /, **values: Any) -> None:
    """Write a configuration."""
    with session.reporting() as reporter:
        made = init.initial_configuration(pick(InitOptions, values, today=session.context.now.date()), reporter)
    name = show(made.document.source)
    is_json, difference = values["form"] == "json", edit.difference(made.document)
    if values["dry_run"] and not is_json:
        session.printer.data(lines(difference))
    elif not values["dry_run"]:
        edit.write(made.document)
    if is_json:
        payload = {
            "path": made.document.path.as_posix(),
            "written": not values["dry_run"],
            "difference": difference,
            "pythons": made.pythons,
            "platforms": made.platforms,
            "next": _next(values),
            "imported-lock": made.foreign_lock,
        }
        session.printer.data(document.document("init", 1, payload))
    locked = f"{_count(made.pythons, 'Python version')} on {_count(made.platforms, 'platform')}"
    session.printer.info(f"{name} {'would get' if values['dry_run'] else 'has'} a configuration: {locked}")
    session.printer.info(f"next: {_next(values)}")
    if made.foreign_lock:
        session.printer.info(f"to keep the pins of {made.foreign_lock}: deep-lock deepen {made.foreign_lock} --save")


def _count(found: tuple[str, ...], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"


def _next(values: dict[str, Any]) -> str:
    words = ["deep-lock lock"]
    words += ["--project", str(values["folder"])] if values["folder"] != Path() else []
    words += ["--script", str(values["script"])] if values["script"] is not None else []
    return show(" ".join(words))
