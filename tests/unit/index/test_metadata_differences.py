"""Which fields of two readings of core metadata differ; tests/integration/test_served_metadata.py has them through the commands."""

import pytest

from deep_lock.index.metadata_differences import differences
from deep_lock.models.metadata import parse_metadata

TEXT = "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\nRequires-Python: >=3.8\nRequires-Dist: dep>=1\nProvides-Extra: more\n"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("Name: lib", "Name: other", "Name: first lib, then other"),
        ("Version: 1.0\n", "Version: 1.0.1\n", "Version: first 1.0, then 1.0.1"),
        (">=3.8", ">=3.9", "Requires-Python: first >=3.8, then >=3.9"),
        ("dep>=1", "dep>=2", "Requires-Dist: first dep>=1, then dep>=2"),
        ("Extra: more", "Extra: less", "Provides-Extra: first more, then less"),
        ("Version: 1.0\n", "Version: 1.0.0\n", ""),
        ("dep>=1", "Dep >= 1", ""),
    ],
)
def test_each_field(old: str, new: str, found: str) -> None:
    one, other = (parse_metadata(text.encode(), "x") for text in (TEXT, TEXT.replace(old, new)))
    assert differences(one, other, names=("first", "then")) == ((found,) if found else ())
