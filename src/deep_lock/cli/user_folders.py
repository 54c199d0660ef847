"""Folders of the user, where the platform keeps them."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder of deep-lock's cache."""
    return Path(platformdirs.user_cache_dir("deep-lock", appauthor=False))


def settings_folders(tool: str) -> list[Path]:
    """Return where another tool keeps its settings, as the platform has it: the user's folder before the machine's."""
    user = platformdirs.user_config_dir(tool, appauthor=False, roaming=True)
    machine = platformdirs.site_config_dir(tool, appauthor=False, multipath=True)
    return [Path(user), *map(Path, machine.split(os.pathsep)), *([Path("/etc")] if os.name == "posix" else [])]
