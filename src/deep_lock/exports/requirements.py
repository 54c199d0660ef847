"""The run time of a lock, or one build environment, as a requirements file whose every file has its sha256.

Law: a line never says less than the lock. What such a file cannot hold to is refused, or told as lost. pip fills in
``${NAME}`` from the environment wherever it stands in a line, so no URL or path brings in a brace.
"""

import posixpath
from collections.abc import Iterator
from urllib.parse import quote as percent_encoded

from msgspec import Struct

from deep_lock.errors import UsageError
from deep_lock.exports.environment import environment
from deep_lock.exports.view import Installed, View, hashed, installed, is_tree, lost_builds, lost_to_pip
from deep_lock.lockfile.index import called
from deep_lock.lockfile.selection import is_built, taken_files
from deep_lock.models.lock import LockedArchive, LockedDirectory, LockedFile, LockedPackage, LockedVcs
from deep_lock.targets.target import Target

DEFAULT_INDEX = "default"
_BRACES = str.maketrans({"{": "%7B", "}": "%7D"})


class Listed(Struct, frozen=True, kw_only=True):
    """The lines of a requirements file."""

    about: str
    """What it holds, for its head."""
    targets: tuple[Target, ...]
    """On which it is right."""
    lines: tuple[str, ...]
    folders: tuple[str, ...]
    """In which releases of it lie, for --find-links: seen from the lock's folder."""
    has_paths: bool
    """Whether a line leads to a place, which pip and uv look for from where they are run."""
    needs_uv: bool
    """pip refuses it: see the losses."""
    losses: tuple[str, ...]


def requirements(view: View, build: str) -> Listed:
    """Return what is installed at run time, or in one build environment.

    Raises UsageError on a source that no such line can name, and as `environment` and `installed`.
    """
    own = environment(view, build) if build else None
    members = own.members if own is not None else installed(view)
    targets = own.targets if own is not None else view.targets
    return Listed(
        about=f"what {own.called} is built with" if own is not None else _about(view),
        targets=targets,
        lines=tuple(line for member in members for line in _lines(view, member)),
        folders=_folders(view, members),
        has_paths=any(member.entry.source is not None and member.entry.source.path for member in members),
        needs_uv=any(is_tree(member.entry) for member in members),
        losses=(
            *(own.losses if own is not None else ()),
            *lost_builds(view, members),
            *lost_to_pip(members),
            *_losses(targets, members),
        ),
    )


def index_options(view: View, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options that name the lock's indexes, and these folders."""
    urls = dict(view.lock.indexes)
    default = urls.pop(DEFAULT_INDEX, None)
    return (
        *([f"--index-url {default.translate(_BRACES)}"] if default is not None else []),
        *(f"--extra-index-url {url.translate(_BRACES)}" for url in urls.values()),
        *(f"--find-links {_plain_path(folder)}" for folder in folders),
    )


def _about(view: View) -> str:
    parts = (("extra", view.chosen.extras), ("group", view.chosen.groups))
    added = [f"{kind} {name}" for kind, names in parts for name in sorted(names)]
    return "what is installed at run time" + (f", with {', '.join(added)}" if added else "")


# -- lines


def _lines(view: View, member: Installed) -> Iterator[str]:
    """Yield the lines of one requirement: what, where, and the sha256 of each file that may be taken for it."""
    entry = member.entry
    what = f"{entry.name}=={entry.version}" if entry.source is None else f"{entry.name} @ {_place(entry)}"
    digests = {file.sha256 for file in _taken(view, member)}
    if isinstance(entry.source, LockedArchive):
        digests = {entry.source.sha256}
    yield from hashed(what, member.marker, digests)


def _taken(view: View, member: Installed) -> set[LockedFile]:
    return {
        file
        for target in view.targets
        if target.label in member.labels
        for file in _on_target(view, member.entry, target)
    }


def _place(entry: LockedPackage) -> str:
    match entry.source:
        case LockedVcs(url=str(url), commit_id=commit, subdirectory=inner):
            return f"git+{url.translate(_BRACES)}@{commit}{_fragment(inner)}"
        case LockedArchive(url=str(url), subdirectory=inner):
            return f"{url.translate(_BRACES)}{_fragment(inner)}"
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
    """Return the one spelling of a relative path after a name that both pip and uv take."""
    return f"file:./{percent_encoded(path)}"


def _plain_path(path: str) -> str:
    """Return a path of an option, where nothing is decoded. Raises UsageError."""
    if any(character in path for character in " #{}'\"") or path.startswith("-"):
        raise UsageError(
            f"{path!r}: the name of this folder cannot stand in a requirements file",
            hint="export without --index-options, and name it on the command line: --find-links",
        )
    return path


def _folders(view: View, members: tuple[Installed, ...]) -> tuple[str, ...]:
    paths = (file.path for member in members for file in _taken(view, member) if file.path is not None)
    return tuple(sorted({posixpath.dirname(path) or "." for path in paths}))


# -- losses


def _losses(targets: tuple[Target, ...], members: tuple[Installed, ...]) -> Iterator[str]:
    labels = ", ".join(target.label for target in targets)
    yield f"environments: the markers are right on {labels}, and on another platform or Python they say nothing"
    indexes = {member.entry.index for member in members if member.entry.index is not None}
    if len(indexes) > 1:
        yield "indexes: which release comes from which of them; any file with a right sha256 is taken"
    editable = [
        called(member.entry)
        for member in members
        if isinstance(member.entry.source, LockedDirectory) and member.entry.source.editable
    ]
    if editable:
        yield f"editable installation: of {', '.join(editable)}"


def _on_target(view: View, entry: LockedPackage, target: Target) -> tuple[LockedFile, ...]:
    """Return what the target takes. A record decides, as in `wheelhouse`: what is locked as built is not taken as a wheel."""
    if entry.sdist is not None and is_built(view.register, entry, target):
        return (entry.sdist,)
    return tuple(taken_files(view.register, entry, target))
