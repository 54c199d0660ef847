"""What several commands open: a lock with its text, one of a git revision, and the indexes of a lock."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import RunContext, VerifyOptions
from deep_lock.errors import LockInvalid, UsageError
from deep_lock.events import Reporter
from deep_lock.locking.indexes import Network, network_settings, open_network, with_lock_indexes, with_locked_sources
from deep_lock.locking.read_inputs import parse_lock, read_project_config
from deep_lock.models.lock import Lock
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


def open_indexes(lock: Lock, options: VerifyOptions, reporter: Reporter) -> Network:
    """Open the indexes of a lock, unless the options or the settings of its folder name others; pages are requested again.

    Raises CacheInvalid, ConfigError and UsageError.
    """
    folder = options.lock.parent.resolve()
    config = with_locked_sources(read_project_config(folder), lock)
    own = with_lock_indexes(options.network, config, lock)
    settings = network_settings(replace(own, refresh=not own.offline), config, folder, options.context)
    return open_network(settings, options.context, reporter)
