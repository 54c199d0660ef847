"""The configuration: ``[tool.deep-lock]`` of pyproject.toml, or a deep-lock.toml with the same keys at the top.

A pull request can change these files. They can make deep-lock stricter; they cannot make it run untrusted code: that takes
an option on the command line.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import InvalidMarker, Marker
from packaging.utils import NormalizedName

from deep_lock.boundary import reading
from deep_lock.config import audit
from deep_lock.config.exclude_newer import ExcludeNewer, read_exclude_newer
from deep_lock.config.policy import read_policy
from deep_lock.config.values import one_of, read_record, typed, unknown_key
from deep_lock.errors import ConfigError, LimitExceeded
from deep_lock.models import advisory
from deep_lock.models.build_system import ConfigSettings, SettingValue
from deep_lock.models.conflicts import Declared, read_declared
from deep_lock.models.direct_url import Reference
from deep_lock.models.policy import Policy
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.resolution import ALL, AttestationsMode, BuildScope, Prereleases, ResolutionMode
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.references import read_editable, read_reference, read_text
from deep_lock.parsing.requirements import (
    MAX_REQUIREMENT_LENGTH,
    described,
    is_list_of_strings,
    read_name,
    read_requirement_list,
)
from deep_lock.parsing.text import shown
from deep_lock.parsing.toml import Lines, line_of, read_toml
from deep_lock.pep440 import parse_marker
from deep_lock.targets.marker_negation import negated
from deep_lock.targets.markers import Scope

TABLE = "tool.deep-lock"
MAX_SETTINGS = 1000
"""Config settings of one project."""

Names = tuple[NormalizedName, ...]
Hooks = Literal["static", "sandbox"]
ForkStrategy = Literal["newest", "fewest"]
IndexStrategy = Literal["first-index", "unsafe-best-match"]
Files = Literal["used", "all"]
BuildResolution = Literal["shared", "highest"]
PublicIndex = Literal["used", "assigned", "unused"]
"""For every project, for those that ``sources`` assigns to the index "default", or for none."""
SourceSetting = str | Reference | tuple["ConditionalSource", ...]
"""The name of an index, a direct reference whose paths are as written, or sources with conditions, in order of precedence."""


class ConditionalSource(Struct, frozen=True, kw_only=True):
    """A source that is used where all of its conditions hold."""

    source: str | Reference
    marker: Marker | None = None
    scope: Scope | None = None
    """The extra or the dependency group that must require the project. Such a source has precedence."""


class IndexSetting(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One ``[[tool.deep-lock.index]]``. ``url`` may hold user-info."""

    name: str
    url: str
    explicit: bool = False
    """Used only for projects that ``sources`` assigns to it."""
    default: bool = False
    """Used instead of the public index."""
    fallback: bool = False
    """Used after the default index, for projects that no other index has."""
    include_packages: tuple[str, ...] = ()
    """Patterns of normalized names: these projects come only from this index."""
    exclude_packages: tuple[str, ...] = ()
    """Patterns of normalized names: these projects do not come from this index."""
    client_cert: str = ""
    """A PEM file with certificate and private key, relative to the project."""

    def __repr__(self) -> str:
        return f"IndexSetting(name={self.name!r})"


class Workspace(Struct, frozen=True, kw_only=True):
    """Patterns of the folders of a workspace's members, and of those that are none."""

    members: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Config(Struct, frozen=True, kw_only=True):
    """The values of one file. None: not set there. Field names are the keys with ``_`` for ``-``."""

    source: str
    from_lock: str | None = None
    """The path of another tool's lock, whose runtime pins are taken, relative to the file."""
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
    """By project its own limit, or None (written ``false``) for no limit."""
    fork_strategy: ForkStrategy | None = None
    hooks: Hooks | None = None
    observe: bool | None = None
    index: tuple[IndexSetting, ...] | None = None
    sources: tuple[tuple[NormalizedName, SourceSetting], ...] | None = None
    """By project where it comes from."""
    workspace: Workspace | None = None
    conflicts: tuple[tuple[Declared, ...], ...] | None = None
    """Extras, groups and members of a workspace of which at most one is selected at once."""
    find_links: tuple[str, ...] | None = None
    no_index: bool | None = None
    index_strategy: IndexStrategy | None = None
    constraints: tuple[Requirement, ...] | None = None
    overrides: tuple[Requirement, ...] | None = None
    build_constraints: tuple[Requirement, ...] | None = None
    extra_build_requires: tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...] | None = None
    """By project, build requirements that its sdists do not declare. Sorted; none is empty."""
    config_settings: tuple[tuple[NormalizedName, ConfigSettings], ...] | None = None
    """By project, the settings that its build backend gets. Sorted; none is empty."""
    package: bool | None = None
    files: Files | None = None
    build_resolution: BuildResolution | None = None
    require_evidence: bool | None = None
    attestations: AttestationsMode | None = None
    policy: Policy | None = None
    audit: "advisory.AuditSettings | None" = None
    public_index: PublicIndex | None = None
    """Whether the public index is used. Not a key: the tables of other tools decide it."""

    @property
    def keys(self) -> frozenset[str]:
        """The keys that are set."""
        fields = (name for name in self.__struct_fields__ if name != "source" and getattr(self, name) is not None)
        return frozenset(name.replace("_", "-") for name in fields)


def read_config(settings: Mapping[str, Any], source: str, text: str = "") -> Config:
    """Read a raw ``[tool.deep-lock]`` table. ``text`` is the text of the file, for line numbers.

    Raises ConfigError with all faults, or LimitExceeded.
    """
    lines = read_toml(text, source, ConfigError)[1] if text else Lines(strings={}, keys={})
    with reading(source, ConfigError):
        return _read(settings, source, f"{TABLE}.", lines)


def read_config_file(text: str, source: str) -> Config:
    """Read a deep-lock.toml: the same keys, at the top level.

    Raises ConfigError with all faults, or LimitExceeded.
    """
    with reading(source, ConfigError):
        table, lines = read_toml(text, source, ConfigError)
        return _read(table, source, "", lines)


class _At(Struct, frozen=True, kw_only=True):
    """The key that is read."""

    key: str
    """Dotted, from the top of the file."""
    lines: Lines
    faults: Faults


def _read(settings: Mapping[str, Any], source: str, prefix: str, lines: Lines) -> Config:
    faults = Faults(source, ConfigError)
    values: dict[str, Any] = {}
    for key, value in settings.items():
        at = _At(key=f"{prefix}{key}", lines=lines, faults=faults)
        if key in _READERS:
            with faults.collecting(at.key):
                values[key.replace("-", "_")] = _READERS[key](value, at)
        elif key == "trust-hooks":
            faults.add(f"{at.key} is not allowed in a file: {_WHY_NOT_TRUST}")
        else:
            faults.add(unknown_key(key, at.key, _READERS))
    faults.raise_any()
    return Config(source=source, **values)


# -- one key


def _boolean(value: Any, _at: _At) -> bool:
    return typed(value, bool)


def _strings(value: Any, _at: _At) -> tuple[str, ...]:
    return typed(value, tuple[str, ...])


def _names(value: Any, at: _At) -> Names:
    return tuple(read_name(text, "the name") for text in _strings(value, at))


def _names_or_all(value: Any, at: _At) -> Names | Literal["all"]:
    if value == "all":
        return "all"
    if isinstance(value, str):
        raise ConfigError(f'must be "all" or a list of names, not {shown(value)}')
    return _names(value, at)


def _package_names(value: Any, at: _At) -> frozenset[str]:
    return frozenset(_names(value, at))


def _formats(value: Any, at: _At) -> frozenset[str]:
    """Names or ":all:", as a list or as one string."""
    texts = (value,) if isinstance(value, str) else _strings(value, at)
    return frozenset(text if text == ALL else read_name(text, "the name") for text in texts)


def _choice(alias: Any) -> Callable[[Any, _At], str]:
    return lambda value, _at: one_of(value, alias)


_WHY_NOT_TRUST = (
    "with it, a change of this file could run code on the machine that locks. "
    "Use the option --hooks trust on the command line"
)


def _hooks(value: Any, _at: _At) -> str:
    if isinstance(value, str) and value in {"trust", "unsafe", "off", "none", "no-sandbox"}:
        raise ConfigError(f"{shown(value)} is not allowed in a file: {_WHY_NOT_TRUST}")
    return one_of(value, Hooks)


def _path(value: Any, _at: _At) -> str:
    path = typed(value, str, "a relative path with '/'")
    if not path.isprintable() or not path or path.startswith(("/", "~")) or "\\" in path or ":" in path:
        raise ConfigError(f"must be a relative path with '/', not {shown(path)}")
    return path


def _limit(value: Any, _at: _At) -> ExcludeNewer:
    return read_exclude_newer(value)


def _limits(value: Any, _at: _At) -> tuple[tuple[NormalizedName, ExcludeNewer | None], ...]:
    table = typed(value, dict[str, Any], "a table of names with times")
    return tuple(
        (read_name(name, "the name"), None if limit is False else read_exclude_newer(limit))
        for name, limit in table.items()
    )


def _requirements(value: Any, at: _At) -> tuple[Requirement, ...]:
    return read_requirement_list(value, at.key, at.lines, at.faults)


def _requirements_by_name(value: Any, at: _At) -> tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]:
    found: dict[NormalizedName, tuple[Requirement, ...]] = {}
    for name, texts in typed(value, dict[str, Any], "a table of names with lists of requirements").items():
        requirements = read_requirement_list(texts, f"{at.key}.{name[:100]}", at.lines, at.faults)
        with at.faults.collecting(at.key):
            normal = read_name(name, "the name")
            found[normal] = (*found.get(normal, ()), *requirements)
    return tuple(sorted((name, requirements) for name, requirements in found.items() if requirements))


def _policy(value: Any, at: _At) -> Policy:
    return read_policy(typed(value, dict[str, Any]), at.key, at.faults)


def _audit(value: Any, at: _At) -> "advisory.AuditSettings":
    return audit.read_audit(typed(value, dict[str, Any]), at.key, at.faults)


def _conflicts(value: Any, _at: _At) -> tuple[tuple[Declared, ...], ...]:
    try:
        return read_declared(value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _workspace(value: Any, at: _At) -> Workspace:
    workspace = read_record(value, Workspace)
    for key, patterns in (("members", workspace.members), ("exclude", workspace.exclude)):
        for pattern in patterns:
            is_anchored = pattern.startswith(("/", "~")) or "\\" in pattern or ":" in pattern[:2]
            if not pattern or is_anchored or not pattern.isprintable():
                at.faults.add(f"{at.key}.{key} contains {shown(pattern)}, which is not a relative path with '/'")
    return workspace


# -- indexes


def _indexes(value: Any, at: _At) -> tuple[IndexSetting, ...]:
    found: list[IndexSetting] = []
    for number, entry in enumerate(typed(value, tuple[dict[str, Any], ...], f"an array of tables ([[{at.key}]])"), 1):
        with at.faults.collecting(f"{at.key}, entry {number}"):
            found.append(_index(entry))
    if len({one.name for one in found}) < len(found):
        at.faults.add(f"{at.key}: more than one has the same name")
    if sum(one.default for one in found) > 1:
        at.faults.add(f"{at.key}: more than one has default = true")
    return tuple(found)


def _index(entry: dict[str, Any]) -> IndexSetting:
    index = read_record(entry, IndexSetting)
    if not index.name.isascii() or not re.sub(r"[-_.]", "", index.name).isalnum():
        raise ConfigError(f"the name {shown(index.name)} must have ASCII letters, digits, '.', '-' and '_' only")
    if not _is_web_url(index.url):
        # not quoted: it may hold a password
        raise ConfigError(
            f"the url of {index.name!r} is not an http(s) URL", hint="A folder of files goes into find-links."
        )
    return index


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


# -- config settings


def _config_settings(value: Any, at: _At) -> tuple[tuple[NormalizedName, ConfigSettings], ...]:
    """Read a table of names with tables of keys, each with a string or a list of strings. Raises LimitExceeded."""
    found: dict[NormalizedName, dict[str, SettingValue]] = {}
    for name, table in typed(value, dict[str, Any], "a table of names with tables of settings").items():
        origin = Origin(source=at.faults.source, place=at.key, line=line_of(at.lines.keys, name, at.key))
        if not isinstance(table, dict):
            at.faults.add(f"{origin}: {shown(name)} must be a table of settings, not {described(table)}")
            continue
        with at.faults.collecting(str(origin)):
            own = found.setdefault(read_name(name, "the name"), {})
            origin = replace(origin, place=f"{at.key}.{name[:100]}")
            if len(table) > MAX_SETTINGS:
                raise LimitExceeded(f"{origin}: {len(table)} settings; at most {MAX_SETTINGS} are allowed")
            for key, setting in table.items():
                line = line_of(at.lines.keys, key, origin.place) or origin.line
                fault = f"{shown(key)} is set under two spellings of the name" if key in own else _fault(key, setting)
                if fault:
                    at.faults.add(f"{replace(origin, line=line)}: {fault}")
                else:
                    own[key] = setting if isinstance(setting, str) else tuple(setting)
    return tuple((name, tuple(sorted(own.items()))) for name, own in sorted(found.items()) if own)


def _fault(key: str, value: Any) -> str:
    if not key:
        return "'' is not the name of a setting"
    if not isinstance(value, str) and not is_list_of_strings(value):
        return f"{shown(key)} must be a string or a list of strings, not {described(value)}"
    for text in (key, value) if isinstance(value, str) else (key, *value):
        if len(text) > MAX_REQUIREMENT_LENGTH:
            return f"{shown(key)} is {len(text)} characters long; at most {MAX_REQUIREMENT_LENGTH} are allowed"
        if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
            return f"{shown(key)} contains a line break or another control character"
    return ""


# -- sources

_KINDS: Mapping[str, frozenset[str]] = {
    "index": frozenset(),
    "workspace": frozenset(("editable",)),
    "path": frozenset(("editable", "subdirectory")),
    "git": frozenset(("rev", "tag", "branch", "subdirectory")),
    "url": frozenset(("subdirectory",)),
}
"""The keys that go with each kind of source, in addition to its conditions."""
_SCOPE_KINDS: tuple[Literal["extra", "group"], ...] = ("extra", "group")


def _sources(value: Any, at: _At) -> tuple[tuple[NormalizedName, SourceSetting], ...]:
    found: list[tuple[NormalizedName, SourceSetting]] = []
    for name, entry in typed(value, dict[str, Any], "a table of names").items():
        with at.faults.collecting(f"{at.key}.{name[:100]}"):
            found.append((read_name(name, "the name"), read_source(entry)))
    return tuple(found)


def read_source(value: Any) -> SourceSetting:
    """Read the source of one project: a table, or a list of tables with conditions. Raises ConfigError or RequirementInvalid."""
    tables = value if isinstance(value, list) else [value]
    found = [_conditional_source(typed(table, dict[str, Any])) for table in tables]
    counts = Counter(own.scope for own in found)
    if not found or any(own.marker is None and counts[own.scope] > 1 for own in found):
        raise ConfigError("must have a marker in each of several tables, or an extra or a group of its own")
    if len(found) == 1 and found[0].marker is None and found[0].scope is None:
        return found[0].source
    return tuple(sorted(found, key=lambda own: own.scope is None))


def _conditional_source(table: Mapping[str, Any]) -> ConditionalSource:
    scopes = [(kind, table[kind]) for kind in _SCOPE_KINDS if kind in table]
    if len(scopes) > 1:
        raise ConfigError("must not have both extra and group")
    return ConditionalSource(
        source=_one_source({key: own for key, own in table.items() if key not in {"marker", *_SCOPE_KINDS}}),
        marker=_marker(table["marker"]) if "marker" in table else None,
        scope=Scope(kind=scopes[0][0], name=read_name(typed(scopes[0][1], str), "the name")) if scopes else None,
    )


def _marker(value: Any) -> Marker:
    text = typed(value, str)
    if len(text) > MAX_REQUIREMENT_LENGTH:
        raise ConfigError(f"has a marker of {len(text)} characters; at most {MAX_REQUIREMENT_LENGTH} are allowed")
    try:
        marker = parse_marker(text)
        negated(marker)
    except (InvalidMarker, ValueError, RecursionError):
        raise ConfigError(f"has a marker that cannot be applied, {shown(text)}") from None
    if re.search(r"\bextra\b", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)):
        raise ConfigError(f"has a marker with an extra, {shown(text)}", hint='write extra = "NAME" instead')
    return marker


def _one_source(entry: Mapping[str, Any]) -> str | Reference:
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        raise ConfigError("must have exactly one of the keys index, workspace, path, git, url")
    kind = kinds[0]
    for key in sorted(set(entry) - {kind} - _KINDS[kind]):
        raise ConfigError(f"{shown(key)} cannot be used with {kind!r}")
    if kind == "index":
        return read_text(entry, "index")
    if kind == "workspace":
        if entry["workspace"] is not True:
            raise ConfigError("workspace must be true")
        return Reference(kind="workspace", is_path=True, editable=read_editable(entry))
    return read_reference(entry, kind)


_READERS: Mapping[str, Callable[[Any, _At], Any]] = {
    "from-lock": _path,
    "python-versions": _strings,
    "platforms": _strings,
    "extras": _names_or_all,
    "groups": _names_or_all,
    "default-groups": _names_or_all,
    "build-scope": _choice(BuildScope),
    "no-binary": _formats,
    "only-binary": _formats,
    "allow-wheel": _package_names,
    "resolution": _choice(ResolutionMode),
    "prerelease": _choice(Prereleases),
    "exclude-newer": _limit,
    "exclude-newer-package": _limits,
    "fork-strategy": _choice(ForkStrategy),
    "hooks": _hooks,
    "observe": _boolean,
    "index": _indexes,
    "sources": _sources,
    "workspace": _workspace,
    "conflicts": _conflicts,
    "find-links": _strings,
    "no-index": _boolean,
    "index-strategy": _choice(IndexStrategy),
    "constraints": _requirements,
    "overrides": _requirements,
    "build-constraints": _requirements,
    "extra-build-requires": _requirements_by_name,
    "config-settings": _config_settings,
    "package": _boolean,
    "files": _choice(Files),
    "build-resolution": _choice(BuildResolution),
    "require-evidence": _boolean,
    "attestations": _choice(AttestationsMode),
    "policy": _policy,
    "audit": _audit,
}
