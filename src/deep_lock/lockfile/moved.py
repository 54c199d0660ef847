"""A lock in which somebody, a bot perhaps, moved versions and nothing else.

Law: only a hint is drawn from it. Files tell of which release an entry is: where all of them are of one other version than the
entry says, that version was moved by hand.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from deep_lock.errors import DeepLockError
from deep_lock.lockfile.toml import parse_toml


class Moved(Struct, frozen=True, kw_only=True):
    """An entry whose version is not that of its files."""

    name: str
    was: str
    now: str


def moved_versions(text: str, source: str) -> tuple[Moved, ...]:
    """Return the entries of which only the version was moved; nothing where the text is no lock at all."""
    try:
        packages = parse_toml(text, source).get("packages")
    except DeepLockError:
        return ()
    return tuple(_moved(packages)) if isinstance(packages, list) else ()


def _moved(packages: list[Any]) -> Iterator[Moved]:
    for package in packages:
        if not isinstance(package, dict):
            continue
        name, version = package.get("name"), package.get("version")
        versions = {_version(file) for file in _files(package)}
        if isinstance(name, str) and isinstance(version, str) and len(versions) == 1:
            was = versions.pop()
            if was and was != version:
                yield Moved(name=name, was=was, now=version)


def _files(package: dict[str, Any]) -> list[Any]:
    wheels = package.get("wheels")
    return [*(wheels if isinstance(wheels, list) else ()), *((package["sdist"],) if "sdist" in package else ())]


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
    """Return the text with the versions that the files have."""
    for one in every:
        head = f'[[packages]]\nname = "{one.name}"\nversion = "'
        text = text.replace(f'{head}{one.now}"', f'{head}{one.was}"', 1)
    return text
