"""Whether a lock still fits what it was made from, told without the network, by meaning: never by a digest or the text.

Each reason is a sentence that names what changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deep_lock.lockfile.invariants import check_closed
from deep_lock.lockfile.writer import ordered
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget, OptionValue
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.parsing.toml import value_text
from deep_lock.sanitize import show
from deep_lock.targets.target import Target

Options = tuple[tuple[str, OptionValue], ...]
_NOTHING = "nothing"


def stale_reasons(
    old: Lock,
    *,
    inputs: LockedInputs,
    options: Options,
    indexes: tuple[tuple[str, str], ...],
    targets: tuple[LockedTarget, ...],
    requires_python: str | None,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    default_groups: tuple[str, ...] = (),
    full_targets: tuple[Target, ...] = (),
) -> tuple[str, ...]:
    """Return why the lock must be made anew; empty where it need not.

    The arguments are what a lock made now would say of its inputs. With ``full_targets`` the lock's own laws are
    checked on each target too. Raises RequirementInvalid on a new requirement text that is none.
    """
    new = Lock(
        inputs=inputs,
        options=options,
        indexes=indexes,
        targets=targets,
        requires_python=requires_python,
        extras=extras,
        dependency_groups=groups,
        default_groups=default_groups,
    )
    reasons = (
        *changed_settings(ordered(old), ordered(new)),
        *(f"the lock contradicts itself: {untruth}" for untruth in check_closed(old, full_targets)),
    )
    return tuple(dict.fromkeys(reasons))


def changed_settings(old: Lock, new: Lock) -> Iterator[str]:
    """Yield a sentence for each thing that two locks, both in order, were made from or for, and that differs."""
    if not _same_python(old.requires_python, new.requires_python):
        was, now = old.requires_python or _NOTHING, new.requires_python or _NOTHING
        yield f"requires-python changed from {show(was)} to {show(now)}"
    yield from _changed_inputs(old.inputs, new.inputs)
    yield from _changed_names("extra", old.extras, new.extras)
    yield from _changed_names("dependency group", old.dependency_groups, new.dependency_groups)
    yield from _changed_names("default group", old.default_groups, new.default_groups)
    yield from _changed_options(dict(old.options), dict(new.options))
    yield from _changed_indexes(dict(old.indexes), dict(new.indexes))
    yield from _changed_targets(old.targets, new.targets)


def _same_python(old: str | None, new: str | None) -> bool:
    try:
        return SpecifierSet(old or "") == SpecifierSet(new or "")
    except (InvalidSpecifier, ValueError):
        return old == new


Telling = Callable[[str, str], str]
"""Makes the sentence from what was and what is; one of them may be empty, never both."""


def _asking(who: str) -> Telling:
    def tell(old: str, new: str) -> str:
        if not new:
            return f"{who} no longer asks for {old}"
        return f"{who} now asks for {new}" + (f" instead of {old}" if old else "")

    return tell


def _ruling(what: str) -> Telling:
    def tell(old: str, new: str) -> str:
        if not new:
            return f"the {what} {old} is gone"
        return f"the {what} {old} is now {new}" if old else f"there is a new {what}, {new}"

    return tell


def _changed_inputs(old: LockedInputs, new: LockedInputs) -> Iterator[str]:
    if old.sources != new.sources:
        yield f"the lock was made from {_listed(old.sources)}, and would now be made from {_listed(new.sources)}"
    who = show(new.sources[0]) if len(new.sources) == 1 else "the project"
    yield from _changed_requirements(old.requirements, new.requirements, _asking(who))
    yield from _changed_lists("extra", dict(old.extras), dict(new.extras))
    yield from _changed_lists("dependency group", dict(old.dependency_groups), dict(new.dependency_groups))
    yield from _changed_requirements(old.constraints, new.constraints, _ruling("constraint"))
    yield from _changed_requirements(old.overrides, new.overrides, _ruling("override"))
    yield from _changed_requirements(old.build_constraints, new.build_constraints, _ruling("build constraint"))
    yield from _changed_additions(dict(old.extra_build_requires), dict(new.extra_build_requires))
    yield from _changed_settings(old, new)
    yield from _changed_trees(old, new)
    if old.build_requires is None and new.build_requires is not None:
        yield "the project is now built itself, and its build is not locked"
    elif old.build_requires is not None and new.build_requires is None:
        yield "the project is no longer built itself, and its build is locked"
    else:
        asking = _asking("the project's [build-system]")
        yield from _changed_requirements(old.build_requires or (), new.build_requires or (), asking)


def _changed_trees(old: LockedInputs, new: LockedInputs) -> Iterator[str]:
    was, now = {tree.path: tree for tree in old.trees}, {tree.path: tree for tree in new.trees}
    yield from _changed_names("folder", was, now)
    for path in sorted(was.keys() & now.keys()):
        before, after = was[path], now[path]
        if not _same_python(before.requires_python, after.requires_python):
            was_python, is_python = before.requires_python or _NOTHING, after.requires_python or _NOTHING
            yield f"requires-python of {show(path)} changed from {show(was_python)} to {show(is_python)}"
        if (before.requirements is None) != (after.requirements is None):
            state = "only its backend knows" if after.requirements is None else "its own files say"
            yield f"what {show(path)} asks for, {state} now"
        yield from _changed_requirements(before.requirements or (), after.requirements or (), _asking(show(path)))
        asking = _asking(f"the [build-system] of {show(path)}")
        yield from _changed_requirements(before.build_requires, after.build_requires, asking)


def _listed(texts: Iterable[str]) -> str:
    return show(", ".join(texts)) or _NOTHING


def _changed_lists(kind: str, old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    yield from _changed_names(kind, old, new)
    for name in sorted(old.keys() & new.keys()):
        yield from _changed_requirements(old[name], new[name], _asking(f"{kind} {name!r}"))


def _changed_additions(old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        tell = _asking(f"extra-build-requires of {name!r}")
        yield from _changed_requirements(old.get(name, ()), new.get(name, ()), tell)


def _changed_settings(old: LockedInputs, new: LockedInputs) -> Iterator[str]:
    """Values are told as they are: what a backend makes of them, and of their order, only it knows."""
    was, now = _settings(old), _settings(new)
    for name, key in sorted(was.keys() | now.keys()):
        what = f"config-settings of {name!r}: '{show(key)}'"
        if (name, key) not in was:
            yield f"{what} is new, with {show(now[name, key])}"
        elif (name, key) not in now:
            yield f"{what} is no longer set; it was {show(was[name, key])}"
        elif was[name, key] != now[name, key]:
            yield f"{what} changed from {show(was[name, key])} to {show(now[name, key])}"


def _settings(inputs: LockedInputs) -> dict[tuple[str, str], str]:
    return {(name, key): value_text(value) for name, own in inputs.config_settings for key, value in own}


def _changed_names(kind: str, old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    was, now = frozenset(old), frozenset(new)
    yield from (f"{kind} {name!r} was added" for name in sorted(now - was))
    yield from (f"{kind} {name!r} was removed" for name in sorted(was - now))


def _changed_requirements(old: tuple[str, ...], new: tuple[str, ...], tell: Telling) -> Iterator[str]:
    """Tell changes project by project; order, spaces and spelling say nothing."""
    was, now = frozenset(map(parse_requirement, old)), frozenset(map(parse_requirement, new))
    removed, added = _by_name(was - now), _by_name(now - was)
    for name in sorted(removed.keys() | added.keys()):
        yield tell(removed.get(name, ""), added.get(name, ""))


def _by_name(requirements: Iterable[Requirement]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for requirement in requirements:
        texts.setdefault(requirement.name, []).append(f"'{show(str(requirement))}'")
    return {name: " and ".join(sorted(each)) for name, each in texts.items()}


def _changed_options(old: Mapping[str, OptionValue], new: Mapping[str, OptionValue]) -> Iterator[str]:
    was = {key: value_text(value) for key, value in old.items()}
    now = {key: value_text(value) for key, value in new.items()}
    for key in sorted(was.keys() | now.keys()):
        if key not in was:
            yield f"option {key} is new, with {show(now[key])}"
        elif key not in now:
            yield f"option {key} is no longer set; it was {show(was[key])}"
        elif was[key] != now[key]:
            yield f"option {key} changed from {show(was[key])} to {show(now[key])}"


def _changed_indexes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    yield from _changed_names("index", old, new)
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"index {name!r} changed from {show(old[name])} to {show(new[name])}"


def _changed_targets(old: tuple[LockedTarget, ...], new: tuple[LockedTarget, ...]) -> Iterator[str]:
    was = {target.name: target for target in old}
    now = {target.name: target for target in new}
    yield from _changed_names("target", was, now)
    for name in sorted(was.keys() & now.keys()):
        if replace(was[name], unknown=()) != replace(now[name], unknown=()):
            yield f"target {name!r} is described otherwise now: {_told(was[name])} became {_told(now[name])}"


def _told(target: LockedTarget) -> str:
    return show(f"Python {target.python} on {target.platform} where {target.marker}")
