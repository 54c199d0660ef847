"""What `vet check` found: as text, JSON, Markdown, SARIF, and annotations of GitHub. Also the output of `vet suggest`."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from deep_lock.analysis.content_diff import ToRead
from deep_lock.lockfile.index import called
from deep_lock.models.changes import Finding
from deep_lock.models.lock import LOCK_NAME, LockedFile, LockedPackage
from deep_lock.models.vetting import FOLDER, Criterion
from deep_lock.reports.document import document
from deep_lock.reports.findings import finding_row, findings_github, findings_sarif, findings_text
from deep_lock.sanitize import Markdown, Safe, counted, joined, line, listed, markdown, show

MAX_FILES = 5
"""Files of a package that are named for people: more are counted."""
CODES: Mapping[Criterion, str] = {
    "safe-to-build": "unaudited-build-file",
    "safe-to-run": "unaudited-runtime-file",
}


class Uncovered(Struct, frozen=True, kw_only=True):
    """The files of one package that are not covered for one criterion."""

    entry: LockedPackage
    criterion: Criterion
    files: tuple[LockedFile, ...]
    needed: int
    """How many files of the package need it."""
    chain: tuple[str, ...]
    """Why the package is in the lock; for safe-to-build a build that uses it."""


class VetCheck(Struct, frozen=True, kw_only=True):
    """What covers the files of a lock."""

    lock: Path
    audited: int
    """Files that the project's own audits cover, for all criteria that the lock needs."""
    imported: int
    """Files that are covered by audits only, and by one of another team."""
    exempt_base: int
    """Files that are covered by audits of what differs from a file that is exempt."""
    exempt: int
    """Files that are covered, and by an exemption of them."""
    not_covered: int
    uncovered: tuple[Uncovered, ...]
    """Those of builds first, then in the order of the lock."""
    notes: tuple[Finding, ...]
    not_compared: tuple[str, ...]
    """Packages without a file: source trees and repositories."""
    lines: Mapping[str, int]
    """The line of each package's name in the lock, from 1."""

    @property
    def files(self) -> int:
        """How many files need an audit."""
        return self.audited + self.imported + self.exempt_base + self.exempt + self.not_covered


class Suggestion(Struct, frozen=True, kw_only=True):
    """The least to read of a release that is not covered."""

    name: str
    version: str
    """Empty: not known."""
    subject: str
    """The package in messages."""
    criteria: tuple[Criterion, ...]
    """For which it is not covered."""
    needs_all: bool
    """Whether these are all criteria that its files need."""
    has_covered_files: bool
    """Whether other files of the release are covered."""
    base: str
    """The version with which it is compared; empty: the files are read as they are."""
    compared: tuple[str, ...]
    """Names of the files that have a file of the same kind in that version."""
    whole: tuple[str, ...]
    """Names of the others."""
    to_read: ToRead | None
    """None: a file could not be fetched."""
    size: int
    """Of all files, in bytes, by the lock."""


# -- as text


def claim(check: VetCheck) -> str:
    """Return what was compared, and what was found: no more than that."""
    counts = {
        "audited": check.audited,
        "audited by other teams": check.imported,
        "audited as differences from exempt files": check.exempt_base,
        "exempt": check.exempt,
        "not covered": check.not_covered,
    }
    words = [f"{count} {word}" for word, count in counts.items() if count or word == "not covered"]
    files = counted(check.files, "file")
    found = f"compared the sha256 of {files} of {check.lock.name} with {FOLDER}: {', '.join(words)}"
    if not check.not_compared:
        return found
    return (
        f"{found}\nnot compared, because they are not files: {listed(list(map(show, check.not_compared)), MAX_FILES)}"
    )


def certify_command(
    name: str, version: str, lock: Path, *, base: str = "", criteria: Sequence[str] = (), files: Sequence[str] = ()
) -> str:
    """Return the command that writes an audit."""
    words = ["deep-lock", "vet", "certify", name, *([version] if version else [])]
    words += ["--from", base] if base else []
    words += [word for criterion in criteria for word in ("--criteria", criterion)]
    words += [word for file in files for word in ("--file", file)]
    return shlex.join([*words, *lock_option(lock)])


def lock_option(lock: Path) -> list[str]:
    """Return the option that names a lock, where it is not the one of the current folder."""
    return [] if lock == Path(LOCK_NAME) else ["--lock", lock.as_posix()]


def _message(own: Uncovered) -> str:
    names = listed([show(file.name) for file in own.files], MAX_FILES)
    if own.needed == 1:
        return f"{own.criterion}: {names} is not covered"
    count = f"{len(own.files)} of {own.needed} files {'is' if len(own.files) == 1 else 'are'}"
    return f"{own.criterion}: {count} not covered: {names}"


def vet_findings(check: VetCheck) -> tuple[Finding, ...]:
    """Return an error for each package and criterion, and the notes."""
    found = [
        Finding(
            code=CODES[own.criterion],
            severity="error",
            subject=called(own.entry),
            message=_message(own),
            hint=certify_command(own.entry.name, own.entry.version or "", check.lock, criteria=(own.criterion,)),
            chain=own.chain if len(own.chain) > 1 else (),
        )
        for own in check.uncovered
    ]
    return (*found, *check.notes)


def diff_commands(own: Suggestion, lock: Path) -> tuple[str, ...]:
    """Return the commands that show what there is to read, one for each file that is compared."""
    is_usual = [name.endswith("-none-any.whl") for name in own.compared] == [True]
    shown = [
        ["deep-lock", "vet", "diff", own.name, own.base, own.version, *([] if is_usual else ["--file", name])]
        for name in own.compared
    ]
    return tuple(shlex.join([*words, *lock_option(lock)]) for words in shown)


def certify_commands(own: Suggestion, lock: Path) -> tuple[str, ...]:
    """Return the commands that write the audits."""
    criteria = () if own.needs_all else own.criteria
    return tuple(
        certify_command(own.name, own.version, lock, base=base, criteria=criteria, files=files if is_part else ())
        for base, files, is_part in (
            (own.base, own.compared, own.has_covered_files),
            ("", own.whole, own.has_covered_files or bool(own.compared)),
        )
        if files
    )


def amount(own: Suggestion) -> str:
    """Return how much there is to read, as text."""
    if own.to_read is None:
        return f"{own.size} bytes of files, which could not be fetched"
    lines = counted(own.to_read.lines, "line")
    return f"{lines} and {own.to_read.binary_bytes} bytes of binary files" if own.to_read.binary_bytes else lines


def total(found: Sequence[Suggestion]) -> str:
    """Return how much there is to read in all, as text."""
    known = [own.to_read.lines for own in found if own.to_read is not None]
    releases = f"{counted(len(found), 'release')} not covered"
    if not known:
        return f"{releases}; no file could be fetched" if found else "each file is covered"
    unknown = f" in {len(known)} of them" if len(known) < len(found) else ""
    return f"{releases}, {counted(sum(known), 'line')} to read{unknown}"


def suggestions_text(found: Sequence[Suggestion], lock: Path) -> Safe:
    """Return a block of lines for each release."""
    shown: list[Safe] = []
    for own in found:
        compared = f", compared with {own.base}" if own.base else ""
        shown.append(line(f"{show(own.subject)}: {amount(own)}{compared} ({', '.join(own.criteria)})"))
        if own.whole:
            shown.append(line(f"    to be read as a whole: {show(listed(own.whole, MAX_FILES), 1000)}"))
        diffs = diff_commands(own, lock)
        shown += [line(f"    {show(command, 4000)}") for command in diffs[:MAX_FILES]]
        if len(diffs) > MAX_FILES:
            more = f"vet diff {own.name} {own.base} {own.version} --file NAME"
            shown.append(line(f"    and {len(diffs) - MAX_FILES} more: {show(more, 1000)}"))
        shown += [line(f"    {show(command, 4000)}") for command in certify_commands(own, lock)]
    return joined(shown)


def suggestions_json(found: Sequence[Suggestion], lock: Path) -> Safe:
    """Return the suggestions as one document."""
    rows = [
        {
            "name": own.name,
            "version": own.version or None,
            "criteria": list(own.criteria),
            "from": own.base or None,
            "compared": list(own.compared),
            "whole": list(own.whole),
            "lines": own.to_read.lines if own.to_read is not None else None,
            "binary-bytes": own.to_read.binary_bytes if own.to_read is not None else None,
            "size": own.size,
            "commands": [*diff_commands(own, lock), *certify_commands(own, lock)],
        }
        for own in found
    ]
    return document("vet-suggest", 1, {"lock": lock.as_posix(), "suggestions": rows})


# -- formats


def vet_text(check: VetCheck) -> Safe:
    """Return the findings for people."""
    return findings_text(vet_findings(check))


def vet_json(check: VetCheck) -> Safe:
    """Return the check as one document."""
    return document(
        "vet-check",
        1,
        {
            "lock": check.lock.as_posix(),
            "files": {
                "audited": check.audited,
                "imported": check.imported,
                "exempt-base": check.exempt_base,
                "exempt": check.exempt,
                "not-covered": check.not_covered,
            },
            "not-covered": [_row(own) for own in check.uncovered],
            "not-compared": list(check.not_compared),
            "notes": [finding_row(own) for own in check.notes],
        },
    )


def _row(own: Uncovered) -> dict[str, Any]:
    return {
        "name": own.entry.name,
        "version": own.entry.version,
        "criterion": own.criterion,
        "files": [{"name": file.name, "sha256": file.sha256} for file in own.files],
        "needed": own.needed,
        "chain": list(own.chain),
    }


def vet_markdown(check: VetCheck) -> Markdown:
    """Return a list with an item for each finding."""
    found = [markdown("### Audits of files: {}", check.lock.as_posix()), markdown("")]
    found += [markdown("{}.", text) for text in claim(check).split("\n")]
    rows = vet_findings(check)
    found += [markdown("")] if rows else []
    for own in rows:
        found.append(markdown("- **{}** {}: {}", own.severity, own.subject, own.message))
        found += [markdown("  - {}", f"via {' > '.join(own.chain)}")] if own.chain else []
    return joined(found)


def vet_sarif(check: VetCheck) -> Safe:
    """Return the findings as SARIF."""
    return findings_sarif(vet_findings(check), check.lock.as_posix(), check.lines)


def vet_github(check: VetCheck) -> Safe:
    """Return an annotation for each finding, at the line of the package in the lock."""
    return joined(findings_github(vet_findings(check), check.lock.as_posix(), check.lines))
