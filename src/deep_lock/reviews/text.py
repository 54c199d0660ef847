"""A comparison for a terminal: what matters first, and the noise counted."""

from deep_lock.model.changes import Weight
from deep_lock.reviews.findings import finding_line
from deep_lock.reviews.review import HEADINGS, QUIET, Review, told, way, where

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
        lines.append(f"  {_painted(_SIGNS[weight], weight, color=color)} {told(change)}  [{change.code}]")
        lines += [f"      by {way(change)}"] if change.chain and weight != "version" else []
        lines += [f"      on {where(change)}"] if change.targets and weight != "version" else []
    if len(shown) < len(changes):
        lines.append(f"  ... and {len(changes) - len(shown)} more")
    return lines


def _painted(line: str, weight: Weight, *, color: bool) -> str:
    return f"\x1b[{_COLORS[weight]}m{line}\x1b[0m" if color else line
