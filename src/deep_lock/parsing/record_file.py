"""RECORD of a wheel or of an installed distribution (PEP 376, PEP 427): CSV with path, hash and size."""

import csv
from base64 import urlsafe_b64encode

from deep_lock.boundary import ErrorOf, reading
from deep_lock.models.installed import RecordRow

MAX_RECORD_BYTES = 64 * 1024 * 1024


def parse_record(data: bytes, where: str, error: ErrorOf) -> tuple[RecordRow, ...]:
    """Read the rows in their order. ``where`` names the file in messages. Raises ``error``."""
    if len(data) > MAX_RECORD_BYTES:
        raise error(f"{where}: is larger than {MAX_RECORD_BYTES} bytes")
    with reading(where, error):
        return tuple(_row(fields) for fields in csv.reader(data.decode("utf-8").splitlines(), strict=True) if fields)


def record_digest(digest: bytes) -> str:
    """Return a digest as a row of RECORD has it: base64 for URLs, without padding."""
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def _row(fields: list[str]) -> RecordRow:
    if len(fields) > 3 or not fields[0] or "\x00" in fields[0]:
        raise ValueError(f"a row has {len(fields)} columns, or no path")
    path, digest, size = (*fields, "", "")[:3]
    is_number = size.isascii() and size.isdigit() and len(size) < 19
    if size and not is_number:
        raise ValueError(f"the size of {path!r} is not a number")
    return RecordRow(path=path, digest=digest, size=int(size) if size else None)
