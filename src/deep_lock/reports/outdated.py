"""What has newer versions, for people and for bots."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from deep_lock.reports.document import document
from deep_lock.sanitize import Safe, lines, show


class Blocker(Struct, frozen=True, kw_only=True):
    """What does not admit a newer version."""

    package: str
    """"NAME VERSION" of the locked package, or of what is built; empty: the project."""
    requirement: str
    """The requirement of that package; empty where it is not known."""
    reason: str = ""
    """Why that matters, where the requirement is on another project; or why it is not known."""
    chain: tuple[str, ...] = ()
    """What brings the package in, from a direct dependency down."""


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
    blocked_by: tuple[Blocker, ...] = ()
    """What does not admit the newest version."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that could use it; empty: all."""
    lock_command: str = "deep-lock lock"
    """What makes the lock again, in its folder."""

    @property
    def admitted(self) -> bool:
        """Whether nothing holds the newest version back."""
        return not self.blocked_by

    @property
    def command(self) -> str:
        """What upgrades it; empty where something holds it back."""
        return f"{self.lock_command} -P {self.name}=={self.newest}" if self.admitted else ""


def outdated_text(rows: Sequence[Outdated]) -> Safe:
    """Return a table: the runtime, then each build environment."""
    found: list[str] = []
    width = max((len(row.name) for row in rows), default=0)
    heading = ""
    for row in rows:
        own = f"build of {row.build}" if row.scope == "build" else "runtime"
        if own != heading:
            heading = own
            found.append(show(heading))
        end = f"  (on {', '.join(row.targets)})" if row.targets else ""
        found.append(f"  {show(row.name):<{width}}  {show(row.version)} -> {show(row.newest)}{end}")
        found += [f"      held back by {blocker_text(own)}" for own in row.blocked_by]
    return lines("\n".join([*found, ""]) if found else "")


def blocker_text(own: Blocker) -> str:
    """Return what holds a version back, in words."""
    about = ", ".join(show(text, limit=400) for text in (own.requirement, own.reason) if text)
    via = f" (via {' > '.join(map(show, own.chain))})" if len(own.chain) > 1 else ""
    return f"{show(own.package) or 'the project'}: {about}{via}"


def outdated_count(rows: Sequence[Outdated]) -> str:
    """Return how many packages are outdated, in words."""
    count = len({row.name for row in rows})
    return f"{count} {'package is' if count == 1 else 'packages are'} outdated" if rows else "nothing is outdated"


def outdated_json(rows: Sequence[Outdated]) -> Safe:
    """Return the rows as one document; within a version keys are only added."""
    values = [_row(row) for row in rows]
    return document("outdated", 1, {"outdated": values})


def _row(row: Outdated) -> dict[str, object]:
    return {
        "name": row.name,
        "version": row.version,
        "newest": row.newest,
        "scope": row.scope,
        "build": row.build,
        "direct": row.direct,
        "admitted": row.admitted,
        "blocked-by": [msgspec.structs.asdict(own) for own in row.blocked_by],
        "targets": list(row.targets),
        "command": row.command,
    }
