"""The options of the commands, in the sections in which the help shows them."""

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from deep_lock.cli.session import Session, with_verbosity

Option = Callable[[Any], Any]
"""Adds an option to a command."""
Section = tuple[str, Sequence[Option]]
"""A heading of the help, and the options below it."""
Options = TypeVar("Options", bound=Struct)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def option(*names: str, **settings: Any) -> Option:
    """Make an option that DEEP_LOCK_<its first long name> can set too."""
    long = next(name for name in names if name.startswith("--"))
    return click.option(*names, envvar=f"DEEP_LOCK_{long[2:].replace('-', '_').upper()}", **settings)


VERBOSITY = (
    option("-q", "--quiet", is_flag=True, help="Show only warnings and errors."),
    option("-v", "--verbose", count=True, help="Show more; -vv shows the traceback of an error."),
)


def sectioned(
    name: str, *sections: Section, output: Sequence[Option] = (), **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function that takes the session and the values of these options.

    Every command has the section "Output", with ``output``, -q and -v. ``settings`` are click's.
    """
    every: tuple[Section, ...] = (*sections, ("Output", (*output, *VERBOSITY)))
    sizes = [(title, len(options)) for title, options in (*every, ("Help", (click.help_option(),)))]

    class SectionedCommand(click.Command):
        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            options = (own for own in self.get_params(ctx) if isinstance(own, click.Option))
            for title, size in sizes:
                records = [own.get_help_record(ctx) for own in islice(options, size)]
                with formatter.section(title):
                    formatter.write_dl([record for record in records if record is not None])

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(session: Session, /, *, quiet: bool, verbose: int, **values: Any) -> Any:
            return function(with_verbosity(session, quiet=quiet, verbose=verbose), **values)

        command: Any = click.pass_obj(run)
        for _, options in reversed(every):
            for add in reversed(options):
                command = add(command)
        return click.command(name, cls=SectionedCommand, **settings)(command)

    return decorate


def pick(kind: type[Options], values: dict[str, Any], **more: Any) -> Options:
    """Make a record of options from the values of a command that have its field names, and from ``more``."""
    own = {name: values[name] for name in kind.__struct_fields__ if name in values}
    return kind(**{**own, **more})


# -- of several commands

LOCK = option(
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
TARGET_LABELS = option(
    "--target",
    "targets",
    multiple=True,
    metavar="LABEL",
    help="Only what this target of the lock needs. Repeatable.  [default: all targets]",
)
DESTINATION = option(
    "-d",
    "--dest",
    "destination",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder to write the files into; it is created if it does not exist.",
)
HOOKS = (
    option(
        "--hooks",
        type=click.Choice(["static", "sandbox", "trust"]),
        help="How build hooks run: never, in a strong sandbox, or without a sandbox.  [default: sandbox]",
    ),
    option(
        "--trust-hooks",
        multiple=True,
        metavar="NAME",
        help="Run the build code of this project without a sandbox: it can do all that you can. Repeatable.",
    ),
)
INTERPRETERS = option(
    "--python",
    "interpreters",
    type=FILE,
    multiple=True,
    help="An interpreter to run build hooks with, in addition to this one and those on PATH. Repeatable.",
)
OFFLINE = option("--offline", is_flag=True, help="Use the cache only; exit 3 and name what is not in it.")
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
        help="Do not verify the certificate of this host. Repeatable.",
    ),
)
DEFAULT_INDEX_NAMES = ("-i", "--default-index", "--index-url", "default_index")
INDEXES = (
    option(*DEFAULT_INDEX_NAMES, metavar="URL", help="Fallback index, after every --index.  [default: the public one]"),
    option(
        "--index",
        "indexes",
        multiple=True,
        metavar="[NAME=]URL",
        help="An index with priority over the default one, in the order given. Repeatable.",
    ),
)
INDEX_USE = (
    option(
        "--index-strategy",
        type=click.Choice(["first-index", "unsafe-best-match"]),
        help="Use the first index that has a project, or the versions of all indexes (a public index can then shadow a"
        " private project).  [default: first-index]",
    ),
    option(
        "--find-links",
        multiple=True,
        metavar="PATH|URL",
        help="A folder, or a web page, with distribution files. Repeatable.",
    ),
    option("--no-index", is_flag=True, help="Use no index, only --find-links."),
    OFFLINE,
    option("--refresh", is_flag=True, help="Fetch every index page again, however fresh the cached one is."),
    option(
        "--refresh-package",
        "refresh_packages",
        multiple=True,
        metavar="NAME",
        help="Fetch the index page of this project again. Repeatable.",
    ),
    *TLS,
)
NETWORK: Section = ("Indexes and network", (*INDEXES, *INDEX_USE))
DOWNLOADS: Section = (
    "Network",
    (
        option(
            *DEFAULT_INDEX_NAMES,
            metavar="URL",
            help="The URL for credentials of the name DEFAULT; it may hold user:password@. No index page is requested.",
        ),
        option(
            "--index",
            "indexes",
            multiple=True,
            metavar="NAME=URL",
            help="The URL for credentials of this name; as above. Repeatable.",
        ),
        OFFLINE,
        *TLS,
    ),
)

# -- of lock and deepen

LOCK_FILE = option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the lock.  [default: deep.lock next to pyproject.toml]",
)
BUILD_CONSTRAINTS = option(
    "-b",
    "--build-constraints",
    type=FILE,
    multiple=True,
    help="Constrain versions in build environments only. Repeatable.",
)
SCOPES = (
    option(
        "--extra",
        "extras",
        multiple=True,
        metavar="NAME",
        help="Lock only this extra. Repeatable.  [default: all extras]",
    ),
    option("--all-extras", is_flag=True, help="Lock all extras (the default). Not together with --extra."),
    option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help="Lock only this dependency group. Repeatable.  [default: all groups]",
    ),
    option(
        "--only-group",
        "only_groups",
        multiple=True,
        metavar="NAME",
        help="Lock only this dependency group, without the project's dependencies and extras. Repeatable.",
    ),
    option(
        "--no-default-groups",
        is_flag=True,
        help="Leave out the default groups: 'dev', or those in [tool.deep-lock] default-groups.",
    ),
)
INPUTS: Section = (
    "Inputs",
    (
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
            help="Keep the runtime pins of another tool's lock, and lock what builds them: see deep-lock deepen.",
        ),
        option("--script", type=FILE, help="Lock the inline metadata of a script (PEP 723), into SCRIPT.deep.lock."),
        option(
            "-r",
            "--requirements",
            type=FILE,
            multiple=True,
            help="Lock a requirements file instead of pyproject.toml. Repeatable.",
        ),
        option(
            "-c",
            "--constraints",
            type=FILE,
            multiple=True,
            help="Constrain versions by a requirements file. Repeatable.",
        ),
        option(
            "--overrides",
            type=FILE,
            multiple=True,
            help="Override every requirement on the projects in a requirements file. Repeatable.",
        ),
        BUILD_CONSTRAINTS,
        *SCOPES,
    ),
)
TARGETS: Section = (
    "Targets (each is a Python on a platform)",
    (
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
            help="Where versions could differ between Pythons: the newest version for each, or the fewest versions over"
            " all.  [default: newest]",
        ),
    ),
)
VERSIONS: Section = (
    "Versions",
    (
        option(
            "--resolution",
            type=click.Choice(["highest", "lowest", "lowest-direct"]),
            help="Which of the matching versions to select; 'lowest-direct' selects the lowest for direct dependencies."
            "  [default: highest]",
        ),
        option(
            "--prerelease",
            "prereleases",
            type=click.Choice(["if-necessary", "allow", "disallow"]),
            help="When a pre-release may be selected.  [default: if-necessary]",
        ),
        option(
            "--exclude-newer",
            metavar="DATE|P7D",
            help="Ignore files uploaded after a day, a time (RFC 3339), or an age such as P7D."
            " The lock records the time that an age resolves to.",
        ),
        option(
            "--exclude-newer-package",
            multiple=True,
            metavar="NAME=DATE",
            help="A separate limit for one project; NAME=false removes it. Repeatable.",
        ),
    ),
)
BUILDS: Section = (
    "Builds",
    (
        option(
            "--build-scope",
            type=click.Choice(["needed", "all", "none"]),
            help="Which builds to lock: of packages without a wheel for a target, of all packages as if no wheels"
            " existed, or none.  [default: needed]",
        ),
        option(
            "--no-binary",
            multiple=True,
            metavar="NAME|:all:",
            help="Use the sdist of this project even where it has wheels. Repeatable.",
        ),
        option(
            "--only-binary",
            multiple=True,
            metavar="NAME|:all:",
            help="Use only wheels of this project. Repeatable.",
        ),
        option(
            "--allow-wheel",
            multiple=True,
            metavar="NAME",
            help="With --build-scope all: allow a wheel of this project. Repeatable.",
        ),
        option(
            "--build-resolution",
            type=click.Choice(["shared", "highest"]),
            help="One version for all build environments that can share it, or the newest for each.  [default: shared]",
        ),
        *HOOKS,
        option("--observe", is_flag=True, help="Run build hooks even where a static rule proves the answer."),
        INTERPRETERS,
        option(
            "--require-evidence",
            is_flag=True,
            help="Fail (exit 4) where dynamic build requirements are assumed: neither proven nor observed.",
        ),
    ),
)
UPGRADING: Section = (
    "Upgrading",
    (
        option("-U", "--upgrade", is_flag=True, help="Ignore existing pins and default targets; upgrade everything."),
        option(
            "-P",
            "--upgrade-package",
            multiple=True,
            metavar="NAME[==V]",
            help="Upgrade one project, to version V if given, in build environments too. Repeatable.",
        ),
        option(
            "--in-build",
            "in_builds",
            multiple=True,
            metavar="NAME",
            help="With -P: only in the build environment of this project. Repeatable.",
        ),
        option(
            "--upgrade-from",
            type=FILE,
            help="Upgrade what a JSON document of deep-lock outdated lists, as with -P; a bot may shorten the list.",
        ),
        option("--upgrade-build", is_flag=True, help="Ignore the existing pins of build environments."),
    ),
)
INDEX_FROM = option(
    "--index-from",
    type=click.Choice(["pip", "uv"]),
    help="Also use the indexes from the environment variables and configuration files of this tool.",
)
MODE: Section = (
    "Mode",
    (
        option(
            "--check",
            "--locked",
            is_flag=True,
            help="Write nothing and use no index; exit 1 with the reasons if the lock is stale.",
        ),
        option("--check-exists", is_flag=True, help="Write nothing; exit 1 if there is no lock."),
        option("--dry-run", is_flag=True, help="Resolve and report, but write nothing."),
    ),
)
_COMMON: tuple[Section, ...] = (
    TARGETS,
    VERSIONS,
    BUILDS,
    UPGRADING,
    ("Indexes and network", (*INDEXES, INDEX_FROM, *INDEX_USE)),
    MODE,
)
LOCK_SECTIONS = (INPUTS, *_COMMON)
DEEPEN_SECTIONS: tuple[Section, ...] = (("Inputs", (LOCK_FILE, BUILD_CONSTRAINTS, *SCOPES)), *_COMMON)
