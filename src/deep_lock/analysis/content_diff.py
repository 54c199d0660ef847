"""What differs between the files of two releases: which files, how many lines, and which of it is dangerous.

Lines are matched by those that are unique on both sides: the time is bounded for any text, and
every result is a correct difference, though not always the shortest one.
"""

import posixpath
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from deep_lock.errors import ArchiveBroken, SafetyError
from deep_lock.models.contents import AT_START, ArchivedFile, ArchiveTree, FileContents
from deep_lock.parsing.toml import parse_toml

CONTEXT = 3
"""Equal lines before and after a difference that are shown."""
NO_LINE_BREAK = "\\ No newline at end of file"
MAX_PASSES = 8
"""How often each line is looked at, on average. What is between unique lines is compared again until then."""

Status = Literal["added", "removed", "changed", "moved"]


class FileDifference(Struct, frozen=True, kw_only=True):
    """A file that one of two releases has, or that differs."""

    path: str
    old: ArchivedFile | None
    new: ArchivedFile | None
    added: int
    """Lines."""
    removed: int
    """Lines."""
    moved_from: str = ""
    """The path of ``old``, if the same bytes had another one."""

    @property
    def status(self) -> Status:
        if self.moved_from:
            return "moved"
        return "added" if self.old is None else "removed" if self.new is None else "changed"


class ToRead(Struct, frozen=True, kw_only=True):
    """How much a reviewer has to read."""

    lines: int
    """Of text: those that were added and those that were removed."""
    binary_bytes: int
    """Bytes of new and changed binary files, and of texts that are too long to be compared."""


def differences(old: ArchiveTree | None, new: ArchiveTree) -> tuple[FileDifference, ...]:
    """Return the files that differ, by path, metadata last; without ``old`` all files of ``new``.

    RECORD of a wheel is left out: it has the digests of the files that are compared.
    """
    before, after = (old.files if old is not None else {}), new.files
    paths = sorted(
        (path for path in before.keys() | after.keys() if not _is_record(path)),
        key=lambda path: (".dist-info/" in path, path),
    )
    gone = {own.sha256: path for path in paths if path not in after and (own := before[path]).kind != "link"}
    moved = {path: gone.pop(own.sha256) for path in paths if path not in before and (own := after[path]).sha256 in gone}
    sources = set(moved.values())
    return tuple(
        FileDifference(path=path, old=after[path], new=after[path], added=0, removed=0, moved_from=moved[path])
        if path in moved
        else _difference(path, before.get(path), after.get(path))
        for path in paths
        if path not in sources
        if path not in before or path not in after or before[path].sha256 != after[path].sha256
    )


# -- what is dangerous

BUILD_FILES = frozenset(
    {
        "build.py",
        "build.rs",
        "cargo.lock",
        "cargo.toml",
        "cmakelists.txt",
        "configure",
        "configure.ac",
        "configure.py",
        "hatch.toml",
        "hatch_build.py",
        "makefile",
        "manifest.in",
        "meson.build",
        "meson.options",
        "meson_options.txt",
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
    }
)
"""Names, in lower case and in any folder, of files that configure a build or run in it."""
BUILD_SUFFIXES = (".cmake", ".m4", ".mk")
DangerCode = Literal["native-new", "native-changed", "startup-new", "startup-changed", "script-new", "build-changed"]


class Release(Struct, frozen=True, kw_only=True):
    """One file of a release, read."""

    tree: ArchiveTree
    contents: FileContents


class Danger(Struct, frozen=True, kw_only=True):
    """A difference that a reviewer should read first."""

    code: DangerCode
    subject: str
    """A path, or the name of a script."""
    message: str


def dangers(old: Release | None, new: Release) -> tuple[Danger, ...]:
    """Return what is dangerous in the differences, the worst first; without ``old`` in all of ``new``.

    Build files are those of an sdist: a wheel is not built. Files that only `setup.py` or a backend reads are not known.
    """
    found = differences(old.tree if old is not None else None, new.tree)
    backend_folders = _backend_folders(new.tree)
    return (
        *_native(found),
        *_startup(old.contents if old is not None else FileContents(), new.contents, is_installed=new.tree.is_wheel),
        *(
            Danger(code="script-new", subject=name, message="a new script")
            for name in new.contents.commands
            if old is None or name not in old.contents.commands
        ),
        *(
            Danger(code="build-changed", subject=own.path, message=f"a file of the build was {own.status}")
            for own in found
            if not new.tree.is_wheel and _is_of_build(own.path, backend_folders)
        ),
    )


def dangers_of_build(found: Sequence[FileDifference], wheel: Release) -> tuple[Danger, ...]:
    """Return what is dangerous in the files of a wheel that its sdist does not have with the same bytes."""
    paths = [_path_installed(own.path) for own in found]
    contents = FileContents(
        startup=tuple(own for own in wheel.contents.startup if own[0] in paths),
        modules=tuple(
            own for own in wheel.contents.modules if own[0] in {path.split("/")[0].split(".")[0] for path in paths}
        ),
    )
    return (*_native(found), *_startup(FileContents(), contents, is_installed=True))


def _native(found: Iterable[FileDifference]) -> Iterator[Danger]:
    for own in found:
        if own.new is not None and own.new.native and own.new != own.old:
            is_new = own.old is None or not own.old.native
            yield Danger(
                code="native-new" if is_new else "native-changed",
                subject=own.path,
                message=f"{'new' if is_new else 'changed'} compiled code ({own.new.native}, {own.new.size} bytes)",
            )


def _startup(old: FileContents, new: FileContents, *, is_installed: bool) -> Iterator[Danger]:
    """Yield what takes effect when Python starts. Whether a build installs a file of an sdist is not known."""
    when = "whenever Python starts"
    when += "" if is_installed else ", if it is installed into the folder of packages"
    before = dict(old.startup)
    for name, text in new.startup:
        if name not in before:
            yield Danger(code="startup-new", subject=name, message=f"a new file that takes effect {when}")
        elif before[name] != text or not text:  # the text of a long one is not known
            message = f"changed bytes in a file that takes effect {when}"
            yield Danger(code="startup-changed", subject=name, message=message)
    for module, _ in new.modules:
        if module.lower() in AT_START and module not in dict(old.modules):
            yield Danger(code="startup-new", subject=module, message=f"a new module that runs {when}")


def _is_of_build(path: str, backend_folders: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2].lower()
    return name in BUILD_FILES or name.endswith(BUILD_SUFFIXES) or path.startswith(backend_folders)


def _backend_folders(tree: ArchiveTree) -> tuple[str, ...]:
    """Return the folders of a build backend that is in the sdist itself; none where pyproject.toml is not valid."""
    file = tree.files.get("pyproject.toml")
    if file is None or not file.text:
        return ()
    try:
        table = parse_toml(file.text.decode(), tree.filename, ArchiveBroken).get("build-system", {})
    except (SafetyError, UnicodeDecodeError):
        return ()
    paths = table.get("backend-path", []) if isinstance(table, dict) else []
    folders = (posixpath.normpath(path) for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()
    # the whole tree is no folder of its own: the backend is then found by the names of files only
    return tuple(f"{folder}/" for folder in folders if folder not in {".", ""})


# -- an sdist and a wheel of one release


def unlike_sdist(sdist: ArchiveTree, wheel: ArchiveTree) -> tuple[FileDifference, ...]:
    """Return the files of a wheel that its sdist does not have, or has with other bytes; ``old`` is the sdist's.

    A file of the wheel can be in any folder of the sdist. Metadata is left out: a build writes it.
    """
    by_name: dict[str, list[str]] = {}
    for path in sdist.files:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
    found = []
    for path, file in sorted(wheel.files.items()):
        folder = path.partition("/")[0]
        if folder.endswith(".dist-info"):
            continue
        inside = _path_installed(path)
        same_end = [own for own in by_name.get(inside.rpartition("/")[2], ()) if f"/{own}".endswith(f"/{inside}")]
        if all(sdist.files[own].sha256 != file.sha256 for own in same_end):
            # the shortest path: copies of a file are in folders of tests and examples
            old = sdist.files[min(same_end, key=lambda own: (len(own), own))] if same_end else None
            found.append(_difference(path, old, file))
    return tuple(found)


def _path_installed(path: str) -> str:
    """Return a path without the ``.data`` folder of a wheel: where the file is installed, below a folder of its kind."""
    return path.split("/", 2)[2] if path.partition("/")[0].endswith(".data") and path.count("/") > 1 else path


# -- lines


def to_read(old: ArchiveTree | None, new: ArchiveTree) -> ToRead:
    """Return how much there is to read in ``new``; with ``old`` only in what differs from it."""
    return count_to_read(differences(old, new))


def count_to_read(found: Sequence[FileDifference]) -> ToRead:
    """Return how much there is to read in these files."""
    unread = [
        own.new.size
        for own in found
        if own.new is not None
        and own.new != own.old
        and (own.new.kind == "binary" or (own.new.kind == "text" and own.new.text is None))
    ]
    return ToRead(lines=sum(own.added + own.removed for own in found), binary_bytes=sum(unread))


def _is_record(path: str) -> bool:
    folder, _, name = path.partition("/")
    return name == "RECORD" and folder.endswith(".dist-info")


def _difference(path: str, old: ArchivedFile | None, new: ArchivedFile | None) -> FileDifference:
    if old is None or new is None or old.text is None or new.text is None:
        added, removed = new.lines if new is not None else 0, old.lines if old is not None else 0
    else:
        before, after = text_lines(old), text_lines(new)
        same = sum(size for _, _, size in equal_blocks(before, after))
        added, removed = len(after) - same, len(before) - same
    return FileDifference(path=path, old=old, new=new, added=added, removed=removed)


def text_lines(file: ArchivedFile | None) -> list[str]:
    """Return the lines of a text, without their line breaks. Bytes that are not UTF-8 are written as escapes."""
    if file is None or not file.text:
        return []
    found = file.text.decode("utf-8", "backslashreplace").split("\n")
    if found[-1]:
        found[-1] += f"\n{NO_LINE_BREAK}" if file.kind == "text" else ""
    else:
        found.pop()
    return found


def unified(difference: FileDifference) -> Iterator[str]:
    """Yield the lines of a unified diff, without its header; nothing for files without a text."""
    before, after = text_lines(difference.old), text_lines(difference.new)
    blocks = [block for block in equal_blocks(before, after) if block[2]]
    for hunk in _hunks(blocks, len(before), len(after)):
        (old_start, new_start), (old_end, new_end) = hunk[0][:2], (hunk[-1][0] + hunk[-1][2], hunk[-1][1] + hunk[-1][2])
        yield f"@@ -{_span(old_start, old_end)} +{_span(new_start, new_end)} @@"
        at_old, at_new = old_start, new_start
        for old_at, new_at, size in hunk:
            yield from (f"-{line}" for line in before[at_old:old_at])
            yield from (f"+{line}" for line in after[at_new:new_at])
            yield from (f" {line}" for line in before[old_at : old_at + size])
            at_old, at_new = old_at + size, new_at + size


def _span(start: int, end: int) -> str:
    """Return the lines of a hunk as GNU diff writes them: from 1, and an empty span is after a line."""
    return f"{start + 1 if end > start else start},{end - start}"


Block = tuple[int, int, int]
"""Equal lines: the first one on the old side and on the new side, from 0, and their number."""


def _hunks(blocks: list[Block], old_size: int, new_size: int) -> Iterator[list[Block]]:
    """Yield the differences with their context: each is a list of blocks of equal lines, the first and last of context only."""
    ends = [(0, 0, 0), *blocks, (old_size, new_size, 0)]
    hunk: list[Block] = []
    for (old_at, new_at, size), (next_old, next_new, next_size) in pairwise(ends):
        if (old_at + size, new_at + size) == (next_old, next_new):
            continue  # no difference between the two: the first or the last block
        if not hunk:
            skipped = max(0, size - CONTEXT)
            hunk.append((old_at + skipped, new_at + skipped, size - skipped))
        if next_size > 2 * CONTEXT or (next_old + next_size, next_new + next_size) == (old_size, new_size):
            yield [*hunk, (next_old, next_new, min(next_size, CONTEXT))]
            hunk = []
        else:
            hunk.append((next_old, next_new, next_size))
    if hunk:
        yield hunk


# -- equal lines


def equal_blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Return runs of equal lines, in the order of both sides; they do not overlap."""
    pairs: list[tuple[int, int]] = []
    waiting = [(0, len(old), 0, len(new))]
    left = MAX_PASSES * (len(old) + len(new))
    while waiting:
        old_from, old_to, new_from, new_to = waiting.pop()
        while old_from < old_to and new_from < new_to and old[old_from] == new[new_from]:
            pairs.append((old_from, new_from))
            old_from, new_from = old_from + 1, new_from + 1
        while old_from < old_to and new_from < new_to and old[old_to - 1] == new[new_to - 1]:
            old_to, new_to = old_to - 1, new_to - 1
            pairs.append((old_to, new_to))
        if old_from == old_to or new_from == new_to or left <= 0:
            continue
        left -= old_to - old_from + new_to - new_from
        anchors = _anchors(old, new, (old_from, old_to), (new_from, new_to))
        if anchors:
            ends = [(old_from - 1, new_from - 1), *anchors, (old_to, new_to)]
            pairs += anchors
            waiting += [(one[0] + 1, other[0], one[1] + 1, other[1]) for one, other in pairwise(ends)]
    return _joined(sorted(pairs))


def _anchors(
    old: Sequence[str], new: Sequence[str], old_span: tuple[int, int], new_span: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the longest row of lines that are unique on both sides, and in the same order."""
    counts = [Counter(side[slice(*span)]) for side, span in ((old, old_span), (new, new_span))]
    places = {new[at]: at for at in range(*new_span)}
    unique = [
        (at, places[line]) for at in range(*old_span) if counts[0][line := old[at]] == 1 and counts[1].get(line) == 1
    ]
    ends: list[int] = []  # of rows of each length: the smallest position on the new side
    last: list[int] = []  # the pair at that end
    before: list[int] = []  # of each pair: the pair before it in its row
    for number, (_, at) in enumerate(unique):
        length = bisect_left(ends, at)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [at]
        last[length : length + 1] = [number]
    row: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        row.append(unique[number])
        number = before[number]
    return row[::-1]


def _joined(pairs: list[tuple[int, int]]) -> list[Block]:
    found: list[Block] = []
    for old_at, new_at in pairs:
        if found and (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2]) == (old_at, new_at):
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((old_at, new_at, 1))
    return found
