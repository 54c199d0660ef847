"""Provenance objects (PEP 740): which publishers they state."""

import json

import pytest

from deep_lock.errors import IndexInvalid
from deep_lock.models.provenance import identity_of, parse_provenance
from tests.support.provenance import identity, provenance, publisher


def test_publishers_are_sorted_texts() -> None:
    found = parse_provenance(provenance(publisher("a/b"), publisher("c/d"), publisher("a/b")), "x.whl")
    assert found.identities == {identity("a/b"), identity("c/d")}


def test_claims_null_and_empty_texts_state_nothing() -> None:
    assert identity_of({"kind": "x", "b": "", "claims": {"a": "b"}, "n": None, "i": 1, "a": "é"}) == (
        ("a", "é"),
        ("kind", "x"),
    )


def test_other_keys_are_ignored() -> None:
    document = json.loads(provenance(publisher("a/b"))) | {"more": [1]}
    assert parse_provenance(json.dumps(document).encode(), "x.whl").identities == {identity("a/b")}


def test_the_error_names_the_file_and_the_way_out() -> None:
    with pytest.raises(IndexInvalid, match=r"the provenance of x\.whl: not a provenance object") as caught:
        parse_provenance(provenance({"kind": ""}), "x.whl")
    assert "--attestations off" in caught.value.hint
