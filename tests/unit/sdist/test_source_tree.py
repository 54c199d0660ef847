"""Archives, good and bad, as streams. Nothing may be written, and nothing but our own errors may come out."""

import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock.errors import (
    ArchiveAmbiguous,
    ArchiveBroken,
    ArchiveError,
    ArchiveTooBig,
    ArchiveUnsafe,
    DeepLockError,
    LimitExceeded,
)
from deep_lock.sdist import decompress, member_rules, tar_members, zip_members
from deep_lock.sdist.source_tree import Members, read_members
from tests.support.archives import PKG_INFO, compress, make_tar, make_zip, pax, tar_gz, tar_header, tar_member

FILES = {"PKG-INFO": PKG_INFO, "pyproject.toml": b"[project]\n", "src/sample/__init__.py": b"x = 1\n"}
GOOD = tar_member(b"sample-1.0/PKG-INFO", PKG_INFO)


def read(raw: bytes, filename: str = "sample-1.0.tar.gz") -> Members:
    return read_members(io.BytesIO(raw), filename)


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_tar_formats(mode: str) -> None:
    members = read(make_tar(FILES, mode=mode), f"sample-1.0.tar.{mode}")
    assert members.top == "sample-1.0"
    assert dict(members.files) == FILES
    assert members.names == set(FILES)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip(method: int) -> None:
    assert dict(read(make_zip(FILES, method=method), "sample-1.0.zip").files) == FILES


def test_the_top_folder_is_found_not_computed() -> None:
    assert read(make_tar(FILES, top="Sample_Other.Name"), "sample-1.0.tar.gz").top == "Sample_Other.Name"


def test_several_compressed_parts_are_one_stream() -> None:
    raw = gzip.decompress(make_tar(FILES))
    assert dict(read(gzip.compress(raw[:700]) + gzip.compress(raw[700:]) + b"\0" * 100).files) == FILES


def test_leading_dots_and_folders() -> None:
    raw = tar_gz(tar_member(b"./"), tar_member(b"./s/", kind=b"5"), tar_member(b"./s/PKG-INFO", PKG_INFO))
    assert dict(read(raw).files) == {"PKG-INFO": PKG_INFO}


def test_no_end_mark_is_common_and_harmless() -> None:
    assert read(tar_gz(GOOD, end=b"")).names == {"PKG-INFO"}


def test_long_names() -> None:
    deep = "sample-1.0/" + "d" * 120 + "/requires.txt"
    for header in (pax(path=deep), tar_member(b"././@LongLink", deep.encode() + b"\0", b"L")):
        assert read(tar_gz(header, tar_member(b"short", b"x"))).names == {deep.removeprefix("sample-1.0/")}


UNSAFE_NAMES = [b"/etc/x", b"sample-1.0/../../x", b"..", b"sample-1.0/a\\..\\x", b"C:/x", b"c:x"]

REFUSED: list[tuple[str, bytes, type[DeepLockError]]] = [
    *[(f"name {name!r}", tar_gz(GOOD, tar_member(name)), ArchiveUnsafe) for name in UNSAFE_NAMES],
    ("NUL in a pax name", tar_gz(pax(path="sample-1.0/a\0b"), tar_member(b"x")), ArchiveUnsafe),
    ("device", tar_gz(GOOD, tar_member(b"sample-1.0/dev", kind=b"3")), ArchiveUnsafe),
    ("fifo", tar_gz(GOOD, tar_member(b"sample-1.0/fifo", kind=b"6")), ArchiveUnsafe),
    ("setup.py is a link", tar_gz(tar_member(b"sample-1.0/setup.py", kind=b"2", target=b"other.py")), ArchiveUnsafe),
    (
        "PKG-INFO is a hard link",
        tar_gz(tar_member(b"sample-1.0/PKG-INFO", kind=b"1", target=b"sample-1.0/x")),
        ArchiveUnsafe,
    ),
    (
        "hard link outside",
        tar_gz(GOOD, tar_member(b"sample-1.0/h", kind=b"1", target=b"../x")),
        ArchiveUnsafe,
    ),
    ("absolute link", tar_gz(GOOD, tar_member(b"sample-1.0/l", kind=b"2", target=b"/etc/passwd")), ArchiveUnsafe),
    ("link outside", tar_gz(GOOD, tar_member(b"sample-1.0/a/l", kind=b"2", target=b"../../x")), ArchiveUnsafe),
    (
        "links that leave together",
        tar_gz(
            GOOD,
            tar_member(b"sample-1.0/a", kind=b"2", target=b"d/d/d"),
            tar_member(b"sample-1.0/d/d/d", kind=b"2", target=b"../.."),
            tar_member(b"sample-1.0/b", kind=b"2", target=b"a/../.."),
        ),
        ArchiveUnsafe,
    ),
    (
        "links in a circle",
        tar_gz(
            GOOD,
            tar_member(b"sample-1.0/a", kind=b"2", target=b"b"),
            tar_member(b"sample-1.0/b", kind=b"2", target=b"a"),
        ),
        ArchiveUnsafe,
    ),
    (
        "a member below a link",
        tar_gz(
            GOOD, tar_member(b"sample-1.0/a", kind=b"2", target=b"b"), tar_member(b"sample-1.0/a/PKG-INFO", PKG_INFO)
        ),
        ArchiveUnsafe,
    ),
    (
        "a file and a link of one name",
        tar_gz(GOOD, tar_member(b"sample-1.0/x.py"), tar_member(b"sample-1.0/x.py", kind=b"2", target=b"y.py")),
        ArchiveAmbiguous,
    ),
    (
        "a file and a hard link of one name",
        tar_gz(
            GOOD, tar_member(b"sample-1.0/x"), tar_member(b"sample-1.0/x", kind=b"1", target=b"sample-1.0/PKG-INFO")
        ),
        ArchiveAmbiguous,
    ),
    ("a file below a file", tar_gz(GOOD, tar_member(b"sample-1.0/PKG-INFO/x")), ArchiveAmbiguous),
    ("a file and a folder", tar_gz(GOOD, tar_member(b"sample-1.0/PKG-INFO/", kind=b"5")), ArchiveAmbiguous),
    (
        "a link below a link",
        tar_gz(GOOD, *[tar_member(n, kind=b"2", target=b".") for n in (b"sample-1.0/a", b"sample-1.0/a/b")]),
        ArchiveUnsafe,
    ),
    ("the top folder is a link", tar_gz(tar_member(b"sample-1.0", kind=b"2", target=b"."), GOOD), ArchiveBroken),
    ("a link that leads nowhere", tar_gz(GOOD, tar_member(b"sample-1.0/l", kind=b"2")), ArchiveBroken),
    (
        "a hard link to nothing",
        tar_gz(GOOD, tar_member(b"sample-1.0/h", kind=b"1", target=b"sample-1.0/x")),
        ArchiveBroken,
    ),
    ("sparse", tar_gz(GOOD, tar_member(b"sample-1.0/s", kind=b"S")), ArchiveUnsafe),
    ("PKG-INFO twice", tar_gz(GOOD, GOOD), ArchiveAmbiguous),
    ("PKG-INFO twice, spelt twice", tar_gz(GOOD, tar_member(b"sample-1.0/./PKG-INFO")), ArchiveAmbiguous),
    ("two top folders", tar_gz(GOOD, tar_member(b"other-1.0/setup.py")), ArchiveAmbiguous),
    ("zip behind", tar_gz(GOOD) + make_zip(FILES), ArchiveAmbiguous),
    ("anything behind", tar_gz(GOOD) + b"hello", ArchiveAmbiguous),
    ("tar behind the end mark", tar_gz(GOOD, end=b"\0" * 1024 + GOOD), ArchiveAmbiguous),
    ("a folder with bytes", tar_gz(GOOD, tar_member(b"sample-1.0/d/", b"x", b"5")), ArchiveAmbiguous),
    ("no top folder", tar_gz(tar_member(b"setup.py")), ArchiveBroken),
    ("no members", tar_gz(), ArchiveBroken),
    ("empty file", b"", ArchiveBroken),
    ("no gzip", b"hello" * 100, ArchiveBroken),
    ("cut gzip", make_tar(FILES)[:-9], ArchiveBroken),
    ("bad CRC", make_tar(FILES)[:-8] + b"\0" * 8, ArchiveBroken),
    ("cut in a member", gzip.compress(GOOD[:600]), ArchiveBroken),
    ("cut in a header", gzip.compress(GOOD[:300]), ArchiveBroken),
    ("negative size", tar_gz(tar_header(b"s/x", size_field=b"\xff" * 12)), ArchiveBroken),
    ("size beyond the end", tar_gz(tar_header(b"s/x", size_field=b"\x80" + b"\x7f" * 11)), ArchiveBroken),
    ("no number", tar_gz(tar_header(b"s/x", size_field=b"99999999999\0")), ArchiveBroken),
    ("wrong checksum", gzip.compress(b"x" * 512 + GOOD), ArchiveBroken),
    ("malformed pax", tar_gz(tar_member(b"p", b"9 nothing", b"x"), GOOD), ArchiveBroken),
    ("pax of length 0", tar_gz(tar_member(b"p", b"0 a=b\n", b"x"), GOOD), ArchiveBroken),
    ("pax size", tar_gz(pax(size="-1"), GOOD), ArchiveBroken),
    ("endless extended headers", tar_gz(*[pax(comment="x")] * 20, GOOD), ArchiveBroken),
    ("huge long name", tar_gz(tar_header(b"L", 1 << 20, b"L")), ArchiveTooBig),
    ("long path", tar_gz(pax(path="sample-1.0/" + "x/" * 600 + "y"), tar_member(b"x")), LimitExceeded),
    (
        "Cargo.lock of two contents",
        tar_gz(GOOD, *(tar_member(b"sample-1.0/rs/Cargo.lock", data) for data in (b"a", b"b"))),
        ArchiveAmbiguous,
    ),
    ("huge pyproject.toml", tar_gz(tar_member(b"s/pyproject.toml", b"#" * (1 << 20 | 1))), LimitExceeded),
]


@pytest.mark.parametrize(("raw", "error"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_tar(raw: bytes, error: type[DeepLockError]) -> None:
    with pytest.raises(error) as refusal:
        read(raw)
    assert refusal.value.message.startswith("sample-1.0.tar.gz: ")
    assert refusal.value.message.isprintable()


def test_a_global_header_that_renames_all_members() -> None:
    body = pax(path="x")[512:]
    raw = tar_gz(tar_header(b"g", len(body.rstrip(b"\0")), b"g") + body, GOOD)
    with pytest.raises(ArchiveAmbiguous):
        read(raw)
    assert read(tar_gz(tar_member(b"g", b"14 comment=ab\n", b"g"), GOOD)).names == {"PKG-INFO"}


def test_harmless_links_are_let_be() -> None:
    links = [
        tar_member(b"sample-1.0/docs/README", kind=b"2", target=b"../README"),
        tar_member(b"sample-1.0/copy", kind=b"1", target=b"sample-1.0/PKG-INFO"),
    ]
    assert read(tar_gz(GOOD, *links)).names == {"PKG-INFO"}


def test_a_helpful_file_of_two_contents_is_not_kept() -> None:
    twice = [tar_member(b"sample-1.0/sample.py", data) for data in (b"a = 1", b"a = 2", b"a = 1")]
    members = read(tar_gz(GOOD, *twice))
    assert "sample.py" in members.names
    assert "sample.py" not in members.files


def test_every_near_cargo_lock_is_hashed_and_none_is_kept() -> None:
    paths = ["Cargo.lock", "a/b/c/Cargo.lock", "a/b/c/d/Cargo.lock", "NotCargo.lock", "a/Cargo.lock.txt"]
    members = read(make_tar({**FILES, **{path: path.encode() for path in paths}}))
    assert members.cargo_locks == {path: sha256(path.encode()).hexdigest() for path in paths[:2]}
    assert not [path for path in members.files if "Cargo.lock" in path and not path.endswith(".txt")]


def test_a_huge_cargo_lock_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_rules, "_CARGO_LOCK_LIMIT", 10)
    raw = make_tar({**FILES, "Cargo.lock": b"x" * 11})
    with pytest.raises(LimitExceeded, match=r"Cargo\.lock has 11 bytes; at most 10 are allowed"):
        read(raw)


def test_names_that_differ_in_case_only_are_noted() -> None:
    assert read(tar_gz(GOOD, tar_member(b"sample-1.0/PyProject.TOML"))).notes == ("case-clash",)


def test_an_odd_name_is_noted() -> None:
    members = read(tar_gz(GOOD, tar_member(b"sample-1.0/\xff\xfe"), tar_member(b"sample-1.0/a\x1b[31m")))
    assert members.notes == ("odd-member-name",)


def _encrypted(raw: bytes) -> bytes:
    at = raw.index(b"PK\x01\x02")
    return raw[: at + 8] + b"\x01\x00" + raw[at + 10 :]


def _bzip2_zip() -> bytes:
    return make_zip(FILES, method=zipfile.ZIP_BZIP2)


def _linked_zip() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        entry = zipfile.ZipInfo("sample-1.0/l")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return raw.getvalue()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: make_zip(FILES)[:-30], ArchiveBroken),
        (lambda: b"junk" + make_zip(FILES), ArchiveAmbiguous),
        (lambda: _encrypted(make_zip(FILES)), ArchiveBroken),
        (_bzip2_zip, ArchiveUnsafe),
        (_linked_zip, ArchiveUnsafe),
        (lambda: make_zip({"../../x": b""}), ArchiveUnsafe),
        (lambda: make_zip(FILES, method=zipfile.ZIP_STORED).replace(PKG_INFO, PKG_INFO[::-1]), ArchiveBroken),
        (lambda: make_zip(FILES).replace(b"sample-1.0/PKG-INFO", b"sample-1.0/PKG-OFNI", 1), ArchiveAmbiguous),
        (lambda: make_zip({}), ArchiveBroken),
    ],
)
def test_refused_zip(make: Callable[[], bytes], error: type[DeepLockError]) -> None:
    with pytest.raises(error):
        read(make(), "sample-1.0.zip")


@pytest.mark.parametrize("filename", ["sample-1.0.exe", "sample-1.0.tar", "sample-1.0"])
def test_not_a_name_of_an_sdist(filename: str) -> None:
    with pytest.raises(ArchiveBroken):
        read(make_tar(FILES), filename)


def test_member_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_members, "MAX_MEMBERS", 3)
    monkeypatch.setattr(zip_members, "MAX_MEMBERS", 3)
    four = {f"{number}": b"" for number in range(4)}
    for raw, name in ((make_tar(four), "s-1.tar.gz"), (make_zip(four), "s-1.zip")):
        with pytest.raises(ArchiveTooBig):
            read(raw, name)


def test_a_dictionary_that_needs_too_much_memory_is_refused() -> None:
    plain = b"".join((GOOD, b"\0" * 1024))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 2 * decompress.LZMA_MEMORY}]
    with pytest.raises(ArchiveTooBig, match="MiB of memory"):
        read(lzma.compress(plain, filters=filters), "sample-1.0.tar.xz")
    assert read(lzma.compress(plain, preset=9), "sample-1.0.tar.xz").names


def test_the_format_without_checksums_is_no_xz() -> None:
    raw = lzma.compress(GOOD + b"\0" * 1024, format=lzma.FORMAT_ALONE)
    with pytest.raises(ArchiveBroken, match="corrupt"):
        read(raw, "sample-1.0.tar.xz")


@pytest.mark.parametrize("mode", ["bz2", "xz"])
def test_a_compressed_stream_without_end_is_refused(mode: str) -> None:
    parts = compress(b"", mode) * (decompress.MAX_PARTS + 1)
    with pytest.raises(ArchiveAmbiguous, match="after the end"):
        read(parts + make_tar(FILES, mode=mode), f"sample-1.0.tar.{mode}")


@pytest.mark.parametrize("mode", ["bz2", "xz"])
@pytest.mark.parametrize("cut", [0.3, 0.7, 0.99])
def test_a_cut_stream_is_broken(mode: str, cut: float) -> None:
    raw = make_tar(FILES, mode=mode)
    with pytest.raises(ArchiveBroken):
        read(raw[: int(len(raw) * cut)], f"sample-1.0.tar.{mode}")


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_size_limit(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "MAX_DECOMPRESSED", 100_000)
    raw = make_tar({"zeros": b"\0" * 3_000_000}, mode=mode)
    with pytest.raises(ArchiveTooBig):
        read(raw, f"s-1.tar.{mode}")


def test_ratio_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "RATIO_COUNTS_FROM", 100_000)
    monkeypatch.setattr(zip_members, "RATIO_COUNTS_FROM", 100_000)
    bomb = {"zeros": b"\0" * 3_000_000}
    for raw, name in ((make_tar(bomb), "s-1.tar.gz"), (make_zip(bomb), "s-1.zip")):
        with pytest.raises(ArchiveTooBig):
            read(raw, name)


def test_a_large_sdist_that_is_hardly_compressed_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "MAX_DECOMPRESSED", 100_000)
    assert read(make_tar({"jar": os.urandom(300_000)}), "s-1.tar.gz").names == {"jar"}


PATHS = st.lists(st.text("abc.-_ é", min_size=1, max_size=60), min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(PATHS, st.binary(max_size=1500), min_size=1, max_size=6)


def _plain(tree: dict[str, bytes]) -> bool:
    """No part of dots alone, and nothing below a file."""
    parents = {"/".join(path.split("/")[:depth]) for path in tree for depth in range(1, path.count("/") + 1)}
    return all(part.strip(".") for path in tree for part in path.split("/")) and not parents & tree.keys()


@given(tree=TREES.filter(_plain), form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_the_same_names_as_tarfile(tree: dict[str, bytes], form: int) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=form, encoding="utf-8") as archive:
        for path, data in tree.items():
            member = tarfile.TarInfo(f"top/{path}")
            member.size = len(data)
            try:
                archive.addfile(member, io.BytesIO(data))
            except ValueError:
                return  # too long a name for ustar
    assert read(raw.getvalue()).names == set(tree)


@settings(max_examples=300)
@given(data=st.data(), mode=st.sampled_from(["gz", "zip", "raw"]))
def test_damaged_archives_give_typed_errors(data: st.DataObject, mode: str) -> None:
    """A flip or a cut anywhere: an error of ours, or (where the damage is in nobody's way) a reading."""
    raw = make_zip(FILES) if mode == "zip" else make_tar(FILES)
    raw = gzip.decompress(raw) if mode == "raw" else raw
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = (
        raw[:at] if data.draw(st.booleans()) else raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    )
    damaged = compress(damaged, "gz") if mode == "raw" else damaged
    try:
        members = read(damaged, "sample-1.0.zip" if mode == "zip" else "sample-1.0.tar.gz")
    except (ArchiveError, LimitExceeded):
        return
    assert members.names
