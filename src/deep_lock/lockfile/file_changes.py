"""What differs in where the files of two locks come from, and what is in them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from deep_lock.model.changes import Change
from deep_lock.model.likeness import is_alike
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
    known = set(_host_uses(before)) | {host_of(url) for _, url in before.lock.indexes}
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
        for host in dict.fromkeys(map(host_of, urls)):
            uses.setdefault(host, []).append(key_of(entry)[0])
    return {host: list(dict.fromkeys(names)) for host, names in uses.items()}


def host_of(url: str) -> str:
    """Return scheme, host and port of a URL: http where https was is another host."""
    end = url.find("/", len("https://"))
    return _origin(url[:end] if end > 0 else url)


@lru_cache(maxsize=1024)
def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}"


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
