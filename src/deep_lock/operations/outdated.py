"""Which releases of a lock have newer ones: at run time, and in each build environment by itself.

Law: nothing is resolved: a newer release that is told may be kept out by what others ask for. The lock's own rules hold
(pre-releases, exclude-newer, only-binary): what they leave out is not news.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.config.options import InputOptions, LockOptions, VerifyOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import called, covers, open_register, parsed
from deep_lock.lockfile.selection import full_selection, installed_packages
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.indexes import indexes_of, open_network
from deep_lock.locking.read_inputs import read_settings, require_lock
from deep_lock.models.lock import Lock
from deep_lock.models.resolution import BuildScope, Prereleases, Selection
from deep_lock.project.files import read_text
from deep_lock.resolver.candidates import choose
from deep_lock.targets.target import Target

Scope = Literal["runtime", "build"]


class Outdated(Struct, frozen=True, kw_only=True):
    """One release that has a newer one, where it is used."""

    name: str
    version: str
    newest: str
    scope: Scope
    build: str = ""
    """"NAME VERSION" of what is built there; empty at run time."""
    direct: bool = False
    """Whether the project, or the build itself, asks for it by name."""
    admitted: bool = True
    """Whether what the project, or the build, asks for by name lets the newest one in."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that could take it."""

    @property
    def command(self) -> str:
        """What moves it."""
        return f"deep-lock lock -P {self.name}=={self.newest}"


def outdated(flags: VerifyOptions, reporter: Reporter) -> tuple[Outdated, ...]:
    """Return what has a newer release, run time first, sorted by name. Raises UsageError, LockInvalid and IndexFault."""
    lock = require_lock(flags.lock, reporter)
    folder = flags.lock.parent.resolve()
    config = read_settings(folder)
    network = indexes_of(lock, flags.network, configured=bool(config.index or config.no_index))
    own = LockOptions(
        inputs=InputOptions(folder=folder),
        network=replace(network, refresh=not network.offline),
        surroundings=flags.surroundings,
    )
    targets = chosen_targets(lock, (), flags.lock.name)
    with closing(open_network(own, config, reporter)) as opened:
        names = {canonicalize_name(entry.name) for entry in lock.packages if entry.source is None}
        opened.client.prefetch_pages(sorted(names))
        newest = _Newest(opened.client, _selection(lock))
        found = [*_runtime(lock, targets, newest), *_builds(lock, targets, newest)]
    return tuple(sorted(found, key=lambda row: (row.scope != "runtime", row.build, row.name)))


def _selection(lock: Lock) -> Selection:
    """Return the rules that the lock was made by."""
    options = dict(lock.options)

    def names(key: str) -> frozenset[str]:
        value = options.get(key)
        return frozenset(value) if isinstance(value, tuple) else frozenset()

    limit = options.get("exclude-newer")
    prereleases = options.get("prereleases")
    scope = options.get("build-scope")
    known: dict[object, Prereleases] = {"allow": "allow", "disallow": "disallow"}
    scopes: dict[object, BuildScope] = {"all": "all", "none": "none"}
    return Selection(
        prereleases=known.get(prereleases, "if-necessary"),
        prerelease_names=names("prerelease-names"),
        exclude_newer=limit if isinstance(limit, datetime) else None,
        no_binary=names("no-binary"),
        only_binary=names("only-binary"),
        build_scope=scopes.get(scope, "needed"),
        allow_wheel=names("allow-wheel"),
    )


class _Newest:
    """The newest release of each project that some target can take."""

    def __init__(self, client: IndexClient, selection: Selection) -> None:
        self._client = client
        self._selection = selection

    def of(
        self, name: NormalizedName, locked: Version, targets: Sequence[Target]
    ) -> tuple[Version, tuple[str, ...]] | None:
        """Return it and the targets that can take it; None where nothing is newer than what is locked."""
        mode = "allow" if name in self._selection.prerelease_names else self._selection.prereleases
        pre = mode == "allow" or (locked.is_prerelease and mode != "disallow")
        for version in self._client.versions(name):
            if version <= locked:
                return None
            if version.is_prerelease and not pre:
                continue
            files = self._client.files(name, version)
            labels = tuple(target.label for target in targets if choose(files, target, self._selection) is not None)
            if labels:
                return version, labels
        return None


def _runtime(lock: Lock, targets: Sequence[Target], newest: _Newest) -> Iterator[Outdated]:
    register = open_register(lock)
    there: dict[tuple[str, str], list[Target]] = {}
    direct = set()
    for target in targets:
        for entry in installed_packages(register, target, full_selection(register)):
            if entry.source is None and entry.version is not None:
                there.setdefault((entry.name, entry.version), []).append(target)
                direct |= {entry.name} if entry.direct else set()
    chosen = (texts for _, texts in (*lock.inputs.extras, *lock.inputs.dependency_groups))
    asked = [text for texts in (lock.inputs.requirements, lock.inputs.constraints, *chosen) for text in texts]
    for (name, version), own in there.items():
        row = _row(name, version, own, newest, asked, scope="runtime")
        if row is not None:
            yield replace(row, direct=name in direct)


def _builds(lock: Lock, targets: Sequence[Target], newest: _Newest) -> Iterator[Outdated]:
    for build in lock.builds:
        own = [target for target in targets if covers(build, target.label)]
        texts = build.all_requires
        named = {requirement.name for requirement in parsed(texts)}
        for member in build.packages:
            row = _row(
                member.name, member.version, own, newest, (*texts, *lock.inputs.build_constraints), scope="build"
            )
            if row is not None:
                yield replace(row, build=called(build), direct=member.name in named)


def _row(
    name: str, version: str, targets: Sequence[Target], newest: _Newest, asked: Iterable[str], *, scope: Scope
) -> Outdated | None:
    found = newest.of(canonicalize_name(name), Version(version), targets)
    if found is None:
        return None
    own = [requirement for requirement in parsed(asked) if requirement.name == name]
    admitted = all(requirement.specifier.contains(found[0], prereleases=True) for requirement in own)
    labels = () if len(found[1]) == len(targets) else found[1]
    return Outdated(name=name, version=version, newest=str(found[0]), scope=scope, admitted=admitted, targets=labels)


class _Row(msgspec.Struct):
    name: str
    newest: str
    admitted: bool = True


class _Document(msgspec.Struct):
    outdated: list[_Row]
    schema: Literal["deep-lock/outdated"]
    version: Literal[1]


def read_upgrades(path: Path) -> tuple[str, ...]:
    """Return NAME==VERSION for each project of which a row of the document is admitted where it is used.

    Where rows of a project name several versions, for several targets or builds, it is the NAME alone: each takes the newest
    that it can. A bot leaves out the rows that it does not want. Raises UsageError that names the place.
    """
    try:
        document = msgspec.json.decode(read_text(path, UsageError).encode(), type=_Document)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: {error}", hint="it is made by deep-lock outdated --output-format json") from None
    found: dict[str, set[str]] = {}
    for row in document.outdated:
        if row.admitted:
            found.setdefault(canonicalize_name(row.name), set()).add(_version(row.newest, path))
    return tuple(f"{name}=={next(iter(versions))}" if len(versions) == 1 else name for name, versions in found.items())


def _version(text: str, path: Path) -> str:
    try:
        return str(Version(text))
    except (InvalidVersion, ValueError):
        raise UsageError(f"{path}: {text[:80]!r} is no version") from None
