"""The work of `init`: a first configuration for the project. No index is used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

from deep_lock.config import declared_indexes
from deep_lock.config.config import read_config
from deep_lock.config.options import InitOptions, InputOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_there
from deep_lock.locking.read_inputs import read_project
from deep_lock.models.policy import Level
from deep_lock.pep440 import parse_marker
from deep_lock.project import edit
from deep_lock.project.folder_config import workspace_root
from deep_lock.sanitize import show
from deep_lock.targets.factory import DEFAULT_PLATFORMS, default_pythons, make_target

FOREIGN_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")
OTHER_PLATFORMS = ("x86_64-macos_14", "arm64-windows")
"""Platforms to lock for only where an environment of uv is none of the default ones."""

BASELINE: tuple[tuple[str, Level, str], ...] = (
    ("look-alike", "error", "A name that is similar to a well-known one."),
    ("yanked", "error", "A release that was yanked when it was locked."),
    ("built-at-run-time", "finding", "A package that is built where it is installed: its own code runs there."),
    ("too-new", "finding", "A file that was uploaded less than seven days ago."),
)
"""The rules of the first policy: code, level, comment. The lock of an ordinary project passes it at once."""


class Initial(Struct, frozen=True, kw_only=True):
    """A file with its new table, unwritten."""

    document: edit.Document
    pythons: tuple[str, ...]
    """The oldest first."""
    platforms: tuple[str, ...]
    foreign_lock: str = ""
    """The name of another tool's lock in the folder: the project may want to keep its pins."""


def initial_configuration(options: InitOptions, reporter: Reporter) -> Initial:
    """Return the file with a configuration that fits the project.

    Raises UserError, also where there is a configuration already: none is overwritten.
    """
    document, table = _document(options)
    tools = _tools(options)
    declared, left_out = declared_indexes.for_configuration(declared_indexes.declared_indexes(tools))
    project = read_project(InputOptions(folder=options.folder, script=options.script), None)
    root = workspace_root(options.folder.resolve()) if options.script is None else None
    if root is not None:
        message = (
            f"its folder is a member of the workspace in {root}, whose configuration is used: run deep-lock init there"
        )
        reporter(Warned(code="init-in-member", subject=project.source, message=message))
    for message in left_out:
        reporter(Warned(code="init-left-out", subject=project.source, message=message))
    pythons = default_pythons(project.requires_python, options.today)
    pythons, platforms = _fitting(pythons, tools, project.source, reporter)
    requires = f" that requires-python {show(project.requires_python)} allows" if project.requires_python else ""
    lines = [
        *_targets(pythons, platforms, requires),
        *_indexes(declared, table),
        # the policy of a script's lock is that of its folder
        *(_policy(table) if options.script is None else ()),
    ]
    text = "\n".join([f"[{table}]", *lines] if table else lines)
    document = edit.with_table(document, text, after=(("tool",),) if table else ())
    settings = document.data["tool"]["deep-lock"] if table else document.data
    read_config(settings, document.source)
    return Initial(
        document=document,
        pythons=pythons,
        platforms=platforms,
        foreign_lock=next((name for name in FOREIGN_LOCKS if (options.folder / name).is_file()), ""),
    )


def _document(options: InitOptions) -> tuple[edit.Document, str]:
    """Return the file to write, and the name of its table: "" for deep-lock.toml, which has the keys at its top."""
    own, pyproject = options.folder / "deep-lock.toml", options.folder / "pyproject.toml"
    if own.exists():
        raise _exists(own.name)
    if options.script is not None:
        document = edit.open_document(options.script, script=True)
    elif is_there(pyproject):
        document = edit.open_document(pyproject)
    else:
        return edit.new_document(own), ""
    if "deep-lock" in _tools(options):
        raise _exists(f"{document.source} [tool.deep-lock]")
    return (edit.new_document(own), "") if options.own_file else (document, "tool.deep-lock")


def _exists(where: str) -> UsageError:
    return UsageError(
        f"{where}: there is a configuration already, and it stays as it is",
        hint="edit it, or remove it and run deep-lock init again",
    )


def _tools(options: InitOptions) -> Mapping[str, Any]:
    """Return the raw ``tool`` table of the project or script; the reader of the project checks it."""
    path = options.script or options.folder / "pyproject.toml"
    if not is_there(path):
        return {}
    tools = edit.open_document(path, script=options.script is not None).data.get("tool")
    return tools if isinstance(tools, dict) else {}


# -- targets


def _fitting(
    pythons: Sequence[str], tools: Mapping[str, Any], source: str, reporter: Reporter
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the Pythons, the oldest first, and the platforms: those of the environments that uv locks for, if there are any.

    A configuration locks each Python on each platform. A warning names what no environment requires.
    """
    markers = list(_markers(tools))
    pairs = {(python, platform) for python in pythons for platform in DEFAULT_PLATFORMS}
    if markers:
        found = {pair for marker in markers for pair in _on(marker, pythons)}
        if not found:
            message = "no environment of [tool.uv] is a target that deep-lock knows: the default targets are used"
            reporter(Warned(code="init-left-out", subject=source, message=message))
        pairs = found or pairs
    fitting = tuple(python for python in reversed(pythons) if any(python == own for own, _ in pairs))
    platforms = tuple(
        platform for platform in (*DEFAULT_PLATFORMS, *OTHER_PLATFORMS) if any(platform == own for _, own in pairs)
    )
    more = [
        f"{python} on {platform}" for python in fitting for platform in platforms if (python, platform) not in pairs
    ]
    if more:
        message = f"{', '.join(more)}: locked too, although it is not an environment of [tool.uv]"
        reporter(Warned(code="init-left-out", subject=source, message=message))
    return fitting, platforms


def _markers(tools: Mapping[str, Any]) -> Iterator[Marker]:
    uv = tools.get("uv")
    texts = uv.get("environments", ()) if isinstance(uv, dict) else ()
    for text in [texts] if isinstance(texts, str) else texts if isinstance(texts, list) else ():
        try:
            yield parse_marker(text)
        except (InvalidMarker, TypeError):
            continue  # uv refuses it


def _on(marker: Marker, pythons: Sequence[str]) -> set[tuple[str, str]]:
    """Return the pairs that an environment contains: of the default platforms, else of the others."""
    for platforms in (DEFAULT_PLATFORMS, OTHER_PLATFORMS):
        found = {
            (python, platform)
            for python in pythons
            for platform in platforms
            if _holds(marker, make_target(python, platform, host=None).environment)
        }
        if found:
            return found
    return set()


def _holds(marker: Marker, environment: Mapping[str, str]) -> bool:
    try:
        return marker.evaluate(dict(environment))
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


# -- text


def _targets(pythons: Iterable[str], platforms: Iterable[str], requires: str) -> Iterator[str]:
    yield f"# Python versions to lock for: the maintained ones{requires}."
    yield edit.assignment("python-versions", list(pythons))
    yield "# Platforms to lock for, each with each Python version."
    yield edit.assignment("platforms", list(platforms))
    yield '# Builds to lock: "needed" (packages without a wheel for a target), "all" or "none".'
    yield edit.assignment("build-scope", "needed")


def _indexes(declared: declared_indexes.DeclaredIndexes, table: str) -> Iterator[str]:
    inner = f"{table}." if table else ""
    if declared.find_links:
        yield "# Folders or pages with files, in addition to the indexes."
        yield edit.assignment("find-links", list(declared.find_links))
    for index in declared.indexes:
        yield ""
        if index.explicit:
            yield "# An index for the packages that sources assigns to it."
        elif index.fallback:
            yield "# An index for the packages that no other index has."
        else:
            yield f"# An index that is used {'instead of' if index.default else 'before'} the public one."
        yield f"[[{inner}index]]"
        values = msgspec.to_builtins(index)
        yield from (edit.assignment(key, value) for key, value in values.items() if value)
    if declared.sources:
        yield ""
        yield "# Packages that come from one index, a repository or a folder only."
        yield f"[{inner}sources]"
        yield from (
            edit.assignment(name, dict(source) if isinstance(source, Mapping) else list(map(dict, source)))
            for name, source in declared.sources.items()
        )
    if declared.workspace is not None:
        yield ""
        yield "# Folders of the packages of the workspace."
        yield f"[{inner}workspace]"
        yield edit.assignment("members", list(declared.workspace.members))
        if declared.workspace.exclude:
            yield edit.assignment("exclude", list(declared.workspace.exclude))


def _policy(table: str) -> Iterator[str]:
    yield ""
    yield '# Rules for the lock: an "error" fails lock --check, a "finding" is shown by deep-lock policy.'
    yield f"[{table}.policy]" if table else "[policy]"
    for code, level, comment in BASELINE:
        yield f"# {comment}"
        yield edit.assignment(code, level)
