"""Records of the OSV schema: what is taken, what is left out, what is refused."""

import json
from typing import Any

import pytest

from deep_lock.errors import AdvisoryInvalid
from deep_lock.models.advisory import Advisory
from deep_lock.parsing.osv import read_record, read_release, read_results
from tests.support.advisories import MEDIUM, V4, record


def _read(**more: Any) -> Advisory:
    data = json.dumps(record("GHSA-1", "Zope.Interface", "introduced 0", "fixed 2", **more)).encode()
    ((name, advisory),) = read_record(data, "x.json").advisories
    assert name == "zope-interface"
    return advisory


def test_a_record() -> None:
    own = _read(aliases=["CVE-1", "GHSA-1", "CVE-1", ""], versions=["1", "1"], score=MEDIUM)
    assert own == Advisory(
        id="GHSA-1",
        aliases=("CVE-1",),
        summary="Summary of GHSA-1",
        url="https://advisories.example/GHSA-1",
        vectors=(MEDIUM,),
        ranges=((("introduced", "0"), ("fixed", "2")),),
        versions=("1",),
    )


def test_a_summary_is_the_first_line_of_the_details_where_there_is_none() -> None:
    assert _read(summary=None, details="\nFirst.\nSecond.").summary == "First."
    assert _read(summary="", details=None).summary == ""
    assert len(_read(summary="x" * 1000).summary) == 300


def test_severities_of_the_record_and_of_its_parts() -> None:
    own = record("GHSA-1", "zope-interface", "introduced 0")
    own["affected"][0]["severity"] = [{"type": "CVSS_V4", "score": V4}, {"type": "Ubuntu", "score": "low"}]
    ((_, advisory),) = read_record(json.dumps(own).encode(), "x").advisories
    assert advisory.vectors == (V4,)
    assert _read(database_specific={"severity": "HIGH", "x": 1}).rating == "HIGH"
    others: tuple[Any, ...] = (None, [], 1, {"severity": 1})
    for specific in others:
        assert _read(database_specific=specific).rating == ""


def test_parts_about_one_project_are_one_and_others_are_left_out() -> None:
    own = record("GHSA-1", "a", "introduced 0")
    for other in (record("", "A", versions=["9"]), record("", "b", "introduced 1"), record("", "c", ecosystem="npm")):
        own["affected"] += other["affected"]
    own["affected"] += [{"ranges": [{"type": "GIT", "events": []}]}, {"package": {"ecosystem": "PyPI", "name": ""}}]
    read = read_record(json.dumps(own).encode(), "x")
    assert [(name, each.versions) for name, each in read.advisories] == [("a", ("9",)), ("b", ())]


def test_a_withdrawn_record_is_of_the_ecosystem_and_has_no_advisory() -> None:
    read = read_record(json.dumps(record("X-1", "a", "introduced 0", withdrawn="2026-01-01T00:00:00Z")).encode(), "x")
    assert (read.advisories, read.is_of_ecosystem) == ((), True)
    read = read_record(json.dumps(record("X-1", "a", "introduced 0", ecosystem="npm")).encode(), "x")
    assert (read.advisories, read.is_of_ecosystem) == ((), False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"id": "X"}',
        b'{"id": "", "modified": "2026-01-01T00:00:00Z"}',
        b'{"id": "\\u001b[2J", "modified": "2026-01-01T00:00:00Z"}',
        b'{"id": "X", "modified": "yesterday"}',
        b'{"id": "X", "modified": "2026-01-01T00:00:00Z", "affected": {}}',
        b'{"id": "X", "modified": "2026-01-01T00:00:00Z", "affected": [{"ranges": [{"events": [{"fixed": 1}]}]}]}',
        b"[" * 100_000,
        b" " * 9_000_000,
    ],
)
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(AdvisoryInvalid) as caught:
        read_record(data, "x.json")
    assert caught.value.message.startswith("x.json: ")


def test_results_of_a_service() -> None:
    data = json.dumps({"results": [{}, {"vulns": [{"id": "X-1", "modified": "t"}], "next_page_token": "2"}]}).encode()
    first, second = read_results(data, "u", 2)
    assert (first.records, first.next_page) == ((), "")
    assert (second.records, second.next_page) == ((("X-1", "t"),), "2")
    for wrong, count in ((data, 3), (b"{}", 0), (b"<html>", 1), (b'{"results": [1]}', 1)):
        with pytest.raises(AdvisoryInvalid):
            read_results(wrong, "u", count)


def test_the_document_of_a_release() -> None:
    known = {"id": "PYSEC-1", "fixed_in": ["2", "3"], "link": "http://x.example/", "details": "a\nb", "withdrawn": None}
    (own,) = read_release(json.dumps({"vulnerabilities": [known]}).encode(), "u", "1.0")
    assert own == Advisory(id="PYSEC-1", summary="a", ranges=((("fixed", "2"), ("fixed", "3")),), versions=("1.0",))
    for wrong in (b"{}", b"[]", b'{"vulnerabilities": null}'):
        with pytest.raises(AdvisoryInvalid):
            read_release(wrong, "u", "1.0")
