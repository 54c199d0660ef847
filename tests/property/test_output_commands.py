"""No output has a command of its text, whatever the text is: every output format, every field of a record that gets there.

The structure of the format stays: JSON and TOML have the same values, a page the same elements, Markdown the same blocks.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from deep_lock.analysis.graph import open_graph
from deep_lock.cli.output import LogFormat, Printer
from deep_lock.cli.progress import Progress
from deep_lock.config.options import ExportOptions
from deep_lock.errors import DeepLockError, UsageError
from deep_lock.events import Building, Fetching, Solving, Warned
from deep_lock.exports.page import page
from deep_lock.exports.requirements import file_content
from deep_lock.exports.view import View, make_view
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.changes import CODES, SEVERITIES, Change, Finding
from deep_lock.models.lock import Lock, LockedArchive, LockedFile
from deep_lock.operations.export import FORMATS
from deep_lock.reports import diff, findings, lock_summary, outdated, why
from deep_lock.reports.document import failure_of
from deep_lock.sanitize import Safe, html_data, json_document, json_text, line, lines, markdown, show_lines, toml_text
from tests.support.lock_strategies import closed_locks
from tests.support.log_readers import COMMANDS, PIECES, live_commands

EVIL = st.lists(
    st.sampled_from((*COMMANDS, *PIECES, "plain ", "a\\b", "%zz", "${HOME}", '"', "'", "<b>", "|", "\ud800")),
    max_size=8,
).map("".join)
CLEAN = EVIL.map(lambda text: text.replace("\ud800", ""))
"""Without half characters, which no JSON document can have."""


# -- one text


@given(EVIL)
def test_a_text_in_lines_is_no_command(text: str) -> None:
    safe = lines(text)
    assert live_commands(safe) == []
    assert lines(safe) == safe


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_found_and_made_safe(command: str) -> None:
    assert live_commands(command)
    assert live_commands(lines(command)) == []


@given(st.text("a#:[\n \t"))
def test_a_plain_text_keeps_its_lines(text: str) -> None:
    safe = lines(text)
    assert safe.count("\n") == text.count("\n")
    assert safe.replace("\\u{23}", "#").replace("\\u{3a}", ":") == text


@given(
    st.recursive(CLEAN, lambda own: st.lists(own, max_size=4) | st.dictionaries(CLEAN, own, max_size=4), max_leaves=8)
)
def test_json_has_the_same_values(value: Any) -> None:
    for text in (json_document(value), json_text(json.dumps(value, ensure_ascii=False)), html_data(value)):
        assert live_commands(text) == []
        assert json.loads(text) == value
    assert not set("<>&") & set(html_data(value))


@given(st.dictionaries(st.sampled_from(("a", "b", "c")), CLEAN), CLEAN)
def test_toml_has_the_same_values(table: dict[str, str], comment: str) -> None:
    rows = [f"{key} = {json.dumps(value).replace(chr(127), '/u007f')}" for key, value in table.items()]
    rows = [f'{row}\n[["{key}##["]]\nx = [\n    "::x",\n]' for key, row in zip(table, rows, strict=True)]
    text = "\n".join([f"# {own}" for own in comment.split("\n")[:1]] + rows)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # half a pair of JSON, a control character in a comment
        return
    safe = toml_text(text)
    assert live_commands(safe) == []
    assert tomllib.loads(safe) == before


@given(
    st.lists(
        CLEAN | st.sampled_from(("- x", "1. x", "12) x", "===", "---", "    x", "\t", "\n\n", "* ", "~~~\n")),
        max_size=4,
    )
)
@settings(max_examples=200)
def test_a_text_in_markdown_is_one_text(texts: list[str]) -> None:
    text = "".join(texts)
    _is_one_paragraph(markdown("- **x** {}", text))
    _is_one_paragraph(markdown("- {}", f"{text}x"))


def _is_one_paragraph(made: str) -> None:
    assert live_commands(made) == []
    tokens = MarkdownIt("commonmark", {"linkify": False}).parse(made)
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close", "softbreak", "hardbreak"}
    assert "\n" not in made
    assert [token.type for token in tokens if token.type.endswith("_open") or token.type.endswith("block")] == [
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
    ]


# -- locks


def _evil(lock: Lock, texts: list[str]) -> Lock:
    """Return the lock with outside text in every field that has no grammar of its own."""
    evil = cycle(texts)

    def file(own: LockedFile) -> LockedFile:
        return replace(own, url=None if own.url is None else f"{own.url}{next(evil)}", path=own.path and next(evil))

    packages = tuple(
        replace(
            own,
            license=next(evil),
            yanked=next(evil),
            index=own.index and own.index + next(evil),
            attestation_identities=(((next(evil), next(evil)),),),
            wheels=tuple(map(file, own.wheels)),
            sdist=own.sdist and file(own.sdist),
            requires_python=own.requires_python and next(evil),
        )
        for own in lock.packages
    )
    first = next((own for own in packages if not own.build_only and own.build is None and not own.dependencies), None)
    if first is not None:
        archive = LockedArchive(url=f"https://h.example/a.zip{next(evil)}", sha256="0" * 64)
        taken = replace(first, source=archive, index=None, wheels=(), sdist=None)
        packages = tuple(taken if own is first else own for own in packages)
    builds = tuple(
        replace(
            own,
            backend=next(evil),
            backend_path=(next(evil),),
            requires=(next(evil), next(evil)),
            requires_user=(next(evil),),
            requires_dynamic=(next(evil),),
            conditional=next(evil),
            ends=next(evil),
            cargo_lock=next(evil),
        )
        for own in lock.builds
    )
    return replace(
        lock,
        packages=packages,
        builds=builds,
        requires_python=next(evil),
        options=((next(evil), next(evil)), ("list", (next(evil), next(evil)))),
        indexes=(("default", f"https://h.example/{next(evil)}"), (next(evil), f"https://i.example/{next(evil)}")),
        inputs=replace(lock.inputs, requirements=(next(evil),), sources=(next(evil),)),
    )


@st.composite
def evil_views(draw: st.DrawFn) -> View:
    texts = [text for text in draw(st.lists(CLEAN, min_size=7, max_size=7)) if text] or ["##[x]"]
    lock = _evil(draw(closed_locks()), texts)
    return make_view(lock, draw(CLEAN), chosen_targets(lock, (), "deep.lock"), extras=None, groups=None)


class _Elements(HTMLParser):
    """Checks that each element and each attribute of a page is one of ours, and that no link leaves https."""

    TAGS = frozenset(
        [
            "a",
            "aside",
            "body",
            "button",
            "caption",
            "code",
            "dd",
            "details",
            "div",
            "dl",
            "dt",
            "h1",
            "h2",
            "h3",
            "head",
            "header",
            "html",
            "input",
            "kbd",
            "label",
            "li",
            "main",
            "meta",
            "output",
            "p",
            "script",
            "section",
            "select",
            "option",
            "span",
            "strong",
            "style",
            "summary",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "title",
            "tr",
            "ul",
        ]
    )
    ATTRIBUTES = frozenset(
        [
            "aria-label",
            "aria-labelledby",
            "aria-live",
            "autocomplete",
            "charset",
            "class",
            "colspan",
            "content",
            "data-place",
            "for",
            "hidden",
            "href",
            "http-equiv",
            "id",
            "lang",
            "name",
            "placeholder",
            "rel",
            "role",
            "scope",
            "spellcheck",
            "tabindex",
            "type",
            "value",
        ]
    )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.TAGS
        for name, value in attrs:
            assert name in self.ATTRIBUTES
            assert name != "href" or str(value).startswith(("#", "https://"))
            assert name != "id" or re.fullmatch(r"[a-z-]+", str(value))


@given(view=evil_views(), index_options=st.booleans())
@settings(max_examples=20)
def test_no_export_has_a_command(view: View, *, index_options: bool) -> None:
    made = 0
    for form, write in FORMATS.items():
        options = ExportOptions(lock=Path("deep.lock"), format=form, index_options=index_options)
        try:
            exported = write(view, options)
        except DeepLockError:  # a URL that must not be written, a row that no requirements file can express
            continue
        made += 1
        for name, text in exported.files:
            assert live_commands(text) == [], (form, name)
            if form in {"json", "cyclonedx", "spdx"}:
                json.loads(text)
            elif form == "pylock":
                tomllib.loads(text)
    assert made >= 4
    text = page(view)
    assert live_commands(text) == []
    _Elements().feed(text)


def test_a_row_that_is_a_command_is_refused() -> None:
    """A requirements file has no escapes: a marker of a lock that was edited by hand cannot be written in another way."""
    with pytest.raises(UsageError, match=r"is a command to a CI system"):
        file_content((), ["a==1 ; platform_version == '##vso[task.prependpath]/x'"])


@given(evil_views())
@settings(max_examples=20)
def test_no_report_of_a_lock_has_a_command(view: View) -> None:
    lock = view.lock
    graph = open_graph(view.lock_index, view.targets, view.selections)
    texts = [why.tree_text(graph, why.tree_rows(graph, builds=True, depth=None)), diff.short_text(lock)]
    inverted = why.inverted_rows(graph, [own.name for own in lock.packages], builds=True, depth=None)
    texts += [why.tree_text(graph, inverted), why.tree_json(graph, inverted, str(lock.requires_python))]
    texts += [why.why_text(why.reasons(graph, lock.packages), None)]
    for text in (*texts, *(line(*row) for row in lock_summary.summary(lock, None, seconds=1))):
        assert live_commands(text) == []


# -- records


def _changes() -> st.SearchStrategy[Change]:
    several = st.lists(CLEAN, max_size=3).map(tuple)
    codes = st.sampled_from(sorted(CODES))
    return st.builds(
        Change, code=codes, name=CLEAN, was=CLEAN, now=CLEAN, message=CLEAN, chain=several, targets=several
    )


def _findings() -> st.SearchStrategy[Finding]:
    several = st.lists(CLEAN, max_size=3).map(tuple)
    return st.builds(
        Finding,
        code=st.sampled_from(("yanked", "backend")),
        id=CLEAN,
        severity=st.sampled_from(SEVERITIES),
        subject=CLEAN,
        message=CLEAN,
        hint=CLEAN,
        chain=several,
        targets=several,
    )


def _reviews() -> st.SearchStrategy[diff.Review]:
    return st.builds(
        diff.Review,
        old=CLEAN,
        new=CLEAN,
        path=CLEAN,
        changes=st.lists(_changes(), max_size=5).map(tuple),
        findings=st.lists(_findings(), max_size=3).map(tuple),
        not_compared=st.sampled_from(((), ("builds", "hosts"))),
    )


def _without_color(text: Safe) -> str:
    for color in ("31;1", "35;1", "36", "2", "0"):
        text = Safe(text.replace(f"\x1b[{color}m", ""))
    return text


def _review_texts(review: diff.Review) -> Iterator[str]:
    yield _without_color(diff.text(review))
    yield diff.as_markdown(review)
    yield _without_color(findings.findings_text(review.findings))
    yield findings.findings_lines(review.findings)
    documents = (diff.as_json(review), diff.sarif(review), json_document(findings.findings_rows(review.findings)))
    for text in (*documents, findings.findings_sarif(review.findings, review.path, review.lines)):
        json.loads(text)
        yield text


@given(_reviews())
@settings(max_examples=50)
def test_no_review_has_a_command(review: diff.Review) -> None:
    for text in _review_texts(review):
        assert live_commands(text) == []
    assert live_commands(diff.github(review), annotations=True) == []


@given(st.data())
@settings(max_examples=50)
def test_no_table_of_newer_versions_has_a_command(data: st.DataObject) -> None:
    several = st.lists(CLEAN, max_size=3).map(tuple)
    blocker = st.builds(outdated.Blocker, package=CLEAN, requirement=CLEAN, reason=CLEAN, chain=several)
    row = st.builds(
        outdated.Outdated,
        name=CLEAN,
        version=CLEAN,
        newest=CLEAN,
        scope=st.sampled_from(("runtime", "build")),
        build=CLEAN,
        blocked_by=st.lists(blocker, max_size=2).map(tuple),
        targets=several,
        lock_command=CLEAN,
    )
    rows = data.draw(st.lists(row, max_size=4))
    assert live_commands(outdated.outdated_text(rows)) == []
    assert live_commands(outdated.outdated_json(rows)) == []


# -- people


@given(EVIL, EVIL)
def test_no_message_has_a_command(text: str, other: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        patch.setattr("deep_lock.cli.output.click.echo", lambda text, **_: told.append(str(text)))
        for log_format in get_args(LogFormat):
            printer = Printer(color="never", log_format=log_format)
            printer.info(text)
            printer.warn(Warned(code="some", subject=text, message=other))
            printer.failure(failure_of(UsageError(text, hint=other)))
            printer.progress(Fetching(name=text))
    for own in told:
        plain = own.removeprefix("\x1b[35m\x1b[1m").removeprefix("\x1b[31m\x1b[1m").removeprefix("\x1b[36m\x1b[1m")
        assert live_commands(plain.replace("\x1b[0m", "")) == []
    rows = [json.loads(own) for own in told if own.startswith("{")]
    assert [row["event"] for row in rows[-4:]] == ["message", "warned", "failed", "fetching"]
    assert rows[-4]["message"] == rows[-1]["name"] == show_lines(text)


@given(EVIL)
def test_no_progress_line_has_a_command(text: str) -> None:
    shown = Progress()
    for event in (Solving(subject=text, target=text), Building(name=text), Fetching(name=text)):
        shown(event)
    assert live_commands(shown.line()) == []
