"""Wheels made by hand: right by default, and wrong in any one way that is asked for."""

import base64
import hashlib
import io
import zipfile
from pathlib import Path

WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def record_of(files: dict[str, bytes], record: str, algorithm: str = "sha256") -> bytes:
    rows = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode().rstrip("=")
        rows.append(f'"{path}",{algorithm}={digest},{len(data)}\n')
    return "".join([*rows, f"{record},,\n"]).encode()


def make_wheel(
    files: dict[str, bytes],
    *,
    name: str = "sample",
    version: str = "1.0",
    entry_points: str = "",
    replaced: dict[str, bytes | None] | None = None,
    executable: frozenset[str] = frozenset(),
    record: bytes | None = None,
) -> bytes:
    """Return a wheel of pure Python. ``replaced`` changes or drops a member after RECORD was made."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": WHEEL,
    }
    if entry_points:
        files[f"{info}/entry_points.txt"] = entry_points.encode()
    whole: dict[str, bytes | None] = {**files, f"{info}/RECORD": record or record_of(files, f"{info}/RECORD")}
    whole |= replaced or {}
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in whole.items():
            if data is not None:
                entry = zipfile.ZipInfo(path)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (0o100755 if path in executable else 0o100644) << 16
                archive.writestr(entry, data)
    return raw.getvalue()


def write_wheel(folder: Path, raw: bytes, name: str = "sample", version: str = "1.0") -> tuple[Path, str]:
    """Store a wheel as a cache would: under a name that is not its own."""
    path = folder / hashlib.sha256(raw).hexdigest()
    path.write_bytes(raw)
    return path, f"{name}-{version}-py3-none-any.whl"
