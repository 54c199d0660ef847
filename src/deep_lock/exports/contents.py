"""The contents of the files of a package, for SBOMs and the page: native code, start files, scripts, import names, SBOMs."""

from collections.abc import Iterable, Mapping

from deep_lock.lockfile.index import files_of
from deep_lock.models.contents import EmbeddedSbom, FileContents
from deep_lock.models.lock import LockedFile, LockedPackage
from deep_lock.sanitize import counted, listed

MAX_NAMES = 50
"""Names of one kind that are listed; more are counted."""
MAX_FILES = 5
SBOM = "sbom"
LABELS: Mapping[str, str] = {
    "read": "read",
    "native": "native code",
    "startup": "read when Python starts",
    "script": "scripts",
    "import-name": "import names",
    "import-namespace": "namespaces",
    "import-names-from": "names from",
    SBOM: "SBOMs",
}
"""What each kind of line is, as text."""

Contents = Mapping[str, FileContents]
"""What the files of a lock bring, by sha256. It may lack files: nothing is known about those."""


def content_lines(entry: LockedPackage, contents: Contents) -> list[tuple[str, str]]:
    """Return (kind, text) for what the files of a package bring. The first line states how many of them were read."""
    files = files_of(entry)
    read = [(file.name, contents[file.sha256]) for file in files if file.sha256 in contents]
    if not files:
        return []
    found = [("read", f"{len(read)} of {len(files)} files"), *_native(read)]
    found += _names("startup", (name for _, own in read for name, _ in own.startup))
    found += _names("script", (name for _, own in read for name in own.commands))
    declared = [own for _, own in read if own.declares_imports]
    of_imports = declared or [own for _, own in read]
    names = _names("import-name", (name for own in of_imports for name in own.import_names))
    names += _names("import-namespace", (name for own in of_imports for name in own.import_namespaces))
    if names:
        names.append(("import-names-from", "METADATA" if declared else "the paths of files"))
    sboms = ((SBOM, f"{own.path} in {file.name}, sha256 {own.sha256}") for file, own in embedded_sboms(entry, contents))
    return [*found, *names, *sboms]


def embedded_sboms(entry: LockedPackage, contents: Contents) -> list[tuple[LockedFile, EmbeddedSbom]]:
    """Return the SBOMs in the files of a package, each with its file."""
    return [(file, sbom) for file in files_of(entry) if file.sha256 in contents for sbom in contents[file.sha256].sboms]


def _native(read: list[tuple[str, FileContents]]) -> list[tuple[str, str]]:
    """Return how many files with native code there are: those of wheels for several platforms have the same line."""
    found: dict[str, list[str]] = {}
    for filename, own in read:
        if own.native:
            count = counted(len(own.native), "file")
            formats = ", ".join(sorted({form for _, form in own.native}))
            found.setdefault(f"{count} ({formats})", []).append(filename)
    return [("native", f"{text} in {listed(filenames, MAX_FILES)}") for text, filenames in found.items()]


def _names(kind: str, names: Iterable[str]) -> list[tuple[str, str]]:
    every = sorted(set(names))
    more = [(kind, f"{len(every) - MAX_NAMES} more")] if len(every) > MAX_NAMES else []
    return [*((kind, name) for name in every[:MAX_NAMES]), *more]
