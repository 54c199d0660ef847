"""The work of `outdated --apply`: bounds of the project's own requirements that exclude the newest version, raised."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.version import Version

from deep_lock.config.options import ApplyOptions, InputOptions, LockOptions, UpgradeOptions
from deep_lock.errors import PolicyBroken, Stale, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.locking.lock import check_lock
from deep_lock.locking.read_inputs import require_lock
from deep_lock.models.lock import LOCK_NAME, Lock
from deep_lock.models.workspace import Member
from deep_lock.operations.outdated import Newer, applies, newer
from deep_lock.project import bounds, edit, requirement_lists
from deep_lock.project.requirement_lists import ListName
from deep_lock.sanitize import show


class RaisedBound(Struct, frozen=True, kw_only=True):
    """One requirement that was changed."""

    name: str
    where: ListName
    before: str
    after: str


class Raised(Struct, frozen=True, kw_only=True):
    """The file of the project with raised bounds, unwritten."""

    document: edit.Document
    bounds: tuple[RaisedBound, ...]
    options: LockOptions
    """Of the run that locks with the new bounds, and upgrades what they held back."""


def raise_bounds(options: ApplyOptions, reporter: Reporter) -> Raised:
    """Raise the bounds of the project that exclude the newest versions. What stays held back is reported.

    Raises Stale where the lock is not that of the project, with the options of its configuration; UserError; IndexFault.
    """
    check = options.check
    lock = require_lock(check.lock, reporter)
    inputs, script = _inputs(check.lock)
    locking = LockOptions(inputs=inputs, hooks=options.hooks, network=check.network, context=check.context)
    _require_current(locking)
    if lock.inputs.pinned:
        raise UsageError(
            f"{check.lock.name} has the pins of {show(', '.join(lock.inputs.sources))}: its requirements are not resolved",
            hint="raise the bounds with the tool that made that file, then run deep-lock lock",
        )
    document = edit.open_document(script or inputs.folder / "pyproject.toml", script=script is not None)
    found = newer(lock, check, reporter, options.names)
    members = {f"{member.name} @ {member.path}": member for member in lock.inputs.members}
    roots = {label for label, member in members.items() if member.root}
    held = [own for own in found if own.is_bounded or (own.build is None and not roots.isdisjoint(_packages(own)))]
    document, raised, kept = _raised(document, held)
    kept += _kept_in_members([own for own in found if own.build is None], members)
    names = {own.name for own in raised}
    locking = replace(
        locking,
        inputs=replace(inputs, edited=edit.replacement(document)),
        upgrade=UpgradeOptions(packages=_upgrades([own for own in held if own.row.name in names], lock)),
    )
    for note in kept:
        reporter(note)
    return Raised(document=document, bounds=tuple(raised), options=locking)


def _packages(own: Newer) -> set[str]:
    """Return the packages whose requirements hold a newer version back."""
    return {blocker.package for blocker in own.row.blocked_by if not blocker.reason}


def _kept_in_members(found: Sequence[Newer], members: Mapping[str, Member]) -> list[Warned]:
    """Report the bounds in members of a workspace other than its root: one file is edited. ``members`` are by label."""
    return [
        Warned(
            code="bound-kept",
            subject=own.row.name,
            message=f"a bound of member {member.name!r} holds it back: raise it in {show(member.path)}, then run deep-lock lock",
        )
        for own in found
        for label, member in members.items()
        if not member.root and label in _packages(own)
    ]


def _inputs(lock: Path) -> tuple[InputOptions, Path | None]:
    """Return what a lock is made from: the script whose lock it is, or the project in its folder."""
    script = lock.with_name(lock.name.removesuffix(f".{LOCK_NAME}"))
    if script.name != lock.name and script.is_file():
        return InputOptions(folder=lock.parent, script=script), script
    return InputOptions(folder=lock.parent, output=lock), None


def _require_current(locking: LockOptions) -> None:
    try:
        checked = check_lock(locking)
    except PolicyBroken:
        return  # a newer version may be what the policy requires
    if checked.reasons:
        raise Stale(
            "\n  ".join(
                [f"{checked.path.name} is stale, or was made with options that no file has:", *checked.reasons]
            ),
            hint="run deep-lock lock first; write its options to [tool.deep-lock]",
        )


def _raised(document: edit.Document, held: Sequence[Newer]) -> tuple[edit.Document, list[RaisedBound], list[Warned]]:
    """Raise each bound that holds one of these back, and return why the others stay."""
    raised: list[RaisedBound] = []
    kept: list[Warned] = []
    for where, texts in requirement_lists.lists(document):
        scope = "build" if where.kind == "build" else "runtime"
        for index, text in enumerate(texts):
            requirement = requirement_lists.parsed(text)
            if requirement is None:
                continue
            versions = [
                Version(own.row.newest)
                for own in held
                if (own.row.name, own.row.scope) == (requirement.name, scope)
                and applies(requirement, own.targets)
                and not requirement.specifier.contains(own.row.newest, prereleases=True)
            ]
            if not versions:
                continue
            after = bounds.admitting(text, max(versions))
            if after is None:
                message = f"{where}: no higher bound of {show(text)} admits {max(versions)}"
                kept.append(Warned(code="bound-kept", subject=requirement.name, message=message))
            else:
                document = requirement_lists.with_text(document, where, index, after)
                raised.append(RaisedBound(name=requirement.name, where=where, before=text, after=after))
    reported = {own.name for own in raised} | {note.subject for note in kept}
    message = (
        f"no list of requirements in {document.source} holds it back: look for a constraint, or for a table of Poetry"
    )
    kept += [
        Warned(code="bound-kept", subject=name, message=message)
        for name in sorted({own.row.name for own in held} - reported)
    ]
    return document, raised, kept


def _upgrades(held: Sequence[Newer], lock: Lock) -> tuple[str, ...]:
    """Return what ``-P`` gets: NAME==VERSION where every target can use that version, else NAME."""
    wanted: dict[str, set[str]] = {}
    for own in held:
        everywhere = len(own.targets) == len(lock.targets)
        wanted.setdefault(own.row.name, set()).add(f"=={own.row.newest}" if everywhere else "")
    return tuple(f"{name}{found.pop() if len(found) == 1 else ''}" for name, found in sorted(wanted.items()))
