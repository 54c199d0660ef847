"""Requirements files for Hermeto, for builds without a network: the runtime packages and their build dependencies.

The rules of Hermeto (snapshot of November 2026): a line of an index release has one ``==``; in a file with a hash all
lines have one, so commits have a file of their own; markers are ignored and names may repeat, all lines are fetched. Of
a release Hermeto fetches the sdist; wheels only if its input has ``binary``. Then it fetches, of the wheels that pass the
filter and the best sdist, those that match a hash of the line. So the hashes decide, and the filter accepts everything.
Each file of build requirements is also a file of build constraints.
"""

import json
from collections.abc import Iterator
from shlex import quote
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.exports.build_constraints import file_text, numbered, unsupported_settings
from deep_lock.exports.build_sets import BuildFile, build_files, build_sets, pinned_entries
from deep_lock.exports.requirements import DEFAULT_INDEX, direct_lines, file_content, pin_lines
from deep_lock.exports.view import Exported, ExportedPackage, View, files_on, installed
from deep_lock.lockfile.index import called
from deep_lock.models.lock import LockedArchive, LockedPackage, LockedVcs
from deep_lock.sanitize import Safe

RUNTIME, COMMITS, BUILD = "requirements.txt", "requirements-git.txt", "requirements-build"
EVERY_WHEEL = {"arch": ":all:", "os": ":all:", "py_impl": ":all:"}
ARCHIVES = (".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.Z", ".tar", ".whl")
SHA1 = 40
"""Characters of a commit id; Hermeto accepts no others."""


class _Lines(Struct, frozen=True, kw_only=True):
    """The lines of one package, in one of the two files."""

    entry: LockedPackage
    lines: tuple[str, ...] = ()
    commit: bool = False
    unsupported: str = ""


def hermeto(view: View, *, name_index: bool) -> Exported:
    """Return the requirements files that Hermeto reads; ``name_index`` puts the lock's default index into them.

    Raises NotLocked and TargetsAlike.
    """
    packages = installed(view)
    lines = [_lines(view, package) for package in packages]
    files = build_files(view, build_sets(view, per_sdist=False))
    index = dict(view.lock.indexes).get(DEFAULT_INDEX, "")
    option = [f"--index-url {index}"] if name_index and index else []
    texts = [(RUNTIME, _text(view, "the runtime packages", option, [own for own in lines if not own.commit]))]
    commits = [own for own in lines if own.commit]
    texts += (
        [(COMMITS, _text(view, "the runtime packages that are installed from commits", [], commits))] if commits else []
    )
    builds = [
        (name, file_text(view, file, "Build requirements", option))
        for name, file in zip(numbered(BUILD, len(files)), files, strict=True)
    ]
    request: dict[str, object] = {
        "type": "pip",
        "requirements_files": [name for name, _ in texts],
        "requirements_build_files": [name for name, _ in builds],
    }
    if _takes_wheels(view, packages, files):
        request["binary"] = EVERY_WHEEL
    variable = f"PIP_INDEX_URL={quote(index)} " if index and not option else ""
    return Exported(
        files=(*texts, *builds),
        usage=f"{variable}hermeto fetch-deps --source . --output hermeto-output {quote(json.dumps(request))}",
        unsupported=(*_unsupported(view, lines, files, index), *unsupported_settings(view)),
    )


def _text(view: View, what: str, option: list[str], lines: list[_Lines]) -> Safe:
    head = f"From {view.source}, made by deep-lock export: {what}."
    return file_content([head], (*option, *(line for own in lines for line in own.lines)))


def _lines(view: View, package: ExportedPackage) -> _Lines:
    entry = package.entry
    match entry.source:
        case None:
            files = files_on(view, entry, package.labels)
            unsupported = "" if all(file.url for file in files) else "its files are in a folder, not on an index"
            return _Lines(entry=entry, lines=tuple(pin_lines(entry, package.marker, files)), unsupported=unsupported)
        case LockedArchive(url=str(url)) if urlsplit(url).path.endswith(ARCHIVES):
            return _Lines(entry=entry, lines=tuple(direct_lines(entry, package.marker)))
        case LockedVcs(url=str(url), commit_id=commit) if len(commit) == SHA1 and urlsplit(url).scheme in (
            "https",
            "http",
        ):
            return _Lines(entry=entry, lines=tuple(direct_lines(entry, package.marker)), commit=True)
        case _:
            return _Lines(entry=entry, unsupported="Hermeto does not fetch such a source")


def _takes_wheels(view: View, packages: tuple[ExportedPackage, ...], files: tuple[BuildFile, ...]) -> bool:
    pinned = [(own.entry, own.labels) for own in packages]
    pinned += [found for file in files for found in pinned_entries(view, file)]
    return any(file.name.endswith(".whl") for entry, labels in pinned for file in files_on(view, entry, labels))


def _unsupported(view: View, lines: list[_Lines], files: tuple[BuildFile, ...], index: str) -> Iterator[str]:
    for own in lines:
        if own.unsupported:
            yield f"{called(own.entry)}: {own.unsupported}"
    if any(own.commit for own in lines):
        yield f"{COMMITS}: install it with a separate command, because pip accepts no commit in a run with hashes"
    others = sorted({entry.index for entry in view.lock.packages if entry.index} - {index})
    if others:
        yield f"indexes: Hermeto reads one index for a file; it does not find the releases of {', '.join(others)}"
    if files:
        yield (
            "the versions of each build: pip selects any of the downloaded files that fits, unless "
            f"PIP_BUILD_CONSTRAINT={numbered(BUILD, len(files))[0]} is set"
        )
