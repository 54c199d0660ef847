"""What differs in where the files of two locks come from, and what is in them."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from deep_lock.model.changes import Change
from deep_lock.model.lock import LockedArchive, LockedFile, LockedPackage, LockedVcs
from deep_lock.model.register import Register, key_of

MAX_NAMES = 5


def file_changes(before: Register, after: Register) -> Iterator[Change]:
    """Yield other bytes, other hosts, other indexes and other publishers."""
    yield from _hashes(before, after)
    yield from _hosts(before, after)
    yield from _indexes(before, after)
    for name in sorted(before.versions.keys() & after.versions.keys()):
        yield from _publishers(before.versions[name], after.versions[name])


def _indexes(before: Register, after: Register) -> Iterator[Change]:
    """Projects that come from another index, told once for all that moved alike."""
    moved: dict[tuple[str, str], list[str]] = {}
    for name in sorted(before.versions.keys() & after.versions.keys()):
        was = {entry.index.rstrip("/") for entry in before.versions[name] if entry.index is not None}
        for entry in after.versions[name]:
            if entry.index is not None and was and entry.index.rstrip("/") not in was:
                moved.setdefault((" or ".join(sorted(was)), entry.index), []).append(name)
    for (old, new), names in sorted(moved.items()):
        told = list(dict.fromkeys(names))
        yield Change(
            code="index-changed",
            name=told[0] if len(told) == 1 else "",
            was=old,
            now=new,
            message=f"{_listed(told)} comes from {new}, not from {old}",
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def files_of(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the files of an entry, the sdist last."""
    return (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ()))


def _hashes(before: Register, after: Register) -> Iterator[Change]:
    for key in sorted(before.entries.keys() & after.entries.keys()):
        was, now = before.entries[key], after.entries[key]
        old = {file.name: file.sha256 for file in files_of(was)}
        for file in files_of(now):
            if old.get(file.name, file.sha256) != file.sha256:
                yield _other_bytes(now, file.name, old[file.name], file.sha256)
        match was.source, now.source:
            case LockedArchive() as one, LockedArchive() as other if one.sha256 != other.sha256:
                yield _other_bytes(now, other.url or other.path or "", one.sha256, other.sha256)
            case _:
                pass


def _other_bytes(entry: LockedPackage, what: str, was: str, now: str) -> Change:
    return Change(
        code="hash-changed",
        name=entry.name,
        was=was,
        now=now,
        message=f"{what}: sha256 {was[:16]}... became {now[:16]}..., and the version stayed {entry.version}",
    )


def _hosts(before: Register, after: Register) -> Iterator[Change]:
    """Hosts that the old lock has no file and no index of, each with the entries that use it."""
    known = set(_host_uses(before)) | {_host(url) for _, url in before.lock.indexes}
    if not known:
        return
    for host, names in sorted(_host_uses(after).items()):
        if host not in known:
            alike = sorted(other for other in known if is_alike(host, other))
            message = f"files of {_listed(names)} come from {host}, which is new"
            if alike:
                message += f"; it looks like {alike[0]}"
            yield Change(code="host-new", name=names[0] if len(names) == 1 else "", now=host, message=message)


def _host_uses(register: Register) -> Mapping[str, list[str]]:
    uses: dict[str, list[str]] = {}
    for entry in register.lock.packages:
        urls = [file.url for file in files_of(entry) if file.url is not None]
        if isinstance(entry.source, LockedArchive | LockedVcs) and entry.source.url is not None:
            urls.append(entry.source.url)
        for host in dict.fromkeys(map(_host, urls)):
            uses.setdefault(host, []).append(key_of(entry)[0])
    return {host: list(dict.fromkeys(names)) for host, names in uses.items()}


def _host(url: str) -> str:
    """Return scheme and host: http where https was is another host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}"


def is_alike(one: str, other: str) -> bool:
    """Whether two names differ by at most two letters, or by letters that look like others."""
    if _folded(one) == _folded(other):
        return True
    return abs(len(one) - len(other)) <= 2 and 0 < _distance(one, other) <= 2


_SIGHT = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "_": "-", ".": "-"})


def _folded(name: str) -> str:
    return name.lower().translate(_SIGHT).replace("rn", "m").replace("vv", "w")


def _distance(one: str, other: str) -> int:
    """The edit distance with swaps of neighbours (Damerau, optimal string alignment)."""
    rows = [list(range(len(other) + 1))]
    for place, letter in enumerate(one, 1):
        row = [place]
        for column, against in enumerate(other, 1):
            cost = min(rows[-1][column] + 1, row[-1] + 1, rows[-1][column - 1] + (letter != against))
            if place > 1 and column > 1 and letter == other[column - 2] and one[place - 2] == against:
                cost = min(cost, rows[-2][column - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _publishers(was: tuple[LockedPackage, ...], now: tuple[LockedPackage, ...]) -> Iterator[Change]:
    """PEP 740: who vouched for the release before, and who does for this one."""
    before = {identity for entry in was for identity in entry.attestation_identities}
    after = {identity for entry in now for identity in entry.attestation_identities}
    if before and not before & after:
        told = " and ".join(sorted(map(_identity, after))) or "nobody"
        message = f"{told} vouches for it; before it was {' and '.join(sorted(map(_identity, before)))}"
        yield Change(code="provenance-lost", name=now[0].name, message=message)


def _identity(identity: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{key} {value}" for key, value in identity)
