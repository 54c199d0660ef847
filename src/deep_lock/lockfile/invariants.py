"""What the tables of a lock must state of each other. A lock that breaks an invariant was edited, cut, or made by a bug.

Each package is there because something requires it, each required package is there, each mark is true, and all that
runs at build time has a build record. Each function yields a sentence for each fault that it finds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from deep_lock.lockfile.index import (
    LockIndex,
    build_closure,
    called,
    covers,
    index_lock,
    is_gate,
    key_of,
    members,
    names_in,
    names_of_members,
    needs_record,
    parsed,
    record_key,
    referenced,
    roots,
    runtime_closure,
    uses_of,
)
from deep_lock.lockfile.selection import (
    InstallSelection,
    full_selections,
    holds_in_lock,
    installed_packages,
    missing_file,
)
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
from deep_lock.targets.target import Target, UnevaluableMarker, holds, python_fits


def broken_invariants(lock: Lock, targets: tuple[Target, ...] = ()) -> tuple[str, ...]:
    """Return a sentence for each invariant that the lock breaks.

    Markers and wheel tags are evaluated on ``targets``, which are targets of the lock; without them, they are not
    checked.
    """
    index = index_lock(lock)
    locked = {target.name: target for target in lock.targets}
    found = [
        *_references(index),
        *_members(index),
        *_unrequired(index),
        *_builds_without_record(index),
        *_records(index),
        *_project_build(index),
        *_labels(index),
        *_marks(index),
        *_direct_marks(index),
        *_declarations(index),
        *_duplicates(index),
        *_indexes(index),
    ]
    for target in targets:
        if target.label in locked:
            found += _target(index, locked[target.label], target, targets)
            found += _runtime(index, target)
            found += _builds(index, target)
    return tuple(dict.fromkeys(found))


# References between packages, build records and targets.


def _references(index: LockIndex) -> Iterator[str]:
    for entry in index.lock.packages:
        for reference in entry.dependencies:
            wanted = f"{reference.name} {reference.version}" if reference.version else reference.name
            count = len(referenced(reference, index))
            if count == 0:
                yield f"{called(entry)} depends on {wanted}, which is not in the lock"
            elif count > 1:
                yield f"{called(entry)} depends on {wanted}, of which there are {count}: the version is missing"


def _members(index: LockIndex) -> Iterator[str]:
    for build in index.lock.builds:
        for stage in (build.packages, build.declared_packages or ()):
            names = {member.name for member in stage}
            for member in stage:
                if key_of(member) not in index.entries:
                    yield f"the build of {called(build)} uses {called(member)}, which is not in the lock"
                for name in member.dependencies:
                    if name not in names:
                        yield f"the build of {called(build)} lacks {name}, which {called(member)} depends on"


def _unrequired(index: LockIndex) -> Iterator[str]:
    used = build_closure(index)
    for entry in index.lock.packages:
        if is_gate(entry.marker) and key_of(entry) not in used:
            yield f"{called(entry)} is build-only, but no build uses it"
    inputs = index.lock.inputs
    pinned = names_in(inputs) if inputs.pinned else frozenset()
    runtime = [entry for entry in index.lock.packages if not is_gate(entry.marker)]
    first = roots(index.lock)
    required = runtime_closure(index, (entry for entry in runtime if key_of(entry) in first or entry.name in pinned))
    for entry in runtime:
        if key_of(entry) not in required:
            yield f"{called(entry)} is installed, but nothing that the project requires depends on it"


def _builds_without_record(index: LockIndex) -> Iterator[str]:
    if index.options.get("files") == "all" or not index.locks_builds:
        return  # then an sdist is listed that no target builds
    for entry in index.lock.packages:
        if needs_record(entry) and key_of(entry) not in index.records:
            what = "lists an sdist" if entry.source is None else "is a source tree"
            yield f"{called(entry)} {what}, but has no build record"


def _records(index: LockIndex) -> Iterator[str]:
    for key, builds in index.records.items():
        entry = index.entries.get(key)
        for build in builds:
            yield from _record(build, entry)


def _record(build: LockedBuild, entry: LockedPackage | None) -> Iterator[str]:
    if entry is None:
        yield f"there is a build record of {called(build)}, which is not in the lock"
        return
    if entry.source is not None:
        if isinstance(entry.source, LockedArchive) and build.sdist != f"sha256:{entry.source.sha256}":
            yield f"the build record of {called(build)} is of another archive than the locked one"
        if build.needed != "direct":
            yield f"the build record of {called(build)} is of a direct source, but is not marked as needed 'direct'"
        return
    if entry.sdist is None:
        yield f"there is a build record of {called(build)}, but the lock lists no sdist of it"
    elif build.sdist != f"sha256:{entry.sdist.sha256}":
        yield f"the build record of {called(build)} is of another sdist than the locked one"


def _project_build(index: LockIndex) -> Iterator[str]:
    records = [build for build in index.lock.builds if build.needed == "project"]
    wheels = [build for build in records if build.hook is None]
    is_built = index.lock.inputs.build_requires is not None
    if is_built and index.locks_builds and not wheels:
        yield "the project is built, but has no build record"
    if wheels and not is_built:
        yield "there is a build record of the project, but its inputs have no build-requires"
    for build in records:
        if build.hook is not None:
            yield from _editable(build, wheels, index)


def _editable(build: LockedBuild, wheels: Sequence[LockedBuild], index: LockIndex) -> Iterator[str]:
    """An editable build has an own record only where its hook adds other requirements than that of the wheel."""
    for label in build.targets or sorted(index.labels):
        wheel = next((other for other in wheels if covers(other, label)), None)
        if wheel is None:
            yield f"there is a build record of {called(build)} on {label}, but none of its wheel"
        elif _declared(build) != _declared(wheel):
            yield f"the build of {called(build)} declares something else than that of its wheel"
        elif not build.requires_dynamic or _same(build.requires_dynamic, wheel.requires_dynamic or ()):
            yield f"the build of {called(build)} has a record, but the same requirements as that of its wheel"


def _declared(build: LockedBuild) -> tuple[object, ...]:
    return build.name, build.version, build.backend, build.backend_path, frozenset(parsed(build.requires))


def _same(texts: Iterable[str], others: Iterable[str]) -> bool:
    return frozenset(parsed(texts)) == frozenset(parsed(others))


def _labels(index: LockIndex) -> Iterator[str]:
    """``observed-on`` is not checked: it may name a target of the machine that locked, and the lock need not have it."""
    for entry in index.lock.packages:
        for label in entry.build_on:
            if label not in index.labels:
                yield f"{called(entry)} is built on {label}, which is not a target of the lock"
    for build in index.lock.builds:
        for label in build.targets:
            if label not in index.labels:
                yield f"the build record of {called(build)} names {label}, which is not a target of the lock"


def _duplicates(index: LockIndex) -> Iterator[str]:
    """Two packages of one name are wrong on any target if one of them is always installed."""
    for name, entries in index.versions.items():
        runtime = [entry for entry in entries if not is_gate(entry.marker)]
        if len(runtime) > 1 and any(entry.marker is None for entry in runtime):
            yield f"{name} would be installed twice, as {' and '.join(entry.version or called(entry) for entry in runtime)}"


def _indexes(index: LockIndex) -> Iterator[str]:
    """Packages of one name and version have different indexes, or files in a folder, and each is marked by-index."""
    for name, entries in index.versions.items():
        counts = Counter(entry.version for entry in entries if entry.source is None)
        for entry in entries:
            if entry.by_index and (counts[entry.version] < 2 or entry.source is not None):
                yield f"{called(entry)} is marked by-index, but no other index has {name} {entry.version} in the lock"
            if not entry.by_index and entry.source is None and counts[entry.version] > 1:
                yield f"{called(entry)} is in the lock more than once, but is not marked by-index"


# Marks of packages, and what build records and inputs state of them.


def _marks(index: LockIndex) -> Iterator[str]:
    used = uses_of(index)
    for entry in index.lock.packages:
        yield from _layer_marks(entry, used=key_of(entry) in used)
        yield from _build_mark(entry, index)
        yield from _file_marks(entry, index)


def _layer_marks(entry: LockedPackage, *, used: bool) -> Iterator[str]:
    gated = is_gate(entry.marker)
    if entry.build_only and not gated:
        yield f"{called(entry)} is marked build-only, but its marker would install it"
    if gated and not entry.build_only:
        yield f"{called(entry)} has the marker of packages that only builds need, but is not marked build-only"
    if not gated and BUILD_GROUP in (entry.marker or ""):
        yield f"{called(entry)} has a marker that combines that of packages that only builds need with another one"
    if entry.also_build and (gated or not used):
        yield f"{called(entry)} is marked also-build, but {'is build-only' if gated else 'no build uses it'}"
    if entry.direct and gated:
        yield f"{called(entry)} is marked direct, but is build-only"
    if used and not gated and not entry.also_build:
        yield f"{called(entry)} is used by a build and installed too, but is not marked also-build"


def _build_mark(entry: LockedPackage, index: LockIndex) -> Iterator[str]:
    recorded = key_of(entry) in index.records
    own = f"{entry.name}=={entry.version}" if entry.source is None else f"{entry.name} @ {source_text(entry.source)}"
    if entry.build is not None and entry.build != own:
        yield f"{called(entry)} names the build record of another release, {entry.build}"
    elif entry.build is not None and not recorded:
        yield f"{called(entry)} names a build record that does not exist"
    elif entry.build is None and recorded:
        yield f"{called(entry)} has a build record, but does not name it"


def _file_marks(entry: LockedPackage, index: LockIndex) -> Iterator[str]:
    if entry.sdist_only and (entry.wheels or entry.sdist is None):
        yield f"{called(entry)} is marked sdist-only, but {'lists a wheel' if entry.wheels else 'lists no sdist'}"
    if entry.build_on and (entry.sdist_only or entry.sdist is None):
        yield f"{called(entry)} is marked build-on, but {'sdist-only too' if entry.sdist_only else 'lists no sdist'}"
    if entry.metadata is not None and not needs_record(entry):
        yield f"{called(entry)} states the evidence for the metadata of its sdist, but lists no sdist"
    if entry.no_source and entry.sdist is not None:
        yield f"{called(entry)} is marked no-source, but lists an sdist"
    if entry.no_source and index.options.get("build-scope") != "all":
        yield f"{called(entry)} is marked no-source, which exists only with the build scope 'all'"


def _direct_marks(index: LockIndex) -> Iterator[str]:
    inputs = index.lock.inputs
    named = names_in(inputs) | names_of_members(index.lock)
    overridden = {requirement.name for requirement in parsed(inputs.overrides)}
    certain = {
        requirement.name
        for requirement in parsed(inputs.requirements)
        if requirement.marker is None and requirement.name not in overridden
    }
    for entry in index.lock.packages:
        if entry.direct and entry.name not in named:
            yield f"{called(entry)} is marked direct, but the project does not require it"
        if not inputs.pinned and not entry.direct and entry.name in certain and not is_gate(entry.marker):
            yield f"{called(entry)} is required by the project, but is not marked direct"
    for name in sorted(certain):
        if all(is_gate(entry.marker) for entry in index.versions.get(name, ())):
            yield f"the project requires {name}, but the lock installs no package of this name"


def _declarations(index: LockIndex) -> Iterator[str]:
    additions = dict(index.lock.inputs.extra_build_requires)
    for build in index.lock.builds:
        yield from _user_requirements(build, additions)
        yield from _evidence(build)
        yield from _needed(build, index)


def _user_requirements(build: LockedBuild, additions: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """``extra-build-requires`` of the inputs are for sdists; the project's own build has a table of its own."""
    wanted = additions.get(build.name, ()) if build.needed != "project" else ()
    if not _same(build.requires_user, wanted):
        recorded = ", ".join(build.requires_user) or "nothing"
        yield (
            f"the build record of {called(build)} has {recorded} in requires-user, "
            f"but the inputs have {', '.join(wanted) or 'nothing'}"
        )
    only = bool(build.requires_user) and not build.requires
    if only != (build.requires_from == "user"):
        state = "only" if only else "not only"
        yield f"the build of {called(build)} has {state} requirements of the user, but requires-from is {build.requires_from!r}"


def _evidence(build: LockedBuild) -> Iterator[str]:
    known = build.requires_dynamic is not None
    subject = f"the requirements from the backend of {called(build)}"
    if not known and build.evidence != "assumed":
        yield f"{subject} are {build.evidence}, but not recorded"
    if build.evidence == "assumed" and build.requires_dynamic == ():
        yield f"{subject} are assumed, but recorded as none"
    if (build.evidence == "observed") != (build.observed_on is not None):
        state = "observed on no target" if build.observed_on is None else f"{build.evidence}, but observed too"
        yield f"{subject} are {state}"
    if build.ends == "self-hosted" and (build.packages or not build.backend_path):
        yield f"the build of {called(build)} is marked self-hosted, but uses other packages or no backend of its own"


def _needed(build: LockedBuild, index: LockIndex) -> Iterator[str]:
    entry = index.entries.get(record_key(build))
    if build.source is not None or entry is None:
        return
    if (build.needed == "always") != entry.sdist_only:
        yield f"the build record of {called(build)} contradicts the mark sdist-only of the package"
    missing = sorted((frozenset(build.targets) or index.labels).difference(entry.build_on))
    if build.needed == "targets" and missing:
        yield f"{called(entry)} is built on {', '.join(missing)}, but is not marked build-on there"


# Markers and wheel tags, evaluated on one target.


def _target(index: LockIndex, locked: LockedTarget, target: Target, targets: tuple[Target, ...]) -> Iterator[str]:
    if not holds_in_lock(locked.marker, target):
        yield f"the marker of target {target.label} does not hold on it"
    for other in targets:
        # no marker distinguishes targets of one and the same environment (two levels of glibc)
        if dict(other.environment) != dict(target.environment) and holds_in_lock(locked.marker, other):
            yield f"the marker of target {target.label} holds on {other.label} too"
    environments = index.lock.environments
    if environments and not any(holds_in_lock(marker, target) for marker in environments):
        yield f"no environment of the lock includes target {target.label}"


def _runtime(index: LockIndex, target: Target) -> Iterator[str]:
    base = installed_packages(index, target, InstallSelection())
    selections = full_selections(index.lock)
    for installed in (base, *(installed_packages(index, target, selection) for selection in selections)):
        entries: dict[str, LockedPackage] = {}
        for entry in installed:
            if entry.name in entries:
                both = " and ".join(other.version or called(other) for other in (entries[entry.name], entry))
                yield f"{entry.name} would be installed twice on {target.label}, as {both}"
            entries[entry.name] = entry
            if not python_fits(entry.requires_python, target):
                yield f"{called(entry)} does not support the Python of target {target.label}"
            yield from _missing_file(index, entry, target)
    # markers select extras and groups too; what the project itself requires needs none of them
    versions = {entry.name: entry.version for entry in base}
    overridden = {requirement.name for requirement in parsed(index.lock.inputs.overrides)}
    for requirement in _requirements(index.lock.inputs.requirements, target):
        if requirement.name not in overridden and not _is_met(requirement, versions):
            yield f"the project requires {requirement}, but no package on {target.label} satisfies it"


def _builds(index: LockIndex, target: Target) -> Iterator[str]:
    for build in index.lock.builds:
        if not covers(build, target.label):
            continue
        for member in members(build):
            entry = index.entries.get(key_of(member))
            if entry is not None:
                yield from _missing_file(index, entry, target)
        versions = {member.name: member.version for member in build.packages}
        for requirement in _requirements(
            (*build.requires, *build.requires_user, *(build.requires_dynamic or ())), target
        ):
            if not _is_met(requirement, versions):
                yield f"the build of {called(build)} requires {requirement}, but no package in it satisfies that"


def _missing_file(index: LockIndex, entry: LockedPackage, target: Target) -> Iterator[str]:
    if index.locks_builds or not needs_record(entry):
        sentence = missing_file(index, entry, target)
        if sentence:
            yield sentence


def _requirements(texts: tuple[str, ...], target: Target) -> Iterator[Requirement]:
    """Yield the requirements that hold on the target and can be checked: a URL has no version."""
    for requirement in parsed(texts):
        try:
            if requirement.url is None and holds(requirement.marker, target):
                yield requirement
        except UnevaluableMarker:
            continue  # the resolver ignores such a requirement, with a warning


def _is_met(requirement: Requirement, versions: Mapping[str, str | None]) -> bool:
    version = versions.get(requirement.name)
    if version is None:
        # a source tree has no version in the lock: it was compared when it was locked
        return requirement.name in versions
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:
        return False  # int() refuses thousands of digits, only when the specifier is used
