"""Which selections of extras and groups conflicts allow."""

from deep_lock.models.conflicts import Conflict, with_includes
from deep_lock.targets.markers import Scope

A, B, C = (Scope(kind="extra", name=name) for name in "abc")
DEV, MORE = (Scope(kind="group", name=name) for name in ("dev", "more"))


def added(conflict: Conflict, includes: dict[Scope, list[Scope]]) -> set[frozenset[Scope]]:
    return {frozenset(own) for own in with_includes([conflict], includes) if own != conflict}


def test_a_scope_that_includes_one_of_a_conflict_excludes_the_others() -> None:
    assert with_includes([(A, B)], {}) == ((A, B),)
    assert added((A, B), {DEV: [C]}) == set()
    assert added((A, B, C), {DEV: [A]}) == {frozenset({DEV, B}), frozenset({DEV, C})}


def test_two_scopes_that_include_different_ones_exclude_each_other() -> None:
    assert added((A, B), {DEV: [A], MORE: [B]}) == {frozenset({DEV, B}), frozenset({A, MORE}), frozenset({DEV, MORE})}
    assert added((A, B), {DEV: [A], MORE: [A]}) == {frozenset({DEV, B}), frozenset({MORE, B})}


def test_a_scope_that_includes_all_excludes_each() -> None:
    assert added((A, B), {DEV: [A, B]}) == {frozenset({DEV, A}), frozenset({DEV, B})}
    assert added((A, B), {A: [B]}) == set()
