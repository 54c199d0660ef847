"""Where the process begins: `deep-lock`, and `python -m deep_lock`.

In a folder that you do not trust, use `python -I -m deep_lock`: see docs/reference/untrusted-input.md.
"""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path and sys.path[0] in {"", os.getcwd()}:  # noqa: PTH109 - pathlib is not imported before this
    # python -m puts the current folder first: from here on no file of the current folder may be imported
    del sys.path[0]

import atexit
import gc
from typing import NoReturn

INTERRUPTED = 130

try:
    from deep_lock.cli import main as command_line
except KeyboardInterrupt:  # while modules are loaded: a traceback would be of no use
    sys.exit(INTERRUPTED)


def main() -> NoReturn:
    """Run the command line and exit."""
    if hasattr(sys, "set_lazy_imports"):  # PEP 810: no module of ours may be imported late
        sys.set_lazy_imports("none")
    # A run makes many objects and few reference cycles: a collector that runs rarely loses nothing, and its run over
    # everything when the process ends would find nothing.
    gc.set_threshold(100_000, 20, 100)
    atexit.register(gc.freeze)
    try:
        command_line.end_on_signals()
        code = command_line.run_process(sys.argv[1:])
    except KeyboardInterrupt:  # outside of the command
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
