"""The work of `deepen --save`: ``from-lock`` in the configuration, so that `lock` keeps the same pins."""

from pathlib import Path

from msgspec import Struct

from deep_lock.config.config import read_config
from deep_lock.files import is_there
from deep_lock.project import edit

KEY = "from-lock"


class Saved(Struct, frozen=True, kw_only=True):
    """The file of the configuration with the key, unwritten."""

    document: edit.Document
    before: str | None
    """The value of the key that was there."""


def save_import(file: Path) -> Saved:
    """Return the configuration in the folder of another tool's lock, with the name of that lock.

    It is deep-lock.toml or pyproject.toml, or a new deep-lock.toml where there is neither. Raises UserError.
    """
    own, pyproject = file.with_name("deep-lock.toml"), file.with_name("pyproject.toml")
    if is_there(own) or not is_there(pyproject):
        document = edit.open_document(own) if is_there(own) else edit.new_document(own)
        keys: edit.Keys = ()
    else:
        document, keys = edit.open_document(pyproject), ("tool", "deep-lock")
    before = _settings(document, keys)
    if keys and before is None:
        line = edit.assignment(KEY, file.name)
        document = edit.with_table(document, f"[tool.deep-lock]\n{line}", after=(("tool",),))
    else:
        document = edit.with_value(document, (*keys, KEY), file.name)
    read_config(_settings(document, keys) or {}, document.source)
    name = (before or {}).get(KEY)
    return Saved(document=document, before=name if isinstance(name, str) else None)


def _settings(document: edit.Document, keys: edit.Keys) -> dict[str, object] | None:
    """Return the raw table; None where the file has none."""
    settings = document.data
    for key in keys:
        inner = settings.get(key)
        if not isinstance(inner, dict):
            return None
        settings = inner
    return settings
