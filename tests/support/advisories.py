"""Records of the OSV schema, databases of them, and a service with an OSV API on loopback that refuses what it does not hold."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.support.loopback_server import LoopbackServer

Record = dict[str, Any]
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
MEDIUM = "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:N"
V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
V2 = "AV:N/AC:L/Au:N/C:P/I:P/A:P"


def events(*pairs: str) -> list[dict[str, str]]:
    """Return events from texts such as "introduced 1.0"."""
    return [dict([text.split(" ", 1)]) for text in pairs]


def record(
    own: str,
    name: str,
    *pairs: str,
    versions: Sequence[str] = (),
    ecosystem: str = "PyPI",
    kind: str = "ECOSYSTEM",
    score: str = "",
    **more: Any,
) -> Record:
    """Return a record about one project; ``pairs`` are its events."""
    affected: Record = {"package": {"ecosystem": ecosystem, "name": name}}
    if pairs:
        affected["ranges"] = [{"type": kind, "events": events(*pairs)}]
    if versions:
        affected["versions"] = list(versions)
    made: Record = {
        "schema_version": "1.7.0",
        "id": own,
        "modified": "2026-11-14T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "summary": f"Summary of {own}",
        "details": "Details.",
        "affected": [affected],
        "references": [
            {"type": "WEB", "url": f"https://web.example/{own}"},
            {"type": "ADVISORY", "url": f"https://advisories.example/{own}"},
        ],
    }
    if score:
        kinds = {"CVSS:3": "CVSS_V3", "CVSS:4": "CVSS_V4"}
        made["severity"] = [{"type": kinds.get(score[:6], "CVSS_V2"), "score": score}]
    return {**made, **more}


def zip_of(records: Iterable[Record | bytes]) -> bytes:
    """Return an export: one document for each record."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, own in enumerate(records):
            data = own if isinstance(own, bytes) else json.dumps(own).encode()
            name = f"BROKEN-{number}" if isinstance(own, bytes) else quote(str(own["id"]), safe="")
            archive.writestr(zipfile.ZipInfo(f"{name}.json"), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def write_zip(path: Path, *records: Record | bytes) -> Path:
    """Write an export."""
    path.write_bytes(zip_of(records))
    return path


@dataclass(kw_only=True)
class OsvServer:
    """The API of a service, and the URL of an export. A query for what was not declared is refused with 400."""

    vulnerable: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    """By name and version: the records that affect it."""
    clean: set[tuple[str, str]] = field(default_factory=set)
    """What may be queried, and has nothing."""
    page_size: int = 1000
    export: bytes = b""
    redirect: str = ""
    """The Location of every response to a query."""
    log: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    batches: list[list[dict[str, Any]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = LoopbackServer(handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.export).hexdigest()[:16]}"'

    def results(self, queries: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """Return the results of queries; None where one is about what is not known."""
        found = []
        for query in queries:
            package = query["package"]["name"], query["version"]
            if query["package"]["ecosystem"] != "PyPI" or package not in {*self.vulnerable, *self.clean}:
                return None
            begin = int(query.get("page_token", "0"))
            own = self.vulnerable.get(package, [])
            page = own[begin : begin + self.page_size]
            result: dict[str, Any] = {"vulns": [{"id": each["id"], "modified": each["modified"]} for each in page]}
            if not page:
                result = {}
            if begin + self.page_size < len(own):
                result["next_page_token"] = str(begin + self.page_size)
            found.append(result)
        return found


class _Handler(BaseHTTPRequestHandler):
    owner: OsvServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        owner = self.owner
        owner.log.append(("GET", self.path))
        owner.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path == "/all.zip" and owner.export:
            if self.headers.get("If-None-Match") == owner.etag:
                self.send_response(304)
                self.end_headers()
                return
            self._send(200, owner.export, ETag=owner.etag)
            return
        own = self.path.removeprefix("/v1/vulns/")
        records = {each["id"]: each for known in owner.vulnerable.values() for each in known}
        if self.path.startswith("/v1/vulns/") and own in records:
            self._send(200, json.dumps(records[own]).encode(), Content_Type="application/json")
            return
        self._send(404, b"{}")

    def do_POST(self) -> None:
        owner = self.owner
        owner.log.append(("POST", self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if owner.redirect:
            self._send(307, b"", Location=owner.redirect)
            return
        if self.path != "/v1/querybatch":
            self._send(404, b"{}")
            return
        queries = json.loads(body)["queries"]
        owner.batches.append(queries)
        results = owner.results(queries) if len(queries) <= 1000 else None
        if results is None:
            self._send(400, b'{"code": 3, "message": "not known"}')
            return
        self._send(200, json.dumps({"results": results}).encode(), Content_Type="application/json")
