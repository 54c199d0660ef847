"""Python source of an sdist as a syntax tree. It is parsed and never compiled, let alone run."""

import ast
import threading
import warnings

MAX_SOURCE = 512 * 1024

_quiet = threading.Lock()
"""`warnings.catch_warnings` swaps a global list: two threads inside it at once could leave the wrong one behind."""


def parse_python(raw: bytes) -> ast.Module | None:
    """Return the tree; None where the source is no Python of today (Python 2 above all), or hostile."""
    if len(raw) > MAX_SOURCE:
        return None
    with _quiet, warnings.catch_warnings():
        # "\d" in somebody's setup.py must not become a warning of ours
        warnings.simplefilter("ignore")
        try:
            return ast.parse(raw)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None
