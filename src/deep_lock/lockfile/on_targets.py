"""The laws that hold target by target: what is installed there, what is built there, and by what."""

from collections.abc import Iterator, Mapping

from deep_lock.model.installed import Chosen, everything, holds_in_lock, present, tags_of
from deep_lock.model.lock import LockedArchive, LockedBuild, LockedPackage, LockedTarget
from deep_lock.model.register import Register, called, covers, key_of, members, needs_record, parsed
from deep_lock.model.requirement import Requirement
from deep_lock.model.target import Target, UnevaluableMarker, holds, python_fits, rank


def untrue_on_targets(register: Register, targets: tuple[Target, ...]) -> Iterator[str]:
    """Yield a sentence for each law that is broken on one of the targets."""
    locked = {target.name: target for target in register.lock.targets}
    for target in targets:
        if target.label in locked:
            yield from _label(register, locked[target.label], target, targets)
            yield from _installed(register, target)
            yield from _built(register, target)


def _label(register: Register, locked: LockedTarget, target: Target, targets: tuple[Target, ...]) -> Iterator[str]:
    if not holds_in_lock(locked.marker, target):
        yield f"the marker of target {target.label} does not hold on it"
    for other in targets:
        # Targets with one and the same environment (two levels of glibc) cannot be told apart by any marker.
        if dict(other.environment) != dict(target.environment) and holds_in_lock(locked.marker, other):
            yield f"the marker of target {target.label} holds on {other.label} too"
    environments = register.lock.environments
    if environments and not any(holds_in_lock(marker, target) for marker in environments):
        yield f"no environment of the lock admits target {target.label}"


def _installed(register: Register, target: Target) -> Iterator[str]:
    for selection in (Chosen(), everything(register)):
        entries: dict[str, LockedPackage] = {}
        for entry in present(register, target, selection):
            if entry.name in entries:
                both = " and ".join(other.version or called(other) for other in (entries[entry.name], entry))
                yield f"{entry.name} would be installed twice on {target.label}, as {both}"
            entries[entry.name] = entry
            if not python_fits(entry.requires_python, target):
                yield f"{called(entry)} does not admit the Python of target {target.label}"
            yield from _without_file(register, entry, target)
    # A marker selects extras and groups too, and what the project itself asks for needs neither.
    bare = {entry.name: entry.version for entry in present(register, target, Chosen())}
    overridden = {requirement.name for requirement in parsed(register.lock.inputs.overrides)}
    for requirement in _wanted(register.lock.inputs.requirements, target):
        if requirement.name not in overridden and not _satisfied(requirement, bare):
            yield f"the project asks for {requirement}, which no entry on {target.label} satisfies"


def _wanted(texts: tuple[str, ...], target: Target) -> Iterator[Requirement]:
    """Yield the requirements that hold on the target and can be checked: a URL says nothing of versions."""
    for requirement in parsed(texts):
        try:
            if requirement.url is None and holds(requirement.marker, target):
                yield requirement
        except UnevaluableMarker:
            # The resolver leaves such a requirement out, and has said so.
            continue


def _satisfied(requirement: Requirement, versions: Mapping[str, str | None]) -> bool:
    version = versions.get(requirement.name)
    if version is None:
        # a source tree states no version: it was compared when it was locked
        return requirement.name in versions
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:
        # Thousands of digits in a specifier are refused by int() only when it is used.
        return False


def _without_file(register: Register, entry: LockedPackage, target: Target) -> Iterator[str]:
    """Say so where the target can take neither a wheel nor an sdist whose build is locked."""
    wheels = [wheel.name for wheel in entry.wheels]
    if isinstance(entry.source, LockedArchive) and not needs_record(entry):
        wheels = [(entry.source.url or entry.source.path or "").partition("?")[0].rpartition("/")[2]]
    if any(rank(tags_of(wheel), target) is not None for wheel in wheels):
        return
    builds = register.records.get(key_of(entry), ())
    if not needs_record(entry):
        yield f"{called(entry)} has no file that fits {target.label}"
    elif register.options.get("build-scope") != "none" and not any(covers(build, target.label) for build in builds):
        yield f"{called(entry)} must be built on {target.label}, and no record says how"


def _built(register: Register, target: Target) -> Iterator[str]:
    for build in register.lock.builds:
        if covers(build, target.label):
            yield from _environment(register, build, target)


def _environment(register: Register, build: LockedBuild, target: Target) -> Iterator[str]:
    for member in members(build):
        entry = register.entries.get(key_of(member))
        if entry is not None:
            yield from _without_file(register, entry, target)
    versions = {member.name: member.version for member in build.packages}
    for requirement in _wanted((*build.requires, *build.requires_user, *(build.requires_dynamic or ())), target):
        if not _satisfied(requirement, versions):
            yield f"the build of {called(build)} asks for {requirement}, which nothing in it satisfies"
