"""Whole wheels on this machine: their metadata, compared with what an index serves.

A resolution reads the metadata file of an index (PEP 658), or a part of the wheel. Whether these are the metadata of the wheel
is known only where its bytes are at hand.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from packaging.utils import NormalizedName, parse_wheel_filename

from deep_lock.errors import (
    IndexFault,
    MetadataDiffers,
    MetadataInvalid,
    NetworkError,
    SafetyError,
    raise_machine_fault,
)
from deep_lock.index import lazy_wheel, metadata_differences
from deep_lock.index.cache import METADATA, Cache
from deep_lock.index.settings import SMALL_SECONDS
from deep_lock.index.workers import LazyFetcher
from deep_lock.lazy import load_all
from deep_lock.models.metadata import MAX_METADATA_BYTES, Metadata, parse_metadata
from deep_lock.network.urls import is_signed, sidecar_url

_COMPARED = "metadata-compared-1"
_NAMES = ("the index serves", "the wheel has")
_decode = msgspec.msgpack.Decoder(Metadata).decode
_SAME, _ABSENT = b"=", b"-"


def metadata_inside(path: Path, name: NormalizedName, where: str) -> Metadata:
    """Read the metadata of a whole wheel; ``where`` is its file name. Raises ArchiveError, MetadataInvalid and NetworkError."""
    load_all()
    version = where.split("-", 2)[1].replace("_", "-")
    try:
        with path.open("rb") as file:
            return parse_metadata(lazy_wheel.metadata_from_wheel(file, name, version, where), where)
    except OSError as error:
        raise_machine_fault(error)
        raise NetworkError(f"{path}: {error.strerror or error}") from None


def require_same(served: Metadata, inside: Metadata, where: str) -> None:
    """Raise MetadataDiffers, with both values, where served metadata differ from those in the wheel."""
    found = metadata_differences.differences(served, inside, names=_NAMES)
    if found:
        lines = "".join(f"\n    {line}" for line in found)
        raise MetadataDiffers(
            f"{where}: the metadata that the index serves differs from that in the wheel{lines}",
            hint="The lock is made from the metadata of the index, but an installer reads the wheel: find out why they"
            " differ before you use it.",
        )


def require_same_as_served(
    path: Path,
    filename: str,
    url: str,
    sha256: str,
    *,
    cache: Cache,
    fetcher: LazyFetcher,
    named_by: Callable[[], str] | None,
) -> bool:
    """Compare the metadata of a whole wheel with the metadata file next to its URL, once for each wheel.

    Compared too are metadata in the cache that were read from a part of the wheel. Where there are neither, or the file cannot
    be requested, there is nothing to compare. ``named_by`` returns who names the URL, as in `Fetcher.get`; without it no request
    is made. Returns false where the server failed. Raises MetadataDiffers and ArchiveError.
    """
    if cache.get_record(_COMPARED, sha256) is not None:
        return True
    name = parse_wheel_filename(filename)[0]
    record = cache.get_record(METADATA, sha256)
    if record is not None:
        with suppress(ValueError):  # MetadataDiffers is none: a damaged record is refused where it is used
            require_same(_decode(record), metadata_inside(path, name, filename), filename)
    if fetcher.is_offline or is_signed(url) or named_by is None:
        return True
    what = f"the metadata of {filename}"
    try:
        response = fetcher.open(what).get(
            sidecar_url(url),
            headers={"accept": "*/*"},
            limit=MAX_METADATA_BYTES,
            deadline=SMALL_SECONDS,
            named_by=named_by(),
        )
        served = parse_metadata(response.body, what) if response.status == 200 else None
    except MetadataInvalid:
        served = None  # a page of the server, and not metadata
    except (IndexFault, SafetyError):
        return False
    if served is not None:
        require_same(served, metadata_inside(path, name, filename), filename)
    cache.put_record(_COMPARED, sha256, _ABSENT if served is None else _SAME)
    return True
