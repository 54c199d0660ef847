"""What has newer releases, for people and for bots."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from deep_lock.sanitize import show

SCHEMA = "deep-lock/outdated"
VERSION = 1


def outdated_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table: the run time, then each build environment."""
    lines: list[str] = []
    width = max((len(row["name"]) for row in rows), default=0)
    place = None
    for row in rows:
        here = f"build of {row['build']}" if row["scope"] == "build" else "run time"
        if here != place:
            lines.append(show(here))
            place = here
        marks = [] if row["admitted"] else ["kept back by what is asked for"]
        marks += [f"on {', '.join(row['targets'])}"] if row["targets"] else []
        told = f"  ({'; '.join(marks)})" if marks else ""
        lines.append(f"  {show(row['name']):<{width}}  {show(row['version'])} -> {show(row['newest'])}{told}")
    return "\n".join([*lines, ""]) if lines else ""


def outdated_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as one document; within a version keys are only added."""
    document = {"schema": SCHEMA, "version": VERSION, "outdated": list(rows)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
