"""Editing TOML of the user: only the lines that must change do."""

import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from deep_lock.errors import ProjectInvalid, Stale, UsageError
from deep_lock.files import Replacement
from deep_lock.parsing.toml import parse_toml
from deep_lock.project import edit
from deep_lock.project.script import read_script

Make = Callable[[str], edit.Document]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def document(text: str) -> edit.Document:
        path = tmp_path / "pyproject.toml"
        path.write_bytes(text.encode())
        return edit.open_document(path)

    return document


@pytest.mark.parametrize(
    ("before", "index", "after"),
    [
        ('["b", "d"]', 0, '["new", "b", "d"]'),
        ('["b", "d"]', 1, '["b", "new", "d"]'),
        ('["b", "d"]', 2, '["b", "d", "new"]'),
        ("['b', 'd']", 2, "['b', 'd', 'new']"),
        ('["b",]', 1, '["b", "new",]'),
        ("[]", 0, '["new"]'),
        ("[ ]", 0, '[ "new" ]'),
        ("[\n]", 0, '[\n    "new",\n]'),
        ("[\n  # none\n]", 0, '[\n  # none\n  "new",\n]'),
        ('[\n    "b",\n    "d",\n]', 1, '[\n    "b",\n    "new",\n    "d",\n]'),
        ('[\n\t"b",\n\t"d",\n\t]', 2, '[\n\t"b",\n\t"d",\n\t"new",\n\t]'),
        ('[\n  "b",\n  "d"\n]', 2, '[\n  "b",\n  "d",\n  "new"\n]'),
        ('[\n  "b", # b\n  # d\n  "d" # d\n  # end\n]', 1, '[\n  "b", # b\n  "new",\n  # d\n  "d" # d\n  # end\n]'),
        ('[\n  "b", # b\n  # d\n  "d" # d\n  # end\n]', 2, '[\n  "b", # b\n  # d\n  "d", # d\n  "new"\n  # end\n]'),
        ('["b",\n "d"]', 0, '["new",\n "b",\n "d"]'),
        ('["b",\n "d"]', 2, '["b",\n "d",\n "new"]'),
        ('[\n  "b", "c",\n  "d", "e",\n]', 1, '[\n  "b", "new", "c",\n  "d", "e",\n]'),
        ('[\n  "b", "c",\n  "d", "e",\n]', 4, '[\n  "b", "c",\n  "d", "e",\n  "new",\n]'),
        ('[\n    "b"\n  , "d"\n]', 0, '[\n    "new"\n  , "b"\n  , "d"\n]'),
        ('[\n    "b"\n  , "d"\n]', 2, '[\n    "b"\n  , "d"\n  , "new"\n]'),
        ('["b, [c]", {include-group = "x"}, """d\n]"""]', 2, '["b, [c]", {include-group = "x"}, "new", """d\n]"""]'),
        ("['b', {include-group = 'x'}]", 1, "['b', 'new', {include-group = 'x'}]"),
    ],
)
def test_a_value_is_inserted_in_the_style_of_its_array(make: Make, before: str, index: int, after: str) -> None:
    document = make(f"# top\nother = 1\nlist = {before} # comment\nmore = 2\n")
    edited = edit.with_item(document, ("list",), index, "new")
    assert edited.text == f"# top\nother = 1\nlist = {after} # comment\nmore = 2\n"
    assert edit.without_item(edited, ("list",), index).text == document.text


@pytest.mark.parametrize(
    ("before", "index", "after"),
    [
        ('["b"]', 0, "[]"),
        ('["b", "d"]', 0, '["d"]'),
        ('["b", "d"]', 1, '["b"]'),
        ('[ "b", "d", ]', 1, '[ "b", ]'),
        ('[\n  "b",\n]', 0, "[\n]"),
        ('[\n  # b\n  "b", # of b\n  "d" # of d\n]', 0, '[\n  # b\n  "d" # of d\n]'),
        ('[\n  # b\n  "b", # of b\n  "d" # of d\n]', 1, '[\n  # b\n  "b" # of b\n]'),
        ('["b", # of b\n "d"]', 0, '[ # of b\n "d"]'),
        ('["b", # of b\n "d"]', 1, '["b" # of b\n ]'),
        ('[\n    "b"\n  , "d" # of d\n  , "e"\n]', 1, '[\n    "b"\n  ,  # of d\n   "e"\n]'),
    ],
)
def test_a_value_is_removed_with_its_line(make: Make, before: str, index: int, after: str) -> None:
    assert edit.without_item(make(f"list = {before}\n"), ("list",), index).text == f"list = {after}\n"


def test_a_value_is_replaced_at_its_place(make: Make) -> None:
    document = make("list = [\n  'b', # of b\n  \"d\",\n]\n")
    edited = edit.with_replaced(edit.with_replaced(document, ("list",), 0, "b>=1"), ("list",), 1, 'd; python == "3"')
    assert edited.text == "list = [\n  'b>=1', # of b\n  'd; python == \"3\"',\n]\n"


def test_a_long_line_becomes_one_line_for_each_value(make: Make) -> None:
    long = "x" * 70
    edited = edit.with_item(make(f'list = ["{long}"]\n'), ("list",), 1, "another-name")
    assert edited.text == f'list = [\n    "{long}",\n    "another-name",\n]\n'


@pytest.mark.parametrize(
    ("before", "keys", "after"),
    [
        ('[project]\nname = "a"\n', ("project", "x"), '[project]\nname = "a"\nx = ["v"]\n'),
        ('[project]\nname = "a"', ("project", "x"), '[project]\nname = "a"\nx = ["v"]'),
        ("[project]\n\n[tool.x]\n", ("project", "x"), '[project]\nx = ["v"]\n\n[tool.x]\n'),
        (
            '[project]\n  name = "a"\n# of tool\n\n# more\n[tool.x]\n',
            ("project", "x"),
            '[project]\n  name = "a"\n  x = ["v"]\n# of tool\n\n# more\n[tool.x]\n',
        ),
        (
            '[project]\nname = "a"\n\n[tool.x]\n\n[project.scripts]\nb = "c"\n',
            ("project", "x"),
            '[project]\nname = "a"\nx = ["v"]\n\n[tool.x]\n\n[project.scripts]\nb = "c"\n',
        ),
        (
            '[project.scripts]\nb = "c"\n\n["project"]\nname = "a"\n',
            ("project", "x"),
            '[project.scripts]\nb = "c"\n\n["project"]\nname = "a"\nx = ["v"]\n',
        ),
        ('project.name = "a"\n', ("project", "x"), 'project.name = "a"\nproject.x = ["v"]\n'),
        ('x = ["old"] # c\n', ("x",), 'x = ["v"] # c\n'),
        ("[tool.a]\n[tool.b]\nc = 1\n", ("tool", "b", "x"), '[tool.a]\n[tool.b]\nc = 1\nx = ["v"]\n'),
    ],
)
def test_a_key_is_set_below_the_last_key_of_its_table(make: Make, before: str, keys: edit.Keys, after: str) -> None:
    assert edit.with_value(make(before), keys, ["v"]).text == after


def test_a_key_of_an_inline_table_is_set_inside_it(make: Make) -> None:
    edited = edit.with_value(make('project = {name = "a", y = 1} # c\n'), ("project", "x"), ["v"])
    assert edited.data == {"project": {"name": "a", "y": 1, "x": ["v"]}}
    assert edited.text.startswith('project = {name = "a", y = 1,')
    assert edited.text.endswith("} # c\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[new]\na = 1\n"),
        ("[x]\nb = 1\n", "[x]\nb = 1\n\n[new]\na = 1\n"),
        ("[x]\nb = 1", "[x]\nb = 1\n\n[new]\na = 1"),
        (
            "[project]\nb = 1\n\n[project.urls]\nc = [\n[\n'project']]\n\n# of x\n[x]\n",
            "[project]\nb = 1\n\n[project.urls]\nc = [\n[\n'project']]\n\n[new]\na = 1\n\n# of x\n[x]\n",
        ),
        ("[project]\nb = 1\n[x]\n", "[project]\nb = 1\n\n[new]\na = 1\n\n[x]\n"),
    ],
)
def test_a_table_is_placed_below_a_related_one(make: Make, before: str, after: str) -> None:
    assert edit.with_table(make(before), "[new]\na = 1\n", after=[("none",), ("project",)]).text == after


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("final", [True, False])
def test_the_bytes_around_stay(tmp_path: Path, end: str, begin: str, *, final: bool) -> None:
    path = tmp_path / "pyproject.toml"
    text = begin + end.join(["# comment", "list = [", '  "b",', "]"]) + (end if final else "")
    path.write_bytes(text.encode())
    document = edit.open_document(path)
    assert edit.to_bytes(document) == text.encode()
    edited = edit.to_bytes(edit.with_item(document, ("list",), 1, "d")).decode()
    assert edited == text.replace(f'"b",{end}', f'"b",{end}  "d",{end}')


def test_a_script_block_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "tool.py"
    text = '#!/usr/bin/env python\n# /// script\n# dependencies = [\n#   "b", # of b\n#\n# \n# ]\n# ///\nprint("x")\n'
    path.write_text(text, encoding="utf-8")
    edited = edit.with_item(edit.open_document(path, script=True), ("dependencies",), 1, "d")
    assert edit.to_bytes(edited).decode() == text.replace("# of b\n", '# of b\n#   "d",\n')


def test_a_line_of_a_script_ends_with_a_line_feed_only(tmp_path: Path) -> None:
    path = tmp_path / "tool.py"
    text = "# /// script\n# # one \u2028 line \x85\n# dependencies = []\n# ///\n"
    path.write_bytes(text.encode())
    edited = edit.with_item(edit.open_document(path, script=True), ("dependencies",), 0, "b")
    assert edit.to_bytes(edited).decode() == text.replace("[]", '["b"]')
    assert [own.name for own in read_script(edit.to_bytes(edited).decode(), "tool.py").dependencies] == ["b"]


def test_what_tomlkit_changes_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    document = make('list = ["b"]\nother = 1\n')
    dumps = tomlkit.dumps
    monkeypatch.setattr(tomlkit, "dumps", lambda tree: dumps(tree).replace("other = 1", "other = 2"))
    with pytest.raises(ProjectInvalid, match="other values of the file"):
        edit.with_item(document, ("list",), 1, "d")


def test_the_time_is_linear_in_the_number_of_tables(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    document = make("".join(f"[tool.t{number}]\na = [\n[1]\n]\n" for number in range(200)))
    read: list[int] = []

    def counted(text: str, source: str, error: type[ProjectInvalid], **limits: int) -> dict[str, Any]:
        read.append(len(text))
        return parse_toml(text, source, error, **limits)

    monkeypatch.setattr(edit, "parse_toml", counted)
    edited = edit.with_table(document, "[groups]\nx = 1\n", after=[("tool", "t7")])
    assert "[tool.t7]\na = [\n[1]\n]\n\n[groups]\nx = 1\n\n[tool.t8]" in edited.text
    assert sum(read) < 10 * len(document.text)


@pytest.mark.parametrize("before", ["a = {x = 1}\n", "a.b = 1\n"])
def test_a_table_that_cannot_be_continued_is_named(make: Make, before: str) -> None:
    with pytest.raises(ProjectInvalid, match="is written in braces or as dotted keys") as caught:
        edit.with_table(make(before), "[a]\ny = 1\n")
    assert " line " not in caught.value.message


# -- files and lines


def test_a_file_that_another_program_wrote_is_not_overwritten(make: Make) -> None:
    document = edit.with_value(make('a = "1"\n'), ("a",), "2")
    document.path.write_text('a = "3"\n', encoding="utf-8")
    with pytest.raises(Stale, match="another program wrote it"):
        edit.write(document)
    assert document.path.read_text(encoding="utf-8") == 'a = "3"\n'


def test_a_new_file_is_written_only_where_there_is_none(tmp_path: Path) -> None:
    document = edit.with_table(edit.new_document(tmp_path / "new.toml"), 'a = "1"')
    document.path.write_text("# mine\n", encoding="utf-8")
    with pytest.raises(Stale, match="another program wrote it"):
        edit.write(document)
    document.path.unlink()
    assert edit.difference(document) == '--- /dev/null\n+++ b/new.toml\n@@ -0,0 +1 @@\n+a = "1"\n'
    edit.write(document)
    assert document.path.read_text(encoding="utf-8") == 'a = "1"\n'
    assert [path.name for path in tmp_path.iterdir()] == ["new.toml"]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("a", "x", 'a = "x"'),
        ("a", 'a "quoted" one', "a = 'a \"quoted\" one'"),
        ("a", "both \" and '", 'a = "both \\" and \'"'),
        ("with.dot", "x", '"with.dot" = "x"'),
        ("a", ["x", "y"], 'a = ["x", "y"]'),
        ("a", ["x" * 50, "y" * 50], f'a = [\n    "{"x" * 50}",\n    "{"y" * 50}",\n]'),
        ("a", {"index": "corp", "b": True}, 'a = {index = "corp", b = true}'),
        ("a", date(2026, 12, 31), "a = 2026-12-31"),
    ],
)
def test_a_line_for_a_key(key: str, value: object, line: str) -> None:
    assert edit.assignment(key, value) == line
    assert tomllib.loads(line) == {key: value}


def test_values_of_one_entry_of_an_array_of_tables(make: Make) -> None:
    before = '[[a.b]]\nx = 1  # one\n\n# Second.\n[[a.b]]\nx = "1" # two\nuntil = 2026-01-01 # day\ny = 2\n\n[c]\n'
    document = edit.with_entry_values(make(before), ("a", "b"), 1, {"x": "2", "until": date(2027, 1, 1)})
    assert document.text == before.replace('"1" # two', '"2" # two').replace("2026-01-01 # day", "2027-01-01 # day")


@pytest.mark.parametrize("error", [tomlkit.exceptions.UnexpectedEofError(1, 2), IndexError("a bug"), RecursionError()])
def test_what_tomlkit_refuses_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def parse(_: str) -> None:
        raise error

    monkeypatch.setattr(tomlkit, "parse", parse)
    with pytest.raises(ProjectInvalid, match=r"pyproject\.toml: cannot be edited") as caught:
        make("a = 1\n")
    assert caught.value.hint == "edit the file by hand, then run deep-lock lock"


def test_all_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, stale = (tmp_path / name for name in ("old.toml", "new.toml", "stale.toml"))
    for path in (old, stale):
        path.write_text("a = 1\n", encoding="utf-8")
    documents = (
        edit.Document(path=old, before=b"a = 1\n", text="a = 2\n"),
        edit.Document(path=new, before=b"", text="b = 1\n"),
        edit.Document(path=stale, before=b"a = 0\n", text="a = 2\n"),
    )
    with pytest.raises(Stale, match=r"stale\.toml: another program wrote it"):
        edit.write_all(documents)
    assert (old.read_text(encoding="utf-8"), new.exists()) == ("a = 1\n", False)

    def full(_: Replacement) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Replacement, "undo", full)
    with pytest.raises(UsageError, match=r"old\.toml: was edited.*stale\.toml.*No space left"):
        edit.write_all(documents)
    edit.write_all(documents[1:2])
    assert new.read_text(encoding="utf-8") == "b = 1\n"
