"""Sdists written to a disk: the same judgement as reading, the same bytes, and nothing outside of the folder."""

import gzip
import io
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock.builds import unpack as unpack_room
from deep_lock.builds.unpack import ZIP_EPOCH, unpack
from deep_lock.errors import (
    ArchiveAmbiguous,
    ArchiveBroken,
    ArchiveError,
    ArchiveTooBig,
    ArchiveUnsafe,
    DeepLockError,
    LimitExceeded,
)
from deep_lock.sdist import decompress
from deep_lock.sdist.source_tree import read_members
from tests.support.archives import PKG_INFO, make_tar, make_zip, pax, tar_gz, tar_member, tree_files
from tests.unit.sdist.test_source_tree import REFUSED

FILES = {"PKG-INFO": PKG_INFO, "pyproject.toml": b"[project]\n", "src/sample/__init__.py": b"x = 1\n", "empty": b""}
GOOD = tar_member(b"sample-1.0/PKG-INFO", PKG_INFO)
NAME = "sample-1.0.tar.gz"


def write(raw: bytes, folder: Path, filename: str = NAME) -> Path:
    """Unpack below a folder that has a neighbour, and see that only the folder was touched."""
    inside = folder / "inside"
    inside.mkdir()
    try:
        return unpack(io.BytesIO(raw), filename, inside)
    finally:
        assert [path.name for path in folder.iterdir()] == ["inside"]
        for path in inside.rglob("*"):
            assert path.resolve().is_relative_to(inside.resolve())


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz", "zip"])
def test_formats(mode: str, tmp_path: Path) -> None:
    raw = make_zip(FILES) if mode == "zip" else make_tar(FILES, mode=mode)
    top = write(raw, tmp_path, "sample-1.0.zip" if mode == "zip" else f"sample-1.0.tar.{mode}")
    assert top == tmp_path / "inside" / "sample-1.0"
    assert tree_files(top) == FILES


@pytest.mark.parametrize(("raw", "error"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_as_by_the_reader(raw: bytes, error: type[DeepLockError], tmp_path: Path) -> None:
    with pytest.raises(error):
        write(raw, tmp_path)


def _with(header: bytes, at: int, field: bytes) -> bytes:
    head = bytearray(header[:512])
    head[at : at + len(field)] = field
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return bytes(head) + header[512:]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(
    ("mode", "wanted"), [(b"0006777\0", 0o755), (b"0000100\0", 0o755), (b"0000000\0", 0o644), (b"nothing\0", 0o644)]
)
def test_modes(mode: bytes, wanted: int, tmp_path: Path) -> None:
    top = write(tar_gz(_with(tar_member(b"sample-1.0/run", b"#!"), 100, mode)), tmp_path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((top / "run").stat().st_mode) == wanted & ~umask


@pytest.mark.parametrize(
    ("member", "wanted"),
    [
        (_with(GOOD, 136, b"14000000000\0"), 0o14000000000),
        (pax(mtime="1500000000.75") + GOOD, 1_500_000_000),
        (GOOD, ZIP_EPOCH),
        (_with(GOOD, 136, b"77777777777\0"), ZIP_EPOCH),
        (pax(mtime="99999999999") + GOOD, ZIP_EPOCH),
        (pax(mtime="-5") + GOOD, ZIP_EPOCH),
        (_with(GOOD, 136, b"\x80" + b"\xff" * 11), ZIP_EPOCH),
    ],
)
def test_times(member: bytes, wanted: int, tmp_path: Path) -> None:
    assert (write(tar_gz(member), tmp_path) / "PKG-INFO").stat().st_mtime == wanted


def test_of_two_files_of_one_name_the_last_stays(tmp_path: Path) -> None:
    twice = [tar_member(b"sample-1.0/a.py", data) for data in (b"longer = 1", b"b = 2")]
    assert (write(tar_gz(GOOD, *twice), tmp_path) / "a.py").read_bytes() == b"b = 2"


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a right there")
def test_links(tmp_path: Path) -> None:
    links = [
        tar_member(b"sample-1.0/docs/README", kind=b"2", target=b"../PKG-INFO"),
        tar_member(b"sample-1.0/dangling", kind=b"2", target=b"nowhere"),
        tar_member(b"sample-1.0/second", kind=b"1", target=b"sample-1.0/first"),
        tar_member(b"sample-1.0/first", kind=b"1", target=b"sample-1.0/PKG-INFO"),
    ]
    top = write(tar_gz(*links, GOOD), tmp_path)
    assert (top / "docs" / "README").readlink() == Path("../PKG-INFO")
    assert (top / "dangling").is_symlink()
    assert not (top / "second").is_symlink()
    assert (top / "second").read_bytes() == (top / "first").read_bytes() == PKG_INFO
    (top / "first").write_bytes(b"")
    assert (top / "PKG-INFO").read_bytes() == PKG_INFO


def test_where_there_are_no_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: str) -> None:
        raise OSError(1314, f"a required privilege is not held: {self} to {target}")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    near = tar_member(b"sample-1.0/docs/README", kind=b"2", target=b"../PKG-INFO")
    far = tar_member(b"sample-1.0/all", kind=b"2", target=b"docs")
    top = write(tar_gz(GOOD, near), tmp_path)
    assert (top / "docs" / "README").read_bytes() == PKG_INFO
    (tmp_path / "inside").rename(tmp_path.parent / f"{tmp_path.name}-done")
    with pytest.raises(ArchiveUnsafe, match="cannot be made"):
        write(tar_gz(GOOD, near, far), tmp_path)


def test_hard_links_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "MAX_DECOMPRESSED", 100_000)
    big = tar_member(b"sample-1.0/big", b"\0" * 40_000)
    links = [tar_member(b"sample-1.0/%d" % n, kind=b"1", target=b"sample-1.0/big") for n in range(3)]
    with pytest.raises(ArchiveTooBig):
        write(tar_gz(big, *links), tmp_path)


@pytest.mark.parametrize("mode", ["gz", "zip"])
def test_size_limit(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "MAX_DECOMPRESSED", 100_000)
    bomb = {"zeros": b"\0" * 3_000_000}
    raw = make_zip(bomb) if mode == "zip" else make_tar(bomb)
    with pytest.raises(ArchiveTooBig):
        write(raw, tmp_path, "s-1.zip" if mode == "zip" else "s-1.tar.gz")


def test_a_name_that_the_disk_does_not_take(tmp_path: Path) -> None:
    long = "sample-1.0/" + "n" * 400
    with pytest.raises(ArchiveBroken, match="cannot be written here"):
        write(tar_gz(pax(path=long), tar_member(b"x")), tmp_path)


def test_names_that_are_one_on_this_disk(tmp_path: Path) -> None:
    """As on a disk where case does not count."""
    inside = tmp_path / "inside" / "sample-1.0"
    inside.mkdir(parents=True)
    with pytest.raises(ArchiveAmbiguous, match="the same on this file system"):
        unpack(io.BytesIO(tar_gz(GOOD)), NAME, tmp_path / "inside")


def test_a_link_that_was_there_before_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "sample-1.0").symlink_to(tmp_path)
    with pytest.raises(ArchiveAmbiguous):
        unpack(io.BytesIO(tar_gz(GOOD)), NAME, tmp_path / "inside")
    assert not (tmp_path / "PKG-INFO").exists()


@pytest.mark.parametrize("name", ["con", "NUL.txt", "com1.tar.gz", "a.", "a ", "a:b", "what?"])
def test_names_that_windows_takes_for_something_else(name: str) -> None:
    assert unpack_room._ODD_ON_WINDOWS.search(name)


@pytest.mark.parametrize("name", ["icon", "console.py", "null", ".gitignore", "a b", "com.py", "communicate"])
def test_names_that_windows_takes_as_they_are(name: str) -> None:
    assert not unpack_room._ODD_ON_WINDOWS.search(name)


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "PKG-INFO", "ü"]), min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([b"0", b"0", b"0", b"5", b"1", b"2", b"3"])


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Members that may well get into each other's way."""
    members = []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(KINDS)
        front = draw(st.sampled_from(["s/"] * 8 + ["", "/", "./s/", "t/"]))
        target = draw(st.sampled_from(["", "s/", "../"])) + draw(NAMES) if kind in b"12" else ""
        data = draw(st.binary(max_size=600)) if kind == b"0" else b""
        members.append(tar_member((front + draw(NAMES)).encode(), data, kind, target.encode()))
    return tar_gz(*members)


@settings(max_examples=400, deadline=None)
@given(raw=archives())
def test_what_is_read_is_what_is_written(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            members = read_members(io.BytesIO(raw), NAME)
        except (ArchiveError, LimitExceeded) as refusal:
            with pytest.raises(type(refusal)):
                write(raw, folder)
            return
        top = write(raw, folder)
        assert top.name == members.top
        there = {
            p.relative_to(top).as_posix(): p.read_bytes() for p in top.rglob("*") if p.is_file() and not p.is_symlink()
        }
        assert there.keys() >= members.names
        assert all(there[name] == data for name, data in members.files.items())


@settings(max_examples=200, deadline=None)
@given(data=st.data(), mode=st.sampled_from(["gz", "zip", "raw"]))
def test_damaged_archives_give_typed_errors(data: st.DataObject, mode: str) -> None:
    raw = make_zip(FILES) if mode == "zip" else make_tar(FILES)
    raw = gzip.decompress(raw) if mode == "raw" else raw
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    damaged = gzip.compress(damaged, mtime=0) if mode == "raw" else damaged
    with tempfile.TemporaryDirectory() as temporary:
        try:
            write(damaged, Path(temporary), "sample-1.0.zip" if mode == "zip" else NAME)
        except (ArchiveError, LimitExceeded):
            return
