"""The built site requests nothing from other hosts, and can be read without JavaScript.

`DEEP_LOCK_SITE` names the folder of the site: `mkdocs build` writes it, and `.ci/run` sets the variable.
"""

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.paths import ROOT

SITE = Path(os.environ.get("DEEP_LOCK_SITE", ""))
REQUESTED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "use": "href"}
"""The elements by which a browser requests a file to show a page, and the attribute that has its URL."""


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.requested: list[str] = []
        self.text = ""
        self._ignored = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._ignored = tag in {"script", "style"}
        self.requested += [value or "" for name, value in attrs if name == REQUESTED.get(tag)]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 -- HTMLParser passes it
        self._ignored = False

    def handle_data(self, data: str) -> None:
        if not self._ignored:
            self.text += data


def _foreign(text: str) -> list[str]:
    return [url for url in _Page(text).requested if urlsplit(url).netloc]


@pytest.mark.skipif("DEEP_LOCK_SITE" not in os.environ, reason="DEEP_LOCK_SITE names no built site")
def test_a_page_requests_nothing_from_other_hosts_and_needs_no_javascript() -> None:
    pages = {path.relative_to(SITE).as_posix(): path.read_text(encoding="utf-8") for path in SITE.rglob("*.html")}
    assert len(pages) > 60
    assert {name: found for name, text in pages.items() if (found := _foreign(text))} == {}
    styles = [path.read_text(encoding="utf-8") for path in SITE.rglob("*.css")]
    assert len(styles) > 2
    assert not [style for style in styles if "url(http" in style or "url(//" in style or "@import" in style]
    assert "Writes a [tool.deep-lock] table" in _Page(pages["reference/cli/init/index.html"]).text


@pytest.mark.parametrize(
    "element", ['<script src="//cdn.example/x.js">', '<link rel="icon" href="https://x.example/y">']
)
def test_the_check_finds_another_host(element: str) -> None:
    assert len(_foreign(f"<p><a href='https://docs.example/'>x</a>{element}")) == 1


def test_the_site_is_built_by_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'mkdocs" build --site-dir "$temp_dir/site"' in script
    assert 'export DEEP_LOCK_SITE="$temp_dir/site"' in script
