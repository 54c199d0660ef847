"""Tables with a direct reference: ``{path = ...}``, ``{git = ...}``, ``{url = ...}``."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from deep_lock.errors import ConfigError, RequirementInvalid
from deep_lock.models.direct_url import Reference, checked_revision, inner_folder, parse_reference
from deep_lock.parsing.requirements import described


def read_reference(entry: Mapping[str, Any], kind: str) -> Reference:
    """Read the reference in a table's key ``path``, ``git`` or ``url``, with the keys that go with it.

    Raises ConfigError or RequirementInvalid.
    """
    location = read_text(entry, kind)
    subdirectory = inner_folder(read_text(entry, "subdirectory")) if "subdirectory" in entry else ""
    if kind == "path":
        return Reference(
            kind="path", place=location, is_path=True, subdirectory=subdirectory, editable=read_editable(entry)
        )
    reference = parse_reference(f"git+{location}" if kind == "git" and not location.startswith("git+") else location)
    if (reference.kind == "git") != (kind == "git"):
        raise RequirementInvalid(f"the key {kind!r} names something else")
    revision = _revision(entry) if kind == "git" else None
    return replace(
        reference,
        revision=revision or reference.revision,
        subdirectory=subdirectory or reference.subdirectory,
        editable=False,
    )


def _revision(entry: Mapping[str, Any]) -> str | None:
    keys = [key for key in ("rev", "tag", "branch") if key in entry]
    if len(keys) > 1:
        raise ConfigError(f"has {' and '.join(keys)}: only one of them can select the commit")
    return checked_revision(read_text(entry, keys[0])) if keys else None


def read_text(entry: Mapping[str, Any], key: str) -> str:
    """Return the text of a key. Raises ConfigError."""
    value = entry[key]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ConfigError(f"{key} must be a string that is not empty, not {described(value)}")
    return value


def read_editable(entry: Mapping[str, Any]) -> bool:
    """Return the key ``editable``. Raises ConfigError."""
    value = entry.get("editable", False)
    if not isinstance(value, bool):
        raise ConfigError(f"editable must be true or false, not {described(value)}")
    return value
