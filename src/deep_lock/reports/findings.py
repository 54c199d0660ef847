"""Findings for people and for programs, the gravest first: in lines, as JSON, as workflow commands of GitHub."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from deep_lock.models.changes import Finding, Severity
from deep_lock.sanitize import show

MAX_LINE = 1000
_COLORS = {"error": "31;1", "finding": "33;1", "note": "2"}
_COMMANDS: Mapping[Severity, str] = {"error": "error", "finding": "warning", "note": "notice"}


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
    rows = [finding_row(finding) for finding in findings]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def finding_row(finding: Finding) -> dict[str, str | list[str]]:
    """Return a finding as documents hold it."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "subject": finding.subject,
        "message": finding.message,
        "hint": finding.hint,
        "chain": list(finding.chain),
        "targets": list(finding.targets),
    }


def counted(findings: Sequence[Finding]) -> str:
    """Return how many of each severity there are, in words."""
    counts = Counter(finding.severity for finding in findings)
    words = [
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in ("error", "finding", "note")
        if (count := counts[severity])
    ]
    return ", ".join(words) or "nothing found"


def finding_line(finding: Finding) -> str:
    """Return a finding on one line, fit to be shown, without its severity."""
    where = f" [{', '.join(finding.targets)}]" if finding.targets else ""
    # a chain of one is the subject itself
    way = f" ({' > '.join(finding.chain)})" if len(finding.chain) > 1 else ""
    return show(f"{finding.code}: {finding.subject}: {finding.message}{where}{way}", limit=MAX_LINE)


def findings_lines(findings: Iterable[Finding]) -> str:
    """Return one line for each finding, its severity first."""
    return "".join(f"{finding.severity} {finding_line(finding)}\n" for finding in findings)


def findings_github(findings: Iterable[Finding], path: str, lines: Mapping[str, int]) -> str:
    """Return workflow commands, a line each, that stand beside the line of the entry in the lock at ``path``."""
    return "".join(
        f"::{_COMMANDS[finding.severity]} file={_property(path)},line={lines.get(finding.subject.partition(' ')[0], 1)},"
        f"title={_property(finding.code)}::{_data(finding_line(finding))}\n"
        for finding in findings
    )


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
