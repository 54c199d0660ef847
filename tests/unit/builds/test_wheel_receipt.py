"""A receipt is added to a wheel, and nothing else of the wheel changes."""

import io
import zipfile
from pathlib import Path

import pytest

from deep_lock.builds.wheel_install import install_wheel
from deep_lock.builds.wheel_receipt import add_receipt
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken
from tests.support.wheels import make_wheel

NAME = "sample-1.0-py3-none-any.whl"
PATH = "sample-1.0.dist-info/deep-lock.json"


def with_receipt(folder: Path, wheel: bytes) -> bytes:
    path = folder / NAME
    path.write_bytes(wheel)
    new = io.BytesIO()
    add_receipt(path, b"{}\n", new)
    return new.getvalue()


def members(wheel: bytes) -> dict[str, tuple[bytes, int, tuple[int, ...]]]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return {
            entry.filename: (archive.read(entry), entry.external_attr, entry.date_time) for entry in archive.infolist()
        }


def test_every_other_member_stays_and_the_wheel_can_be_installed(tmp_path: Path) -> None:
    wheel = make_wheel({"sample.py": b"pass\n", "sample/run": b"#!x\n"}, executable=frozenset({"sample/run"}))
    old, made = members(wheel), with_receipt(tmp_path, wheel)
    new = members(made)
    assert new.keys() == {*old, PATH}
    changed = [name for name in old if old[name] != new[name]]
    assert changed == ["sample-1.0.dist-info/RECORD"]
    assert with_receipt(tmp_path, wheel) == made
    (tmp_path / NAME).write_bytes(made)
    schemes = dict.fromkeys(("purelib", "platlib", "headers", "scripts", "data"), tmp_path / "site")
    install_wheel(tmp_path / NAME, NAME, schemes=schemes, python=Path("python"), owners={})  # checks RECORD
    assert (tmp_path / "site" / PATH).read_bytes() == b"{}\n"


def test_a_receipt_of_the_backend_and_a_wheel_without_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveAmbiguous, match="only deep-lock may write"):
        with_receipt(tmp_path, make_wheel({PATH: b"{}"}))
    with pytest.raises(ArchiveBroken, match="no RECORD"):
        with_receipt(tmp_path, make_wheel({"sample.py": b""}, replaced={"sample-1.0.dist-info/RECORD": None}))
    with pytest.raises(ArchiveBroken):
        with_receipt(tmp_path, b"PK")
