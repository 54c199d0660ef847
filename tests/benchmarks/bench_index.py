"""A package index of a few hundred made-up projects, on loopback: `python bench_index.py --latency-ms 30`.

Every project has three releases; each release asks for projects of a higher number, so the first ones reach all of them.
One project in ten has no wheel. The port is printed on the first line. GET /-/reset answers the counters and clears
them; GET /-/set?latency_ms=30 changes the latency of each answer, and pep658=0 leaves out the metadata files. Nothing here is
random: two runs serve the same bytes.

With --payload, wheels have the sizes of real ones: 4 to 300 KB, with 5 to 400 members.
"""

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

import click

PROJECTS = 300
VERSIONS = ("1.0", "2.0", "3.0")
BACKEND = "flit-core"
BACKEND_PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "flit_core.buildapi"\nbackend-path = ["."]\n'
PAGE_TYPE = "application/vnd.pypi.simple.v1+json"


def name_of(number: int) -> str:
    """Return the name of a made-up project."""
    return f"bench-{number:03}"


def requires(number: int, projects: int = PROJECTS) -> list[str]:
    """Return what each release of a project requires, of so many projects."""
    below = {2 * number + 1, 2 * number + 2, (7 * number + 3) % projects}
    bound = "<3" if number % 9 == 0 else ""
    return [
        f"{name_of(child)}>=1.0{',' + bound if bound else ''}" for child in sorted(below) if number < child < projects
    ]


def _metadata(name: str, version: str, asked: list[str]) -> bytes:
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}", "Summary: made up"]
    return "\n".join([*lines, *(f"Requires-Dist: {text}" for text in asked), "", ""]).encode()


PAYLOAD = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(10_000))
"""Bytes that no compression makes smaller."""


def members_of(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield the modules of a wheel: few small ones in most wheels, hundreds in some."""
    count = (5, 8, 12, 20, 30, 45, 70, 120, 200, 400)[number % 10]
    size = (800, 600, 900, 2000, 1500)[number % 5]
    for member in range(count):
        begin = (number * 977 + member * 613) % (len(PAYLOAD) - size)
        yield f"package/folder_{member % 7}/module_{member:03}.py", PAYLOAD[begin : begin + size]


def _wheel(name: str, version: str, metadata: bytes, members: Iterable[tuple[str, bytes]] = ()) -> bytes:
    stem = f"{name.replace('-', '_')}-{version}.dist-info"
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path, data in members:
            archive.writestr(zipfile.ZipInfo(path), data)
        archive.writestr(zipfile.ZipInfo(f"{stem}/METADATA"), metadata)
        archive.writestr(zipfile.ZipInfo(f"{stem}/WHEEL"), "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(zipfile.ZipInfo(f"{stem}/RECORD"), "")
    return body.getvalue()


def _sdist(name: str, version: str, metadata: bytes, pyproject: str) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for path, data in (("PKG-INFO", metadata), ("pyproject.toml", pyproject.encode())):
            member = tarfile.TarInfo(f"{name.replace('-', '_')}-{version}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(body.getvalue(), mtime=0)


def _pyproject(name: str, version: str, asked: list[str]) -> str:
    return (
        '[build-system]\nrequires = ["flit_core>=3.2,<4"]\nbuild-backend = "flit_core.buildapi"\n\n[project]\n'
        f'name = "{name}"\nversion = "{version}"\ndescription = "made up"\ndependencies = {json.dumps(asked)}\n'
    )


def releases(projects: int = PROJECTS, *, payload: bool = False) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield (project, files by name), a release each, of everything that the index holds."""
    metadata = _metadata(BACKEND, "3.12.0", [])
    files = {
        "flit_core-3.12.0-py3-none-any.whl": _wheel(BACKEND, "3.12.0", metadata),
        "flit_core-3.12.0-py3-none-any.whl.metadata": metadata,
        "flit_core-3.12.0.tar.gz": _sdist(BACKEND, "3.12.0", metadata, BACKEND_PYPROJECT),
    }
    yield BACKEND, files
    for number in range(projects):
        name, asked = name_of(number), requires(number, projects)
        for version in VERSIONS:
            metadata = _metadata(name, version, asked)
            stem = f"{name.replace('-', '_')}-{version}"
            files = {f"{stem}.tar.gz": _sdist(name, version, metadata, _pyproject(name, version, asked))}
            if number % 10 != 5:
                files[f"{stem}-py3-none-any.whl"] = _wheel(
                    name, version, metadata, members_of(number) if payload else ()
                )
                files[f"{stem}-py3-none-any.whl.metadata"] = metadata
            yield name, files


class Index:
    """The pages and files, and the counters that the measurements read."""

    def __init__(self, latency_ms: float, projects: int = PROJECTS, *, payload: bool = False) -> None:
        self.latency_ms = latency_ms
        self.requests = 0
        self.missing = 0
        self.bytes = 0
        self.has_metadata_files = True
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self.plain_pages: dict[str, bytes] = {}
        """Pages that list no metadata files."""
        listed: dict[str, list[dict[str, object]]] = {}
        for name, files in releases(projects, payload=payload):
            for filename, data in files.items():
                self.bodies[f"/files/{filename}"] = ("application/octet-stream", data)
                if not filename.endswith(".metadata"):
                    listed.setdefault(name, []).append(_entry(filename, data, files.get(f"{filename}.metadata")))
        for name, entries in listed.items():
            page = {"meta": {"api-version": "1.1"}, "name": name, "files": entries}
            self.bodies[f"/simple/{name}/"] = (PAGE_TYPE, json.dumps(page).encode())
            plain = [{key: value for key, value in entry.items() if key != "core-metadata"} for entry in entries]
            self.plain_pages[f"/simple/{name}/"] = json.dumps({**page, "files": plain}).encode()

    def control(self, target: str) -> bytes:
        """Answer the counters; clear them, or change the latency."""
        answer = {"requests": self.requests, "missing": self.missing, "bytes": self.bytes}
        path, query = urlsplit(target)[2:4]
        if path == "/-/reset":
            self.requests = self.missing = self.bytes = 0
        for latency in parse_qs(query).get("latency_ms", ()):
            self.latency_ms = float(latency)
        for value in parse_qs(query).get("pep658", ()):
            self.has_metadata_files = value != "0"
        return json.dumps(answer).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].decode()
                status, kind, body, more = "200 OK", "application/json", b"", ""
                if target.startswith("/-/"):
                    body = self.control(target)
                else:
                    self.requests += 1
                    await asyncio.sleep(self.latency_ms / 1000)
                    if target in self.bodies:
                        kind, body = self.bodies[target]
                        if not self.has_metadata_files:
                            body = self.plain_pages.get(target, body)
                        wanted = _RANGE(head)
                        if wanted is not None:
                            status, body, more = _part(body, *wanted.groups())
                    else:
                        self.missing += 1
                        status = "404 Not Found"
                    self.bytes += len(body)
                fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nCache-Control: max-age=600"
                writer.write(
                    f"HTTP/1.1 {status}\r\n{fields}{more}\r\n\r\n".encode() + (b"" if head[:4] == b"HEAD" else body)
                )
                await writer.drain()


_RANGE = re.compile(rb"(?i)\r\nrange: bytes=([0-9]*)-([0-9]*)\r\n").search


def _part(body: bytes, begin: bytes, end: bytes) -> tuple[str, bytes, str]:
    """Return the status, the bytes and the field of a response to a request for one range (RFC 9110, 14)."""
    start = int(begin) if begin else max(0, len(body) - int(end))
    stop = min(int(end) + 1, len(body)) if begin and end else len(body)
    return "206 Partial Content", body[start:stop], f"\r\nContent-Range: bytes {start}-{stop - 1}/{len(body)}"


def _entry(filename: str, data: bytes, metadata: bytes | None) -> dict[str, object]:
    entry: dict[str, object] = {
        "filename": filename,
        "url": f"/files/{filename}",
        "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
        "size": len(data),
        "upload-time": "2026-01-01T00:00:00Z",
    }
    if metadata is not None:
        entry["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
    return entry


async def _run(port: int, index: Index) -> None:
    server = await asyncio.start_server(index.serve, "127.0.0.1", port)
    click.echo(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 is any that is free")
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--projects", type=int, default=PROJECTS)
    parser.add_argument("--payload", action="store_true", help="wheels have the sizes of real ones")
    options = parser.parse_args()
    asyncio.run(_run(options.port, Index(options.latency_ms, options.projects, payload=options.payload)))


if __name__ == "__main__":
    main()
