"""Files that an index offers: wheels and source distributions ("sdist" in texts and keys)."""

from datetime import datetime

from msgspec import Struct
from packaging.utils import NormalizedName
from packaging.version import Version


class SourceDistribution(Struct, frozen=True, kw_only=True):
    """An sdist on an index (PEP 625 and the legacy names before it)."""

    filename: str
    name: NormalizedName
    version: Version
    url: str
    sha256: str | None
    """Lower-case hex digest; None where the index offers no sha256."""
    size: int | None
    upload_time: datetime | None
    """Aware, UTC."""
    requires_python: str | None
    """The specifier text as served; may be invalid."""
    yanked: str | None
    """The reason (may be empty) where the file is yanked (PEP 592); None where it is not."""
    index: str
    """The base URL of the simple index that offered it, without credentials."""


class Wheel(Struct, frozen=True, kw_only=True):
    """A wheel on an index. Fields as in SourceDistribution."""

    filename: str
    name: NormalizedName
    version: Version
    build: str
    """The build tag; empty where there is none."""
    tags: str
    """The compressed tag set as in the file name: "cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"."""
    url: str
    sha256: str | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: str | None
    index: str
    metadata: str | None
    """PEP 658: sha256 of the metadata file; empty where it is offered without one; None where it is not offered."""


Distribution = Wheel | SourceDistribution
