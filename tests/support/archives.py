"""Archives made by hand, byte for byte where a library would refuse to make them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

PKG_INFO = b"Metadata-Version: 2.2\nName: sample\nVersion: 1.0\n"


def tar_header(
    name: bytes, size: int = 0, kind: bytes = b"0", target: bytes = b"", *, size_field: bytes | None = None
) -> bytes:
    """One ustar header block with a right checksum."""
    head = bytearray(512)
    head[0 : len(name)] = name
    head[100:108] = b"0000644\0"
    head[108:124] = b"0000000\0" * 2
    head[124:136] = size_field if size_field is not None else f"{size:011o}\0".encode()
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[156:157] = kind
    head[157 : 157 + len(target)] = target
    head[257:265] = b"ustar\x0000"
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return bytes(head)


def tar_member(name: bytes, data: bytes = b"", kind: bytes = b"0", target: bytes = b"") -> bytes:
    return tar_header(name, len(data), kind, target) + data + b"\0" * (-len(data) % 512)


def pax(**records: str) -> bytes:
    """An extended header for the member that follows."""
    body = b""
    for key, value in records.items():
        text = f" {key}={value}\n".encode()
        length = len(text) + 1
        while len(text) + len(str(length)) != length:
            length += 1
        body += str(length).encode() + text
    return tar_member(b"PaxHeader", body, b"x")


def tar_gz(*members: bytes, end: bytes = b"\0" * 1024) -> bytes:
    return gzip.compress(b"".join(members) + end, compresslevel=1, mtime=0)


def tree_files(tree: Path) -> dict[str, bytes]:
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}


def make_tar(files: dict[str, bytes], top: str = "sample-1.0", mode: str = "gz") -> bytes:
    """A well-formed archive by the standard library. ``mode`` is "gz", "bz2" or "xz"."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(f"{top}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return compress(raw.getvalue(), mode)


def compress(raw: bytes, mode: str) -> bytes:
    if mode == "gz":
        return gzip.compress(raw, mtime=0)
    return bz2.compress(raw) if mode == "bz2" else lzma.compress(raw)


def make_zip(files: dict[str, bytes], top: str = "sample-1.0", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for path, data in files.items():
            archive.writestr(f"{top}/{path}", data)
    return raw.getvalue()
