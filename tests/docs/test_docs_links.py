"""Every link between the documents has a target, and the map links to every document."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def _links(page: Path) -> list[str]:
    return LINK.findall(_prose(page))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_a_target(page: Path) -> None:
    for link in _links(page):
        assert "://" not in link, f"{link}: links to other sites are not allowed"
        name, _, anchor = link.partition("#")
        to = (page.parent / name).resolve() if name else page
        assert to.is_file(), f"{page.name}: {link}: no such file"
        assert not anchor or anchor in _anchors(to), f"{page.name}: {link}: no such heading"


def test_the_map_links_to_every_page() -> None:
    named = {link.partition("#")[0] for link in _links(ROOT / "docs" / "index.md")}
    folder = ROOT / "docs"
    assert named == {page.relative_to(folder).as_posix() for page in folder.rglob("*.md")} - {"index.md"}


def test_the_readme_links_to_the_map() -> None:
    assert "docs/index.md" in _links(ROOT / "README.md")
