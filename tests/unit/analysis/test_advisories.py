"""Which versions an advisory affects: real shapes of records, and a comparison with intervals of packaging's versions."""

import json
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.version import Version

from deep_lock.analysis.advisories import Hit, changes, compare, is_affected, unaffected, vulnerabilities
from deep_lock.analysis.graph import whole_graph
from deep_lock.lockfile.index import index_lock
from deep_lock.models.advisory import Advisory, EventKind
from deep_lock.models.lock import BUILD_MARKER, LockedArchive, LockedDirectory
from deep_lock.parsing.osv import read_record
from tests.support.advisories import CRITICAL, MEDIUM, record
from tests.support.lock_strategies import package, small_lock


def _advisory(*pairs: str, versions: Sequence[str] = ()) -> Advisory:
    made = read_record(json.dumps(record("PYSEC-1", "x", *pairs, versions=versions)).encode(), "x.json")
    ((_, advisory),) = made.advisories
    return advisory


@pytest.mark.parametrize(
    ("pairs", "affected", "not_affected"),
    [
        (("introduced 0",), ("0.dev0", "0", "1", "1!0"), ()),
        (("introduced 0", "fixed 1.26.17"), ("0a1", "1.26.16", "1.26.17rc1", "1.26.17.dev1"), ("1.26.17", "2.0")),
        # several branches, as most records of frameworks have
        (
            ("introduced 3.2", "fixed 3.2.19", "introduced 4.0", "fixed 4.2.4"),
            ("3.2", "3.2.18", "4.0", "4.2.3", "4.2.4rc1"),
            ("3.1.9", "3.2.19", "3.3", "4.0rc1", "4.2.4"),
        ),
        # events in any order
        (
            ("fixed 4.2.4", "introduced 4.0", "fixed 3.2.19", "introduced 3.2"),
            ("3.2.18", "4.2.3"),
            ("3.2.19", "4.2.4", "3.1"),
        ),
        (("introduced 1.0", "last_affected 1.2"), ("1.0", "1.2", "1.2+cpu"), ("0.9", "1.2.post1", "1.2.1")),
        (("last_affected 1.2", "introduced 1.2"), ("1.2",), ("1.1", "1.3")),
        (("introduced 1.0", "limit 2.0"), ("1.0", "1.9"), ("0.9", "2.0", "3")),
        (("introduced 1.0", "limit 2.0", "limit 3.0"), ("2.9",), ("3.0",)),
        (("introduced 1.0", "limit *"), ("99",), ()),
        (("introduced 2.0", "fixed 2.0"), (), ("1", "2.0", "3")),
        (("fixed 2.0",), (), ("1", "2.0")),
        (("introduced 2022.12.7", "fixed 2023.7.22"), ("2023.5.7",), ("2023.7.22", "2024.1.1")),
        (("introduced 1!1.0", "fixed 1!2.0"), ("1!1.5",), ("1.5", "5.0", "1!2.0")),
        # the local part counts only where the bound has one
        (("introduced 0", "fixed 2.0"), ("1.9+cu121",), ("2.0+cu121",)),
        (("introduced 2.0", "fixed 2.0+patched.1"), ("2.0",), ("2.0+patched.1", "2.0+patched.2")),
        # a bound that is no version never ends a range, and never begins it later
        (("introduced 0", "fixed unknown"), ("1", "99"), ()),
        (("introduced long ago", "fixed 2"), ("0.1",), ("2",)),
        (("introduced 0", "last_affected ?"), ("99",), ()),
        (("introduced 0", "limit ?"), ("99",), ()),
    ],
)
def test_ranges(pairs: tuple[str, ...], affected: tuple[str, ...], not_affected: tuple[str, ...]) -> None:
    advisory = _advisory(*pairs)
    assert [own for own in (*affected, *not_affected) if is_affected(own, advisory)] == list(affected)


@pytest.mark.parametrize(
    ("own", "pairs", "affected", "not_affected"),
    [
        ("wheel", "introduced 0, fixed 0.38.1", "0.9.7 0.37.1 0.38.0", "0.38.1 0.38.2 0.45.1"),
        ("setuptools", "introduced 0, fixed 65.5.1", "0.6rc11 9.1 65.5.0 65.5.0.post20", "65.5.1 65.6.0 78.1.1"),
        ("pip", "introduced 0, fixed 23.3", "9.0.3 23.2.1 23.3.dev0", "23.3 23.3.1 24.0"),
        ("requests", "introduced 2.3.0, fixed 2.31.0", "2.3.0 2.9.2 2.30.0", "2.2.1 2.31.0 2.32.3"),
        ("pyjwt", "introduced 1.5.0, fixed 2.4.0", "1.5.0 1.7.1 2.3.0", "1.4.2 2.4.0"),
        ("certifi", "introduced 2015.4.28, fixed 2023.7.22", "2015.4.28 2022.9.24 2023.5.7", "14.5.14 2023.7.22"),
        ("cryptography", "introduced 3.1, fixed 41.0.6", "3.1 3.4.8 41.0.5", "3.0 3.1.dev1 41.0.6 41.0.7"),
        # two branches, the second one first, as the record has them
        (
            "urllib3",
            "introduced 2.0.0, fixed 2.0.6, introduced 0, fixed 1.26.17",
            "1.9 1.26.16 2.0.0 2.0.5",
            "1.26.17 1.26.20 2.0.0a4 2.0.6 2.2.0",
        ),
        ("werkzeug", "introduced 0, fixed 2.3.8, introduced 3.0.0, fixed 3.0.1", "2.3.7 3.0.0", "2.3.8 3.0.0rc1 3.0.1"),
        ("flask", "introduced 0, fixed 2.2.5, introduced 2.3.0, fixed 2.3.2", "2.2.4 2.3.0 2.3.1", "2.2.5 2.3.2 3.0.0"),
        (
            "django",
            "introduced 4.2, fixed 4.2.3, introduced 4.0, fixed 4.1.10, introduced 3.2, fixed 3.2.20",
            "3.2 3.2.19 4.0 4.1.9 4.2 4.2.2",
            "3.1.14 3.2rc1 3.2.20 3.2.25 4.1.10 4.2rc1 4.2.3 5.0",
        ),
        # the last branch has candidates of a release only (one branch of the record is left out)
        (
            "tensorflow",
            "introduced 0, fixed 2.4.4, introduced 2.5.0, fixed 2.5.2, introduced 2.7.0rc0, fixed 2.7.0",
            "2.4.3 2.5.0 2.5.1 2.7.0rc0 2.7.0rc1",
            "2.4.4 2.5.0rc3 2.5.2 2.5.3 2.7.0 2.8.0",
        ),
    ],
)
def test_published_advisories(own: str, pairs: str, affected: str, not_affected: str) -> None:
    """The events of records of a public database, with releases next to their bounds."""
    advisory = _advisory(*pairs.split(", "))
    releases = (*affected.split(), *not_affected.split())
    assert [text for text in releases if is_affected(text, advisory)] == affected.split(), own


def test_a_published_advisory_that_lists_more_than_its_range_has() -> None:
    """One on gevent: the release that its range names as fixed is in its list, too."""
    advisory = _advisory("introduced 0", "fixed 23.9.0", versions=["23.7.0", "23.9.0", "23.9.0.post1"])
    releases = ("22.10.2", "23.7.0", "23.9.0", "23.9.0.post1", "23.9.1")
    assert [text for text in releases if is_affected(text, advisory)] == list(releases[:4])


def test_versions() -> None:
    advisory = _advisory(versions=["1.0", "2.0rc1", "not a version", "3.0+evil"])
    assert is_affected("1.0.0", advisory)
    assert is_affected("1.0+cpu", advisory)
    assert is_affected("2.0rc1", advisory)
    assert is_affected("3.0+evil", advisory)
    assert not any(is_affected(own, advisory) for own in ("2.0", "3.0", "0.9"))
    assert is_affected("not a version", advisory)


def test_a_version_counts_by_a_range_or_by_the_list() -> None:
    advisory = _advisory("introduced 1", "fixed 2", versions=["5"])
    assert [own for own in ("0", "1", "2", "5") if is_affected(own, advisory)] == ["1", "5"]


VERSIONS = [
    f"{release}{end}" for release in ("0", "1", "1.1", "2", "2.1", "3", "1!0.5") for end in ("", "rc1", ".post1")
]
bounds = st.sampled_from(VERSIONS)


@given(st.lists(st.tuples(bounds, bounds, st.sampled_from(["fixed", "last_affected"])), max_size=3), st.randoms())
def test_a_range_is_its_intervals(drawn: list[tuple[str, str, EventKind]], random: Random) -> None:
    """Disjoint intervals, as events in any order, contain the versions that packaging's order puts between the bounds."""
    ordered = sorted({text for begin, end, _ in drawn for text in (begin, end)}, key=Version)
    kinds: list[EventKind] = [kind for _, _, kind in drawn]
    intervals = [(ordered[at], ordered[at + 1], kinds[at // 2]) for at in range(0, len(ordered) - 1, 2)]
    pairs: list[tuple[EventKind, str]] = []
    for begin, end, kind in intervals:
        pairs += [("introduced", begin), (kind, end)]
    random.shuffle(pairs)
    advisory = Advisory(id="PYSEC-1", ranges=(tuple(pairs),))
    for text in VERSIONS:
        version = Version(text)
        expected = any(
            (begin == "0" or Version(begin) <= version)  # "0" is before every version
            and (version < Version(end) or (kind == "last_affected" and version == Version(end)))
            for begin, end, kind in intervals
        )
        assert is_affected(text, advisory) == expected, (text, pairs)


def test_records_of_one_vulnerability_are_one() -> None:
    one = Advisory(id="PYSEC-1", aliases=("CVE-1",), versions=("1",), vectors=(MEDIUM,), summary="of PYSEC")
    other = Advisory(id="GHSA-1", aliases=("CVE-1", "CVE-2"), versions=("1",), vectors=(CRITICAL,))
    third = Advisory(id="CVE-2", versions=("1",))
    apart = Advisory(id="GHSA-2", versions=("1",))
    found = vulnerabilities("1", [one, third, apart, other])
    assert [(own.id, own.aliases) for own in found] == [("GHSA-2", ()), ("GHSA-1", ("PYSEC-1", "CVE-2", "CVE-1"))]
    assert (found[1].rated.severity, found[1].summary) == ("critical", "of PYSEC")
    assert vulnerabilities("2", [one, other]) == ()


def test_an_alias_of_malware_is_malware() -> None:
    (found,) = vulnerabilities("1", [Advisory(id="GHSA-1", aliases=("MAL-1", "CVE-1"), versions=("1",))])
    assert (found.id, found.aliases, found.is_malware) == ("MAL-1", ("GHSA-1", "CVE-1"), True)


def test_versions_with_the_fix() -> None:
    branches = _advisory("introduced 0", "fixed 1.5", "introduced 2", "fixed 2.3", "introduced 3", "fixed nonsense")
    assert vulnerabilities("1.0", [branches])[0].fixed_in == ("1.5", "2.3")
    assert vulnerabilities("2.0", [branches])[0].fixed_in == ("2.3",)
    later = Advisory(id="GHSA-1", aliases=("PYSEC-1",), ranges=((("introduced", "0"), ("fixed", "2.4")),))
    assert vulnerabilities("1.0", [branches, later])[0].fixed_in == ("2.4",)
    assert list(unaffected(map(Version, ("1", "1.5", "2.2", "2.3", "4")), [branches])) == [
        Version("1.5"),
        Version("2.3"),
    ]


def test_a_package_from_a_folder_is_not_compared() -> None:
    own = replace(package("app"), index=None, wheels=(), direct=True)
    lock = small_lock(
        replace(own, name="folder", version="1.0", source=LockedDirectory(path="folder")),
        replace(own, name="tree", version=None, source=LockedDirectory(path="tree")),
        replace(own, name="archive", source=LockedArchive(url="https://x.example/archive.zip", sha256="0" * 64)),
    )
    lock_index = index_lock(lock)
    known = {name: [Advisory(id="X-1", versions=("1.0",))] for name in ("folder", "tree", "archive")}
    compared = compare(lock_index, whole_graph(lock_index), known)
    assert [hit.entry.name for hit in compared.hits] == ["archive"]
    assert (compared.packages, compared.not_compared) == (1, ("folder 1.0", "tree @ tree"))


def test_a_package_that_nothing_requires_is_compared() -> None:
    lock_index = index_lock(small_lock(package("app"), replace(package("tool"), marker=BUILD_MARKER, build_only=True)))
    graph = whole_graph(lock_index)
    known = {"tool": [Advisory(id="X-1", versions=("1.0",))]}
    (hit,) = compare(lock_index, graph, known).hits
    assert (hit.entry.name, hit.uses) == ("tool", ())
    assert compare(lock_index, graph, known, "runtime").hits == ()


def test_what_an_update_fixes_and_brings_is_compared_by_project_and_any_id() -> None:
    def hits(names: str, own: Advisory) -> tuple[Hit, ...]:
        lock_index = index_lock(small_lock(*(replace(package(name), direct=True) for name in names)))
        return compare(lock_index, whole_graph(lock_index), {name: [own] for name in names}).hits

    one = Advisory(id="PYSEC-1", aliases=("CVE-1",), versions=("1.0",))
    same = Advisory(id="GHSA-1", aliases=("CVE-1",), versions=("1.0",))
    assert changes(hits("a", one), hits("a", same)) == []
    found = changes(hits("ab", one), hits("bc", same))
    assert [(own.code, own.name) for own in found] == [("advisory-new", "c"), ("advisory-fixed", "a")]
