"""What a pin is installed from: files of an index, and what a direct reference names (PEP 610, PEP 751).

Files of an index are wheels and source distributions ("sdist" in texts and keys); a direct reference names a directory,
a commit of a repository, or an archive.
"""

from datetime import datetime

from msgspec import Struct
from packaging.utils import InvalidSdistFilename, NormalizedName
from packaging.utils import parse_sdist_filename as parse_modern_sdist_filename
from packaging.version import Version

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz")
"""Formats of sdists on an index, the preferred one first: PEP 625 names only the first, indexes have the others too."""


def sdist_stem(filename: str) -> str:
    """Return the file name of an sdist without its suffix; "" where it has no such suffix."""
    return next((filename.removesuffix(suffix) for suffix in SDIST_SUFFIXES if filename.endswith(suffix)), "")


def parse_sdist_filename(filename: str) -> tuple[NormalizedName, Version]:
    """Return name and version; packaging's function of the same name knows two of the suffixes.

    Raises InvalidSdistFilename.
    """
    stem = sdist_stem(filename)
    if not stem:
        raise InvalidSdistFilename(f"the suffix must be one of {', '.join(SDIST_SUFFIXES)}: {filename!r}")
    return parse_modern_sdist_filename(f"{stem}.tar.gz")


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
    provenance: str | None = None
    """The URL of its provenance object (PEP 740); None where the index offers none."""
    named_by: str = ""
    """The URL of the page that offered it, where a redirect led to another host than the index's; else empty."""


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
    provenance: str | None = None
    named_by: str = ""


Distribution = Wheel | SourceDistribution
"""A file of an index."""


class Directory(Struct, frozen=True, kw_only=True):
    """A source tree on this machine."""

    name: NormalizedName
    path: str
    """Seen from the folder of the lock, with "/"."""
    editable: bool = False
    subdirectory: str = ""


class Vcs(Struct, frozen=True, kw_only=True):
    """One commit of a git repository. Exactly one of ``url`` and ``path`` is set."""

    name: NormalizedName
    url: str | None
    """Without credentials."""
    path: str | None
    requested_revision: str | None
    """The branch, tag or commit of the requirement."""
    commit_id: str
    subdirectory: str = ""


class Archive(Struct, frozen=True, kw_only=True):
    """A file that was named by itself: a wheel, or an archive with a source tree."""

    name: NormalizedName
    file: Wheel | SourceDistribution
    """As an index would offer it; ``index`` is empty. Its sha256 is known."""
    place: str
    """Its URL without credentials, or its path seen from the folder of the lock."""
    is_path: bool
    version: str | None
    """The version in the file's own name or metadata; None if only its tree has it (PEP 751: a source tree has no version)."""
    subdirectory: str = ""


Direct = Directory | Vcs | Archive
Installable = Distribution | Direct
Buildable = SourceDistribution | Direct
"""What has to be built, or may have to: an archive may turn out to be a wheel."""


def source_of(file: Installable) -> str:
    """Return where a direct reference leads, as one text; "" for a file of an index."""
    match file:
        case Directory():
            start = file.path
        case Vcs():
            start = f"git+{file.url or f'file:{file.path}'}@{file.commit_id}"
        case Archive():
            start = file.place
        case _:
            return ""
    return f"{start}#subdirectory={file.subdirectory}" if file.subdirectory else start


def built_from(file: Installable) -> Buildable | None:
    """Return what must be built in order to install this; None for a wheel."""
    match file:
        case Wheel() | Archive(file=Wheel()):
            return None
        case _:
            return file


def is_wheel(file: Installable) -> bool:
    """Whether nothing has to be built."""
    return built_from(file) is None
