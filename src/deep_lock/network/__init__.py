"""HTTP and git: all bytes that come from other machines."""

import sys

from deep_lock.lazy import load_at_first_use

__all__ = ["client", "git", "public_index", "scopes", "tls", "urls"]

load_at_first_use(__name__, "client", "git", "public_index", "scopes", "tls")

# httpx imports its command line where the libraries for it (pygments, rich) are installed: 40 ms of each run with requests.
# None makes that import fail, as it does without the libraries, and httpx continues without a command line.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # the import system has None for this purpose
