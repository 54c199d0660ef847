"""The reader of tags agrees with html.parser on proper pages, and stays linear on improper ones."""

from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.index.html import read_tags

Tags = list[tuple[str, dict[str, str]]]


class Judge(HTMLParser):
    """What the standard library reads, the first of two equal attributes kept."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Tags = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"a", "base", "meta"}:
            self.found.append((tag, {name: value or "" for name, value in reversed(attrs)}))


def ours(text: str) -> Tags:
    return [(tag, dict(attributes)) for tag, attributes in read_tags(text)]


def theirs(text: str) -> Tags:
    judge = Judge()
    judge.feed(text)
    judge.close()
    return judge.found


values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
spaces = st.sampled_from([" ", "\n  ", "\t"])
names = st.sampled_from(["href", "HREF", "data-yanked", "data-requires-python", "name", "content", "x:y"])


@st.composite
def attributes(draw: st.DrawFn) -> str:
    name = draw(names)
    value = draw(values)
    around = draw(st.sampled_from(["", " "]))
    match draw(st.integers(0, 3)):
        case 0:
            return name
        case 1:
            return f'{name}{around}={around}"{escape(value)}"'
        case 2:
            return f"{name}={around}'{escape(value)}'"
        case _:
            return f"{name}={draw(st.from_regex('[a-z0-9./#=:_-]{1,10}', fullmatch=True))}"


@st.composite
def pages(draw: st.DrawFn) -> str:
    parts = ["<!DOCTYPE html><html>"]
    for _ in range(draw(st.integers(0, 5))):
        tag = draw(st.sampled_from(["a", "A", "base", "meta", "p", "abbr", "article", "link"]))
        inner = "".join(draw(spaces) + attribute for attribute in draw(st.lists(attributes(), max_size=3)))
        parts.append(f"<{tag}{inner}{draw(st.sampled_from(['', ' ', ' /']))}>{escape(draw(values))}</{tag}>")
        parts.append(
            draw(st.sampled_from(["", "<!-- <a href=x> -->", "<script>'<a href=x>'</script>", "<style>a{}</style>"]))
        )
    return "".join(parts)


@given(pages())
def test_agrees_with_html_parser_on_proper_pages(text: str) -> None:
    assert ours(text) == theirs(text)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('<a href="x" href="y">', [("a", {"href": "x"})]),
        ("<a href=x", []),
        ('<a href="x>y</a>', []),
        ("<a href=x <a href=y>", [("a", {"href": "y"})]),
        ("<!-- <a href=x>", []),
        ("<script><a href=x>", []),
        ("<abbr href=x>", []),
        ("< a href=x>", []),
        ('<a\nhref\n=\n"&lt;x&gt;"\n>', [("a", {"href": "<x>"})]),
        ("<a href='x'id=y>", [("a", {"href": "x", "id": "y"})]),
    ],
)
def test_by_example(text: str, tags: Tags) -> None:
    assert ours(text) == tags


@given(st.text(st.sampled_from("<>a/ ='\"!-&x;#"), max_size=60))
def test_any_text_ends(text: str) -> None:
    for _, found in read_tags(text):
        assert all(name == name.lower() for name in found)


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", '<a x="', "<a x=\"'", "<a/////", "<a =", "<script>", "<a '", "<a x=' "]
)
def test_long_nonsense_is_read_in_one_pass(piece: str) -> None:
    # A quadratic reader takes minutes here.
    assert len(ours(piece * 100_000)) <= 100_000
