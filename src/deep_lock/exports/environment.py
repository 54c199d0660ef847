"""One build environment of a lock, as `export --build` names it: that of an sdist, of a source tree, of the project.

It is the final one, in which the wheel is built. The project's build as an editable installation has a record of its
own beside that as a wheel, because it asks for more; it is told of, and not exported.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.errors import NotLocked, TargetsAlike, UsageError
from deep_lock.exports.view import Installed, View
from deep_lock.lockfile.index import Key, LockIndex, called, covers, key_of, record_key
from deep_lock.models.lock import EnvironmentMember, LockedBuild
from deep_lock.sanitize import quote
from deep_lock.targets.markers import label_marker
from deep_lock.targets.target import Target


class Environment(Struct, frozen=True, kw_only=True):
    """What a build uses, on the view's targets on which it is built."""

    name: str
    """Normalized, of what is built."""
    called: str
    """The same, as messages call it."""
    targets: tuple[Target, ...]
    members: tuple[Installed, ...]
    needs: Mapping[Key, frozenset[Key]]
    """Of each member, the members that it depends on."""
    losses: tuple[str, ...]


def environment(view: View, asked: str) -> Environment:
    """Return the build environment of NAME, or NAME==VERSION.

    Raises UsageError on a name that nothing built has, or more than one; TargetsAlike where targets that no marker
    tells apart build with different releases; NotLocked on a lock that is not closed.
    """
    records = _asked_for(view, asked)
    per_target = {target: _on(target, records) for target in view.targets}
    built = {target: record for target, record in per_target.items() if record is not None}
    if not built:
        raise UsageError(
            f"{called(records[0])} is not built on {', '.join(target.label for target in view.targets)}",
            hint=f"it is built on: {', '.join(sorted({label for record in records for label in record.targets}))}",
        )
    labels: dict[Key, set[str]] = {}
    needs: dict[Key, set[Key]] = {}
    for target, record in built.items():
        versions = {member.name: key_of(member) for member in record.packages}
        for member in record.packages:
            labels.setdefault(key_of(member), set()).add(target.label)
            needs.setdefault(key_of(member), set()).update(_known(member, versions))
    _refuse_unlocked(labels, view.register, called(records[0]))
    targets = tuple(built)
    return Environment(
        name=records[0].name,
        called=called(records[0]),
        targets=targets,
        members=tuple(
            Installed(entry=entry, labels=frozenset(own), marker=_marker(frozenset(own), targets))
            for entry in view.lock.packages
            if (own := labels.get(key_of(entry)))
        ),
        needs={key: frozenset(own) for key, own in needs.items()},
        losses=tuple(_losses(built.values(), view)),
    )


def _asked_for(view: View, asked: str) -> tuple[LockedBuild, ...]:
    """Return the records of one thing that is built."""
    name, _, version = (part.strip() for part in asked.partition("=="))
    named = [build for build in view.lock.builds if build.name == canonicalize_name(name) and build.hook is None]
    found = [build for build in named if not version or build.version == version]
    if not found:
        there = sorted({_shown(build) for build in named or view.lock.builds})
        raise UsageError(
            f"{view.source} has no record of the build of {quote(asked)}", hint=f"it has: {', '.join(there) or 'none'}"
        )
    if len({record_key(build) for build in found}) > 1:
        raise UsageError(
            f"{view.source} has several builds of {quote(asked)}",
            hint=f"name one of: {', '.join(sorted({_shown(build) for build in found}))}",
        )
    return tuple(found)


def _shown(build: LockedBuild) -> str:
    return f"{build.name}=={build.version}" if build.version else build.name


def _on(target: Target, records: tuple[LockedBuild, ...]) -> LockedBuild | None:
    return next((record for record in records if covers(record, target.label)), None)


def _known(member: EnvironmentMember, versions: Mapping[str, Key]) -> frozenset[Key]:
    return frozenset(versions[name] for name in member.dependencies if name in versions)


def _refuse_unlocked(labels: Mapping[Key, object], register: LockIndex, what: str) -> None:
    for name, version, _ in sorted(labels.keys() - register.entries.keys()):
        raise NotLocked(
            f"the build of {what} uses {name} {version}, which has no entry in the lock", hint="run deep-lock lock"
        )


def _marker(labels: frozenset[str], targets: tuple[Target, ...]) -> str | None:
    try:
        return label_marker(labels, targets)
    except TargetsAlike as error:
        raise TargetsAlike(error.message, hint="export for one of them: --target LABEL") from None


def _losses(built: Iterable[LockedBuild], view: View) -> Iterator[str]:
    """Say which environments of this build are not those that were asked for: of the first stage, of another hook."""
    records = tuple(built)
    for key in sorted({key_of(member) for record in records for member in _first_only(record)}):
        yield f"the first stage: the hook that says what else the build needs ran with {key[0]} {key[1]}"
    labels = {target.label for target in view.targets}
    editable = [
        build
        for build in view.lock.builds
        if build.hook is not None
        and record_key(build) == record_key(records[0])
        and any(covers(build, label) for label in labels)
    ]
    for text in sorted({text for build in editable for text in build.requires_dynamic or ()}):
        yield f"the editable build: it asks for {text} besides, and this is the build as a wheel"


def _first_only(record: LockedBuild) -> list[EnvironmentMember]:
    final = {key_of(member) for member in record.packages}
    return [member for member in record.declared_packages or () if key_of(member) not in final]
