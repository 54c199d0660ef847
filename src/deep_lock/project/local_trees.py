"""Local folders that requirements name: their facts, and their references made relative to the lock.

Invariant: a reference that this module returns has every path relative to the folder of the lock. A folder's own
``[tool.deep-lock.sources]`` apply to its requirements, before those of the project that names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import count, groupby, islice
from operator import and_
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.config.config import ConditionalSource, Config, IndexSetting, SourceSetting, Workspace
from deep_lock.config.declared_indexes import DEFAULT
from deep_lock.errors import (
    ConfigError,
    DeepLockError,
    OutsideCheckout,
    RequirementInvalid,
    RequirementsInvalid,
    raise_machine_fault,
)
from deep_lock.files import Replacement
from deep_lock.lockfile.paths import seen_from
from deep_lock.models.direct_url import Reference, parse_reference
from deep_lock.models.lock import LockedTree
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.workspace import Member, scope_of
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.project import requirements_txt
from deep_lock.project.checkout import require_inside
from deep_lock.project.folder_config import (
    MAX_FILE_BYTES,
    MAX_PARENTS,
    PYPROJECT,
    folder_config,
    members,
    read_document,
)
from deep_lock.sdist import project_tree, pyproject, source_tree
from deep_lock.targets.marker_negation import negated
from deep_lock.targets.markers import Scope

Conditional = tuple[ConditionalSource, ...]
"""Sources of which one at least is a reference. Where none applies, the project comes from an index."""
Sources = Mapping[NormalizedName, Reference | Conditional]

READ = ("*.toml", "*.py", "*.cfg", "*.txt", "*.in", "CMakeLists.txt", "*/__init__.py", "src/*.py", "src/*/__init__.py")
"""The files that static rules read: configuration at the top, and the modules that may state a version."""
MODULES = ("*/*.py", "src/*/*.py")
"""Modules that a setup.py might import. Where there is none, only their names count."""
MAX_MODULES = 500
MAX_MEMBERS = 2000
MAX_TREES = 1000
_HERE = Reference(kind="path", place=".", is_path=True)


def read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder that static rules look at, with their paths in it."""
    for pattern in READ:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                yield path.relative_to(folder).as_posix(), path.read_bytes()


def read_modules(folder: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the modules that a setup.py may import, with their paths in the folder; ``files`` are those of `read_files`."""
    if "setup.py" not in files:
        return {}
    paths = (path for pattern in MODULES for path in sorted(folder.glob(pattern)))
    small = (path for path in paths if path.is_file() and path.stat().st_size <= source_tree.MODULE_LIMIT)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in islice(small, MAX_MODULES)}


def read_names(folder: Path) -> frozenset[str]:
    """Return the paths of the files at the top of a folder, and of Python modules up to two folders below."""
    paths = (*folder.iterdir(), *(path for pattern in MODULES for path in folder.glob(pattern)))
    return frozenset(path.relative_to(folder).as_posix() for path in paths if path.is_file())


class LocalTree(Struct, frozen=True, kw_only=True):
    """A folder that was read. References in its metadata are relative to the lock."""

    folder: Path
    facts: project_tree.TreeFacts


class LocalTrees:
    """The folders that a run reads, each once."""

    def __init__(
        self,
        lock_folder: Path,
        project: Path,
        config: Config,
        *,
        name: NormalizedName | None = None,
        version: str | None = None,
        edited: Replacement | None = None,
        checkout: Path | None = None,
    ) -> None:
        """All paths are absolute; ``edited`` is a pyproject.toml that is edited now, ``checkout`` that of the context.

        The rest is that of the project.
        """
        self.lock_folder = lock_folder
        self._name, self._version = name, version
        self._edited = edited
        self._checkout = checkout
        self._project = project
        self._sources: Sources = self._settings(config, project)
        self._assigned = frozenset(name for name, _ in config.sources or ())
        self._configs: dict[Path, Config] = {}
        self._known: dict[tuple[str, str], LocalTree] = {}
        self._uv_workspaces: dict[Path, Mapping[NormalizedName, Path]] = {}
        self._workspaces: dict[Path, dict[NormalizedName, Path]] = {}

    def named(self, requirement: Requirement) -> Requirement:
        """Return a requirement of the project with its URL, or that of its sources, relative to the lock.

        Sources with conditions are left out: `alternatives` uses them.
        """
        return self._resolved(requirement, self._project, self._sources)

    def alternatives(
        self, requirement: Requirement, scopes: Collection[Scope], folder: Path | None = None
    ) -> tuple[Requirement, ...]:
        """Return a requirement of the project as `named`, or one for each of its sources that have conditions.

        ``scopes`` are the parts of the project whose sources are for it. ``folder`` is that of a member of the workspace whose
        requirement it is: then the parts are those of the member.
        """
        base, sources = self._project, self._sources
        if folder is not None and folder != base:
            base, sources = folder, self._folder_sources(folder)
        return self._alternatives(requirement, base, sources, scopes)

    def _alternatives(
        self, requirement: Requirement, base: Path, sources: Sources, scopes: Collection[Scope] = ()
    ) -> tuple[Requirement, ...]:
        conditional = sources.get(requirement.name)
        if requirement.url is None and conditional is None:
            self._refuse_member(requirement, base)
            if requirement.name == self._name and base != self._project:
                # a folder that the project requires may require the project in turn: no index is queried for it
                self._refuse_other_version(requirement)
                sources = {requirement.name: self._relative(_HERE, self._project, requirement.origin)}
        if requirement.url is not None or not isinstance(conditional, tuple):
            return (self._resolved(requirement, base, sources),)
        found: list[Requirement] = []
        left: Requirement | None = requirement
        applied = (own for own in conditional if own.scope is None or own.scope in scopes)
        for _, own in groupby(applied, key=lambda own: own.scope is None):
            if left is None:
                break
            tables = tuple(own)
            for table in tables:
                part, source = _under(left, table.marker), table.source
                own_source = {requirement.name: source} if isinstance(source, Reference) else {}
                found.append(self._resolved(part, base, own_source))
            left = _where_none_holds(left, tables)
        return tuple(found) if left is None else (*found, left)

    def assigned(self, requirement: Requirement) -> Requirement | None:
        """Return a requirement of a commit or an archive with its URL from the sources of the project; None without one."""
        if requirement.name not in self._sources:
            return None
        return self._resolved(replace(requirement, url=None), self._project, self._sources)

    def unnamed(self, line: requirements_txt.UnnamedLine) -> Requirement:
        """Return the requirement of a line without a name. Raises RequirementsInvalid."""
        reference = self._relative(line.reference, self._project, line.origin)
        if reference.kind == "path" and not reference.is_archive:
            name = self.tree(reference.place, reference.subdirectory, origin=line.origin).facts.name
        else:
            name = _name_of_file(reference, line.origin)
        return Requirement(name=name, extras=line.extras, marker=line.marker, url=str(reference), origin=line.origin)

    def _resolved(self, requirement: Requirement, base: Path, sources: Sources) -> Requirement:
        source = sources.get(requirement.name)
        if requirement.url is not None:
            reference = self._relative(parse_reference(requirement.url), base, requirement.origin)
        elif isinstance(source, Reference):
            reference = source
            if reference.kind == "workspace":
                reference = self._of_workspace(requirement, reference, base)
        else:
            return requirement
        return replace(requirement, url=str(reference))

    def _relative(self, reference: Reference, base: Path, origin: Origin | None) -> Reference:
        if not reference.is_path:
            return reference
        path = Path(os.path.normpath(base / reference.place))
        require_inside(path, self._checkout, origin or reference)
        if reference.kind == "git" and self._checkout is not None:  # its files could lead git to any other repository
            raise OutsideCheckout(
                f"{origin or reference}: git+file: is not used in a checkout of the fleet",
                hint="name the folder itself, or the URL of the repository",
            )
        try:
            return replace(reference, place=seen_from(self.lock_folder, path))
        except ConfigError as error:
            raise RequirementInvalid(f"{origin or reference}: {error.message}", hint=error.hint) from None

    def _settings(self, config: Config, base: Path) -> dict[NormalizedName, Reference | Conditional]:
        origin = Origin(source=config.source, place="tool.deep-lock.sources")

        def located(source: Reference) -> Reference:
            return source if source.kind == "workspace" else self._relative(source, base, origin)

        found: dict[NormalizedName, Reference | Conditional] = {}
        for name, source in config.sources or ():
            if isinstance(source, Reference):
                found[name] = located(source)
            elif isinstance(source, tuple) and any(isinstance(own.source, Reference) for own in source):
                found[name] = tuple(
                    replace(own, source=located(own.source)) if isinstance(own.source, Reference) else own
                    for own in source
                )
        return found

    def _folder_sources(self, folder: Path) -> Sources:
        """Return the sources for the requirements of a folder: its own, and those of the project that are for no extra or group."""
        own = self._settings(self._config(folder), folder)
        if folder == self._project:
            return {**self._sources, **own}
        general = {
            name: source if isinstance(source, Reference) else tuple(table for table in source if table.scope is None)
            for name, source in self._sources.items()
        }
        return {**{name: source for name, source in general.items() if source}, **own}

    def _config(self, folder: Path) -> Config:
        """Return a folder's own settings, read once."""
        if folder not in self._configs:
            self._configs[folder] = folder_config(folder)
        return self._configs[folder]

    def with_folder_indexes(
        self, config: Config, requirements: Iterable[Requirement], members: Sequence[Member] = ()
    ) -> Config:
        """Return the project's settings with the indexes to which the folders that it requires assign projects.

        ``members`` are those of the workspace: an index for an extra or a group of one is for that of the lock. What the project
        assigns has precedence. Raises ConfigError where two folders contradict each other, and for an index that is defined
        nowhere.
        """
        own, places = frozenset(dict(config.sources or ())), dict[NormalizedName, str]()
        config = self._with_member_sources(config, members)
        indexes, sources = list(config.index or ()), dict(config.sources or ())
        by_path = {member.path: member for member in members}
        for path in dict.fromkeys((*by_path, *(tree.path for tree in self.inputs(requirements)))):
            if self.folder(path) == self._project:
                continue
            found = self._config(self.folder(path))
            known = {index.name: index for index in (*(config.index or ()), *(found.index or ()))}
            for name, source in found.sources or ():
                if name not in own and _has_conditions(source, of_member=path in by_path):
                    raise ConfigError(
                        f"{path}: {name} must come from indexes that depend on conditions",
                        hint=f"assign it in the project: [tool.deep-lock.sources] {name}",
                    )
                if not isinstance(source, str) or source == DEFAULT or name in own:
                    continue
                assigned = _with_index(indexes, _known_index(source, known, f"{path}: {name}"))
                if sources.setdefault(name, assigned) != assigned:
                    where = f"{places[name]} has another one" if name in places else "a member has others"
                    raise ConfigError(
                        f"{path}: {name} must come from the index {source!r}, and {where}",
                        hint=f"assign it in the project: [tool.deep-lock.sources] {name}",
                    )
                places[name] = path
            for index in found.index or ():
                if index.include_packages:
                    _with_index(indexes, index)
        return replace(config, index=tuple(indexes) or config.index, sources=tuple(sources.items()) or config.sources)

    def _with_member_sources(self, config: Config, members: Sequence[Member]) -> Config:
        """Return the settings with the indexes for extras and groups of the members of a workspace, as the lock calls these.

        A project that the root assigns without conditions has no others. Raises ConfigError for an index that is defined nowhere.
        """
        indexes, sources = list(config.index or ()), dict(config.sources or ())
        for member in (own for own in members if self.folder(own.path) != self._project):
            found = self._config(self.folder(member.path))
            known = {index.name: index for index in (*(config.index or ()), *(found.index or ()))}
            for name, source in found.sources or ():
                others = sources.get(name, ())
                if not isinstance(source, tuple) or not isinstance(others, tuple):
                    continue
                tables = [
                    replace(
                        own,
                        scope=scope_of(member, own.scope),
                        source=_with_index(indexes, _known_index(own.source, known, f"{member.path}: {name}")),
                    )
                    for own in source
                    if own.scope is not None and isinstance(own.source, str)
                ]
                if tables:
                    sources[name] = (*tables, *others)
        return replace(config, index=tuple(indexes) or config.index, sources=tuple(sources.items()) or config.sources)

    def refuse_local_build_requirements(
        self, build_requires: Iterable[Requirement], requirements: Iterable[Requirement]
    ) -> None:
        """Refuse a build requirement of the project or of a required folder whose source there is a folder.

        A build environment has files of indexes only, and an index could answer for the name. Raises RequirementInvalid.
        """
        found: list[tuple[str, Requirement, Sources]]
        found = [("the project", own, self._sources) for own in build_requires]
        for tree in self.inputs(requirements):
            folder = self.folder(tree.path)
            own_sources = self._settings(self._config(folder), folder)
            found += [(tree.path, parse_requirement(text), own_sources) for text in tree.build_requires]
        for where, own, sources in found:
            source = sources.get(own.name)
            if own.url is None and isinstance(source, Reference) and source.kind in {"path", "workspace"}:
                raise RequirementInvalid(
                    f"{own.origin or where}: {own.name} is a build requirement, and its source is a folder:"
                    " a build environment has packages of indexes only",
                    hint=f"publish {own.name} to an index, or name the backend's folder in build-system.backend-path",
                )

    def _refuse_member(self, requirement: Requirement, base: Path) -> None:
        """Refuse a member of a workspace of uv that has no source, as uv does: an index could answer for it."""
        own = {name for name, _ in self._config(base).sources or ()}
        if requirement.name in own or requirement.name in self._assigned:
            return
        if base not in self._uv_workspaces:
            self._uv_workspaces[base] = self._uv_members(base)
        member = self._uv_workspaces[base].get(requirement.name)
        if member is not None and member != base:
            raise RequirementInvalid(
                f"{requirement.origin or requirement}: {requirement.name} is a member of the workspace and has no source",
                hint=f"add it to [tool.uv.sources]: {requirement.name} = {{ workspace = true }}",
            )

    def _refuse_other_version(self, requirement: Requirement) -> None:
        """Refuse a requirement on the project itself that its version does not satisfy, if the version is known."""
        if self._version is not None and not requirement.specifier.contains(self._version, prereleases=True):
            raise RequirementInvalid(
                f"{requirement.origin or 'a required folder'}: requires {requirement},"
                f" and the project itself is {requirement.name} {self._version}",
                hint="correct the requirement, or the version of the project",
            )

    def _uv_members(self, start: Path) -> Mapping[NormalizedName, Path]:
        """Return the members of the workspace of uv that a folder belongs to; none without such a workspace."""
        for folder in [start, *start.parents][:MAX_PARENTS]:
            tools = pyproject.nested_table(read_document(folder) or {}, "tool")
            if "workspace" in pyproject.nested_table(tools, "deep-lock"):
                return {}
            if "workspace" in pyproject.nested_table(tools, "uv"):
                found = self._workspace(folder)
                return found if start in found.values() else {}
        return {}

    def _of_workspace(self, requirement: Requirement, reference: Reference, base: Path) -> Reference:
        members = self._workspace(base)
        if requirement.name not in members:
            raise RequirementInvalid(
                f"{requirement.origin or requirement}: {requirement.name} has the workspace as its source, which has no such member",
                hint='name the members: [tool.deep-lock.workspace] members = ["packages/*"]',
            )
        place = seen_from(self.lock_folder, members[requirement.name])
        return Reference(kind="path", place=place, is_path=True, editable=reference.editable)

    def _workspace(self, start: Path) -> Mapping[NormalizedName, Path]:
        """Return the members of the workspace that a folder belongs to, the root included; none without a workspace."""
        if start not in self._workspaces:
            self._workspaces[start] = {}
            for folder in [start, *start.parents][:MAX_PARENTS]:
                workspace = self._config(folder).workspace
                if workspace is not None:
                    self._workspaces[start] = _members(folder, workspace, self._checkout)
                    break
        return self._workspaces[start]

    def tree(self, place: str, subdirectory: str = "", *, origin: Origin | None = None) -> LocalTree:
        """Read a folder; its path is relative to the lock.

        Raises RequirementsInvalid where there is no folder, and as `project_tree.read_tree`.
        """
        key = (place, subdirectory)
        if key not in self._known:
            self._known[key] = self._read(place, subdirectory, origin)
        return self._known[key]

    def folder(self, place: str) -> Path:
        """Return the absolute path of one that is relative to the lock. Raises OutsideCheckout."""
        path = Path(os.path.normpath(self.lock_folder / place))
        return require_inside(path, self._checkout, "a path of the project or of a folder that it requires")

    def _read(self, place: str, subdirectory: str, origin: Origin | None) -> LocalTree:
        top = self.folder(place)
        folder = top / subdirectory if subdirectory else top
        called = f"{place}/{subdirectory}" if subdirectory else place
        try:
            if not folder.is_dir():
                raise RequirementsInvalid(f"{origin or called}: {called} is not a folder")
            files = dict(read_files(folder))
            if self._edited is not None and self._edited.is_of(folder / PYPROJECT):
                files[PYPROJECT] = self._edited.after
            names = frozenset(files) | read_names(folder)
            modules = read_modules(folder, files)
        except OSError as error:
            raise_machine_fault(error)
            raise RequirementsInvalid(f"{called}: cannot be read: {error.strerror or error}") from None
        if not names & {PYPROJECT, "setup.py", "setup.cfg"}:
            raise RequirementsInvalid(f"{origin or called}: {called} has no Python project: no pyproject.toml")
        files.pop("PKG-INFO", None)
        facts = project_tree.read_tree(source_tree.Members(top="", files=files, names=names, modules=modules), called)
        sources = self._folder_sources(folder)
        metadata, guess = facts.facts.metadata, facts.facts.guess
        own = replace(
            facts.facts,
            metadata=self.localized(metadata, folder, sources) if metadata is not None else None,
            guess=self.localized(guess, folder, sources) if guess is not None else None,
        )
        return LocalTree(folder=folder, facts=replace(facts, facts=own))

    def localized(self, metadata: Metadata, folder: Path, sources: Sources | None = None) -> Metadata:
        """Return a folder's metadata with its references relative to the lock."""
        known = self._folder_sources(folder) if sources is None else sources
        origin = Origin(source=f"{metadata.name} {metadata.version}")
        required = (parse_requirement(text, origin) for text in metadata.requires_dist)
        texts = [
            str(own)
            for requirement in required
            for own in self._alternatives(requirement, folder, known, _extras_of(requirement))
        ]
        return replace(metadata, requires_dist=tuple(texts))

    def inputs(self, requirements: Iterable[Requirement]) -> tuple[LockedTree, ...]:
        """Return the facts of every folder that is required, directly or not, with any markers: inputs of the lock."""
        found: dict[tuple[str, str], LockedTree] = {}
        queue = list(requirements)
        while queue:
            requirement = queue.pop()
            reference = parse_reference(requirement.url) if requirement.url is not None else None
            if reference is None or reference.kind != "path" or reference.is_archive:
                continue
            key = (reference.place, reference.subdirectory)
            if key in found:
                continue
            if len(found) >= MAX_TREES:
                raise ConfigError(f"more than {MAX_TREES} folders depend on each other")
            facts = self.tree(*key, origin=requirement.origin).facts.facts
            known = facts.metadata
            origin = Origin(source=f"{requirement.name} ({key[0]})")
            required = tuple(parse_requirement(text, origin) for text in known.requires_dist) if known else ()
            found[key] = LockedTree(
                path=f"{key[0]}/{key[1]}" if key[1] else key[0],
                requirements=tuple(sorted({str(own) for own in required})) if known is not None else None,
                build_requires=tuple(sorted(set(facts.build_system.requires))),
                requires_python=known.requires_python if known is not None else None,
            )
            queue += required
        return tuple(sorted(found.values(), key=lambda tree: tree.path))


def _under(requirement: Requirement, marker: Marker | None) -> Requirement:
    """Return a requirement under one more marker."""
    own = requirement.marker
    if marker is None:
        return requirement
    return replace(requirement, marker=marker if own is None else own & marker)


def _extras_of(requirement: Requirement) -> frozenset[Scope]:
    """Return the extras of its project that a requirement of metadata is for."""
    names = re.findall(r"\bextra == [\"']([^\"']+)", str(requirement.marker or ""))
    return frozenset(Scope(kind="extra", name=canonicalize_name(name)) for name in names)


def _where_none_holds(requirement: Requirement, sources: Iterable[ConditionalSource]) -> Requirement | None:
    """Return a requirement for where none of the markers holds; None where one of the sources has no marker."""
    markers = [own.marker for own in sources]
    found = [negated(marker) for marker in markers if marker is not None]
    return _under(requirement, reduce(and_, found)) if len(found) == len(markers) else None


def _has_conditions(source: SourceSetting, *, of_member: bool) -> bool:
    """Whether a source has indexes with conditions that cannot be used: of a member of the workspace those without a scope."""
    tables = source if isinstance(source, tuple) else ()
    return any(isinstance(own.source, str) and not (of_member and own.scope is not None) for own in tables)


def _known_index(name: str, known: Mapping[str, IndexSetting], subject: str) -> IndexSetting:
    if name not in known:
        raise ConfigError(
            f"{subject} must come from the index {name!r}, which is not defined",
            hint="define it in the project: [[tool.deep-lock.index]]",
        )
    return known[name]


def _with_index(indexes: list[IndexSetting], wanted: IndexSetting) -> str:
    """Return the name of the index of this URL in the list, to which it is added where it is missing."""
    for known in indexes:
        if known.url.rstrip("/") == wanted.url.rstrip("/"):
            return known.name
    names = {known.name for known in indexes}
    name = next(
        name for number in count(1) if (name := f"{wanted.name}-{number}" if number > 1 else wanted.name) not in names
    )
    indexes.append(replace(wanted, name=name, explicit=True, default=False, fallback=False, exclude_packages=()))
    return name


def _members(root: Path, workspace: Workspace, checkout: Path | None) -> dict[NormalizedName, Path]:
    found: dict[NormalizedName, Path] = {}
    for folder in islice(members(root, workspace), MAX_MEMBERS):
        require_inside(folder, checkout, f"{root.name}/{PYPROJECT}, members of the workspace")
        document = read_document(folder) or {}
        tables = pyproject.nested_table(document, "project"), pyproject.nested_table(document, "tool", "poetry")
        name = next((table["name"] for table in tables if isinstance(table.get("name"), str)), None)
        if name is not None and found.setdefault(canonicalize_name(name), folder) != folder:
            raise ConfigError(f"the workspace has two members of the name {canonicalize_name(name)!r}")
    return found


def _name_of_file(reference: Reference, origin: Origin) -> NormalizedName:
    """Return the name that a wheel or an sdist has in its file name."""
    filename = reference.place.partition("?")[0].rpartition("/")[2]
    if reference.kind != "git" and reference.is_archive and not reference.subdirectory:
        stem = filename.removesuffix(".whl")
        name = stem.partition("-")[0] if stem != filename else stem.rpartition("-")[0]
        try:
            return canonicalize_name(name, validate=True)
        except (ValueError, DeepLockError):
            pass
    raise RequirementsInvalid(f"{origin}: no file names the project", hint="Write NAME @ URL.")
