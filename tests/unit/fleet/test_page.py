"""`fleet.html` in a browser: what is wrong comes first, search and filters, no request, and text from outside as text only."""

from contextlib import closing
from pathlib import Path

import pytest

from deep_lock.fleet.page import page
from deep_lock.fleet.update import Contents, in_memory
from tests.support.browser import VARIABLE, find_browser, open_browser
from tests.support.fleet_state import CLICK, CLOSED, EXAMPLE, FINDING, project, repository

BROWSER = find_browser()
HOSTILE = "</script><img src=https://evil.example/ onerror=document.title='x'>\u202e"
REPLACED = CLOSED.replace(CLICK, "0" * 64)
DANGER = {"code": "x", "weight": "danger", "name": "click", "was": "", "now": "", "message": HOSTILE, "chain": []}
ROWS = "[...document.querySelectorAll('#rows button')].map(own => own.textContent)"
SHOWN = "document.getElementById('shown').textContent"


def _page() -> str:
    results = [
        repository("fine", project("fine", EXAMPLE)),
        *(repository(f"fine{number:03}", project(f"fine{number:03}", CLOSED)) for number in range(250)),
        repository("stale", project("stale", CLOSED, status="stale", exit_code=1, message=HOSTILE)),
        repository("gone", status="failed", exit_code=3, message="the connection was refused"),
        repository("found", project("found", CLOSED, action="audit", status="failed", findings=[FINDING])),
        repository("danger", project("danger", CLOSED, "sub", status="changed", changes=[DANGER], dangerous=1)),
        repository("other", project("other", REPLACED)),
        repository("unread", project("unread", f"{CLOSED}#\n")),
    ]
    texts = {own.lock_sha256: text for own, text in ((project("", each), each) for each in (CLOSED, EXAMPLE, REPLACED))}
    contents = Contents(journal="", results=results, text_of=texts.get)
    with closing(in_memory(contents)) as one, closing(in_memory(contents)) as two:
        made = page(one)
        assert made == page(two)
    return made


def test_the_page_has_text_from_outside_as_data_only() -> None:
    made = _page()
    assert "<img" not in made
    assert "evil.example" in made
    assert "\u202e" not in made
    assert made.count("</script>") == 2


@pytest.mark.skipif(BROWSER is None, reason=f"no Chromium on PATH, and none in {VARIABLE}")
def test_a_person_looks_at_the_page(tmp_path: Path) -> None:
    path = tmp_path / "fleet.html"
    path.write_bytes(_page().encode())
    with open_browser(str(BROWSER), tmp_path) as tab:
        tab.window(1280, 900)
        tab.open(path.as_uri())
        first = ["other", "danger: sub", "found", "gone", "stale", "unread", "fine"]
        assert tab.ask(ROWS)[:7] == first
        assert tab.ask("document.querySelector('#rows td + td').textContent") == "click-8.5.1-py3-none-any.whl"
        assert len(tab.ask(ROWS)) == 100
        assert tab.ask(SHOWN) == "257 projects"
        tab.click("#more")
        assert len(tab.ask(ROWS)) == 257
        assert "click-8.5.1-py3-none-any.whl" in tab.ask("document.getElementById('conflicts').innerText")

        def search(text: str, where: str = "") -> list[str]:
            tab.ask(f"document.getElementById('where').value = '{where}'")
            tab.press("/")
            tab.ask("document.getElementById('search').value = ''")
            tab.write(text)
            tab.ask("document.getElementById('where').dispatchEvent(new Event('change'))")
            tab.ask("document.activeElement.blur()")
            found: list[str] = tab.ask(ROWS)
            return found

        assert search("maturin") == ["fine"]
        assert search("maturin", "runtime") == []
        assert search("click==8.5.1", "build") == []
        assert tab.ask("document.getElementById('nothing').hidden") is False
        assert search("0" * 12) == ["other"]
        assert search("sha256:" + "0" * 64) == ["other"]
        assert search("mesonpy", "build")[:2] == ["other", "danger: sub"]  # a backend
        assert search("pyca/cryptography") == ["fine"]  # a publisher
        assert search("cve-2026-1") == ["found"]
        assert search("click==8.5.1 found") == ["found"]
        tab.click("#clear")
        tab.click("[data-kind='dangerous']")
        assert tab.ask(ROWS) == ["danger: sub"]
        tab.click("#rows button")
        assert "evil.example" in tab.ask("document.querySelector('.opened').innerText")
        tab.click("#rows button")
        assert tab.ask("document.querySelector('.opened')") is None
        tab.window(400, 800)
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth") is True
        assert tab.ask("document.title") == "deep-lock fleet"
        assert tab.faults() == []
        assert tab.requests() == [path.as_uri()]
