"""Replacing a lock: what the new one keeps of the old one, and the check of what is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.pylock import Pylock, PylockValidationError
from tomlkit import TOMLDocument, inline_table, parse
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Item, Key, SingleKey, Table, Trivia, Whitespace

from deep_lock.boundary import reading
from deep_lock.errors import DeepLockError, HashMismatch, LockInvalid
from deep_lock.lockfile.index import archive_file, files_of
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.reader import from_tables, read_tables
from deep_lock.lockfile.tables import Document, known_keys
from deep_lock.lockfile.writer import Pairs, fill, to_document, to_text
from deep_lock.models.lock import REVISION, Lock, LockedFile, LockedPackage
from deep_lock.sanitize import show
from deep_lock.targets.target import Target

AnyTable = Table | InlineTable

NEW_LOCK = "the new lock"


def checked_text(lock: Lock, targets: tuple[Target, ...] = (), *, previous: str = "") -> str:
    """Return the text of a lock, which is read back, compared and validated before it may replace anything.

    ``targets`` as in `broken_invariants`. ``previous`` is the text that the lock replaces: if ``lock`` has a newer revision
    than this deep-lock knows, the keys that only that revision knows are kept. Without it the revision is the known one.

    Raises LockInvalid on a fault of deep-lock, and as `to_text`.
    """
    if lock.revision > REVISION and previous:
        text = _text_with_kept_keys(to_document(lock), previous)
    else:
        lock = replace(lock, revision=REVISION)
        text = to_text(lock)
    try:
        tables = read_tables(text, NEW_LOCK)
        read = from_tables(tables, NEW_LOCK)
        Pylock.from_dict(_with_usual_sdists(tables))  # it validates
    except PylockValidationError as error:
        raise _internal_error(f"{NEW_LOCK} is not valid PEP 751: {show(str(error))}") from None
    except DeepLockError as error:
        raise _internal_error(error.message) from None
    if read != ordered(lock):
        raise _internal_error(f"{NEW_LOCK} differs when it is read back")
    faults = broken_invariants(read, targets)
    if faults:
        raise _internal_error(f"{NEW_LOCK} breaks invariants:\n  " + "\n  ".join(faults))
    return text


def canonical_text(lock: Lock, text: str) -> str:
    """Return the text that a lock has which was read from ``text``, whose keys of a later revision stay."""
    return _text_with_kept_keys(to_document(lock), text) if lock.revision > REVISION else to_text(lock)


def _with_usual_sdists(tables: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of a lock with names of sdists as in PEP 625.

    packaging refuses .tar.bz2, .tar.xz and versions with a dash, which indexes have. The reader compares the real names.
    """
    return {
        **tables,
        "packages": [
            {**package, "sdist": {**sdist, "name": f"{package['name']}-{package['version']}.tar.gz"}}
            if (sdist := package.get("sdist"))
            else package
            for package in tables["packages"]
        ],
    }


def _internal_error(message: str) -> LockInvalid:
    return LockInvalid(f"internal error, please report: {message}")


def require_same_bytes(old: Lock, new: Lock, accepted: Collection[str] = ()) -> None:
    """Refuse a lock that has another sha256 for a file of the old one: published files never change.

    The files of an index are compared by project and name, archives of direct references by URL. Where a package is of several
    indexes, its files are compared with those of the same index. ``accepted`` are the names of files that the user names. A file
    with a path may be built again. Raises HashMismatch.
    """
    before: dict[tuple[str, str], dict[str | None, str]] = {}
    for entry in old.packages:
        for key, file in _published(entry):
            before.setdefault(key, {})[entry.index] = file.sha256
    for entry in new.packages:
        for key, file in _published(entry):
            known = before.get(key, {})
            others = [] if entry.by_index else sorted(known.values())
            locked = [known[entry.index]] if entry.index in known else others
            if locked and file.sha256 not in locked and file.name not in accepted:
                source = "its index has" if entry.source is None else f"{show(file.url or '')} has"
                raise HashMismatch(
                    f"{show(file.name)}: sha256 {locked[0]} is locked, but {source} {file.sha256} now",
                    hint="published files must not change: find out why it changed before you use it; "
                    f"deep-lock lock --accept-changed-file {show(file.name)} locks the changed file",
                )


def _published(entry: LockedPackage) -> Iterator[tuple[tuple[str, str], LockedFile]]:
    """Yield the files of a package that other machines serve, each with what makes it the same file in two locks."""
    for file in files_of(entry):
        if file.url is not None:
            yield (entry.name, file.name), file
    archive = archive_file(entry)
    if archive is not None and archive.url is not None:
        yield (entry.name, archive.url), archive


# -- keys of a newer revision


def _text_with_kept_keys(new: TOMLDocument, previous: str) -> str:
    """Return the text of ``new`` with the unknown keys of ``previous``, in each table that both have.

    An unknown key cannot be checked against what changed around it: it is kept as it was, after the same key.
    """
    try:
        with reading("the previous lock", LockInvalid):
            old = parse(previous.replace("\r\n", "\n"))
            return _merged([_as_table(old)], _as_table(new), Document).value.as_string()
    except (TOMLKitError, LockInvalid) as error:
        raise LockInvalid(
            f"the previous lock is of a later deep-lock, and its keys cannot be kept: {show(str(error))}",
            hint="upgrade deep-lock",
        ) from None


def _as_table(document: TOMLDocument) -> Table:
    return Table(document, Trivia(), is_aot_element=False)


def _merged(old: Sequence[AnyTable], new: AnyTable, kind: type[Struct]) -> AnyTable:
    """Return ``new`` with the unknown keys of ``old``. Lines with dotted keys are parts of one table."""
    known, nested = known_keys(kind)
    values = [(part, key, value) for part in old for key, value in part.value.body if key is not None]
    pairs: list[tuple[Key | None, Item]] = []
    for key, value in new.value.body:
        inner = nested.get(key.key) if key is not None else None
        own = [] if inner is None else [each for _, name, each in values if name == key]
        pairs.append((key, value if inner is None else _merged_value(own, value, inner)))
    after = sum(key is None for key, _ in pairs)  # the comment at the top
    for part, key, value in values:
        positions = [position for position, (name, _) in enumerate(pairs) if name == key]
        if key.key in known:
            after = positions[-1] + 1 if positions else after
            continue
        pair = _kept(part, key, value, inline=isinstance(new, InlineTable))
        first_header = next((at for at, own in enumerate(pairs) if _has_header(*own)), len(pairs))
        after = max(after, first_header) if _has_header(*pair) else min(after, first_header)
        pairs.insert(after, pair)
        after += 1
    return _with_pairs(new, pairs)


def _merged_value(old: Sequence[Item], new: Item, kind: type[Struct]) -> Item:
    """Return a table, or an array of tables, with the unknown keys of the tables in ``old``."""
    if isinstance(new, Table | InlineTable):
        return _merged([part for part in old if isinstance(part, Table | InlineTable)], new, kind)
    if isinstance(new, AoT | Array):
        before = {
            _identity(row): row
            for rows in old
            if isinstance(rows, AoT | Array)
            for row in rows
            if isinstance(row, Table | InlineTable)
        }
        for position, row in enumerate(new):
            if (was := before.get(_identity(row))) is not None:
                new[position] = _merged([was], row, kind)
    return new


def _identity(row: AnyTable) -> str:
    """Return what makes a row of an array the same one in two locks."""
    values = row.unwrap()
    source: Mapping[str, object] = next(
        (values[kind] for kind in ("archive", "directory", "vcs") if kind in values), {}
    )
    keys = [values.get(key) for key in ("name", "version", "path", "source", "hook", "targets")]
    return repr([*keys, *(source.get(key) for key in ("url", "path", "commit-id", "subdirectory"))])


def _has_header(key: Key | None, value: Item) -> bool:
    return isinstance(value, Table | AoT) and not (key is not None and key.is_dotted())


def _kept(part: AnyTable, key: Key, value: Item, *, inline: bool) -> tuple[Key, Item]:
    """Return a key and its value, as they were; on one line where the table was written in another style."""
    if isinstance(part, InlineTable) != inline:
        table = inline_table()
        table[key.key] = value.unwrap()
        ((_, value),) = table.value.body
        key = SingleKey(key.key)
    if isinstance(value, Table | AoT) and not key.is_dotted():
        for each in value if isinstance(value, AoT) else [value]:
            each.trivia.indent = "\n"
            _strip_end(each)
    else:
        value.trivia.trail = "" if inline else "\n"
    return key, value


def _strip_end(table: Table) -> None:
    """Remove the blank lines after a table: in a new lock each header has its own."""
    body = table.value.body
    while body and isinstance(body[-1][1], Whitespace):
        body.pop()
    last = body[-1][1] if body else None
    if isinstance(last, Table):
        _strip_end(last)
    elif isinstance(last, AoT):
        _strip_end(last[-1])


def _with_pairs(table: AnyTable, pairs: Pairs) -> AnyTable:
    body = fill(Container(parsed=True), pairs)
    if isinstance(table, InlineTable):
        return InlineTable(body, table.trivia, new=True)
    return Table(body, table.trivia, table.is_aot_element(), table.is_super_table())
