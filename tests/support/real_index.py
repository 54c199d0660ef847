"""Real packages: what their files really say, and the command run against an index that has them.

No address stands here: the real index is the one that the product asks, or DEEP_LOCK_DEFAULT_INDEX. Files come over the product's
transport, for its proxies, certificates, deadlines and digests; what they say is read with the standard library alone.
"""

import io
import os
import socket
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from deep_lock.cli.main import run
from deep_lock.events import silent
from deep_lock.index.settings import Fetcher
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.network.client import open_client
from deep_lock.network.public_index import public_index
from deep_lock.targets.factory import make_target
from deep_lock.targets.target import Target
from tests.support.closedness import faults
from tests.support.scenarios import PLAIN, installed, selected

UNDECLARED = "setuptools>=40.8.0"
"""What every front end asks for where there is no ``[build-system]`` (PEP 517)."""
MAX_METADATA_BYTES = 16 * 1024 * 1024
MAX_FILE_BYTES = 256 * 1024 * 1024
FILE_SECONDS = 120.0


def index_url() -> str:
    """Return the index that the product asks in this environment, as written."""
    url = os.environ.get("DEEP_LOCK_DEFAULT_INDEX") or public_index()
    return url if url.endswith("/") else f"{url}/"


def open_fetcher(url: str) -> Fetcher:
    """Return the network as the command line sets it up for an index."""
    environ = dict(os.environ)
    return open_client(
        {"default": url},
        environ=environ,
        netrc_file=Path(environ["NETRC"]) if environ.get("NETRC") else Path.home() / ".netrc",
        ca_file=environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"),
        insecure_hosts=frozenset(environ.get("DEEP_LOCK_ALLOW_INSECURE_HOST", "").split()),
        client_certs={},
        reporter=silent,
    )


@dataclass(kw_only=True)
class Shelf:
    """The files of locks, fetched once in a session; their digests are the ones that the locks give."""

    index: str
    fetcher: Fetcher
    _held: dict[str, Mapping[str, bytes]] = field(default_factory=dict)

    def members(self, file: LockedFile) -> Mapping[str, bytes]:
        """Return the texts of a file that say what it asks for, by path below the top folder."""
        if file.sha256 not in self._held:
            self._held[file.sha256] = self._read(file)
        return self._held[file.sha256]

    def _read(self, file: LockedFile) -> Mapping[str, bytes]:
        assert file.url is not None, "an index gives URLs"
        if file.name.endswith(".whl"):
            sidecar = self.fetcher.get(
                f"{file.url}.metadata", named_by=f"{file.url}.metadata", limit=MAX_METADATA_BYTES, deadline=FILE_SECONDS
            )
            if sidecar.status == 200:
                return {"METADATA": sidecar.body}
        content = io.BytesIO()
        self.fetcher.download(
            file.url, content, named_by=file.url, limit=MAX_FILE_BYTES, deadline=FILE_SECONDS, sha256=file.sha256
        )
        content.seek(0)
        found = {path.partition("/")[2]: text for path, text in _archived(content, file.name) if _is_telling(path)}
        assert found, f"{file.name} says nothing of itself"
        return found


def _is_telling(path: str) -> bool:
    below = path.partition("/")[2]
    return below in {"pyproject.toml", "PKG-INFO", "METADATA"} or below.endswith(".egg-info/requires.txt")


def _archived(content: io.BytesIO, name: str) -> Iterator[tuple[str, bytes]]:
    if name.endswith((".zip", ".whl")):
        with zipfile.ZipFile(content) as archive:
            for path in archive.namelist():
                if _is_telling(path):
                    yield path, archive.read(path)
        return
    with tarfile.open(fileobj=content) as tar:
        for member in tar:
            if member.isfile() and _is_telling(member.name):
                opened = tar.extractfile(member)
                assert opened is not None
                yield member.name, opened.read()


@dataclass(frozen=True, kw_only=True)
class LockedTruth:
    """closedness.Truth: what the files that a lock names say of themselves."""

    lock: Lock
    shelf: Shelf

    def _members(self, filename: str) -> Mapping[str, bytes]:
        for entry in self.lock.packages:
            for file in (entry.sdist, *entry.wheels):
                if file is not None and file.name == filename:
                    return self.shelf.members(file)
        raise LookupError(filename)

    def requires_dist(self, filename: str) -> Sequence[str]:
        """Return the Requires-Dist texts; of an old sdist, whose PKG-INFO names none, those of its egg-info."""
        members = self._members(filename)
        if "METADATA" in members:
            return _requires(BytesParser().parsebytes(members["METADATA"]))
        told = BytesParser().parsebytes(members["PKG-INFO"])
        if texts := _requires(told):
            return texts
        old = [text.decode() for path, text in members.items() if path.endswith("requires.txt")]
        return [line for text in old for line in _egg_requires(text)]

    def build_requires(self, filename: str) -> Sequence[str]:
        """Return ``[build-system] requires``, or what stands for it where there is none."""
        text = self._members(filename).get("pyproject.toml")
        table = tomllib.loads(text.decode()).get("build-system") if text is not None else None
        return [UNDECLARED] if table is None else list(table["requires"])


def _requires(told: Message) -> list[str]:
    return [str(text) for text in told.get_all("Requires-Dist") or ()]


def _egg_requires(text: str) -> Iterator[str]:
    """Read requires.txt: requirements, in sections ``[extra]``, ``[:marker]`` and ``[extra:marker]``."""
    condition = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            extra, _, marker = line.strip("[]").partition(":")
            parts = [f"({marker})"] if marker else []
            parts += [f"extra == '{extra}'"] if extra else []
            condition = f" ; {' and '.join(parts)}"
        else:
            yield line + condition


@contextmanager
def no_network(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[None]:
    """Run with an empty cache and a proxy that nobody answers for: whoever asks an index fails."""
    with monkeypatch.context() as own, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for spelled in (name, name.upper()):
                own.setenv(spelled, f"http://127.0.0.1:{taken.getsockname()[1]}")
        own.delenv("no_proxy", raising=False)
        own.delenv("NO_PROXY", raising=False)
        own.setenv("DEEP_LOCK_CACHE_DIR", str(cache))
        yield


@dataclass(kw_only=True)
class RealBench:
    """A project's folder, the index, and the command."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    shelf: Shelf

    def ask(self, *requirements: str) -> None:
        """Write a plain project that asks for these."""
        (self.folder / "pyproject.toml").write_text(PLAIN.format(list(requirements)), encoding="utf-8")

    def run(self, *flags: str) -> tuple[int, str]:
        """Run ``deep-lock lock`` in this process; return its exit code and what it says."""
        self.capture.readouterr()
        code = run(["lock", "--project", str(self.folder), *flags])
        told = self.capture.readouterr()
        assert told.out == "", "stdout is for data"
        assert "Traceback" not in told.err
        return code, told.err

    def lock(self, *flags: str) -> Lock:
        """Lock, and judge the lock by the laws that hold for each. A lock that stands needs no network."""
        code, told = self.run(*flags)
        assert code == 0, told
        path = self.folder / "deep.lock"
        content = path.read_bytes()
        lock = from_text(content.decode(), path.name)
        judge(lock, content.decode(), self.shelf)
        with no_network(self.monkeypatch, self.folder / "no-cache"):
            for again in ((*flags, "--check"), flags):
                code, told = self.run(*again)
                assert (code, path.read_bytes()) == (0, content), told
        return lock


def judge(lock: Lock, text: str, shelf: Shelf) -> None:
    """Hold a lock to the files that it names, and to what packaging makes of it."""
    targets = targets_of(lock)
    scope = str(dict(lock.options)["build-scope"])
    project = lock.inputs.build_requires is not None
    assert faults(lock, targets, LockedTruth(lock=lock, shelf=shelf), scope=scope, project=project) == []
    parsed = Pylock.from_dict(tomllib.loads(text))
    for target in targets:
        assert selected(parsed, target) == installed(lock, target), target.label


def targets_of(lock: Lock) -> tuple[Target, ...]:
    """Return the targets of a lock."""
    return tuple(make_target(target.python, target.platform, host=None) for target in lock.targets)
