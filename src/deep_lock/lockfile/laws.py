"""What the tables of a lock must say of each other. A lock that breaks a law was edited by hand, cut, or made by a bug.

Law: an entry is there because something brings it in, whatever is brought in is there, and nothing that runs at build
time stands outside the records.
"""

from collections.abc import Iterator, Sequence

from deep_lock.lockfile.marks import untrue_marks
from deep_lock.lockfile.on_targets import untrue_on_targets
from deep_lock.model.lock import Lock, LockedArchive, LockedBuild, LockedPackage
from deep_lock.model.register import (
    Register,
    called,
    covers,
    installed_entries,
    is_gate,
    key_of,
    meant,
    named_in,
    needs_record,
    open_register,
    parsed,
    reached_entries,
)
from deep_lock.model.target import Target


def check_closed(lock: Lock, targets: tuple[Target, ...] = ()) -> tuple[str, ...]:
    """Return a sentence for each place where the lock is not closed, or says of itself what is not so.

    Markers are evaluated on ``targets``, which are the lock's own as full targets; without them, what depends on
    markers and wheel tags is not looked at.
    """
    register = open_register(lock)
    found = (
        *_loose_references(register),
        *_loose_members(register),
        *_orphans(register),
        *_unlocked_builds(register),
        *_records_of_nothing(register),
        *_own_build(register),
        *_unknown_labels(register),
        *untrue_marks(register),
        *_twins(register),
        *untrue_on_targets(register, targets),
    )
    return tuple(dict.fromkeys(found))


def _loose_references(register: Register) -> Iterator[str]:
    for entry in register.lock.packages:
        for reference in entry.dependencies:
            wanted = f"{reference.name} {reference.version}" if reference.version else reference.name
            match len(meant(reference, register)):
                case 0:
                    yield f"{called(entry)} depends on {wanted}, which has no entry"
                case 1:
                    continue
                case count:
                    yield f"{called(entry)} depends on {wanted}, which has {count} entries: the version is missing"


def _loose_members(register: Register) -> Iterator[str]:
    for build in register.lock.builds:
        for stage in (build.packages, build.declared_packages or ()):
            names = {member.name for member in stage}
            for member in stage:
                if key_of(member) not in register.entries:
                    yield f"the build of {called(build)} uses {called(member)}, which has no entry"
                for name in member.dependencies:
                    if name not in names:
                        yield f"the build of {called(build)} lacks {name}, which {called(member)} depends on"


def _orphans(register: Register) -> Iterator[str]:
    gated = [entry for entry in register.lock.packages if is_gate(entry.marker)]
    ungated = [entry for entry in register.lock.packages if not is_gate(entry.marker)]
    reached = reached_entries(register)
    for entry in gated:
        if key_of(entry) not in reached:
            yield f"{called(entry)} is build-only, and no build uses it"
    inputs = register.lock.inputs
    pinned = named_in(inputs) if inputs.pinned else frozenset()
    installed = installed_entries(register, (entry for entry in ungated if entry.direct or entry.name in pinned))
    for entry in ungated:
        if key_of(entry) not in installed:
            yield f"{called(entry)} is installed, and nothing that the project asks for depends on it"


def _unlocked_builds(register: Register) -> Iterator[str]:
    """Where every file of a release is listed, or the runtime part only, an sdist need not have a record."""
    if register.options.get("files") == "all" or register.options.get("build-scope") == "none":
        return
    for entry in register.lock.packages:
        if needs_record(entry) and key_of(entry) not in register.records:
            what = "lists an sdist" if entry.source is None else "is a source tree"
            yield f"{called(entry)} {what}, and no record says how it is built"


def _records_of_nothing(register: Register) -> Iterator[str]:
    for key, builds in register.records.items():
        entry = register.entries.get(key)
        for build in builds:
            yield from _faults_of_record(build, entry)


def _faults_of_record(build: LockedBuild, entry: LockedPackage | None) -> Iterator[str]:
    if entry is None:
        yield f"there is a record of the build of {called(build)}, which has no entry"
    elif entry.source is not None:
        own = entry.source
        if isinstance(own, LockedArchive) and build.sdist != f"sha256:{own.sha256}":
            yield f"the record of the build of {called(build)} was made from another archive than the one that is listed"
        if build.needed != "direct":
            yield f"the record of the build of {called(build)} is of a source that was named directly, and does not say so"
    elif entry.sdist is None:
        yield f"there is a record of the build of {called(build)}, whose entry lists no sdist"
    elif build.sdist != f"sha256:{entry.sdist.sha256}":
        yield f"the record of the build of {called(build)} was made from another sdist than the one that is listed"


def _own_build(register: Register) -> Iterator[str]:
    own = [build for build in register.lock.builds if build.needed == "project"]
    recorded = any(build.hook is None for build in own)
    wanted = register.lock.inputs.build_requires is not None and register.options.get("build-scope") != "none"
    if wanted and not recorded:
        yield "the project is built itself, and no record says how"
    if recorded and register.lock.inputs.build_requires is None:
        yield "there is a record of the project's own build, and the inputs know of none"
    for build in own:
        if build.hook is not None:
            yield from _beside_the_wheel(build, [other for other in own if other.hook is None], register)


def _beside_the_wheel(build: LockedBuild, wheels: Sequence[LockedBuild], register: Register) -> Iterator[str]:
    """An editable build stands beside that of a wheel, from the same tree, and only because it asks for something else."""
    for label in build.targets or sorted(register.labels):
        wheel = next((other for other in wheels if covers(other, label)), None)
        if wheel is None:
            yield f"there is a record of the build of {called(build)} on {label}, and none of its build as a wheel"
        elif (wheel.name, wheel.version, wheel.backend, wheel.backend_path, frozenset(parsed(wheel.requires))) != (
            (build.name, build.version, build.backend, build.backend_path, frozenset(parsed(build.requires)))
        ):
            yield f"the build of {called(build)} declares something else than its build as a wheel"
        elif not build.requires_dynamic or (
            frozenset(parsed(build.requires_dynamic)) == frozenset(parsed(wheel.requires_dynamic or ()))
        ):
            yield f"the build of {called(build)} asks for nothing but its build as a wheel, and has a record of its own"


def _unknown_labels(register: Register) -> Iterator[str]:
    for entry in register.lock.packages:
        for label in entry.build_on:
            if label not in register.labels:
                yield f"{called(entry)} is built on {label}, which is not a target of the lock"
    for build in register.lock.builds:
        # observed-on may be a target of the machine that asked, which the lock need not have
        for label in build.targets:
            if label not in register.labels:
                yield f"the record of the build of {called(build)} names {label}, which is not a target of the lock"


def _twins(register: Register) -> Iterator[str]:
    """Two entries of one name where one of them always holds: wrong on any target, so no target is needed to see it."""
    for name, entries in register.versions.items():
        ungated = [entry for entry in entries if not is_gate(entry.marker)]
        if len(ungated) > 1 and any(entry.marker is None for entry in ungated):
            yield f"{name} would be installed twice, as {' and '.join(entry.version or called(entry) for entry in ungated)}"
