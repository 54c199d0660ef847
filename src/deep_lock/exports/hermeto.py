"""What Hermeto fetches for builds without a network: what is installed, and what is needed to build that.

Its rules, as its snapshot of November 2026 applies them: each line of an index release is pinned by one ``==``; in a
file with one hash, all have one, so commits stand in a file of their own; markers and repeated names do not matter to
it, all lines are fetched. Of a release it takes the sdist; wheels only if its input has ``binary``. With that it takes,
of the wheels that pass the filter and the best sdist, those that a hash of the line fits. So the hashes decide, and the
filter lets all pass. Each file with build requirements is one of build constraints, too.
"""

import json
from collections.abc import Iterator
from shlex import quote
from urllib.parse import quote as percent_encoded
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.exports.build_constraints import file_text, lost_settings, numbered
from deep_lock.exports.build_sets import BuildFile, build_files, build_sets, pinned, pinned_files
from deep_lock.exports.view import Exported, Installed, View, hashed, installed, pin_lines
from deep_lock.lockfile.index import called
from deep_lock.models.lock import LockedArchive, LockedFile, LockedVcs

RUNTIME, COMMITS, BUILD = "requirements.txt", "requirements-git.txt", "requirements-build"
DEFAULT_INDEX = "default"
EVERY_WHEEL = {"arch": ":all:", "os": ":all:", "py_impl": ":all:"}
ARCHIVES = (".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.Z", ".tar", ".whl")
SHA1 = 40
"""Characters of a commit's name; Hermeto knows no others."""


class _Lines(Struct, frozen=True, kw_only=True):
    """What one entry comes to: lines of one of the two files, or a loss."""

    entry: Installed
    lines: tuple[str, ...] = ()
    commit: bool = False
    lost: str = ""


def hermeto(view: View, *, name_index: bool) -> Exported:
    """Return the requirements files that Hermeto is given; ``name_index`` puts the lock's own index into them.

    Raises NotLocked and TargetsAlike.
    """
    own = [_lines(view, each) for each in installed(view)]
    sets = build_sets(view, each=False)
    files, fewest = build_files(view, sets)
    option = [f"--index-url {_index(view)}"] if name_index and _index(view) else []
    hashed_lines = [line for each in own if not each.commit for line in each.lines]
    commits = [line for each in own if each.commit for line in each.lines]
    texts = [(RUNTIME, _text(view, "what is installed", option, hashed_lines))]
    texts += [(COMMITS, _text(view, "what is installed from commits", [], commits))] if commits else []
    builds = [
        (name, file_text(view, file, "Build requirements", option))
        for name, file in zip(numbered(BUILD, len(files)), files, strict=True)
    ]
    return Exported(
        files=(*texts, *builds),
        usage=_usage(view, [name for name, _ in texts], [name for name, _ in builds], named=bool(option)),
        losses=(*_losses(view, own), *_build_losses(files, fewest=fewest), *lost_settings(view)),
    )


def _text(view: View, what: str, option: list[str], lines: list[str]) -> str:
    return "\n".join([f"# From {view.source}, made by deep-lock export: {what}.", *option, *lines, ""])


# -- lines


def _lines(view: View, own: Installed) -> _Lines:
    entry = own.entry
    match entry.source:
        case None:
            files = pinned_files(view, entry, own.labels)
            lines = tuple(pin_lines(entry, own.marker, files))
            lost = "" if all(file.url for file in files) else "its files lie in a folder, not on an index"
            return _Lines(entry=own, lines=lines, lost=lost)
        case LockedArchive(url=str(url), sha256=digest, subdirectory=inner) if urlsplit(url).path.endswith(ARCHIVES):
            place = f"{entry.name} @ {_with_folder(url, inner)}"
            return _Lines(entry=own, lines=tuple(hashed(place, own.marker, [digest])))
        case LockedVcs(url=str(url), commit_id=commit, subdirectory=inner) if len(commit) == SHA1 and urlsplit(
            url
        ).scheme in ("https", "http"):
            place = f"{entry.name} @ {_with_folder(f'git+{url}@{commit}', inner)}"
            return _Lines(entry=own, lines=tuple(hashed(place, own.marker, [])), commit=True)
        case _:
            return _Lines(entry=own, lost="Hermeto does not fetch such a source")


def _with_folder(url: str, inner: str | None) -> str:
    # pip fills in ${NAME} from the environment wherever it stands
    whole = f"{url}#subdirectory={percent_encoded(inner)}" if inner else url
    return whole.replace("{", "%7B").replace("}", "%7D")


# -- usage


def _usage(view: View, runtime: list[str], builds: list[str], *, named: bool) -> str:
    given: dict[str, object] = {"type": "pip", "requirements_files": runtime, "requirements_build_files": builds}
    if any(file.name.endswith(".whl") for file in _files(view)):
        given["binary"] = EVERY_WHEEL
    index = "" if named or not _index(view) else f"PIP_INDEX_URL={quote(_index(view))} "
    return f"{index}hermeto fetch-deps --source . --output hermeto-output {quote(json.dumps(given))}"


def _files(view: View) -> Iterator[LockedFile]:
    for own in installed(view):
        yield from pinned_files(view, own.entry, own.labels)
    for each in build_sets(view, each=False):
        for entry, labels in pinned(view, each.pins):
            yield from pinned_files(view, entry, labels)


def _index(view: View) -> str:
    return dict(view.lock.indexes).get(DEFAULT_INDEX, "")


# -- losses


def _losses(view: View, own: list[_Lines]) -> Iterator[str]:
    for each in own:
        if each.lost:
            yield f"{called(each.entry.entry)}: {each.lost}"
    if any(each.commit for each in own):
        yield f"{COMMITS}: install it by a command of its own, for pip takes no commit beside what has a sha256"
    elsewhere = sorted({entry.index for entry in view.lock.packages if entry.index} - {_index(view)})
    if elsewhere:
        yield f"indexes: Hermeto asks one for a file; what comes from {', '.join(elsewhere)} it does not find"


def _build_losses(files: tuple[BuildFile, ...], *, fewest: bool) -> Iterator[str]:
    if not files:
        return
    yield (
        "which build uses what: pip takes what it finds among the fetched files, unless told: "
        f"PIP_BUILD_CONSTRAINT={numbered(BUILD, len(files))[0]}"
    )
    if not fewest:
        yield "files: perhaps fewer would do; the search for them was given up"
