"""A comparison of two locks as text, Markdown, JSON, SARIF 2.1.0 and workflow commands of GitHub; and a lock in a short form.

docs/formats/diff-json.md describes the JSON document. Within a version keys are only added.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal

from msgspec import Struct

from deep_lock.lockfile.index import called, files_of
from deep_lock.models.changes import CODES, HEADINGS, Change, Finding, Part, Weight
from deep_lock.models.lock import Lock, LockedPackage
from deep_lock.reports.document import document
from deep_lock.reports.findings import finding_line, finding_row, findings_github
from deep_lock.reports.sarif import Level, sarif_document, sarif_result, sarif_rule
from deep_lock.sanitize import (
    Markdown,
    Painted,
    Safe,
    annotation,
    joined,
    line,
    lines,
    markdown,
    show,
)
from deep_lock.targets.short_form import short_form

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
_COLORS: dict[Weight, str] = {"danger": "31;1", "look": "35;1", "version": "36", "quiet": "2"}
_SIGNS: dict[Weight, str] = {"danger": "!", "look": "?", "version": "-", "quiet": " "}
_ANNOTATIONS: Mapping[Weight, Literal["error", "warning"]] = {"danger": "error", "look": "warning"}
_LEVELS: dict[Weight, Level] = {"danger": "error", "look": "warning", "version": "note", "quiet": "note"}


class Review(Struct, frozen=True, kw_only=True):
    """A comparison of two locks."""

    old: str
    """The name of the old one: a file, or a revision of one."""
    new: str
    project: str = ""
    """The name of the project, where the new lock has it."""
    path: str = "deep.lock"
    """The file that the comparison is about, as annotations name it."""
    changes: tuple[Change, ...]
    codes: frozenset[str] = frozenset()
    """Of all changes, also of those that are not listed since another one of a higher rank has the same fact."""
    not_compared: tuple[Part, ...] = ()
    wheels: str = ""
    """How many of the new wheels were read, as text; empty where none were to be read."""
    findings: tuple[Finding, ...] = ()
    """What the policy of the project finds in the new lock."""
    labels: tuple[str, ...] = ()
    """The targets of both locks."""
    lines: Mapping[str, int] = {}
    """The line of each package's name in the new file, from 1."""

    def of(self, weight: Weight) -> tuple[Change, ...]:
        """Return the changes of a weight, most important first."""
        return tuple(change for change in self.changes if change.weight == weight)

    @property
    def details(self) -> str:
        """How many packages have other details, as text."""
        counts = Counter(change.code for change in self.changes)
        return "; ".join(f"{count} {DETAILS[code]}" for code, count in counts.items() if code in DETAILS)

    @property
    def missing(self) -> str:
        """What is not compared, as text; empty where everything is."""
        return (
            f"Not compared, since one of the locks has none: {', '.join(self.not_compared)}"
            if self.not_compared
            else ""
        )

    @property
    def unchanged(self) -> str:
        """What a reviewer need not look for, as text. It claims only what was compared."""
        found = {change.code for change in self.changes}
        parts = []
        if "builds" not in self.not_compared and not found & BUILD_CODES:
            parts.append("No build has a new package or another version of one; code in folders is not compared.")
        if "hosts" not in self.not_compared and not found & ORIGIN_CODES:
            parts.append(
                "Every file comes from a host that the old lock names. No project has another index, and no file has other bytes "
                "under the same name."
            )
        return " ".join(parts)

    @property
    def wheels_line(self) -> str:
        """How many of the new wheels were read, as a sentence without its period."""
        return f"{self.wheels[:1].upper()}{self.wheels[1:]}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not compared, and how many wheels were read."""
        return tuple(filter(None, (self.missing, self.wheels_line)))

    def line(self, change: Change) -> int:
        """Return the line that an annotation points at: that of the package, else the first."""
        return self.lines.get(change.name, 1)


def _message(change: Change) -> str:
    message = show(change.message, limit=600)
    return f"{show(change.name)}: {message}" if change.name else message


def _context(change: Change, labels: Sequence[str]) -> list[str]:
    """Return what brings a change in, and its targets where these are not all."""
    parts = [f"via {' > '.join(map(show, change.chain))}"] if change.chain else []
    return [*parts, f"on {short_form(change.targets, labels)}"] if change.targets else parts


def _one_line(change: Change, labels: Sequence[str]) -> str:
    return "; ".join([_message(change), *_context(change, labels)])


def text(review: Review) -> Safe:
    """Return the comparison, a line for each change; empty where nothing differs."""
    found = [line(f"Policy ({len(review.findings)})")] if review.findings else []
    found += [line(f"  {finding_line(finding)}") for finding in review.findings]
    for weight in ("danger", "look", "version"):
        found += _text_section(review, weight)
    if review.details:
        found.append(line(_painted(f"{HEADINGS['quiet']}: {review.details}", "quiet")))
    found += [line(note) for note in review.notes]
    return joined(found)


def _text_section(review: Review, weight: Weight) -> Iterator[Safe]:
    changes = review.of(weight)
    if not changes:
        return
    yield line(_painted(f"{HEADINGS[weight]} ({len(changes)})", weight))
    shown = changes[:MAX_VERSIONS] if weight == "version" else changes
    for change in shown:
        yield line("  ", _painted(_SIGNS[weight], weight), f" {_message(change)}  [{change.code}]")
        if weight != "version":
            yield from (line(f"      {part}") for part in _context(change, review.labels))
    if len(shown) < len(changes):
        yield line(f"  ... and {len(changes) - len(shown)} more")


def _painted(text: str, weight: Weight) -> Painted:
    return Painted(text, _COLORS[weight])


def as_markdown(review: Review) -> Markdown:
    """Return the comparison in Markdown."""
    blocks = [[markdown("### deep.lock: {} to {}", review.old, review.new)]]
    if review.findings:
        blocks.append([markdown("#### Policy ({})", str(len(review.findings)))])
        blocks.append([markdown("- {}", finding_line(finding)) for finding in review.findings])
    notes = [markdown("{}.", note) for note in review.notes]
    if not review.changes:
        return _spaced([*blocks, [markdown("No differences."), *notes]])
    for weight in ("danger", "look"):
        if changes := review.of(weight):
            blocks += [[markdown("#### {} ({})", HEADINGS[weight], str(len(changes)))], _items(changes, review.labels)]
    blocks += [[markdown("{}", review.unchanged)]] if review.unchanged else []
    blocks += [[note] for note in notes]
    if versions := review.of("version"):
        summary = markdown("<summary>{} ({})</summary>", HEADINGS["version"], str(len(versions)))
        blocks += [[markdown("<details>"), summary], _items(versions, review.labels), [markdown("</details>")]]
    blocks += [[markdown("{}: {}.", HEADINGS["quiet"], review.details)]] if review.details else []
    return _spaced(blocks)


def _spaced(blocks: Iterable[Iterable[Markdown]]) -> Markdown:
    """Return the blocks with an empty line between two of them."""
    lines_of_blocks = chain.from_iterable((markdown(""), *block) for block in blocks)
    return joined(islice(lines_of_blocks, 1, None))


def _items(changes: Iterable[Change], labels: Sequence[str]) -> list[Markdown]:
    found: list[Markdown] = []
    for change in changes:
        found.append(markdown("- **{}** {}", change.code, _message(change)))
        found += [markdown("  - {}", part) for part in _context(change, labels)]
    return found


def as_json(review: Review) -> Safe:
    """Return the comparison as JSON."""
    return document(
        "diff",
        1,
        {
            "old": review.old,
            "new": review.new,
            "counts": {weight: len(review.of(weight)) for weight in _LEVELS},
            "not-compared": list(review.not_compared),
            **({"wheels": review.wheels} if review.wheels else {}),
            "changes": [change_row(change) for change in review.changes],
            "policy": [finding_row(finding) for finding in review.findings],
        },
    )


def change_row(change: Change) -> dict[str, Any]:
    """Return a change as JSON documents have it."""
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


def sarif(review: Review) -> Safe:
    """Return the changes to review as SARIF, without version changes and details."""
    shown = (*review.of("danger"), *review.of("look"))
    return sarif_document(
        [sarif_rule(code, CODES[code][2]) for code in {change.code for change in shown}],
        [
            sarif_result(
                change.code, _LEVELS[change.weight], _one_line(change, review.labels), review.path, review.line(change)
            )
            for change in shown
        ],
        {"notCompared": list(review.not_compared), **({"wheels": review.wheels} if review.wheels else {})},
    )


def github(review: Review) -> Safe:
    """Return workflow commands, a line each: errors and warnings at the lines of the packages, then the policy's findings."""
    found = [
        annotation(level, review.path, review.line(change), change.code, _one_line(change, review.labels))
        for weight, level in _ANNOTATIONS.items()
        for change in review.of(weight)
    ]
    found += [annotation("notice", review.path, 1, "not-compared", review.missing)] if review.missing else []
    found += [annotation("notice", review.path, 1, "wheels", review.wheels_line)] if review.wheels else []
    found += findings_github(review.findings, review.path, review.lines)
    return joined(found)


def short_text(lock: Lock) -> Safe:
    """Return a lock in a short form."""
    found = [f"requirement {text}" for text in lock.inputs.requirements]
    labels = [target.name for target in lock.targets]
    found += [f"target {label}" for label in labels]
    for entry in lock.packages:
        found += _short_package(entry)
    for build in lock.builds:
        where = f" on {short_form(build.targets, labels)}" if build.targets else ""
        found.append(f"build of {called(build)} by {build.backend} [{build.evidence}]{where}")
        found += [f"    {member.name} {member.version}" for member in build.packages]
    return lines("\n".join([*found, ""]))


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
