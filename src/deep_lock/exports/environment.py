"""One build environment of a lock, as `export --build` names it: that of an sdist, of a source tree, of the project.

It is the final one, in which the wheel is built. The editable build of the project has a record of its own, because it
requires more; it is reported, and not exported.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.errors import UsageError
from deep_lock.exports.view import ExportedPackage, View, with_markers
from deep_lock.lockfile.index import Key, called, covers, key_of, record_key
from deep_lock.models.lock import LockedBuild
from deep_lock.sanitize import quote
from deep_lock.targets.target import Target


class LockedEnvironment(Struct, frozen=True, kw_only=True):
    """The packages of a build environment, on those targets of the view on which it is used."""

    name: str
    """Normalized, of what is built."""
    title: str
    """What is built, as messages call it."""
    targets: tuple[Target, ...]
    members: tuple[ExportedPackage, ...]
    dependencies: Mapping[Key, frozenset[Key]]
    """The members that each member depends on."""
    unsupported: tuple[str, ...]


def environment(view: View, requested: str) -> LockedEnvironment:
    """Return the build environment of NAME, or NAME==VERSION.

    Raises UsageError on a name of no build or of several, TargetsAlike where no marker distinguishes targets that build
    with different releases, NotLocked where a member has no entry.
    """
    records = _records_of(view, requested)
    title = called(records[0])
    covering = {target: [record for record in records if covers(record, target.label)] for target in view.targets}
    per_target = {target: own[0] for target, own in covering.items() if own}
    if not per_target:
        raise UsageError(
            f"{title} is not built on {', '.join(target.label for target in view.targets)}",
            hint=f"it is built on: {', '.join(sorted({label for record in records for label in record.targets}))}",
        )
    labels: dict[Key, set[str]] = {}
    dependencies: dict[Key, frozenset[Key]] = {}
    for target, record in per_target.items():
        keys = {member.name: key_of(member) for member in record.packages}
        for member in record.packages:
            key = key_of(member)
            labels.setdefault(key, set()).add(target.label)
            own = frozenset(keys[name] for name in member.dependencies if name in keys)
            dependencies[key] = dependencies.get(key, frozenset()) | own
    targets = tuple(per_target)
    return LockedEnvironment(
        name=records[0].name,
        title=title,
        targets=targets,
        members=with_markers(view, labels, targets),
        dependencies=dependencies,
        unsupported=tuple(_unsupported(view, tuple(per_target.values()))),
    )


def _records_of(view: View, requested: str) -> tuple[LockedBuild, ...]:
    """Return the records of one thing that is built. Raises UsageError."""
    name, _, version = (part.strip() for part in requested.partition("=="))
    named = [build for build in view.lock.builds if build.name == canonicalize_name(name) and build.hook is None]
    found = [build for build in named if not version or build.version == version]
    if not found:
        known = ", ".join(sorted({_pinned(build) for build in named or view.lock.builds}))
        raise UsageError(
            f"{view.source} has no record of the build of {quote(requested)}", hint=f"it has: {known or 'none'}"
        )
    if len({record_key(build) for build in found}) > 1:
        raise UsageError(
            f"{view.source} has several builds of {quote(requested)}",
            hint=f"name one of: {', '.join(sorted({_pinned(build) for build in found}))}",
        )
    return tuple(found)


def _pinned(build: LockedBuild) -> str:
    return f"{build.name}=={build.version}" if build.version else build.name


def _unsupported(view: View, records: Sequence[LockedBuild]) -> Iterator[str]:
    """Report the other environments of this build: of the first stage, and of the editable build."""
    first = {
        (member.name, member.version)
        for record in records
        for member in record.declared_packages or ()
        if key_of(member) not in {key_of(own) for own in record.packages}
    }
    for name, version in sorted(first):
        yield f"the first stage: the hook that returns the other build requirements ran with {name} {version}"
    extra = {
        text
        for build in view.lock.builds
        if build.hook is not None and record_key(build) == record_key(records[0])
        if any(covers(build, target.label) for target in view.targets)
        for text in build.requires_dynamic or ()
    }
    for text in sorted(extra):
        yield f"the editable build: it also requires {text}; this is the build as a wheel"
