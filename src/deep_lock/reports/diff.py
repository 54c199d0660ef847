"""What is shown of a comparison, whatever the form."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from deep_lock.lockfile.index import called
from deep_lock.models.changes import CODES, Change, Finding, Weight
from deep_lock.models.lock import Lock, LockedPackage
from deep_lock.reports.findings import finding_line
from deep_lock.sanitize import show

HEADINGS: Mapping[Weight, str] = {
    "danger": "Dangerous changes",
    "look": "Changes to review",
    "version": "Version changes",
    "quiet": "Details",
}
QUIET = {
    "files-changed": "with other files",
    "edges-changed": "with other dependencies",
    "marker-changed": "with another marker",
}


class Review(Struct, frozen=True, kw_only=True):
    """A comparison of two locks."""

    old: str
    """What the old one is called: a file, or a revision of one."""
    new: str
    path: str = "deep.lock"
    """The file that the comparison is about, as annotations name it."""
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...] = ()
    """What the policy of the project finds in the new lock."""
    lines: Mapping[str, int] = {}
    """The line of each entry's name in the new file, from 1."""

    def of(self, weight: Weight) -> tuple[Change, ...]:
        """Return the changes of a weight, most important first."""
        return tuple(change for change in self.changes if change.weight == weight)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many changes have each code."""
        return Counter(change.code for change in self.changes)

    def line(self, change: Change) -> int:
        """Return the line that an annotation points at: that of the entry, else the first."""
        return self.lines.get(change.name, 1)


def way(change: Change) -> str:
    """Return the chain that brings a change in, on one line."""
    return " > ".join(show(step) for step in change.chain)


def where(change: Change) -> str:
    """Return the targets that a change touches, on one line; empty where that is all of them."""
    return ", ".join(change.targets)


def change_text(change: Change) -> str:
    """Return what is said of a change: the project, and what is the case."""
    return f"{show(change.name)}: {show(change.message, limit=600)}" if change.name else show(change.message, limit=600)


def meaning(code: str) -> str:
    """Return what a code means."""
    return CODES[code][2]


MAX_VERSIONS = 20
"""Lines of plain version changes: beyond that they are counted."""
_COLORS: dict[Weight, str] = {"danger": "31;1", "look": "33;1", "version": "36", "quiet": "2"}
_SIGNS: dict[Weight, str] = {"danger": "!", "look": "?", "version": "-", "quiet": " "}


def text(review: Review, *, color: bool = False) -> str:
    """Return the comparison, a line for each change; nothing where nothing differs."""
    lines = [f"Policy ({len(review.findings)})"] if review.findings else []
    lines += [f"  {finding_line(finding)}" for finding in review.findings]
    for weight in ("danger", "look", "version"):
        lines += _section(review, weight, color=color)
    quiet = [f"{count} {QUIET[code]}" for code, count in review.counts.items() if code in QUIET]
    if quiet:
        lines.append(_painted(f"{HEADINGS['quiet']}: {'; '.join(quiet)}", "quiet", color=color))
    return "\n".join([*lines, ""]) if lines else ""


def _section(review: Review, weight: Weight, *, color: bool) -> list[str]:
    changes = review.of(weight)
    if not changes:
        return []
    lines = [_painted(f"{HEADINGS[weight]} ({len(changes)})", weight, color=color)]
    shown = changes[:MAX_VERSIONS] if weight == "version" else changes
    for change in shown:
        lines.append(f"  {_painted(_SIGNS[weight], weight, color=color)} {change_text(change)}  [{change.code}]")
        lines += [f"      by {way(change)}"] if change.chain and weight != "version" else []
        lines += [f"      on {where(change)}"] if change.targets and weight != "version" else []
    if len(shown) < len(changes):
        lines.append(f"  ... and {len(changes) - len(shown)} more")
    return lines


def _painted(line: str, weight: Weight, *, color: bool) -> str:
    return f"\x1b[{_COLORS[weight]}m{line}\x1b[0m" if color else line


def short_text(lock: Lock) -> str:
    """Return the lock in few words."""
    lines = [f"requirement {text}" for text in lock.inputs.requirements]
    lines += [f"target {target.name}" for target in lock.targets]
    for entry in lock.packages:
        lines += _entry(entry)
    for build in lock.builds:
        where = f" on {', '.join(build.targets)}" if build.targets else ""
        lines.append(f"build of {called(build)} by {build.backend} [{build.evidence}]{where}")
        lines += [f"    {member.name} {member.version}" for member in build.packages]
    return "\n".join([*lines, ""])


def _entry(entry: LockedPackage) -> Iterator[str]:
    marks = [
        name
        for name, holds in (
            ("build-only", entry.build_only),
            ("also-build", entry.also_build),
            ("sdist-only", entry.sdist_only),
            ("direct", entry.direct),
        )
        if holds
    ]
    marks += ["yanked"] if entry.yanked is not None else []
    marker = f" ; {entry.marker}" if entry.marker and not entry.build_only else ""
    shown = f" [{', '.join(marks)}]" if marks else ""
    yield f"{called(entry)}{shown}{marker}"
    for file in (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ())):
        yield f"    {file.name} {file.sha256[:16]}"


_SIGNIFICANT = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&])")


def markdown(review: Review) -> str:
    """Return the comparison."""
    lines = [f"### deep.lock: {_escaped(review.old)} to {_escaped(review.new)}", ""]
    if review.findings:
        lines += [f"#### Policy ({len(review.findings)})", ""]
        lines += [*(f"- {_escaped(finding_line(finding))}" for finding in review.findings), ""]
    if not review.changes:
        return "\n".join([*lines, "No differences.", ""])
    for weight in ("danger", "look"):
        changes = review.of(weight)
        if changes:
            lines += [f"#### {HEADINGS[weight]} ({len(changes)})", "", *map(_item, changes), ""]
    if not review.of("danger"):
        lines += ["No new code runs at build time, and no file comes from a new place.", ""]
    lines += _folded(review, "version")
    quiet = [f"{count} {QUIET[code]}" for code, count in review.counts.items() if code in QUIET]
    lines += [f"{HEADINGS['quiet']}: {'; '.join(quiet)}.", ""] if quiet else []
    return "\n".join(lines)


def _folded(review: Review, weight: Weight) -> list[str]:
    changes = review.of(weight)
    if not changes:
        return []
    return [
        "<details>",
        f"<summary>{HEADINGS[weight]} ({len(changes)})</summary>",
        "",
        *map(_item, changes),
        "",
        "</details>",
        "",
    ]


def _item(change: Change) -> str:
    parts = [f"- **{change.code}** {_escaped(change_text(change))}"]
    parts += [f"  - by {_escaped(way(change))}"] if change.chain else []
    parts += [f"  - on {_escaped(where(change))}"] if change.targets else []
    return "\n".join(parts)


def _escaped(text: str) -> str:
    """Return text from outside as text: no link, no mention, no HTML, no picture."""
    plain = _SIGNIFICANT.sub(r"\\\1", text)
    return plain.replace("://", ":\u200b//").replace("\\@", "@\u200b")
