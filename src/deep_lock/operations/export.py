"""The work of `export`: a lock, or a part of it, in another format.

Nothing is resolved, and the lock is not compared with its project. Requests are made for advisories and for contents only.
"""

import os
import posixpath
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from deep_lock.config.options import AuditOptions, ExportOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.exports import build_constraints, cyclonedx, diagram, hermeto, json_document, pylock, requirements, spdx
from deep_lock.exports.view import Exported, View, make_view
from deep_lock.lockfile import writer
from deep_lock.lockfile.paths import seen_from
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.advisory import SbomVulnerability
from deep_lock.network import public_index
from deep_lock.operations import audit, file_contents
from deep_lock.operations.inputs import open_lock
from deep_lock.sanitize import show
from deep_lock.targets.target import Target

REQUIREMENTS = "requirements.txt"


def plain_lock(view: View, options: ExportOptions) -> Exported:
    """Return a plain PEP 751 lock. Raises UsageError, TargetsAlike, NotLocked and ConfigError (another drive)."""
    if options.build:
        made = pylock.build_environment(view, options.build)
    else:
        made = pylock.runtime_lock(
            view, pylock.Selectable(extras=options.extras is None, groups=options.groups is None)
        )
    path = _path(options, made.name)
    _refuse_name(path)
    here, unsupported = made.lock, made.unsupported
    if pylock.has_paths(here):
        if options.output is None and options.folder is None:
            unsupported = (
                *unsupported,
                f"paths: they are relative to the folder of {show(view.source)}; keep the file there",
            )
        else:
            here = pylock.moved(here, _from(path.parent, options.lock.parent))
    command = "uv pip sync" if made.needs_uv else "pip install -r"
    head = (*_head(view, made.about, made.targets), f"{command} {_quoted(path.name)}")
    return Exported(
        files=((made.name, writer.to_pylock(here, head)),),
        usage=f"{command} {_shown(path, options)}",
        unsupported=unsupported,
    )


def requirement_lines(view: View, options: ExportOptions) -> Exported:
    """Return a requirements file with hashes. Raises UsageError, TargetsAlike, NotLocked and ConfigError."""
    made = requirements.requirements(view, options.build)
    path = _path(options, REQUIREMENTS)
    command = "uv pip install -r" if made.needs_uv else "pip install --require-hashes -r"
    head = [*_head(view, made.about, made.targets), f"{command} {_quoted(path.name)}"]
    if made.has_paths:
        head.append(f"Run it in the folder of {show(view.source)}: paths are relative to it.")
    unsupported = made.unsupported
    index_lines: tuple[str, ...] = ()
    if options.index_options:
        seen = _from(path.parent, options.lock.parent) if made.folders else "."
        index_lines = requirements.index_options(
            view, tuple(posixpath.normpath(posixpath.join(seen, folder)) for folder in made.folders)
        )
    elif made.folders:
        unsupported = (
            *unsupported,
            f"folders: pass --find-links for {', '.join(made.folders)}, or export with --index-options",
        )
    content = requirements.file_content(head, (*index_lines, *made.lines))
    return Exported(
        files=((REQUIREMENTS, content),), usage=f"{command} {_shown(path, options)}", unsupported=unsupported
    )


def _head(view: View, about: str, targets: tuple[Target, ...]) -> tuple[str, str]:
    source, labels = show(view.source), ", ".join(target.label for target in targets)
    return f"Made by deep-lock from {source}: {about}. Do not edit: export again.", f"For {labels}."


def with_path(exported: Exported, options: ExportOptions) -> Exported:
    """Return an export with the path of its main file for {file} in its usage."""
    shown = _shown(_path(options, exported.files[0][0]), options)
    return replace(exported, usage=exported.usage.replace("{file}", shown))


def path_of(options: ExportOptions, name: str) -> str:
    """Return the path of a file of an export, from the current folder."""
    return name if options.output is None and options.folder is None else str(_path(options, name))


def _path(options: ExportOptions, name: str) -> Path:
    """Return the path of a file; what goes to stdout is taken to be in the folder of the lock."""
    if options.output is not None:
        return options.output
    return (options.folder if options.folder is not None else options.lock.parent) / name


def _refuse_name(path: Path) -> None:
    """Installers recognize such a lock by its name, and read any other as a requirements file (PEP 751). Raises UsageError."""
    prefix, _, rest = path.name.partition(".")
    middle, dot, suffix = rest.rpartition(".")
    if (prefix, suffix) == ("pylock", "toml") and "." not in middle and bool(middle) == bool(dot):
        return
    raise UsageError(
        f"{path.name}: no installer accepts a lock with this name", hint="name it pylock.toml or pylock.NAME.toml"
    )


def _from(folder: Path, lock_folder: Path) -> str:
    """Return the lock's folder relative to another. Raises ConfigError where there is no such path."""
    return seen_from(Path(os.path.realpath(folder)), Path(os.path.realpath(lock_folder)))


def _shown(path: Path, options: ExportOptions) -> str:
    return _quoted(path.name if options.output is None and options.folder is None else str(path))


def _quoted(path: str) -> str:
    text = show(path)
    return f'"{text}"' if " " in text else text


Writer = Callable[[View, ExportOptions], Exported]

FORMATS: dict[str, Writer] = {
    "build-constraints": lambda view, options: build_constraints.constraints(
        view, per_sdist=options.per_sdist, path_of=partial(path_of, options)
    ),
    "cyclonedx": lambda view, options: with_path(cyclonedx.bom(view, public_index.public_index()), options),
    "dot": lambda view, options: with_path(diagram.dot(view), options),
    "hermeto": lambda view, options: hermeto.hermeto(view, name_index=options.index_options),
    "json": lambda view, options: with_path(json_document.document(view), options),
    "mermaid": lambda view, options: with_path(diagram.mermaid(view), options),
    "pylock": plain_lock,
    "requirements": requirement_lines,
    "spdx": lambda view, options: with_path(spdx.document(view, public_index.public_index()), options),
}
"""The values of `export -f`."""

BARE = frozenset({"requirements", "hermeto"})
"""Formats without extras and groups: without an option they have the project's own dependencies only."""

SBOMS = frozenset({"cyclonedx", "spdx"})


def export(options: ExportOptions, reporter: Reporter) -> Exported:
    """Return the lock in the requested format, not written. Raises LockInvalid, UsageError and TargetsAlike."""
    lock = open_lock(options.lock, options.package, reporter)
    view = make_view(
        lock,
        options.lock.name,
        chosen_targets(lock, options.targets, options.lock.name),
        extras=_names(options.extras, options.format),
        groups=_names(options.groups, options.format),
        package=options.package,
    )
    if options.format in SBOMS and (options.advisories is not None or options.contents is not None):
        index = public_index.public_index()
        read = file_contents.read_files(lock, options.lock, options.contents, reporter)
        contents = None if read is None else read.contents
        if options.format == "spdx":
            return with_path(spdx.document(view, index, contents), options)
        known = _vulnerabilities(options.advisories, reporter) if options.advisories is not None else ()
        return with_path(cyclonedx.bom(view, index, known, contents), options)
    return FORMATS[options.format](view, options)


def _vulnerabilities(options: AuditOptions, reporter: Reporter) -> tuple[SbomVulnerability, ...]:
    """Return what an audit finds, for an SBOM."""
    rows = audit.audit(options, reporter, with_fixes=False).rows
    return tuple(
        SbomVulnerability(
            key=row.hit.key,
            ids=own.ids,
            summary=own.summary,
            url=own.url,
            severity=own.rated.severity,
            score=own.rated.score,
            vector=own.rated.vector,
            fixed_in=own.fixed_in,
            ignored=row.ignored,
            status=row.statement.status if row.statement is not None else "",
            justification=row.statement.justification if row.statement is not None else "",
        )
        for row in rows
        for own in (row.hit.vulnerability,)
    )


def _names(requested: tuple[str, ...] | Literal["all"] | None, form: str) -> frozenset[str] | None:
    """Return the extras, or groups, to select; None is all."""
    if requested == "all" or (requested is None and form not in BARE):
        return None
    return frozenset(requested or ())
