"""Findings for people and for programs: a line each, the gravest first."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from deep_lock.display import show
from deep_lock.model.review import Finding

_COLORS = {"error": "31;1", "finding": "33;1", "note": "2"}


def findings_text(findings: Sequence[Finding], *, color: bool) -> str:
    """Return a line for each finding, with its hint and chain below it."""
    lines: list[str] = []
    for finding in findings:
        head = f"\x1b[{_COLORS[finding.severity]}m{finding.severity}\x1b[0m" if color else finding.severity
        lines.append(f"{head}: {show(finding.subject)}: {show(finding.message, limit=1000)}  [{finding.code}]")
        lines += [f"    by {' > '.join(map(show, finding.chain))}"] if finding.chain else []
        lines += [f"    on {', '.join(finding.targets)}"] if finding.targets else []
        lines += [f"    {show(finding.hint, limit=1000)}"] if finding.hint else []
    return "\n".join([*lines, ""]) if lines else ""


def findings_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a list; keys are only added."""
    rows = [
        {
            "code": finding.code,
            "severity": finding.severity,
            "subject": finding.subject,
            "message": finding.message,
            "hint": finding.hint,
            "chain": list(finding.chain),
            "targets": list(finding.targets),
        }
        for finding in findings
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def counted(findings: Sequence[Finding]) -> str:
    """Return how many of each severity there are, in words."""
    counts = Counter(finding.severity for finding in findings)
    words = [
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in ("error", "finding", "note")
        if (count := counts[severity])
    ]
    return ", ".join(words) or "nothing found"
