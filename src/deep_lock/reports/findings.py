"""Findings for people and for programs: as lines, as JSON, as SARIF, as workflow commands of GitHub."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from deep_lock.models.changes import CODES, SEVERITIES, Finding, Severity
from deep_lock.models.policy import RULES
from deep_lock.reports.sarif import Level, sarif_document, sarif_result, sarif_rule
from deep_lock.sanitize import Painted, Safe, annotation, joined, line, show

MAX_LINE = 1000
_COLORS = {"error": "31;1", "finding": "35;1", "note": "2"}
_ANNOTATIONS: Mapping[Severity, Literal["error", "warning", "notice"]] = {
    "error": "error",
    "finding": "warning",
    "note": "notice",
}
_SARIF_LEVELS: Mapping[Severity, Level] = {"error": "error", "finding": "warning", "note": "note"}


def findings_text(findings: Sequence[Finding]) -> Safe:
    """Return a line for each finding, with its hint and chain below it."""
    found: list[Safe] = []
    for finding in findings:
        text = f": {show(finding.subject)}: {show(finding.message, limit=1000)}  [{finding.code}]"
        found.append(line(Painted(finding.severity, _COLORS[finding.severity]), text))
        found += [line(f"    via {' > '.join(map(show, finding.chain))}")] if finding.chain else []
        found += [line(f"    on {', '.join(finding.targets)}")] if finding.targets else []
        found += [line(f"    {show(finding.hint, limit=1000)}")] if finding.hint else []
    return joined(found)


def findings_rows(findings: Iterable[Finding]) -> list[dict[str, str | list[str]]]:
    """Return the findings as JSON documents have them."""
    return [finding_row(finding) for finding in findings]


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
    """Return how many of each severity there are, as text."""
    found = Counter(finding.severity for finding in findings)
    words = [f"{count} {severity}{'' if count == 1 else 's'}" for severity in SEVERITIES if (count := found[severity])]
    return ", ".join(words) or "nothing found"


def finding_line(finding: Finding) -> str:
    """Return a finding on one line, safe to show, without its severity; its ID or its code comes first."""
    where = f" [{', '.join(finding.targets)}]" if finding.targets else ""
    # a chain of one is the package itself
    chain = f" (via {' > '.join(finding.chain)})" if len(finding.chain) > 1 else ""
    return show(f"{finding.id or finding.code}: {finding.subject}: {finding.message}{where}{chain}", limit=MAX_LINE)


def findings_lines(findings: Iterable[Finding]) -> Safe:
    """Return one line for each finding, its severity first."""
    return joined(line(f"{finding.severity} {finding_line(finding)}") for finding in findings)


def findings_sarif(findings: Sequence[Finding], path: str, lines: Mapping[str, int]) -> Safe:
    """Return the findings as SARIF, at the lines of the packages in the lock at ``path``."""
    results = [
        sarif_result(finding.code, _SARIF_LEVELS[finding.severity], finding_line(finding), path, _line(finding, lines))
        for finding in findings
    ]
    return sarif_document([sarif_rule(code, _meaning(code)) for code in {own.code for own in findings}], results)


def _meaning(code: str) -> str:
    """Return what a code means: a rule of a policy, a change, or else the code itself as text."""
    known = RULES[code][1] if code in RULES else ""
    return known or (CODES[code][2] if code in CODES else code.replace("-", " "))


def _line(finding: Finding, lines: Mapping[str, int]) -> int:
    return lines.get(finding.subject.partition(" ")[0], 1)


def findings_github(findings: Iterable[Finding], path: str, lines: Mapping[str, int]) -> list[Safe]:
    """Return annotations of GitHub at the lines of the packages in the lock at ``path``."""
    return [
        annotation(
            _ANNOTATIONS[finding.severity],
            path,
            _line(finding, lines),
            finding.code,
            finding_line(finding),
        )
        for finding in findings
    ]
