"""What an environment has: its distributions, and how their files compare with RECORD."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from deep_lock.models.receipt import Receipt

FileFault = Literal["changed", "missing", "unhashed", "outside", "unreadable"]
"""How a file differs from its row in RECORD: other bytes; not there; a row without a hash that can be compared; a path outside
of the environment, which is not read; not a file that can be read."""


class RecordRow(Struct, frozen=True, kw_only=True, gc=False):
    """A row of RECORD. ``digest`` is "sha256=..." as it is written there, "" without one; ``size`` in bytes."""

    path: str
    digest: str = ""
    size: int | None = None


class Origin(Struct, frozen=True, kw_only=True):
    """Where an installer took a distribution from, as it recorded that (PEP 610, PEP 710)."""

    url: str
    sha256: str = ""
    """Of the file; "" if the installer recorded none."""
    commit: str = ""
    is_folder: bool = False
    is_direct: bool = False
    """Whether the user named the URL; else the installer found it on an index."""


class InstalledDistribution(Struct, frozen=True, kw_only=True):
    """One ``.dist-info`` folder of an environment, or another kind of metadata that has no RECORD."""

    name: str
    """Normalized."""
    version: str
    folder: str
    """Of its metadata: a name in the folder of packages."""
    fault: str = ""
    """Why its metadata or RECORD cannot be read; the files are then unknown."""
    rows: Mapping[str, str] = {}
    """By path, as in RECORD: the digests."""
    same: int = 0
    """Files whose bytes are those of RECORD."""
    faults: tuple[tuple[str, FileFault], ...] = ()
    origin: Origin | None = None
    origin_fault: str = ""
    receipt: Receipt | None = None
    receipt_fault: str = ""


class Environment(Struct, frozen=True, kw_only=True):
    """A folder with installed packages."""

    distributions: tuple[InstalledDistribution, ...]
    startup: tuple[str, ...] = ()
    """Files that no RECORD has and that Python runs or reads when it starts."""
    unowned: Mapping[str, int] = {}
    """Other files that no RECORD lists: how many, by their first folder or their name."""
    sees_base: bool = False
    """Whether the packages of the base installation can be imported too; they are not compared."""


class EnvironmentFolders(Struct, frozen=True, kw_only=True):
    """Where an environment has its packages."""

    prefix: str
    """Files outside are not read. Absolute."""
    packages: tuple[str, ...]
    """The folders that Python searches: absolute."""
    python: str = ""
    """"3.13" or "3.13.2"; "" if it is not known."""
    free_threaded: bool = False
    sees_base: bool = False
