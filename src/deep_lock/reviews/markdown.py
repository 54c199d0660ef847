"""A comparison as Markdown, for a comment on a pull request: what matters stands open, the rest folds away."""

import re

from deep_lock.model.changes import Change, Weight
from deep_lock.reviews.findings import finding_line
from deep_lock.reviews.review import HEADINGS, QUIET, Review, told, way, where

_SIGNIFICANT = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&])")


def markdown(review: Review) -> str:
    """Return the comparison."""
    lines = [f"### deep.lock: {_escaped(review.old)} to {_escaped(review.new)}", ""]
    if review.findings:
        lines += [f"#### Policy ({len(review.findings)})", ""]
        lines += [*(f"- {_escaped(finding_line(finding))}" for finding in review.findings), ""]
    if not review.changes:
        return "\n".join([*lines, "Nothing differs.", ""])
    for weight in ("danger", "look"):
        changes = review.of(weight)
        if changes:
            lines += [f"#### {HEADINGS[weight]} ({len(changes)})", "", *map(_item, changes), ""]
    if not review.of("danger"):
        lines += ["No new code runs at build time, and every file comes from where it came from.", ""]
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
    parts = [f"- **{change.code}** {_escaped(told(change))}"]
    parts += [f"  - by {_escaped(way(change))}"] if change.chain else []
    parts += [f"  - on {_escaped(where(change))}"] if change.targets else []
    return "\n".join(parts)


def _escaped(text: str) -> str:
    """Return text from outside as text: no link, no mention, no HTML, no picture."""
    plain = _SIGNIFICANT.sub(r"\\\1", text)
    return plain.replace("://", ":\u200b//").replace("\\@", "@\u200b")
