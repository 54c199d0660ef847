"""Options of the command line that a lock records: they hold in later runs until the command line names others.

Only options about what is selected are recorded. Where files come from, and whose code may run, is named in each run.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import ValidationError, convert
from msgspec.structs import replace

from deep_lock.config.options import ResolveOptions
from deep_lock.errors import LockInvalid
from deep_lock.models.lock import Lock

KEY = "command-line"
NOTHING = frozenset({"false", ":none:"})
"""Values that undo an option. They are not recorded."""
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "allow-wheel": "allow_wheel",
        "attestations": "attestations",
        "build-resolution": "build_resolution",
        "build-scope": "build_scope",
        "exclude-newer": "exclude_newer",
        "exclude-newer-package": "exclude_newer_package",
        "fork-strategy": "fork_strategy",
        "no-binary": "no_binary",
        "only-binary": "only_binary",
        "prerelease": "prereleases",
        "resolution": "resolution",
    }
)
"""Names of options with the fields of ResolveOptions."""
_LISTS = frozenset({"allow-wheel", "exclude-newer-package", "no-binary", "only-binary"})


def record(options: ResolveOptions) -> tuple[str, ...]:
    """Return the options as texts, sorted: "--exclude-newer=P7D"."""
    found: list[str] = []
    for name, field in _FIELDS.items():
        value = getattr(options, field)
        values = value if name in _LISTS else (value,) if value else ()
        found += [f"--{name}={each}" for each in values if each not in NOTHING]
    return tuple(sorted(set(found)))


def with_recorded(options: ResolveOptions, previous: Lock | None) -> tuple[ResolveOptions, tuple[str, ...]]:
    """Return the options with those that the previous lock records and this run does not have, and the names of these.

    Raises LockInvalid on a value that the option does not have.
    """
    texts = dict(previous.options).get(KEY, ()) if previous is not None else ()
    kept: dict[str, tuple[str, ...]] = {}
    for text in texts if isinstance(texts, tuple) else ():
        name, _, value = text.removeprefix("--").partition("=")
        if name in _FIELDS and not getattr(options, _FIELDS[name]):
            kept[name] = (*kept.get(name, ()), value)
    fields = {_FIELDS[name]: values if name in _LISTS else values[-1] for name, values in kept.items()}
    try:
        convert(fields, ResolveOptions)
    except ValidationError as error:
        raise LockInvalid(f"the previous lock: tool.deep-lock.options.{KEY}: {error}") from None
    return replace(options, **fields), tuple(sorted(kept))
