"""What several commands open: a lock with its text, one of a git revision, and the indexes of a lock."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import RunContext, SelectionOptions, VerifyOptions
from deep_lock.errors import LockInvalid, UsageError
from deep_lock.events import Reporter
from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import index_lock, several_indexes
from deep_lock.lockfile.member import member_lock
from deep_lock.lockfile.selection import InstallSelection, select
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.clients import Network, open_network
from deep_lock.locking.indexes import network_settings, with_lock_indexes, with_locked_sources
from deep_lock.locking.read_inputs import parse_lock, read_project_config, require_lock
from deep_lock.locking.selected_scopes import default_groups
from deep_lock.models.lock import Lock, LockedPackage
from deep_lock.network import git
from deep_lock.project.files import MAX_LOCK_BYTES, missing_lock, read_text


class LockFile(Struct, frozen=True, kw_only=True):
    """A lock, and its text."""

    path: Path
    text: str
    lock: Lock

    @property
    def lines(self) -> Mapping[str, int]:
        """The line of each package's name, from 1; of several packages of one name, the first."""
        found: dict[str, int] = {}
        is_package = False
        for number, line in enumerate(self.text.splitlines(), 1):
            if line == "[[packages]]":
                is_package = True
            elif is_package and line.startswith('name = "'):
                found.setdefault(line.removeprefix('name = "').rstrip('"'), number)
                is_package = False
        return found


def lock_text(path: Path) -> str:
    """Return the text of a lock. Raises UsageError where there is none, and LockInvalid."""
    try:
        return read_text(path, LockInvalid, MAX_LOCK_BYTES)
    except FileNotFoundError:
        raise missing_lock(path) from None


def text_at(revision: str, lock: Path, context: RunContext) -> str:
    """Return the text that a lock has in a git revision. Raises UsageError where there is none."""
    text = git.file_at(lock, revision, context.environ)
    if text is None:
        raise UsageError(
            f"{revision}: is not a file, and not a git revision that has {lock.name}",
            hint="name a file, or a revision such as HEAD~1 or main",
        )
    return text


def read_lock_file(path: Path, reporter: Reporter) -> LockFile:
    """Read a lock. Raises UsageError where there is none, and LockInvalid."""
    text = lock_text(path)
    return LockFile(path=path, text=text, lock=parse_lock(text, path.name, reporter))


def open_lock(path: Path, package: str, reporter: Reporter) -> Lock:
    """Read a lock, or with a package the part of it that belongs to this member of the workspace.

    Raises UsageError where there is no lock, or no such member, and LockInvalid.
    """
    return part_of(require_lock(path, reporter), package, path)


def part_of(lock: Lock, package: str, path: Path) -> Lock:
    """Return as `open_lock` the part of the lock that was read from ``path``."""
    return member_lock(lock, package, chosen_targets(lock, (), path.name), path.name) if package else lock


def chosen_selection(lock: Lock, options: SelectionOptions, path: Path) -> InstallSelection:
    """Return what the options select; the default groups are those of the configuration next to the lock.

    Raises UsageError on a name that the lock does not have, and ConfigError.
    """
    index = index_lock(lock)
    if options.only_groups:
        only = select(index, path.name, extras=frozenset(), groups=frozenset(options.only_groups), project=False)
        return replace(only, project=False)
    chosen = select(index, path.name, extras=_names(options.extras), groups=_names(options.groups))
    if not options.no_default_groups or options.groups is not None:
        return chosen
    default = default_groups(read_project_config(path.parent.resolve()))
    kept = {member.name for member in lock.inputs.members}  # what a member itself requires is a group too
    left_out = chosen.groups if default is None else default | {*lock.default_groups}
    return replace(chosen, groups=chosen.groups - (left_out - kept))


def _names(names: tuple[str, ...] | Literal["all"] | None) -> frozenset[str] | None:
    return None if names is None or names == "all" else frozenset(names)


class LockedIndexes(Struct, frozen=True, kw_only=True):
    """Which index is queried for a package of a lock: its own where its project has packages of several ones."""

    several: frozenset[str]
    client: IndexClient

    def of(self, entry: LockedPackage | None) -> str:
        """Return its URL; "" for those that the settings name, as an option may name another one."""
        index = entry.index if entry is not None and entry.name in self.several else None
        return index if index is not None and self.client.has_index(index) else ""


def locked_indexes(lock: Lock, client: IndexClient) -> LockedIndexes:
    """Return which index is queried for which package of a lock."""
    return LockedIndexes(several=several_indexes(lock), client=client)


def open_indexes(lock: Lock, options: VerifyOptions, reporter: Reporter, *, refresh: bool = True) -> Network:
    """Open the indexes of a lock, unless the options or the settings of its folder name others.

    ``refresh``: pages are requested again.

    Raises CacheInvalid, ConfigError and UsageError.
    """
    folder = options.lock.parent.resolve()
    config = with_locked_sources(read_project_config(folder), lock)
    own = with_lock_indexes(options.network, config, lock)
    settings = network_settings(
        replace(own, refresh=own.refresh or (refresh and not own.offline)), config, folder, options.context
    )
    return open_network(settings, options.context, reporter)
