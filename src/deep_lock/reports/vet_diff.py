"""The differences between the files of two releases, as text and JSON: what is dangerous, the list of files, the lines."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from deep_lock.analysis.content_diff import Danger, FileDifference, ToRead, unified
from deep_lock.models.contents import ArchivedFile
from deep_lock.reports.document import document
from deep_lock.sanitize import Painted, Safe, counted, joined, line, listed, show

MAX_LINES = 20_000
"""Lines of differences that are shown."""
MAX_LINE = 500
"""Characters of one line that are shown."""
MAX_NAMES = 3
_SIGNS = {"added": "A", "removed": "D", "changed": "M", "moved": "R"}
_COLORS = {"+": "32", "-": "31", "@": "36"}


class ComparedFile(Struct, frozen=True, kw_only=True):
    """One of the two files."""

    version: str
    filename: str
    sha256: str


class Comparison(Struct, frozen=True, kw_only=True):
    """What differs between two files of a project."""

    name: str
    old: ComparedFile
    new: ComparedFile
    """Of the same version as ``old``: then ``old`` is the sdist and ``new`` the wheel, and only files of the wheel are listed."""
    dangers: tuple[Danger, ...]
    files: tuple[FileDifference, ...]
    to_read: ToRead
    others: tuple[str, ...] = ()
    """Names of the other files of the new release: they were not compared."""

    @property
    def is_one_release(self) -> bool:
        return self.old.version == self.new.version


def as_text(found: Comparison, *, stat: bool) -> Safe:
    """Return the comparison; with ``stat`` without the lines that differ."""
    shown = [*_head(found), *_list(found)]
    if not stat:
        shown += _texts(found.files)
    return joined(shown)


def _head(found: Comparison) -> Iterator[Safe]:
    what = f"the wheel of {found.new.version} and its sdist" if found.is_one_release else ""
    yield line(f"{show(found.name)}: {what or f'{found.old.version} -> {found.new.version}'}")
    for own in (found.old, found.new):
        yield line(f"  {show(own.filename)}  sha256 {own.sha256}")
    if found.others:
        yield line(f"  not compared: {show(listed(found.others, MAX_NAMES), 400)} (--file NAME)")
    if found.dangers:
        yield line(Painted(f"To read first ({len(found.dangers)})", "31;1"))
    for danger in found.dangers:
        yield line("  ", Painted("!", "31;1"), f" {show(danger.subject)}: {show(danger.message)}  [{danger.code}]")


def _list(found: Comparison) -> Iterator[Safe]:
    read = found.to_read
    size = f"{counted(read.lines, 'line')} and {read.binary_bytes} bytes of binary files to read"
    if found.is_one_release:
        yield line(f"Files of the wheel that are not the same in the sdist ({len(found.files)}): {size}")
    else:
        yield line(f"Files that differ ({len(found.files)}): {size}" if found.files else "No file differs")
    for own in found.files:
        file = own.new or own.old
        kind = "" if file is None or file.kind == "text" else f"  {_kind(file)}"
        counts = f"{f'+{own.added}' if own.added else '':>6} {f'-{own.removed}' if own.removed else '':>6}"
        yield line(f"  {_SIGNS[own.status]} {counts}  {_path(own)}{kind}")


def _path(own: FileDifference) -> str:
    return f"{show(own.moved_from, 400)} -> {show(own.path, 400)}" if own.moved_from else show(own.path, 400)


def _kind(file: ArchivedFile) -> str:
    return f"({file.native or file.kind}, {file.size} bytes)"


def _texts(files: Iterable[FileDifference]) -> Iterator[Safe]:
    left = MAX_LINES
    for own in files:
        if _is_too_long(own):
            yield line("")
            yield line(f"{show(own.path, 400)}: is too long to be shown")
            continue
        header = [f"--- {show(own.path, 400)}", f"+++ {show(own.path, 400)}"]
        for text in unified(own):
            if left <= 0:
                yield line("")
                yield line(f"More than {MAX_LINES} lines differ: --to DIR writes both files into folders")
                return
            if header:
                yield from (line(""), *(line(Painted(part, "1")) for part in header))
                header = []
            left -= 1
            for part in text.split("\n"):  # the mark of a missing line break is a line of its own
                shown = show(part.replace("\t", "    "), MAX_LINE)
                yield line(Painted(shown, _COLORS[part[0]]) if part[:1] in _COLORS else shown)


def _is_too_long(own: FileDifference) -> bool:
    return any(file is not None and file.kind == "text" and file.text is None for file in (own.old, own.new))


def as_json(found: Comparison, *, stat: bool) -> Safe:
    """Return the comparison as JSON; with ``stat`` without the lines that differ."""
    return document(
        "vet-diff",
        1,
        {
            "name": found.name,
            "old": _side(found.old),
            "new": _side(found.new),
            "not-compared": list(found.others),
            "dangers": [{"code": own.code, "subject": own.subject, "message": own.message} for own in found.dangers],
            "to-read": {"lines": found.to_read.lines, "binary-bytes": found.to_read.binary_bytes},
            "files": [_row(own, stat=stat) for own in found.files],
        },
    )


def _side(own: ComparedFile) -> dict[str, str]:
    return {"version": own.version, "file": own.filename, "sha256": own.sha256}


def _row(own: FileDifference, *, stat: bool) -> dict[str, Any]:
    return {
        "path": own.path,
        "status": own.status,
        **({"moved-from": own.moved_from} if own.moved_from else {}),
        "added": own.added,
        "removed": own.removed,
        **{side: _file(file) for side, file in (("old", own.old), ("new", own.new)) if file is not None},
        **({} if stat or _is_too_long(own) else {"diff": [part for text in unified(own) for part in text.split("\n")]}),
    }


def _file(file: ArchivedFile) -> dict[str, Any]:
    return {
        "kind": file.kind,
        "size": file.size,
        "sha256": file.sha256,
        **({"native": file.native} if file.native else {}),
    }
