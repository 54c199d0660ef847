"""What several forms have no place for, in the same words."""

from collections.abc import Iterable

from deep_lock.exports.view import Installed, View
from deep_lock.model.installed import taken_files
from deep_lock.model.lock import LockedDirectory, LockedPackage, LockedVcs
from deep_lock.model.register import called, needs_record

NAMED = 5
"""So many names are told one by one."""


def is_tree(entry: LockedPackage) -> bool:
    """Whether the entry is a source tree, of which no sha256 tells what is in it."""
    return isinstance(entry.source, LockedDirectory | LockedVcs)


def lost_builds(view: View, own: Iterable[Installed]) -> tuple[str, ...]:
    """Say what an installer builds itself, with build requirements that a list of what is installed does not hold."""
    built = [called(each.entry) for each in own if _is_built(view, each)]
    if not built:
        return ()
    told = "an installer takes the newest for that, if it is not told: deep-lock export -f build-constraints"
    return (f"build requirements: {_counted(built)} built from source, and {told}",)


def _is_built(view: View, own: Installed) -> bool:
    entry = own.entry
    if entry.source is not None:
        return needs_record(entry)
    return entry.sdist is not None and any(
        entry.sdist in taken_files(view.register, entry, target)
        for target in view.targets
        if target.label in own.labels
    )


def lost_to_pip(own: Iterable[Installed]) -> tuple[str, ...]:
    """Say what makes pip refuse a file in which anything has a hash: that all of it must have one."""
    trees = [called(each.entry) for each in own if is_tree(each.entry)]
    return (f"pip: {_counted(trees)} without a sha256, beside which pip takes none; uv does",) if trees else ()


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"
