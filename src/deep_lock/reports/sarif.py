"""SARIF 2.1.0: the document that every SARIF output has, and results at lines of a lock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from deep_lock.sanitize import Safe, json_document

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
Level = Literal["error", "warning", "note"]


def sarif_document(
    rules: Iterable[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    properties: Mapping[str, Any] | None = None,
) -> Safe:
    """Return a document with one run; ``rules`` are those of the results, each once."""
    driver = {"name": "deep-lock", "rules": sorted(rules, key=lambda rule: str(rule["id"]))}
    run = {"tool": {"driver": driver}, "results": list(results)}
    return json_document(
        {
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{**run, **({"properties": dict(properties)} if properties else {})}],
        }
    )


def sarif_rule(code: str, text: str) -> dict[str, Any]:
    """Return a rule, with its meaning."""
    return {"id": code, "shortDescription": {"text": text}}


def sarif_result(code: str, level: Level, text: str, path: str, line: int) -> dict[str, Any]:
    """Return a result at a line of the file at ``path``, which has "/" and is no URI yet."""
    location = {"artifactLocation": {"uri": quote(path, safe="/:")}, "region": {"startLine": line}}
    return {
        "ruleId": code,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
