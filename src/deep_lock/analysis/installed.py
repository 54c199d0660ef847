"""Compares an environment with a lock, for one target.

What is known of an installed distribution is what is compared: its files with its RECORD, its RECORD with that of a wheel of the
lock, and what the installer and `wheelhouse` recorded. Which wheel was installed is known only if the installer recorded its hash.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from deep_lock.lockfile.index import Key, LockIndex, called, files_of, key_of
from deep_lock.lockfile.selection import is_built
from deep_lock.models.changes import Finding, Severity
from deep_lock.models.contents import runs_at_start
from deep_lock.models.installed import Environment, FileFault, InstalledDistribution, Origin
from deep_lock.models.lock import LockedArchive, LockedDirectory, LockedPackage, LockedVcs
from deep_lock.models.metadata import is_same_version
from deep_lock.models.receipt import Receipt
from deep_lock.sanitize import counted, listed, show
from deep_lock.targets.target import Target

MAX_NAMES = 5
SEEDS = frozenset({"pip", "setuptools", "wheel"})
"""What tools put into a new environment."""
_BY_INSTALLERS = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "provenance_url.json", "uv_build.json", "uv_cache.json"}
)
"""Files that installers add to a ``.dist-info`` folder."""

_FAULTS: Mapping[FileFault, tuple[str, Severity, str]] = {
    "changed": ("installed-file-changed", "error", "differs from its hash in RECORD"),
    "missing": ("installed-file-missing", "finding", "is in RECORD, but does not exist"),
    "unhashed": ("installed-file-unhashed", "note", "has no sha2 hash in RECORD, so it was not compared"),
    "outside": ("installed-file-outside", "finding", "is outside of the environment, and was not read"),
    "unreadable": ("installed-file-unreadable", "finding", "cannot be read"),
}


class WheelRows(Struct, frozen=True, kw_only=True):
    """The RECORD of a wheel on this machine: of the lock, or one that was built."""

    name: str
    rows: Mapping[str, str]


class Expected(Struct, frozen=True, kw_only=True):
    """What the lock has for a target."""

    target: Target
    possible: Sequence[LockedPackage]
    """What any selection installs."""
    required: frozenset[Key]
    """What the selection installs."""
    own: frozenset[str]
    """Names of the project and of the members of its workspace."""
    builds: Mapping[Key, str]
    """The digests of the builds of packages that are built."""
    wheels: Mapping[Key, tuple[WheelRows, ...]]
    """Of the wheels on this machine: those of the lock that fit, the best first; of a package that is built, those in the folders
    that the user names."""


def installed_findings(environment: Environment, index: LockIndex, expected: Expected) -> Iterator[Finding]:
    """Yield a note for each distribution, and what differs from the lock."""
    possible: dict[str, list[LockedPackage]] = {}
    for entry in expected.possible:
        possible.setdefault(entry.name, []).append(entry)
    seen: dict[str, InstalledDistribution] = {}
    present: set[Key] = set()
    for own in environment.distributions:
        subject = f"{own.name} {own.version}".rstrip()
        if own.name in seen:
            message = f"is installed twice: {seen[own.name].folder} and {own.folder}"
            yield _finding("installed-twice", "finding", subject, message)
        seen[own.name] = own
        yield from _file_findings(own, subject)
        locked = next((each for each in possible.get(own.name, ()) if _is_version(each, own.version)), None)
        if locked is not None:
            present.add(key_of(locked))
            yield from _locked(own, subject, locked, index, expected)
        else:
            yield from _not_locked(own, subject, possible.get(own.name, ()), index, expected)
    yield from _missing(expected, present, seen)
    yield from _unowned(environment)


def _is_version(entry: LockedPackage, version: str) -> bool:
    return entry.version is None or is_same_version(entry.version, version)


def _file_findings(own: InstalledDistribution, subject: str) -> Iterator[Finding]:
    if own.fault:
        yield _finding("installed-record-missing", "finding", subject, own.fault)
    for fault, (code, severity, text) in _FAULTS.items():
        paths = [path for path, state in own.faults if state == fault]
        if paths:
            yield _finding(code, severity, subject, f"{_names(paths)}: {text}")


def _locked(
    own: InstalledDistribution, subject: str, entry: LockedPackage, index: LockIndex, expected: Expected
) -> Iterator[Finding]:
    """Yield what is known about a distribution of the lock."""
    same = "1 file matches" if own.same == 1 else f"{own.same} files match"
    known = [] if own.fault else [f"{same} its RECORD"]
    startup = [path for path in own.rows if runs_at_start(path)]
    known += [f"Python reads or runs {_names(startup)} when it starts"] if startup else []
    if own.origin_fault:
        yield _finding("installed-origin-differs", "finding", subject, own.origin_fault)
    if own.origin is not None:
        text, finding = _origin(own.origin, subject, entry)
        known += [text] if text else []
        if finding is not None:
            yield finding
    if entry.source is None or isinstance(entry.source, LockedArchive):
        wheels = expected.wheels.get(key_of(entry), ())
        if is_built(index, entry, expected.target):
            compared = [_build(own, subject, expected.builds.get(key_of(entry)))]
            compared += [_record(own, subject, wheels)] if wheels and not own.fault else []
        else:
            compared = [_wheel(own, subject, wheels)]
        for text, finding in compared:
            known += [text] if text else []
            if finding is not None:
                yield finding
    yield _finding("installed", "note", subject, "; ".join(known) or "is in the lock")


def _origin(origin: Origin, subject: str, entry: LockedPackage) -> tuple[str, Finding | None]:
    """Compare what the installer recorded with the lock: a text, and a finding where they differ."""
    url = show(origin.url)
    match entry.source:
        case LockedVcs(commit_id=commit):
            text, differs, is_changed = f"the locked commit {commit[:12]} of {url}", origin.commit != commit, True
            there = f"commit {show(origin.commit[:40])} of {url}" if origin.commit else url
            message = f"is installed from {there}, and the lock has commit {commit}"
        case LockedDirectory():
            text, differs, is_changed = f"the folder {url}", not origin.is_folder, False
            message = f"is installed from {url}, and the lock has a folder"
        case _ if origin.sha256:
            locked = {file.sha256 for file in files_of(entry)}
            locked |= {entry.source.sha256} if isinstance(entry.source, LockedArchive) else set()
            text, differs, is_changed = (
                f"the sha256 of a file of the lock, of {url}",
                origin.sha256 not in locked,
                True,
            )
            message = f"the installer recorded sha256 {show(origin.sha256)} of {url}, which no file of the lock has"
        case _:
            text, differs, is_changed = "", origin.is_direct and entry.source is None, False
            message = f"is installed from {url}, and the lock has it from its index"
    if not differs:
        return f"the installer recorded {text}" if text else "", None
    if is_changed:
        return "", _finding("installed-hash-differs", "error", subject, message)
    return "", _finding("installed-origin-differs", "finding", subject, message)


def _build(own: InstalledDistribution, subject: str, build: str | None) -> tuple[str, Finding | None]:
    """Compare the receipt of a wheel that was built with the lock."""
    if own.receipt_fault:
        return "", _finding("installed-receipt-differs", "finding", subject, own.receipt_fault)
    receipt = own.receipt
    if receipt is None:
        return "the lock builds it, and it has no receipt of `wheelhouse`: what it was built from is not known", None
    if receipt.build != build:
        message = f"its receipt is for another build than that of the lock: {show(receipt.sdist.name)}, sha256 {show(receipt.sdist.sha256)}"
        hint = "build it again: deep-lock wheelhouse"
        return "", _finding("installed-receipt-differs", "finding", subject, message, hint=hint)
    return _built_text(receipt), None


def _built_text(receipt: Receipt) -> str:
    packages = counted(len(receipt.packages), "package")
    where = "in the sandbox" if receipt.sandbox else "without a sandbox"
    return (
        f"its receipt, which is not signed, states the build of the lock: {show(receipt.sdist.name)}"
        f" in a build environment of {packages}, {where}, by Python {show(receipt.python)}"
    )


def _wheel(own: InstalledDistribution, subject: str, wheels: Sequence[WheelRows]) -> tuple[str, Finding | None]:
    """Compare RECORD with that of the wheels of the lock."""
    if own.receipt is not None:
        message = "was built, as its receipt states, and the lock has a wheel for it"
        return "", _finding("installed-origin-differs", "finding", subject, message)
    if own.fault:
        return "", None
    if not wheels:
        return "no wheel of the lock is in the cache, so its RECORD was not compared", None
    return _record(own, subject, wheels)


def _record(own: InstalledDistribution, subject: str, wheels: Sequence[WheelRows]) -> tuple[str, Finding | None]:
    for wheel in wheels:
        if not record_differences(wheel.rows, own):
            return f"its RECORD is that of {wheel.name}", None
    names = record_differences(wheels[0].rows, own)
    message = f"its RECORD differs from that of {wheels[0].name}: {_names(names)}"
    return "", _finding("installed-wheel-differs", "error", subject, message)


def record_differences(wheel: Mapping[str, str], own: InstalledDistribution) -> list[str]:
    """Return the paths that are not the same in the RECORD of a wheel and of a distribution in the folder of packages.

    Files that installers add are none: in the ``.dist-info`` folder, in other folders, and compiled ones.
    """
    found = [path for path, digest in wheel.items() if own.rows.get(path) != digest]
    added = {f"{own.folder}/{name}" for name in _BY_INSTALLERS}
    for path in own.rows:
        is_elsewhere = path.startswith(("../", "/", "\\")) or path[1:2] == ":"
        if path not in wheel and path not in added and not is_elsewhere and "/__pycache__/" not in f"/{path}":
            found.append(path)
    return sorted(found)


def _not_locked(
    own: InstalledDistribution, subject: str, others: Sequence[LockedPackage], index: LockIndex, expected: Expected
) -> Iterator[Finding]:
    """Yield a finding for a distribution that the lock does not install on the target."""
    if own.name in expected.own:
        yield _finding("installed", "note", subject, "is the project, or a member of its workspace")
    elif others:
        versions = " or ".join(sorted({entry.version or "" for entry in others}))
        yield _finding("installed-version-differs", "finding", subject, f"the lock has {own.name} {versions}")
    elif own.name in SEEDS:
        yield _finding(
            "installed-not-locked", "note", subject, "is not in the lock: tools install it into new environments"
        )
    else:
        only_builds = any(_is_version(entry, own.version) for entry in index.versions.get(own.name, ()))
        where = f"does not install it at run time on {expected.target.label}" if only_builds else "does not have it"
        yield _finding("installed-not-locked", "finding", subject, f"is installed, and the lock {where}")


def _missing(expected: Expected, present: set[Key], seen: Mapping[str, InstalledDistribution]) -> Iterator[Finding]:
    for entry in expected.possible:
        if key_of(entry) in expected.required and key_of(entry) not in present and entry.name not in seen:
            message = f"is in the lock for {expected.target.label}, and is not installed"
            yield _finding("installed-missing", "finding", called(entry), message)


def _unowned(environment: Environment) -> Iterator[Finding]:
    if environment.startup:
        message = f"Python runs or reads them when it starts, and no RECORD lists them: {_names(environment.startup)}"
        yield _finding("installed-startup-file", "error", "the environment", message)
    if environment.unowned:
        names = [f"{name} ({count})" if count > 1 else name for name, count in environment.unowned.items()]
        count = sum(environment.unowned.values())
        message = f"{counted(count, 'file')} that no RECORD lists: {_names(names)}"
        yield _finding("installed-file-unowned", "finding", "the environment", message)
    if environment.sees_base:
        message = "the packages of its base installation can be imported too; they were not compared"
        yield _finding("installed-base", "note", "the environment", message)


def _names(names: Sequence[str]) -> str:
    return listed([show(name) for name in names], MAX_NAMES)


def _finding(code: str, severity: Severity, subject: str, message: str, *, hint: str = "") -> Finding:
    return Finding(code=code, severity=severity, subject=subject, message=message, hint=hint)
