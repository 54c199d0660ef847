"""A small package index over real sockets, on loopback: what a test says it holds, and nothing else.

It keeps a log of every request, so that a test can say what must not be asked.
"""

import base64
import gzip
import hashlib
import html
import io
import json
import re
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Literal, Self

from tests.support.loopback_server import LoopbackServer

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(kw_only=True)
class File:
    """One file of a project. ``metadata`` is the PEP 658 file, None where there is none."""

    filename: str
    content: bytes
    metadata: bytes | None = None
    requires_python: str | None = None
    yanked: str | bool = False
    sha256: str | None = None
    """What the page promises; by default the truth."""

    @property
    def digest(self) -> str:
        """The sha256 that the page promises."""
        return self.sha256 or hashlib.sha256(self.content).hexdigest()


@dataclass(kw_only=True)
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]


@dataclass(kw_only=True)
class IndexServer:
    """The settings may be changed while it runs."""

    projects: dict[str, list[File]] = field(default_factory=dict)
    html: bool = False
    sidecars: Literal["hashed", "bare", "lost", "none"] = "hashed"
    """PEP 658: with a hash, without one, promised but not there, not offered."""
    ranges: Literal["yes", "ignored", "no-suffix"] = "yes"
    etags: bool = True
    cache_control: str | None = "max-age=600, public"
    auth: tuple[str, str] | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    """Path to a status that is answered in place of the truth."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Beginning of a path to the Location that is answered in place of the truth."""
    bodies: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Path to (Content-Type, body) answered in place of the truth."""
    provenance: dict[str, bytes | None] = field(default_factory=dict)
    """PEP 740: by file name the provenance object that the page promises; None is promised but not there."""
    hashes: bool = True
    status: dict[str, dict[str, str]] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    without_length: bool = False
    signature: Literal["", "needed", "ignored", "other"] = ""
    """Whether pages link files with a signature in the query; without it a file is refused, the same, or another one."""

    def __enter__(self) -> Self:
        """Start to serve."""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = LoopbackServer(handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The base URL of the simple index."""
        return f"{self.origin}/simple/"

    def asked(self, pattern: str = "") -> list[str]:
        """The paths asked for so far that hold ``pattern``."""
        return [request.path for request in list(self.log) if pattern in request.path]

    def find(self, path: str) -> tuple[File, bool] | None:
        """The file of a path, and whether its metadata was asked for."""
        filename = path.rpartition("/")[2]
        for files in self.projects.values():
            for file in files:
                if filename == file.filename:
                    return file, False
                if filename == f"{file.filename}.metadata":
                    return file, True
        return None

    def page(self, name: str) -> tuple[str, bytes] | None:
        """Content-Type and body of a project page."""
        if name not in self.projects:
            return None
        if self.html:
            return HTML_TYPE, self._html(name).encode()
        page: dict[str, object] = {"meta": {"api-version": "1.1"}, "name": name}
        page["files"] = [self._entry(file) for file in self.projects[name]]
        if name in self.status:
            page["project-status"] = self.status[name]
        return JSON_TYPE, json.dumps(page).encode()

    def _entry(self, file: File) -> dict[str, object]:
        entry: dict[str, object] = {
            "filename": file.filename,
            "url": f"{self.origin}/files/{file.filename}{self._query()}",
            "hashes": {"sha256": file.digest} if self.hashes else {},
            "requires-python": file.requires_python,
            "size": len(file.content),
            "upload-time": "2024-05-06T07:08:09.000000Z",
            "yanked": file.yanked,
        }
        if file.filename in self.provenance:
            entry["provenance"] = f"{self.origin}/integrity/{file.filename}/provenance"
        offer = self._offer(file)
        if offer is not None:
            entry["core-metadata"] = {"sha256": offer} if offer else True
        return entry

    def _query(self) -> str:
        return "?X-Amz-Date=20250101T000000Z&X-Amz-Expires=300&X-Amz-Signature=abc123" if self.signature else ""

    def _offer(self, file: File) -> str | None:
        if file.metadata is None or self.sidecars == "none":
            return None
        return "" if self.sidecars == "bare" else hashlib.sha256(file.metadata).hexdigest()

    def _html(self, name: str) -> str:
        lines = []
        for file in self.projects[name]:
            fragment = f"#sha256={file.digest}" if self.hashes else ""
            attributes = f'href="../../files/{file.filename}{html.escape(self._query())}{fragment}"'
            if file.requires_python:
                attributes += f' data-requires-python="{html.escape(file.requires_python)}"'
            offer = self._offer(file)
            if offer is not None:
                attributes += f' data-core-metadata="{f"sha256={offer}" if offer else "true"}"'
            if file.yanked is not False:
                attributes += f' data-yanked="{html.escape(file.yanked) if isinstance(file.yanked, str) else ""}"'
            lines.append(f"<a {attributes}>{file.filename}</a>\n")
        return (
            '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"></head><body>\n'
            + "".join(lines)
            + "</body></html>\n"
        )


@dataclass(kw_only=True)
class _Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    owner: "IndexServer"
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives it
        """Say nothing."""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.log.append(Request(path=self.path, headers=headers))
        reply = self._reply(headers)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.owner.without_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _reply(self, headers: dict[str, str]) -> _Reply:
        owner = self.owner
        if owner.auth is not None:
            wanted = base64.b64encode(":".join(owner.auth).encode()).decode()
            if headers.get("authorization") != f"Basic {wanted}":
                return _Reply(status=401)
        if self.path in owner.statuses:
            return _Reply(status=owner.statuses[self.path])
        for start, location in owner.redirects.items():
            if self.path.startswith(start):
                return _Reply(status=302, headers={"Location": location})
        if self.path in owner.bodies:
            kind, body = owner.bodies[self.path]
            return _Reply(status=200, body=body, headers={"Content-Type": kind})
        match = re.fullmatch(r"/(simple|integrity)/([^/]+)/(?:provenance)?", self.path)
        if match is None:
            return self._file(headers)
        return self._page(match[2], headers) if match[1] == "simple" else self._provenance(match[2])

    def _provenance(self, filename: str) -> _Reply:
        body = self.owner.provenance.get(filename)
        if body is None:
            return _Reply(status=404)
        return _Reply(status=200, body=body, headers={"Content-Type": "application/vnd.pypi.integrity.v1+json"})

    def _page(self, name: str, headers: dict[str, str]) -> _Reply:
        found = self.owner.page(name)
        if found is None:
            return _Reply(status=404)
        kind, body = found
        extra = {"Content-Type": kind}
        if self.owner.cache_control is not None:
            extra["Cache-Control"] = self.owner.cache_control
        if self.owner.etags:
            extra["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if headers.get("if-none-match") == extra["ETag"]:
                return _Reply(status=304, headers=extra)
        return _Reply(status=200, body=body, headers=extra)

    def _file(self, headers: dict[str, str]) -> _Reply:
        is_unsigned = "X-Amz-Signature=abc123" not in self.path
        is_refused = self.owner.signature == "needed" and is_unsigned
        found = self.owner.find(self.path.partition("?")[0])
        if found is None or is_refused:
            return _Reply(status=403 if is_refused else 404)
        file, is_metadata = found
        if self.owner.signature == "other" and is_unsigned:
            file = replace(file, content=file.content[::-1] + b"x")
        if is_metadata:
            if file.metadata is None or self.owner.sidecars == "lost":
                return _Reply(status=404)
            return _Reply(status=200, body=file.metadata)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
        if wanted is None or self.owner.ranges == "ignored":
            return _Reply(status=200, body=file.content)
        size = len(file.content)
        if not wanted[1]:
            if self.owner.ranges == "no-suffix":
                return _Reply(status=416, headers={"Content-Range": f"bytes */{size}"})
            first, last = max(0, size - int(wanted[2])), size - 1
        else:
            first, last = int(wanted[1]), min(int(wanted[2]), size - 1)
        return _Reply(
            status=206,
            body=file.content[first : last + 1],
            headers={"Content-Range": f"bytes {first}-{last}/{size}"},
        )


def metadata_text(name: str, version: str, *requires: str) -> bytes:
    """Core metadata."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    return "\n".join(lines).encode() + b"\n\nA description.\n"


def make_wheel(
    name: str, version: str, *requires: str, tags: str = "py3-none-any", padding: int = 0, metadata: bytes | None = None
) -> File:
    """A wheel that is a real one as far as its METADATA goes. ``padding`` bytes make it too large for one range."""
    text = metadata_text(name, version, *requires) if metadata is None else metadata
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in (
            (f"{folder}/METADATA", text),
            ("padding.bin", hashlib.shake_256(b"padding").digest(padding)),
            (f"{folder}/WHEEL", b"Wheel-Version: 1.0\n"),
        ):
            archive.writestr(zipfile.ZipInfo(path), content)
    return File(filename=f"{name.replace('-', '_')}-{version}-{tags}.whl", content=stream.getvalue(), metadata=text)


def make_sdist(name: str, version: str, metadata: bytes | None = None) -> File:
    """An sdist with nothing but a PKG-INFO."""
    text = metadata_text(name, version) if metadata is None else metadata
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return File(filename=f"{name}-{version}.tar.gz", content=stream.getvalue())
