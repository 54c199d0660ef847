"""Every file of an archive: digest, kind and text. The archive's own faults are those of other readers."""

import io
from hashlib import sha256

import pytest

from deep_lock.errors import ArchiveUnsafe
from deep_lock.models.contents import ArchivedFile
from deep_lock.sdist import archive_tree
from tests.support.archives import make_tar, tar_gz, tar_member
from tests.support.wheels import make_wheel


def test_texts_binaries_and_links_of_an_sdist() -> None:
    files = {
        "a.txt": b"one\ntwo",
        "b.bin": b"\x7fELF\0",
        "empty": b"",
        "latin.py": b"# \xe9\n",
        "x/y.pth": b"import os\n",
        "src/sitecustomize.py": b"",
    }
    members = [tar_member(f"sample-1.0/{name}".encode(), data) for name, data in files.items()]
    raw = tar_gz(*members, tar_member(b"sample-1.0/link", kind=b"2", target=b"a.txt"))
    tree = archive_tree.read_tree(io.BytesIO(raw), "sample-1.0.tar.gz")
    kinds = {path: (own.kind, own.lines, own.native) for path, own in tree.files.items()}
    assert kinds == {
        "a.txt": ("text", 2, ""),
        "b.bin": ("binary", 0, "ELF"),
        "empty": ("text", 0, ""),
        "latin.py": ("text", 1, ""),
        "x/y.pth": ("text", 1, ""),
        "src/sitecustomize.py": ("text", 0, ""),
        "link": ("link", 0, ""),
    }
    assert tree.files["link"].text == b"a.txt"
    assert tree.files["a.txt"].sha256 == sha256(b"one\ntwo").hexdigest()
    found = archive_tree.sdist_contents(tree)
    assert (found.startup, found.native) == (
        (("src/sitecustomize.py", ""), ("x/y.pth", "import os\n")),
        (("b.bin", "ELF"),),
    )


def test_a_wheel_has_no_version_in_its_paths() -> None:
    raw = make_wheel({"sample/__init__.py": b"x = 1\n", "sample-1.0.data/scripts/run": b"#!python\n"})
    paths = archive_tree.read_tree(io.BytesIO(raw), "sample-1.0-py3-none-any.whl").files
    assert {"sample/__init__.py", "sample.data/scripts/run", "sample.dist-info/METADATA"} < paths.keys()


def test_two_folders_with_one_name_are_kept_apart() -> None:
    raw = make_wheel({"sample-0.9.dist-info/METADATA": b"Name: other\n"})
    paths = archive_tree.read_tree(io.BytesIO(raw), "sample-1.0-py3-none-any.whl").files
    assert {"sample.dist-info/METADATA", "sample-1.0.dist-info/METADATA"} < paths.keys()


def test_a_text_over_the_limit_has_a_digest_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_tree, "MAX_TEXTS", 5)
    tree = archive_tree.read_tree(io.BytesIO(make_tar({"a": b"1\n2\n", "b": b"3\n"})), "sample-1.0.tar.gz")
    assert [(own.text, own.lines) for own in tree.files.values()] == [(b"1\n2\n", 2), (None, 1)]
    assert isinstance(tree.files["b"], ArchivedFile)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x"])
def test_a_member_outside_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ArchiveUnsafe):
        archive_tree.read_tree(io.BytesIO(make_wheel({name: b""})), "sample-1.0-py3-none-any.whl")
