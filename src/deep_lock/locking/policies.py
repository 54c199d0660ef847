"""The policy of a project together with those that it extends, and its check before a lock counts as up to date.

A policy extends a profile, a file, or a URL whose content is pinned by its sha256.
"""

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from deep_lock.analysis.policy import evaluate
from deep_lock.config.options import RunContext
from deep_lock.config.policy import read_policy_file
from deep_lock.errors import ConfigError, HashMismatch, NotCached, PolicyBroken
from deep_lock.events import silent
from deep_lock.index.cache import Cache
from deep_lock.index.file_cache import FileCache
from deep_lock.models.lock import Lock
from deep_lock.models.policy import PROFILES, Policy, PolicySource, extended
from deep_lock.network.urls import shown_url
from deep_lock.parsing.text import decode
from deep_lock.project.checkout import require_inside
from deep_lock.project.files import read_bytes
from deep_lock.reports.findings import finding_line
from deep_lock.sanitize import show

MAX_POLICY_BYTES = 1024 * 1024
MAX_EXTENDED = 8
"""Policies that one policy extends, directly or through others."""
MAX_SHOWN = 25
"""Errors in one message."""

Fetch = Callable[[str, str], bytes]
"""Returns the content of a URL by the URL and its sha256. Raises IndexFault and SafetyError."""


def check_policy(lock: Lock, policy: Policy, name: str, *, folder: Path, context: RunContext) -> None:
    """Raise PolicyBroken with every error that the policy finds in the lock; ``name`` is its name in the message.

    ``folder`` is that of the policy. No request is made: a policy of a URL must be in the cache, or NotCached is raised.
    """
    policy = complete_policy(policy, folder, cached_policy(context), context.checkout)
    errors = [
        finding_line(finding) for finding in evaluate(lock, policy, now=context.now) if finding.severity == "error"
    ]
    if errors:
        more = [f"and {len(errors) - MAX_SHOWN} more"] if len(errors) > MAX_SHOWN else []
        raise PolicyBroken(
            f"{name} breaks the policy:\n" + "\n".join(f"  {line}" for line in [*errors[:MAX_SHOWN], *more]),
            hint="deep-lock policy shows all findings",
        )


def complete_policy(policy: Policy, folder: Path, fetch: Fetch, checkout: Path | None) -> Policy:
    """Return a policy together with those that it extends; a setting of the one that extends has precedence.

    ``folder`` is that of the policy, ``checkout`` that of the context. Raises ConfigError, LimitExceeded, HashMismatch,
    OutsideCheckout, and what ``fetch`` raises.
    """
    chain = [policy]
    place: Path | None = folder
    seen: set[str] = set()
    while chain[-1].extends is not None:
        source = chain[-1].extends
        if len(chain) > MAX_EXTENDED:
            raise ConfigError(f"policy.extends: more than {MAX_EXTENDED} policies extend each other")
        if source.profile is not None:
            chain.append(PROFILES[source.profile])
            continue
        if source.path is not None:
            path = require_inside(_path(source, place), checkout, "policy.extends")
            name, raw, place = str(path), _read(path, source), path.parent
        else:
            name, raw, place = source.url or "", fetch(source.url or "", source.sha256 or ""), None
        if name in seen:
            raise ConfigError(f"policy.extends: {show(name)} extends itself")
        seen.add(name)
        chain.append(read_policy_file(decode(raw, name, ConfigError), show(name)))
    found = chain.pop()
    while chain:
        found = extended(replace(chain.pop(), extends=None), found)
    return found


def cached_policy(context: RunContext) -> Fetch:
    """Return a `Fetch` that makes no request. It raises NotCached."""

    def content(url: str, sha256: str) -> bytes:
        with closing(FileCache(Cache(context.cache_folder, silent).files_folder)) as cached:
            path = cached.get(sha256)
            if path is None:
                raise NotCached(f"the policy {shown_url(url)} is not in the cache", hint="deep-lock policy fetches it")
            return read_bytes(path, ConfigError, MAX_POLICY_BYTES)

    return content


def _path(source: PolicySource, folder: Path | None) -> Path:
    if folder is None:
        raise ConfigError(f"policy.extends: a policy of a URL extends {show(source.path or '')}, which is a path")
    return (folder / (source.path or "")).resolve()


def _read(path: Path, source: PolicySource) -> bytes:
    try:
        raw = read_bytes(path, ConfigError, MAX_POLICY_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"policy.extends: there is no file {path}") from None
    require_digest(raw, str(path), source.sha256)
    return raw


def require_digest(raw: bytes, name: str, sha256: str | None) -> None:
    """Raise HashMismatch where bytes have another sha256 than an expected one."""
    digest = hashlib.sha256(raw).hexdigest()
    if sha256 is not None and digest != sha256:
        raise HashMismatch(
            f"policy.extends: {show(name)} has sha256 {digest}, instead of {sha256}",
            hint="review the file, and write its sha256 into the policy",
        )
