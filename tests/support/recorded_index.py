"""Real packages, recorded: an index on loopback that serves `fixtures/real_packages/index.tar.xz`.

The archive holds what a lock reads and no more:

``pages/NAME.json``      the project page, with the releases that a lock read and those next to them; URLs are file names
``metadata/FILE``        the METADATA of the wheel FILE, without the description
``sdists/FILE``          the sdist FILE, with the members that configure a build; the page has its own size and sha256

Every wheel that has METADATA here is offered with it (PEP 658). `tests/real_packages/record.py` makes the archive.
"""

import bz2
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from tests.support.index_server import JSON_TYPE, File, IndexServer

RECORDING = Path(__file__).parents[2] / "fixtures" / "real_packages" / "index.tar.xz"
NAMES = frozenset({"pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO", "requires.txt", "Cargo.lock"})
VERSIONS = frozenset({"__init__.py", "_version.py", "version.py", "__about__.py"})
"""Files that configure a build, and small ones that state a version. At the top of the sdist, other small texts are kept too."""
MAX_TEXT_BYTES = 30_000


@dataclass(kw_only=True)
class RecordedIndex(IndexServer):
    """Serves a recording."""

    pages: Mapping[str, dict[str, Any]]
    metadata: Mapping[str, bytes]
    sdists: Mapping[str, bytes]

    @classmethod
    def load(cls) -> Self:
        """Read the recording of the fixtures."""
        found: dict[str, dict[str, bytes]] = {"pages": {}, "metadata": {}, "sdists": {}}
        with tarfile.open(RECORDING) as archive:
            for member in archive:
                kind, _, name = member.name.partition("/")
                opened = archive.extractfile(member)
                assert opened is not None
                found[kind][name] = opened.read()
        pages = {name.removesuffix(".json"): json.loads(text) for name, text in found["pages"].items()}
        return cls(pages=pages, metadata=found["metadata"], sdists=found["sdists"])

    def __enter__(self) -> Self:
        """Start to serve; without Nagle's algorithm, which makes each answer wait 40 ms."""
        super().__enter__()
        self._server.RequestHandlerClass.disable_nagle_algorithm = True  # type: ignore[attr-defined]  # of StreamRequestHandler
        return self

    def page(self, name: str) -> tuple[str, bytes] | None:
        """Content-Type and body of a recorded page."""
        page = self.pages.get(name)
        if page is None:
            return None
        files = [{**entry, "url": f"{self.origin}/files/{entry['url']}"} for entry in page["files"]]
        return JSON_TYPE, json.dumps({**page, "files": files}).encode()

    def find(self, path: str) -> tuple[File, bool] | None:
        """The recorded file of a path, and whether its metadata was asked for."""
        filename = path.rpartition("/")[2]
        wheel = filename.removesuffix(".metadata")
        if wheel != filename and wheel in self.metadata:
            return File(filename=wheel, content=b"", metadata=self.metadata[wheel]), True
        if filename in self.sdists:
            return File(filename=filename, content=self.sdists[filename]), False
        return None


@dataclass(kw_only=True)
class Recording:
    """What was read from an index, whole."""

    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    sdists: dict[str, bytes] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Reduce it, and write it as one archive: the same recording gives the same bytes."""
        metadata = {name: reduced_text("PKG-INFO", text) for name, text in self.metadata.items()}
        sdists = {name: reduced_sdist(name, content) for name, content in self.sdists.items()}
        pages = {name: reduced_page(page, metadata, sdists) for name, page in self.pages.items()}
        members = {f"metadata/{name}": text for name, text in metadata.items()}
        members |= {f"sdists/{name}": content for name, content in sdists.items()}
        members |= {f"pages/{name}.json": json.dumps(page, indent=0).encode() for name, page in pages.items()}
        with tarfile.open(path, "w:xz", preset=9) as archive:
            for name, content in sorted(members.items()):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def reduced_page(page: Mapping[str, Any], metadata: Mapping[str, bytes], sdists: Mapping[str, bytes]) -> dict[str, Any]:
    """Keep the releases that were read, those next to them, and the newest one."""
    versions = {entry["filename"]: version_of(entry["filename"]) for entry in page["files"]}
    ordered = sorted({version for version in versions.values() if version is not None})
    read = {version for name, version in versions.items() if name in metadata or name in sdists}
    kept = {ordered[-1]} if ordered else set()
    for index, version in enumerate(ordered):
        if version in read:
            kept.update(ordered[max(0, index - 1) : index + 2])
    files = []
    for entry in page["files"]:
        name = entry["filename"]
        if versions[name] not in kept:
            continue
        own = {
            key: entry[key]
            for key in ("filename", "hashes", "requires-python", "size", "upload-time", "yanked")
            if key in entry
        }
        own["url"] = name
        if name in metadata:
            own["core-metadata"] = {"sha256": hashlib.sha256(metadata[name]).hexdigest()}
        if name in sdists:
            own |= {"hashes": {"sha256": hashlib.sha256(sdists[name]).hexdigest()}, "size": len(sdists[name])}
        files.append(own)
    rest = {key: page[key] for key in ("meta", "name", "project-status") if key in page}
    return {**rest, "files": files}


def version_of(filename: str) -> Version | None:
    """Return the version that the name of a file states; None for other names."""
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def reduced_sdist(filename: str, content: bytes) -> bytes:
    """Keep the first member and those that configure a build, in their order and in the format of the archive.

    What is kept is not compressed: the recording is, as a whole.
    """
    source, target = io.BytesIO(content), io.BytesIO()
    if filename.endswith(".zip"):
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
            for index, info in enumerate(old.infolist()):
                if index == 0 or is_kept(info.filename, info.file_size):
                    new.writestr(info, reduced_text(info.filename, old.read(info)), zipfile.ZIP_STORED)
        return target.getvalue()
    with tarfile.open(fileobj=source) as old_tar, tarfile.open(fileobj=target, mode="w") as new_tar:
        for index, member in enumerate(old_tar):
            if index == 0 or (member.isfile() and is_kept(member.name, member.size)):
                opened = old_tar.extractfile(member) if member.isfile() else None
                text = reduced_text(member.name, opened.read()) if opened is not None else b""
                member.size = len(text)
                new_tar.addfile(member, io.BytesIO(text))
    if filename.endswith(".bz2"):
        return bz2.compress(target.getvalue())
    return gzip.compress(target.getvalue(), compresslevel=0, mtime=0)


def is_kept(path: str, size: int) -> bool:
    """Whether a member configures a build, or can be read by a file that does."""
    own = PurePosixPath(path)
    if len(own.parts) > 4:
        return False
    if own.name in NAMES:
        return True
    if len(own.parts) > 2:
        return size <= MAX_TEXT_BYTES and own.name in VERSIONS
    return size <= MAX_TEXT_BYTES and own.suffix in {".py", ".txt", ".toml", ".cfg", ".build"}


def reduced_text(path: str, text: bytes) -> bytes:
    """Return core metadata without the description, and every other text as it is."""
    if PurePosixPath(path).name != "PKG-INFO":
        return text
    return text.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n"
