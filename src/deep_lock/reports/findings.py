"""Findings for people and for programs: as lines, as JSON, as workflow commands of GitHub."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from deep_lock.models.changes import SEVERITIES, Finding, Severity
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
        lines += [f"    via {' > '.join(map(show, finding.chain))}"] if finding.chain else []
        lines += [f"    on {', '.join(finding.targets)}"] if finding.targets else []
        lines += [f"    {show(finding.hint, limit=1000)}"] if finding.hint else []
    return "\n".join([*lines, ""]) if lines else ""


def findings_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a list; keys are only added."""
    rows = [finding_row(finding) for finding in findings]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def finding_row(finding: Finding) -> dict[str, str | list[str]]:
    """Return a finding as JSON documents have it."""
    return {
        "code": finding.code,
        "id": finding.id,
        "severity": finding.severity,
        "subject": finding.subject,
        "message": finding.message,
        "hint": finding.hint,
        "chain": list(finding.chain),
        "targets": list(finding.targets),
    }


def counts(findings: Sequence[Finding]) -> str:
    """Return how many of each severity there are, in words."""
    found = Counter(finding.severity for finding in findings)
    words = [f"{count} {severity}{'' if count == 1 else 's'}" for severity in SEVERITIES if (count := found[severity])]
    return ", ".join(words) or "nothing found"


def finding_line(finding: Finding) -> str:
    """Return a finding on one line, safe to show, without its severity; its ID or its code comes first."""
    where = f" [{', '.join(finding.targets)}]" if finding.targets else ""
    # a chain of one is the package itself
    chain = f" (via {' > '.join(finding.chain)})" if len(finding.chain) > 1 else ""
    return show(f"{finding.id or finding.code}: {finding.subject}: {finding.message}{where}{chain}", limit=MAX_LINE)


def findings_lines(findings: Iterable[Finding]) -> str:
    """Return one line for each finding, its severity first."""
    return "".join(f"{finding.severity} {finding_line(finding)}\n" for finding in findings)


def findings_github(findings: Iterable[Finding], path: str, lines: Mapping[str, int]) -> str:
    """Return workflow commands, a line each, at the lines of the packages in the lock at ``path``."""
    return "".join(
        workflow_command(
            _COMMANDS[finding.severity],
            path,
            lines.get(finding.subject.partition(" ")[0], 1),
            finding.code,
            finding_line(finding),
        )
        for finding in findings
    )


def workflow_command(command: str, path: str, line: int, title: str, message: str) -> str:
    """Return one workflow command of GitHub: an annotation of a line."""
    return f"::{command} file={_property(path)},line={line},title={_property(title)}::{_data(message)}\n"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
