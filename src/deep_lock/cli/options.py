"""The options of `deep-lock lock`, in the sections in which its help shows them."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Any], Any]
"""What adds an option to a command."""
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def option(*names: str, **settings: Any) -> Option:
    """Make an option that DEEP_LOCK_<its first long name> can set too."""
    flag = next(name for name in names if name.startswith("--"))
    return click.option(*names, envvar=f"DEEP_LOCK_{flag[2:].replace('-', '_').upper()}", **settings)


THE_LOCK = option(
    "--lock",
    type=FILE,
    default=Path("deep.lock"),
    show_default="deep.lock in the current folder",
    help="The lock to read.",
)
OUTPUT_FORMAT = option(
    "--output-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="text, or json for bots.",
)
LOCK_FILE = option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the lock.  [default: deep.lock beside pyproject.toml]",
)
BUILD_CONSTRAINTS = option(
    "-b",
    "--build-constraints",
    type=FILE,
    multiple=True,
    help="Narrow versions in build environments only. Repeatable.",
)
SELECTED = (
    option(
        "--extra",
        "extras",
        multiple=True,
        metavar="NAME",
        help="Lock this extra, not all of them. Repeatable.  [default: all extras]",
    ),
    option("--all-extras", is_flag=True, help="Lock all extras: the default, said aloud. Not together with --extra."),
    option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help="Lock this dependency group, not all of them. Repeatable.  [default: all groups]",
    ),
    option(
        "--only-group",
        "only_groups",
        multiple=True,
        metavar="NAME",
        help="Lock this dependency group without the project's dependencies and extras. Repeatable.",
    ),
    option(
        "--no-default-groups",
        is_flag=True,
        help="Leave out the default groups: 'dev', or those that [tool.deep-lock] default-groups names.",
    ),
)
INPUTS = (
    option(
        "--project",
        "folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        show_default="the current folder",
        help="Folder with the pyproject.toml (or setup.cfg, or setup.py).",
    ),
    LOCK_FILE,
    option(
        "--from",
        "from_lock",
        type=FILE,
        help="Take the runtime pins of another tool's lock as they are, and lock what builds them: see deep-lock deepen.",
    ),
    option("--script", type=FILE, help="Lock the inline metadata of a script (PEP 723), to SCRIPT.deep.lock."),
    option(
        "-r",
        "--requirements",
        type=FILE,
        multiple=True,
        help="Lock a requirements file instead of pyproject.toml. Repeatable.",
    ),
    option("-c", "--constraints", type=FILE, multiple=True, help="Narrow versions by a requirements file. Repeatable."),
    option(
        "--overrides",
        type=FILE,
        multiple=True,
        help="Put these requirements in the place of whatever anyone asks of the same names. Repeatable.",
    ),
    BUILD_CONSTRAINTS,
    *SELECTED,
)
DEEPENED = (LOCK_FILE, BUILD_CONSTRAINTS, *SELECTED)
TARGETS = (
    option(
        "--python-version",
        "pythons",
        multiple=True,
        metavar="X.Y",
        help="A Python to lock for: 3.13, 3.13t (free-threaded), 3.12.4, or 'host' for the running one. Repeatable."
        "  [default: each maintained CPython that requires-python admits]",
    ),
    option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="NAME",
        help="A platform to lock for, such as x86_64-musllinux_1_2, or 'host'. Repeatable."
        "  [default: x86_64-manylinux_2_28, aarch64-manylinux_2_28, arm64-macos_14, x86_64-windows]",
    ),
    option(
        "--fork-strategy",
        type=click.Choice(["newest", "fewest"]),
        help="Where Pythons could differ: the newest version for each, or the fewest versions over all.  [default: newest]",
    ),
)
RELEASES = (
    option(
        "--resolution",
        type=click.Choice(["highest", "lowest", "lowest-direct"]),
        help="Which of the fitting versions to take; 'lowest-direct' takes the lowest of what the project names itself."
        "  [default: highest]",
    ),
    option(
        "--prerelease",
        "prereleases",
        type=click.Choice(["if-necessary", "allow", "disallow"]),
        help="When a pre-release may be taken.  [default: if-necessary]",
    ),
    option(
        "--exclude-newer",
        metavar="DATE|P7D",
        help="Ignore files uploaded later than a day, a time (RFC 3339), or an age such as P7D."
        " The lock remembers the time that an age stood for.",
    ),
    option(
        "--exclude-newer-package",
        multiple=True,
        metavar="NAME=DATE",
        help="Another such limit for one project; NAME=false lifts it. Repeatable.",
    ),
)
BUILDS = (
    option(
        "--build-scope",
        type=click.Choice(["needed", "all", "none"]),
        help="Which builds to lock: where no wheel fits a target, of everything as if no wheels existed, or none."
        "  [default: needed]",
    ),
    option(
        "--no-binary",
        multiple=True,
        metavar="NAME|:all:",
        help="Take this project as an sdist though it has wheels. Repeatable.",
    ),
    option(
        "--only-binary",
        multiple=True,
        metavar="NAME|:all:",
        help="Take this project as a wheel, or not at all. Repeatable.",
    ),
    option(
        "--allow-wheel",
        multiple=True,
        metavar="NAME",
        help="With --build-scope all: this project may come as a wheel. Repeatable.",
    ),
    option(
        "--build-resolution",
        type=click.Choice(["shared", "highest"]),
        help="One version for all build environments that can share it, or the newest for each.  [default: shared]",
    ),
    option(
        "--hooks",
        type=click.Choice(["static", "sandbox", "trust"]),
        help="How a build backend may be asked what no rule proves: never, inside a strong sandbox, or unconfined as"
        " you.  [default: sandbox]",
    ),
    option(
        "--trust-hooks",
        multiple=True,
        metavar="NAME",
        help="Let this project's build code run unconfined, as you: it can do all that you can. Repeatable.",
    ),
    option("--observe", is_flag=True, help="Ask backends also where a rule proves the answer."),
    option(
        "--python",
        "interpreters",
        type=FILE,
        multiple=True,
        help="An interpreter to ask backends with, beside this one and those on PATH. Repeatable.",
    ),
    option(
        "--require-evidence",
        is_flag=True,
        help="Fail (exit 4) where what a backend asks for on top is assumed: neither proven nor observed.",
    ),
)
UPGRADES = (
    option("-U", "--upgrade", is_flag=True, help="Give up all earlier pins, and the default targets of the old lock."),
    option(
        "-P",
        "--upgrade-package",
        multiple=True,
        metavar="NAME[==V]",
        help="Give up the pin of one project, in build environments too, or move it to V. Repeatable.",
    ),
    option(
        "--in-build",
        "in_builds",
        multiple=True,
        metavar="NAME",
        help="With -P: in the build environment of this project only. Repeatable.",
    ),
    option(
        "--upgrade-from",
        type=FILE,
        help="Move what a document of deep-lock outdated names, as with -P: JSON, from which a bot left out the rest.",
    ),
    option("--upgrade-build", is_flag=True, help="Give up the pins of build environments."),
)
OFFLINE = option("--offline", is_flag=True, help="Use the cache only; exit 3 and name what it lacks.")
TLS = (
    option(
        "--cert",
        "ca_file",
        type=click.Path(exists=True),
        help="Certificate authorities to trust: a PEM file or a folder.  [default: SSL_CERT_FILE, SSL_CERT_DIR, certifi]",
    ),
    option(
        "--allow-insecure-host",
        "insecure_hosts",
        multiple=True,
        metavar="HOST",
        help="Do not check this host's certificate. Repeatable.",
    ),
)
NETWORK = (
    option(
        "-i",
        "--default-index",
        "--index-url",
        "default_index",
        metavar="URL",
        help="The index asked last.  [default: the public one]",
    ),
    option(
        "--index",
        "indexes",
        multiple=True,
        metavar="[NAME=]URL",
        help="An index asked before the default one, in the order given. Repeatable.",
    ),
    option(
        "--index-strategy",
        type=click.Choice(["first-index", "unsafe-best-match"]),
        help="The first index that has a name settles it, or versions of all indexes compete (a public index can then"
        " shadow a private name).  [default: first-index]",
    ),
    option("--find-links", multiple=True, metavar="PATH|URL", help="A folder, or a page, of files. Repeatable."),
    option("--no-index", is_flag=True, help="Ask no index: use --find-links only."),
    OFFLINE,
    option("--refresh", is_flag=True, help="Ask for every index page again, however fresh the cached one is."),
    option(
        "--refresh-package",
        "refresh_packages",
        multiple=True,
        metavar="NAME",
        help="Ask for one project's page again. Repeatable.",
    ),
    *TLS,
)
OUTPUT = (
    option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    option("-v", "--verbose", count=True, help="Say more; -vv shows the traceback of an error."),
)
INDEX_FROM = option(
    "--index-from",
    type=click.Choice(["pip", "uv"]),
    help="Ask the indexes too that this tool is set up for, by its variables and configuration files.",
)
CHECKS = (
    option(
        "--check",
        "--locked",
        is_flag=True,
        help="Write nothing and ask no index; exit 1 and say why if the lock does not fit its inputs.",
    ),
    option("--check-exists", is_flag=True, help="Write nothing; exit 1 if there is no lock."),
    option("--dry-run", is_flag=True, help="Resolve and report, but write nothing."),
)
_COMMON = (
    ("Targets, which are Pythons on platforms", TARGETS),
    ("Releases", RELEASES),
    ("Builds", BUILDS),
    ("Earlier pins", UPGRADES),
    ("Indexes and network", (*NETWORK[:2], INDEX_FROM, *NETWORK[2:])),
    ("What is done", CHECKS),
    ("What is said", OUTPUT),
)
SECTIONS = (("What is locked", INPUTS), *_COMMON)
DEEPEN_SECTIONS = (("What is locked", DEEPENED), *_COMMON)


Section = tuple[str, Sequence[Callable[[Any], Any]]]
"""A heading, and what adds the options below it to a command."""


def sectioned(name: str, sections: Sequence[Section], **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command with the options of these sections; ``settings`` are click's."""
    sizes = [(title, len(group)) for title, group in (*sections, ("Help", (click.help_option(),)))]

    class SectionedCommand(click.Command):
        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            options = iter(self.get_params(ctx))
            for title, size in sizes:
                records = [option.get_help_record(ctx) for option in islice(options, size)]
                with formatter.section(title):
                    formatter.write_dl([record for record in records if record is not None])

    def decorate(function: Callable[..., Any]) -> click.Command:
        for _, group in reversed(sections):
            for option in reversed(group):
                function = option(function)
        return click.command(name, cls=SectionedCommand, **settings)(function)

    return decorate
