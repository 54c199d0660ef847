"""File names of sdists."""

import pytest
from packaging.utils import InvalidSdistFilename
from packaging.version import Version

from deep_lock.models.distribution import SDIST_SUFFIXES, parse_sdist_filename, sdist_stem


@pytest.mark.parametrize("suffix", SDIST_SUFFIXES)
def test_each_format_gives_name_and_version(suffix: str) -> None:
    assert sdist_stem(f"a-1.0{suffix}") == "a-1.0"
    assert parse_sdist_filename(f"My_Pkg-1.0{suffix}") == ("my-pkg", Version("1.0"))


@pytest.mark.parametrize("filename", ["a-1.0", "a-1.0.tar.Z", "a-1.0.tar", "a-1.0.tgz", "a-1.0.whl", ".tar.gz", ""])
def test_another_suffix_is_no_sdist(filename: str) -> None:
    assert not sdist_stem(filename)
    with pytest.raises(InvalidSdistFilename):
        parse_sdist_filename(filename)
