"""Where the process begins. What must hold before anything is imported is set here, and then the command line is run."""

import atexit
import gc
import sys
from typing import TYPE_CHECKING, NoReturn

from deep_lock.deferred import DeferredCommand

if TYPE_CHECKING:
    from deep_lock.cli import main as command_line
else:
    command_line = DeferredCommand("deep_lock.cli.main")


def main() -> NoReturn:
    """Run the command line and exit."""
    if hasattr(sys, "set_lazy_imports"):  # PEP 810: nothing of ours may be imported late
        sys.set_lazy_imports("none")
    # Modules and the tables of a lock are many objects and next to no circles: a collector that looks rarely loses
    # nothing, and its look at everything when the process ends would find nothing.
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
    sys.exit(command_line.run(sys.argv[1:]))
