"""A comparison for programs: JSON of our own, SARIF 2.1.0, and workflow commands of GitHub.

Our JSON is described in docs/diff-json.md. Within a version keys are only added.
"""

from typing import Any

import msgspec

from deep_lock.models.changes import CODES, Change, Weight
from deep_lock.reports.diff import Review, change_text, meaning, way, where
from deep_lock.reports.findings import finding_row, findings_github

SCHEMA = "deep-lock/diff"
VERSION = 1
_LEVELS: dict[Weight, str] = {"danger": "error", "look": "warning", "version": "note", "quiet": "note"}


def json_document(review: Review) -> str:
    """Return the comparison as JSON."""
    return _written(
        {
            "schema": SCHEMA,
            "version": VERSION,
            "old": review.old,
            "new": review.new,
            "counts": {weight: len(review.of(weight)) for weight in _LEVELS},
            "changes": [_change(change) for change in review.changes],
            "policy": [finding_row(finding) for finding in review.findings],
        }
    )


def _change(change: Change) -> dict[str, Any]:
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


def sarif(review: Review) -> str:
    """Return what a person should look at as SARIF: version changes and details are left out."""
    shown = (*review.of("danger"), *review.of("look"))
    codes = sorted({change.code for change in shown})
    return _written(
        {
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "deep-lock",
                            "rules": [{"id": code, "shortDescription": {"text": meaning(code)}} for code in codes],
                        }
                    },
                    "results": [_result(review, change) for change in shown],
                }
            ],
        }
    )


def _result(review: Review, change: Change) -> dict[str, Any]:
    return {
        "ruleId": change.code,
        "level": _LEVELS[CODES[change.code][1]],
        "message": {"text": _whole(change)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": review.path},
                    "region": {"startLine": review.line(change)},
                }
            }
        ],
    }


def github(review: Review) -> str:
    """Return workflow commands, a line each: errors and warnings that stand beside the line of the entry."""
    lines = []
    for command, changes in (("error", review.of("danger")), ("warning", review.of("look"))):
        for change in changes:
            place = f"file={_property(review.path)},line={review.line(change)},title={_property(change.code)}"
            lines.append(f"::{command} {place}::{_data(_whole(change))}")
    change_text = "\n".join([*lines, ""]) if lines else ""
    return change_text + findings_github(review.findings, review.path, review.lines)


def _whole(change: Change) -> str:
    parts = [change_text(change)]
    parts += [f"by {way(change)}"] if change.chain else []
    parts += [f"on {where(change)}"] if change.targets else []
    return "; ".join(parts)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _written(document: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
