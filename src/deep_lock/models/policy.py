"""The policy of a project for its lock: rules, their levels, and exceptions.

A rule without a configured level has the level of this module. An exception ends with its day: then the rule applies.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Literal

from msgspec import Struct

from deep_lock.models.lock import Identity

Level = Literal["error", "finding", "note", "off"]
"""The level of a rule: a severity of a finding, or "off"."""

WEEK = timedelta(days=7)
LATE = timedelta(days=14)
"""After this time, a release normally gets no further wheels, and indexes begin to refuse them."""

RULES: dict[str, tuple[Level, str]] = {
    # where files come from, and what they are
    "foreign-host": ("error", "A file is from a host that its index does not use."),
    "foreign-index": ("error", "A package is from an index that is not allowed."),
    "insecure-url": ("finding", "A file, a repository or an index has a URL without TLS."),
    "signed-url": ("finding", "A file has a URL with a signature or a token: it expires, or it is a secret."),
    "direct-url": ("finding", "A package is from a URL or a repository, not from an index."),
    "hash-shared": ("error", "Files of two packages have the same sha256."),
    "hash-computed": ("finding", "The index has no sha256: it was computed from the downloaded file."),
    "denied": ("error", "A project must not be in the lock."),
    # what runs
    "foreign-builder": ("error", "A project runs in a build, and may-build does not name it."),
    "built-at-run-time": ("off", "A runtime package has no wheel for a target, and is built there."),
    "backend": ("error", "A build uses a backend that is not allowed."),
    "backend-path": ("finding", "A build uses a backend from its own sdist."),
    "assumed": ("finding", "The requirements from a backend, or of a release, are assumed."),
    "cargo-lock": ("note", "A build compiles crates, which are not in the lock."),
    "downloader": ("finding", "A build environment has a project that downloads code while it runs."),
    "too-deep": ("error", "A package is needed through more nested builds than allowed."),
    # what is in the wheels that were read
    "wheel-pth": ("finding", "A wheel has a file or a module that takes effect whenever Python starts."),
    "wheel-foreign-top-level": ("finding", "A wheel has a module of another project or of the standard library."),
    "wheel-command-shadow": ("finding", "A wheel has a script with the name of a command that others provide."),
    "wheel-other-top-level": ("note", "A wheel has a module with a name unlike that of its project."),
    "wheel-shared-import": ("finding", "Two projects that are installed together have the same import name."),
    "wheel-unreadable": ("finding", "A wheel cannot be read: its contents are not known."),
    # who made it, and when
    "too-new": ("finding", "A file was uploaded too recently."),
    "no-upload-time": ("off", "A file has no upload time."),
    "late-file": ("finding", "A file was added to a release more than 14 days after its first."),
    "publisher": ("error", "A package is not attested by a publisher that the policy names."),
    "not-attested": ("error", "A package that must be attested has no publisher that is attested for all its files."),
    "look-alike": ("finding", "A name is similar to a well-known one."),
    "yanked": ("finding", "A release was yanked when it was locked."),
    "advisory": ("error", "A known vulnerability affects a package, or it is malicious."),
    # what it may be used for
    "license": ("error", "A runtime package has a license that is not allowed."),
    "license-unknown": ("off", "A runtime package has a license that is not known."),
    "license-from-classifiers": ("off", "A runtime package has classifiers, and no license expression."),
    # against an earlier lock: the codes of `models.changes`
    "hash-changed": ("error", ""),
    "file-added-later": ("finding", ""),
    "host-new": ("error", ""),
    "index-changed": ("error", ""),
    "build-dep-new": ("finding", ""),
    "became-sdist-only": ("finding", ""),
    "build-new": ("finding", ""),
    "backend-changed": ("finding", ""),
    "build-tool-changed": ("finding", ""),
    "built-release-changed": ("finding", ""),
    "requires-changed": ("finding", ""),
    "evidence-lowered": ("finding", ""),
    "role-changed": ("finding", ""),
    "source-changed": ("finding", ""),
    "yanked-new": ("finding", ""),
    "license-changed": ("finding", ""),
    "provenance-lost": ("error", ""),
    "identity-changed": ("error", ""),
    "identity-new": ("finding", ""),
    "package-new": ("finding", ""),
    "build-gone": ("note", ""),
    "settings-changed": ("note", ""),
    "downgraded": ("note", ""),
}
"""By code: the default level, and what the rule finds; "" for a code of `models.changes`."""

AGAINST = frozenset(code for code, (_, meaning) in RULES.items() if not meaning)
"""Rules that need an earlier lock."""

IN_WHEELS = frozenset(code for code in RULES if code.startswith("wheel-"))
"""Rules on the contents of wheels. For a package that no build uses the level is one lower, but not of wheel-pth."""

FROM_DATABASE = frozenset({"advisory"})
"""Rules that need a source of advisories, as `audit` has it. Only `policy` checks them."""

_LOWER: dict[Level, Level] = {"error": "finding", "finding": "note", "note": "off", "off": "off"}


def exception_id(rule: str, name: str, version: str | None) -> str:
    """Return the ID of an exception: RULE:NAME==VERSION, or RULE:NAME for every version; "" without a project."""
    if not name:
        return ""
    return f"{rule}:{name}=={version}" if version else f"{rule}:{name}"


class Exemption(Struct, frozen=True, kw_only=True):
    """One ``exceptions`` table: a known finding, accepted until a day."""

    name: str
    """A normalized project name."""
    version: str | None = None
    """None: every version."""
    rule: str
    reason: str
    until: date
    """The last day on which it applies, in UTC."""

    @property
    def id(self) -> str:
        return exception_id(self.rule, self.name, self.version)


class PolicySource(Struct, frozen=True, kw_only=True):
    """A policy that another one extends: exactly one of ``profile``, ``path`` and ``url`` is set."""

    profile: str | None = None
    """A name of `PROFILES`."""
    path: str | None = None
    """Relative to the folder of the policy that names it."""
    url: str | None = None
    sha256: str | None = None
    """Lower-case hex; always set for a URL."""


class Policy(Struct, frozen=True, kw_only=True):
    """The policy of a project. None: not configured."""

    extends: PolicySource | None = None
    """The policy whose settings apply where this one has none."""
    hosts: frozenset[str] | None = None
    """Hosts in lower case, with a port if it is not the default of the scheme."""
    indexes: frozenset[str] | None = None
    """URLs, each ending in "/"."""
    backends: frozenset[str] | None = None
    deny: tuple[str, ...] = ()
    """Patterns of normalized names."""
    may_build: tuple[str, ...] | None = None
    """Patterns of normalized names."""
    min_age: timedelta | None = None
    """Of runtime packages. None: not configured; then a week is required, and upload times may be missing."""
    min_age_build: timedelta | None = None
    """Of build packages; None: as of runtime packages."""
    ageless: frozenset[str] = frozenset()
    """Projects without a required age."""
    max_depth: int | None = None
    licenses: frozenset[str] | None = None
    """SPDX identifiers, canonical, each with its exception if it has one: "A WITH B"."""
    publishers: Mapping[str, tuple[Identity, ...]] = {}
    """By project the publishers of which one must be attested; their texts are compared, those that are not named are free."""
    attested: frozenset[str] = frozenset()
    """Projects whose packages must be attested, or ":all:"."""
    levels: Mapping[str, Level] = {}
    exceptions: tuple[Exemption, ...] = ()

    def allows_publisher(self, name: str, identity: Identity) -> bool:
        """Whether the policy names the publisher of a project."""
        return any(set(named) <= set(identity) for named in self.publishers.get(name, ()))

    def level(self, code: str, *, lower: bool = False) -> Level:
        """Return the level of a rule; ``lower`` is the next one below it."""
        level = self._level(code)
        return _LOWER[level] if lower else level

    def _level(self, code: str) -> Level:
        configured = self.levels.get(code)
        if configured is not None:
            return configured
        if code in {"too-new", "no-upload-time"} and (self.min_age is not None or self.min_age_build is not None):
            return "error"
        if code == "license-unknown" and self.licenses is not None:
            return "finding"
        return RULES[code][0]


def extended(own: Policy, base: Policy) -> Policy:
    """Return a policy with the settings of another one where it has none itself; what is denied is denied by both.

    The base must be complete: it extends nothing.
    """
    has_ages = own.min_age is not None or own.min_age_build is not None
    ages = own if has_ages else base
    ids = {exemption.id for exemption in own.exceptions}
    return Policy(
        hosts=own.hosts if own.hosts is not None else base.hosts,
        indexes=own.indexes if own.indexes is not None else base.indexes,
        backends=own.backends if own.backends is not None else base.backends,
        deny=tuple(sorted({*own.deny, *base.deny})),
        may_build=own.may_build if own.may_build is not None else base.may_build,
        min_age=ages.min_age,
        min_age_build=ages.min_age_build,
        ageless=ages.ageless,
        max_depth=own.max_depth if own.max_depth is not None else base.max_depth,
        licenses=own.licenses if own.licenses is not None else base.licenses,
        publishers={**base.publishers, **own.publishers},
        attested=own.attested | base.attested,
        levels={**base.levels, **own.levels},
        exceptions=(*own.exceptions, *(exemption for exemption in base.exceptions if exemption.id not in ids)),
    )


PROFILES: Mapping[str, Policy] = {
    "baseline": Policy(),
    "strict": Policy(
        min_age=WEEK,
        levels={
            "insecure-url": "error",
            "signed-url": "error",
            "hash-computed": "error",
            "built-at-run-time": "finding",
            "backend-path": "error",
            "assumed": "error",
            "cargo-lock": "finding",
            "downloader": "error",
            "wheel-pth": "error",
            "wheel-foreign-top-level": "error",
            "wheel-command-shadow": "error",
            "wheel-unreadable": "error",
            "late-file": "error",
            "look-alike": "error",
            "yanked": "error",
            "license-unknown": "finding",
            "file-added-later": "error",
            "build-dep-new": "error",
            "became-sdist-only": "error",
            "build-new": "error",
            "backend-changed": "error",
            "evidence-lowered": "error",
            "source-changed": "error",
            "yanked-new": "error",
        },
    ),
}
"""By name: the policies that deep-lock has. The baseline is the levels of `RULES`, and applies without a configuration."""
