"""The one guard of TOML: size, nesting, dotted keys, numbers, characters."""

import pytest

from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.parsing.toml import MAX_TOML, line_of, parse_toml, read_toml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 1\na = 2", "x.toml: is not valid TOML"),
        ("a = " + "[" * 50_000, "x.toml: is nested too deeply"),
        ("a = " + "9" * 100_000, "x.toml: has a value that is out of bounds"),
        ("\n\na" + ".a" * 65 + " = 1", "x.toml:3: has a key of more than 64 dots"),
        ("[a" + " . a" * 50_000 + "]", "x.toml:1: has a key of more than 64 dots"),
        ("b = {a" + ".'a'" * 50_000 + " = 1}", "x.toml:1: has a key of more than 64 dots"),
        ("a = '\0'", "U\\+0000"),
        ("a = '\ud800'", "U\\+D800"),
        ("\ufeffa = 1", "x.toml: is not valid TOML"),
    ],
)
def test_faults(text: str, says: str) -> None:
    with pytest.raises(ProjectInvalid, match=says):
        parse_toml(text, "x.toml", ProjectInvalid)


@pytest.mark.parametrize(
    "text",
    ["a" + ".a" * 64 + " = 1", "a = '" + "." * 500 + "'", 'a = """\n' + ".x" * 500 + '"""', "a = 1 # " + "." * 99],
)
def test_few_dots_and_dots_elsewhere_are_read(text: str) -> None:
    assert parse_toml(text, "x.toml", ProjectInvalid)


def test_the_size_is_limited() -> None:
    with pytest.raises(LimitExceeded, match=f"at most {MAX_TOML} are read"):
        parse_toml("#" * (MAX_TOML + 1), "x.toml", ProjectInvalid)
    assert parse_toml("#" * 11, "x.toml", ProjectInvalid, limit=11) == {}


def test_a_file_of_the_user_may_begin_with_a_mark_and_has_lines() -> None:
    document, lines = read_toml('\ufeff[a]\r\nb = [\r\n  "c",\r\n]\r\n', "x.toml", ProjectInvalid)
    assert document == {"a": {"b": ["c"]}}
    assert line_of(lines.strings, "c", "a.b") == 3
    assert line_of(lines.keys, "b", "a") == 2
    assert line_of(lines.keys, "d", "a") is None
