"""An audit as text, Markdown, JSON, SARIF 2.1.0 and annotations of GitHub.

docs/reference/audit.md describes the JSON document. Within a version keys are only added.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from deep_lock.analysis.advisories import Hit, Use
from deep_lock.lockfile.index import called
from deep_lock.models.advisory import SEVERITIES, AdvisorySource, AuditScope, Severity, Threshold, VexStatement
from deep_lock.models.changes import Finding
from deep_lock.models.lock import source_text
from deep_lock.reports.document import document
from deep_lock.reports.findings import finding_line, finding_row, findings_github
from deep_lock.reports.outdated import Blocker, blocker_text
from deep_lock.reports.sarif import Level, sarif_document, sarif_result, sarif_rule
from deep_lock.sanitize import Markdown, Painted, Safe, joined, line, markdown, show

MAX_USES = 5
"""Builds of one package that are listed for people: more are counted."""
_COLORS: Mapping[Severity, str] = {"critical": "31;1", "high": "31;1", "medium": "35;1", "low": "35", "unknown": "35;1"}
_MALWARE_COLOR = "37;41;1"


class Fix(Struct, frozen=True, kw_only=True):
    """The lowest version after the locked one that no known vulnerability affects."""

    version: str
    command: str
    """What locks it; empty where something does not allow it."""
    blocked_by: tuple[Blocker, ...] = ()
    is_checked: bool = True
    """Whether the index has it, and it is known that nothing excludes it."""


class Fixable(Struct, frozen=True, kw_only=True):
    """A use of a package, and what fixes it there."""

    use: Use
    fix: Fix | None
    """None: no version without a known vulnerability is known."""


class Audited(Struct, frozen=True, kw_only=True):
    """A package that a vulnerability affects."""

    hit: Hit
    uses: tuple[Fixable, ...]
    ignored: str = ""
    """Why it is ignored; empty: it is not."""
    statement: VexStatement | None = None
    """The statement by which it is ignored, if it is one of OpenVEX."""
    remark: str = ""
    """Why it is not ignored, although a setting names it."""

    def fails(self, threshold: Threshold) -> bool:
        """Whether an audit with this threshold fails: malware, and a severity that is not known, are below none."""
        own = self.hit.vulnerability
        if self.ignored:
            return False
        severity = own.rated.severity
        if own.is_malware or threshold == "any" or severity == "unknown":
            return True
        return SEVERITIES.index(severity) <= SEVERITIES.index(threshold)


class Audit(Struct, frozen=True, kw_only=True):
    """The result of an audit."""

    lock: str
    """The path of the lock."""
    sources: tuple[AdvisorySource, ...]
    packages: int
    """How many packages were compared."""
    not_compared: tuple[str, ...]
    scope: AuditScope
    fail_on: Threshold
    rows: tuple[Audited, ...]
    """Malware first, then the most severe."""
    notes: tuple[Finding, ...] = ()
    """Settings that no longer apply, or that nothing needs."""
    targets: int
    """How many targets the lock has."""
    lines: Mapping[str, int] = {}
    """The line of each package's name in the lock, from 1."""

    @property
    def failing(self) -> tuple[Audited, ...]:
        """What makes the audit fail."""
        return tuple(row for row in self.rows if row.fails(self.fail_on))

    @property
    def malware(self) -> tuple[Audited, ...]:
        """The malicious packages that are not ignored."""
        return tuple(row for row in self.rows if row.hit.vulnerability.is_malware and not row.ignored)


# -- as text


def claim(audit: Audit) -> str:
    """Return what was compared with what, and what was found: no more than that."""
    scopes = {"runtime": " of the run time", "build": " of builds", "all": ""}
    packages = f"{audit.packages} {'package' if audit.packages == 1 else 'packages'}{scopes[audit.scope]}"
    found = f"compared {packages} with {'; '.join(map(_source_words, audit.sources))}: {_counts(audit)}"
    if not audit.not_compared:
        return found
    names = ", ".join(map(show, audit.not_compared[:MAX_USES]))
    more = f" and {len(audit.not_compared) - MAX_USES} more" if len(audit.not_compared) > MAX_USES else ""
    return f"{found}\nnot compared, since no database can know them: {names}{more}"


def _source_words(source: AdvisorySource) -> str:
    if source.kind != "database":
        return f"what the {source.kind} {show(source.name)} states about {source.packages} of them"
    dates = [f"the newest changed on {source.newest:%Y-%m-%d}"] if source.newest is not None else []
    dates += [f"downloaded on {source.fetched:%Y-%m-%d %H:%M} UTC"] if source.fetched is not None else []
    left_out = [f"{source.unreadable} could not be read"] if source.unreadable else []
    return f"{source.advisories} advisories of {show(source.name)} ({', '.join([*dates, *left_out])})"


def _counts(audit: Audit) -> str:
    if not audit.rows:
        return "nothing found"
    malware, ignored = len(audit.malware), sum(bool(row.ignored) for row in audit.rows)
    rated = Counter(row.hit.vulnerability.rated.severity for row in audit.rows if not row.ignored)
    rated.subtract(row.hit.vulnerability.rated.severity for row in audit.malware)
    words = [f"{malware} malware"] if malware else []
    words += [f"{count} {_severity_word(severity)}" for severity in SEVERITIES if (count := rated[severity])]
    return ", ".join([*words, *([f"{ignored} ignored"] if ignored else [])])


def _severity_word(severity: Severity) -> str:
    return "of unknown severity" if severity == "unknown" else "of no severity" if severity == "none" else severity


def _head(row: Audited) -> str:
    own = row.hit.vulnerability
    aliases = f" ({', '.join(map(show, own.aliases))})" if own.aliases else ""
    return f"{show(own.id)}{aliases}: {show(own.summary, limit=300) or 'without a summary'}"


def label(row: Audited) -> str:
    """Return the severity of a row in one word."""
    return "malware" if row.hit.vulnerability.is_malware else row.hit.vulnerability.rated.severity


def summary(row: Audited) -> str:
    """Return a row in one line, without what fixes it."""
    return f"{_head(row)} ({label(row)})"


def use_words(use: Use, number_of_targets: int) -> str:
    """Return where a package is used: "at run time", "while building docopt 0.6.2, on 3 of 12 targets"."""
    what = "at run time" if use.build is None else f"while building {show(_built(use))}"
    return what if use.is_everywhere else f"{what}, on {len(use.targets)} of {number_of_targets} targets"


def _built(use: Use) -> str:
    if use.build is None:
        return ""
    return "the project" if use.build.needed == "project" else called(use.build)


def commands(row: Audited) -> tuple[str, ...]:
    """Return the commands that fix a row: one for all uses where one version fixes them and nothing excludes it."""
    fixes = [own.fix for own in row.uses if own.fix is not None]
    if len(fixes) == len(row.uses) and len({fix.version for fix in fixes}) == 1 and all(fix.command for fix in fixes):
        return (fixes[0].command.partition(" --in-build ")[0] if len(fixes) > 1 else fixes[0].command,)
    return tuple(dict.fromkeys(fix.command for fix in fixes if fix.command))


def details(row: Audited, number_of_targets: int) -> Iterator[str]:
    """Yield lines below the head of a row: where it is used, what fixes it, what stops that."""
    for own in row.uses[:MAX_USES]:
        chain = f", via {' > '.join(map(show, own.use.chain))}" if len(own.use.chain) > 1 else ""
        yield f"{use_words(own.use, number_of_targets)}{chain}"
    if len(row.uses) > MAX_USES:
        yield f"and in {len(row.uses) - MAX_USES} more builds"
    if not row.uses:
        yield "nothing in the lock requires it"
    if row.ignored:
        yield f"ignored: {show(row.ignored, limit=500)}"
        return
    yield from (f"fix: {show(command, limit=1000)}{_unchecked(row)}" for command in commands(row))
    blocked = dict.fromkeys(
        (own.fix.version, blocker)
        for own in row.uses
        if own.fix is not None and not own.fix.command
        for blocker in own.fix.blocked_by
    )
    yield from (f"{show(version)} is blocked by {blocker_text(blocker)}" for version, blocker in blocked)
    if row.uses and any(own.fix is None for own in row.uses):
        yield "fix: no version without a known vulnerability is known"
    if row.remark:
        yield show(row.remark, limit=500)
    if row.hit.vulnerability.url:
        yield show(row.hit.vulnerability.url)


def _unchecked(row: Audited) -> str:
    is_checked = all(own.fix is None or own.fix.is_checked for own in row.uses)
    return "" if is_checked else " (not compared with the index: a requirement may exclude the version)"


# -- formats


def audit_text(audit: Audit) -> Safe:
    """Return a block of lines for each row."""
    found: list[Safe] = []
    for row in audit.rows:
        own = row.hit.vulnerability
        word = "ignored" if row.ignored else label(row)
        color = "2" if row.ignored else _MALWARE_COLOR if own.is_malware else _COLORS.get(own.rated.severity, "2")
        score = f" {own.rated.score:.1f}" if own.rated.score is not None else ""
        found.append(line(Painted(f"{word}{score}", color), f": {show(called(row.hit.entry))}: {_head(row)}"))
        found += [line(f"    {text}") for text in details(row, audit.targets)]
    found += [line(f"{own.severity}: {finding_line(own)}") for own in audit.notes]
    return joined(found)


def audit_markdown(audit: Audit) -> Markdown:
    """Return a list with an item for each row."""
    found = [markdown("### Advisories: {}", audit.lock), markdown(""), markdown("{}.", claim(audit).partition("\n")[0])]
    found += [markdown("")] if audit.rows else []
    for row in audit.rows:
        word = "ignored" if row.ignored else label(row)
        found.append(markdown("- **{}** {}: {}", word, called(row.hit.entry), _head(row)))
        found += [markdown("  - {}", text) for text in details(row, audit.targets)]
    found += [markdown("- **{}** {}: {}", own.severity, own.subject, own.message) for own in audit.notes]
    return joined(found)


def audit_findings(audit: Audit) -> tuple[Finding, ...]:
    """Return a finding for each row, and the notes: "error" is what makes the audit fail."""
    found = [
        Finding(
            code="malware" if row.hit.vulnerability.is_malware else "advisory",
            id=row.hit.vulnerability.id,
            severity="note" if row.ignored else "error" if row.fails(audit.fail_on) else "finding",
            subject=called(row.hit.entry),
            message="; ".join([_head(row), *details(row, audit.targets)]),
            chain=row.uses[0].use.chain if row.uses else (),
        )
        for row in audit.rows
    ]
    return (*found, *audit.notes)


def audit_github(audit: Audit) -> Safe:
    """Return an annotation for each row, at the line of the package in the lock."""
    return joined(findings_github(audit_findings(audit), audit.lock, audit.lines))


def audit_json(audit: Audit) -> Safe:
    """Return the audit as one document."""
    return document("audit", 1, audit_payload(audit))


def audit_payload(audit: Audit) -> dict[str, Any]:
    """Return the keys of the document of an audit."""
    return {
        "lock": audit.lock,
        "scope": audit.scope,
        "fail-on": audit.fail_on,
        "sources": [_source_row(source) for source in audit.sources],
        "packages": audit.packages,
        "not-compared": list(audit.not_compared),
        "findings": [_row(row, audit.fail_on) for row in audit.rows],
        "notes": [finding_row(own) for own in audit.notes],
    }


def _source_row(source: AdvisorySource) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "name": source.name,
        "advisories": source.advisories,
        "packages": source.packages,
        "newest": _moment(source.newest),
        "fetched": _moment(source.fetched),
        "unreadable": source.unreadable,
    }


def _moment(time: datetime | None) -> str | None:
    return None if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _row(row: Audited, threshold: Threshold) -> dict[str, Any]:
    own, entry = row.hit.vulnerability, row.hit.entry
    return {
        "id": own.id,
        "aliases": list(own.aliases),
        "malware": own.is_malware,
        "severity": own.rated.severity,
        "score": own.rated.score,
        "vector": own.rated.vector,
        "summary": own.summary,
        "url": own.url,
        "name": entry.name,
        "version": entry.version,
        "source": source_text(entry.source),
        "fixed-in": list(own.fixed_in),
        "fails": row.fails(threshold),
        "ignored": row.ignored,
        "uses": [_use_row(each) for each in row.uses],
        "commands": list(commands(row)),
    }


def _use_row(own: Fixable) -> dict[str, Any]:
    use, fix = own.use, own.fix
    return {
        "scope": "runtime" if use.build is None else "build",
        "build": _built(use),
        "targets": list(use.targets),
        "all-targets": use.is_everywhere,
        "chain": list(use.chain),
        "fix": None
        if fix is None
        else {
            "version": fix.version,
            "command": fix.command,
            "checked": fix.is_checked,
            "blocked-by": [msgspec.structs.asdict(blocker) for blocker in fix.blocked_by],
        },
    }


def audit_sarif(audit: Audit) -> Safe:
    """Return the audit as SARIF: one rule for each vulnerability. What is ignored is suppressed, with the reason."""
    rules = {row.hit.vulnerability.id: _sarif_rule(row) for row in audit.rows}
    properties = {"sources": [_source_row(source) for source in audit.sources]}
    return sarif_document(rules.values(), [_sarif_result(audit, row) for row in audit.rows], properties)


def _sarif_rule(row: Audited) -> dict[str, Any]:
    own = row.hit.vulnerability
    score = {"security-severity": f"{own.rated.score:.1f}"} if own.rated.score is not None else {}
    return {
        **sarif_rule(own.id, own.summary or own.id),
        **({"helpUri": own.url} if own.url else {}),
        "properties": {"tags": ["security", *(["malware"] if own.is_malware else [])], **score},
    }


def _sarif_result(audit: Audit, row: Audited) -> dict[str, Any]:
    level: Level = "note" if row.ignored else "error" if row.fails(audit.fail_on) else "warning"
    text = "; ".join([f"{called(row.hit.entry)}: {_head(row)}", *details(row, audit.targets)])
    return {
        **sarif_result(row.hit.vulnerability.id, level, text, audit.lock, audit.lines.get(row.hit.entry.name, 1)),
        **({"suppressions": [{"kind": "external", "justification": row.ignored}]} if row.ignored else {}),
    }
