"""The command line: the only package that reads the process environment and writes to the terminal."""

from deep_lock.lazy import load_at_first_use

__all__ = ["main", "session"]

load_at_first_use(__name__, "main", "progress", "topics", "user_folders", in_load_all=False)
