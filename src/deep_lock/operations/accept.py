"""The work of `policy --accept`: an exception for a finding, written into the policy."""

from collections.abc import Collection
from datetime import date
from pathlib import Path

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.config.config import read_config, read_config_file
from deep_lock.config.options import AcceptOptions
from deep_lock.config.policy import read_policy_file
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.files import is_there
from deep_lock.models.policy import Exemption, Policy, exception_id
from deep_lock.operations import policy
from deep_lock.project import edit
from deep_lock.sanitize import show
from deep_lock.suggestions import nearest


class Accepted(Struct, frozen=True, kw_only=True):
    """The file of the policy with an exception, unwritten."""

    document: edit.Document
    exception: Exemption
    before: Exemption | None = None
    """The exception with the same ID that was there."""


def accept(options: AcceptOptions, reporter: Reporter) -> Accepted:
    """Return the policy's file with an exception for a finding that there is now.

    An exception with the same ID gets the new date and reason. Raises UserError.
    """
    check, until = options.check, options.until
    if until < check.context.now.date():
        raise UsageError(f"--until {until} is in the past", hint="name the last day of the exception, in UTC")
    ids = {finding.id for finding in policy.check_policy(check, reporter).findings if finding.id}
    rule, name, version = _read_id(options.id)
    wanted = exception_id(rule, name, version)
    if wanted not in ids and not (version is None and any(own.startswith(f"{wanted}==") for own in ids)):
        raise _unknown(options.id, ids)
    document, keys = _policy_file(check.policy, check.lock.parent)
    exceptions = _read(document, keys).exceptions
    wider = next((own for own in exceptions if own.id == exception_id(rule, name, None)), None)
    if version is not None and wider is not None:
        raise UsageError(
            f"{document.source}: there is an exception for every version of {name}, until {wider.until}",
            hint=f"change its date: --accept {wider.id}",
        )
    number = next((number for number, own in enumerate(exceptions) if own.id == wanted), None)
    exception = Exemption(name=name, version=version, rule=rule, reason=options.reason, until=until)
    if number is None:
        document = edit.with_entry(document, (*keys, "exceptions"), _values(exception), after=_places(keys))
    else:
        document = edit.with_entry_values(
            document, (*keys, "exceptions"), number, {"until": until, "reason": options.reason}
        )
    _read(document, keys)
    return Accepted(document=document, exception=exception, before=None if number is None else exceptions[number])


def _read_id(text: str) -> tuple[str, str, str | None]:
    rule, _, subject = text.strip().partition(":")
    name, _, version = subject.partition("==")
    return rule.strip(), canonicalize_name(name.strip()), version.strip() or None


def _unknown(text: str, ids: Collection[str]) -> UsageError:
    near = nearest(text, ids, cutoff=0.4)
    return UsageError(
        f"there is no finding {show(text)} in the lock",
        hint=f"did you mean {near}?" if near else "deep-lock policy shows the ID of each finding",
    )


def _policy_file(named: Path | None, folder: Path) -> tuple[edit.Document, edit.Keys]:
    """Return the file that has the policy, and the keys of its table there."""
    if named is not None:
        return edit.open_document(named), ()
    own, pyproject = folder / "deep-lock.toml", folder / "pyproject.toml"
    if is_there(own):
        return edit.open_document(own), ("policy",)
    if is_there(pyproject):
        return edit.open_document(pyproject), ("tool", "deep-lock", "policy")
    raise UsageError(
        f"{folder}: no deep-lock.toml and no pyproject.toml for a policy",
        hint="name the file of a policy with --policy, or make a configuration: deep-lock init",
    )


def _read(document: edit.Document, keys: edit.Keys) -> Policy:
    """Read the policy as every other command does. Raises ConfigError."""
    if not keys:
        return read_policy_file(document.text, document.source)
    if keys == ("policy",):
        return read_config_file(document.text, document.source).policy or Policy()
    settings = document.data.get("tool", {}).get("deep-lock", {})
    return read_config(settings, document.source, document.text).policy or Policy()


def _places(keys: edit.Keys) -> tuple[edit.Keys, ...]:
    """Return the tables below which an exception may be placed, the best first."""
    return ((*keys, "exceptions"), *(keys[:size] for size in range(len(keys), 0, -1)))


def _values(exception: Exemption) -> dict[str, str | date]:
    version = {"version": exception.version} if exception.version is not None else {}
    return {
        "name": exception.name,
        **version,
        "rule": exception.rule,
        "reason": exception.reason,
        "until": exception.until,
    }
