"""The work of `policy`: a lock, checked against a policy. Nothing is resolved; with ``deep`` wheels are fetched.

A policy that is extended by its URL is fetched once, and is then in the cache.
"""

from collections.abc import Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path

from msgspec import Struct

from deep_lock.analysis.policy import evaluate
from deep_lock.analysis.policy_rules import RuleMatch
from deep_lock.analysis.wheel_rules import FilesRead
from deep_lock.config.config import Config
from deep_lock.config.options import AuditOptions, PolicyOptions
from deep_lock.config.policy import read_policy_file
from deep_lock.errors import ConfigError, NotFound
from deep_lock.events import Reporter
from deep_lock.files import is_there
from deep_lock.index.file_cache import FileCache
from deep_lock.index.settings import SMALL_SECONDS
from deep_lock.lockfile.index import called
from deep_lock.locking.clients import open_addresses
from deep_lock.locking.policies import MAX_POLICY_BYTES, Fetch, complete_policy, require_digest
from deep_lock.locking.read_inputs import parse_lock, read_project_config
from deep_lock.models.changes import Finding
from deep_lock.models.lock import Lock
from deep_lock.models.policy import AGAINST, Policy
from deep_lock.network.urls import shown_url
from deep_lock.operations import audit
from deep_lock.operations.file_contents import read_wheels
from deep_lock.operations.inputs import LockFile, read_lock_file, text_at
from deep_lock.project.files import STANDARD_INPUT, read_bytes, read_text
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
    wheels: FilesRead
    """The wheels whose contents were checked."""


def check_policy(options: PolicyOptions, reporter: Reporter) -> PolicyResult:
    """Check a lock against a policy, and against the previous lock where one is named. Raises UserError."""
    config = read_project_config(options.lock.parent)
    if options.policy is not None:
        policy = read_policy_file(read_text(options.policy, ConfigError), options.policy.name)
    else:
        policy = config.policy or Policy()
    folder, fetch = (options.policy or options.lock).parent, _fetch(options, config, reporter)
    policy = complete_policy(policy, folder, fetch, options.context.checkout)
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


def _fetch(options: PolicyOptions, config: Config, reporter: Reporter) -> Fetch:
    """Return a `Fetch` that requests what is not in the cache. It raises IndexFault, HashMismatch and LimitExceeded."""

    def content(url: str, sha256: str) -> bytes:
        with (
            closing(open_addresses({"policy": url}, options.network, config, options.context, reporter)) as client,
            closing(FileCache(client.cache.files_folder)) as cached,
        ):
            path = cached.get(sha256)
            if path is not None:
                return read_bytes(path, ConfigError, MAX_POLICY_BYTES)
            response = client.fetcher.open(f"the policy {shown_url(url)}").get(
                url, named_by=url, limit=MAX_POLICY_BYTES, deadline=SMALL_SECONDS
            )
            if response.status != 200:
                raise NotFound(f"policy.extends: {shown_url(url)}: the server has no such file")
            require_digest(response.body, url, sha256)
            cached.put(BytesIO(response.body), sha256)
            return response.body

    return content


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
    if path == STANDARD_INPUT or is_there(path):
        return read_lock_file(path, reporter).lock
    return parse_lock(text_at(name, options.lock, options.context), f"{options.lock.name} at {name}", reporter)
