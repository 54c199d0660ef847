"""METADATA out of wheels: the same as zipfile gives, by few ranges, and nothing from a doubtful archive."""

import io
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from deep_lock.errors import (
    ArchiveAmbiguous,
    ArchiveBroken,
    ArchiveTooBig,
    ArchiveUnsafe,
    DeepLockError,
    NameMismatch,
    NetworkError,
)
from deep_lock.index.lazy_wheel import (
    TAIL_BYTES,
    ByteRange,
    metadata_from_wheel,
    read_by_ranges,
    read_content_range,
    reading_metadata,
    tail_bytes,
)
from deep_lock.models.metadata import MAX_METADATA_BYTES

DEMO = canonicalize_name("demo")
FILENAME = "demo-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: other\n"
NAME = "demo-1.0.dist-info/METADATA"
NOISE = bytes((i * i + i // 7) % 251 for i in range(3000))


def wheel(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
        archive.comment = comment
    return file.getvalue()


PLAIN = wheel(("demo.py", b"pass\n"), (NAME, METADATA), ("demo-1.0.dist-info/RECORD", b""))


@dataclass
class Server:
    """Gives ranges of a file, as RFC 9110 says."""

    file: bytes
    asked: list[ByteRange] = field(default_factory=list)

    def __call__(self, wanted: ByteRange) -> tuple[bytes, int]:
        self.asked.append(wanted)
        if wanted.first is None:
            return self.file[-wanted.last :], len(self.file)
        assert wanted.first <= wanted.last < len(self.file)
        return self.file[wanted.first : wanted.last + 1], len(self.file)


def by_ranges(file: bytes, tail: int = TAIL_BYTES) -> bytes:
    return read_by_ranges(reading_metadata(DEMO, "1.0", FILENAME, tail=tail), Server(file))


def by_whole(file: bytes) -> bytes:
    return metadata_from_wheel(io.BytesIO(file), DEMO, "1.0", FILENAME)


WAYS = pytest.mark.parametrize("read", [by_ranges, by_whole])
Way = Callable[[bytes], bytes]


# What goes well


@WAYS
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_small_wheel(read: Way, method: int) -> None:
    assert read(wheel(("demo.py", NOISE), (NAME, METADATA), method=method)) == METADATA


@pytest.mark.parametrize(
    ("members", "requests"),
    [
        ([("demo.py", NOISE), (NAME, METADATA)], ["bytes=-1024"]),
        ([(NAME, METADATA), ("demo.py", NOISE)], ["bytes=-1024", "bytes=0-123"]),
        (
            [(NAME, METADATA), *((f"demo/{i}.py", b"") for i in range(40))],
            ["bytes=-1024", "bytes=0-3014"],
        ),
    ],
)
def test_no_more_requests_than_needed(members: list[tuple[str, bytes]], requests: list[str]) -> None:
    server = Server(wheel(*members, method=zipfile.ZIP_STORED))
    assert read_by_ranges(reading_metadata(DEMO, "1.0", FILENAME, tail=1024), server) == METADATA
    assert [wanted.header for wanted in server.asked] == requests


@WAYS
def test_odd_but_right(read: Way) -> None:
    assert read(wheel((NAME, METADATA), comment=b"made by a tool")) == METADATA
    vendored = wheel(
        ("demo/_vendor/x-1.dist-info/METADATA", b"Name: x"), (NAME, METADATA), ("demo-1.0.dist-info/", b"")
    )
    assert read(vendored) == METADATA
    nested = wheel(("demo/inner.zip", PLAIN), (NAME, METADATA), method=zipfile.ZIP_STORED)
    assert read(nested) == METADATA


@WAYS
def test_data_descriptors_and_zip64(read: Way) -> None:
    class Stream(io.BytesIO):
        """A file that cannot seek: zipfile then writes data descriptors."""

        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

    file = Stream()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("demo.py", NOISE)
        with archive.open(zipfile.ZipInfo(NAME), "w", force_zip64=True) as member:
            member.write(METADATA)
    assert read(file.getvalue()) == METADATA


@WAYS
def test_more_members_than_16_bits_can_count(read: Way) -> None:
    file = wheel((NAME, METADATA), *((f"{i:x}", b"") for i in range(66_000)), method=zipfile.ZIP_STORED)
    assert b"PK\x06\x06" in file
    assert read(file) == METADATA


names = st.text(alphabet="ab/._", min_size=1, max_size=8).filter(
    lambda name: not name.startswith("/") and ".." not in name.split("/")
)


@given(
    st.dictionaries(names, st.binary(max_size=3000), max_size=12),
    st.binary(max_size=3000),
    st.integers(0, 12),
    st.integers(100, 5000),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_ranges_give_what_zipfile_gives(
    others: dict[str, bytes], metadata: bytes, place: int, tail: int, method: int
) -> None:
    members = list(others.items())
    members.insert(place, (NAME, metadata))
    file = wheel(*members, method=method)
    assert by_ranges(file, tail) == by_whole(file) == metadata


# What is refused


def patched(file: bytes, marker: bytes, offset: int, form: str, value: int) -> bytes:
    """Overwrite a number at an offset behind the last place of a marker."""
    at = file.rindex(marker) + offset
    return file[:at] + struct.pack(form, value) + file[at + struct.calcsize(form) :]


def central(field_offset: int, form: str, value: int) -> bytes:
    """PLAIN with a number changed in the central entry of METADATA (46 bytes stand before its name)."""
    return patched(PLAIN, NAME.encode(), field_offset - 46, form, value)


def local(field_offset: int, form: str, value: int) -> bytes:
    at = PLAIN.index(NAME.encode()) + field_offset - 30
    return PLAIN[:at] + struct.pack(form, value) + PLAIN[at + struct.calcsize(form) :]


END = b"PK\x05\x06"
FULL = wheel((NAME, bytes(MAX_METADATA_BYTES + 1)))


def end64(*, start: int = 0, count: int = 0, length: int = 44, disks: int = 1, plain_count: int = 0xFFFF) -> bytes:
    """PLAIN with ZIP64 end records; each number given is a lie."""
    at = PLAIN.rindex(END)
    true_count, size, true_start = struct.unpack_from("<HLL", PLAIN, at + 10)
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", length, 45, 45, 0, 0, count or true_count, count or true_count, size, true_start
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start or at, disks)
    plain = struct.pack("<4s4H2LH", END, 0, 0, plain_count, plain_count, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return PLAIN[:at] + record + locator + plain


def extra64(extra: bytes) -> bytes:
    """PLAIN whose central entry of METADATA has its size in an extra field."""
    at = PLAIN.rindex(NAME.encode()) + len(NAME)
    file = patched(PLAIN, NAME.encode(), 30 - 46, "<H", len(extra))
    file = patched(file, NAME.encode(), 24 - 46, "<L", 0xFFFFFFFF)
    file = file[:at] + extra + file[at:]
    end = file.rindex(END)
    return patched(file, END, 12, "<L", struct.unpack_from("<L", file, end + 12)[0] + len(extra))


@WAYS
def test_zip64_records(read: Way) -> None:
    assert read(end64()) == METADATA
    assert read(extra64(struct.pack("<HH2xHHQ", 9, 2, 1, 8, len(METADATA)))) == METADATA


def with_prefix(prefix: bytes) -> bytes:
    """As self-extracting archives are made."""
    file = io.BytesIO(prefix)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(NAME, METADATA)
    return file.getvalue()


REFUSED: list[tuple[str, bytes, type[DeepLockError]]] = [
    ("empty", b"", ArchiveBroken),
    ("no zip", b"PK" * 500, ArchiveBroken),
    ("cut", PLAIN[:-5], ArchiveBroken),
    ("tail only", PLAIN[-200:], ArchiveAmbiguous),
    ("prefix", b"#!/bin/sh\n" + PLAIN, ArchiveAmbiguous),
    ("prefix that the offsets know of", with_prefix(b"#!/bin/sh\n"), ArchiveAmbiguous),
    ("trailing bytes", PLAIN + b"\n", ArchiveBroken),
    ("two archives", PLAIN + PLAIN, ArchiveAmbiguous),
    ("end record in the comment", wheel((NAME, METADATA), comment=END + bytes(18)), ArchiveAmbiguous),
    ("end signature in the comment", wheel((NAME, METADATA), comment=b"--" + END), ArchiveAmbiguous),
    ("several disks", patched(PLAIN, END, 4, "<H", 1), ArchiveBroken),
    ("fewer entries than the directory", patched(patched(PLAIN, END, 8, "<H", 2), END, 10, "<H", 2), ArchiveAmbiguous),
    ("more entries than the directory", patched(patched(PLAIN, END, 8, "<H", 4), END, 10, "<H", 4), ArchiveBroken),
    ("directory elsewhere", patched(PLAIN, END, 16, "<L", 0), ArchiveAmbiguous),
    ("ZIP64 without its record", patched(PLAIN, END, 16, "<L", 0xFFFFFFFF), ArchiveBroken),
    ("encrypted", central(8, "<H", 1), ArchiveBroken),
    ("strongly encrypted", central(8, "<H", 0x40), ArchiveBroken),
    ("encrypted, in the local header", local(6, "<H", 1), ArchiveAmbiguous),
    ("other compression", central(10, "<H", 12), ArchiveAmbiguous),
    ("other compression, both", wheel((NAME, METADATA), method=zipfile.ZIP_BZIP2), ArchiveBroken),
    ("wrong checksum", central(16, "<L", 1), ArchiveAmbiguous),
    ("compressed size too large", central(20, "<L", 5000), ArchiveUnsafe),
    ("compressed size too small", central(20, "<L", 5), ArchiveAmbiguous),
    ("size too small", central(24, "<L", 5), ArchiveAmbiguous),
    ("size of 4 GiB without ZIP64 field", central(24, "<L", 0xFFFFFFFF), ArchiveBroken),
    ("offset into another member", central(42, "<L", 1), ArchiveUnsafe),
    ("offset behind the file", central(42, "<L", 1_000_000), ArchiveUnsafe),
    ("local name differs", PLAIN.replace(NAME.encode(), b"x" * len(NAME), 1), ArchiveAmbiguous),
    ("local header missing", PLAIN.replace(b"PK\x03\x04", b"PK\x03\x03"), ArchiveBroken),
    ("local extra too long", local(28, "<H", 60_000), ArchiveAmbiguous),
    ("ZIP64 record elsewhere", end64(start=3), ArchiveBroken),
    ("ZIP64 record behind the file", end64(start=1 << 40), ArchiveBroken),
    ("ZIP64 record too long", end64(length=45), ArchiveBroken),
    ("ZIP64 of several disks", end64(disks=2), ArchiveBroken),
    ("ZIP64 with another count", end64(count=2), ArchiveAmbiguous),
    ("end records that differ", end64(plain_count=2), ArchiveAmbiguous),
    ("ZIP64 with too many members", end64(count=200_000), ArchiveTooBig),
    ("ZIP64 field of another kind", extra64(struct.pack("<HHQ", 2, 8, len(METADATA))), ArchiveBroken),
    ("ZIP64 field too short", extra64(struct.pack("<HHL", 1, 8, 1)), ArchiveAmbiguous),
    ("metadata too large", FULL, ArchiveTooBig),
    ("no metadata", wheel(("demo.py", b"")), ArchiveBroken),
    ("metadata not at the top", wheel((f"demo/{NAME}", METADATA)), ArchiveBroken),
    ("other project", wheel(("other-1.0.dist-info/METADATA", METADATA)), NameMismatch),
    ("no project", wheel((".dist-info/METADATA", METADATA)), NameMismatch),
    ("two dist-info", wheel((NAME, METADATA), ("demo-2.0.dist-info/METADATA", METADATA)), ArchiveAmbiguous),
    ("second dist-info without metadata", wheel((NAME, b""), ("o-2.dist-info/RECORD", b"")), ArchiveAmbiguous),
    ("dist-info in capitals too", wheel((NAME, b""), ("demo-1.0.DIST-INFO/METADATA", b"")), ArchiveAmbiguous),
    ("name twice", wheel((NAME, METADATA), ("a/bc", b""), ("a/xx", b"")).replace(b"a/xx", b"a/bc"), ArchiveAmbiguous),
    *(
        (
            f"member {name!r}",
            wheel((NAME, METADATA), ("#" * len(name), b"")).replace(b"#" * len(name), name),
            ArchiveUnsafe,
        )
        for name in (b"../a", b"a/../b", b"/etc/x", b"a\\b\\", b"C:/win", b"nul\0b")
    ),
]


@WAYS
@pytest.mark.parametrize(("file", "kind"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(read: Way, file: bytes, kind: type[DeepLockError]) -> None:
    with pytest.raises(DeepLockError) as caught:
        read(file)
    assert type(caught.value) is kind, caught.value
    assert caught.value.message.startswith(FILENAME)
    assert caught.value.message.isprintable()


def test_only_a_whole_file_shows_other_local_headers() -> None:
    file = wheel(("demo.py", NOISE), (NAME, METADATA), method=zipfile.ZIP_STORED).replace(b"demo.py", b"evil.py", 1)
    with pytest.raises(ArchiveAmbiguous, match="differs"):
        by_whole(file)
    with pytest.raises(ArchiveAmbiguous, match="differs"):
        by_ranges(file)  # a tail that holds the whole file is one
    assert by_ranges(file, 1024) == METADATA


def test_hidden_members_are_found_in_a_whole_file() -> None:
    one = wheel((NAME, METADATA), method=zipfile.ZIP_STORED)
    start = one.index(b"PK\x01\x02")
    hidden = one[:start] + wheel(("evil.py", b"")).partition(b"PK\x01\x02")[0]
    file = patched(hidden + one[start:], END, 16, "<L", len(hidden))
    with pytest.raises(ArchiveAmbiguous, match="does not end where"):
        by_whole(file)


def test_a_bomb_is_not_unpacked() -> None:
    size = 20 * 1024 * 1024
    honest = wheel((NAME, bytes(size)))
    with pytest.raises(ArchiveTooBig):
        by_ranges(honest)
    # The same, but both headers declare a small size.
    lie = honest.replace(struct.pack("<L", size), struct.pack("<L", 100))
    assert lie != honest
    with pytest.raises(ArchiveBroken, match="does not end"):
        by_ranges(lie)


@given(st.data())
def test_damage_gives_the_truth_or_a_typed_error(data: st.DataObject) -> None:
    file = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(file[: data.draw(st.integers(0, len(file)))]) if data.draw(st.booleans()) else bytes(file)
    for read in (by_ranges, by_whole, lambda raw: by_ranges(raw, 150)):
        with suppress(DeepLockError):
            assert read(kept) == METADATA


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_any_bytes_give_a_typed_error(junk: bytes, more: bytes) -> None:
    for raw in (junk, junk + END + more, END + struct.pack("<4H2LH", 0, 0, 1, 1, 46, 0, 0) + junk):
        with pytest.raises(DeepLockError):
            by_ranges(raw)


# A server that lies


@pytest.mark.parametrize(
    "answer",
    [(b"", 5000), (PLAIN[-100:], 5000), (PLAIN, len(PLAIN) - 1)],
)
def test_a_first_answer_that_is_not_what_was_asked(answer: tuple[bytes, int]) -> None:
    reading = reading_metadata(DEMO, "1.0", FILENAME)
    assert next(reading).header == f"bytes=-{TAIL_BYTES}"
    with pytest.raises(NetworkError):
        reading.send(answer)


@pytest.mark.parametrize(("change", "growth"), [(1, 0), (0, 1)])
def test_a_file_that_changes_while_it_is_read(change: int, growth: int) -> None:
    file = wheel((NAME, METADATA), ("demo.py", NOISE), method=zipfile.ZIP_STORED)
    server = Server(file)
    reading = reading_metadata(DEMO, "1.0", FILENAME, tail=200)
    wanted = reading.send(server(next(reading)))
    data, total = server(wanted)
    with pytest.raises(NetworkError, match="changed while it was read"):
        reading.send((data[change:], total + growth))


def test_headers_of_ranges() -> None:
    assert ByteRange(first=None, last=500).header == "bytes=-500"
    assert ByteRange(first=0, last=99).header == "bytes=0-99"


TAIL = ByteRange(first=None, last=10)
MIDDLE = ByteRange(first=5, last=9)


@pytest.mark.parametrize(
    ("value", "wanted", "length", "total"),
    [
        ("bytes 90-99/100", TAIL, 10, 100),
        ("Bytes 90-99/100 ", TAIL, 10, 100),
        ("bytes 0-3/4", TAIL, 4, 4),
        ("bytes 5-9/100", MIDDLE, 5, 100),
        ("bytes 5-7/8", MIDDLE, 3, 8),
        ("bytes 5-9/100", MIDDLE, 4, None),
        ("bytes 0-99/100", TAIL, 100, None),
        ("bytes 89-99/100", TAIL, 11, None),
        ("bytes 90-99/*", TAIL, 10, None),
        ("bytes */100", TAIL, 10, None),
        ("bytes 5-9/9", MIDDLE, 5, None),
        ("items 5-9/100", MIDDLE, 5, None),
        ("bytes -5-9/100", MIDDLE, 5, None),
        ("bytes 5-\u0669/100", MIDDLE, 5, None),
        ("bytes 5-9/" + "1" * 5000, MIDDLE, 5, None),
        ("", MIDDLE, 5, None),
        (None, MIDDLE, 5, None),
    ],
)
def test_content_range(value: str | None, wanted: ByteRange, length: int, total: int | None) -> None:
    if total is None:
        with pytest.raises(NetworkError, match=FILENAME):
            read_content_range(value, wanted, length, FILENAME)
    else:
        assert read_content_range(value, wanted, length, FILENAME) == total


# The number of requests


@pytest.mark.parametrize(
    ("size", "tail"),
    [(None, TAIL_BYTES), (1000, TAIL_BYTES), (2_000_000, 125_000), (100_000_000, 256 * 1024)],
)
def test_first_request_is_larger_for_a_large_wheel(size: int | None, tail: int) -> None:
    assert tail_bytes(size) == tail


def test_the_rest_of_a_long_directory_comes_with_the_metadata() -> None:
    members = [(f"demo/{number:060}.py", b"") for number in range(3000)]
    server = Server(wheel(*members, ("demo/data", NOISE), (NAME, METADATA), ("demo-1.0.dist-info/RECORD", NOISE)))
    assert read_by_ranges(reading_metadata(DEMO, "1.0", FILENAME), server) == METADATA
    assert len(server.asked) == 2
