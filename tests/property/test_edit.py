"""Edits of requirement lists in generated TOML: only what must change does, and a removal undoes an addition."""

import re
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from deep_lock.project import edit
from deep_lock.project.requirement_lists import ListName, texts, with_requirement, without_requirement

NEW = "n-p>=1"
NAMES = ["a", "B>=2", "m[x];os_name=='nt'", "new", "z @ a:b", "o"]
"""Short: an array on one line that becomes too long gets several."""
SPACES = st.sampled_from(["", " ", "  ", "\t"])
BREAKS = st.sampled_from(["\n", "\n\n", "\n  ", "\n    ", "\n\t", " # why\n  ", "\n    # why\n    ", "\n# [\n"])


def _quoted(text: str, *, literal: bool) -> str:
    return f"'{text}'" if literal and "'" not in text else f'"{text}"'


@st.composite
def _items(draw: st.DrawFn) -> list[str]:
    names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
    literal = draw(st.booleans())
    items = [_quoted(name, literal=literal) for name in draw(st.sampled_from([names, sorted(names)]))]
    return items + ['{include-group = "x"}'] * draw(st.sampled_from([0, 0, 0, 1]))


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Generate arrays as people write them: on one line, a line for each value, commas first, or several on a line."""
    items = draw(_items())
    kind = draw(st.sampled_from(["one line", "lines", "hugging", "comma first"]))
    comma = "," if draw(st.booleans()) and items else ""
    indent = draw(st.sampled_from(["    ", "  ", "\t", ""]))
    if kind == "one line":
        space = draw(SPACES)
        gap = "," + draw(SPACES)
        return f"[{space}{gap.join(items)}{comma}{space}]"
    if kind == "hugging" and items:
        return "[" + f",\n{indent} ".join(items) + comma + draw(st.sampled_from(["", f"\n{indent}"])) + "]"
    if kind == "comma first" and items:
        return f"[\n{indent}  " + f"\n{indent}, ".join(items) + f"\n{indent}]"
    text = "[" + draw(st.sampled_from(["", " # first"])) + "\n"
    for number, item in enumerate(items, 1):
        text += draw(st.sampled_from(["", "", f"{indent}# above\n", "\n"]))
        after = "," if number < len(items) else comma
        text += indent + item + after + draw(st.sampled_from(["", "", "  # right", " "])) + "\n"
    return text + draw(st.sampled_from(["", "", f"{indent}# below\n"])) + draw(st.sampled_from(["", indent])) + "]"


@st.composite
def any_layout(draw: st.DrawFn) -> str:
    """Generate arrays with spaces, line ends and comments at every position."""
    gaps = st.one_of(SPACES, BREAKS)
    text = "[" + draw(gaps)
    items = draw(_items())
    for number, item in enumerate(items, 1):
        text += item + draw(gaps)
        if number < len(items) or draw(st.booleans()):
            text += "," + draw(gaps)
    return text + "]"


@st.composite
def files(draw: st.DrawFn, arrays: st.SearchStrategy[str]) -> tuple[bytes, ListName]:
    """Generate a file with the array as one of its lists, and the name of that list."""
    array = draw(arrays)
    other = '[dependency-groups]\nother = [ "c",]\n\n'
    name = 'name = "app"\n'
    text, where = draw(
        st.sampled_from(
            [
                (f"{other}[project]\n{name}dependencies = {array} # end\n\n[tool.x]\na = 1\n", ListName()),
                (f"{other}[project]\n{name}dependencies={array}", ListName()),
                (f'"project".{name}project.dependencies = {array}\n{other}', ListName()),
                (f"[project.scripts]\nx = 'x'\n{other}[project]\n{name}'dependencies' = {array}\n", ListName()),
                (
                    f"[project]\n{name}[project.optional-dependencies]\n  Ex.tra = {array}\n".replace("Ex.", "Ex_")
                    + other,
                    ListName(kind="extra", name="ex-tra"),
                ),
                (f"[tool]\n\n{other}dev = {array}\n[tool.y]", ListName(kind="group", name="DEV")),
                (f"[build-system]\nrequires = {array}\n{other}", ListName(kind="build")),
            ]
        )
    )
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode(), where


def opened(content: bytes) -> edit.Document:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pyproject.toml"
        path.write_bytes(content)
        return edit.open_document(path)


def comments(text: str) -> list[str]:
    return re.findall(r"# ?[a-z\[]+", text)


@given(files(lines()))
def test_a_removal_undoes_an_addition(made: tuple[bytes, ListName]) -> None:
    content, where = made
    document = opened(content)
    added = with_requirement(document, where, NEW)
    assert NEW in texts(added, where)
    was, now = (edit.to_bytes(each).splitlines() for each in (document, added))
    if len(now) > len(was):  # a line of its own: at most the comma of the line above is new
        assert len(now) == len(was) + 1
        assert len([line for line in now if line not in was]) <= 2
    assert edit.to_bytes(without_requirement(added, where, "N_P")) == content


@given(files(any_layout()))
def test_comments_and_the_other_values_stay(made: tuple[bytes, ListName]) -> None:
    content, where = made
    document = opened(content)
    added = with_requirement(document, where, NEW)
    assert comments(added.text) == comments(document.text)
    assert tomllib.loads(without_requirement(added, where, "n-p").text) == document.data


@given(files(lines()), st.data())
def test_a_value_is_replaced_in_its_line(made: tuple[bytes, ListName], data: st.DataObject) -> None:
    content, where = made
    document = opened(content)
    old = texts(document, where)
    if not old:
        return
    text = data.draw(st.sampled_from(old))
    name, _, marker = re.split(r"[\[>~@]", text)[0].strip(), "", text.partition(";")[2]
    replaced = with_requirement(document, where, f"{name}>=7" + (f";{marker}" if marker else ""))
    was, now = document.text.split("\n"), replaced.text.split("\n")
    assert len(was) == len(now)
    assert sum(before != after for before, after in zip(was, now, strict=True)) == 1
    assert comments(replaced.text) == comments(document.text)
