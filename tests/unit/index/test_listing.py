"""The compact form of a page: what goes in comes out, and only what is looked at is made."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.events import Warned
from deep_lock.index.listing import FileRecord, LazyVersions, Listing, pack_listing

FOO = canonicalize_name("foo")
INDEX = "https://index.example/simple/"


def record(filename: str) -> FileRecord:
    return FileRecord(filename, f"https://files.example/{filename}", b"\x01" * 32, 7, None, ">=3.8", None, None)


def opened(groups: dict[str, list[FileRecord]]) -> Listing:
    return Listing(pack_listing([(Version(text), records) for text, records in groups.items()]), name=FOO, index=INDEX)


def test_versions_are_newest_first_and_equal_ones_are_one() -> None:
    listing = opened(
        {
            "1.0": [record("foo-1.0.zip")],
            "2.0.0": [record("foo-2.0.0.zip")],
            "1.0.0": [record("foo-1.0.0-py3-none-any.whl")],
            "2.0rc1": [record("foo-2.0rc1.zip")],
        }
    )
    assert list(listing.versions) == [Version("2.0"), Version("2.0rc1"), Version("1.0")]
    names = [file.filename for file in listing.files(Version("1.0"))]
    assert names == ["foo-1.0.0-py3-none-any.whl", "foo-1.0.zip"]


@pytest.mark.parametrize("spelling", ["1.0", "1", "1.0.0", "v1.0"])
def test_files_are_found_under_every_spelling(spelling: str) -> None:
    assert len(opened({"1.0": [record("foo-1.0.zip")]}).files(Version(spelling))) == 1


def test_an_unknown_version_has_no_files() -> None:
    assert opened({"1.0": [record("foo-1.0.zip")]}).files(Version("2.0")) == ()


def test_files_are_made_once() -> None:
    listing = opened({"1.0": [record("foo-1.0.zip")]})
    assert listing.files(Version("1.0")) is listing.files(Version("1.0"))


def test_versions_are_made_when_they_are_looked_at() -> None:
    versions = LazyVersions(["3.0", "2.0", "not yet looked at"])
    assert len(versions) == 3
    assert versions[0] == Version("3.0")
    assert list(versions[:2]) == [Version("3.0"), Version("2.0")]
    assert versions[1] is versions[:2][1]
    with pytest.raises(ValueError, match="not yet"):
        versions[-1]
    with pytest.raises(IndexError):
        versions[3]


def test_header_comes_back() -> None:
    note = Warned(code="HashInvalid", subject="foo", message="1 file")
    listing = Listing(pack_listing([], status="archived", notes=[note]), name=FOO, index=INDEX)
    assert (listing.status, listing.notes, list(listing.versions)) == ("archived", (note,), [])


def test_time_comes_back_in_utc() -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC)
    listing = opened({"1.0": [FileRecord("foo-1.0.zip", "u", None, None, moment, None, "", None)]})
    (file,) = listing.files(Version("1.0"))
    assert file.upload_time == moment
    assert (file.sha256, file.yanked) == (None, "")


GOOD = pack_listing([(Version("1.0"), [record("foo-1.0.zip")]), (Version("2.0"), [record("foo-2.0.zip")])])


@pytest.mark.parametrize("length", range(0, len(GOOD), 7))
def test_a_cut_listing_is_refused_when_it_is_opened(length: int) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Listing(GOOD[:length], name=FOO, index=INDEX)


@given(st.binary(max_size=100))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Listing(b"\x00" + data, name=FOO, index=INDEX)


versions = st.from_regex(r"[0-9](\.[0-9]){0,2}((a|rc)[0-9])?(\.post[0-9])?(\+[a-z])?", fullmatch=True)


@given(st.lists(versions, max_size=8, unique=True))
def test_every_file_is_under_its_version_and_no_other(texts: list[str]) -> None:
    listing = opened({text: [record(f"foo-{text}.zip")] for text in texts})
    seen = [file.filename for version in listing.versions for file in listing.files(version)]
    assert sorted(seen) == sorted(f"foo-{text}.zip" for text in texts)
    for text in texts:
        assert f"foo-{text}.zip" in [file.filename for file in listing.files(Version(text))]
    assert list(listing.versions) == sorted({Version(text) for text in texts}, reverse=True)
