"""`deep-lock git-setup`, the two commands that git then runs, and `deep-lock completion`."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from deep_lock.cli.options import FILE, TEXT_OR_JSON, Section, flag, sectioned
from deep_lock.cli.session import Session
from deep_lock.errors import DeepLockError, SafetyError, UsageError
from deep_lock.files import open_regular, write_atomically
from deep_lock.operations import git, merge
from deep_lock.reports import document
from deep_lock.reports.document import failure_of
from deep_lock.sanitize import lines

MISSING = CONFLICT = 1
SETUP_HELP = """\
Configure git to show and merge the locks of this repository by package.

Then git diff shows the package above each hunk. If two branches change the same package, git merge locks again. The command writes
two lines to .gitattributes (commit this file) and a section to the git configuration of this clone. Other lines and settings do not
change.

\b
  deep-lock git-setup
  deep-lock git-setup --check               in CI: exit with 1 if a line or setting is missing
  deep-lock git-setup --undo
"""
SETUP_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 1: with --check, a line or setting is missing.
"""
MODE: Section = (
    "Mode",
    (
        flag("--textconv", text="Also configure git diff to show locks in a short form."),
        flag("--undo", text="Remove every line and setting that this command writes."),
        flag("--check", text="Write nothing. If a line or setting is missing, list it and exit with 1."),
    ),
)


@sectioned(
    "git-setup",
    MODE,
    output=(TEXT_OR_JSON,),
    help=SETUP_HELP,
    epilog=SETUP_EPILOG,
    short_help="Configure git to show and merge locks by package.",
)
def git_setup_command(session: Session, /, **values: Any) -> None:
    """Write the attributes and the configuration."""
    if values["undo"] and values["check"]:
        raise UsageError("--undo and --check cannot be used together")
    changed = git.set_up(
        Path.cwd(),
        session.context.environ,
        textconv=values["textconv"],
        undo=values["undo"],
        check=values["check"],
    )
    if values["form"] == "json":
        payload = {"written": not values["check"], "changes": changed}
        session.printer.data(document.document("git-setup", 1, payload))
    for line in changed:
        session.printer.info(f"{'missing: ' if values['check'] else ''}{line}")
    if not changed:
        session.printer.info("nothing to do" if values["undo"] else "nothing to do: everything is set up")
    elif values["check"]:
        raise click.exceptions.Exit(MISSING)


@click.command("git-merge", hidden=True, help="Merge three versions of a lock; git runs this as a merge driver.")
@click.argument("base", type=FILE)
@click.argument("ours", type=FILE)
@click.argument("theirs", type=FILE)
@click.argument("place", type=click.Path(path_type=Path))
@click.pass_obj
def git_merge_command(session: Session, /, *, base: Path, ours: Path, theirs: Path, place: Path) -> None:
    """Write the merge over our version; on a conflict leave that as it is and exit with 1."""
    sides = merge.Sides(base=base, ours=ours, theirs=theirs, path=place)
    try:
        with session.reporting() as reporter:
            text = merge.merged_text(sides, session.context, reporter)
    except DeepLockError as error:
        session.printer.failure(failure_of(error))
        raise click.exceptions.Exit(error.exit_code if isinstance(error, SafetyError) else CONFLICT) from None
    try:
        write_atomically(ours, text.encode())
    except OSError as error:
        message = f"{ours}: the merge cannot be written: {error.strerror or error}"
        session.printer.failure(failure_of(UsageError(message)))
        raise click.exceptions.Exit(CONFLICT) from None


@click.command("git-textconv", hidden=True, help="Print a lock in a short form; git runs this as textconv.")
@click.argument("file", type=FILE)
@click.pass_obj
def git_textconv_command(session: Session, /, *, file: Path) -> None:
    """Print the short form; a file that is no lock is printed as it is."""
    try:
        with session.reporting() as reporter:
            text = git.summary(file, reporter)
    except DeepLockError:
        try:
            with open_regular(file) as content:
                text = content.read().decode("utf-8", errors="replace")
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror or error}") from None
    session.printer.data(lines(text))


COMPLETION_HELP = """\
Print a script that completes commands, options and values in a shell.

Values are the packages and targets of deep.lock, and the extras, groups and indexes of the project.

\b
  bash:  eval "$(deep-lock completion bash)"         in ~/.bashrc
  zsh:   eval "$(deep-lock completion zsh)"          in ~/.zshrc
  fish:  deep-lock completion fish > ~/.config/fish/completions/deep-lock.fish
"""


@click.command("completion", help=COMPLETION_HELP, short_help="Print completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion_command(context: click.Context, /, *, shell: str) -> None:
    """Print click's own script."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"click has no completion for {shell}")
    session: Session = context.obj
    script = kind(context.find_root().command, {}, "deep-lock", "_DEEP_LOCK_COMPLETE").source()
    session.printer.data(lines(f"{script}\n"))
