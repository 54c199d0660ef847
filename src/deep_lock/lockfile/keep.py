"""What a later deep-lock wrote outlives a rewrite by this one."""

from msgspec.structs import replace

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


def _entry_key(entry: LockedPackage) -> tuple[str, str | None, str]:
    return entry.name, entry.version, source_text(entry.source)


def _key(build: LockedBuild) -> tuple[str, str | None, str | None, str | None, tuple[str, ...]]:
    return build.name, build.version, build.source, build.hook, tuple(sorted(build.targets))
