"""Lockfiles and index settings of other tools."""

from deep_lock.lazy import load_at_first_use

__all__ = ["index_settings", "load"]

load_at_first_use(
    __name__,
    "detect",
    "index_settings",
    "pdm",
    "pipfile",
    "poetry",
    "pylock",
    "requirements_txt",
    "uv",
    in_load_all=False,
)
