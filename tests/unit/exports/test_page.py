"""`deep-lock report`: one page with all that the lock says, text from outside as data only, and a browser that uses it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from msgspec.structs import replace

from deep_lock.analysis.graph import open_graph
from deep_lock.cli.main import cli
from deep_lock.config.options import ReportOptions
from deep_lock.errors import UsageError
from deep_lock.events import silent
from deep_lock.exports.diff_page import diff_page
from deep_lock.exports.json_document import describe, identify
from deep_lock.exports.page import page
from deep_lock.exports.page_body import Facts
from deep_lock.exports.view import View, make_view
from deep_lock.lockfile.index import key_of
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.changes import WEIGHTS, Change, Finding
from deep_lock.models.contents import FileContents
from deep_lock.models.lock import Lock, LockedArchive, LockedReference
from deep_lock.operations.inputs import open_lock
from deep_lock.operations.report import report
from deep_lock.reports.why import reasons
from tests.support.advisories import record, write_zip
from tests.support.big_lock import big_lock
from tests.support.browser import AXE_VARIABLE, VARIABLE, Page, find_axe, find_browser, open_browser
from tests.support.lock_strategies import INDEX, closed_locks, package, sdist, small_lock

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "fixtures" / "locks"
PARTS = ROOT / "src" / "deep_lock" / "exports"
NAMES = ("closed.lock", "example.lock", "small.lock", "newer-revision.lock")
LARGEST = 4_000
"""Bytes of the page for each entry, with what the page itself has."""


def _view(lock: Lock, source: str = "deep.lock") -> View:
    return make_view(lock, source, chosen_targets(lock, (), source), extras=None, groups=None)


def _named(name: str) -> View:
    return _view(from_text((LOCKS / name).read_text(encoding="utf-8"), name), name)


def _text(view: View) -> str:
    made = page(view)
    assert made == page(view)
    return made


class Outline(HTMLParser):
    """Every element of a page, with its attributes and the text that is right inside it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in {"meta", "input", "link", "br"}:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] += data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(own, text) for (name, own), text in zip(self.elements, self.texts, strict=True) if name == tag]


def _data(text: str) -> Any:
    (own,) = [body for attributes, body in Outline(text).all("script") if attributes.get("type") == "application/json"]
    return json.loads(own)


def test_the_page_is_whole_and_its_policy_names_its_own_parts_only() -> None:
    text = _text(_named("example.lock"))
    outline = Outline(text)
    (style,) = [body for _, body in outline.all("style")]
    data, script = outline.all("script")
    assert (data[0], script[0]) == ({"type": "application/json", "id": "data"}, {})
    (policy,) = [own["content"] for own, _ in outline.all("meta") if own.get("http-equiv") == "Content-Security-Policy"]
    assert dict(part.strip().split(" ", 1) for part in str(policy).split(";")) == {
        "default-src": "'none'",
        "script-src": f"'sha256-{_digest(script[1])}'",
        "style-src": f"'sha256-{_digest(style)}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert outline.elements[2] == ("meta", {"charset": "utf-8"})  # before anything that is not ASCII
    for tag, own in outline.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "form", "base"}
        assert tag != "a" or str(own["href"]).startswith(("#", "https://"))
        assert not {"src", "style", "srcdoc", "action"} & own.keys()
        assert not [name for name in own if name.startswith("on")]


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_what_is_named_is_there_and_every_field_has_a_label() -> None:
    outline = Outline(_text(_named("example.lock")))
    ids = [own["id"] for _, own in outline.elements if "id" in own]
    assert len(ids) == len(set(ids))
    for _, own in outline.elements:
        for key in ("aria-controls", "aria-labelledby", "aria-describedby", "for"):
            assert set(str(own.get(key) or "").split()) <= set(ids)
        assert not str(own.get("href")).startswith("#") or str(own["href"])[1:] in ids
    source = (PARTS / "page.html").read_text(encoding="utf-8")
    for found in re.finditer(r"<(?:input|select)\b", source):
        before = source[: found.start()]
        assert before.rfind("<label") > before.rfind("</label>")
    script = (PARTS / "page.js").read_text(encoding="utf-8")
    assert set(re.findall(r'byId\("([a-z-]+)"\)', script)) <= set(ids)


@pytest.mark.parametrize("name", ["page", "shared"])
def test_the_script_knows_no_way_to_write_markup_or_to_ask_a_network(name: str) -> None:
    script = (PARTS / f"{name}.js").read_text(encoding="utf-8")
    assert re.findall(r"https?:[^\"]*", script) == (["https://"] if name == "page" else [])
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function(", "fetch", "import"):
        assert word not in script
    for part in (f"{name}.js", f"{name}.css"):
        assert "<" + "/" not in (PARTS / part).read_text(encoding="utf-8")
        assert "<!--" not in (PARTS / part).read_text(encoding="utf-8")


def _words(data: Any, end: int) -> list[str]:
    """Return a chain as the page tells it."""
    chain: list[Any] = []
    at = end
    while at != -1:
        place, at = data["steps"][at]
        chain.insert(0, data["edges"][place])
    assert chain[0][0] == -1
    words: list[str] = []
    for above, below in pairwise([[None, -1], *chain]):
        assert above[1] == below[0]
    for _, child, kind, build, _, _ in chain:
        if kind == "build":
            words[-1:] = [f"build of {data['builds'][build]['of']}"]
        own = data["packages"][child]
        words.append(f"{own['name']} {own['version']}")
    return words


def _last(data: dict[str, Any], end: int) -> int:
    """Return the package that a path ends with."""
    package: int = data["edges"][data["steps"][end][0]][1]
    return package


def _holds(view: View) -> None:
    """Compare the page's data with the JSON document, and its paths with `why`."""
    data, told = _data(_text(view)), describe(view, open_graph(view.lock_index, view.targets, view.selections))
    labels = [target["name"] for target in data["targets"]]
    assert labels == [target.label for target in view.targets]
    assert [own["id"] for own in data["packages"]] == [own["id"] for own in told["packages"]]
    first: dict[int, int] = {}
    ended: list[int] = []
    for end in data["paths"]:
        edge = data["steps"][end][0]
        ended.append(edge)
        first.setdefault(data["edges"][edge][1], end)
    assert len(ended) == len(set(ended))
    for place, (own, wanted) in enumerate(zip(data["packages"], told["packages"], strict=True)):
        assert _words(data, first[place]) == wanted["chain"]
        for key in ("targets", "used-in-builds", "built"):
            assert [labels[at] for at in own[key]] == wanted[key]
        hashes = [file["sha256"] for file in (*own["wheels"], *([own["sdist"]] if own["sdist"] else []))]
        assert hashes == [file.sha256 for file in _files(view, wanted["id"])]
    for own in reasons(open_graph(view.lock_index, view.targets, view.selections), view.lock.packages):
        ends = [end for end in data["paths"] if identify(key_of(own.entry)) == data["packages"][_last(data, end)]["id"]]
        words = list(dict.fromkeys(tuple(_words(data, end)) for end in ends))
        assert words == [*own.runtime, *own.builds], "`why` and the page show the same paths"
    names = [None, *(own["id"] for own in data["packages"])]
    assert [(names[above + 1], names[below + 1], kind) for above, below, kind, *_ in data["edges"]] == [
        (edge["from"], edge["to"], edge["kind"]) for edge in told["edges"]
    ]
    for build, wanted in zip(data["builds"], told["builds"], strict=True):
        assert (None if build["package"] is None else names[build["package"] + 1]) == wanted["package"]
        for member in build["packages"]:
            assert names[member["package"] + 1] == f"{member['name']}=={member['version']}"


def _files(view: View, identity: str) -> Iterator[Any]:
    (entry,) = [own for own in view.lock.packages if f"{own.name}=={own.version}" == identity]
    yield from entry.wheels
    if entry.sdist is not None:
        yield entry.sdist


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_the_lock_says(name: str) -> None:
    _holds(_named(name))


@given(closed_locks())
def test_the_page_says_what_any_lock_says(lock: Lock) -> None:
    _holds(_view(lock))


def test_hostile_text_is_text_and_is_seen() -> None:
    hostile = "</script><script>alert(1)</script><!--<script>\u202e&quot;${x}$style\u2028"
    entry = package("hostile")
    archive = LockedArchive(url=f"https://user:secret@files.example/{hostile}", sha256="a" * 64)
    entry = replace(
        entry, index=hostile, requires_python=hostile, wheels=(replace(entry.wheels[0], name=hostile),), direct=True
    )
    named = replace(package("named"), source=archive, index=None, wheels=(), direct=True)
    lock = replace(small_lock(entry, named), indexes=(("default", "https://index.example/simple/"), (hostile, hostile)))
    change = Change(code="host-new", name=hostile, message=hostile, chain=(hostile,))
    finding = Finding(code="x", severity="error", subject=hostile, message=hostile, hint=hostile)
    facts = Facts(old=hostile, changes=(change,), notes=(hostile,), vulnerable=(finding,), findings=(hostile,))
    view = _view(lock, f"{hostile}.lock")
    made = (
        page(view, facts),
        diff_page(hostile, (hostile, hostile), (change,), (finding,), (hostile,)),
    )
    for text, scripts in zip(made, (["application/json", None], []), strict=True):
        outline = Outline(text)
        assert [own.get("type") for own, _ in outline.all("script")] == scripts
        assert not re.search("[\u202e\u2028]|secret|alert\\(1\\)<", text)
    data = _data(made[0])
    shown = hostile.replace("\u202e", r"\u{202e}").replace("\u2028", r"\u{2028}")
    assert Outline(made[0]).all("title")[0][1].endswith(f"{shown}.lock")
    assert data["packages"][0]["index"] == data["packages"][0]["wheels"][0]["name"] == shown
    assert data["indexes"][shown] == shown
    assert data["packages"][1]["source"] == f"https://***@files.example/{shown}"
    assert data["packages"][1]["source-sha256"] == "a" * 64
    assert [own["links"] for own in data["packages"]] == [[], []]


def test_only_plain_https_addresses_are_links() -> None:
    good = "https://code.example/a/b?c=d#e"
    bad = (
        "javascript:alert(1)",
        "http://a.example/",
        "https://u:p@a.example/",
        "https://a.example/ x",
        "HTTPS:a",
        "//a",
    )
    contents = FileContents(
        links=tuple((f"label {place}", url) for place, url in enumerate((good, *bad))),
        requires=("leaf>=2 ; extra == 'x'",),
    )
    leaf = package("leaf")
    top = replace(package("top"), dependencies=(LockedReference(name="leaf"),), direct=True)
    view = _view(small_lock(top, leaf))
    text = page(view, Facts(contents={top.wheels[0].sha256: contents}))
    named = {str(own["href"]) for own, _ in Outline(text).all("a") if not str(own["href"]).startswith("#")}
    assert named == {good, f"{INDEX.rstrip('/')}/top/", f"{INDEX.rstrip('/')}/leaf/"}
    assert [url for own in _data(text)["packages"] if own["name"] == "top" for _, url in own["links"]][1:] == [good]
    # the lock does not have this range: it is that of the metadata
    assert ["leaf>=2 ; extra == 'x'"] in [edge[4] for edge in _data(text)["edges"]]
    assert _data(_text(view))["ranges"] is False


def test_the_page_is_read_without_its_script() -> None:
    view = _named("example.lock")
    now = datetime(2030, 1, 8, tzinfo=UTC)
    recent = replace(view.lock.packages[0], wheels=(), sdist=None)
    file = replace(
        next(own for entry in view.lock.packages for own in entry.wheels), upload_time=datetime(2030, 1, 2, tzinfo=UTC)
    )
    lock = replace(view.lock, packages=(replace(recent, wheels=(file,)), *view.lock.packages[1:]))
    unvetted = Finding(code="unvetted", severity="finding", subject="leaf 1.0", message="1 file without an audit")
    changes = (
        Change(code="version-changed", name="quiet", message="1.0 -> 2.0"),
        Change(code="hash-changed", name="worst", message="other bytes", chain=("top 1.0", "worst 1.0")),
    )
    facts = Facts(now=now, old="main", changes=changes, vulnerable=(), unvetted=(unvetted,))
    text = re.sub(r"<script.*?</script>", "", page(_view(lock), facts), flags=re.DOTALL)
    words = ["Dangerous changes (1)", "worst", "top 1.0 &gt; worst 1.0", "Version changes (1)"]
    words += ["No advisory of the database affects the lock.", "What runs code", "Not vetted (1)", "leaf 1.0"]
    words += [
        "Published in the last 7 days (1)",
        "2030-01-02 (6 days)",
        "Packages",
        "Run time, direct",
        "Builds, level 1",
    ]
    places = [text.find(word, text.index("<section")) for word in words]
    assert -1 not in places
    assert places == sorted(places)
    for entry in lock.packages:
        assert f">{entry.name}<" in text
        for own in entry.wheels:
            assert own.sha256 in text
    for build in view.lock.builds:
        assert f"Backend {build.backend}" in text


def test_a_page_of_a_thousand_entries_stays_small() -> None:
    lock = big_lock(1_000)
    assert len(lock.packages) == 1_000
    assert broken_invariants(lock) == ()
    assert len(_text(_view(lock)).encode()) < 1_000 * LARGEST


# -- the command


def test_the_command_writes_the_page_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    old = ("--against", str(LOCKS / "small.lock"))
    told = CliRunner().invoke(cli, ["report", "--lock", str(LOCKS / "example.lock"), *old, "-o", str(place)])
    assert (told.exit_code, told.stdout) == (0, "")
    assert [own.name for own in tmp_path.iterdir()] == ["page.html"]
    outline = Outline(place.read_text(encoding="utf-8"))
    assert "Changes since" in outline.all("h2")[0][1]
    assert "small.lock" in outline.all("h2")[0][1]
    bare = report(ReportOptions(lock=LOCKS / "example.lock"), silent)
    assert bare == _text(_named("example.lock"))


def test_the_page_names_what_is_vulnerable_and_not_vetted(tmp_path: Path) -> None:
    lock = tmp_path / "deep.lock"
    lock.write_bytes((LOCKS / "example.lock").read_bytes())
    runtime = next(own for own in from_text(lock.read_text(encoding="utf-8"), "deep.lock").packages if own.direct)
    database = write_zip(tmp_path / "all.zip", record("X-2026-1", runtime.name, "introduced 0", "fixed 99"))
    folder = tmp_path / "supply-chain"
    folder.mkdir()
    (folder / "audits.toml").write_text("version = 1\n", encoding="utf-8")
    (folder / "config.toml").write_text("version = 1\n", encoding="utf-8")
    place = tmp_path / "page.html"
    arguments = ["report", "--lock", str(lock), "--database", str(database), "--max-age", "P36500D", "-o", str(place)]
    told = CliRunner().invoke(cli, arguments)
    assert told.exit_code == 0, told.exception
    text = place.read_text(encoding="utf-8")
    sections = re.split("<h2", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    (vulnerable,) = [own for own in sections if ">Known vulnerabilities (1)<" in own]
    assert f"<strong>{runtime.name} {runtime.version}</strong> X-2026-1 (unknown): Summary of X-2026-1" in vulnerable
    assert "fixed in 99" in vulnerable
    (unvetted,) = [own for own in sections if ">Not vetted (" in own]
    assert "without an audit for safe-to-build" in unvetted
    assert f"<strong>{runtime.name} {runtime.version}</strong>" in unvetted


def test_a_lock_without_builds_is_not_said_to_run_no_code() -> None:
    lib = replace(package("lib"), wheels=(), sdist=sdist("lib", "1.0"), sdist_only=True, direct=True)
    lock = replace(small_lock(lib), options=(("build-scope", "none"),))
    text = re.sub(r"<script.*?</script>", "", _text(_view(lock)), flags=re.DOTALL)
    assert "Builds are not locked: 1 package without a wheel" in text
    assert "What builds run is not known. 1 package without a wheel: lib." in text
    assert ">no wheel<" in text
    assert "No package runs code" not in text


@pytest.mark.parametrize("content", ["", "[criteria]\n"])
def test_the_folder_of_another_tool_is_a_warning(tmp_path: Path, content: str) -> None:
    (tmp_path / "deep.lock").write_bytes((LOCKS / "example.lock").read_bytes())
    (tmp_path / "supply-chain").mkdir()
    if content:
        (tmp_path / "supply-chain" / "audits.toml").write_text(content, encoding="utf-8")
    arguments = ["report", "--lock", str(tmp_path / "deep.lock"), "-o", str(tmp_path / "page.html")]
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 0
    assert ("the page does not show what is vetted" in ended.stderr) == bool(content)


def test_the_page_of_a_member_has_its_changes_and_audits_only(tmp_path: Path) -> None:
    lock = tmp_path / "deep.lock"
    lock.write_bytes((LOCKS / "workspace.lock").read_bytes())
    whole = from_text(lock.read_text(encoding="utf-8"), "deep.lock")
    folder = tmp_path / "supply-chain"
    folder.mkdir()
    for name in ("audits.toml", "config.toml"):
        (folder / name).write_text("version = 1\n", encoding="utf-8")
    place = tmp_path / "page.html"
    arguments = [
        "report",
        "--lock",
        str(lock),
        "--package",
        "core",
        "--against",
        str(LOCKS / "closed.lock"),
        "-o",
        str(place),
    ]
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 0, ended.stderr
    part = {own.name for own in open_lock(lock, "core", silent).packages}
    others = {own.name for own in whole.packages} - part
    assert others
    text = re.sub(r"<script.*?</script>", "", place.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert ">Not vetted (" in text
    assert not [name for name in others if f"<strong>{name}" in text]


def test_diff_writes_a_page_with_the_dangerous_changes_first() -> None:
    arguments = ["diff", str(LOCKS / "small.lock"), str(LOCKS / "example.lock")]
    changes = json.loads(CliRunner().invoke(cli, [*arguments, "--format", "json"]).stdout)["changes"]
    told = CliRunner().invoke(cli, [*arguments, "--format", "html"])
    assert told.exit_code == 0
    outline = Outline(told.stdout)
    assert outline.all("script") == []
    rows = [own["class"] for own, _ in outline.all("li") if own.get("class") in WEIGHTS]
    assert rows == [own["weight"] for own in changes]
    assert [own for _, own in outline.all("strong")] == [own["name"] for own in changes if own["name"]]


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    lock = tmp_path / "small.lock"
    lock.write_bytes((LOCKS / "small.lock").read_bytes())
    for arguments, wanted in (
        (["--lock", str(lock), "-o", str(lock)], "is the lock itself"),
        (["--lock", str(tmp_path / "other.lock"), "-o", str(tmp_path / "a.html")], "there is no lock"),
        (["--lock", str(lock), "-o", str(tmp_path / "none" / "a.html")], "cannot be written"),
    ):
        told = CliRunner().invoke(cli, ["report", *arguments])
        assert told.exit_code != 0
        assert wanted in f"{told.exception} {told.stderr}"
    assert lock.read_bytes() == (LOCKS / "small.lock").read_bytes()
    assert [own.name for own in tmp_path.iterdir()] == ["small.lock"]
    with pytest.raises(UsageError, match="there is no lock"):
        report(ReportOptions(lock=tmp_path / "deep.lock"), silent)


# -- in a browser

BROWSER = find_browser()
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"no Chromium on PATH, and none in {VARIABLE}")


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Page]:
    """Yield a tab of a fresh browser."""
    with open_browser(str(BROWSER), tmp_path) as own:
        own.window(1280, 900)
        yield own


def _open(tab: Page, folder: Path, lock: Lock, fragment: str = "") -> None:
    place = folder / "report.html"
    place.write_bytes(_text(_view(lock)).encode())
    tab.open(place.as_uri() + fragment)


def _quiet(tab: Page) -> None:
    """Nothing failed, the policy refused nothing, and nothing but the page was asked for."""
    assert tab.faults() == []
    assert [url for url in tab.requests() if not url.partition("#")[0].endswith("/report.html")] == []


ROWS = "[...document.querySelectorAll('#rows [data-place]')].filter(own => own.offsetParent)"
SEEN = f"{ROWS}.map(own => own.querySelector('.name').textContent)"
HEADING = "document.querySelector('#details h2')?.textContent"
FOCUS = "document.activeElement.closest('tr')?.dataset.place ?? document.activeElement.id"
SIDES = """[...document.querySelectorAll('.side')].map(own => [...own.querySelectorAll('li')]
    .map(item => [item.querySelector('.node').textContent, item.querySelector('.range')?.textContent ?? '']))"""


def _select(tab: Page, name: str) -> None:
    tab.ask(f"{ROWS}.find(own => own.querySelector('.name').textContent === '{name}').querySelector('button').click()")


@needs_browser
def test_a_person_with_a_mouse(tab: Page, tmp_path: Path) -> None:
    lock = big_lock(30)
    said = {"app-wind-0": {"license": "MIT OR 0BSD", "yanked": "it is broken"}}
    lock = replace(lock, packages=tuple(replace(entry, **said.get(entry.name, {})) for entry in lock.packages))
    _open(tab, tmp_path, lock)
    assert sorted(tab.ask(SEEN)) == sorted(own.name for own in lock.packages)
    assert tab.ask("document.querySelector('#details').hidden") is True
    _select(tab, "app-wind-0")
    assert tab.ask(HEADING) == "app-wind-0 1.0.0"
    told = tab.ask("document.querySelector('#details').innerText")
    (entry,) = [own for own in lock.packages if own.name == "app-wind-0"]
    (build,) = [own for own in lock.builds if own.name == "app-wind-0"]
    assert entry.sdist is not None
    for wanted in (
        entry.sdist.sha256,
        entry.sdist.url,
        build.backend,
        *build.requires,
        "no wheel exists",
        "observed",
        "license: MIT OR 0BSD",
        "yanked: it is broken",
    ):
        assert wanted in told
    for member in build.packages:
        assert f"{member.name} {member.version}" in told
    above, below = tab.ask(SIDES)
    assert [name for name, _ in above] == ["the project"]
    assert next(own for own in below if own[1]) == [
        f"{build.packages[0].name} {build.packages[0].version}",
        build.requires[0],
    ]
    tab.click("#details .record button")
    assert tab.ask(HEADING) == "tool-wind-0 2.0"
    chains = tab.ask(
        "[...document.querySelectorAll('.chains li')].map(own => own.textContent.replaceAll('\\u203a', '>'))"
    )
    assert chains[0] == "the project > build of app-wind-0 1.0.0 > tool-wind-0 2.0"
    assert len(chains) > 1
    assert tab.ask("location.hash") == "#tool-wind-0%3D%3D2.0"
    assert tab.ask("document.querySelector('[aria-current]').dataset.place") == str(
        [own.name for own in lock.packages].index("tool-wind-0")
    )
    other = tab.ask("document.querySelector('.side .node').textContent")
    tab.click(".side .node")
    assert tab.ask(HEADING) == other
    _quiet(tab)


@needs_browser
def test_search_and_filters_of_a_thousand_entries(tab: Page, tmp_path: Path) -> None:
    lock = big_lock(1_000)
    _open(tab, tmp_path, lock)
    assert len(tab.ask(SEEN)) == 1_000

    def chosen(**fields: str) -> int:
        tab.click("#clear")
        for name, value in fields.items():
            tab.ask(
                f"(() => {{ const own = document.getElementById('{name}'); own.value = {json.dumps(value)};"
                " own.dispatchEvent(new Event('input')); own.dispatchEvent(new Event('change')); })()"
            )
        count = len(tab.ask(SEEN))
        said = tab.ask("document.getElementById('shown').textContent")
        assert said == ("1,000 packages" if count == 1_000 else f"{count} of 1,000 packages")
        return count

    assert chosen(role="build-only") == sum(own.build_only for own in lock.packages)
    assert chosen(mark="sdist-only") == sum(own.sdist_only for own in lock.packages)
    assert chosen(mark="code") == sum(own.sdist_only or bool(own.build_on) for own in lock.packages)
    windows = next(place for place, own in enumerate(lock.targets) if "windows" in own.name)
    assert chosen(mark="code", target=str(windows)) == sum(own.sdist_only for own in lock.packages)
    assert chosen(evidence="observed") == sum(own.evidence == "observed" for own in lock.builds)
    assert chosen(search="TOOL-wind 2.0") == 1
    assert chosen(search=lock.packages[500].wheels[0].sha256[:20] if lock.packages[500].wheels else "app-wind-0") == 1
    assert chosen(search="setuptools.build_meta") == len(lock.builds)
    assert chosen(search="no such thing") == 0
    assert tab.ask("document.getElementById('nothing').offsetParent !== null") is True
    assert chosen() == 1_000
    _select(tab, "base-wind-0")
    # the list is narrower now, and longer: what was chosen is still in sight
    top, bottom, height = tab.ask(
        "(box => [box.top, box.bottom, innerHeight])(document.querySelector('[aria-current=true]').getBoundingClientRect())"
    )
    assert 0 <= top < bottom <= height
    _quiet(tab)


@needs_browser
def test_a_person_with_a_keyboard(tab: Page, tmp_path: Path) -> None:
    lock = big_lock(30)
    _open(tab, tmp_path, lock)
    tab.press("/")
    assert tab.ask(FOCUS) == "search"
    tab.write("tool-")
    seen = tab.ask(SEEN)
    assert seen
    assert all("tool-" in name for name in seen)
    tab.press("Escape")
    assert (tab.ask("document.getElementById('search').value"), tab.ask(FOCUS)) == ("", "search")
    visited = []
    while not tab.ask("document.activeElement.closest('#rows') !== null"):
        tab.press("Tab")
        visited.append(tab.ask(FOCUS))
    assert visited[:-1] == ["role", "mark", "evidence", "target", "clear"]
    names = [own.name for own in lock.packages]
    tab.press("Enter")
    assert tab.ask(HEADING).partition(" ")[0] == names[int(visited[-1])]
    assert tab.ask("document.activeElement.tagName") == "H2"
    tab.press("Escape")
    assert (tab.ask("document.getElementById('details').hidden"), tab.ask(FOCUS)) == (True, visited[-1])
    _quiet(tab)


@needs_browser
def test_an_address_names_an_entry_and_nothing_else(tab: Page, tmp_path: Path) -> None:
    _open(tab, tmp_path, big_lock(30), "#tool-wind-0==2.0")
    assert tab.ask(HEADING) == "tool-wind-0 2.0"
    tab.ask("location.hash = '#app-wind-0==1.0.0'")
    assert tab.ask(HEADING) == "app-wind-0 1.0.0"
    for fragment in ("", "#nothing==1.0", "#%E0%A4%A", "#<img%20src=x>", "#__proto__"):
        tab.open("about:blank")
        _open(tab, tmp_path, big_lock(20), fragment)
        assert tab.ask("document.getElementById('details').hidden") is True
        _quiet(tab)


AXE = find_axe()
"""axe-core, which finds what a screen reader, or a person who sees little, cannot use."""


@needs_browser
@pytest.mark.skipif(AXE is None, reason=f"axe-core is not installed: npm has it, and {AXE_VARIABLE} names axe.min.js")
def test_axe_finds_nothing(tab: Page, tmp_path: Path) -> None:
    assert AXE is not None
    _open(tab, tmp_path, big_lock(20))
    changes = [Change(code=code, name="a", message="b", chain=("c", "d")) for code in ("hash-changed", "package-new")]
    other = tmp_path / "report.html"
    for step in ("report", "diff"):
        if step == "diff":
            other.write_bytes(diff_page("app", ("main", "deep.lock"), changes, (), ("A note.",)).encode())
            tab.open(other.as_uri())
        for width in (1280, 400):
            for dark in (False, True):
                tab.window(width, 900, dark=dark)
                tab.ask("document.querySelectorAll('details').forEach(own => { own.open = true; })")
                if step == "report":
                    _select(tab, "app-wind-0")
                assert tab.violations(AXE) == [], (step, width, dark)
                assert tab.ask("document.documentElement.scrollWidth <= innerWidth") is True
