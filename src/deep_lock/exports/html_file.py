"""One HTML file out of the parts of a page: head, template, style, script and data. All pages share the head. A page makes no request, and its policy (CSP) allows none.

Text from outside is in it only as data that went through `show`, and no script writes it as markup. The same data gives the
same bytes.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from deep_lock.sanitize import Html, html_data, html_page, html_text, show

LONGEST = 2_000
"""Characters of one text: URLs are longer than what messages show."""


_SHARED = "deep_lock.exports"
"""The package with the head, the style and the script that all pages share."""


def html_file(package: str, name: str, title: str, data: Any, parts: Mapping[str, Html] | None = None) -> Html:
    """Return the page of a package, which has ``NAME.html``, and may have ``NAME.css`` and ``NAME.js``.

    Each text of ``data`` is made safe here; ``parts`` are markup by their names in the template.
    """
    head, template = _part(_SHARED, "shared.html"), _part(package, f"{name}.html")
    style, script = (
        "\n".join(_parts((_SHARED, f"shared.{kind}"), (package, f"{name}.{kind}"))) for kind in ("css", "js")
    )
    return html_page(
        f"{head}{template}",
        {"style": style, "style_hash": _digest(style), "script": script, "script_hash": _digest(script)},
        {"title": html_text(title), "data": html_data(_shown(data)), **(parts or {})},
    )


def _parts(*names: tuple[str, str]) -> Iterable[str]:
    return (_part(package, name) for package, name in names if resources.files(package).joinpath(name).is_file())


def _part(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the source expression that allows one inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return show(value, LONGEST)
    if isinstance(value, dict):
        return {show(key, LONGEST): _shown(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(own) for own in value]
    return value
