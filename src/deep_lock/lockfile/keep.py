"""What outlives a rewrite: what a later deep-lock wrote, and the bytes of a release that is kept."""

from collections.abc import Collection

from msgspec.structs import replace

from deep_lock.errors import HashMismatch
from deep_lock.lockfile.file_changes import files_of
from deep_lock.model.lock import REVISION, Lock, LockedBuild, LockedPackage, source_text


def keep_unknown(old: Lock, new: Lock) -> Lock:
    """Return ``new`` with the revision and the unknown keys of ``old``, wherever the table they stood in is still there.

    A key that is not known cannot be checked against what changed around it: it is kept as it was.
    """
    if old.revision <= REVISION:
        return new
    targets = {target.name: target.unknown for target in old.targets}
    packages = {_entry_key(entry): entry.unknown for entry in old.packages}
    trees = {tree.path: tree.unknown for tree in old.inputs.trees}
    builds = {_key(build): build.unknown for build in old.builds}
    return replace(
        new,
        revision=old.revision,
        unknown=old.unknown,
        inputs=replace(
            new.inputs,
            unknown=old.inputs.unknown,
            trees=tuple(replace(tree, unknown=trees.get(tree.path, ())) for tree in new.inputs.trees),
        ),
        targets=tuple(replace(target, unknown=targets.get(target.name, ())) for target in new.targets),
        packages=tuple(replace(entry, unknown=packages.get(_entry_key(entry), ())) for entry in new.packages),
        builds=tuple(replace(build, unknown=builds.get(_key(build), ())) for build in new.builds),
    )


def require_same_bytes(old: Lock, new: Lock, moved: Collection[str]) -> None:
    """Refuse a lock that has other bytes under a version and file name of the old one: published files never change.

    ``moved`` are projects that the user gives up the pins of. Files of folders may be built anew. Raises HashMismatch.
    """
    before = {_entry_key(entry): entry for entry in old.packages if entry.name not in moved}
    for entry in new.packages:
        was = before.get(_entry_key(entry))
        known = {file.name: file.sha256 for file in files_of(was) if file.url is not None} if was is not None else {}
        for file in files_of(entry):
            if file.url is not None and known.get(file.name, file.sha256) != file.sha256:
                raise HashMismatch(
                    f"{file.name}: sha256 {known[file.name]} is locked, and its index promises {file.sha256} now",
                    hint=f"deep-lock verify says what the index has; deep-lock lock -P {entry.name} takes the other bytes",
                )


def _entry_key(entry: LockedPackage) -> tuple[str, str | None, str]:
    return entry.name, entry.version, source_text(entry.source)


def _key(build: LockedBuild) -> tuple[str, str | None, str | None, str | None, tuple[str, ...]]:
    return build.name, build.version, build.source, build.hook, tuple(sorted(build.targets))
