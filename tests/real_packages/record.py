"""Makes fixtures/real_packages/index.tar.xz: runs the live tests against an index that hands on the real one.

    python -m tests.real_packages.record

Run the tests afterwards, and look at what changed: a new recording has new releases.
"""

import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin

from deep_lock.index.settings import Fetcher
from deep_lock.network.urls import without_user_info
from tests.support.index_server import JSON_TYPE, File, IndexServer
from tests.support.real_index import FILE_SECONDS, MAX_FILE_BYTES, MAX_METADATA_BYTES, index_url, open_fetcher
from tests.support.recorded_index import RECORDING, Recording

Kept = TypeVar("Kept")


@dataclass(kw_only=True)
class RecordingIndex(IndexServer):
    """Serves the real index, and keeps what was read."""

    fetcher: Fetcher
    found: Recording = field(default_factory=Recording)
    _urls: dict[str, str] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def _once(self, kept: dict[str, Kept], name: str, fetch: Callable[[], Kept]) -> Kept:
        with self._locks.setdefault(name, threading.Lock()):
            if name not in kept:
                kept[name] = fetch()
            return kept[name]

    def page(self, name: str) -> tuple[str, bytes] | None:
        """The real page: its files are here, and every wheel is offered with its metadata."""
        page = self._once(self.found.pages, name, lambda: self._page(name))
        if not page:
            return None
        files = []
        for entry in page["files"]:
            self._urls[entry["filename"]] = entry["url"]
            own = {**entry, "url": f"{self.origin}/files/{entry['filename']}"}
            files.append({**own, "core-metadata": True} if entry["filename"].endswith(".whl") else own)
        return JSON_TYPE, json.dumps({**page, "files": files}).encode()

    def _page(self, name: str) -> dict[str, Any]:
        url = f"{without_user_info(index_url())}{name}/"
        got = self.fetcher.get(
            url,
            named_by=url,
            headers={"Accept": JSON_TYPE},
            limit=MAX_METADATA_BYTES * 4,
            deadline=FILE_SECONDS,
        )
        if got.status != 200:
            return {}
        page: dict[str, Any] = json.loads(got.body)
        for entry in page["files"]:
            entry["url"] = urljoin(got.url, entry["url"])
        return page

    def find(self, path: str) -> tuple[File, bool] | None:
        """The real sdist, or the metadata of the real wheel."""
        filename = path.rpartition("/")[2]
        wheel = filename.removesuffix(".metadata")
        if wheel not in self._urls:
            return None
        if wheel.endswith(".whl"):
            text = self._once(self.found.metadata, wheel, lambda: self._metadata(wheel))
            return File(filename=wheel, content=b"", metadata=text), True
        return File(filename=wheel, content=self._once(self.found.sdists, wheel, lambda: self._file(wheel))), False

    def _metadata(self, wheel: str) -> bytes:
        got = self.fetcher.get(
            f"{self._urls[wheel]}.metadata",
            named_by=f"{self._urls[wheel]}.metadata",
            limit=MAX_METADATA_BYTES,
            deadline=FILE_SECONDS,
        )
        if got.status == 200:
            return got.body
        with zipfile.ZipFile(io.BytesIO(self._file(wheel))) as archive:
            (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            return archive.read(name)

    def _file(self, filename: str) -> bytes:
        content = io.BytesIO()
        self.fetcher.download(
            self._urls[filename],
            content,
            named_by=self._urls[filename],
            limit=MAX_FILE_BYTES,
            deadline=FILE_SECONDS,
            sha256=None,
        )
        return content.getvalue()


def main() -> int:
    """Run the live tests, and write the recording if they pass."""
    fetcher = open_fetcher(index_url())
    with RecordingIndex(fetcher=fetcher) as server:
        environ = {**os.environ, "DEEP_LOCK_DEFAULT_INDEX": server.url}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "live", "tests/real_packages", *sys.argv[1:]]
        ended = subprocess.run(command, env=environ, check=False)
    fetcher.close()
    if ended.returncode == 0:
        server.found.pages = {name: page for name, page in server.found.pages.items() if page}
        server.found.write(RECORDING)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
