"""A comparison of two locks as text, Markdown, JSON, SARIF 2.1.0 and workflow commands of GitHub; and a lock in few words.

docs/diff-json.md describes the JSON document. Within a version keys are only added.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from deep_lock.lockfile.index import called, files_of
from deep_lock.models.changes import CODES, Change, Finding, Part, Weight
from deep_lock.models.lock import Lock, LockedPackage
from deep_lock.reports.findings import finding_line, finding_row, findings_github, workflow_command
from deep_lock.sanitize import show

HEADINGS: Mapping[Weight, str] = {
    "danger": "Dangerous changes",
    "look": "Changes to review",
    "version": "Version changes",
    "quiet": "Details",
}
DETAILS = {
    "files-changed": "with other files",
    "edges-changed": "with other dependencies",
    "marker-changed": "with another marker",
}
BUILD_CODES = frozenset(
    {
        "became-sdist-only",
        "build-dep-new",
        "build-new",
        "backend-changed",
        "build-tool-changed",
        "built-release-changed",
        "requires-changed",
        "evidence-lowered",
    }
)
"""Codes of what runs in builds."""
ORIGIN_CODES = frozenset({"hash-changed", "host-new", "index-changed", "source-changed"})
MAX_VERSIONS = 20
"""Lines of version changes in text: more are counted."""
SCHEMA = "deep-lock/diff"
VERSION = 1
_COLORS: dict[Weight, str] = {"danger": "31;1", "look": "33;1", "version": "36", "quiet": "2"}
_SIGNS: dict[Weight, str] = {"danger": "!", "look": "?", "version": "-", "quiet": " "}
_LEVELS: dict[Weight, str] = {"danger": "error", "look": "warning", "version": "note", "quiet": "note"}


class Review(Struct, frozen=True, kw_only=True):
    """A comparison of two locks."""

    old: str
    """The name of the old one: a file, or a revision of one."""
    new: str
    path: str = "deep.lock"
    """The file that the comparison is about, as annotations name it."""
    changes: tuple[Change, ...]
    codes: frozenset[str] = frozenset()
    """Of all changes, also of those that are not listed since another one of a higher rank has the same fact."""
    not_compared: tuple[Part, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What the policy of the project finds in the new lock."""
    lines: Mapping[str, int] = {}
    """The line of each package's name in the new file, from 1."""

    def of(self, weight: Weight) -> tuple[Change, ...]:
        """Return the changes of a weight, most important first."""
        return tuple(change for change in self.changes if change.weight == weight)

    @property
    def details(self) -> str:
        """How many packages have other details, in words."""
        counts = Counter(change.code for change in self.changes)
        return "; ".join(f"{count} {DETAILS[code]}" for code, count in counts.items() if code in DETAILS)

    @property
    def missing(self) -> str:
        """What is not compared, in words; empty where everything is."""
        return (
            f"Not compared, since one of the locks has none: {', '.join(self.not_compared)}"
            if self.not_compared
            else ""
        )

    @property
    def unchanged(self) -> str:
        """What a reviewer need not look for, in words. It claims only what was compared."""
        found = {change.code for change in self.changes}
        parts = []
        if "builds" not in self.not_compared and not found & BUILD_CODES:
            parts.append("No build has a new package or another version of one (code in folders is not compared).")
        if "hosts" not in self.not_compared and not found & ORIGIN_CODES:
            parts.append(
                "Every file comes from a host that the old lock names. No project has another index, and no file has other bytes "
                "under the same name."
            )
        return " ".join(parts)

    def line(self, change: Change) -> int:
        """Return the line that an annotation points at: that of the package, else the first."""
        return self.lines.get(change.name, 1)


def _message(change: Change) -> str:
    message = show(change.message, limit=600)
    return f"{show(change.name)}: {message}" if change.name else message


def _context(change: Change) -> list[str]:
    """Return what brings a change in, and its targets where these are not all."""
    parts = [f"via {' > '.join(map(show, change.chain))}"] if change.chain else []
    return [*parts, f"on {', '.join(change.targets)}"] if change.targets else parts


def _one_line(change: Change) -> str:
    return "; ".join([_message(change), *_context(change)])


def text(review: Review, *, color: bool = False) -> str:
    """Return the comparison, a line for each change; empty where nothing differs."""
    lines = [f"Policy ({len(review.findings)})"] if review.findings else []
    lines += [f"  {finding_line(finding)}" for finding in review.findings]
    for weight in ("danger", "look", "version"):
        lines += _text_section(review, weight, color=color)
    if review.details:
        lines.append(_painted(f"{HEADINGS['quiet']}: {review.details}", "quiet", color=color))
    lines += [review.missing] if review.missing else []
    return "\n".join([*lines, ""]) if lines else ""


def _text_section(review: Review, weight: Weight, *, color: bool) -> Iterator[str]:
    changes = review.of(weight)
    if not changes:
        return
    yield _painted(f"{HEADINGS[weight]} ({len(changes)})", weight, color=color)
    shown = changes[:MAX_VERSIONS] if weight == "version" else changes
    for change in shown:
        yield f"  {_painted(_SIGNS[weight], weight, color=color)} {_message(change)}  [{change.code}]"
        if weight != "version":
            yield from (f"      {part}" for part in _context(change))
    if len(shown) < len(changes):
        yield f"  ... and {len(changes) - len(shown)} more"


def _painted(line: str, weight: Weight, *, color: bool) -> str:
    return f"\x1b[{_COLORS[weight]}m{line}\x1b[0m" if color else line


_SIGNIFICANT = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&])")


def markdown(review: Review) -> str:
    """Return the comparison."""
    lines = [f"### deep.lock: {_escaped(review.old)} to {_escaped(review.new)}", ""]
    if review.findings:
        lines += [f"#### Policy ({len(review.findings)})", ""]
        lines += [*(f"- {_escaped(finding_line(finding))}" for finding in review.findings), ""]
    if not review.changes:
        return "\n".join([*lines, "No differences.", *([f"{review.missing}."] if review.missing else []), ""])
    for weight in ("danger", "look"):
        changes = review.of(weight)
        if changes:
            lines += [f"#### {HEADINGS[weight]} ({len(changes)})", "", *map(_item, changes), ""]
    if review.unchanged:
        lines += [review.unchanged, ""]
    if review.missing:
        lines += [f"{review.missing}.", ""]
    if versions := review.of("version"):
        summary = f"<summary>{HEADINGS['version']} ({len(versions)})</summary>"
        lines += ["<details>", summary, "", *map(_item, versions), "", "</details>", ""]
    lines += [f"{HEADINGS['quiet']}: {review.details}.", ""] if review.details else []
    return "\n".join(lines)


def _item(change: Change) -> str:
    parts = (f"  - {_escaped(part)}" for part in _context(change))
    return "\n".join([f"- **{change.code}** {_escaped(_message(change))}", *parts])


def _escaped(text: str) -> str:
    """Return text from outside as text: no link, no mention, no HTML, no picture."""
    plain = _SIGNIFICANT.sub(r"\\\1", text)
    return plain.replace("://", ":\u200b//").replace("\\@", "@\u200b")


def json_document(review: Review) -> str:
    """Return the comparison as JSON."""
    return _encoded(
        {
            "schema": SCHEMA,
            "version": VERSION,
            "old": review.old,
            "new": review.new,
            "counts": {weight: len(review.of(weight)) for weight in _LEVELS},
            "not_compared": list(review.not_compared),
            "changes": [_row(change) for change in review.changes],
            "policy": [finding_row(finding) for finding in review.findings],
        }
    )


def _row(change: Change) -> dict[str, Any]:
    return {
        "code": change.code,
        "rank": change.rank,
        "weight": change.weight,
        "name": change.name,
        "was": change.was,
        "now": change.now,
        "message": change.message,
        "chain": list(change.chain),
        "targets": list(change.targets),
    }


def _encoded(document: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def sarif(review: Review) -> str:
    """Return the changes to review as SARIF, without version changes and details."""
    shown = (*review.of("danger"), *review.of("look"))
    codes = sorted({change.code for change in shown})
    rules = [{"id": code, "shortDescription": {"text": CODES[code][2]}} for code in codes]
    return _encoded(
        {
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": {"name": "deep-lock", "rules": rules}},
                    "results": [_sarif_result(review, change) for change in shown],
                    "properties": {"notCompared": list(review.not_compared)},
                }
            ],
        }
    )


def _sarif_result(review: Review, change: Change) -> dict[str, Any]:
    region = {"startLine": review.line(change)}
    return {
        "ruleId": change.code,
        "level": _LEVELS[change.weight],
        "message": {"text": _one_line(change)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": review.path}, "region": region}}],
    }


def github(review: Review) -> str:
    """Return workflow commands, a line each: errors and warnings at the lines of the packages, then the policy's findings."""
    lines = [
        workflow_command(_LEVELS[weight], review.path, review.line(change), change.code, _one_line(change))
        for weight in ("danger", "look")
        for change in review.of(weight)
    ]
    if review.missing:
        lines.append(workflow_command("notice", review.path, 1, "not-compared", review.missing))
    return "".join(lines) + findings_github(review.findings, review.path, review.lines)


def short_text(lock: Lock) -> str:
    """Return a lock in few words."""
    lines = [f"requirement {text}" for text in lock.inputs.requirements]
    lines += [f"target {target.name}" for target in lock.targets]
    for entry in lock.packages:
        lines += _short_package(entry)
    for build in lock.builds:
        where = f" on {', '.join(build.targets)}" if build.targets else ""
        lines.append(f"build of {called(build)} by {build.backend} [{build.evidence}]{where}")
        lines += [f"    {member.name} {member.version}" for member in build.packages]
    return "\n".join([*lines, ""])


def _short_package(entry: LockedPackage) -> Iterator[str]:
    marks = {
        "build-only": entry.build_only,
        "also-build": entry.also_build,
        "sdist-only": entry.sdist_only,
        "direct": entry.direct,
        "yanked": entry.yanked is not None,
    }
    names = ", ".join(name for name, holds in marks.items() if holds)
    marker = f" ; {entry.marker}" if entry.marker and not entry.build_only else ""
    yield f"{called(entry)}{f' [{names}]' if names else ''}{marker}"
    for file in files_of(entry):
        yield f"    {file.name} {file.sha256[:16]}"
