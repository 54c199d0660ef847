"""What a project wants of its lock, apart from being right: rules, how loud each is, and what is excepted.

Law: a rule that nobody mentions has the level that stands here; a file can make each louder or quieter, and never
silences what an expired exception let pass.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Literal

from msgspec import Struct

Level = Literal["error", "finding", "note", "off"]
"""How loud a rule is: the severities of a finding, and "off"."""

WEEK = timedelta(days=7)
LATE = timedelta(days=14)
"""After so long a time nobody builds a release for one more platform, and indexes begin to refuse it."""

RULES: dict[str, tuple[Level, str]] = {
    # where files come from, and what they are
    "foreign-host": ("error", "A file comes from a host that its index does not use."),
    "foreign-index": ("error", "An entry comes from an index that is not one of those that are allowed."),
    "insecure-url": ("finding", "A file, a repository or an index is reached without TLS."),
    "direct-url": ("finding", "An entry is a URL or a repository and no release of an index."),
    "hash-shared": ("error", "Files of two entries have one sha256."),
    "hash-computed": ("finding", "The index promised no sha256: it was computed from what was fetched."),
    # what runs
    "built-at-run-time": ("off", "What is installed has no wheel for a target, and is built there."),
    "backend": ("error", "A build is done by a backend that is not one of those that are allowed."),
    "backend-path": ("finding", "A build is done by a backend of its own, out of the sdist."),
    "assumed": ("finding", "What a backend asks for, or what a release needs, is assumed."),
    "cargo-lock": ("note", "A build compiles crates, and they are no part of the lock."),
    "downloader": ("finding", "A build environment holds a project that fetches code while it runs."),
    "too-deep": ("error", "More builds stand above an entry than are allowed."),
    # who made it, and when
    "too-new": ("finding", "A file was uploaded less time ago than it should have been."),
    "no-upload-time": ("off", "It is not known when a file was uploaded."),
    "late-file": ("finding", "A file was added to a release more than 14 days after its first."),
    "look-alike": ("finding", "A name looks like a well-known one, and is another."),
    "yanked": ("finding", "A release was yanked when it was locked."),
    # what it may be used for
    "license": ("error", "What is installed has a licence that the allowed ones do not meet."),
    "license-unknown": ("off", "What is installed states no licence expression."),
    # against an earlier lock: the codes of `model.changes`
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
"""By code: its level where nothing else is said, and what it finds; "" is a code of `model.changes`, said there."""

AGAINST = frozenset(code for code, (_, meaning) in RULES.items() if not meaning)
"""Rules that need an earlier lock."""


class Exemption(Struct, frozen=True, kw_only=True):
    """One ``exceptions`` table: what is known, and let pass until a day."""

    name: str
    """A normalized project name."""
    version: str | None = None
    """None: every version."""
    rule: str
    reason: str
    until: date
    """The last day on which it holds, in UTC."""


class Policy(Struct, frozen=True, kw_only=True):
    """What is wanted of a lock. None: not said."""

    hosts: frozenset[str] | None = None
    """Hosts, with a port where it is not the scheme's, in lower case."""
    indexes: frozenset[str] | None = None
    """URLs, each ending in "/"."""
    backends: frozenset[str] | None = None
    min_age: timedelta | None = None
    """Of what is installed. None: not said, and then a week is looked at and times may be missing."""
    min_age_build: timedelta | None = None
    """Of what builds; None: as at run time."""
    ageless: frozenset[str] = frozenset()
    """Projects of which no upload time is asked."""
    max_depth: int | None = None
    licenses: frozenset[str] | None = None
    """SPDX identifiers, canonical, each with its exception where it has one: "A WITH B"."""
    levels: Mapping[str, Level] = {}
    exceptions: tuple[Exemption, ...] = ()

    def level(self, code: str) -> Level:
        """Return how loud a rule is."""
        said = self.levels.get(code)
        if said is not None:
            return said
        if code in {"too-new", "no-upload-time"} and (self.min_age is not None or self.min_age_build is not None):
            return "error"
        if code == "license-unknown" and self.licenses is not None:
            return "finding"
        return RULES[code][0]
