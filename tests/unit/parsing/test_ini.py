"""The INI dialect: the language of the standard parser, with line numbers."""

import configparser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deep_lock.errors import ProjectInvalid
from deep_lock.parsing.ini import read_ini

scraps = st.sampled_from(
    ["[a]", "[b]", "[", "]", "x", "Y-z", "=", ":", " ", "  ", "\t", "\n", "\n", "\n  ", "#", ";", "%(x)s", "é"]
)


@given(st.lists(scraps, max_size=14).map("".join))
@example("[a]\nx = 1\n\n  2\n # 3\n\n")
@example("[a]\n  x = 1\n  y = 2\n   z")
@example("[a]b]\nx=1")
@example("[][a]")
def test_the_dialect_is_the_standard_parsers(text: str) -> None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        theirs = {name: dict(parser.items(name)) for name in parser.sections()}
    except configparser.Error:
        with pytest.raises(ProjectInvalid):
            read_ini(text, "setup.cfg")
        return
    assert {
        name: {key: str(value) for key, value in options.items()} for name, options in read_ini(text, "x").items()
    } == theirs


def test_case_is_kept_where_it_is_wanted() -> None:
    assert list(read_ini("[a]\nKey-One = 1", "x")["a"]) == ["key-one"]
    assert list(read_ini("[a]\nKey-One = 1\nkey-one = 2", "x", keep_case=True)["a"]) == ["Key-One", "key-one"]
    with pytest.raises(ProjectInvalid, match="x:3: the option occurs twice"):
        read_ini("[a]\nKey = 1\nkey = 2", "x")
