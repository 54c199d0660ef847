"""The run time of a lock, or one build environment, as a requirements file in which every file has its sha256.

Invariant: a line never says less than the lock. What such a file cannot express is refused or reported. pip replaces
``${NAME}`` anywhere in a line by a value from the environment, so no URL or path may contain a brace.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote as percent_encoded

from msgspec import Struct

from deep_lock.errors import UsageError
from deep_lock.exports.environment import environment
from deep_lock.exports.view import (
    ExportedPackage,
    View,
    files_on,
    installed,
    is_tree,
    require_one_selection,
    unsupported_builds,
    unsupported_by_pip,
)
from deep_lock.lockfile.index import called
from deep_lock.lockfile.selection import InstallSelection
from deep_lock.models.lock import LockedArchive, LockedDirectory, LockedFile, LockedPackage, LockedVcs
from deep_lock.models.workspace import owners, scope_text
from deep_lock.sanitize import Safe, lines
from deep_lock.targets.short_form import short_form
from deep_lock.targets.target import Target

DEFAULT_INDEX = "default"
_BRACES = str.maketrans({"{": "%7B", "}": "%7D"})
_SECOND_NUMBER_SIGN = re.compile("(?<=#)#")
"""In a URL only the first one has a meaning."""


class RequirementsFile(Struct, frozen=True, kw_only=True):
    """The lines of a requirements file."""

    about: str
    """What it holds, for its head."""
    targets: tuple[Target, ...]
    """The targets for which it is right."""
    lines: tuple[str, ...]
    folders: tuple[str, ...]
    """The folders of its files, for --find-links, relative to the folder of the lock."""
    has_paths: bool
    """Whether a line has a path, which pip and uv resolve against the folder in which they run."""
    needs_uv: bool
    """Whether pip refuses it: ``unsupported`` says why."""
    unsupported: tuple[str, ...]


def requirements(view: View, build: str) -> RequirementsFile:
    """Return what is installed at run time, or in one build environment.

    Raises UsageError on a source that no such line can name, and as `environment` and `installed`.
    """
    own = environment(view, build) if build else None
    if own is None:
        require_one_selection(view)
    packages = own.members if own is not None else installed(view)
    targets = own.targets if own is not None else view.targets
    return RequirementsFile(
        about=f"the build environment of {own.title}" if own is not None else _about(view),
        targets=targets,
        lines=tuple(line for package in packages for line in _lines(view, package)),
        folders=_folders(view, packages),
        has_paths=any(package.entry.source is not None and package.entry.source.path for package in packages),
        needs_uv=any(is_tree(package.entry) for package in packages),
        unsupported=(
            *(own.unsupported if own is not None else ()),
            *unsupported_builds(view, packages),
            *unsupported_by_pip(packages),
            *_unsupported(targets, packages),
        ),
    )


def index_options(view: View, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options that name the lock's indexes, and these folders. Raises UsageError."""
    urls = dict(view.lock.indexes)
    default = urls.pop(DEFAULT_INDEX, None)
    return (
        *([f"--index-url {_in_row(default)}"] if default is not None else []),
        *(f"--extra-index-url {_in_row(url)}" for url in urls.values()),
        *(f"--find-links {_plain_path(folder)}" for folder in folders),
    )


def _about(view: View) -> str:
    members = view.lock.inputs.members
    owned = owners(members)
    added = [
        scope_text(scope, members) if scope in owned else f"{scope.kind} {scope.name}"
        for scope in sorted(InstallSelection(extras=view.extras, groups=view.groups).scopes)
    ]
    subject = f"the runtime packages of member {view.package}" if view.package else "the runtime packages"
    return subject + (f", with {', '.join(added)}" if added else "")


# -- lines


def file_content(comments: Iterable[str], rows: Iterable[str]) -> Safe:
    """Return a requirements file. Raises UsageError on a row that a log reader takes for a command: rows have no escapes."""
    rows = tuple(rows)
    if (found := next((row for row in rows if lines(row) != row), None)) is not None:
        raise UsageError(
            f"this row of a requirements file is a command to a CI system: {found}",
            hint="a lock can express it: deep-lock export -f pylock",
        )
    return lines("\n".join([*(f"# {comment}" for comment in comments), *rows, ""]))


def _in_row(url: str) -> str:
    """Return the same URL for a row."""
    return _SECOND_NUMBER_SIGN.sub("%23", url.translate(_BRACES))


def pin_lines(entry: LockedPackage, marker: str | None, files: Iterable[LockedFile]) -> list[str]:
    """Return the lines that pin a release of an index."""
    return requirement_lines(f"{entry.name}=={entry.version}", marker, (file.sha256 for file in files))


def direct_lines(entry: LockedPackage, marker: str | None) -> list[str]:
    """Return the lines of a direct reference. Raises UsageError on a source that no line can name."""
    digests = [entry.source.sha256] if isinstance(entry.source, LockedArchive) else []
    return requirement_lines(f"{entry.name} @ {_url(entry)}", marker, digests)


def requirement_lines(requirement: str, marker: str | None, digests: Iterable[str]) -> list[str]:
    """Return the lines of a requirement with its sha256 digests, sorted; each but the last ends in a backslash."""
    first = f"{requirement} ; {marker}" if marker else requirement
    parts = [first, *(f"    --hash=sha256:{digest}" for digest in sorted(set(digests)))]
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]


def _lines(view: View, package: ExportedPackage) -> list[str]:
    entry = package.entry
    if entry.source is None:
        return pin_lines(entry, package.marker, files_on(view, entry, package.labels))
    return direct_lines(entry, package.marker)


def _url(entry: LockedPackage) -> str:
    match entry.source:
        case LockedVcs(url=str(url), commit_id=commit, subdirectory=inner):
            return f"git+{_in_row(url)}@{commit}{_fragment(inner)}"
        case LockedArchive(url=str(url), subdirectory=inner):
            return f"{_in_row(url)}{_fragment(inner)}"
        case LockedArchive(path=str(path), subdirectory=inner):
            return f"{_file_url(path)}{_fragment(inner)}"
        case LockedDirectory(path=path, subdirectory=inner):
            # uv knows no subdirectory of a folder, and the folder itself can be named
            return _file_url(posixpath.normpath(posixpath.join(path, inner or ".")))
        case _:
            raise UsageError(
                f"{called(entry)}: a requirements file cannot name a repository in a folder",
                hint="a lock can: deep-lock export -f pylock",
            )


def _fragment(inner: str | None) -> str:
    return f"#subdirectory={percent_encoded(inner)}" if inner else ""


def _file_url(path: str) -> str:
    """Return a relative path in the one form that both pip and uv accept after a name."""
    return f"file:./{percent_encoded(path)}" if path != "." else "file:."


def _plain_path(path: str) -> str:
    """Return a path of an option, in which installers decode nothing. Raises UsageError."""
    if any(character in path for character in " #{}'\"") or path.startswith("-"):
        raise UsageError(
            f"{path!r}: a requirements file cannot contain the name of this folder",
            hint="export without --index-options, and name it on the command line: --find-links",
        )
    return path


def _folders(view: View, packages: tuple[ExportedPackage, ...]) -> tuple[str, ...]:
    files = (file for package in packages for file in files_on(view, package.entry, package.labels))
    return tuple(sorted({posixpath.dirname(file.path) or "." for file in files if file.path is not None}))


# -- what the format cannot express


def _unsupported(targets: tuple[Target, ...], packages: tuple[ExportedPackage, ...]) -> Iterator[str]:
    labels = [target.label for target in targets]
    yield f"other environments: the markers are valid for {short_form(labels, labels)} only"
    entries = [package.entry for package in packages]
    if len({entry.index for entry in entries if entry.index is not None}) > 1:
        yield "indexes: which release comes from which index; any file with a right sha256 is accepted"
    editable = [
        called(entry) for entry in entries if isinstance(entry.source, LockedDirectory) and entry.source.editable
    ]
    if editable:
        yield f"editable installation: of {', '.join(editable)}"
