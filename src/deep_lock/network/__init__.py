"""HTTP and git: all bytes that come from other machines."""

import sys
from types import ModuleType

from deep_lock.lazy import load_at_first_use

__all__ = ["client", "git", "public_index", "urls"]

load_at_first_use(__name__, "client", "git")
load_at_first_use(__name__, "public_index", in_load_all=False)


def _no_command_line() -> None:
    """Replace the command line of httpx."""


# httpx imports its own command line, and with it rich and pygments, where they are installed: 40 of its 110 ms.
_command_line = ModuleType("httpx._main")
vars(_command_line).update(main=_no_command_line)
sys.modules.setdefault("httpx._main", _command_line)
