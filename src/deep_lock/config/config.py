"""deep-lock's own settings: ``[tool.deep-lock]`` of pyproject.toml, or a deep-lock.toml with the same keys on top.

A project's file is written by whoever sends a pull request. It may make deep-lock stricter; it may not make it run code
that was not agreed to: that takes a flag, typed by the person who runs it.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.config.exclude_newer import ExcludeNewer, read_exclude_newer
from deep_lock.config.policy import read_policy
from deep_lock.errors import ConfigError, LimitExceeded, RequirementInvalid, UserError
from deep_lock.models.build_system import ConfigSettings, SettingValue
from deep_lock.models.direct_url import Reference, checked_revision, inner_folder, parse_reference
from deep_lock.models.policy import Policy
from deep_lock.models.requirement import MAX_REQUIREMENT_LENGTH, Origin, Requirement
from deep_lock.models.resolution import ALL, BuildScope, Prereleases, ResolutionMode
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import described, is_list_of_strings, read_name, read_requirement_list
from deep_lock.parsing.text import shown
from deep_lock.parsing.toml import Lines, line_of, read_toml

MAX_SETTINGS = 1000
"""Of one project."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read_config_settings(
    value: Any, place: str, lines: Lines, faults: Faults
) -> tuple[tuple[NormalizedName, ConfigSettings], ...]:
    """Read a table of names with tables of keys, each with a string or a list of strings; sorted, and none is empty.

    What is wrong with it goes to ``faults``. Raises LimitExceeded.
    """
    if not isinstance(value, dict):
        faults.add(f"{place} must be a table of names with tables of settings, not {described(value)}")
        return ()
    found: dict[NormalizedName, dict[str, SettingValue]] = {}
    for written, table in value.items():
        above = Origin(source=faults.source, place=place, line=line_of(lines.keys, written, place))
        if not isinstance(table, dict):
            faults.add(f"{above}: {shown(written)} must be a table of settings, not {described(table)}")
            continue
        with faults.collecting(str(above)):
            own = found.setdefault(read_name(written, "the name"), {})
            below = replace(above, place=f"{place}.{written[:100]}")
            for key, setting in _read_table(table, below, lines, faults).items():
                if key in own:
                    faults.add(f"{below}: {shown(key)} stands under two spellings of the name")
                own[key] = setting
    return tuple((name, tuple(sorted(own.items()))) for name, own in sorted(found.items()) if own)


def _read_table(table: dict[str, Any], above: Origin, lines: Lines, faults: Faults) -> dict[str, SettingValue]:
    if len(table) > MAX_SETTINGS:
        raise LimitExceeded(f"{above}: {len(table)} settings; at most {MAX_SETTINGS} are taken")
    own: dict[str, SettingValue] = {}
    for key, value in table.items():
        fault = _fault(key, value)
        if fault:
            line = line_of(lines.keys, key, above.place)
            faults.add(f"{replace(above, line=line or above.line)}: {shown(key)} {fault}")
        else:
            own[key] = value if isinstance(value, str) else tuple(value)
    return own


def _fault(key: str, value: Any) -> str:
    if not key:
        return "is no name of a setting"
    if not isinstance(value, str) and not is_list_of_strings(value):
        return f"must be a string or a list of strings, not {described(value)}"
    for text in (key, value) if isinstance(value, str) else (key, *value):
        if len(text) > MAX_REQUIREMENT_LENGTH:
            return f"is {len(text)} characters long; at most {MAX_REQUIREMENT_LENGTH} are taken"
        if _CONTROLS.search(text):
            return "holds a line break or another control character"
    return ""


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


TABLE = "tool.deep-lock"

Names = tuple[NormalizedName, ...]
Hooks = Literal["static", "sandbox"]
ForkStrategy = Literal["newest", "fewest"]
IndexStrategy = Literal["first-index", "unsafe-best-match"]
Files = Literal["used", "all"]
BuildResolution = Literal["shared", "highest"]


class IndexSetting(Struct, frozen=True, kw_only=True):
    """One ``[[tool.deep-lock.index]]``. ``url`` may hold user-info."""

    name: str
    url: str
    explicit: bool = False
    """Used only for names that ``sources`` sends to it."""
    default: bool = False
    """Takes the place of the standard index."""

    def __repr__(self) -> str:
        return f"IndexSetting(name={self.name!r})"


class Config(Struct, frozen=True, kw_only=True):
    """Settings of one file. None: not set there. Field names are the keys with ``_`` for ``-``."""

    source: str
    from_lock: str | None = None
    """Another tool's lock, whose runtime pins are taken: a path beside the file."""
    python_versions: tuple[str, ...] | None = None
    platforms: tuple[str, ...] | None = None
    extras: Names | Literal["all"] | None = None
    groups: Names | Literal["all"] | None = None
    default_groups: Names | Literal["all"] | None = None
    build_scope: BuildScope | None = None
    no_binary: frozenset[str] | None = None
    """Normalized names, or ":all:"."""
    only_binary: frozenset[str] | None = None
    allow_wheel: frozenset[str] | None = None
    resolution: ResolutionMode | None = None
    prerelease: Prereleases | None = None
    exclude_newer: ExcludeNewer | None = None
    exclude_newer_package: tuple[tuple[NormalizedName, ExcludeNewer | None], ...] | None = None
    """Per package its own limit, or None (written ``false``) for no limit."""
    fork_strategy: ForkStrategy | None = None
    hooks: Hooks | None = None
    observe: bool | None = None
    index: tuple[IndexSetting, ...] | None = None
    sources: tuple[tuple[NormalizedName, SourceSetting], ...] | None = None
    """(package, name of the index or the direct reference that it comes from)."""
    workspace: tuple[str, ...] | None = None
    """Patterns of the folders of a workspace's members."""
    find_links: tuple[str, ...] | None = None
    no_index: bool | None = None
    index_strategy: IndexStrategy | None = None
    constraints: tuple[Requirement, ...] | None = None
    overrides: tuple[Requirement, ...] | None = None
    build_constraints: tuple[Requirement, ...] | None = None
    extra_build_requires: tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...] | None = None
    """Per project, what its sdists need to be built and do not say. Sorted; none is empty."""
    config_settings: tuple[tuple[NormalizedName, ConfigSettings], ...] | None = None
    """Per project, what its build backend is told. Sorted; none is empty."""
    package: bool | None = None
    files: Files | None = None
    build_resolution: BuildResolution | None = None
    require_evidence: bool | None = None
    policy: Policy | None = None
    """What is wanted of the lock."""


def read_config(settings: Mapping[str, Any], source: str, text: str = "") -> Config:
    """Read a raw ``[tool.deep-lock]`` table. ``text`` is the file's text, if line numbers are wanted.

    Raises ConfigError with all faults, or LimitExceeded.
    """
    lines = read_toml(text, source, ConfigError)[1] if text else Lines(strings={}, keys={})
    return _read(settings, source, TABLE, lines)


def read_config_file(text: str, source: str) -> Config:
    """Read a deep-lock.toml: the same keys, at the top level.

    Raises ConfigError with all faults, or LimitExceeded.
    """
    table, lines = read_toml(text, source, ConfigError)
    return _read(table, source, "", lines)


class _At(Struct, frozen=True, kw_only=True):
    """One key while it is read."""

    key: str
    lines: Lines
    faults: Faults


class _Mistyped(UserError):
    """A value is not what its key wants; the message says what it should be."""


def _read(settings: Mapping[str, Any], source: str, table: str, lines: Lines) -> Config:
    faults = Faults(source, ConfigError)
    values: dict[str, Any] = {}
    for key, value in settings.items():
        place = f"{table}.{key}" if table else key
        read = _READERS.get(key)
        if read is None:
            faults.add(*_unknown(key, place))
            continue
        try:
            values[key.replace("-", "_")] = read(value, _At(key=place, lines=lines, faults=faults))
        except _Mistyped as error:
            faults.add(f"{place} must be {error.message}", hint=error.hint)
        except UserError as error:
            faults.add(f"{place}: {error.message}", hint=error.hint)
    faults.raise_any()
    return Config(source=source, **values)


def _unknown(key: str, place: str) -> tuple[str]:
    if key == "trust-hooks":
        return (f"{place} is not taken from a file: {_WHY_NOT_TRUST}",)
    near = difflib.get_close_matches(key[:100].replace("_", "-").lower(), _READERS, n=1)
    return (f"{shown(place)} is not a known key" + (f"; did you mean {near[0]!r}?" if near else ""),)


def _boolean(value: Any, _at: _At) -> bool:
    if not isinstance(value, bool):
        raise _Mistyped(f"true or false, not {described(value)}")
    return value


def _strings(value: Any, _at: _At) -> tuple[str, ...]:
    if not is_list_of_strings(value):
        raise _Mistyped(f"a list of strings, not {described(value)}")
    return tuple(value)


def _names(value: Any, at: _At) -> Names:
    return tuple(read_name(text, "the name") for text in _strings(value, at))


def _names_or_all(value: Any, at: _At) -> Names | Literal["all"]:
    if value == "all":
        return "all"
    if isinstance(value, str):
        raise _Mistyped(f'"all" or a list of names, not {shown(value)}')
    return _names(value, at)


def _formats(value: Any, at: _At) -> frozenset[str]:
    """Names or ":all:"; one string will do."""
    texts = (value,) if isinstance(value, str) else _strings(value, at)
    return frozenset(text if text == ALL else read_name(text, "the name") for text in texts)


def _package_names(value: Any, at: _At) -> frozenset[str]:
    return frozenset(_names(value, at))


def _one_of(alias: Any) -> Callable[[Any, _At], str]:
    words: tuple[str, ...] = get_args(alias)

    def read(value: Any, _at: _At) -> str:
        if value not in words:
            wanted = ", ".join(f'"{word}"' for word in words)
            raise _Mistyped(f"one of {wanted}, not {shown(value) if isinstance(value, str) else described(value)}")
        return str(value)

    return read


_WHY_NOT_TRUST = (
    "whoever can change this file could then run code on the machine of whoever locks. "
    "The person who runs deep-lock says it, with --hooks trust"
)


def _hooks(value: Any, at: _At) -> str:
    if isinstance(value, str) and value in {"trust", "unsafe", "off", "none", "no-sandbox"}:
        raise ConfigError(f"{shown(value)} is not taken from a file: {_WHY_NOT_TRUST}")
    return _one_of(Hooks)(value, at)


def _path(value: Any, _at: _At) -> str:
    if not isinstance(value, str) or not value or value.startswith(("/", "~")) or "\\" in value or ":" in value:
        raise _Mistyped(f"a relative path with '/', not {shown(value) if isinstance(value, str) else described(value)}")
    return value


def _limit(value: Any, _at: _At) -> ExcludeNewer:
    return read_exclude_newer(value)


def _limits(value: Any, _at: _At) -> tuple[tuple[NormalizedName, ExcludeNewer | None], ...]:
    if not isinstance(value, dict):
        raise _Mistyped(f"a table of names with times, not {described(value)}")
    return tuple(
        (read_name(name, "the name"), None if limit is False else read_exclude_newer(limit))
        for name, limit in value.items()
    )


def _requirements(value: Any, at: _At) -> tuple[Requirement, ...]:
    return read_requirement_list(value, at.key, at.lines, at.faults)


def _requirements_by_name(value: Any, at: _At) -> tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]:
    if not isinstance(value, dict):
        raise _Mistyped(f"a table of names with lists of requirements, not {described(value)}")
    found: dict[NormalizedName, tuple[Requirement, ...]] = {}
    for name, texts in value.items():
        requirements = read_requirement_list(texts, f"{at.key}.{name[:100]}", at.lines, at.faults)
        with at.faults.collecting(at.key):
            normal = read_name(name, "the name")
            found[normal] = (*found.get(normal, ()), *requirements)
    return tuple(sorted((name, requirements) for name, requirements in found.items() if requirements))


def _config_settings(value: Any, at: _At) -> tuple[tuple[NormalizedName, ConfigSettings], ...]:
    return read_config_settings(value, at.key, at.lines, at.faults)


def _sources(value: Any, at: _At) -> tuple[tuple[NormalizedName, SourceSetting], ...]:
    if not isinstance(value, dict):
        raise _Mistyped(f"a table of names, not {described(value)}")
    found: list[tuple[NormalizedName, SourceSetting]] = []
    for name, entry in value.items():
        with at.faults.collecting(f"{at.key}.{name[:100]}"):
            found.append((read_name(name, "the name"), read_source(entry)))
    return tuple(found)


def _workspace(value: Any, at: _At) -> tuple[str, ...]:
    match value:
        case {"members": list() as members} if len(value) == 1 and is_list_of_strings(members):
            for pattern in members:
                if (
                    not pattern
                    or pattern.startswith(("/", "~"))
                    or "\\" in pattern
                    or ":" in pattern[:2]
                    or not pattern.isprintable()
                ):
                    at.faults.add(f"{at.key}.members holds {shown(pattern)}, which is no relative path with '/'")
            return tuple(members)
        case _:
            raise _Mistyped("a table with one key, members, a list of folders")


def _indexes(value: Any, at: _At) -> tuple[IndexSetting, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _Mistyped(f"an array of tables ([[{at.key}]]), not {described(value)}")
    found: list[IndexSetting] = []
    for number, entry in enumerate(value, 1):
        with at.faults.collecting(f"{at.key}, entry {number}"):
            found.append(_index(entry))
    for what, several in (
        ("the same name", len({one.name for one in found}) < len(found)),
        ("default = true", sum(one.default for one in found) > 1),
    ):
        if several:
            at.faults.add(f"{at.key}: more than one has {what}")
    return tuple(found)


def _index(entry: dict[str, Any]) -> IndexSetting:
    for key, kind in (("name", str), ("url", str), ("explicit", bool), ("default", bool)):
        if key in entry and not isinstance(entry[key], kind):
            wanted = "a string" if kind is str else "true or false"
            raise ConfigError(f"{key} must be {wanted}, not {described(entry[key])}")
    for key in sorted(set(entry) - {"name", "url", "explicit", "default"}):
        raise ConfigError(f"{shown(key)} is not a known key; known are name, url, explicit, default")
    for key in ("name", "url"):
        if key not in entry:
            raise ConfigError(f"{key} is missing")
    name: str = entry["name"]
    if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ConfigError(f"the name {shown(name)} must have ASCII letters, digits, '.', '-' and '_' only")
    if not _is_web_url(entry["url"]):
        # not quoted: it may hold a password
        raise ConfigError(f"the url of {name!r} is no http(s) URL", hint="A folder of files goes into find-links.")
    return IndexSetting(
        name=name, url=entry["url"], explicit=entry.get("explicit", False), default=entry.get("default", False)
    )


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _policy(value: Any, at: _At) -> Policy:
    if not isinstance(value, dict):
        raise _Mistyped(f"a table, not {described(value)}")
    return read_policy(value, at.key, at.faults)


_READERS: Mapping[str, Callable[[Any, _At], Any]] = {
    "from-lock": _path,
    "python-versions": _strings,
    "platforms": _strings,
    "extras": _names_or_all,
    "groups": _names_or_all,
    "default-groups": _names_or_all,
    "build-scope": _one_of(BuildScope),
    "no-binary": _formats,
    "only-binary": _formats,
    "allow-wheel": _package_names,
    "resolution": _one_of(ResolutionMode),
    "prerelease": _one_of(Prereleases),
    "exclude-newer": _limit,
    "exclude-newer-package": _limits,
    "fork-strategy": _one_of(ForkStrategy),
    "hooks": _hooks,
    "observe": _boolean,
    "index": _indexes,
    "sources": _sources,
    "workspace": _workspace,
    "find-links": _strings,
    "no-index": _boolean,
    "index-strategy": _one_of(IndexStrategy),
    "constraints": _requirements,
    "overrides": _requirements,
    "build-constraints": _requirements,
    "extra-build-requires": _requirements_by_name,
    "config-settings": _config_settings,
    "package": _boolean,
    "files": _one_of(Files),
    "build-resolution": _one_of(BuildResolution),
    "require-evidence": _boolean,
    "policy": _policy,
}
