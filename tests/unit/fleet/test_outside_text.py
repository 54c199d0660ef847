"""Text from outside in the views of a fleet: it adds no line, no command of a terminal or a CI system, and no element."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from deep_lock.cli.commands.fleet import _result_line
from deep_lock.cli.main import run
from deep_lock.fleet import view
from deep_lock.fleet.records import RepositoryResult
from tests.support.fleet_state import CLICK, CLOSED, EXAMPLE, FINDING, project, repository, write_state

EVIL = "</script><img src=x onerror=y>\"'\\\n::error::FORGED\n  FORGED 1\r\x1b]0;t\x07\u202e`"
REPLACED = CLOSED.replace(CLICK, "0" * 64)
SAMPLE = re.compile(r'(?:# (?:HELP|TYPE) .*|\w+(?:\{\w+="(?:[^"\\\n]|\\[\\"n])*"\})? -?[0-9.e+]+)')


class Elements(HTMLParser):
    """Keeps the elements of a page, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.found.append(tag)


def _results(text: str) -> list[RepositoryResult]:
    finding = {**FINDING, "id": f"GHSA-1{text}", "summary": text, "severity": text or "high", "aliases": ["CVE-1"]}
    change = {"code": "x", "weight": "danger", "name": text, "was": text, "now": text, "message": text, "chain": [text]}
    more = {"message": text, "hint": text, "warnings": (text,), "targets": (text,), "code": f"c{text}"}
    one, two = (
        project(f"a{text}", lock, f"sub{text}", changes=(change,), dangerous=1, **more) for lock in (EXAMPLE, REPLACED)
    )
    return [
        repository(f"a{text}", one, url=f"https://git.example/{text}", commit=f"c{text}"),
        repository(f"b{text}", two, ref=text),
        repository("c", project("c", CLOSED, action="audit", status="failed", exit_code=1, findings=(finding,))),
        repository(f"d{text}", status="failed", exit_code=3, code=f"c{text}", message=text, hint=text),
        repository(f"e{text}", project(f"e{text}", "", f"sub{text}", status="failed", exit_code=2, message=text)),
    ]


def _views(folder: Path, text: str, capfd: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """Return the lines of all answers, and the elements of the page."""
    in_lock = (
        "</script><img src=x onerror=y>\"'\\::error::z" if text else ""
    )  # no control character: such a lock is not read
    evil = EXAMPLE.replace('"pyca/cryptography"', json.dumps(f"pyca/cryptography{in_lock}"))
    assert (evil == EXAMPLE) == (not text)
    results = [
        *_results(text),
        repository("f", project("f", evil)),
    ]
    write_state(folder / "state", results, EXAMPLE, REPLACED, CLOSED, evil)
    capfd.readouterr()
    for question in (["uses", "click"], ["published-by", "github"], ["hash-conflicts"], ["vulnerable", "CVE-1"]):
        assert run(["fleet", "ask", *question, "--state", str(folder / "state")]) in {0, 4}
    view.write(folder / "state")
    page = Elements()
    page.feed((folder / "state" / "fleet.html").read_text(encoding="utf-8"))
    figures = (folder / "state" / "fleet.prom").read_text(encoding="utf-8")
    assert [line for line in figures.removesuffix("\n").split("\n") if not SAMPLE.fullmatch(line)] == []
    found = "".join(capfd.readouterr())
    found += "\n".join(_result_line(own, "") for own in results)
    assert not set("\x1b\x07\r\u202e") & set(found)
    return found.split("\n"), page.found


def test_text_from_outside_adds_nothing_to_the_views(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain, elements = _views(tmp_path / "plain", "", capfd)
    evil, others = _views(tmp_path / "evil", EVIL, capfd)
    assert not [line for line in evil if line.lstrip().startswith(("::", "FORGED"))]
    assert len(evil) == len(plain)
    assert elements == others
