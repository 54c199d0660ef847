"""Holds a lock against a policy.

Law: pure; one lock, one policy and one time have the same findings in the same order. Nothing is silent: what an exception
lets pass is said as a note, with its reason; and no exception lets pass what it does not name.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deep_lock.analysis.diff import every_change
from deep_lock.analysis.graph import Chains, find_chains
from deep_lock.analysis.policy_rules import (
    Remark,
    host_and_port,
    release_remarks,
    remark_on,
    run_remarks,
    source_remarks,
)
from deep_lock.analysis.typosquatting import well_known
from deep_lock.lockfile.index import LockIndex, files_of, is_gate, key_of, open_register, uses_of
from deep_lock.lockfile.writer import ordered
from deep_lock.models.changes import Finding
from deep_lock.models.lock import Lock, LockedDirectory, LockedPackage
from deep_lock.models.policy import AGAINST, LATE, WEEK, Exemption, Policy

_LOUDNESS = {"error": 0, "finding": 1, "note": 2}


def judge(lock: Lock, policy: Policy, *, now: datetime, old: Lock | None = None) -> tuple[Finding, ...]:
    """Return what a policy finds in a lock, errors first. ``now`` is aware; ``old`` is the lock of before, if it is known."""
    register = open_register(ordered(lock))
    chains = find_chains(register)
    remarks = [
        *source_remarks(register.lock, policy),
        *release_remarks(register, policy),
        *run_remarks(register, chains, policy),
        *_ages(register, policy, now),
        *_late_files(register.lock),
        *_look_alikes(register),
        *(_against(register, old, policy, now) if old is not None else ()),
    ]
    found = {*_settled(remarks, chains, policy, now), *_of_exceptions(remarks, policy, now, against=old is not None)}
    return tuple(sorted(found, key=_rank))


def _rank(finding: Finding) -> tuple[object, ...]:
    return _LOUDNESS[finding.severity], finding.code, finding.subject, finding.message, finding.targets, finding.chain


def _settled(remarks: list[Remark], chains: Chains, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Give each remark its severity, or leave it out where its rule is off."""
    held = [exemption for exemption in policy.exceptions if not _is_over(exemption, now)]
    for remark in remarks:
        level = policy.level(remark.code)
        if level == "off":
            continue
        message = remark.message
        exempt = next((exemption for exemption in held if _covers(exemption, remark)), None)
        if exempt is not None:
            level, message = "note", f"{message} (excepted until {exempt.until}: {exempt.reason})"
        yield Finding(
            code=remark.code,
            severity=level,
            subject=remark.subject,
            message=message,
            hint=remark.hint if level != "note" else "",
            chain=remark.chain or (chains.chain(remark.key) if remark.key is not None else ()),
            targets=remark.targets,
        )


def _of_exceptions(remarks: list[Remark], policy: Policy, now: datetime, *, against: bool) -> Iterator[Finding]:
    """Exceptions that are over, and those that nothing needs."""
    for exemption in policy.exceptions:
        called = f"{exemption.name} {exemption.version or ''}".rstrip()
        if _is_over(exemption, now):
            yield Finding(
                code="exception-expired",
                severity="error",
                subject=called,
                message=f"its exception of {exemption.rule} ended on {exemption.until}: {exemption.reason}",
                hint="take the exception out of the policy, or decide anew and give it another day",
            )
        elif (against or exemption.rule not in AGAINST) and not any(_covers(exemption, remark) for remark in remarks):
            message = f"its exception of {exemption.rule} is not needed"
            yield Finding(code="exception-unused", severity="note", subject=called, message=message)


def _is_over(exemption: Exemption, now: datetime) -> bool:
    return now.astimezone(UTC).date() > exemption.until


def _covers(exemption: Exemption, remark: Remark) -> bool:
    return (
        exemption.rule == remark.code and exemption.name == remark.name and exemption.version in {None, remark.version}
    )


def _ages(register: LockIndex, policy: Policy, now: datetime) -> Iterator[Remark]:
    used = uses_of(register)
    for entry in register.lock.packages:
        least = _least_age(policy, installed=not is_gate(entry.marker), builds=key_of(entry) in used)
        if not least or entry.name in policy.ageless or isinstance(entry.source, LockedDirectory):
            continue
        times = {file.name: file.upload_time for file in files_of(entry)}
        unknown = [name for name, time in times.items() if time is None]
        if unknown or not times:
            what = unknown[0] if unknown else "what it comes from"
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            message = f"it is not known when {what}{more} {'were' if more else 'was'} uploaded"
            hint = f'if its source gives no times: min-age = {{exempt = ["{entry.name}"], ...}}'
            yield remark_on("no-upload-time", entry, message, hint=hint)
        newest = max((time for time in times.values() if time is not None), default=None)
        if newest is not None and now - newest < least:
            message = f"{_old(now - newest)}, and should be {_days(least)} old"
            yield remark_on("too-new", entry, message)


def _least_age(policy: Policy, *, installed: bool, builds: bool) -> timedelta:
    said = policy.min_age is not None or policy.min_age_build is not None
    installed_age = policy.min_age if said else WEEK
    build_age = policy.min_age_build if policy.min_age_build is not None else installed_age
    ages = [age for age, wanted in ((installed_age, installed), (build_age, builds or not installed)) if wanted]
    return max((age for age in ages if age is not None), default=timedelta())


def _old(age: timedelta) -> str:
    return (
        "its newest file has yet to be uploaded, if its time is right"
        if age < timedelta()
        else (f"its newest file was uploaded {_days(age)} ago")
    )


def _days(age: timedelta) -> str:
    """Return an age in days; in hours where it is not whole days and less than two."""
    hours = int(age.total_seconds() // 3600)
    if hours < 48 and hours % 24:
        return f"{hours} hour{'s' if hours != 1 else ''}"
    days = hours // 24
    return f"{days} day{'s' if days != 1 else ''}"


def _late_files(lock: Lock) -> Iterator[Remark]:
    for entry in lock.packages:
        times = sorted((file.upload_time, file.name) for file in files_of(entry) if file.upload_time is not None)
        if times and times[-1][0] - times[0][0] > LATE:
            message = f"{times[-1][1]} was uploaded {_days(times[-1][0] - times[0][0])} after {times[0][1]}"
            yield remark_on("late-file", entry, message)


def _look_alikes(register: LockIndex) -> Iterator[Remark]:
    for name in sorted(register.versions):
        known = well_known(name)
        if known is not None:
            message = f"its name looks like {known}, which is well known, and it is another project"
            yield Remark(
                code="look-alike", name=name, subject=name, message=message, key=key_of(register.versions[name][0])
            )


def _against(register: LockIndex, old: Lock, policy: Policy, now: datetime) -> Iterator[Remark]:
    """What changed against an earlier lock, each fact by itself: a rule may be off where a louder one is too."""
    hosts, indexes = policy.hosts or frozenset(), policy.indexes or frozenset()
    for change in every_change(old, register.lock, now=now):
        allowed = (change.code == "host-new" and host_and_port(change.now) in hosts) or (
            change.code == "index-changed" and change.now in indexes
        )
        if change.code in AGAINST and not allowed:
            yield Remark(
                code=change.code,
                name=change.name,
                version=_version(register.versions.get(change.name, ())),
                subject=change.name or "the lock",
                message=change.message,
                chain=change.chain,
                targets=change.targets,
            )


def _version(entries: tuple[LockedPackage, ...]) -> str:
    """The version that an exception may name: where there are several, none."""
    return (entries[0].version or "") if len(entries) == 1 else ""
