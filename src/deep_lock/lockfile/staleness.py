"""Whether a lock still fits its inputs, without the network: by meaning, and not by a digest or the text.

Each reason is a sentence that names what changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier

from deep_lock.lazy import json
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.order import ordered
from deep_lock.models.build_system import SettingValue
from deep_lock.models.conflicts import described
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget, LockedTree, OptionValue
from deep_lock.models.requirement import Requirement
from deep_lock.models.workspace import Member, owners, scope_of, scope_text, scopes_of
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.pep440 import parse_specifier
from deep_lock.sanitize import show
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.short_form import short_form
from deep_lock.targets.target import Target

Sentence = Callable[[str, str], str]
"""Makes a sentence from the old text and the new one; one of them may be empty, never both."""


def stale_reasons(old: Lock, new: Lock, targets: tuple[Target, ...] = ()) -> tuple[str, ...]:
    """Return the reasons to lock again; none where the lock is up to date.

    ``new`` is the head of the lock that would be made now: its packages and builds are not compared. ``targets`` as in
    `broken_invariants`. Raises RequirementInvalid on an invalid requirement of ``new``.
    """
    reasons = (
        *changed_settings(ordered(old), ordered(new)),
        *(f"the lock contradicts itself: {fault}" for fault in broken_invariants(old, targets)),
    )
    return tuple(dict.fromkeys(reasons))


def changed_settings(old: Lock, new: Lock) -> Iterator[str]:
    """Yield a sentence for each difference in the inputs, settings and targets of two locks, both in canonical order.

    An extra or group that is new in the inputs and in the lock is one difference.
    """
    yield from dict.fromkeys(_changed_settings(old, new))


def _changed_settings(old: Lock, new: Lock) -> Iterator[str]:
    yield from _changed_python("requires-python", old.requires_python, new.requires_python)
    yield from _changed_inputs(old.inputs, new.inputs)
    members = _members(old.inputs, new.inputs)
    yield from _changed_scopes("extra", old.extras, new.extras, members)
    yield from _changed_scopes("group", old.dependency_groups, new.dependency_groups, members)
    whole = {member.name for member in members.every}
    yield from _changed_names("default group", set(old.default_groups) - whole, set(new.default_groups) - whole)
    yield from _changed_values(
        {f"option {key}": _value_text(value) for key, value in old.options},
        {f"option {key}": _value_text(value) for key, value in new.options},
    )
    yield from _changed_indexes(dict(old.indexes), dict(new.indexes))
    yield from _changed_targets(old.targets, new.targets)


def changed_limits(old: Lock, new: Lock) -> tuple[str, ...]:
    """Return a sentence for each difference of what a command line can give for one run, without its recorded options.

    These are constraints, overrides, extras, groups, indexes and folders of files.
    """
    was, now = ordered(old), ordered(new)
    limits = {
        "constraints": was.inputs.constraints,
        "overrides": was.inputs.overrides,
        "build_constraints": was.inputs.build_constraints,
    }
    members = _members(now.inputs, now.inputs)
    return (
        *_changed_inputs(replace(now.inputs, **limits), now.inputs),
        *_changed_scopes("extra", was.extras, now.extras, members),
        *_changed_scopes("group", was.dependency_groups, now.dependency_groups, members),
        *_changed_indexes(dict(was.indexes), dict(now.indexes)),
        *_changed_values(_links(was), _links(now)),
    )


def _links(lock: Lock) -> dict[str, str]:
    return {f"option {key}": _value_text(value) for key, value in lock.options if key == "find-links"}


def _changed_python(subject: str, old: str | None, new: str | None) -> Iterator[str]:
    try:
        same = parse_specifier(old or "") == parse_specifier(new or "")
    except (InvalidSpecifier, ValueError):
        same = old == new
    if not same:
        yield f"{subject} changed from {show(old or 'nothing')} to {show(new or 'nothing')}"


def _requires(subject: str) -> Sentence:
    def sentence(old: str, new: str) -> str:
        if not new:
            return f"{subject} no longer requires {old}"
        return f"{subject} now requires {new}" + (f" instead of {old}" if old else "")

    return sentence


def _has(kind: str) -> Sentence:
    def sentence(old: str, new: str) -> str:
        if not new:
            return f"the {kind} {old} was removed"
        return f"the {kind} {old} is now {new}" if old else f"the {kind} {new} was added"

    return sentence


def _changed_inputs(old: LockedInputs, new: LockedInputs) -> Iterator[str]:
    if old.sources != new.sources:
        was, now = (show(", ".join(sources)) or "nothing" for sources in (old.sources, new.sources))
        yield f"the lock was made from {was}, but would now be made from {now}"
    subject = show(new.sources[0]) if len(new.sources) == 1 else "the project"
    yield from _changed_requirements(old.requirements, new.requirements, _requires(subject))
    yield from _changed_members({own.name: own for own in old.members}, {own.name: own for own in new.members})
    members = _members(old, new)
    yield from _changed_lists("extra", dict(old.extras), dict(new.extras), members)
    yield from _changed_lists("group", dict(old.dependency_groups), dict(new.dependency_groups), members)
    for change, conflicts in (
        ("removed", set(old.conflicts) - set(new.conflicts)),
        ("added", set(new.conflicts) - set(old.conflicts)),
    ):
        yield from (
            f"the conflict of {described([conflict], members.every)} was {change}" for conflict in sorted(conflicts)
        )
    yield from _changed_requirements(old.constraints, new.constraints, _has("constraint"))
    yield from _changed_requirements(old.overrides, new.overrides, _has("override"))
    yield from _changed_requirements(old.build_constraints, new.build_constraints, _has("build constraint"))
    was_added, is_added = dict(old.extra_build_requires), dict(new.extra_build_requires)
    for name in sorted(was_added.keys() | is_added.keys()):
        sentence = _requires(f"extra-build-requires of {name!r}")
        yield from _changed_requirements(was_added.get(name, ()), is_added.get(name, ()), sentence)
    # compared as they are: only the backend knows the meaning of a value, and of the order of a list
    yield from _changed_values(_settings(old), _settings(new))
    names = {member.path: f"member {member.name!r}" for member in (*old.members, *new.members)}
    yield from _changed_trees({tree.path: tree for tree in old.trees}, {tree.path: tree for tree in new.trees}, names)
    if old.build_requires is None and new.build_requires is not None:
        yield "the project is now built, but its build is not locked"
    elif old.build_requires is not None and new.build_requires is None:
        yield "the project is no longer built, but its build is locked"
    else:
        sentence = _requires("the project's [build-system]")
        yield from _changed_requirements(old.build_requires or (), new.build_requires or (), sentence)


def _settings(inputs: LockedInputs) -> dict[str, str]:
    return {
        f"config-settings of {name!r}: '{key}'": _value_text(value)
        for name, own in inputs.config_settings
        for key, value in own
    }


def _value_text(value: OptionValue | SettingValue) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else json.dumps(value)


class _Members(Struct, frozen=True, kw_only=True):
    """The members of a workspace before and now."""

    every: tuple[Member, ...]
    changed: frozenset[Scope]
    """The scopes of members that are new or removed, and those of the other members themselves."""


def _members(old: LockedInputs, new: LockedInputs) -> _Members:
    every = tuple({own.name: own for own in (*old.members, *new.members)}.values())
    in_one = {own.name for own in old.members} ^ {own.name for own in new.members}
    changed = (scopes_of(own).values() if own.name in in_one else (scope_of(own, BASE),) for own in every)
    return _Members(every=every, changed=frozenset(chain.from_iterable(changed)))


def _changed_members(old: Mapping[str, Member], new: Mapping[str, Member]) -> Iterator[str]:
    yield from _changed_names("member", old, new)
    for name in sorted(old.keys() & new.keys()):
        if old[name].path != new[name].path:
            yield f"member {name!r} moved from {show(old[name].path)} to {show(new[name].path)}"


def _changed_trees(
    old: Mapping[str, LockedTree], new: Mapping[str, LockedTree], names: Mapping[str, str]
) -> Iterator[str]:
    """``names`` are those of folders that belong to members of a workspace."""
    yield from _changed_names("folder", old.keys() - names, new.keys() - names)
    for path in sorted(old.keys() & new.keys()):
        was, now, subject = old[path], new[path], names.get(path, show(path))
        yield from _changed_python(f"requires-python of {subject}", was.requires_python, now.requires_python)
        if (was.requirements is None) != (now.requirements is None):
            state = "known to its backend only" if now.requirements is None else "stated in its own files"
            yield f"the requirements of {subject} are now {state}"
        yield from _changed_requirements(was.requirements or (), now.requirements or (), _requires(subject))
        sentence = _requires(f"the [build-system] of {subject}")
        yield from _changed_requirements(was.build_requires, now.build_requires, sentence)


_KINDS = {"extra": "extra", "group": "dependency group"}


def _changed_lists(
    kind: Literal["extra", "group"],
    old: Mapping[str, tuple[str, ...]],
    new: Mapping[str, tuple[str, ...]],
    members: _Members,
) -> Iterator[str]:
    yield from _changed_scopes(kind, old, new, members)
    for name in sorted(old.keys() & new.keys()):
        yield from _changed_requirements(old[name], new[name], _requires(_scope_text(kind, name, members.every)))


def _changed_scopes(
    kind: Literal["extra", "group"], old: Iterable[str], new: Iterable[str], members: _Members
) -> Iterator[str]:
    """A member that is new or removed, with all that it has, is one difference, which is yielded elsewhere."""
    known = {scope.name for scope in members.changed if scope.kind == kind}
    was, now = frozenset(old), frozenset(new)
    yield from (f"{_scope_text(kind, name, members.every)} was added" for name in sorted(now - was - known))
    yield from (f"{_scope_text(kind, name, members.every)} was removed" for name in sorted(was - now - known))


def _scope_text(kind: Literal["extra", "group"], name: str, members: Sequence[Member]) -> str:
    scope = Scope(kind=kind, name=name)
    return scope_text(scope, members) if scope in owners(members) else f"{_KINDS[kind]} {name!r}"


def _changed_names(kind: str, old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    was, now = frozenset(old), frozenset(new)
    yield from (f"{kind} {name!r} was added" for name in sorted(now - was))
    yield from (f"{kind} {name!r} was removed" for name in sorted(was - now))


def _changed_requirements(old: tuple[str, ...], new: tuple[str, ...], sentence: Sentence) -> Iterator[str]:
    """Yield changes by project; order, spaces and spelling have no meaning."""
    was, now = frozenset(map(parse_requirement, old)), frozenset(map(parse_requirement, new))
    removed, added = _by_name(was - now), _by_name(now - was)
    for name in sorted(removed.keys() | added.keys()):
        yield sentence(removed.get(name, ""), added.get(name, ""))


def _by_name(requirements: Iterable[Requirement]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for requirement in requirements:
        texts.setdefault(requirement.name, []).append(f"'{show(str(requirement))}'")
    return {name: " and ".join(sorted(each)) for name, each in texts.items()}


def _changed_values(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        subject = show(key, 400)
        if key not in old:
            yield f"{subject} is now set to {show(new[key])}"
        elif key not in new:
            yield f"{subject} is no longer set; it was {show(old[key])}"
        elif old[key] != new[key]:
            yield f"{subject} changed from {show(old[key])} to {show(new[key])}"


def _changed_indexes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    yield from _changed_names("index", old, new)
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"index {name!r} changed from {show(old[name])} to {show(new[name])}"


def _changed_targets(old: tuple[LockedTarget, ...], new: tuple[LockedTarget, ...]) -> Iterator[str]:
    was = {target.name: target for target in old}
    now = {target.name: target for target in new}
    for label, own, other in (("added", now, was), ("removed", was, now)):
        names = [name for name in own if name not in other]
        if len(names) > 1:
            yield f"targets were {label}: {short_form(names, [*own])}"
        yield from (f"target {name!r} was {label}" for name in names if len(names) == 1)
    for name in sorted(was.keys() & now.keys()):
        if was[name] != now[name]:
            yield f"target {name!r} changed from {_described(was[name])} to {_described(now[name])}"


def _described(target: LockedTarget) -> str:
    return show(f"Python {target.python} on {target.platform} where {target.marker}")
