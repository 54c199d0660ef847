"""The members of a workspace, and what their extras and dependency groups are called in a lock.

A lock has one list of extras and one of groups. So that those of two members stay apart, each is called by its member,
and what a member itself requires is a dependency group that has the member's name. Only the root keeps its own names.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.open_markers import TargetPart


class Member(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One member: a table of ``[tool.deep-lock.inputs]``."""

    name: str
    """Normalized."""
    path: str
    """Of its folder, relative to the folder of the lock."""
    root: bool = False
    """Whether it is in the root of the workspace."""
    extras: tuple[str, ...] = ()
    """Normalized, as the member calls them."""
    dependency_groups: tuple[str, ...] = ()


def scope_of(member: Member, own: Scope) -> Scope:
    """Return what a scope of a member is called in the lock."""
    if own == BASE:
        return Scope(kind="group", name=member.name)
    return own if member.root else Scope(kind=own.kind, name=f"{member.name}-{own.kind}-{own.name}")


def scopes_of(member: Member) -> Mapping[Scope, Scope]:
    """Return the scopes of a member, and what each is called in the lock."""
    own = (
        BASE,
        *(Scope(kind="extra", name=name) for name in member.extras),
        *(Scope(kind="group", name=name) for name in member.dependency_groups),
    )
    return {scope: scope_of(member, scope) for scope in own}


def owners(members: Sequence[Member]) -> Mapping[Scope, tuple[Member, Scope]]:
    """Return the member of each scope of the lock, and what the scope is called there."""
    return {scope: (member, own) for member in members for own, scope in scopes_of(member).items()}


def implied_scopes(members: Sequence[Member]) -> Mapping[Scope, Scope]:
    """Return by extra of a member the scope of the member itself: an extra is never selected without its project."""
    return {
        scope: scope_of(member, BASE)
        for member in members
        for own, scope in scopes_of(member).items()
        if own.kind == "extra"
    }


def without_implied(scopes: Mapping[Scope, TargetPart], implied: Mapping[Scope, Scope]) -> Mapping[Scope, TargetPart]:
    """Leave out scopes that are never selected without another one which requires the same (`implied_scopes`)."""
    return {
        scope: part
        for scope, part in scopes.items()
        if scope not in implied
        or implied[scope] not in scopes
        or scopes[implied[scope]] | part != scopes[implied[scope]]
    }


def scope_text(scope: Scope, members: Sequence[Member] = ()) -> str:
    """Return a scope of the lock for a message."""
    member, own = owners(members).get(scope, (None, scope))
    text = f"{own.kind} {own.name!r}" if own.name else ""
    if member is None or member.root:
        return text or "the project"
    return f"{text} of member {member.name!r}" if text else f"member {member.name!r}"
