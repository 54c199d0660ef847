"""The address of the public index. It is a constant of distlib, so that this project contains no address.

The constant is read from the source text of distlib: to import ``distlib.index`` takes 69 ms.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from deep_lock.errors import UsageError

_CONSTANT = re.compile(r"""^DEFAULT_INDEX = (['"])(https://[^'"\s]+)\1\s*$""", re.MULTILINE)


def public_index() -> str:
    """Return the URL of the public index. Raises UsageError where distlib does not contain it."""
    spec = find_spec("distlib")
    folders = (spec.submodule_search_locations if spec is not None else None) or ()
    for folder in folders:
        path = Path(folder) / "index.py"
        found = _CONSTANT.search(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
        if found is not None:
            origin = urlsplit(found[2])
            return f"{origin.scheme}://{origin.netloc}/simple/"
    where = f"{folders[0]} does not contain it" if folders else "it is not installed"
    raise UsageError(
        f"distlib: the address of the public index is a constant of this package, and {where}",
        hint="name the index: --default-index URL, or install deep-lock again",
    )
