"""Index settings of other tools: never obeyed (a lock must not depend on what nobody named to it), always mentioned."""

from typing import Any

from deep_lock.events import Warned

_PLACES = (
    ("poetry", "source"),
    ("uv", "index"),
    ("uv", "index-url"),
    ("uv", "extra-index-url"),
    ("uv", "find-links"),
    ("uv", "sources"),
    ("uv", "override-dependencies"),
    ("uv", "constraint-dependencies"),
    ("pdm", "source"),
)


def notes_on_foreign_settings(tools: dict[str, Any], source: str) -> tuple[Warned, ...]:
    """One note for each setting of another tool that would change what is resolved, and is not used."""
    return tuple(
        Warned(
            code="foreign-setting-unused",
            subject=f"{source} [tool.{tool}.{key}]",
            message="is another tool's setting and is not used: say it in [tool.deep-lock] where deep-lock should know",
        )
        for tool, key in _PLACES
        if isinstance(table := tools.get(tool), dict) and table.get(key)
    )
