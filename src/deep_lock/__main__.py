"""`python -m deep_lock`. In a folder that you do not trust, use `python -I -m deep_lock`: see docs/cli.md."""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] in {"", os.getcwd()}:  # noqa: PTH109 - pathlib is not imported before this
    # python -m puts the current folder first: nothing of a stranger's checkout may be imported from here on
    del sys.path[0]

from deep_lock.cli.start import main

if __name__ == "__main__":
    main()
