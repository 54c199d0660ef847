"""What a wheel brings, read from its bytes: native code by its first bytes, import names, SBOMs."""

import io
import struct
import zlib
from hashlib import sha256

import pytest

from deep_lock.errors import ArchiveBroken
from deep_lock.index.wheel_contents import read_contents
from deep_lock.models.contents import EmbeddedSbom, FileContents
from tests.support.wheels import make_wheel

ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 100


def zip_of(name: bytes, deflated: bytes, data: bytes) -> bytes:
    """Return an archive with one member of these compressed bytes."""
    sizes = struct.pack("<3L", zlib.crc32(data), len(deflated), len(data))
    fixed = struct.pack("<4H", 0, 8, 0, 33) + sizes + struct.pack("<2H", len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<H", 20) + fixed + name + deflated
    central = b"PK\x01\x02" + struct.pack("<2H", 20, 20) + fixed + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name
    return local + central + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(central), len(local), 0)


def contents(**files: bytes | str) -> FileContents:
    raw = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    return read_contents(io.BytesIO(make_wheel(raw)), "sample-1.0-py3-none-any.whl")


@pytest.mark.parametrize(
    ("begin", "found"),
    [
        (ELF, "ELF"),
        (b"MZ\x90\0\x03\0", "PE"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "Mach-O"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "Mach-O"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", "Java class"),
        (b"\0asm\x01\0\0\0", "WebAssembly"),
        (b"!<arch>\nx", "static library"),
        (b"MZ is the beginning of a text", ""),
        (b"", ""),
    ],
)
def test_native_code_is_found_by_its_first_bytes_and_not_by_its_name(begin: bytes, found: str) -> None:
    assert contents(**{"sample/logo.png": begin, "sample/fake.so": b"text"}).native == (
        (("sample/logo.png", found),) if found else ()
    )


def test_empty_blocks_before_the_first_byte_hide_nothing() -> None:
    packer = zlib.compressobj(wbits=-15)
    blocks = b"\0\0\0\xff\xff" * 3000
    assert len(blocks) > 4096
    deflated = blocks + packer.compress(ELF) + packer.flush()
    raw = zip_of(b"sample/data.txt", deflated, ELF)
    assert read_contents(io.BytesIO(raw), "sample-1.0-py3-none-any.whl").native == (("sample/data.txt", "ELF"),)


def test_a_damaged_member_is_an_error() -> None:
    raw = zip_of(b"sample/data.txt", b"\xff\xff\xff", ELF)
    with pytest.raises(ArchiveBroken, match=r"sample-1\.0"):
        read_contents(io.BytesIO(raw), "sample-1.0-py3-none-any.whl")


def test_import_names_are_derived_from_packages_and_namespaces() -> None:
    found = contents(
        **{
            "sample/__init__.py": "",
            "sample/inner/__init__.py": "",
            "single.py": "",
            "space/part/__init__.py": "",
            "space/part/deep/x.py": "",
            "space/loose.cpython-313-x86_64-linux-gnu.so": "",
            "old/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
            "old/mine/__init__.py": "",
            "not-a-name/x.py": "",
        }
    )
    assert found.import_names == ("old.mine", "sample", "single", "space.loose", "space.part")
    assert found.import_namespaces == ("old", "space")
    assert not found.declares_imports


def test_declared_import_names_and_sboms() -> None:
    info = "sample-1.0.dist-info"
    head = "Metadata-Version: 2.5\nName: sample\nVersion: 1.0\n"
    raw = make_wheel(
        {"_sample.py": b"", f"{info}/sboms/auditwheel.cdx.json": b"{}"},
        replaced={
            f"{info}/METADATA": f"{head}Import-Name: sample\nImport-Name: _sample ; private\nImport-Namespace: s\n".encode()
        },
    )
    found = read_contents(io.BytesIO(raw), "sample-1.0-py3-none-any.whl")
    assert (found.import_names, found.import_namespaces, found.declares_imports) == (
        ("_sample", "sample"),
        ("s",),
        True,
    )
    digest = sha256(b"{}").hexdigest()
    assert found.sboms == (EmbeddedSbom(path=f"{info}/sboms/auditwheel.cdx.json", size=2, sha256=digest),)
