"""What a project requires of its lock, apart from being right: rules, the level of each, and exceptions.

Invariant: a rule that a policy does not mention has its level of `RULES`. A policy cannot turn off the report of an expired
exception.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Literal

from msgspec import Struct

Level = Literal["error", "finding", "note", "off"]
"""The severity of what a rule finds, or "off"."""

WEEK = timedelta(days=7)
LATE = timedelta(days=14)
"""After this time releases hardly ever get another file, and indexes begin to refuse it."""

RULES: dict[str, tuple[Level, str]] = {
    # where files come from, and what they are
    "foreign-host": ("error", "A file comes from a host that its index does not use."),
    "foreign-index": ("error", "A package comes from an index that is not allowed."),
    "insecure-url": ("finding", "A file, a repository or an index is used without TLS."),
    "direct-url": ("finding", "A package comes from a URL or a repository, and not from an index."),
    "hash-shared": ("error", "Files of two packages have the same sha256."),
    "hash-computed": ("finding", "The index gives no sha256: it was computed from the downloaded file."),
    # what runs
    "built-at-run-time": ("off", "An installed package has no wheel for a target, and is built there."),
    "backend": ("error", "A build uses a backend that is not allowed."),
    "backend-path": ("finding", "A build uses a backend in its own source tree."),
    "assumed": ("finding", "Build requirements or dependencies are assumed."),
    "cargo-lock": ("note", "A build compiles crates that are not part of the lock."),
    "downloader": ("finding", "A build environment has a project that downloads code while it runs."),
    "too-deep": ("error", "A package is on a deeper build level than allowed."),
    # who made it, and when
    "too-new": ("finding", "A file is newer than the minimum age."),
    "no-upload-time": ("off", "The upload time of a file is unknown."),
    "late-file": ("finding", "A file was added to a release more than 14 days after its first file."),
    "look-alike": ("finding", "A name looks like that of a well-known project."),
    "yanked": ("finding", "A release was already yanked when it was locked."),
    # what it may be used for
    "license": ("error", "An installed package has a license that is not allowed."),
    "license-unknown": ("off", "An installed package states no license expression."),
    # against an earlier lock: the codes of `models.changes`
    "hash-changed": ("error", ""),
    "host-new": ("error", ""),
    "index-changed": ("error", ""),
    "build-dep-new": ("finding", ""),
    "became-sdist-only": ("finding", ""),
    "build-new": ("finding", ""),
    "backend-changed": ("finding", ""),
    "requires-changed": ("finding", ""),
    "evidence-lowered": ("finding", ""),
    "role-changed": ("finding", ""),
    "source-changed": ("finding", ""),
    "yanked-new": ("finding", ""),
    "license-changed": ("finding", ""),
    "provenance-lost": ("finding", ""),
    "package-new": ("finding", ""),
    "build-gone": ("note", ""),
    "settings-changed": ("note", ""),
    "downgraded": ("note", ""),
}
"""By code: its default level, and what it finds; "" is a code of `models.changes`."""

AGAINST = frozenset(code for code, (_, meaning) in RULES.items() if not meaning)
"""Rules that need an earlier lock."""


class Exemption(Struct, frozen=True, kw_only=True):
    """One ``exceptions`` table: what is known, and allowed until a day."""

    name: str
    """A normalized project name."""
    version: str | None = None
    """None: every version."""
    rule: str
    reason: str
    until: date
    """The last day on which it holds, in UTC."""


class Policy(Struct, frozen=True, kw_only=True):
    """What a lock must meet. None: not configured."""

    hosts: frozenset[str] | None = None
    """Hosts, with a port where it is not the scheme's, in lower case."""
    indexes: frozenset[str] | None = None
    """URLs, each ending in "/"."""
    backends: frozenset[str] | None = None
    min_age: timedelta | None = None
    """Of what is installed. None: a week, and times may be missing."""
    min_age_build: timedelta | None = None
    """Of what builds; None: as at run time."""
    ageless: frozenset[str] = frozenset()
    """Projects without a minimum age."""
    max_depth: int | None = None
    licenses: frozenset[str] | None = None
    """SPDX identifiers, canonical, each with its exception where it has one: "A WITH B"."""
    levels: Mapping[str, Level] = {}
    exceptions: tuple[Exemption, ...] = ()

    def level(self, code: str) -> Level:
        """Return the level of a rule."""
        configured = self.levels.get(code)
        if configured is not None:
            return configured
        if code in {"too-new", "no-upload-time"} and (self.min_age is not None or self.min_age_build is not None):
            return "error"
        if code == "license-unknown" and self.licenses is not None:
            return "finding"
        return RULES[code][0]
