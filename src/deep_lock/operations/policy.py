"""The work of `policy`: a lock, checked against a policy. Nothing is resolved; with ``deep`` wheels are fetched."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from deep_lock.analysis.policy import evaluate
from deep_lock.analysis.policy_rules import RuleMatch
from deep_lock.analysis.wheel_rules import WheelsRead
from deep_lock.config.config import Config
from deep_lock.config.options import AuditOptions, PolicyOptions
from deep_lock.config.policy import read_policy_file
from deep_lock.errors import ConfigError
from deep_lock.events import Reporter
from deep_lock.files import is_there
from deep_lock.lockfile.index import called
from deep_lock.locking.policies import complete_policy, fetched_policy
from deep_lock.locking.read_inputs import parse_lock, read_project_config
from deep_lock.models.changes import Finding
from deep_lock.models.lock import Lock
from deep_lock.models.policy import AGAINST, Policy
from deep_lock.operations import audit
from deep_lock.operations.inputs import LockFile, read_lock_file, text_at
from deep_lock.operations.wheel_contents import read_wheels
from deep_lock.project.files import read_text
from deep_lock.reports import audit as audit_report

ADVISORY = "advisory"


class PolicyResult(Struct, frozen=True, kw_only=True):
    """What a policy finds in a lock."""

    findings: tuple[Finding, ...]
    """Errors first."""
    lines: Mapping[str, int]
    """The line of each package's name in the lock, from 1."""
    unchecked: tuple[str, ...] = ()
    """Rules that the policy sets and that need the previous lock, where none is named."""
    wheels: WheelsRead
    """The wheels whose contents were checked."""


def check_policy(options: PolicyOptions, reporter: Reporter) -> PolicyResult:
    """Check a lock against a policy, and against the previous lock where one is named. Raises UserError."""
    config = read_project_config(options.lock.parent)
    if options.policy is not None:
        policy = read_policy_file(read_text(options.policy, ConfigError), options.policy.name)
    else:
        policy = config.policy or Policy()
    fetch = fetched_policy(options.network, config, options.context, reporter)
    policy = complete_policy(policy, (options.policy or options.lock).parent, fetch)
    new = read_lock_file(options.lock, reporter)
    old = _previous(options.against, options, reporter) if options.against is not None else None
    # before bytes of wheels are read: it is loaded at first use
    known = _advisories(new, policy, config, options, reporter)
    wheels = read_wheels(
        new.lock,
        options.lock,
        network=options.network if options.deep else None,
        context=options.context,
        reporter=reporter,
    )
    findings = evaluate(new.lock, policy, now=options.context.now, old=old, wheels=wheels, advisories=known)
    unchecked = sorted(rule for rule in AGAINST & policy.levels.keys() if old is None and policy.level(rule) != "off")
    return PolicyResult(findings=findings, lines=new.lines, unchecked=tuple(unchecked), wheels=wheels)


def _advisories(
    file: LockFile, policy: Policy, config: Config, options: PolicyOptions, reporter: Reporter
) -> list[RuleMatch] | None:
    """Return what an audit finds, as the configuration of `audit` decides it; None without a database or a service.

    Raises ConfigError where the policy sets the rule and nothing can check it.
    """
    if config.audit is None or not (config.audit.database or config.audit.service):
        if policy.levels.get(ADVISORY, "off") != "off":
            raise ConfigError(
                f"the policy sets {ADVISORY}, and no database of advisories is configured",
                hint='set database = "PATH or URL" in [tool.deep-lock.audit]',
            )
        return None
    if policy.level(ADVISORY) == "off":
        return None
    audited = audit.audit_lock(
        file,
        AuditOptions(lock=options.lock, network=options.network, context=options.context),
        reporter,
        with_fixes=False,
    )
    return [
        RuleMatch(
            code=ADVISORY,
            name=row.hit.entry.name,
            version=row.hit.entry.version or "",
            subject=called(row.hit.entry),
            message=audit_report.summary(row),
            hint="deep-lock audit shows what fixes it",
            key=row.hit.key,
        )
        for row in audited.failing
    ]


def _previous(name: str, options: PolicyOptions, reporter: Reporter) -> Lock:
    """Read the previous lock: the file of this name; where there is none, the lock at this revision."""
    path = Path(name)
    if is_there(path):
        return read_lock_file(path, reporter).lock
    return parse_lock(text_at(name, options.lock, options.context), f"{options.lock.name} at {name}", reporter)
