"""Locks in which only versions were edited, as some bots do."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_wheel_filename

from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.lockfile.reader import MAX_LOCK_BYTES
from deep_lock.models.distribution import parse_sdist_filename
from deep_lock.parsing.toml import parse_toml


class Moved(Struct, frozen=True, kw_only=True):
    """A package whose version was edited and its files were not."""

    name: str
    was: str
    """The version of its files."""
    now: str


def moved_versions(text: str, source: str) -> tuple[Moved, ...]:
    """Return the packages of which only the version was edited; nothing where the text is not TOML."""
    try:
        packages = parse_toml(text, source, LockInvalid, limit=MAX_LOCK_BYTES).get("packages")
    except DeepLockError:
        return ()
    return tuple(_moved(packages)) if isinstance(packages, list) else ()


def _moved(packages: list[Any]) -> Iterator[Moved]:
    for package in packages:
        if not isinstance(package, dict):
            continue
        name, version, wheels = package.get("name"), package.get("version"), package.get("wheels")
        files = [*(wheels if isinstance(wheels, list) else ()), package.get("sdist")]
        versions = {_version(file) for file in files if file is not None}
        if isinstance(name, str) and isinstance(version, str) and len(versions) == 1:
            was = versions.pop()
            if was and was != version:
                yield Moved(name=name, was=was, now=version)


def _version(file: Any) -> str:
    name = file.get("name") if isinstance(file, dict) else None
    if not isinstance(name, str):
        return ""
    try:
        found = parse_wheel_filename(name)[1] if name.endswith(".whl") else parse_sdist_filename(name)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return ""
    return str(found)


def restored(text: str, every: tuple[Moved, ...]) -> str:
    """Return the text with the versions of the files in place of the edited ones."""
    for one in every:
        head = f'[[packages]]\nname = "{one.name}"\nversion = "'
        text = text.replace(f'{head}{one.now}"', f'{head}{one.was}"', 1)
    return text
