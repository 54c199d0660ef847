"""Edit TOML that the user wrote: pyproject.toml, deep-lock.toml, the block of a script (PEP 723).

Comments, order, quotes and line ends stay. tomlkit edits the document; an array keeps its layout, which tomlkit alone
does not preserve in all cases.

Invariant: each edit is made twice, in the text and in the plain data. The new text is read by the project's own reader, and
anything but the intended data is an error. So nothing that tomlkit cannot represent is written.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from difflib import unified_diff
from functools import partial
from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct
from msgspec.structs import replace
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Item, Key, Table

from deep_lock.boundary import reading
from deep_lock.errors import LimitExceeded, ProjectInvalid, Stale, UsageError, raise_machine_fault
from deep_lock.files import Replacement, content_now, open_regular, write_atomically
from deep_lock.parsing.text import decode
from deep_lock.parsing.toml import parse_toml
from deep_lock.project.files import MAX_INPUT_BYTES
from deep_lock.project.script import block_span
from deep_lock.sanitize import show

Keys = tuple[str, ...]
"""The path of a value: ``("project", "dependencies")``."""

MAX_LINE = 88
"""An array on one line that an edit makes longer than this gets a line for each value."""
INDENT = "    "
BOM = b"\xef\xbb\xbf"
BY_HAND = "edit the file by hand, then run deep-lock lock"


class Document(Struct, frozen=True, kw_only=True):
    """TOML text of the user, and the file around it."""

    path: Path
    before: bytes
    """The file as it was read."""
    text: str
    """The TOML. A file with Windows line ends only has simple ones here."""
    around: tuple[str, str] | None = None
    """Of a script: the text before the content of the block, and after it."""

    @property
    def source(self) -> str:
        """The name of the file in messages."""
        return self.path.name

    @property
    def data(self) -> dict[str, Any]:
        """The values, as the reader of the project sees them."""
        return parse_toml(self.text, self.source, ProjectInvalid, limit=MAX_INPUT_BYTES)


def open_document(path: Path, *, script: bool = False) -> Document:
    """Read a TOML file, or the block of a script.

    Raises ProjectInvalid for what cannot be read or edited, and LimitExceeded.
    """
    try:
        with open_regular(path) as file:
            before = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise_machine_fault(error)
        raise ProjectInvalid(f"{path}: {error.strerror or error}") from None
    if len(before) > MAX_INPUT_BYTES:
        raise LimitExceeded(f"{path}: more than {MAX_INPUT_BYTES} bytes")
    whole = decode(before, path.name, ProjectInvalid)
    text = whole.replace("\r\n", "\n") if _has_windows_ends(whole) else whole
    around = None
    if script:
        if "\r" in text:
            raise ProjectInvalid(f"{path.name}: has different line ends in one file", hint="save it with one kind")
        start, end = block_span(text, path.name)
        around = text[:start], text[end:]
        text = _by_line(_uncommented, text[start:end])
    document = Document(path=path, before=before, text=text, around=around)
    data = document.data
    with _editing(document) as tree:
        same = data == tree.unwrap() and tomlkit.dumps(tree) == text
    if not same:
        raise ProjectInvalid(f"{path.name}: has TOML that can be read but not edited", hint=BY_HAND)
    return document


def to_bytes(document: Document) -> bytes:
    """Return the file with the edited text: its byte order mark and line ends stay."""
    text = document.text
    if document.around is not None:
        begin, end = document.around
        text = begin + _by_line(_commented, text) + end
    if _has_windows_ends(document.before.decode()):
        text = text.replace("\n", "\r\n")
    return (BOM if document.before.startswith(BOM) else b"") + text.encode()


def _has_windows_ends(text: str) -> bool:
    return "\r\n" in text and text.count("\r\n") == text.count("\n") == text.count("\r")


def _by_line(change: Callable[[str], str], text: str) -> str:
    """Change each line of a text that ends with a line end. Only a line feed is one, unlike for str.splitlines()."""
    return "".join(f"{change(line)}\n" for line in text.removesuffix("\n").split("\n"))


def _uncommented(line: str) -> str:
    """Return a line of a block without its comment sign. A line with spaces alone keeps them all, to be written again."""
    return line[2:] if line[1:].strip() else line[1:]


def _commented(line: str) -> str:
    return f"# {line}" if line.strip() else f"#{line}"


def with_item(document: Document, keys: Keys, index: int, value: str) -> Document:
    """Insert a string into an array. Raises ProjectInvalid where that is not possible."""

    def insert(array: str) -> str:
        slots = _slots(array)
        new = _inserted(array, slots, index, _quoted_like(array, slots, value))
        return _one_per_line(new) if _fits(keys[-1], array) and not _fits(keys[-1], new) else new

    return _with_array(document, keys, insert, lambda values: values.insert(index, value))


def without_item(document: Document, keys: Keys, index: int) -> Document:
    """Remove a value from an array. Raises ProjectInvalid where that is not possible."""
    return _with_array(
        document, keys, lambda array: _without(array, _slots(array), index), lambda values: values.pop(index)
    )


def with_replaced(document: Document, keys: Keys, index: int, value: str) -> Document:
    """Replace a value of an array by a string. Raises ProjectInvalid where that is not possible."""

    def replaced(array: str) -> str:
        slots = _slots(array)
        own = slots[index]
        return array[: own.start] + _quoted_like(array, slots[index : index + 1], value) + array[own.end :]

    return _with_array(document, keys, replaced, lambda values: values.__setitem__(index, value))


def with_value(document: Document, keys: Keys, value: str | Sequence[str]) -> Document:
    """Set a key of a table that exists. A new key is placed after the last key of its table.

    Raises ProjectInvalid where that is not possible.
    """
    end = "" if document.text.endswith("\n") else "\n"  # a key may be added to the last line
    with _editing(replace(document, text=document.text + end)) as tree:
        table = _at(tree, keys[:-1])
        if keys[-1] in table:
            table[keys[-1]] = _item(value, keys[-1])
        else:
            _append_key(tree, keys, _item(value, keys[-1]))
        text = tomlkit.dumps(tree).removesuffix(end)
    expected = document.data
    _at(expected, keys[:-1])[keys[-1]] = value if isinstance(value, str) else list(value)
    return _checked(document, text, expected)


def with_table(document: Document, text: str, *, after: Sequence[Keys] = ()) -> Document:
    """Insert the text of tables, with their headers and comments.

    They are placed below the tables whose header begins with the first of ``after`` that the file has, else at the end.
    Raises ProjectInvalid where that is not possible.
    """
    old = document.text
    at = next((end for keys in after if (end := _end_of_tables(document, keys)) is not None), len(old))
    before, rest = old[:at], old[at:]
    if before.strip():
        before = f"{before}\n" if before.endswith("\n") else f"{before}\n\n"
        before = before.removesuffix("\n") if before.endswith("\n\n\n") else before
    new = text.strip("\n") + ("\n\n" if rest else "\n" if not old or old.endswith("\n") else "")
    expected = _merged(document.data, parse_toml(text, document.source, ProjectInvalid))
    return _checked(document, before + new + rest, expected)


def _merged(old: Any, new: Any) -> Any:
    """Return the data of two texts, one after the other: tables are combined, arrays of tables are continued."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old[key], value) if key in old else value for key, value in new.items()}}
    return [*old, *new] if isinstance(old, list) and isinstance(new, list) else new


def new_document(path: Path) -> Document:
    """Return a TOML file that does not exist yet."""
    return Document(path=path, before=b"", text="")


def unified(name: str, before: str | None, after: str) -> str:
    """Return a unified diff of a file; empty where nothing changes. ``before`` is None for a new file."""
    lines = unified_diff(
        (before or "").splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{name}" if before is not None else "/dev/null",
        f"b/{name}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def difference(document: Document) -> str:
    """Return what an edit changes, as a unified diff."""
    before = document.before.decode() if document.path.exists() else None
    return unified(document.source, before, to_bytes(document).decode())


def replacement(document: Document) -> Replacement | None:
    """Return the edited file, for `write_lock`; None where nothing changes."""
    after = to_bytes(document)
    if after == document.before:
        return None
    return Replacement(path=document.path, before=document.before, after=after)


def write(document: Document) -> None:
    """Write the file alone, if no other program wrote it since it was read. Raises Stale and UsageError."""
    path, edited = document.path, replacement(document)
    try:
        is_new = not document.before and not path.exists()
        if edited is None:
            return
        if not is_new and not edited.is_current():
            raise Stale(f"{path}: another program wrote it during this run; nothing was written", hint="run it again")
        if is_new:
            write_atomically(path, edited.after)
        else:
            edited.write()
    except OSError as error:
        state = content_now(path, document.before, to_bytes(document))
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}; {state}") from None


def write_all(documents: Sequence[Document]) -> None:
    """Write these files in this order; where one fails, those before it are as they were. Raises UsageError and Stale."""
    written: list[Document] = []
    try:
        for document in documents:
            write(document)
            written.append(document)
    except BaseException as failed:
        for document in reversed(written):
            try:
                _undo(document)
            except OSError as error:
                raise UsageError(
                    f"{document.path}: was edited, but another file could not be written ({failed}), and the edit could not be undone: {error.strerror or error}",
                    hint="restore the file, then run the command again",
                ) from failed
        raise


def _undo(document: Document) -> None:
    """Put the old content back, or remove a file that was new. Raises OSError."""
    edited = replacement(document)
    if edited is None:
        return
    if document.before:
        edited.undo()
    elif document.path.read_bytes() == edited.after:
        document.path.unlink()


def with_entry(document: Document, keys: Keys, values: Mapping[str, str | date], *, after: Sequence[Keys]) -> Document:
    """Add an entry to an array of tables, or an inline table to an array. ``after`` as in `with_table`.

    Raises ProjectInvalid where that is not possible.
    """
    entries: Any = document.data
    for key in keys:
        entries = entries.get(key) if isinstance(entries, dict) else None
    if isinstance(entries, list):
        with _editing(document) as tree:
            is_inline = isinstance(_at(tree, keys), Array)
        if is_inline:
            return _with_array(
                document,
                keys,
                lambda array: _inserted(array, _slots(array), len(entries), _written(dict(values))),
                lambda found: found.append(dict(values)),
            )
    lines = (assignment(key, value) for key, value in values.items())
    return with_table(document, "\n".join([f"[[{'.'.join(keys)}]]", *lines]), after=after)


def with_entry_values(document: Document, keys: Keys, index: int, values: Mapping[str, str | date]) -> Document:
    """Replace values of one entry of an array of tables. Raises ProjectInvalid where that is not possible."""
    expected = document.data
    entry = _at(expected, keys)[index]
    with _editing(document) as tree:
        for key, value in values.items():
            if entry[key] != value:
                entry[key] = value
                _at(tree, keys)[index][key] = value
        text = tomlkit.dumps(tree)
    return _checked(document, text, expected)


def entry_spans(document: Document, keys: Keys) -> tuple[tuple[int, int], ...]:
    """Return the begin and the end of the text of each table with these keys, without the comments above and below it."""
    tables = [*headers(document), (len(document.text), ())]
    found: list[tuple[int, int]] = []
    for number, (start, path) in enumerate(tables):
        if path == keys:
            below = next(own for own, other in tables[number + 1 :] if other == keys or other[: len(keys)] != keys)
            found.append((start, start + len(_BLANK_BELOW.sub("", document.text[start:below]))))
    return tuple(found)


def with_entry_text(document: Document, keys: Keys, index: int, position: int, text: str) -> Document:
    """Insert text with one table, which becomes this entry of an array of tables, at a position of the file.

    Raises ProjectInvalid where that is not possible.
    """
    expected = document.data
    entries, own = expected, parse_toml(text, document.source, ProjectInvalid)
    for key in keys[:-1]:
        entries, own = entries.setdefault(key, {}), own[key]
    entries.setdefault(keys[-1], []).insert(index, own[keys[-1]][0])
    return _checked(document, document.text[:position] + text + document.text[position:], expected)


def without_entry(document: Document, keys: Keys, index: int) -> Document:
    """Remove an entry of an array of tables; the comments above it stay. Raises ProjectInvalid where that is not possible."""
    spans = entry_spans(document, keys)
    expected = document.data
    entries = _at(expected, keys)
    if len(spans) != len(entries):
        raise ProjectInvalid(
            f"{document.source}: {'.'.join(keys)} is not written as [[{'.'.join(keys)}]]", hint=BY_HAND
        )
    start, end = spans[index]
    del entries[index]
    for size in range(len(keys), 0, -1):  # tables that have no header of their own are gone with their last entry
        if not _at(expected, keys[:size]):
            del _at(expected, keys[: size - 1])[keys[size - 1]]
    following = spans[index + 1][0] if index + 1 < len(spans) else end
    if not document.text[end:following].strip():
        end = following
    before, below = document.text[:start], document.text[end:]
    if before.endswith("\n\n") and (not below or below.startswith("\n")):
        before = before[:-1]
    return _checked(document, before + below, expected)


def with_table_at(document: Document, position: int, text: str) -> Document:
    """Insert the text of tables at a position of the file. Raises ProjectInvalid where that is not possible."""
    expected = _merged(document.data, parse_toml(text, document.source, ProjectInvalid))
    return _checked(document, document.text[:position] + text + document.text[position:], expected)


def without_table(document: Document, keys: Keys) -> Document:
    """Remove a table that has a header of its own; the comments above it stay. Raises ProjectInvalid where that is not possible."""
    spans = entry_spans(document, keys)
    if len(spans) != 1:
        raise ProjectInvalid(f"{document.source}: {'.'.join(keys)} is not written as [{'.'.join(keys)}]", hint=BY_HAND)
    start, end = spans[0]
    expected = document.data
    for size in range(len(keys), 0, -1):  # a table without a header of its own is gone with its last table
        if size == len(keys) or not _at(expected, keys[:size]):
            del _at(expected, keys[: size - 1])[keys[size - 1]]
    before, below = document.text[:start], document.text[end:]
    return _checked(document, before + (below.removeprefix("\n") if before.endswith("\n\n") else below), expected)


def assignment(key: str, value: object) -> str:
    """Write a key with its value, to be a line in the text of a table. A long array has a line for each value."""
    text = _written(value)
    if isinstance(value, list) and not _fits(key, text):
        text = _one_per_line(text)
    return f"{tomlkit.key(key).as_string()} = {text}"


def _written(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(assignment(key, own) for key, own in value.items())}}}"
    return str(tomlkit.item(value).as_string())


# -- the document


@contextmanager
def _editing(document: Document) -> Iterator[tomlkit.TOMLDocument]:
    """Give tomlkit's tree of the text. Raises ProjectInvalid for all that tomlkit cannot do."""
    with reading(document.source, partial(ProjectInvalid, hint=BY_HAND)):
        try:
            yield tomlkit.parse(document.text)
        except (
            TOMLKitError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            # the others are bugs of tomlkit on TOML that it does not know
            raise ProjectInvalid(f"{document.source}: cannot be edited: {show(str(error))}", hint=BY_HAND) from None


def _checked(document: Document, text: str, expected: Mapping[str, Any]) -> Document:
    """Return the document with a new text, if that has the expected data and nothing else."""
    try:
        with _editing(replace(document, text=text)) as tree:
            same = parse_toml(text, document.source, ProjectInvalid, limit=MAX_INPUT_BYTES) == expected == tree.unwrap()
    except ProjectInvalid:  # its line is one of the edited text, which is nowhere to be seen
        raise ProjectInvalid(
            f"{document.source}: cannot be edited: a table that the edit extends is written in braces or as dotted keys",
            hint=BY_HAND,
        ) from None
    if not same:
        raise ProjectInvalid(
            f"{document.source}: the edit would change other values of the file too; nothing was written", hint=BY_HAND
        )
    return replace(document, text=text)


def _at(tables: Any, keys: Keys) -> Any:
    for key in keys:
        tables = tables[key]
    return tables


def _with_array(
    document: Document, keys: Keys, edit: Callable[[str], str], edit_data: Callable[[list[Any]], object]
) -> Document:
    """Return the document with one array edited: its text, and in the same way its data."""
    with _editing(document) as tree:
        table = _at(tree, keys[:-1])
        table[keys[-1]] = tomlkit.value(edit(table[keys[-1]].as_string()))
        text = tomlkit.dumps(tree)
    expected = document.data
    edit_data(_at(expected, keys))
    return _checked(document, text, expected)


def _item(value: str | Sequence[str], key: str) -> Item:
    if isinstance(value, str):
        return tomlkit.item(value)
    text = f"[{', '.join(_quoted(each) for each in value)}]"
    return tomlkit.value(text if _fits(key, text) else _one_per_line(text))


def _append_key(tree: tomlkit.TOMLDocument, keys: Keys, value: Item) -> None:
    """Place a new key after the last one of its table: tomlkit would place it below the comment of the next table."""
    body = _body(tree, keys[:-1])
    if body is None:  # an inline table, or dotted keys
        _at(tree, keys[:-1])[keys[-1]] = value
        return
    own = [at for at, (key, item) in enumerate(body) if key is not None and not _has_header(key, item)]
    if own:
        value.trivia.indent = body[own[-1]][1].trivia.indent
    body.insert(own[-1] + 1 if own else 0, (tomlkit.key(keys[-1]), value))


def _body(tree: tomlkit.TOMLDocument, keys: Keys) -> list[tuple[Key | None, Item]] | None:
    """Return what a table with a header of its own contains; None where there is no such table."""
    found: list[Container] = [tree]
    for at, name in enumerate(keys, 1):
        tables = [
            item
            for container in found
            for key, item in container.body
            if key is not None and key.key == name and isinstance(item, Table) and _has_header(key, item)
        ]
        found = [table.value for table in tables if at < len(keys) or not table.is_super_table()]
    return found[0].body if found else None


def _has_header(key: Key, item: Item) -> bool:
    return isinstance(item, Table | AoT) and not key.is_dotted()


_HEADER = re.compile(r"(?m)^[ \t]*\[.*$")
_BLANK_BELOW = re.compile(r"(?:^[ \t]*(?:#[^\n]*)?(?:\n|\Z))+\Z", re.MULTILINE)
_COMMENTS_ABOVE = re.compile(r"(?:^[ \t]*#[^\n]*\n)+\Z", re.MULTILINE)


def _end_of_tables(document: Document, keys: Keys) -> int | None:
    """Return the end of the last table whose header begins with ``keys``: above the comment of the next table."""
    found = list(headers(document))
    own = [number for number, (_, path) in enumerate(found) if path[: len(keys)] == keys]
    if not own:
        return None
    if own[-1] + 1 == len(found):
        return len(document.text)
    return comments_above(document, found[own[-1] + 1][0])


def comments_above(document: Document, position: int) -> int:
    """Return where the comments directly above a line begin; ``position`` is the begin of the line."""
    above = _COMMENTS_ABOVE.search(document.text, 0, position)
    return above.start() if above is not None else position


def headers(document: Document) -> Iterator[tuple[int, Keys]]:
    """Yield the position and the keys of each header."""
    last = 0
    for match in _HEADER.finditer(document.text):
        try:
            table = parse_toml(match[0].strip(), document.source, ProjectInvalid)
            # from the last header only: the whole text above would take a time quadratic in the number of tables
            parse_toml(document.text[last : match.start()], document.source, ProjectInvalid)
        except ProjectInvalid:
            continue  # a line of an array or of a string
        last = match.start()
        yield match.start(), tuple(_path(table))


def _path(table: Any) -> Iterator[str]:
    while table:
        if isinstance(table, list):
            table = table[0]
        else:
            ((key, table),) = table.items()
            yield key


# -- the text of one array


class _Slot(Struct, frozen=True, kw_only=True):
    """Where a value of an array is in its text."""

    start: int
    end: int
    comma: int | None
    """The position of the comma after it; only the last value may have none."""

    @property
    def stop(self) -> int:
        """The end of the value with its comma."""
        return self.end if self.comma is None else self.comma + 1


_PIECE = re.compile(
    r'''
      (?P<value> """(?:[^\\]|\\.)*?"{3,5} | \'\'\'.*?'{3,5} | "(?:[^"\\]|\\.)*" | '[^']*' | [^\s,\[\]{}#"']+ )
    | (?P<open> [\[{] )
    | (?P<close> [\]}] )
    | (?P<comma> , )
    | \#[^\n]*
    | \s+
    ''',
    re.VERBOSE | re.DOTALL,
)


def _slots(array: str) -> list[_Slot]:
    """Find the values in the text of a valid array."""
    slots: list[_Slot] = []
    depth, start, end = 0, None, 0
    for piece in _PIECE.finditer(array):
        kind = piece.lastgroup
        depth += (kind == "open") - (kind == "close")
        if kind is None or ((depth, kind) == (1, "open") and piece.start() == 0):
            continue
        if depth == 0 or (depth, kind) == (1, "comma"):
            if start is not None:
                slots.append(_Slot(start=start, end=end, comma=piece.start() if depth else None))
            start = None
        else:
            start, end = piece.start() if start is None else start, piece.end()
    return slots


def _inserted(array: str, slots: Sequence[_Slot], index: int, value: str) -> str:
    """Insert a value before the slot of this index. Comments stay with the values that they are next to."""
    if not slots:
        return _with_first(array, value)
    if index == 0:
        return _with_first_of_many(array, slots, value)
    before, after = slots[index - 1], slots[index] if index < len(slots) else None
    pair = slots[index - 1 : index + 1] if after is not None else slots[-2:]
    gap = _gap(array, pair)
    if "\n" in gap.partition(",")[0]:  # lines that begin with a comma
        return array[: before.end] + gap + value + array[before.end :]
    stop = before.stop
    end = _line_end(array, stop)
    if end is None or "\n" in array[before.end : stop]:
        if before.comma is None:
            return array[: before.end] + (gap or ", ") + value + array[before.end :]
        space = array[stop : after.start] if after is not None and gap else " "
        return array[:stop] + space + value + "," + array[stop:]
    lines = (_indent(array, slot) for slot in (*reversed(slots[:index]), *slots[index:]))
    indent = next((own for own in lines if own is not None), _closing_indent(array) + INDENT)
    comma = "" if before.comma is not None else ","
    return f"{array[: before.end]}{comma}{array[before.end : end]}\n{indent}{value}{'' if comma else ','}{array[end:]}"


def _with_first(array: str, value: str) -> str:
    inside = array[1:-1]
    if "\n" not in inside:
        return f"[{inside}{value}{inside}]"
    comments = re.findall(r"\n([ \t]*)#", inside)
    indent = comments[-1] if comments else _closing_indent(array) + INDENT
    line = array.rindex("\n") + 1
    return f"{array[:line]}{indent}{value},\n{array[line:]}"


def _with_first_of_many(array: str, slots: Sequence[_Slot], value: str) -> str:
    first, gap = slots[0], _gap(array, slots[:2])
    indent = _indent(array, first)
    if indent is not None and "\n" not in gap.partition(",")[0]:
        gap = f",\n{indent}"
    return array[: first.start] + value + (gap or ", ") + array[first.start :]


def _without(array: str, slots: Sequence[_Slot], index: int) -> str:
    """Remove a value, its line and the comment on its line; comments above it stay."""
    for start, end in sorted(_spans_of(array, slots, index), reverse=True):
        array = array[:start] + array[end:]
    return array


def _spans_of(array: str, slots: Sequence[_Slot], index: int) -> list[tuple[int, int]]:
    """Return the parts of the text that belong to a value alone."""
    own = slots[index]
    before = slots[index - 1] if index else None
    after = slots[index + 1] if index + 1 < len(slots) else None
    comma_above = [(before.stop - 1, before.stop)] if own.comma is None and before is not None else []
    line_end = _line_end(array, own.stop)
    if _indent(array, own) is not None and line_end is not None and "\n" not in array[own.end : own.stop]:
        return [(array.rindex("\n", 0, own.start), line_end), *comma_above]
    if after is not None and (before is None or "\n" not in array[own.end : after.start]) and _gap(array, (own, after)):
        return [(own.start, after.start)]
    if before is None and after is None:
        return [(own.start, len(array) - len(array[own.stop :].lstrip(" \t")))]
    if before is None or not _gap(array, (before, own)) or "#" in array[own.end : own.stop]:  # comments stay
        return [(own.start, own.end), (own.comma or own.end, own.stop), *comma_above]
    if own.comma is None:
        return [(before.end, own.end)]
    comma_first = "\n" in array[own.end : own.comma]
    return [(before.stop - comma_first, own.stop - comma_first)]


def _gap(array: str, pair: Sequence[_Slot]) -> str:
    """Return the text between two values; empty where it has a comment, or where there are no two."""
    gap = array[pair[0].end : pair[1].start] if len(pair) > 1 else ""
    return "" if "#" in gap else gap


def _line_end(array: str, position: int) -> int | None:
    """Return the end of the line if nothing but a comment follows the position, else None."""
    match = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\r?\n)").match(array, position)
    if match is None:
        return None
    return match.end() - array[: match.end()].endswith("\r")


def _indent(array: str, slot: _Slot) -> str | None:
    """Return the indentation of a value that begins its line."""
    line = array.rfind("\n", 0, slot.start) + 1
    indent = array[line : slot.start]
    return indent if line and not indent.strip() else None


def _closing_indent(array: str) -> str:
    line = array.rfind("\n") + 1
    indent = array[line:-1]
    return indent if line and not indent.strip() else ""


def _fits(key: str, array: str) -> bool:
    return "\n" not in array and len(f"{key} = {array}") <= MAX_LINE


def _one_per_line(array: str) -> str:
    values = [array[slot.start : slot.end] for slot in _slots(array)]
    return "\n".join(["[", *(f"{INDENT}{value}," for value in values), "]"])


def _quoted_like(array: str, slots: Sequence[_Slot], value: str) -> str:
    """Write a string with the quotes that the array has."""
    quotes = {array[slot.start] for slot in slots} - {"{"}
    return _quoted(value, literal=quotes == {"'"})


def _quoted(value: str, *, literal: bool = False) -> str:
    """Write a string: in double quotes unless it contains some, or in single ones."""
    literal = (literal or '"' in value) and "'" not in value and value.isprintable()
    return tomlkit.string(value, literal=literal).as_string()
