from deep_lock.models.workspace import Member, implied_scopes, owners, scope_of, scope_text, scopes_of
from deep_lock.targets.markers import BASE, Scope

FAST, DEV = Scope(kind="extra", name="fast"), Scope(kind="group", name="dev")
ROOT = Member(name="site", path=".", root=True, extras=("fast",), dependency_groups=("dev",))
CORE = Member(name="core", path="packages/core", extras=("fast",), dependency_groups=("dev",))


def test_the_parts_of_a_member_are_called_by_the_member() -> None:
    assert scopes_of(CORE) == {
        BASE: Scope(kind="group", name="core"),
        FAST: Scope(kind="extra", name="core-extra-fast"),
        DEV: Scope(kind="group", name="core-group-dev"),
    }


def test_the_root_keeps_its_names() -> None:
    assert scopes_of(ROOT) == {BASE: Scope(kind="group", name="site"), FAST: FAST, DEV: DEV}


def test_each_part_of_a_lock_has_its_member() -> None:
    own = owners([ROOT, CORE])
    assert own[Scope(kind="extra", name="core-extra-fast")] == (CORE, FAST)
    assert own[FAST] == (ROOT, FAST)
    assert scope_of(CORE, BASE) in own
    assert len(own) == 6


def test_an_extra_implies_its_member_and_a_group_does_not() -> None:
    assert implied_scopes([ROOT, CORE]) == {
        FAST: Scope(kind="group", name="site"),
        Scope(kind="extra", name="core-extra-fast"): Scope(kind="group", name="core"),
    }


def test_messages_name_the_member() -> None:
    texts = [scope_text(scope, [ROOT, CORE]) for member in (ROOT, CORE) for scope in scopes_of(member).values()]
    assert texts == [
        "the project",
        "extra 'fast'",
        "group 'dev'",
        "member 'core'",
        "extra 'fast' of member 'core'",
        "group 'dev' of member 'core'",
    ]
    assert scope_text(BASE) == "the project"
    assert scope_text(Scope(kind="group", name="core")) == "group 'core'"
