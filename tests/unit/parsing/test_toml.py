"""The one guard of TOML: size, nesting, dotted keys, numbers, characters. TOML 1.1 is read, with its lines."""

import subprocess
import sys
import tomllib
from datetime import UTC, datetime, time
from typing import Any

import pytest
import tomlkit
from hypothesis import example, given
from hypothesis import strategies as st

from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.parsing.toml import MAX_TOML, line_of, parse_toml, read_toml

# No thread that Python starts on a supported platform has a smaller stack (musl and Windows: 1 MiB).
SMALL_STACK = """
import sys, threading
from deep_lock.errors import ProjectInvalid
from deep_lock.parsing.toml import MAX_TOML, read_toml

texts = {"arrays": ("[", "]"), "tables": ("{a=", "}"), "both": ("[{a=", "}]"), "open": ("[", "")}

def read():
    for before, after in texts.values():
        for depth in (100, 399, 400, 401, 1_000, 10_000, 100_000):
            text = f"a = {before * depth}1{after * depth}"[:MAX_TOML]
            try:
                read_toml(text, "x.toml", ProjectInvalid)
                print("read")
            except ProjectInvalid as error:
                print(error.message[:28])

threading.stack_size(1024 * 1024)
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


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
    with pytest.raises(LimitExceeded, match=f"at most {MAX_TOML} are allowed"):
        parse_toml("#" * (MAX_TOML + 1), "x.toml", ProjectInvalid)
    assert parse_toml("#" * 11, "x.toml", ProjectInvalid, limit=11) == {}


def test_a_file_of_the_user_may_begin_with_a_mark_and_has_lines() -> None:
    document, lines = read_toml('\ufeff[a]\r\nb = [\r\n  "c",\r\n]\r\n', "x.toml", ProjectInvalid)
    assert document == {"a": {"b": ["c"]}}
    assert line_of(lines.strings, "c", "a.b") == 3
    assert line_of(lines.keys, "b", "a") == 2
    assert line_of(lines.keys, "d", "a") is None


TOML_1_1 = """
[project]
dynamic = { # a comment
  readme = "README.md",

  "x" = ["a", { b = "c", }, "d"],
}
one = "\\e[0m\\x41"
seven = 07:32
since = 2026-01-02T03:04Z
"""


def test_toml_1_1_is_read() -> None:
    assert parse_toml(TOML_1_1, "x.toml", ProjectInvalid)["project"] == {
        "dynamic": {"readme": "README.md", "x": ["a", {"b": "c"}, "d"]},
        "one": "\x1b[0mA",
        "seven": time(7, 32),
        "since": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    }


LINES = """\
dotted.key.one = 1
dotted.key.two = 1
[project]
"quoted" = "q" # "no"
optional-dependencies = {
  dev = ["a", "b"],
  "docs" = [
    "c", { inner = "x" },
    ["nested"],
  ],
  "last" = ["a"], more.of.it = "e",
}
after = '''
long '''
[tool."a.b".c]
array = [
  ["nested"],
  {
    key = "f"
  },
]
end = "g"
[tool]
c = 1
"""


@pytest.mark.parametrize(
    ("kind", "text", "place", "line"),
    [
        ("keys", "dotted", "", 1),
        ("keys", "two", "dotted.key", 2),
        ("keys", "quoted", "project", 4),
        ("strings", "q", "project.quoted", 4),
        ("keys", "optional-dependencies", "project", 5),
        ("keys", "dev", "project.optional-dependencies", 6),
        ("strings", "b", "project.optional-dependencies.dev", 6),
        ("strings", "a", "project.optional-dependencies.dev", 6),
        ("strings", "c", "project.optional-dependencies.docs", 8),
        ("strings", "x", "project.optional-dependencies.docs", 8),
        ("strings", "nested", "project.optional-dependencies.docs", 9),
        ("strings", "a", "project.optional-dependencies.last", 11),
        ("keys", "it", "project.optional-dependencies.more.of", 11),
        ("strings", "e", "project.optional-dependencies.more.of.it", 11),
        ("keys", "after", "project", 13),
        ("keys", "c", "tool.a.b", 15),
        ("strings", "nested", "tool.a.b.c.array", 17),
        ("keys", "key", "tool.a.b.c.array", 19),
        ("strings", "f", "tool.a.b.c.array", 19),
        ("keys", "end", "tool.a.b.c", 22),
        ("keys", "tool", "", 23),
        ("keys", "c", "tool", 24),
        ("keys", "no", "", None),
    ],
)
def test_lines_of_strings_and_keys(kind: str, text: str, place: str, line: int | None) -> None:
    found = read_toml(LINES, "x.toml", ProjectInvalid)[1]
    assert line_of(getattr(found, kind), text, place) == line


def test_no_nesting_ends_the_process() -> None:
    ran = subprocess.run([sys.executable, "-c", SMALL_STACK], check=True, capture_output=True, text=True)
    answers = ran.stdout.split("\n")[:-1]
    assert len(answers) == 28
    assert set(answers) == {"read", "x.toml: is nested too deeply", "x.toml: is not valid TOML: U"}
    assert answers[4:7] == answers[11:14] == answers[-3:] == ["x.toml: is nested too deeply"] * 3


_SCALARS = (
    st.text(st.characters(codec="utf-8"), max_size=8)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.times()
)
_TABLES = st.dictionaries(
    st.text(max_size=4, alphabet=st.characters(codec="utf-8")),
    st.recursive(
        _SCALARS, lambda own: st.lists(own, max_size=3) | st.dictionaries(st.text("ab.é", max_size=3), own, max_size=3)
    ),
    max_size=4,
)


@given(_TABLES)
def test_what_the_standard_library_reads_is_read_alike(table: dict[str, Any]) -> None:
    text = tomlkit.dumps(table)
    assert parse_toml(text, "x.toml", ProjectInvalid) == tomllib.loads(text) == table


@given(st.text("ab=[]{}.,\"'\\\n\r\t #019-:+_TZexu\x00é\ud800", max_size=40))
@example("a=1979-05-27T07:32:00+99:99")
@example("a=0001-01-01T00:00:00+23:59")
def test_no_text_raises_another_error(text: str) -> None:
    try:
        document, _ = read_toml(text, "x.toml", ProjectInvalid)
    except (ProjectInvalid, LimitExceeded):
        return
    try:
        older = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError:
        return  # TOML 1.1
    assert document == older
