"""A deep-lock that waits for a stranger without end: ``sandbox_waiting.py FOLDER LAYER...``. Its tests kill it."""

import sys
from pathlib import Path

from sandbox_strangers import stranger

from deep_lock.build.sandbox import run

CODE = """
    import os, signal, time
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        os.fork()
    open("ready", "w").close()
    while True:
        time.sleep(1)
"""

if __name__ == "__main__":
    run(stranger(Path(sys.argv[1]), CODE), tuple(sys.argv[2:]))
