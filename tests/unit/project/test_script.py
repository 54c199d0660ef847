"""Inline script metadata (PEP 723)."""

import pytest

from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.project.script import read_script

BLOCK = """\
#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests<3",
#   "rich",
# ]
# [tool.deep-lock]
# resolution = "lowest"
# ///

import requests
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_block_is_read(end: str) -> None:
    project = read_script(BLOCK.replace("\n", end), "x.py")
    assert project.requires_python == ">=3.11"
    assert [f"{one} from {one.origin}" for one in project.dependencies] == [
        "requests<3 from x.py:5 [dependencies]",
        "rich from x.py:6 [dependencies]",
    ]
    assert project.tools["deep-lock"] == {"resolution": "lowest"}
    assert project.name is None
    assert project.build_system is None


def test_blocks_of_other_types_are_not_ours() -> None:
    other = "# /// other\n# dependencies = 5\n# /// script\n# ///\n"
    assert [str(one) for one in read_script(other + BLOCK, "x.py").dependencies] == ["requests<3", "rich"]


def test_an_unclosed_block_is_ignored() -> None:
    assert read_script(BLOCK + "# /// script\n# dependencies = []\n", "x.py").dependencies
    with pytest.raises(ProjectInvalid, match="has no script block"):
        read_script("# /// script\n# dependencies = []\n", "x.py")


def test_a_comment_end_inside_belongs_to_the_block() -> None:
    # the last "# ///" of a run of comment lines closes the block (the specification's example)
    text = "# /// script\n# dependencies = ['a']\n#\n# # ///\n# ///\n"
    assert [str(one) for one in read_script(text, "x.py").dependencies] == ["a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import os\n", "x.py: has no script block"),
        (BLOCK + BLOCK, "x.py:14: a second script block"),
        ("# /// script\n# a = \n# ///\n", "line 2"),
        ("# /// script\n# dependencies = 'a'\n# ///\n", "dependencies must be a list of strings, not a string"),
        ("# /// script\n# dependencys = []\n# ///\n", "'dependencys' is not a key of a script block"),
        ("# /// script\n# requires-python = 'new'\n# ///\n", "requires-python 'new' is not a valid version specifier"),
        ("# /// script\n# tool = 1\n# ///\n", "tool must be a table"),
        ("# /// script\n# tool.deep-lock = 1\n# ///\n", "tool.deep-lock must be a table"),
        ("# /// script\n#dependencies = []\n# ///\n", "has no script block"),
    ],
)
def test_faults(text: str, says: str) -> None:
    with pytest.raises(ProjectInvalid) as caught:
        read_script(text, "x.py")
    assert says in caught.value.message


def test_blocks_without_end_cost_no_time() -> None:
    with pytest.raises(LimitExceeded):
        read_script("# /// a\n" * 100_000, "x.py")
