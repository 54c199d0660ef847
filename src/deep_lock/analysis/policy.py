"""Checks a lock against a policy.

Invariant: one lock, one policy and one time have the same findings in the same order. What an exception allows is reported as
a note with its reason, and an exception allows nothing that it does not name.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from deep_lock.analysis import wheel_rules
from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.policy_rules import RuleMatch, matches
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.order import ordered
from deep_lock.models.changes import SEVERITIES, Finding
from deep_lock.models.lock import Lock
from deep_lock.models.policy import AGAINST, FROM_DATABASE, IN_WHEELS, Exemption, Policy, exception_id


def evaluate(
    lock: Lock,
    policy: Policy,
    *,
    now: datetime,
    old: Lock | None = None,
    wheels: "wheel_rules.FilesRead | None" = None,
    advisories: Sequence[RuleMatch] | None = None,
) -> tuple[Finding, ...]:
    """Return what a policy finds in a lock, errors first. ``now`` is aware; ``old`` is the previous lock, if it is known.

    ``wheels`` are the wheels of the lock that were read; without them the rules on their contents find nothing.
    ``advisories`` are the packages that an audit found; None where there was none.

    Raises LockInvalid and UsageError where the lock has a target that is none.
    """
    lock_index = index_lock(ordered(lock))
    explain = Explanations(lock_index)
    found = list(matches(lock_index, explain, policy, now=now, old=old))
    unchecked = frozenset[str]() if old is not None else AGAINST
    if wheels is not None:
        found += wheel_rules.wheel_matches(lock_index, wheels)
    if wheels is None or not wheels.is_complete:
        unchecked |= IN_WHEELS
    found += advisories or ()
    if advisories is None:
        unchecked |= FROM_DATABASE
    findings = {
        *_findings(found, explain, policy, now),
        *_exception_findings(found, policy, now, unchecked),
    }
    return tuple(sorted(findings, key=_rank))


def _rank(finding: Finding) -> tuple[object, ...]:
    severity = SEVERITIES.index(finding.severity)
    return severity, finding.code, finding.subject, finding.message, finding.targets, finding.chain


def _findings(found: Sequence[RuleMatch], explain: Explanations, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Yield each match with its severity, where its rule is not off."""
    current = [exemption for exemption in policy.exceptions if not _is_over(exemption, now)]
    for match in found:
        level = policy.level(match.code, lower=match.runtime)
        if level == "off":
            continue
        message = match.message
        exemption = next((exemption for exemption in current if _covers(exemption, match)), None)
        if exemption is not None:
            level, message = "note", f"{message} (excepted until {exemption.until}: {exemption.reason})"
        yield Finding(
            code=match.code,
            id=exception_id(match.code, match.name, match.version),
            severity=level,
            subject=match.subject,
            message=message,
            hint=match.hint if level != "note" else "",
            chain=match.chain or (explain.package(match.key) if match.key is not None else ()),
            targets=match.targets,
        )


def _exception_findings(
    found: Sequence[RuleMatch], policy: Policy, now: datetime, unchecked: Collection[str]
) -> Iterator[Finding]:
    """Yield the exceptions that are over, and those that nothing needs. Of ``unchecked`` rules that is not known."""
    for exemption in policy.exceptions:
        subject = f"{exemption.name} {exemption.version or ''}".rstrip()
        if _is_over(exemption, now):
            yield Finding(
                code="exception-expired",
                severity="error",
                subject=subject,
                message=f"the exception for {exemption.rule} expired on {exemption.until}: {exemption.reason}",
                hint="remove the exception, or review it and set a new date: "
                f"deep-lock policy --accept {exemption.id} --until DATE --reason TEXT",
            )
        elif exemption.rule not in unchecked and not any(_covers(exemption, match) for match in found):
            message = f"the exception for {exemption.rule} is not needed"
            yield Finding(code="exception-unused", severity="note", subject=subject, message=message)


def _is_over(exemption: Exemption, now: datetime) -> bool:
    return now.astimezone(UTC).date() > exemption.until


def _covers(exemption: Exemption, match: RuleMatch) -> bool:
    return exemption.rule == match.code and exemption.name == match.name and exemption.version in {None, match.version}
