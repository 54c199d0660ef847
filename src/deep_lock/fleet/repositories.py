"""The list of a fleet's repositories: a TOML file, JSON lines, a list of URLs, or a folder of checkouts."""

import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from deep_lock.boundary import reading
from deep_lock.errors import ConfigError, UsageError, raise_machine_fault
from deep_lock.files import open_regular
from deep_lock.fleet.records import Repository
from deep_lock.network.urls import shown_url
from deep_lock.parsing.toml import parse_toml
from deep_lock.sanitize import show

MAX_BYTES = 64 * 1024 * 1024
STREAM = "-"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_SCHEMES = frozenset({"http", "https", "ssh", "file"})
_KEYS = frozenset({"url", "path", "name", "ref", "projects", "exclude"})
_DEFAULTS = frozenset({"ref", "projects", "exclude"})


def read_repositories(sources: Iterable[str]) -> tuple[Repository, ...]:
    """Read the lists: ``*.toml``, JSON lines (``*.jsonl``, ``*.json`` and ``-``), a folder of checkouts, else lines of ``URL [REF]``.

    Sorted by name. Raises UsageError and ConfigError, with file and line.
    """
    found: dict[str, Repository] = {}
    for source in sources:
        for where, own in _read(source):
            if own.name in found:
                raise ConfigError(
                    f"{where}: another repository has the name {show(own.name)!r}", hint="set name in one of them"
                )
            found[own.name] = own
    if not found:
        raise UsageError("the fleet has no repositories")
    return tuple(found[name] for name in sorted(found))


def chosen(
    repositories: Iterable[Repository], only: Iterable[str], excepted: Iterable[str], shard: str
) -> tuple[Repository, ...]:
    """Return the repositories that patterns of names and the shard ``i/n`` select. Raises UsageError."""
    only, excepted = tuple(only), tuple(excepted)
    index, count = read_shard(shard) if shard else (1, 1)
    kept = (own for own in repositories if is_chosen(own.name, only, excepted))
    # by the name, so that a new repository changes the shard of no other one
    return tuple(own for own in kept if count == 1 or _number(own.name) % count == index - 1)


def is_chosen(name: str, only: Collection[str], excepted: Iterable[str]) -> bool:
    """Whether patterns select a name: one of ``only``, which are all names where it is empty, and none of ``excepted``."""
    wanted = not only or any(fnmatchcase(name, pattern) for pattern in only)
    return wanted and not any(fnmatchcase(name, pattern) for pattern in excepted)


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def read_shard(text: str) -> tuple[int, int]:
    """Read ``i/n``, with 1 <= i <= n. Raises UsageError."""
    first, _, second = text.partition("/")
    if first.isascii() and second.isascii() and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise UsageError(f"--shard {show(text)}: must be i/n, as in 2/8: the second of eight parts")


def _read(source: str) -> Iterator[tuple[str, Repository]]:
    path = Path(source)
    if source == STREAM:
        yield from _json_lines(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
    elif path.is_dir():
        yield from _checkouts(path)
    else:
        raw = _content(path)
        match path.suffix:
            case ".toml":
                yield from _toml(raw, source)
            case ".json" | ".jsonl" | ".ndjson":
                yield from _json_lines(raw, source)
            case _:
                yield from _urls(raw, source)


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _text(raw: bytes, source: str) -> str:
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{source}: more than {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: is not UTF-8") from None


def _toml(raw: bytes, source: str) -> Iterator[tuple[str, Repository]]:
    document = parse_toml(_text(raw, source), source, ConfigError, limit=MAX_BYTES)
    unknown = sorted(set(document) - {"defaults", "repositories"})
    if unknown:
        raise ConfigError(
            f"{source}: {show(unknown[0])!r} is not a known key", hint="the keys are defaults and repositories"
        )
    defaults, rows = document.get("defaults", {}), document.get("repositories", [])
    if not isinstance(defaults, dict) or not isinstance(rows, list):
        raise ConfigError(f"{source}: defaults must be a table, and repositories an array of tables")
    _refuse_unknown(defaults, _DEFAULTS, f"{source}, defaults")
    base = Path(source).parent
    for number, row in enumerate(rows, 1):
        where = f"{source}, repositories, number {number}"
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: must be a table")
        yield where, _repository({**defaults, **row}, where, base)


def _json_lines(raw: bytes, source: str) -> Iterator[tuple[str, Repository]]:
    base = Path() if source == "standard input" else Path(source).parent
    for number, line in enumerate(_text(raw, source).splitlines(), 1):
        where = f"{source}, line {number}"
        if not line.strip():
            continue
        with reading(where, ConfigError):
            row = msgspec.json.decode(line)
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: must be an object, as {{'url': 'https://git.example/app.git'}}")
        yield where, _repository(row, where, base)


def _urls(raw: bytes, source: str) -> Iterator[tuple[str, Repository]]:
    for number, line in enumerate(_text(raw, source).splitlines(), 1):
        where = f"{source}, line {number}"
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) > 2:
            raise ConfigError(f"{where}: a line is a URL, and where wanted a branch, a tag or a commit")
        yield (
            where,
            _repository({"url": parts[0], **({"ref": parts[1]} if parts[1:] else {})}, where, Path(source).parent),
        )


def _checkouts(folder: Path) -> Iterator[tuple[str, Repository]]:
    """Yield each git repository in a folder. What is committed is used, and the checkout stays as it is."""
    try:
        found = sorted(own for own in folder.iterdir() if (own / ".git").exists() or _is_bare(own))
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{folder}: {error.strerror or error}") from None
    if not found:
        raise UsageError(f"{folder}: no folder in it is a git repository")
    for own in found:
        yield str(own), _repository({"path": own.name}, str(own), folder)


def _is_bare(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


# -- one repository


def _repository(row: Mapping[str, Any], where: str, base: Path) -> Repository:
    _refuse_unknown(row, _KEYS, where)
    if ("url" in row) == ("path" in row):
        raise ConfigError(f"{where}: must have url or path, and not both")
    for key in ("url", "path", "name", "ref"):
        if key in row and (not isinstance(row[key], str) or not row[key] or not row[key].isprintable()):
            raise ConfigError(f"{where}: {key} must be a text that is not empty")
    if "path" in row:
        path = (base / row["path"]).absolute()
        url, default = path.as_uri(), path.name.removesuffix(".git")
        _check_url(url, where)
    else:
        url = row["url"]
        _check_url(url, where)
        default = _default_name(url)
    ref = row.get("ref")
    if ref is not None and ref.startswith("-"):
        raise ConfigError(f"{where}: ref must not begin with '-'")
    name = row.get("name", default)
    if not _NAME.fullmatch(name) or ".." in name.split("/"):
        raise ConfigError(
            f"{where}: {show(name)!r} cannot be the name of a repository",
            hint="set name, in a list with path where this is a folder of checkouts: letters, digits, '.', '_', '-', and '/' between them",
        )
    return Repository(
        name=name,
        url=url,
        ref=ref,
        projects=_patterns(row, "projects", where),
        exclude=_patterns(row, "exclude", where),
    )


def _default_name(url: str) -> str:
    """Return the path of a URL without its suffix: ``team/app`` of ``https://git.example/team/app.git``."""
    path = urlsplit(url).path if "://" in url else url.partition(":")[2]
    if url.startswith("file:"):
        path = path.rstrip("/").rpartition("/")[2]
    return path.strip("/").removesuffix(".git")


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        is_known = parts.scheme in _SCHEMES if "://" in url else bool(re.fullmatch(r"[\w.-]+@[\w.-]+:[^-].*", url))
        has_password = parts.password is not None or (parts.scheme.startswith("http") and parts.username is not None)
        has_more = "://" in url and ("?" in url or "#" in url)
    except ValueError:
        is_known, has_password, has_more = False, False, False
    if not is_known or url.startswith("-"):
        raise ConfigError(
            f"{where}: {shown_url(url)!r} is not the URL of a repository",
            hint="it begins with https://, ssh:// or file://",
        )
    if has_password:
        raise ConfigError(
            f"{where}: the URL has a password or a token, which would be in the state folder",
            hint="use ssh, or a proxy on this machine that adds it",
        )
    if has_more:
        raise ConfigError(
            f"{where}: {shown_url(re.split('[?#]', url)[0])!r} has a query or a fragment, which may be a token and would be in the state folder",
            hint="name the repository without it; the branch, tag or commit is ref",
        )


def _patterns(row: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = row.get(key, [])
    if not isinstance(values, list) or not all(isinstance(own, str) and own for own in values):
        raise ConfigError(f"{where}: {key} must be a list of patterns")
    return tuple(values)


def _refuse_unknown(row: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(row) - known)
    if unknown:
        raise ConfigError(
            f"{where}: {show(unknown[0])!r} is not a known key", hint=f"the keys are {', '.join(sorted(known))}"
        )
