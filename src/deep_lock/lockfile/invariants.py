"""What the tables of a lock must say of each other. A lock that breaks a law was edited by hand, cut, or made by a bug.

Law: an entry is there because something brings it in, whatever is brought in is there, and nothing that runs at build
time stands outside the records.
"""

from collections.abc import Iterator, Mapping, Sequence

from deep_lock.lockfile.index import (
    LockIndex,
    called,
    covers,
    installed_entries,
    is_gate,
    key_of,
    meant,
    members,
    named_in,
    needs_record,
    open_register,
    parsed,
    reached_entries,
    record_key,
    uses_of,
)
from deep_lock.lockfile.selection import Selection, full_selection, holds_in_lock, installed_packages, tags_of
from deep_lock.models.lock import (
    BUILD_GROUP,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedPackage,
    LockedTarget,
    source_text,
)
from deep_lock.models.requirement import Requirement
from deep_lock.targets.target import Target, UnevaluableMarker, holds, python_fits, rank


def untrue_marks(register: LockIndex) -> Iterator[str]:
    """Yield a sentence for each mark that is not so, or is missing."""
    used = uses_of(register)
    for entry in register.lock.packages:
        yield from _layer(entry, used=key_of(entry) in used)
        yield from _build_mark(entry, register)
        yield from _files(entry, register)
    yield from _direct(register)
    overlay = dict(register.lock.inputs.extra_build_requires)
    for build in register.lock.builds:
        yield from _added(build, overlay)
        yield from _evidence(build)
        yield from _needed(build, register)


def _layer(entry: LockedPackage, *, used: bool) -> Iterator[str]:
    gated = is_gate(entry.marker)
    if entry.build_only and not gated:
        yield f"{called(entry)} is marked build-only, and its marker would install it"
    if gated and not entry.build_only:
        yield f"{called(entry)} stands behind the marker of the build layer without the mark build-only"
    if not gated and BUILD_GROUP in (entry.marker or ""):
        yield f"{called(entry)} has a marker that mixes the build layer with something else"
    if entry.also_build and (gated or not used):
        yield f"{called(entry)} is marked also-build, and {'is build-only' if gated else 'no build uses it'}"
    if entry.direct and gated:
        yield f"{called(entry)} is marked direct, and is build-only"
    if used and not gated and not entry.also_build:
        yield f"{called(entry)} is used by a build and installed too, without the mark also-build"


def _build_mark(entry: LockedPackage, register: LockIndex) -> Iterator[str]:
    recorded = key_of(entry) in register.records
    own = f"{entry.name}=={entry.version}" if entry.source is None else f"{entry.name} @ {source_text(entry.source)}"
    if entry.build is not None and entry.build != own:
        yield f"{called(entry)} names the build record of another release, {entry.build}"
    elif entry.build is not None and not recorded:
        yield f"{called(entry)} names a build record that is not there"
    elif entry.build is None and recorded:
        yield f"{called(entry)} has a build record and does not name it"


def _files(entry: LockedPackage, register: LockIndex) -> Iterator[str]:
    if entry.sdist_only and (entry.wheels or entry.sdist is None):
        yield f"{called(entry)} is marked sdist-only, and {'lists a wheel' if entry.wheels else 'lists no sdist'}"
    if entry.build_on and (entry.sdist_only or entry.sdist is None):
        yield f"{called(entry)} is marked build-on, and {'sdist-only' if entry.sdist_only else 'lists no sdist'}"
    if entry.metadata is not None and not needs_record(entry):
        yield f"{called(entry)} says how the metadata of its sdist is known, and lists no sdist"
    if entry.no_source and entry.sdist is not None:
        yield f"{called(entry)} is marked no-source, and lists an sdist"
    if entry.no_source and register.options.get("build-scope") != "all":
        yield f"{called(entry)} is marked no-source, which only the build scope 'all' knows"


def _direct(register: LockIndex) -> Iterator[str]:
    inputs = register.lock.inputs
    named = named_in(inputs)
    overridden = {requirement.name for requirement in parsed(inputs.overrides)}
    certain = {
        requirement.name
        for requirement in parsed(inputs.requirements)
        if requirement.marker is None and requirement.name not in overridden
    }
    for entry in register.lock.packages:
        if entry.direct and entry.name not in named:
            yield f"{called(entry)} is marked direct, and the project does not ask for it"
        if not inputs.pinned and not entry.direct and entry.name in certain and not is_gate(entry.marker):
            yield f"{called(entry)} is asked for by the project, without the mark direct"
    for name in sorted(certain):
        if all(is_gate(entry.marker) for entry in register.versions.get(name, ())):
            yield f"the project asks for {name}, which has no entry that is installed"


def _added(build: LockedBuild, overlay: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What a record says the user added is what the inputs say, for each sdist; the project's own build has a table."""
    wanted = overlay.get(build.name, ()) if build.needed != "project" else ()
    if frozenset(parsed(build.requires_user)) != frozenset(parsed(wanted)):
        told = ", ".join(build.requires_user) or "nothing"
        yield f"the user added {told} to the build of {called(build)}, and {', '.join(wanted) or 'nothing'} by the inputs"
    only = bool(build.requires_user) and not build.requires
    if only != (build.requires_from == "user"):
        state = "all" if only else "not all"
        yield f"the requirements of the build of {called(build)} are {state} the user's, and it says {build.requires_from!r}"


def _evidence(build: LockedBuild) -> Iterator[str]:
    known = build.requires_dynamic is not None
    if known == (build.evidence == "assumed"):
        state = "is assumed, and recorded" if known else f"is {build.evidence}, and not recorded"
        yield f"what the backend of {called(build)} asks for {state}"
    if (build.evidence == "observed") != (build.observed_on is not None):
        where = "was observed on no target" if build.observed_on is None else f"is {build.evidence}, and observed too"
        yield f"what the backend of {called(build)} asks for {where}"
    if build.ends == "self-hosted" and (build.packages or not build.backend_path):
        yield f"the build of {called(build)} is marked self-hosted, and uses other packages or no backend of its own"


def _needed(build: LockedBuild, register: LockIndex) -> Iterator[str]:
    entry = register.entries.get(record_key(build))
    if build.source is not None or entry is None:
        return
    if (build.needed == "always") != entry.sdist_only:
        yield f"the record of the build of {called(build)} and the mark sdist-only of its entry disagree"
    labels = frozenset(build.targets) or register.labels
    missing = sorted(labels.difference(entry.build_on))
    if build.needed == "targets" and missing:
        yield f"{called(entry)} is built on {', '.join(missing)}, and not marked build-on there"


def untrue_on_targets(register: LockIndex, targets: tuple[Target, ...]) -> Iterator[str]:
    """Yield a sentence for each law that is broken on one of the targets."""
    locked = {target.name: target for target in register.lock.targets}
    for target in targets:
        if target.label in locked:
            yield from _label(register, locked[target.label], target, targets)
            yield from _installed(register, target)
            yield from _built(register, target)


def _label(register: LockIndex, locked: LockedTarget, target: Target, targets: tuple[Target, ...]) -> Iterator[str]:
    if not holds_in_lock(locked.marker, target):
        yield f"the marker of target {target.label} does not hold on it"
    for other in targets:
        # Targets with one and the same environment (two levels of glibc) cannot be told apart by any marker.
        if dict(other.environment) != dict(target.environment) and holds_in_lock(locked.marker, other):
            yield f"the marker of target {target.label} holds on {other.label} too"
    environments = register.lock.environments
    if environments and not any(holds_in_lock(marker, target) for marker in environments):
        yield f"no environment of the lock admits target {target.label}"


def _installed(register: LockIndex, target: Target) -> Iterator[str]:
    for selection in (Selection(), full_selection(register)):
        entries: dict[str, LockedPackage] = {}
        for entry in installed_packages(register, target, selection):
            if entry.name in entries:
                both = " and ".join(other.version or called(other) for other in (entries[entry.name], entry))
                yield f"{entry.name} would be installed twice on {target.label}, as {both}"
            entries[entry.name] = entry
            if not python_fits(entry.requires_python, target):
                yield f"{called(entry)} does not admit the Python of target {target.label}"
            yield from _without_file(register, entry, target)
    # A marker selects extras and groups too, and what the project itself asks for needs neither.
    bare = {entry.name: entry.version for entry in installed_packages(register, target, Selection())}
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


def _without_file(register: LockIndex, entry: LockedPackage, target: Target) -> Iterator[str]:
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


def _built(register: LockIndex, target: Target) -> Iterator[str]:
    for build in register.lock.builds:
        if covers(build, target.label):
            yield from _environment(register, build, target)


def _environment(register: LockIndex, build: LockedBuild, target: Target) -> Iterator[str]:
    for member in members(build):
        entry = register.entries.get(key_of(member))
        if entry is not None:
            yield from _without_file(register, entry, target)
    versions = {member.name: member.version for member in build.packages}
    for requirement in _wanted((*build.requires, *build.requires_user, *(build.requires_dynamic or ())), target):
        if not _satisfied(requirement, versions):
            yield f"the build of {called(build)} asks for {requirement}, which nothing in it satisfies"


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


def _loose_references(register: LockIndex) -> Iterator[str]:
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


def _loose_members(register: LockIndex) -> Iterator[str]:
    for build in register.lock.builds:
        for stage in (build.packages, build.declared_packages or ()):
            names = {member.name for member in stage}
            for member in stage:
                if key_of(member) not in register.entries:
                    yield f"the build of {called(build)} uses {called(member)}, which has no entry"
                for name in member.dependencies:
                    if name not in names:
                        yield f"the build of {called(build)} lacks {name}, which {called(member)} depends on"


def _orphans(register: LockIndex) -> Iterator[str]:
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


def _unlocked_builds(register: LockIndex) -> Iterator[str]:
    """Where every file of a release is listed, or the runtime part only, an sdist need not have a record."""
    if register.options.get("files") == "all" or register.options.get("build-scope") == "none":
        return
    for entry in register.lock.packages:
        if needs_record(entry) and key_of(entry) not in register.records:
            what = "lists an sdist" if entry.source is None else "is a source tree"
            yield f"{called(entry)} {what}, and no record says how it is built"


def _records_of_nothing(register: LockIndex) -> Iterator[str]:
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


def _own_build(register: LockIndex) -> Iterator[str]:
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


def _beside_the_wheel(build: LockedBuild, wheels: Sequence[LockedBuild], register: LockIndex) -> Iterator[str]:
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


def _unknown_labels(register: LockIndex) -> Iterator[str]:
    for entry in register.lock.packages:
        for label in entry.build_on:
            if label not in register.labels:
                yield f"{called(entry)} is built on {label}, which is not a target of the lock"
    for build in register.lock.builds:
        # observed-on may be a target of the machine that asked, which the lock need not have
        for label in build.targets:
            if label not in register.labels:
                yield f"the record of the build of {called(build)} names {label}, which is not a target of the lock"


def _twins(register: LockIndex) -> Iterator[str]:
    """Two entries of one name where one of them always holds: wrong on any target, so no target is needed to see it."""
    for name, entries in register.versions.items():
        ungated = [entry for entry in entries if not is_gate(entry.marker)]
        if len(ungated) > 1 and any(entry.marker is None for entry in ungated):
            yield f"{name} would be installed twice, as {' and '.join(entry.version or called(entry) for entry in ungated)}"
