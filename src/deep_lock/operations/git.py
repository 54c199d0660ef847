"""Makes a repository treat its locks as locks: hunks named by the project, merges that lock again.

Law: what is written twice is there once, and what was there of others stays.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.network.git import set_setting, setting, top_of

DRIVER = "deep-lock"
MERGE = "deep-lock git-merge %O %A %B %P"
TEXTCONV = "deep-lock git-textconv"
XFUNCNAME = '^name = "(.*)"$'
LINES = ("deep.lock diff=deep-lock merge=deep-lock", "*.deep.lock diff=deep-lock merge=deep-lock")


class Done(Struct, frozen=True, kw_only=True):
    """What was written, or would be, a line each."""

    changed: tuple[str, ...]


def set_up(folder: Path, environ: Mapping[str, str], *, textconv: bool, undo: bool, check: bool) -> Done:
    """Write the attributes and the settings; with ``undo`` take them away, with ``check`` say what is missing.

    Raises UsageError.
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
            changed.append(f"git config {key}" + (f" {own}" if own is not None else " (taken away)"))
            if not check:
                set_setting(top, key, own, environ)
    return Done(changed=tuple(changed))


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
    return [f"{path.name}: {line}{' (taken away)' if undo else ''}" for line in LINES if (line in lines) == undo]
