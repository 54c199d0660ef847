"""One HTML file out of the parts of a page: template, style, script and data. It makes no request, and its policy (CSP) allows none.

Text from outside is in it only as data that went through `show`, and no script writes it as markup. The same data gives the
same bytes.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from deep_lock.sanitize import Html, html_data, html_page, html_text, show

LONGEST = 2_000
"""Characters of one text: URLs are longer than what messages show."""


def html_file(package: str, title: str, data: Any, styles: Sequence[str] = ()) -> Html:
    """Return the page of a package, which has ``page.html``, ``page.css`` and ``page.js``.

    ``styles`` are packages whose ``page.css`` comes first. Each text of ``data`` is made safe here.
    """
    style, script = "\n".join(_part(own, "page.css") for own in (*styles, package)), _part(package, "page.js")
    return html_page(
        _part(package, "page.html"),
        {"style": style, "style_hash": _digest(style), "script": script, "script_hash": _digest(script)},
        {"title": html_text(title), "data": html_data(_shown(data))},
    )


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
