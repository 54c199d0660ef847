"""What has newer versions, for people and for bots."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from deep_lock.sanitize import show

SCHEMA = "deep-lock/outdated"
VERSION = 1


class Outdated(Struct, frozen=True, kw_only=True):
    """A package that has a newer version, in one environment."""

    name: str
    version: str
    newest: str
    scope: Literal["runtime", "build"]
    build: str = ""
    """"NAME VERSION" of what is built there; empty at runtime."""
    direct: bool = False
    """Whether the project, or the build itself, requires it."""
    admitted: bool = True
    """Whether the requirements of the project, or of the build, admit the newest version."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that could use it; empty: all."""

    @property
    def command(self) -> str:
        """What upgrades it."""
        return f"deep-lock lock -P {self.name}=={self.newest}"


def outdated_text(rows: Sequence[Outdated]) -> str:
    """Return a table: the runtime, then each build environment."""
    lines: list[str] = []
    width = max((len(row.name) for row in rows), default=0)
    heading = ""
    for row in rows:
        own = f"build of {row.build}" if row.scope == "build" else "runtime"
        if own != heading:
            heading = own
            lines.append(show(heading))
        notes = [] if row.admitted else ["held back by a requirement"]
        notes += [f"on {', '.join(row.targets)}"] if row.targets else []
        end = f"  ({'; '.join(notes)})" if notes else ""
        lines.append(f"  {show(row.name):<{width}}  {show(row.version)} -> {show(row.newest)}{end}")
    return "\n".join([*lines, ""]) if lines else ""


def outdated_count(rows: Sequence[Outdated]) -> str:
    """Return how many packages are outdated, in words."""
    count = len({row.name for row in rows})
    return f"{count} {'package is' if count == 1 else 'packages are'} outdated" if rows else "nothing is outdated"


def outdated_json(rows: Sequence[Outdated]) -> str:
    """Return the rows as one document; within a version keys are only added."""
    values = [{**msgspec.structs.asdict(row), "command": row.command} for row in rows]
    document = {"schema": SCHEMA, "version": VERSION, "outdated": values}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
