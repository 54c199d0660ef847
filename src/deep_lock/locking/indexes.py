"""Where files come from: the indexes of one run."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.config.config import Config, IndexSetting
from deep_lock.config.declared_indexes import index_names, of_options, with_declared
from deep_lock.config.options import NetworkOptions, RunContext
from deep_lock.errors import UsageError
from deep_lock.index.settings import IndexSettings, IndexSource
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.paths import seen_from
from deep_lock.lockfile.selection import installed_packages, selection_of
from deep_lock.locking import conditional_indexes
from deep_lock.models.conflicts import Conflict, choices, chosen_scopes
from deep_lock.models.direct_url import path_of_url
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.models.lock import Lock
from deep_lock.models.resolution import ConditionalIndex
from deep_lock.models.workspace import implied_scopes, scope_text
from deep_lock.network import public_index
from deep_lock.network.urls import without_user_info
from deep_lock.project.checkout import require_inside
from deep_lock.sanitize import show
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.target import Target

DEFAULT = "default"
OF_THE_LOCK = "of-the-lock-"
"""Begins the names of indexes that only a lock names: they are not the user's."""


class NetworkSettings(Struct, frozen=True, kw_only=True):
    """Which indexes a run uses, and how they are reached."""

    indexes: IndexSettings
    conditional: Mapping[NormalizedName, tuple[ConditionalIndex, ...]]
    """By project, in order of precedence."""
    urls: Mapping[str, str]
    """By name, as written: they may hold user-info."""
    client_certs: Mapping[str, str]
    """By name of the index."""
    options: NetworkOptions
    default_name: str = ""
    """As `configured_default` returns it."""


def network_settings(options: NetworkOptions, config: Config, folder: Path, context: RunContext) -> NetworkSettings:
    """Return which indexes are used for what. ``folder`` is the project's. Raises ConfigError, UsageError and OutsideCheckout."""
    if options.no_index and (options.default_index or options.indexes):
        raise UsageError("--no-index cannot be used with --default-index or --index")
    urls = named_urls(options, config)
    is_public = urls is not None and DEFAULT not in urls and not options.only_named and config.public_index != "unused"
    if urls is not None and is_public:
        urls = _ordered({**urls, DEFAULT: public_index.public_index()}, config)
    indexes = IndexSettings(
        sources=_sources(urls or {}, config, is_public=is_public),
        # a run without indexes has no other place for a project that is assigned to one than the folders that it names
        pinned={} if urls is None else _pinned(urls, config),
        pinned_patterns=tuple(
            (pattern, _known_as(setting.name, urls, config))
            for setting in config.index or ()
            for pattern in setting.include_packages
            if urls is not None
        ),
        find_links=(
            *(_absolute(link, folder) for link in options.find_links),
            *(_own_link(link, folder, config, context) for link in config.find_links or ()),
        ),
        strategy=options.index_strategy or config.index_strategy or "first-index",
        offline=options.offline,
        refresh=options.refresh,
        refresh_packages=frozenset(map(canonicalize_name, options.refresh_packages)),
        now=context.now.timestamp(),
    )
    return NetworkSettings(
        indexes=indexes,
        conditional={} if urls is None else _conditional(indexes, urls, config),
        urls=urls or {},
        client_certs=client_certs_of(urls or {}, options, config, folder, context),
        options=options,
        default_name=configured_default(options, config),
    )


def _sources(urls: Mapping[str, str], config: Config, *, is_public: bool) -> tuple[IndexSource, ...]:
    """Return the indexes in order of priority. ``is_public``: the default index is the public one."""
    settings = {_known_as(setting.name, urls, config): setting for setting in config.index or ()}
    # a default index that an option replaces stays the only one of the projects that are assigned to it
    explicit = {
        name
        for name, setting in settings.items()
        if name != DEFAULT
        and (setting.explicit or (setting.default and urls.get(name, "").rstrip("/") == setting.url.rstrip("/")))
    }
    if is_public and config.public_index == "assigned":
        explicit.add(DEFAULT)
    return tuple(
        IndexSource(
            name=name,
            url=without_user_info(url),
            explicit=name in explicit,
            excluded=settings[name].exclude_packages if name in settings else (),
        )
        for name, url in urls.items()
    )


def _pinned(urls: Mapping[str, str], config: Config) -> dict[NormalizedName, str]:
    return {
        project: _known_as(source, urls, config) for project, source in config.sources or () if isinstance(source, str)
    }


def _conditional(
    indexes: IndexSettings, urls: Mapping[str, str], config: Config
) -> dict[NormalizedName, tuple[ConditionalIndex, ...]]:
    """Return the indexes of the projects whose index depends on conditions. Raises ConfigError for one that is not defined."""
    found: dict[NormalizedName, tuple[ConditionalIndex, ...]] = {}
    for project, source in config.sources or ():
        own = tuple(
            ConditionalIndex(
                url=indexes.url_of(_known_as(part.source, urls, config), project), marker=part.marker, scope=part.scope
            )
            for part in (source if isinstance(source, tuple) else ())
            if isinstance(part.source, str)
        )
        if own:
            found[project] = own
    return found


def _known_as(name: str, urls: Mapping[str, str], config: Config) -> str:
    """Return the name under which a run has an index of the configuration: that with ``default`` is the default one."""
    is_default = any(setting.name == name and setting.default for setting in config.index or ())
    return DEFAULT if is_default and name not in urls else name


def named_urls(options: NetworkOptions, config: Config) -> dict[str, str] | None:
    """Return the URLs of options and configuration by name, in order of priority; None where no index may be used."""
    if options.no_index or (config.no_index and not options.default_index and not options.indexes):
        return None
    urls: dict[str, str] = {}
    for number, text in enumerate(options.indexes, 1):
        name, equals, url = text.partition("=")
        if not equals or "/" in name:
            name, url = f"index-{number}", text
        urls[name] = url
    default = options.default_index
    for setting in config.index or ():
        if not setting.default:
            urls.setdefault(setting.name, setting.url)
        elif default is None:
            default = setting.url
        elif default.rstrip("/") != setting.url.rstrip("/") and setting.name in _assigned(config):
            urls.setdefault(setting.name, setting.url)
    if default:
        urls[DEFAULT] = default
    return _ordered({name: url if url.endswith("/") else f"{url}/" for name, url in urls.items()}, config)


def configured_default(options: NetworkOptions, config: Config) -> str:
    """Return the name that the configuration gives to the default index of a run; "" where it gives none."""
    if options.default_index is not None:
        return ""
    return next((setting.name for setting in config.index or () if setting.default), "")


def _assigned(config: Config) -> frozenset[str]:
    """Return the indexes that are the only ones of some projects."""
    patterns = frozenset(setting.name for setting in config.index or () if setting.include_packages)
    return patterns.union(*(index_names(source) for _, source in config.sources or ()))


def _ordered(urls: Mapping[str, str], config: Config) -> dict[str, str]:
    """Return the indexes with those that are a fallback at the end."""
    last = {setting.name for setting in config.index or () if setting.fallback}
    return dict(sorted(urls.items(), key=lambda pair: pair[0] in last))


def client_certs_of(
    urls: Mapping[str, str], options: NetworkOptions, config: Config, folder: Path, context: RunContext
) -> dict[str, str]:
    """Return the client certificates by name of the index. One in the configuration belongs to the URL there.

    Raises OutsideCheckout.
    """
    certs = dict.fromkeys(urls, options.client_cert) if options.client_cert else {}
    for setting in config.index or ():
        name = DEFAULT if setting.default else setting.name
        if setting.client_cert and urls.get(name, "").rstrip("/") == setting.url.rstrip("/"):
            path = folder / setting.client_cert
            certs[name] = str(require_inside(path, context.checkout, f"{config.source}, client-cert"))
    return certs


def _is_page(link: str) -> bool:
    return "://" in link and path_of_url(link) is None


def _own_link(link: str, folder: Path, config: Config, context: RunContext) -> str:
    """Return a page or a folder of the configuration, as `_absolute`. Raises OutsideCheckout."""
    if not _is_page(link):
        require_inside(Path(_absolute(link, folder)), context.checkout, f"{config.source}, find-links")
    return _absolute(link, folder)


def _absolute(link: str, folder: Path) -> str:
    """Return the page as it is, or the absolute path of the folder.

    A relative folder keeps its name in the project, symbolic links or not: the lock names it so too.
    """
    if _is_page(link):
        return link
    path = path_of_url(link) or Path(link)
    return str(path.resolve()) if path.is_absolute() else os.path.normpath(folder.resolve() / path)


def with_imported_indexes(config: Config, lock: ForeignLock, options: NetworkOptions) -> Config:
    """Return the settings with the projects of another tool's lock assigned to the indexes that the lock names for them.

    A name of a private index is requested from nowhere else. An index that is not configured is added for its projects,
    unless options name the indexes of the run.
    """
    is_named = bool(options.default_index or options.indexes)
    if lock.index_options and not is_named:
        config = with_declared(config, of_options(lock.index_options))
    indexes, sources = list(config.index or ()), dict(config.sources or ())
    urls: dict[NormalizedName, set[str]] = {}
    for pin in lock.pins:
        urls.setdefault(pin.name, set()).add(pin.index or "")
    for name, own in urls.items():
        url = next(iter(own))
        if len(own) > 1 or not url or name in sources or _is_same(url, public_index.public_index()):
            continue
        setting = next((index for index in indexes if _is_same(index.url, url)), None)
        if setting is None and not is_named:
            setting = IndexSetting(name=f"{OF_THE_LOCK}{len(indexes) + 1}", url=url, explicit=True)
            indexes.append(setting)
        if setting is not None and not (setting.default and options.default_index):
            sources[name] = setting.name
    return replace(config, index=tuple(indexes) or config.index, sources=tuple(sources.items()) or config.sources)


def _is_same(one: str, other: str) -> bool:
    return without_user_info(one).rstrip("/").lower() == without_user_info(other).rstrip("/").lower()


def with_lock_indexes(options: NetworkOptions, config: Config, lock: Lock) -> NetworkOptions:
    """Return the options with the indexes of a lock, where neither options nor configuration name any.

    They get names of their own: a login from the environment belongs to a name that a person gave a URL to, and must not
    follow it to a URL that only the lock names.
    """
    configured = config.index or config.no_index
    if configured or options.default_index or options.indexes or options.no_index or not lock.indexes:
        return options
    urls = dict(lock.indexes)
    last = [url for name, url in urls.items() if name == DEFAULT]
    first = [url for name, url in urls.items() if name != DEFAULT]
    named = tuple(f"{OF_THE_LOCK}{number}={url}" for number, url in enumerate((*first, *last), 1))
    return replace(options, indexes=named, only_named=True)


def with_locked_sources(config: Config, lock: Lock) -> Config:
    """Return the settings with the packages of a lock assigned to their index, where this is used for assigned projects only.

    Conditions or a required folder can assign a project too: the lock has what they decided.
    """
    indexes = list(config.index or ())
    sources = {name: source for name, source in config.sources or () if isinstance(source, str)}
    named = {url: name for name, url in lock.indexes if name != DEFAULT}
    for entry in lock.packages:
        if entry.index is None or entry.name in sources or not config.index:
            continue
        setting = next((index for index in indexes if _is_same(index.url, entry.index)), None)
        if setting is None and entry.index in named:
            setting = IndexSetting(name=f"{OF_THE_LOCK}{len(indexes) + 1}", url=entry.index, explicit=True)
            indexes.append(setting)
        if setting is not None and setting.explicit:
            sources[NormalizedName(entry.name)] = setting.name
    return replace(config, index=tuple(indexes) or None, sources=tuple(sources.items()) or None)


def other_indexes(
    lock: Lock,
    network: NetworkSettings,
    targets: Sequence[Target],
    scopes: Mapping[Scope, Collection[Scope]],
    conflicts: Sequence[Conflict],
) -> Iterator[str]:
    """Yield a sentence for each package that the lock has from another index than the one that it is assigned to.

    ``scopes`` as in `conditional_indexes.decided_indexes`, and raises as this.
    """
    urls = {source.name: source.url for source in network.indexes.sources}
    for entry in lock.packages:
        only = network.indexes.only_source(NormalizedName(entry.name))
        if only is not None and entry.index is not None and entry.index != urls[only]:
            yield f"{show(entry.name)} must come from the index {only}, and the lock has it from {show(entry.index)}"
    if network.conditional:
        yield from dict.fromkeys(_other_conditional_indexes(lock, network, targets, scopes, conflicts))


def _other_conditional_indexes(
    lock: Lock,
    network: NetworkSettings,
    targets: Sequence[Target],
    scopes: Mapping[Scope, Collection[Scope]],
    conflicts: Sequence[Conflict],
) -> Iterator[str]:
    decided = conditional_indexes.decided_indexes(
        network.conditional, targets, scopes, conflicts, lock.inputs.members
    ).runtime
    general = {source.url for source in network.indexes.sources if not source.explicit}
    lock_index, implied = index_lock(lock), implied_scopes(lock.inputs.members)
    allowed = choices(conflicts, scopes, implied)
    for target in targets:
        for choice in allowed:
            selected = [scope for scope in chosen_scopes(scopes, choice, allowed, implied) if scope != BASE]
            indexes = dict(decided[target.label, choice])
            for entry in installed_packages(lock_index, target, selection_of(selected)):
                wanted = indexes.get(NormalizedName(entry.name))
                if wanted is None or entry.index is None or entry.index in ({wanted} if wanted else general):
                    continue
                where = f"the index {wanted}" if wanted else "an index of every other project"
                own = (
                    f" with {', '.join(scope_text(scope, lock.inputs.members) for scope in sorted(choice))}"
                    if choice
                    else ""
                )
                yield (
                    f"{show(entry.name)} must come from {where} on {target.label}{own}, and the lock has it from"
                    f" {show(entry.index)}"
                )


def locked_indexes(indexes: IndexSettings) -> tuple[tuple[str, str], ...]:
    """Return the indexes as the lock holds them: the default first, then by name."""
    urls = {source.name: source.url for source in indexes.sources}
    first = [(DEFAULT, urls.pop(DEFAULT))] if DEFAULT in urls else []
    return (*first, *sorted(urls.items()))


def locked_links(indexes: IndexSettings, folder: Path) -> tuple[str, ...]:
    """Return --find-links as a lock in this folder holds them. Raises ConfigError for a folder that it cannot name."""
    return tuple(
        without_user_info(link) if _is_page(link) else seen_from(folder, Path(link)) for link in indexes.find_links
    )
