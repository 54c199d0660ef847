"""The address of the public index. It is a constant of a library, so that this project contains no address."""

from urllib.parse import urlsplit

from distlib.index import DEFAULT_INDEX


def public_index() -> str:
    """Return the URL of the public index."""
    origin = urlsplit(DEFAULT_INDEX)
    return f"{origin.scheme}://{origin.netloc}/simple/"
