"""The words that docs/project/style.md rules out are not in the code and not in the documentation; sentences are short."""

import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STYLE = (ROOT / "docs" / "project" / "style.md").read_text(encoding="utf-8")
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
CODE_IN_PROSE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`|\]\([^)]+\)", re.MULTILINE | re.DOTALL)
DATA = {"popular_projects.py"}
"""Modules that list names of projects: of these, names are checked only."""

MAX_WORDS = 40
FOR_CONTRIBUTORS = ROOT / "docs" / "project"
"""Pages whose tables list files of the code: their sentences are not counted."""
BLOCK_START = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) |#)|(?<!\\)\|")
"""Where a sentence ends without a full stop: at a paragraph, an item of a list, a heading, or a cell of a table."""
SENTENCE_END = re.compile(r"(?<=[.?!])[\")*]*\s+(?=[\"(\[*]*[A-Z0-9])")

NAMES = ("atexit.register", '"ask"', "fleet ask")
"""Names that are no choice of ours: of the standard library, and `deep-lock fleet ask` of the issue that defines it."""


def _banned(checked: str) -> frozenset[str]:
    """Return the words of the table in the style page that are checked in this way."""
    rows = re.findall(r"^\| (`.+) \| .+ \| (\w+) \|$", STYLE, re.MULTILINE)
    return frozenset(word for words, how in rows if how == checked for word in re.findall(r"`(\w+)`", words))


EVERYWHERE = _banned("everywhere")
IN_NAMES = EVERYWHERE | _banned("names")


def _words(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case; a name is split where an underscore or a capital separates its words."""
    return (word.lower() for word in WORD.findall(text))


def _without_names(text: str) -> str:
    for name in NAMES:
        text = text.replace(name, '"name"' if name.startswith('"') else "name")
    return text


def _in_python(text: str, *, names_only: bool = False) -> Iterator[str]:
    """Yield each banned word of a module, once for each occurrence."""
    for token in tokenize.generate_tokens(io.StringIO(_without_names(text)).readline):
        if token.type == tokenize.NAME:
            yield from (word for word in _words(token.string) if word in IN_NAMES)
        elif not names_only:
            yield from (word for word in _words(token.string) if word in EVERYWHERE)


def _in_prose(text: str) -> Iterator[str]:
    """Yield each banned word of a page. Code and the targets of links are not prose."""
    return (word for word in _words(CODE_IN_PROSE.sub(" ", _without_names(text))) if word in EVERYWHERE)


def _long_sentences(text: str) -> list[str]:
    """Return the sentences of a page that have more than `MAX_WORDS` words. Code counts as one word, a name as one."""
    prose = re.sub(r"^ *```.*?^ *```$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "Code", prose))
    sentences = (each for block in BLOCK_START.split(prose) for each in SENTENCE_END.split(" ".join(block.split())))
    return [own for own in sentences if len(re.findall(r"[\w'.-]*\w[\w'.-]*", own)) > MAX_WORDS]


def _in_file(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return _in_python(text, names_only=path.name in DATA)
    if path.suffix == ".md":
        return _in_prose(text)
    return (word for word in _words(_without_names(text)) if word in EVERYWHERE)


def _listed(paths: Iterable[Path]) -> list[str]:
    """Return a line for each file that has banned words, with the number of occurrences of each word."""
    lines = []
    for path in paths:
        found = Counter(_in_file(path))
        if found:
            words = ", ".join(f"{word} {count}" for word, count in sorted(found.items()))
            lines.append(f"{path.relative_to(ROOT).as_posix()}: {words}")
    return lines


def _files(folder: str, *suffixes: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def test_the_code_has_no_banned_word() -> None:
    found = _listed(_files("src", ".py", ".html", ".js"))
    assert not found, "docs/project/style.md rules these words out:\n" + "\n".join(found)


def test_the_documentation_has_no_banned_word() -> None:
    found = _listed(
        [
            ROOT / "README.md",
            ROOT / "CHANGELOG.md",
            *_files(".github", ".md", ".yml"),
            ROOT / ".pre-commit-hooks.yaml",
            *_files("docs", ".md", ".yml"),
        ]
    )
    assert not found, "docs/project/style.md rules these words out:\n" + "\n".join(found)


def test_the_sentences_of_the_pages_are_short() -> None:
    pages = [page for page in _files("docs", ".md") if FOR_CONTRIBUTORS not in page.parents]
    found = [f"{page.name}: {own}" for page in pages for own in _long_sentences(page.read_text(encoding="utf-8"))]
    assert len(pages) > 50
    assert not found, f"sentences of more than {MAX_WORDS} words:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("page", "number"),
    [
        ("word " * 40 + "\n", 0),
        ("word " * 41 + "\n", 1),
        ("word " * 30 + "end. " + "Word " * 30, 0),
        ("- " + "word " * 30 + "\n- " + "word " * 30, 0),
        ("| " + "word " * 30 + " | " + "word " * 30 + " |", 0),
        ("word " * 30 + "`" + "code " * 30 + "`", 0),
    ],
)
def test_the_check_counts_words(page: str, number: int) -> None:
    assert len(_long_sentences(page)) == number


def test_the_table_is_read() -> None:
    assert {"house", "told", "quarrel"} <= EVERYWHERE
    assert {"given", "register"} <= IN_NAMES - EVERYWHERE
    assert not {"place", "holds"} & IN_NAMES


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("# the house\n", ["house"]),
        ('"""Whoever reads."""\n', ["whoever"]),
        ("def _tell_of_pins() -> None: ...\n", ["tell"]),
        ("class WishList: ...\n", ["wish"]),
        ("LAWS = 1\n", ["laws"]),
        ('raise ValueError(f"{one} was asked")\n', ["asked"]),
        ("given_pins = 1  # in the order given\n", ["given"]),
        ("lawful = warehouse = forgiven = 1\n", []),
        ("_GLIBC_FLOOR = 1\n", []),
        ("atexit.register(register)\n", ["register"]),
    ],
)
def test_the_check_finds_words_in_code(code: str, found: list[str]) -> None:
    assert list(_in_python(code)) == found


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("It stands there.\n", ["stands"]),
        ("`told` and\n```text\nit was said\n```\n[x](house.md)\n", []),
        ("See [the house](x.md)\n", ["house"]),
    ],
)
def test_the_check_finds_words_in_prose(page: str, found: list[str]) -> None:
    assert list(_in_prose(page)) == found
