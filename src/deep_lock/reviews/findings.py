"""Findings of a review: lines for people, JSON for bots, and workflow commands of GitHub."""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import msgspec

from deep_lock.display import show
from deep_lock.model.review import Finding, Severity

VERSION = 1
MAX_LINE = 1000
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_COMMANDS: Mapping[Severity, str] = {"error": "error", "finding": "warning", "note": "notice"}


def line(finding: Finding) -> str:
    """Return a finding on one line, fit to be shown, without its severity."""
    where = f" [{', '.join(finding.targets)}]" if finding.targets else ""
    # a chain of one is the subject itself
    way = f" ({' > '.join(finding.chain)})" if len(finding.chain) > 1 else ""
    return show(f"{finding.code}: {finding.subject}: {finding.message}{where}{way}", limit=MAX_LINE)


def text(findings: Iterable[Finding]) -> str:
    """Return a line for each finding, its severity first."""
    return "".join(f"{finding.severity} {line(finding)}\n" for finding in findings)


def counted(findings: Sequence[Finding]) -> str:
    """Return how many findings have each severity, as "1 error, 2 notes"; empty where there is none."""
    counts = [(sum(finding.severity == severity for finding in findings), severity) for severity in SEVERITIES]
    return ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for count, severity in counts if count)


def json_document(findings: Sequence[Finding], lock: str, schema: str) -> str:
    """Return one document. Within its version keys are only added."""
    document = {
        "schema": schema,
        "version": VERSION,
        "lock": lock,
        "counts": {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES},
        "findings": findings,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def github(findings: Iterable[Finding], path: str, lines: Mapping[str, int]) -> str:
    """Return workflow commands, a line each, that stand beside the line of the entry in the lock at ``path``."""
    return "".join(
        f"::{_COMMANDS[finding.severity]} file={_property(path)},line={lines.get(finding.subject.partition(' ')[0], 1)},"
        f"title={_property(finding.code)}::{_data(line(finding))}\n"
        for finding in findings
    )


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
