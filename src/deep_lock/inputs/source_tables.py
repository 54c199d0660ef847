"""Tables that say where a project comes from: ``[tool.deep-lock.sources]``, and Poetry's path, git and url dependencies."""

from collections.abc import Mapping
from typing import Any

from deep_lock.errors import ConfigError, RequirementInvalid
from deep_lock.inputs.requirement_list import described
from deep_lock.inputs.text import shown
from deep_lock.model.direct import Reference, checked_revision, inner_folder, parse_reference

SourceSetting = str | Reference
"""The name of an index, or a direct reference whose paths are as written."""

_KINDS: Mapping[str, frozenset[str]] = {
    "index": frozenset(),
    "workspace": frozenset(("editable",)),
    "path": frozenset(("editable", "subdirectory")),
    "git": frozenset(("rev", "tag", "branch", "subdirectory")),
    "url": frozenset(("subdirectory",)),
}
_REVISIONS = ("rev", "tag", "branch")


def read_source(entry: Any) -> SourceSetting:
    """Read one table of ``sources``. Raises ConfigError or RequirementInvalid, without the place."""
    if not isinstance(entry, dict):
        raise ConfigError(f"must be a table, not {described(entry)}")
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        raise ConfigError("must have exactly one of the keys index, workspace, path, git, url")
    kind = kinds[0]
    for key in sorted(set(entry) - {kind} - _KINDS[kind]):
        raise ConfigError(f"{shown(key)} does not go with {kind!r}")
    if kind == "index":
        return _text(entry, "index")
    if kind == "workspace":
        if entry["workspace"] is not True:
            raise ConfigError("workspace must be true")
        return Reference(kind="workspace", is_path=True, editable=_flag(entry, "editable"))
    return read_reference(entry, kind)


def read_reference(entry: Mapping[str, Any], kind: str) -> Reference:
    """Read the reference in a table's key ``path``, ``git`` or ``url``, with the keys that go with it.

    Raises ConfigError or RequirementInvalid.
    """
    place = _text(entry, kind)
    subdirectory = inner_folder(_text(entry, "subdirectory")) if "subdirectory" in entry else ""
    if kind == "path":
        return Reference(
            kind="path", place=place, is_path=True, subdirectory=subdirectory, editable=_flag(entry, "editable")
        )
    wanted = parse_reference(f"git+{place}" if kind == "git" and not place.startswith("git+") else place)
    if wanted.kind != ("git" if kind == "git" else wanted.kind) or (kind == "url" and wanted.kind == "git"):
        raise RequirementInvalid(f"the key {kind!r} names something else")
    return _completed(wanted, _revision(entry) if kind == "git" else None, subdirectory)


def _completed(wanted: Reference, revision: str | None, subdirectory: str) -> Reference:
    return Reference(
        kind=wanted.kind,
        place=wanted.place,
        is_path=wanted.is_path,
        revision=revision or wanted.revision,
        subdirectory=subdirectory or wanted.subdirectory,
        sha256=wanted.sha256,
    )


def _revision(entry: Mapping[str, Any]) -> str | None:
    said = [key for key in _REVISIONS if key in entry]
    if len(said) > 1:
        raise ConfigError(f"has {' and '.join(said)}: one of them says which commit")
    return checked_revision(_text(entry, said[0])) if said else None


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ConfigError(f"{key} must be a string with something in it, not {described(value)}")
    return value


def _flag(entry: Mapping[str, Any], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, not {described(value)}")
    return value
