"""What is added to and removed from the wheels of a new lock: native code, scripts, import names, SBOMs.

The wheels that were read are compared: new wheels, and the wheels of the same project and tags that they replace. The wheels of
a release are taken together.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.wheel_rules import FilesRead
from deep_lock.lockfile.index import LockIndex, key_of, wheels_of
from deep_lock.models.changes import Change
from deep_lock.models.contents import FileContents
from deep_lock.models.lock import LockedPackage
from deep_lock.sanitize import listed, show

MAX_NAMES = 5


class _Facts(Struct, frozen=True, kw_only=True):
    """What the wheels of a project that were read have together."""

    versions: tuple[str, ...]
    formats: frozenset[str]
    """Of native code."""
    parts: Mapping[str, frozenset[str]]
    """The names by kind (`_WORDS`); paths are without the tags of a platform."""


_WORDS = ("compiled file", "script", "start file", "import name", "SBOM")


def content_changes(before: LockIndex, after: LockIndex, read: FilesRead) -> Iterator[Change]:
    """Yield what wheels bring and lack; of a project that is new in the lock, native code and scripts."""
    explain = Explanations(after)
    for name, entries in sorted(after.versions.items()):
        now = _facts(entries, read.contents.get)
        if now is None:
            continue
        was = _facts(before.versions.get(name, ()), lambda sha256: read.before.get(sha256) or read.others.get(sha256))
        if was is None and name in before.versions:
            continue  # the wheels that it had are not known
        chain = explain.package(key_of(entries[0]))
        old = was or _Facts(versions=(), formats=frozenset(), parts={})
        version = ", ".join(now.versions)
        code = "native-new" if was is not None and now.formats and not old.formats else "contents-new"
        words = _WORDS if was is not None else _WORDS[:2]
        for kind, text in (
            (code, _difference(old, now, words)),
            ("contents-gone", _difference(now, old, _WORDS) if was is not None else ""),
        ):
            if text:
                verb = "lacks" if kind == "contents-gone" else "brings"
                yield Change(code=kind, name=name, now=version, message=f"{version} {verb} {text}".strip(), chain=chain)


def _difference(old: _Facts, new: _Facts, words: tuple[str, ...]) -> str:
    """Return what only the second one has, as text."""
    parts = []
    for word in words:
        names = sorted(new.parts.get(word, frozenset()) - old.parts.get(word, frozenset()))
        if names:
            formats = f" ({', '.join(sorted(new.formats))})" if word == _WORDS[0] else ""
            parts.append(
                f"the {word if len(names) == 1 else f'{word}s'} {show(listed(names, MAX_NAMES), 400)}{formats}"
            )
    return "; ".join(parts)


def _facts(entries: tuple[LockedPackage, ...], contents: Callable[[str], FileContents | None]) -> _Facts | None:
    """Return what those wheels of some entries have that were read; None if none was."""
    found = [
        (entry, own) for entry in entries for file in wheels_of(entry) if (own := contents(file.sha256)) is not None
    ]
    if not found:
        return None
    parts: dict[str, set[str]] = {word: set() for word in _WORDS}
    for _, own in found:
        native, scripts, startup, imports, sboms = parts.values()
        native |= {_plain(path) for path, _ in own.native}
        scripts |= set(own.commands)
        startup |= {name for name, _ in own.startup}
        imports |= set(own.import_names)
        sboms |= {sbom.path.rpartition("/")[2] for sbom in own.sboms}
    return _Facts(
        versions=tuple(dict.fromkeys(entry.version or "" for entry, _ in found)),
        formats=frozenset(native for _, own in found for _, native in own.native),
        parts={word: frozenset(names) for word, names in parts.items()},
    )


def _plain(path: str) -> str:
    """Return the path of native code without what changes from release to release: the version, the tags of a platform."""
    folder, _, name = path.rpartition("/")
    top, slash, rest = folder.partition("/")
    # "NAME-VERSION.data", and the folder of libraries that auditwheel and delocate add
    folder = f"{top.partition('-')[0]}{slash}{rest}" if top.endswith((".data", ".libs")) else folder
    return f"{folder}/{name.partition('.')[0]}" if folder else name.partition(".")[0]
