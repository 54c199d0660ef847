"""Opens files of the user; their names in messages and in the lock."""

import os
import sys
from pathlib import Path

from deep_lock.errors import (
    ConfigError,
    LimitExceeded,
    RequirementsInvalid,
    UsageError,
    UserError,
    raise_machine_fault,
)
from deep_lock.files import is_there, open_regular
from deep_lock.parsing.text import Opener, decode
from deep_lock.project.folder_config import workspace_root

STANDARD_INPUT = Path("-")
"""The name by which the user passes a document on standard input."""
MAX_INPUT_BYTES = 8 * 1024 * 1024
MAX_LOCK_BYTES = 64 * 1024 * 1024


def read_text(path: Path, error: type[UserError], limit: int = MAX_INPUT_BYTES) -> str:
    """Read a text file of the user, as UTF-8.

    Raises FileNotFoundError, LimitExceeded, and ``error`` for what cannot be read or is no UTF-8.
    """
    return decode(read_bytes(path, error, limit), path.name, error)


def read_bytes(path: Path, error: type[UserError], limit: int = MAX_INPUT_BYTES) -> bytes:
    """Read a file of the user, or standard input. Raises FileNotFoundError, LimitExceeded, and ``error`` for what cannot be read."""
    try:
        if path == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(limit + 1)
            if not raw:
                raise error("standard input is empty: a run reads it once, for one option")
        else:
            with open_regular(path) as file:
                raw = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as fault:
        raise_machine_fault(fault)
        raise error(f"{path}: {fault.strerror or fault}") from None
    if len(raw) > limit:
        raise LimitExceeded(f"{path}: more than {limit} bytes")
    return raw


def missing_lock(path: Path) -> UsageError:
    """Return the error of a command that needs a deep.lock and finds none."""
    hint = "make one: deep-lock lock; or name another file: --lock FILE"
    folder = path.parent.resolve()
    try:
        root = workspace_root(folder)
    except ConfigError:
        root = None
    if root is not None and is_there(root / path.name):
        shown = Path(os.path.relpath(root / path.name, folder)).as_posix()
        hint = f"the folder is a member of a workspace, whose lock is {shown}: --lock FILE, and --package NAME for the member"
    return UsageError(f"{path}: there is no lock", hint=hint)


def shown_path(path: Path, folder: Path) -> str:
    """Return the path as the lock may have it: relative to the project, never an absolute path."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.name


def opener_of(first: Path, folder: Path) -> Opener:
    """Return the opener of files that a requirements file names: in its own folder or in the project, nowhere else."""
    roots = (first.resolve().parent, folder.resolve())

    def open_included(including: str, relative: str) -> str:
        base = next((root for root in roots if (root / including).is_file()), roots[0])
        path = ((base / including).parent / relative).resolve()
        if "://" in relative or not any(path.is_relative_to(root) for root in roots):
            raise RequirementsInvalid(f"{including}: a file outside the project is not read")
        return read_text(path, RequirementsInvalid)

    return open_included
