"""What the files of a release contain: files that Python reads when it starts, native code, commands, import names, SBOMs.

Facts only, read from the bytes of a wheel or an sdist. Nothing is unpacked or run.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

STARTUP_SUFFIXES = (".pth", ".start")
"""Of files that the site module reads when Python starts (.start: Python 3.15 and newer)."""

AT_START = frozenset({"sitecustomize", "usercustomize"})
"""Modules that run whenever Python starts."""

_MODULE_SUFFIXES = (".py", ".pyc", ".so", ".pyd")

PREFIX_BYTES = 64
"""Bytes at the beginning of a file that decide whether it is native code."""

_MAGIC: Mapping[bytes, str] = {
    b"\x7fELF": "ELF",
    b"\xfe\xed\xfa\xce": "Mach-O",
    b"\xfe\xed\xfa\xcf": "Mach-O",
    b"\xce\xfa\xed\xfe": "Mach-O",
    b"\xcf\xfa\xed\xfe": "Mach-O",
    b"\xca\xfe\xba\xbf": "Mach-O",
    b"\0asm": "WebAssembly",
    b"BC\xc0\xde": "LLVM bitcode",
    b"!<ar": "static library",
    b"!<th": "static library",
}
_JAVA_VERSION = 45
"""The first version of Java class files. Where it is, a Mach-O file for several processors has their number."""
_BYTECODE_MARK = b"\r\n"


class EmbeddedSbom(Struct, frozen=True, kw_only=True, array_like=True):
    """An SBOM in the ``sboms`` folder of a wheel's ``.dist-info`` (PEP 770)."""

    path: str
    """In the wheel."""
    size: int
    sha256: str


class FileContents(Struct, frozen=True, kw_only=True, array_like=True):
    """What one file of a release brings. The paths are those in the archive."""

    startup: tuple[tuple[str, str], ...] = ()
    """Names and texts of the files that the site module reads when Python starts. The text of a long one is empty."""
    modules: tuple[tuple[str, bool], ...] = ()
    """Top-level modules and packages, and whether the wheel has the module or the ``__init__`` of the package."""
    folders: tuple[str, ...] = ()
    """Top-level folders with other files only, if their names can be those of packages."""
    commands: tuple[str, ...] = ()
    """Names of scripts, in lower case and without the suffixes of Windows."""
    native: tuple[tuple[str, str], ...] = ()
    """Files with native code, and their format, by the first bytes of each."""
    sboms: tuple[EmbeddedSbom, ...] = ()
    import_names: tuple[str, ...] = ()
    """What can be imported and belongs to this release alone, with dots for modules in namespaces (PEP 794)."""
    import_namespaces: tuple[str, ...] = ()
    """Packages that other releases may add to."""
    declares_imports: bool = False
    """Whether METADATA has the import names; else they are derived from the names of the files."""
    links: tuple[tuple[str, str], ...] = ()
    """(label, URL) that the metadata states. Not checked."""
    requires: tuple[str, ...] = ()
    """The requirements of the metadata, as text. Not checked."""


class ArchivedFile(Struct, frozen=True, kw_only=True):
    """One file of an archive."""

    kind: Literal["text", "binary", "link"]
    """A file with a zero byte near its beginning is binary."""
    size: int
    sha256: str
    lines: int = 0
    """Of a text."""
    native: str = ""
    """The format of native code; empty for all other files."""
    text: bytes | None = None
    """The bytes of a text, and the target of a link; None for a binary file, and for a text over the limits."""


class ArchiveTree(Struct, frozen=True, kw_only=True):
    """All files of a wheel or an sdist, by path.

    Paths are below the top folder of an sdist. In a wheel they have no version: NAME.dist-info, so that releases can be compared.
    """

    filename: str
    files: Mapping[str, ArchivedFile]

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")


def runs_at_start(path: str) -> bool:
    """Whether Python reads or runs a file whenever it starts, by its path in the folder of packages, with "/"."""
    top, _, below = path.lower().partition("/")
    stem, _, suffix = top.partition(".")
    if stem in AT_START:  # a package with other suffixes is none: sitecustomize-1.0.dist-info
        return not suffix or (not below and top.endswith(_MODULE_SUFFIXES))
    return not below and top.endswith(STARTUP_SUFFIXES)


def native_format(path: str, begin: bytes) -> str:
    """Return the format of native code, or of Python bytecode, by the first bytes of a file; "" for all other files."""
    found = _MAGIC.get(begin[:4])
    if found is not None:
        return found
    if begin.startswith(b"\xca\xfe\xba\xbe"):
        return "Mach-O" if int.from_bytes(begin[4:8]) < _JAVA_VERSION else "Java class"
    if begin.startswith(b"MZ") and b"\0" in begin:
        return "PE"
    # every version of Python has its own first two bytes
    if path.endswith((".pyc", ".pyo")) and begin[2:4] == _BYTECODE_MARK:
        return "Python bytecode"
    return ""
