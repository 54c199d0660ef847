"""Listings: file names are cut where the version begins and ends; what goes into the compact form comes out of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from deep_lock.events import Warned
from deep_lock.index.listing import FileNames, FileRecord, FileSkipped, LazyVersions, Listing, pack_listing

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


# -- file names

CUT = [
    ("pyyaml", "PyYAML-5.4.1.tar.gz", "5.4.1"),
    ("pyyaml", "PyYAML-5.4.1-cp39-cp39-manylinux1_x86_64.whl", "5.4.1"),
    ("ruamel-yaml", "ruamel.yaml-0.17.0.tar.gz", "0.17.0"),
    ("ruamel-yaml", "ruamel_yaml-0.19.1.tar.gz", "0.19.1"),
    ("oldest-supported-numpy", "oldest-supported-numpy-2023.12.21.tar.gz", "2023.12.21"),
    ("foo", "foo-1.0-1.tar.gz", "1.0-1"),
    ("foo", "foo-1.0-beta.zip", "1.0-beta"),
    ("foo-2", "foo-2-1.0.tar.gz", "1.0"),
    ("foo", "foo-1.0.tar.bz2", "1.0"),
    ("foo", "foo-1.0.tar.xz", "1.0"),
    ("torch", "torch-2.0.1+cu118-cp311-cp311-linux_x86_64.whl", "2.0.1+cu118"),
    ("foo", "foo-1.0-3build-py3-none-any.whl", "1.0"),
    ("foo", "foo-1!2.0-py3-none-any.whl", "1!2.0"),
]


@pytest.mark.parametrize(("name", "filename", "version"), CUT)
def test_version_is_what_the_file_name_says(name: str, filename: str, version: str) -> None:
    assert FileNames(canonicalize_name(name)).version_text(filename) == version


@pytest.mark.parametrize(
    "filename",
    ["foo-1.0.win32.exe", "foo-1.0-py2.7.egg", "foo-1.0.msi", "foo-1.0.tgz", "README.html", "", "foo-1.0.ZIP"],
)
def test_other_kinds_of_files_are_ignored(filename: str) -> None:
    assert FileNames(canonicalize_name("foo")).version_text(filename) is None


@pytest.mark.parametrize(
    ("filename", "code"),
    [
        ("bar-1.0-py3-none-any.whl", "FilenameInvalid"),
        ("foobar-1.0.tar.gz", "FilenameInvalid"),
        ("foo.tar.gz", "FilenameInvalid"),
        (".tar.gz", "FilenameInvalid"),
        ("foo-1.0-py3-none.whl", "FilenameInvalid"),
        ("foo-1.0-py3-none-any-label.whl", "FilenameInvalid"),
        ("foo-1.0-1-2-py3-none-any.whl", "FilenameInvalid"),
        ("foo-1.0--py3-none-any.whl", "FilenameInvalid"),
        ("../../foo-1.0.tar.gz", "FilenameInvalid"),
        ("foo-1.0-py3-none-any/../x.whl", "FilenameInvalid"),
        ("a\\..\\foo-1.0-py3-none-any.whl", "FilenameInvalid"),
        ("foo-1.0\n-py3-none-any.whl", "FilenameInvalid"),
        ("foo-1.0\x00.tar.gz", "FilenameInvalid"),
        ("fo\u043e-1.0.tar.gz", "FilenameInvalid"),
        ("foo-" + "1" * 400 + ".tar.gz", "FilenameInvalid"),
        ("foo-1.0-py3-none-" + "a" * 400 + ".whl", "FilenameInvalid"),
        ("foo-.tar.gz", "VersionInvalid"),
        ("foo-" + "1" * 200 + ".tar.gz", "VersionInvalid"),
    ],
)
def test_bad_names_are_skipped_for_a_reason(filename: str, code: str) -> None:
    with pytest.raises(FileSkipped) as caught:
        FileNames(canonicalize_name("foo")).version_text(filename)
    assert caught.value.code == code


names = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,4}([-_.][A-Za-z0-9]{1,3}){0,2}", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}(rc[0-9])?", fullmatch=True)


@given(name=names, version=versions)
def test_agrees_with_packaging_on_proper_names(name: str, version: str) -> None:
    canonical = canonicalize_name(name)
    cut = FileNames(canonical)
    wheel = f"{canonical.replace('-', '_')}-{version}-py3-none-any.whl"
    sdist = f"{canonical.replace('-', '_')}-{version}.tar.gz"
    found, parsed, _, _ = parse_wheel_filename(wheel)
    assert found == canonical
    assert str(parsed) == str(parse_wheel_filename(f"x-{cut.version_text(wheel)}-py3-none-any.whl")[1])
    assert parse_sdist_filename(sdist)[1] == parse_sdist_filename(f"x-{cut.version_text(sdist)}.tar.gz")[1]


@given(st.text(max_size=40).map(lambda text: text + ".whl") | st.text(max_size=40).map(lambda text: text + ".zip"))
def test_no_text_gets_past(filename: str) -> None:
    try:
        version = FileNames(canonicalize_name("foo")).version_text(filename)
    except FileSkipped:
        return
    assert version is not None
    assert version in filename
    assert not set("/\\ \n\x00") & set(filename)
