"""Where files come from: the index settings of one run, and the client that serves them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from deep_lock.errors import UsageError
from deep_lock.flags import Flags, NetworkFlags
from deep_lock.inputs.config import Config


def default_index() -> str:
    """Return the public index: a library's constant knows it, so that no address stands in this project.

    Loaded only where no index was named: it costs 50 ms.
    """
    constant: str = importlib.import_module("distlib.index").DEFAULT_INDEX
    origin = urlsplit(constant)
    return f"{origin.scheme}://{origin.netloc}/simple/"
