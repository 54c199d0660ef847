"""File names are cut where the version begins and ends, with the project's name known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from deep_lock.index.file_entries import FileNames, FileSkipped

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
