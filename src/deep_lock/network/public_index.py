"""The address of the public index. A library's constant holds it, so that no address stands in this project."""

from urllib.parse import urlsplit

from distlib.index import DEFAULT_INDEX


def public_index() -> str:
    """Return the URL of the public index."""
    origin = urlsplit(DEFAULT_INDEX)
    return f"{origin.scheme}://{origin.netloc}/simple/"
