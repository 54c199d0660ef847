"""The options of the commands, in the sections in which the help shows them."""

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from msgspec import Struct

from deep_lock.cli import completion
from deep_lock.cli.help_text import HelpContext
from deep_lock.cli.session import Session, with_verbosity
from deep_lock.config.options import SelectionOptions
from deep_lock.errors import UsageError

Option = Callable[[Any], Any]
"""Adds an option to a command."""
Section = tuple[str, Sequence[Option]]
"""A heading of the help, and the options below it."""
Options = TypeVar("Options", bound=Struct)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DOCUMENT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
"""A file, or standard input as ``-``."""


def not_standard_input(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse ``-`` as the name of a file to write: elsewhere it is standard input. Raises BadParameter."""
    if value == Path("-"):
        raise click.BadParameter("- is standard input, and not a file to write; name a file")
    return value


class FiniteRange(click.FloatRange):
    """A range of numbers without ``inf`` and ``nan``, which no bound of a range excludes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises BadParameter."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def option(
    *names: str,
    repeatable: bool = False,
    choices: Sequence[str] = (),
    default_text: str = "",
    variable: str = "",
    **settings: Any,
) -> Option:
    """Make an option that DEEP_LOCK_<its first long name>, or DEEP_LOCK_<variable>, can set too.

    ``default_text`` describes what happens without it. ``settings`` are click's.
    """
    long = next(name for name in names if name.startswith("--"))
    variable = variable or long[2:].replace("-", "_").upper()
    if repeatable:
        settings |= {"multiple": True, "help": f"{settings['help']} Repeatable."}
    if default_text:
        settings["help"] += f"  [default: {default_text}]"
    if choices:
        settings["type"] = click.Choice(choices)
    elif completer := completion.VALUES.get(long):
        settings["shell_complete"] = completer
    return click.option(*names, envvar=f"DEEP_LOCK_{variable}", **settings)


def flag(*names: str, text: str, variable: str = "") -> Option:
    """Make an option without a value."""
    return option(*names, is_flag=True, help=text, variable=variable)


LOG_FORMAT = option(
    "--log-format",
    default="text",
    show_default=True,
    choices=("text", "json"),
    help="Write stderr as text, or as JSON with one event on each line.",
)
VERBOSITY = (
    flag("-q", "--quiet", text="Show only warnings and errors."),
    option("-v", "--verbose", count=True, help="Show more; -vv shows the traceback of an error."),
    LOG_FORMAT,
)


def sectioned(
    name: str, *sections: Section, output: Sequence[Option] = (), **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function that takes the session and the values of these options.

    Every command has the section "Output", with ``output``, -q, -v and --log-format. ``settings`` are click's.
    """
    every: tuple[Section, ...] = (*sections, ("Output", (*output, *VERBOSITY)))
    sizes = [(title, len(options)) for title, options in (*every, ("Help", (click.help_option(),)))]

    class SectionedCommand(click.Command):
        context_class = HelpContext

        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            options = (own for own in self.get_params(ctx) if isinstance(own, click.Option))
            for title, size in sizes:
                records = [own.get_help_record(ctx) for own in islice(options, size)]
                with formatter.section(title):
                    formatter.write_dl([record for record in records if record is not None])

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(session: Session, /, *, quiet: bool, verbose: int, log_format: str, **values: Any) -> Any:
            del log_format  # cli.main reads it before the arguments are parsed
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
    type=click.Path(dir_okay=False, path_type=Path),  # that it exists is checked later, with a better message
    default=Path("deep.lock"),
    show_default="deep.lock in the current folder",
    help="The lock to read. - is standard input.",
)
_USES = {
    "text": "text",
    "json": "json for programs",
    "markdown": "markdown for a comment",
    "sarif": "sarif for code scanning",
    "github": "github for annotations in a workflow",
    "html": "html for a page",
}


def format_option(*choices: str) -> Option:
    """Make the option that selects what is written to stdout; with json it is one document, also where the run fails."""
    *others, last = (_USES[choice] for choice in choices)
    return option(
        "--format",
        "form",
        default="text",
        show_default=True,
        choices=choices,
        help=f"Write {', '.join(others)} or {last}.",
    )


TEXT_OR_JSON = format_option("text", "json")
"""For a command that reports on stderr, or in one document on stdout."""
TARGET_LABELS = option(
    "--target",
    "targets",
    metavar="LABEL|host",
    repeatable=True,
    help="Use only what this target of the lock needs, such as cp313-x86_64-manylinux_2_28. 'host' is the target of this Python on this machine.",
    default_text="all targets",
)
DESTINATION = option(
    "-d",
    "--dest",
    "destination",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder to write the files into. It is created if it does not exist.",
)
HOOKS = (
    option(
        "--hooks",
        choices=("static", "sandbox", "trust"),
        help="How to run build hooks: never ('static'), in a strong sandbox ('sandbox'), or without a sandbox ('trust').",
        default_text="sandbox",
    ),
    option(
        "--trust-hooks",
        metavar="NAME",
        repeatable=True,
        help="Run the build code of this package without a sandbox. The code then has all your permissions.",
    ),
)
SCHEDULER = (
    option(
        "--scheduler",
        metavar="ADDRESS",
        default="",
        help="Address of a Dask scheduler: tls://HOST:PORT with the certificates below, or tcp://127.0.0.1:PORT.",
    ),
    option(
        "--tls-ca",
        type=click.Path(exists=True, dir_okay=False),
        help="Certificate authority of the scheduler: a PEM file.",
    ),
    option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate of this client: a PEM file."),
    option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Private key of this client: a PEM file."),
)
INTERPRETERS = option(
    "--python",
    "interpreters",
    type=FILE,
    repeatable=True,
    help="Path of a Python interpreter that may run build hooks, in addition to this one and those on PATH.",
)
OFFLINE = flag("--offline", text="Use the cache only. If a page or file is not in the cache, exit with 3 and name it.")
TLS = (
    option(
        "--cert",
        "ca_file",
        type=click.Path(exists=True),
        help="Certificate authorities to trust: a PEM file or a folder.",
        default_text="SSL_CERT_FILE, SSL_CERT_DIR, those of the system",
    ),
    option(
        "--allow-host",
        "allowed_hosts",
        metavar="HOST[:PORT]",
        repeatable=True,
        help="Allow indexes and locks to name files on this host. Needed if it is not a host of the index, or if its address is private.",
    ),
    option(
        "--allow-insecure-host",
        "insecure_hosts",
        metavar="HOST",
        repeatable=True,
        help="Do not verify the certificate of this host.",
    ),
    option(
        "--client-cert",
        type=click.Path(exists=True, dir_okay=False),
        help="Client certificate for the indexes: a PEM file with the certificate and its private key.",
    ),
    option(
        "--keyring-provider",
        choices=("disabled", "subprocess"),
        default="disabled",
        show_default=True,
        help="Whether to read the passwords of indexes from the program keyring ('subprocess').",
    ),
)
DEFAULT_INDEX_NAMES = ("-i", "--default-index", "--index-url", "default_index")
INDEXES = (
    option(
        *DEFAULT_INDEX_NAMES,
        metavar="URL",
        help="The default index. It is used after every --index.",
        default_text="the public one",
    ),
    option(
        "--index",
        "indexes",
        metavar="[NAME=]URL",
        repeatable=True,
        help="An index with priority over the default index. The first one has the highest priority.",
    ),
)
INDEX_USE = (
    option(
        "--index-strategy",
        choices=("first-index", "unsafe-best-match"),
        help="For each package, use the first index that has it, or the versions of all indexes. With 'unsafe-best-match', a public package can replace a private package of the same name.",
        default_text="first-index",
    ),
    option(
        "--find-links",
        metavar="PATH|URL",
        repeatable=True,
        help="A folder with wheels and sdists, or a web page with links to them.",
    ),
    flag("--no-index", text="Use no index. Only --find-links supplies files."),
    OFFLINE,
    flag("--refresh", text="Request every index page again, even if the cached page is fresh."),
    option(
        "--refresh-package",
        "refresh_packages",
        metavar="NAME",
        repeatable=True,
        help="Request the index page of this package again.",
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
            help="The URL that the credentials named DEFAULT are for. It may contain user:password@.",
        ),
        option(
            "--index",
            "indexes",
            metavar="NAME=URL",
            repeatable=True,
            help="The URL that the credentials of this name are for.",
        ),
        OFFLINE,
        *TLS,
    ),
)


SHARING: Section = (
    "Remote cache and request budget",
    (
        option(
            "--remote-cache",
            metavar="URL",
            help="A cache that several machines share: s3://BUCKET/FOLDER or file:///FOLDER.",
        ),
        flag("--remote-cache-read-only", text="Read from the remote cache, but write nothing to it."),
        option(
            "--requests-per-second",
            metavar="N",
            type=FiniteRange(0, min_open=True),
            help="At most N requests a second to one host. All runs on this machine with this option and the same cache folder count together.",
            default_text="no limit",
        ),
        option(
            "--max-requests",
            metavar="N",
            type=click.IntRange(1),
            help="At most N requests to one host at the same time. The same runs count together.",
            default_text="no limit",
        ),
    ),
)


PACKAGE = option(
    "--package",
    metavar="NAME",
    default="",
    help="Use only what this member of the workspace needs. --extra and --group then name its extras and groups.",
)


MAX_AGE = option(
    "--max-age",
    metavar="P7D",
    help="Exit with 3 if the newest record of a database, or its download, is older than this.",
    default_text="P7D",
)
SERVICE = option(
    "--service", metavar="URL", default="", help="URL of a service with an OSV API, without /v1/: https://osv.example."
)
DATABASES = (
    option(
        "--database",
        "databases",
        metavar="PATH|URL",
        repeatable=True,
        help="Advisories for PyPI in the OSV schema: a zip, a folder of records or of zips, or the URL of a zip.",
    ),
    MAX_AGE,
)


def selecting(extras: str = "all extras", groups: str = "all groups", *, prefix: str = "") -> tuple[Option, ...]:
    """Make the options that select extras and groups of a lock; the texts say what is selected without them.

    ``prefix`` is the beginning of the names of their variables.
    """
    return (
        option(
            "--extra",
            "extras",
            metavar="NAME",
            repeatable=True,
            variable=f"{prefix}EXTRA",
            help="Include this extra.",
            default_text=extras,
        ),
        flag("--all-extras", variable=f"{prefix}ALL_EXTRAS", text="Include all extras."),
        flag("--no-extras", variable=f"{prefix}NO_EXTRAS", text="Include no extras."),
        option(
            "--group",
            "groups",
            metavar="NAME",
            repeatable=True,
            variable=f"{prefix}GROUP",
            help="Include this dependency group.",
            default_text=groups,
        ),
        flag("--all-groups", variable=f"{prefix}ALL_GROUPS", text="Include all dependency groups."),
        flag("--no-groups", variable=f"{prefix}NO_GROUPS", text="Include no dependency groups."),
    )


SELECTION = (
    *selecting(),
    option(
        "--only-group",
        "only_groups",
        metavar="NAME",
        repeatable=True,
        help="Include only this dependency group. The project's dependencies and extras are left out.",
    ),
    flag(
        "--no-default-groups", text="Leave out the default groups: 'dev', or those in [tool.deep-lock] default-groups."
    ),
)


def selected(values: dict[str, Any], kind: str) -> tuple[str, ...] | Literal["all"] | None:
    """Return the names of `selecting` for "extra" or "group"; None where no option selects any. Raises UsageError."""
    key = f"{kind}s"
    options = [name for name in (f"all_{key}", f"no_{key}") if values[name]] + ([kind] if values[key] else [])
    if len(options) > 1:
        raise UsageError(" and ".join(f"--{name.replace('_', '-')}" for name in options) + " cannot be used together")
    if values[f"all_{key}"]:
        return "all"
    return () if values[f"no_{key}"] else values[key] or None


def selection_options(values: dict[str, Any]) -> SelectionOptions:
    """Return the values of `SELECTION`. Raises UsageError on options that contradict each other."""
    extras, groups, only = selected(values, "extra"), selected(values, "group"), values["only_groups"]
    others = {"--extra or --all-extras": extras, "--group, --all-groups or --no-groups": groups}
    for names, chosen in others.items():
        if only and chosen is not None and (chosen or names.startswith("--group")):
            raise UsageError(f"--only-group and {names} cannot be used together")
    if values["no_default_groups"] and groups == "all":
        raise UsageError("--no-default-groups and --all-groups cannot be used together")
    return SelectionOptions(
        extras=extras, groups=groups, only_groups=only, no_default_groups=values["no_default_groups"]
    )


# -- of lock and deepen

LOCK_FILE = option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=not_standard_input,
    help="File to write the lock to.",
    default_text="deep.lock next to pyproject.toml",
)
BUILD_CONSTRAINTS = option(
    "-b",
    "--build-constraints",
    type=FILE,
    repeatable=True,
    help="Apply the constraints in this requirements file to build environments only.",
)
SCOPES = (
    option(
        "--extra", "extras", metavar="NAME", repeatable=True, help="Lock only this extra.", default_text="all extras"
    ),
    flag("--all-extras", text="Lock all extras. This is the default."),
    option(
        "--group",
        "groups",
        metavar="NAME",
        repeatable=True,
        help="Lock only this dependency group.",
        default_text="all groups",
    ),
    option(
        "--only-group",
        "only_groups",
        metavar="NAME",
        repeatable=True,
        help="Lock only this dependency group. The project's dependencies and extras are left out.",
    ),
    flag(
        "--no-default-groups", text="Leave out the default groups: 'dev', or those in [tool.deep-lock] default-groups."
    ),
)
PROJECT = option(
    "--project",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    show_default="the current folder",
    help="Folder of the project: with pyproject.toml, setup.cfg or setup.py.",
)
CONSTRAINTS = (
    option(
        "-c",
        "--constraints",
        type=FILE,
        repeatable=True,
        help="Apply the constraints in this requirements file. A constraint limits versions and installs nothing.",
    ),
    option(
        "--overrides",
        type=FILE,
        repeatable=True,
        help="For each package in this requirements file, use its line instead of every other requirement on the package.",
    ),
    BUILD_CONSTRAINTS,
)
INPUTS: Section = (
    "Inputs",
    (
        PROJECT,
        flag(
            "--all-projects",
            text="Lock every project in the folder and below it. Each project has its own deep.lock. If one fails, the others are still locked.",
        ),
        option(
            "--exclude",
            metavar="PATTERN",
            repeatable=True,
            help="With --all-projects: leave out the folders that match this relative path, such as tests/data. * and ? are wildcards.",
        ),
        LOCK_FILE,
        option(
            "--from",
            "from_lock",
            type=FILE,
            help="Keep the runtime pins of another tool's lock, such as uv.lock, and lock their build dependencies: see deep-lock deepen.",
        ),
        option(
            "--script",
            type=FILE,
            help="Lock the inline metadata of this script (PEP 723). The lock is SCRIPT.deep.lock.",
        ),
        option(
            "-r",
            "--requirements",
            type=FILE,
            repeatable=True,
            help="Lock this requirements file instead of pyproject.toml.",
        ),
        *CONSTRAINTS,
        *SCOPES,
    ),
)
TARGETS: Section = (
    "Targets (each is a Python version on a platform)",
    (
        option(
            "--python-version",
            "pythons",
            metavar="X.Y",
            repeatable=True,
            help="Lock for this Python version: 3.13, 3.13t (free-threaded), 3.12.4, or 'host' (the Python that runs deep-lock).",
            default_text="each maintained CPython that requires-python allows",
        ),
        option(
            "--platform",
            "platforms",
            metavar="NAME",
            repeatable=True,
            help="Lock for this platform, such as x86_64-musllinux_1_2. 'linux', 'macos' and 'windows' are the default platforms of that system. 'host' is this machine.",
            default_text="x86_64-manylinux_2_28, aarch64-manylinux_2_28, arm64-macos_14, x86_64-windows",
        ),
        option(
            "--add-python",
            "added_pythons",
            metavar="X.Y",
            repeatable=True,
            help="Add this Python version to the targets of the lock.",
        ),
        option(
            "--add-platform",
            "added_platforms",
            metavar="NAME",
            repeatable=True,
            help="Add this platform to the targets of the lock.",
        ),
        option(
            "--fork-strategy",
            choices=("newest", "fewest"),
            help="If the newest version differs between targets: lock the newest version for each target, or fewer versions that targets share.",
            default_text="newest",
        ),
    ),
)
VERSIONS: Section = (
    "Versions",
    (
        option(
            "--resolution",
            choices=("highest", "lowest", "lowest-direct"),
            help="Which matching version to select. 'lowest-direct' selects the lowest version of direct dependencies and the highest version of all others.",
            default_text="highest",
        ),
        option(
            "--prerelease",
            "prereleases",
            choices=("if-necessary", "allow", "disallow"),
            help="When to select a pre-release: only if no final version matches ('if-necessary'), like any other version, or never.",
            default_text="if-necessary",
        ),
        option(
            "--exclude-newer",
            metavar="DATE|P7D",
            help="Ignore files that were uploaded after this date (2026-11-01), time (RFC 3339) or age (P7D: within the last 7 days). The lock records the time that an age resolves to. 'false': no limit.",
        ),
        option(
            "--exclude-newer-package",
            metavar="NAME=DATE",
            repeatable=True,
            help="Set --exclude-newer for one package. NAME=false: no limit for this package.",
        ),
        option(
            "--attestations",
            choices=("off", "record", "verify"),
            help="Record the publisher that the index attests for each file (PEP 740). 'verify' also verifies the signature. Each file that has an attestation needs one request.",
            default_text="off",
        ),
    ),
)
BUILDS: Section = (
    "Builds",
    (
        option(
            "--build-scope",
            choices=("needed", "all", "none"),
            help="Which builds to lock: of packages without a wheel for a target ('needed'), of all packages as if there were no wheels ('all'), or none.",
            default_text="needed",
        ),
        option(
            "--no-binary",
            metavar="NAME|:all:",
            repeatable=True,
            help="Use the sdist of this package, even if it has wheels.",
        ),
        option(
            "--only-binary",
            metavar="NAME|:all:",
            repeatable=True,
            help="Use only wheels of this package, never its sdist.",
        ),
        option(
            "--allow-wheel",
            metavar="NAME",
            repeatable=True,
            help="With --build-scope all: use the wheels of this package.",
        ),
        option(
            "--build-resolution",
            choices=("shared", "highest"),
            help="Lock one version for all build environments that can share it ('shared'), or the newest version for each.",
            default_text="shared",
        ),
        *HOOKS,
        flag(
            "--observe",
            text="Run each build hook, even if a static rule proves its result, and run it twice. Exit with 4 if the two results differ.",
        ),
        INTERPRETERS,
        flag(
            "--require-evidence",
            text="Exit with 4 if dynamic build requirements are assumed: they were not proven, and their hook did not run.",
        ),
    ),
)
UPGRADING: Section = (
    "Upgrading",
    (
        flag(
            "-U",
            "--upgrade",
            text="Ignore all existing pins and upgrade every package. Renew the default targets, too.",
        ),
        option(
            "-P",
            "--upgrade-package",
            metavar="NAME[==V]",
            repeatable=True,
            help="Upgrade this package, at run time and in build environments. With ==V: to version V.",
        ),
        option(
            "--in-build",
            "in_builds",
            metavar="NAME",
            repeatable=True,
            help="With -P: upgrade only in the build environment of this package.",
        ),
        option(
            "--upgrade-from",
            type=DOCUMENT,
            help="Upgrade the packages that are listed in a JSON document of deep-lock outdated, each in its own environment. You may remove packages from the document first. - is standard input.",
        ),
        flag("--upgrade-build", text="Ignore the existing pins of build environments."),
        option(
            "--accept-changed-file",
            "accepted_files",
            metavar="FILE",
            repeatable=True,
            help="Lock the new content of this file, although it differs from the locked content. FILE is the file name in the lock.",
        ),
    ),
)
INDEX_FROM = option(
    "--index-from",
    choices=("pip", "uv"),
    help="Also use the indexes in the environment variables and configuration files of this tool.",
)
INDEX_SECTION: Section = ("Indexes and network", (*INDEXES, INDEX_FROM, *INDEX_USE))
MODE: Section = (
    "Mode",
    (
        flag(
            "--check",
            "--locked",
            text="Write nothing and use no index. Exit with 1 and the reasons if the lock is stale or not in canonical form.",
        ),
        flag("--check-exists", text="Write nothing. Exit with 1 if there is no lock."),
        flag(
            "--verify-metadata",
            text="Download the wheels that the targets use, and compare their metadata with the metadata on the index. Exit with 4 if they differ.",
        ),
        flag("--dry-run", text="Resolve and show the changes, but write nothing."),
        flag(
            "--audit",
            text="Then compare the lock with the advisories that [tool.deep-lock.audit] names. The exit code is that of deep-lock audit. Cannot be used with --check, --check-exists and --all-projects.",
        ),
    ),
)
_COMMON: tuple[Section, ...] = (TARGETS, VERSIONS, BUILDS, UPGRADING, INDEX_SECTION, SHARING, MODE)
LOCK_SECTIONS = (INPUTS, *_COMMON)
EDIT_SECTIONS: tuple[Section, ...] = (
    ("Inputs of the lock", (LOCK_FILE, *CONSTRAINTS)),
    TARGETS,
    VERSIONS,
    BUILDS,
    INDEX_SECTION,
    SHARING,
    ("Mode", (flag("--dry-run", text="Show the changes of both files as a diff. Write nothing."),)),
)
DEEPEN_SECTIONS: tuple[Section, ...] = (("Inputs", (LOCK_FILE, BUILD_CONSTRAINTS, *SCOPES)), *_COMMON)
