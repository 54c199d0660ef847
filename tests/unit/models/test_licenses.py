"""Licence expressions: what meets them, against every way of choosing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.models.licenses import canonical_license, classified_licenses, is_met

LICENSES = ("MIT", "0BSD", "GPL-2.0-only", "GPL-2.0-only WITH Classpath-exception-2.0")
Tree = str | tuple[str, "Tree", "Tree"]
trees: st.SearchStrategy[Tree] = st.recursive(
    st.sampled_from(LICENSES), lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), inner, inner), max_leaves=8
)


def text_of(tree: Tree, above: str = "") -> str:
    """Write a tree with no more brackets than it needs: AND binds before OR."""
    if isinstance(tree, str):
        return tree
    word, one, other = tree
    text = f"{text_of(one, word)} {word} {text_of(other, word)}"
    return f"({text})" if above == "AND" and word == "OR" else text


def ways(tree: Tree) -> set[frozenset[str]]:
    """Return every set of licences that is enough."""
    if isinstance(tree, str):
        return {frozenset({tree})}
    word, one, other = tree
    if word == "OR":
        return ways(one) | ways(other)
    return {left | right for left, right in itertools.product(ways(one), ways(other))}


@given(trees, st.sets(st.sampled_from(LICENSES)))
def test_an_expression_is_met_where_some_way_is_allowed(tree: Tree, allowed: set[str]) -> None:
    expression = canonical_license(text_of(tree).lower().replace(" and ", " AND ").replace(" or ", " OR "))
    assert expression is not None
    assert is_met(expression, frozenset(allowed)) == any(way <= allowed for way in ways(tree))


@pytest.mark.parametrize(
    "text", [None, "", "BSD License", "MIT AND", "(MIT", "MIT WITH", "(" * 300 + "MIT" + ")" * 300]
)
def test_what_is_no_expression_is_none(text: str | None) -> None:
    assert canonical_license(text) is None


def test_brackets_as_deep_as_they_are_read() -> None:
    expression = canonical_license("(" * 150 + "MIT" + ")" * 150)
    assert expression is not None
    assert is_met(expression, frozenset({"MIT"}))


@pytest.mark.parametrize(
    ("classifiers", "meanings"),
    [
        ((), frozenset()),
        (("License :: OSI Approved",), frozenset()),
        (("License :: OSI Approved", "License :: OSI Approved :: MIT License"), {"MIT"}),
        (("License :: OSI Approved :: BSD License",), {"BSD-2-Clause", "BSD-3-Clause"}),
        (("License :: OSI Approved :: MIT License", "License :: Other/Proprietary License"), frozenset()),
    ],
)
def test_what_classifiers_can_mean(classifiers: tuple[str, ...], meanings: frozenset[str]) -> None:
    found = classified_licenses(classifiers)
    assert found == meanings
    assert all(canonical_license(text) == text for text in found)
