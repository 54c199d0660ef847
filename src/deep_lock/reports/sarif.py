"""SARIF 2.1.0: the document that every SARIF output has, and results at lines of a lock."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from deep_lock.sanitize import Safe, json_document

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
Level = Literal["error", "warning", "note"]


def sarif_document(
    meanings: Mapping[str, str], results: Sequence[Mapping[str, Any]], properties: Mapping[str, Any] | None = None
) -> Safe:
    """Return a document with one run; ``meanings`` has the rules of the results, by ID."""
    rules = [{"id": code, "shortDescription": {"text": text}} for code, text in sorted(meanings.items())]
    run = {"tool": {"driver": {"name": "deep-lock", "rules": rules}}, "results": list(results)}
    return json_document(
        {
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{**run, **({"properties": dict(properties)} if properties else {})}],
        }
    )


def sarif_result(code: str, level: Level, text: str, path: str, line: int) -> dict[str, Any]:
    """Return a result at a line of the file at ``path``, which has "/" and is no URI yet."""
    location = {"artifactLocation": {"uri": quote(path, safe="/:")}, "region": {"startLine": line}}
    return {
        "ruleId": code,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
