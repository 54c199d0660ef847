"""The work of `git-setup` and `git-textconv`: git names the hunks of a lock by package, and merges locks by locking again.

Invariant: settings are written once, and those of others stay.
"""

from collections.abc import Mapping
from pathlib import Path

from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.files import write_atomically
from deep_lock.locking.read_inputs import require_lock
from deep_lock.network.git import set_setting, setting, top_of
from deep_lock.reports.diff import short_text

DRIVER = "deep-lock"
MERGE = "deep-lock git-merge %O %A %B %P"
TEXTCONV = "deep-lock git-textconv"
XFUNCNAME = '^name = "(.*)"$'
LINES = ("deep.lock diff=deep-lock merge=deep-lock", "*.deep.lock diff=deep-lock merge=deep-lock")


def set_up(folder: Path, environ: Mapping[str, str], *, textconv: bool, undo: bool, check: bool) -> list[str]:
    """Write the attributes and the settings, with ``undo`` remove them; return what changed, a line each.

    With ``check`` nothing is written. Raises UsageError.
    """
    top = top_of(folder, environ)
    changed = _attributes(top / ".gitattributes", undo=undo, check=check)
    wanted: dict[str, str | None] = {
        f"merge.{DRIVER}.name": "merge deep.lock, and lock again what both branches changed",
        f"merge.{DRIVER}.driver": MERGE,
        f"diff.{DRIVER}.xfuncname": XFUNCNAME,
        f"diff.{DRIVER}.textconv": TEXTCONV if textconv else None,
    }
    for key, value in wanted.items():
        own = None if undo else value
        if setting(top, key, environ) != own:
            changed.append(f"git config {key}" + (f" {own}" if own is not None else " (removed)"))
            if not check:
                set_setting(top, key, own, environ)
    return changed


def _attributes(path: Path, *, undo: bool, check: bool) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = text.splitlines()
        kept = [line for line in lines if line not in LINES]
        made = kept if undo else [*lines, *(line for line in LINES if line not in lines)]
        if made == lines:
            return []
        if not check:
            if made:
                write_atomically(path, ("\n".join(made) + "\n").encode())
            else:
                path.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    return [f"{path.name}: {line}{' (removed)' if undo else ''}" for line in LINES if (line in lines) == undo]


def summary(path: Path, reporter: Reporter) -> str:
    """Return a lock in a short form. Raises UsageError where there is none, and LockInvalid."""
    return short_text(require_lock(path, reporter))
