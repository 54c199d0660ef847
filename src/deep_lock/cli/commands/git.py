"""`deep-lock git-setup`, and the two commands that git calls then; `deep-lock completion`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import FILE, OUTPUT, Section, option, sectioned
from deep_lock.errors import DeepLockError, UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import git, merge

MISSING = CONFLICT = 1
SETUP_HELP = """\
Make this repository treat its locks as locks.

Writes two lines into .gitattributes (commit it) and the settings of this clone that they name: hunks of a diff are headed by the
project that they are of, and where two branches changed the same project a merge locks again. What is there already stays.

\b
  deep-lock git-setup
  deep-lock git-setup --check               in CI: exit 1 where something is missing
  deep-lock git-setup --undo
"""
SETUP_EPILOG = "Each option is also DEEP_LOCK_ and its long name."
SETUP = (
    option("--textconv", is_flag=True, help="Let git show locks in few words, not as the file is."),
    option("--undo", is_flag=True, help="Take all of it away again."),
    option("--check", is_flag=True, help="Write nothing; exit 1 and say what is missing."),
)
SETUP_SECTIONS: tuple[Section, ...] = (("What is done", SETUP), ("What is said", OUTPUT))


@sectioned(
    "git-setup", SETUP_SECTIONS, help=SETUP_HELP, epilog=SETUP_EPILOG, short_help="Let git diff and merge locks."
)
@click.pass_obj
def git_setup_command(session: Session, /, **values: Any) -> None:
    """Write the attributes and the settings."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    if values["undo"] and values["check"]:
        raise UsageError("--undo and --check do not go together")
    changed = git.set_up(
        Path.cwd(),
        session.surroundings.environ,
        textconv=values["textconv"],
        undo=values["undo"],
        check=values["check"],
    )
    for line in changed:
        session.printer.info(f"{'missing: ' if values['check'] else ''}{line}")
    if not changed:
        session.printer.info("nothing to do: it is set up" if not values["undo"] else "nothing to do")
    elif values["check"]:
        raise click.exceptions.Exit(MISSING)


@click.command("git-merge", hidden=True, help="Merge three versions of a lock, as git asks for it (merge driver).")
@click.argument("base", type=FILE)
@click.argument("ours", type=FILE)
@click.argument("theirs", type=FILE)
@click.argument("place", type=click.Path(path_type=Path))
@click.pass_obj
def git_merge_command(session: Session, /, *, base: Path, ours: Path, theirs: Path, place: Path) -> None:
    """Write the merge over our version, or leave that as it is and end with 1."""
    sides = merge.Sides(base=base, ours=ours, theirs=theirs, path=place)
    try:
        with session.reporting() as reporter:
            text = merge.merged_text(sides, session.surroundings, reporter)
    except DeepLockError as error:
        session.printer.error(error)
        raise click.exceptions.Exit(CONFLICT) from None
    write_atomically(ours, text.encode())


@click.command("git-textconv", hidden=True, help="Print a lock in few words, as git asks for it (textconv).")
@click.argument("file", type=FILE)
@click.pass_obj
def git_textconv_command(session: Session, /, *, file: Path) -> None:
    """Print it; a file that is no lock as it is."""
    try:
        with session.reporting() as reporter:
            text = git.summary(file, reporter)
    except DeepLockError:
        text = file.read_text(encoding="utf-8", errors="replace")
    session.printer.data(text)


COMPLETION_HELP = """\
Print what makes a shell complete commands and options.

\b
  bash:  eval "$(deep-lock completion bash)"                          in ~/.bashrc
  zsh:   eval "$(deep-lock completion zsh)"                           in ~/.zshrc
  fish:  deep-lock completion fish > ~/.config/fish/completions/deep-lock.fish
"""


@click.command("completion", help=COMPLETION_HELP, short_help="Print completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion_command(context: click.Context, /, *, shell: str) -> None:
    """Print click's own script."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"click knows no completion for {shell}")
    session: Session = context.obj
    session.printer.data(kind(context.find_root().command, {}, "deep-lock", "_DEEP_LOCK_COMPLETE").source() + "\n")
