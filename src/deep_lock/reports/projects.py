"""The summary of a run over several projects, for people."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from deep_lock.sanitize import show

Result = Literal["locked", "would change", "up to date", "exists", "stale", "failed"]


class ProjectRow(Struct, frozen=True, kw_only=True):
    """One project of the run."""

    path: str
    """Of its folder, relative to the folder of the search."""
    result: Result
    packages: int | None
    """Of its lock; None where the run did not read it."""
    seconds: float


def projects_summary(rows: Sequence[ProjectRow], total: int) -> str:
    """Return a table with a line for each project, and their number by result. ``total`` is the number of all projects."""
    cells = [("project", "result", "packages", "seconds")]
    cells += [
        (show(row.path), row.result, "-" if row.packages is None else str(row.packages), f"{row.seconds:.1f}")
        for row in rows
    ]
    path, result, packages, seconds = (max(map(len, column)) for column in zip(*cells, strict=True))
    table = [f"  {a:<{path}}  {b:<{result}}  {c:>{packages}}  {d:>{seconds}}" for a, b, c, d in cells]
    counts = Counter(row.result for row in rows)
    counted = ", ".join(f"{count} {name}" for name, count in counts.items())
    number = f"{total} project{'' if total == 1 else 's'}"
    done = f"{len(rows)} of {number}" if len(rows) < total else number
    return "\n".join([*table, f"{done}: {counted}" if rows else done])
