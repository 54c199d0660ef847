"""Every link between the documents has a target, every page is in the navigation of the site and reachable on GitHub."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
OUTSIDE = (ROOT / "CHANGELOG.md", *sorted((ROOT / ".github").glob("*.md")))
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")


def _prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def _links(page: Path) -> list[str]:
    return LINK.findall(CODE.sub("code", _prose(page)))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)}


def _target(page: Path, link: str) -> Path:
    name = link.partition("#")[0]
    return (page.parent / name).resolve() if name else page


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_have_a_target(page: Path) -> None:
    for link in _links(page):
        assert "://" not in link, f"{link}: links to other sites are not allowed"
        to, anchor = _target(page, link), link.partition("#")[2]
        assert to.is_file(), f"{page.name}: {link}: no such file"
        assert DOCS not in page.parents or to.is_relative_to(DOCS), f"{page.name}: {link}: not a part of the site"
        assert not anchor or anchor in _anchors(to), f"{page.name}: {link}: no such heading"


def test_links_lead_from_the_readme_to_every_page() -> None:
    seen: set[Path] = set()
    found = [ROOT / "README.md"]
    while found:
        page = found.pop()
        if page.suffix == ".md" and page not in seen:
            seen.add(page)
            found += [_target(page, link) for link in _links(page)]
    assert sorted(path.relative_to(ROOT).as_posix() for path in set(PAGES) - seen) == []


def _listed(entries: list[str | dict[str, object]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else (entry,):
            if isinstance(value, list):
                yield from _listed(value)
            else:
                yield str(value)


def test_the_navigation_of_the_site_lists_every_page_once() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(_listed(settings["nav"])) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES[1:])


def test_the_readme_links_to_the_first_page() -> None:
    assert "docs/index.md" in _links(ROOT / "README.md")
