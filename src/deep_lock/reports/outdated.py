"""What has newer versions, for people and for bots."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from deep_lock.reports.document import document
from deep_lock.sanitize import Safe, lines, show
from deep_lock.targets.short_form import short_form


class Blocker(Struct, frozen=True, kw_only=True):
    """What does not allow a newer version."""

    package: str
    """"NAME VERSION" of the locked package, or of what is built; empty: the project."""
    requirement: str
    """The requirement of that package; empty where it is not known."""
    reason: str = ""
    """Why that matters, where the requirement is on another project; or why it is not known."""
    chain: tuple[str, ...] = ()
    """What brings the package in, from a direct dependency down."""


class FixedVulnerability(Struct, frozen=True, kw_only=True):
    """A vulnerability of the locked version that the newest one does not have."""

    id: str
    aliases: tuple[str, ...]
    """All other IDs."""
    severity: str
    """As of an audit, or "malware"."""


GroupBy = Literal["environment", "package", "update", "security"]
GROUPS: tuple[GroupBy, ...] = get_args(GroupBy)
FailOn = Literal["any", "direct", "admitted", "security"]
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)


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
    """What does not allow the newest version."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that could use it; empty: all."""
    labels: tuple[str, ...] = ()
    """Those of all targets of the lock."""
    published: datetime | None = None
    """When the first file of the newest version was uploaded; None where the index does not state it."""
    age_days: int | None = None
    """Whole days since then."""
    update: Literal["major", "minor", "patch"] = "patch"
    """The first part of the version that differs."""
    fixes: tuple[FixedVulnerability, ...] | None = None
    """None: the lock was compared with no advisories."""
    lock_command: str = "deep-lock lock"
    """What makes the lock again, in its folder."""

    @property
    def admitted(self) -> bool:
        """Whether nothing holds the newest version back."""
        return not self.blocked_by

    @property
    def command(self) -> str:
        """What upgrades it, a build requirement in its build only; empty where something holds it back."""
        if not self.admitted:
            return ""
        build = f" --in-build {self.build.partition(' ')[0]}" if self.build else ""
        return f"{self.lock_command} -P {self.name}=={self.newest}{build}"

    @property
    def environment(self) -> str:
        """Where it is, as text."""
        return f"build of {self.build}" if self.scope == "build" else "runtime"

    def group(self, by: GroupBy) -> str:
        """Return the group that it is in."""
        match by:
            case "environment":
                return self.environment
            case "package":
                return self.name
            case "update":
                return self.update
            case "security":
                return "security fix" if self.fixes else "other"

    def counts_for(self, fail_on: FailOn) -> bool:
        """Whether a run fails because of it."""
        match fail_on:
            case "any":
                return True
            case "direct":
                return self.direct
            case "admitted":
                return self.admitted
            case "security":
                return bool(self.fixes)


_ORDER = {"security fix": 0, "other": 1, "major": 0, "minor": 1, "patch": 2}


def grouped(rows: Sequence[Outdated], by: GroupBy) -> list[Outdated]:
    """Return the rows of each group together: security fixes first, major updates before minor ones, else by name."""
    if by == "environment":
        return list(rows)
    return sorted(rows, key=lambda row: (_ORDER.get(row.group(by), 0), row.group(by)))


def outdated_text(rows: Sequence[Outdated], by: GroupBy = "environment") -> Safe:
    """Return a table with a heading for each group: by default the runtime, then each build environment."""
    found: list[str] = []
    width = max((len(row.name) for row in rows), default=0)
    heading = ""
    for row in grouped(rows, by):
        own = row.group(by)
        if own != heading:
            heading = own
            found.append(show(heading))
        notes = [] if by == "environment" else [row.environment]
        notes += [f"on {short_form(row.targets, row.labels)}"] if row.targets else []
        notes += [_age(row.age_days)] if row.age_days is not None else []
        notes += [f"fixes {own.id} ({own.severity})" for own in row.fixes or ()]
        end = f"  ({show('; '.join(notes), limit=400)})" if notes else ""
        found.append(f"  {show(row.name):<{width}}  {show(row.version)} -> {show(row.newest)}{end}")
        found += [f"      held back by {blocker_text(own)}" for own in row.blocked_by]
    return lines("\n".join([*found, ""]) if found else "")


def _age(days: int) -> str:
    return f"{days} {'day' if days == 1 else 'days'} old"


def blocker_text(own: Blocker) -> str:
    """Return what holds a version back, as text."""
    about = ", ".join(show(text, limit=400) for text in (own.requirement, own.reason) if text)
    via = f" (via {' > '.join(map(show, own.chain))})" if len(own.chain) > 1 else ""
    return f"{show(own.package) or 'the project'}: {about}{via}"


def outdated_count(rows: Sequence[Outdated]) -> str:
    """Return how many packages are outdated, as text."""
    count = len({row.name for row in rows})
    return f"{count} {'package is' if count == 1 else 'packages are'} outdated" if rows else "nothing is outdated"


def outdated_json(rows: Sequence[Outdated], by: GroupBy | None = None) -> Safe:
    """Return the rows as one document; within a version keys are only added."""
    values = [_row(row, by) for row in (grouped(rows, by) if by is not None else rows)]
    return document("outdated", 1, {"outdated": values})


def _row(row: Outdated, by: GroupBy | None) -> dict[str, object]:
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
        "published": row.published.strftime("%Y-%m-%dT%H:%M:%SZ") if row.published is not None else None,
        "age-days": row.age_days,
        "update": row.update,
        "security": bool(row.fixes) if row.fixes is not None else None,
        "fixes": [msgspec.structs.asdict(own) for own in row.fixes or ()],
        "group": row.group(by) if by is not None else "",
    }
