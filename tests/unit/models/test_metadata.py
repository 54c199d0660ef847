"""Core metadata as a resolver reads it: folded fields, what an sdist vouches for, and hostile files."""

from email.parser import HeaderParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from deep_lock.errors import DeepLockError, LimitExceeded, MetadataInvalid, NameMismatch
from deep_lock.models.metadata import (
    MAX_METADATA_BYTES,
    MAX_REQUIRES_DIST,
    Metadata,
    check_name,
    is_static,
    parse_metadata,
)

WHERE = "demo-1.0.dist-info/METADATA"


def read(*lines: str, version: str = "2.2") -> Metadata:
    text = "\n".join([f"Metadata-Version: {version}", "Name: Demo", "Version: 1.0", *lines])
    return parse_metadata(f"{text}\n".encode(), WHERE)


def test_all_fields() -> None:
    raw = (
        b"Metadata-Version: 2.4\nName: Demo_Pkg\nVersion: 1.0.post1\nSummary: a: b\nRequires-Python: >=3.9,<4\n"
        b"requires-dist: b>=2; extra == 'All_Of'\nREQUIRES-DIST: a\nProvides-Extra: All_Of\nDynamic: License\n\nbody\n"
    )
    assert parse_metadata(raw, WHERE) == Metadata(
        name=canonicalize_name("demo-pkg"),
        version="1.0.post1",
        metadata_version="2.4",
        requires_dist=("b>=2; extra == 'All_Of'", "a"),
        requires_python=">=3.9,<4",
        provides_extra=("all-of",),
        dynamic=frozenset({"license"}),
    )


@pytest.mark.parametrize(
    ("lines", "requires"),
    [
        (["Requires-Dist: a", "Requires-Dist: b>=1"], ("a", "b>=1")),
        (["Requires-Dist: a>=1,", "  <2;", "\tpython_version < '3.9'"], ("a>=1, <2; python_version < '3.9'",)),
        (["Requires-Dist:", "   a>=1"], ("a>=1",)),
        (["Requires-Dist: a", " ", "Requires-Dist: b"], ("a", "b")),
        (["Requires-Dist: a ; extra == 'x'   "], ("a ; extra == 'x'",)),
        (["Requires-Dist: a @ https://files.example/a-1.zip"], ("a @ https://files.example/a-1.zip",)),
        # the body is not a header, and neither is what only looks like a line end or a field
        (["", "Requires-Dist: evil"], ()),
        (["\r", "Requires-Dist: evil"], ()),
        (["not a field", "Requires-Dist: evil"], ()),
        (["Requires Dist: evil"], ()),
        (["Requires-Dist : evil"], ()),
        (["Summary: x\u2028Requires-Dist: evil"], ()),
        (["Summary: x\x85Requires-Dist: evil"], ()),
        (["Summary: x\x0cRequires-Dist: evil"], ()),
        (["Summary: x\x0b", "Requires-Dist: a"], ("a",)),
        (["Summary: x\u2029\u2029", "Requires-Dist: a"], ("a",)),
        (["Description: x", "        Requires-Dist: evil"], ()),
        (["Summary: x\rRequires-Dist: a"], ("a",)),
        (["X-Requires-Dist: evil"], ()),
    ],
)
def test_requires_dist(lines: list[str], requires: tuple[str, ...]) -> None:
    assert read(*lines).requires_dist == requires


def test_line_ends_of_windows_and_a_byte_order_mark() -> None:
    raw = "\ufeffMetadata-Version: 2.2\r\nName: demo\r\nVersion: 1\r\nRequires-Dist: a,\r\n b\r\n\r\nRequires-Dist: evil\r\n"
    found = parse_metadata(raw.encode(), WHERE)
    assert (found.metadata_version, found.requires_dist) == ("2.2", ("a, b",))


def test_a_fold_of_nothing_is_nothing() -> None:
    found = parse_metadata(b" Requires-Dist: evil\nName: demo\nVersion: 1\nRequires-Dist: a\n", WHERE)
    assert found.requires_dist == ("a",)


def test_letters_of_no_coding_do_no_harm() -> None:
    raw = b"Metadata-Version: 2.1\nName: demo\nVersion: 1\nAuthor: Ren\xe9\nRequires-Dist: a\n"
    assert parse_metadata(raw, WHERE).requires_dist == ("a",)


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
fields = st.one_of(
    st.builds(
        "{}: {}".format, st.sampled_from(["Requires-Dist", "requires-dist", "Summary", "X", "Dynamic"]), printable
    ),
    printable.map(" {}".format),
    printable,
)


@given(st.lists(fields, max_size=12))
def test_fields_are_those_that_installers_see(lines: list[str]) -> None:
    text = "\n".join(["Metadata-Version: 2.2", "Name: demo", "Version: 1", "Author: a", *lines])
    theirs = HeaderParser().parsestr(text)
    wanted = [" ".join(str(value).split()) for value in theirs.get_all("Requires-Dist", [])]
    try:
        found = parse_metadata(text.encode(), WHERE)
    except MetadataInvalid as error:
        assert "is repeated" in error.message  # noqa: PT017 - which error it may be is the point
        return
    assert [" ".join(value.split()) for value in found.requires_dist] == wanted


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.17", "2"])
def test_known_major_versions(version: str) -> None:
    assert read(version=version).metadata_version == version


@pytest.mark.parametrize(
    "version", ["3.0", "3", "10.0", "", "x", "-1", "2.x", "²", "2.²", "٢.٢", "2." + "1" * 5000, "9" * 5000, "2.2.2"]
)
def test_unknown_major_versions(version: str) -> None:
    with pytest.raises(MetadataInvalid, match="Metadata-Version") as caught:
        read(version=version)
    assert WHERE in caught.value.message
    assert len(caught.value.message) < 200


def test_metadata_without_version_is_the_oldest() -> None:
    found = parse_metadata(b"Name: demo\nVersion: 1\n", WHERE)
    assert (found.metadata_version, is_static(found)) == ("1.0", False)


@pytest.mark.parametrize(
    ("version", "lines", "field", "static"),
    [
        ("1.0", [], "requires-dist", False),
        ("2.1", ["Requires-Dist: a"], "requires-dist", False),
        ("2", [], "requires-dist", False),
        ("2.2", [], "requires-dist", True),  # absent and not dynamic: there are none
        ("2.2", ["Requires-Dist: a"], "requires-dist", True),
        ("2.10", [], "requires-dist", True),
        ("2.6", ["Requires-Dist: a", "Dynamic: Requires-Dist"], "requires-dist", False),
        ("2.2", ["Dynamic: requires-DIST "], "requires-dist", False),
        ("2.2", ["Dynamic: License"], "requires-dist", True),
        ("2.2", ["Dynamic: Requires-Python"], "requires-dist", True),
        ("2.2", ["Dynamic: Requires-Python"], "requires-python", False),
    ],
)
def test_what_an_sdist_vouches_for(version: str, lines: list[str], field: str, *, static: bool) -> None:
    assert is_static(read(*lines, version=version), field) is static


@pytest.mark.parametrize("field", ["Name", "Version", "Metadata-Version"])
def test_a_field_twice_is_refused(field: str) -> None:
    with pytest.raises(MetadataInvalid, match="is repeated"):
        read(f"{field.upper()}: 2.1")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n",
        b"Name: demo\n",
        b"Version: 1\n",
        b"Name:\nVersion: 1\n",
        b"<!DOCTYPE html><html>Name: demo</html>",
        b"\x00\x01\x02" * 100,
        b"PK\x03\x04",
        b"Name: ../../etc\nVersion: 1\n",
        b"Name: demo other\nVersion: 1\n",
        "Name: dem\u043e\nVersion: 1\n".encode(),  # a Cyrillic letter
        b"Name: demo\x1b[2J\nVersion: 1\n",
    ],
)
def test_what_is_no_metadata(raw: bytes) -> None:
    with pytest.raises(MetadataInvalid) as caught:
        parse_metadata(raw, WHERE)
    assert caught.value.message.startswith(WHERE)
    assert caught.value.message.isprintable()


def test_another_projects_metadata() -> None:
    check_name(read(), canonicalize_name("DEMO"), WHERE)
    with pytest.raises(NameMismatch, match="'demo', not of 'other'"):
        check_name(read(), canonicalize_name("other"), WHERE)


HEAD = b"Metadata-Version: 2.2\nName: demo\nVersion: 1\n"


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"\n" + b"x" * MAX_METADATA_BYTES,
        HEAD + b"Requires-Dist: a\n" * (MAX_REQUIRES_DIST + 1),
        HEAD + b"Provides-Extra: a\n" * (MAX_REQUIRES_DIST + 1),
        HEAD + b"Dynamic: a\n" * (MAX_REQUIRES_DIST + 1),
        b"Version: 1\nName: " + b"a" * 100_000 + b"\n",
    ],
    ids=["bytes", "requirements", "extras", "dynamic", "name"],
)
def test_too_much(raw: bytes) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse_metadata(raw, WHERE)
    assert len(caught.value.message) < 200


def test_a_field_folded_a_million_times_ends() -> None:
    # joined one by one, these would take an hour
    raw = HEAD + b"Summary: x\n" + b" y\n" * 1_000_000 + b"Requires-Dist: a\n"
    assert parse_metadata(raw, WHERE).requires_dist == ("a",)


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: HEAD + tail))
def test_no_bytes_do_harm(raw: bytes) -> None:
    try:
        assert is_static(parse_metadata(raw, WHERE)) in {True, False}
    except DeepLockError as error:
        assert error.message.startswith(WHERE)  # noqa: PT017 - and nothing else may escape
