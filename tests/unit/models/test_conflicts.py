"""Which selections of extras and groups conflicts allow."""

from msgspec.structs import replace

from deep_lock.models.conflicts import Conflict, choices, chosen_scopes, combined, with_includes
from deep_lock.targets.markers import Scope
from deep_lock.targets.open_markers import TargetPart

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


def test_what_implies_a_scope_is_chosen_with_it_only() -> None:
    """Members M and N exclude each other; A is an extra of M, B one of N."""
    m, n = Scope(kind="group", name="m"), Scope(kind="group", name="n")
    implied = {A: m, B: n}
    allowed = choices([(m, n)], [A, B, C, m, n], implied)
    assert allowed == (frozenset(), frozenset({m}), frozenset({n}))
    chosen = [chosen_scopes([A, B, C, m, n], choice, allowed, implied) for choice in allowed]
    assert chosen == [[C], [A, C, m], [B, C, n]]
    both = choices([(m, n), (A, C)], [A, B, C, m, n], implied)
    assert frozenset({A}) not in both, "A without M"
    assert frozenset({A, n}) not in both
    assert frozenset({A, m}) in both


def test_a_marker_says_nothing_about_choices_that_are_not_possible() -> None:
    m, n = Scope(kind="group", name="m"), Scope(kind="group", name="n")
    every = choices([(m, n)], [A, m, n], {A: m})
    part = TargetPart(terms=frozenset({(1, frozenset())}))
    with_extra = {frozenset({m}): {A: part}}
    assert set(combined(with_extra, every, {A: m})) == {A}
    assert set(combined(with_extra, every)) == {replace(A, only_with=(m,))}
