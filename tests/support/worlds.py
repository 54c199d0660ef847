"""A small index as data, and the closure's Sources served from it. What the world does not hold is refused, not invented.

A world is a mapping of project name to version to release::

    {"app": {"1.0": {"requires": ["lib>=1"], "wheel": False, "build": ["tool"]}}}

Keys of a release, all optional: ``requires`` (Requires-Dist texts), ``wheel`` (true, false, or a list of tag sets),
``sdist`` (bool), ``build`` (``[build-system] requires``; absent: the legacy default), ``backend``, ``backend_path``,
``hook`` (what the backend's hook asks for; absent: no rule proves it), ``asks`` (what the hook answers when it runs),
``dynamic`` (the sdist hides its requirements: only a run of the backend tells ``requires``),
``requires_python``, ``yanked``, ``uploaded`` (RFC 3339).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.closure.model import Builds, Built, HookElsewhere, Subject, key_of_pin
from deep_lock.models.build_system import (
    LEGACY_BACKEND,
    LEGACY_REQUIRES,
    BuildSystem,
    HookAnswer,
    KnownMetadata,
    SdistFacts,
)
from deep_lock.models.distribution import Buildable, Distribution, Installable, SourceDistribution, Wheel
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import BuildRequest, Candidate, Problem, Resolved
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.resolver.catalog import Catalog
from deep_lock.targets.target import Target

World = Mapping[str, Mapping[str, Mapping[str, Any]]]
INDEX = "https://index.example/simple/"
LINUX_TAGS = ("py3-none-any", "cp312-cp312-manylinux_2_28_x86_64", "cp312-abi3-manylinux_2_28_x86_64")
WINDOWS_TAGS = ("py3-none-any", "cp312-cp312-win_amd64")


def target(python: str = "3.12", system: str = "linux") -> Target:
    """Return a target with few tags: enough to tell systems and Pythons apart."""
    digits = python.replace(".", "")
    tags = LINUX_TAGS if system == "linux" else WINDOWS_TAGS
    own = tuple(tag.replace("cp312", f"cp{digits}") for tag in tags)
    names = {"linux": ("posix", "linux", "Linux", "x86_64"), "windows": ("nt", "win32", "Windows", "AMD64")}
    os_name, sys_platform, platform_system, machine = names[system]
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.9",
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": f"{python}.9",
        "python_version": python,
        "sys_platform": sys_platform,
    }
    return Target(
        label=f"cp{digits}-{system}",
        python=python,
        python_full_version=f"{python}.9",
        platform=system,
        environment=MappingProxyType(environment),
        tags=own,
        ranks=MappingProxyType({tag: place for place, tag in enumerate(own)}),
    )


def wishes(*texts: str) -> tuple[Requirement, ...]:
    """Return requirements from texts."""
    return tuple(parse_requirement(text) for text in texts)


def release_files(name: str, version: str, release: Mapping[str, Any]) -> tuple[Distribution, ...]:
    """Return the files that a release of the world has."""
    stem = f"{name.replace('-', '_')}-{version}"
    uploaded = release.get("uploaded")
    common: dict[str, Any] = {
        "name": canonicalize_name(name),
        "version": Version(version),
        "size": 1000,
        "upload_time": datetime.fromisoformat(uploaded) if uploaded else None,
        "requires_python": release.get("requires_python"),
        "yanked": release.get("yanked"),
        "index": INDEX,
    }
    wheel = release.get("wheel", True)
    tag_sets = ["py3-none-any"] if wheel is True else list(wheel or ())
    files: list[Distribution] = []
    for tags in tag_sets:
        filename = f"{stem}-{tags}.whl"
        files.append(Wheel(filename=filename, build="", tags=tags, metadata="", **_origin(filename), **common))
    if release.get("sdist", True):
        filename = f"{stem}.tar.gz"
        files.append(SourceDistribution(filename=filename, **_origin(filename), **common))
    return tuple(files)


def _origin(filename: str) -> dict[str, Any]:
    digest = hashlib.sha256(filename.encode()).hexdigest()
    return {"url": f"https://files.example/{digest[:4]}/{filename}", "sha256": digest}


@dataclass(kw_only=True)
class WorldSources:
    """Implements `closure.model.Sources` and `assemble.FileCatalog`; counts what it was asked."""

    world: World
    assumed: dict[tuple[NormalizedName, Version], Metadata] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    asked: int = 0
    runs: Mapping[str, Target] = field(default_factory=dict)
    """Where backends may be asked: label of a target to the target that stands in for it. Empty: nowhere."""
    observe_all: bool = False
    """Call hooks also where a rule proves the answer."""
    added: Mapping[NormalizedName, tuple[Requirement, ...]] = field(default_factory=dict)
    """What the user adds to builds."""
    observed: dict[tuple[NormalizedName, Version], Metadata] = field(default_factory=dict)
    editable: Sequence[str] | None = ()
    """What every hook for editable installations asks for on top; None where no rule proves it."""
    ran: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    """Every run of a hook: what, on which target, in which environment."""

    def release(self, name: str, version: Version) -> Mapping[str, Any]:
        for text, release in self.world[name].items():
            if Version(text) == version:
                return release
        raise LookupError(f"the world holds no {name} {version}")

    def versions(self, name: NormalizedName) -> Sequence[Version]:
        found = [Version(text) for text in self.world.get(name, {}) if self.every_file(name, Version(text))]
        return sorted(found, reverse=True)

    def knows(self, name: NormalizedName) -> bool:
        return name in self.world

    def for_problem(self, problem: Problem) -> Catalog:
        assert not problem.indexes
        return self

    def index_of(self, file: Installable) -> str:
        del file
        return ""

    def files(self, name: NormalizedName, version: Version, target: Target, index: str = "") -> Sequence[Distribution]:
        del target, index
        return self.every_file(name, version)

    def stated_url(self, file: Distribution) -> str:
        return file.url

    def every_file(self, name: NormalizedName, version: Version, index: str = "") -> Sequence[Distribution]:
        del index
        return release_files(name, str(version), self.release(name, version))

    def metadata(self, candidate: Candidate, target: Target) -> Metadata | BuildRequest:
        self.asked += 1
        release = self.release(candidate.name, candidate.version)
        file = candidate.distribution
        if isinstance(file, SourceDistribution) and release.get("dynamic"):
            key = (candidate.name, candidate.version)
            runs_on = self.runs.get(target.label)
            if runs_on is None and key not in self.observed:
                self.assumed[key] = Metadata(name=file.name, version=str(file.version))
            known = self.observed.get(key) or self.assumed.get(key)
            return known or BuildRequest(name=file.name, version=file.version, source=file, target=runs_on or target)
        return self.written(candidate.name, candidate.version)

    def written(self, name: str, version: Version) -> Metadata:
        release = self.release(name, version)
        return Metadata(
            name=canonicalize_name(name), version=str(version), requires_dist=tuple(release.get("requires", ()))
        )

    def direct(self, requirement: Requirement, target: Target, *, needs_version: bool) -> Candidate | BuildRequest:
        raise LookupError(f"{requirement} on {target.label}, {needs_version}: this world has no direct references")

    def inspect(self, source: Buildable) -> Subject:
        assert isinstance(source, SourceDistribution), "this world has no direct references"
        return Subject(
            name=source.name,
            version=str(source.version),
            source=source,
            facts=self.facts(source),
            added=self.added.get(source.name, ()),
        )

    def prefetch(self, requirements: Sequence[Requirement], candidates: Sequence[Candidate] = ()) -> None:
        del requirements, candidates

    def facts(self, sdist: SourceDistribution) -> SdistFacts:
        self.opened.append(sdist.filename)
        release = self.release(sdist.name, sdist.version)
        hook = release.get("hook")
        system = BuildSystem(
            requires=tuple(release.get("build", LEGACY_REQUIRES)),
            backend=release.get("backend", LEGACY_BACKEND),
            backend_path=tuple(release.get("backend_path", ())),
            requires_from="pyproject" if "build" in release else "default",
        )
        metadata = None if release.get("dynamic") else self.written(sdist.name, sdist.version)
        return SdistFacts(
            build_system=system,
            metadata=metadata,
            metadata_source="pkg-info" if metadata else "",
            declared_hook=None if hook is None else tuple(hook),
        )

    def proven(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer:
        del environment, target
        if subject.facts.declared_hook is None:
            return HookAnswer(requires=None, evidence="assumed")
        more: Sequence[str] | None = ()
        if subject.hook == "editable":
            more = self.editable
        if more is None:
            return HookAnswer(requires=None, evidence="assumed", reason="nobody read it")
        return HookAnswer(requires=(*subject.facts.declared_hook, *more), evidence="static")

    def build_requirements(
        self, subject: Subject, environment: Resolved, target: Target, builds: Builds
    ) -> HookAnswer | HookElsewhere:
        proven = self.proven(subject, environment, target)
        runs_on = self.runs.get(target.label)
        if runs_on is None or (proven.evidence == "static" and not self.observe_all):
            return proven
        if runs_on != target:
            return HookElsewhere(target=runs_on, fallback=proven)
        return proven.replaced_by(self.call(subject, environment, target, builds))

    def call(self, subject: Subject, environment: Resolved, target: Target, builds: Builds) -> HookAnswer:
        self._run(subject, environment, target, builds)
        asks = self.release(subject.name, Version(subject.version or "0")).get("asks")
        if asks is None:
            return HookAnswer(requires=None, evidence="assumed", reason="the backend failed")
        return HookAnswer(requires=tuple(asks), evidence="observed", observed_on=target.label)

    def learn_metadata(self, request: BuildRequest, built: Built | None, builds: Builds) -> None:
        name, version = request.name, request.version
        if built is None:
            self.assumed[name, version] = Metadata(name=name, version=str(version))
            return
        self._run(built.subject, built.final, built.target, builds)
        self.observed[name, version] = self.written(name, version)

    def _run(self, subject: Subject, environment: Resolved, target: Target, builds: Builds) -> None:
        for pin in environment.pins:
            if isinstance(pin.distribution, SourceDistribution) and key_of_pin(pin) not in builds:
                raise LookupError(f"{pin.name} {pin.version} is in an environment, and nothing tells how it is built")
        called = f"{subject.name} {subject.version}"
        self.ran.append((called, target.label, tuple(f"{pin.name} {pin.version}" for pin in environment.pins)))

    def digest(self, file: Distribution) -> str:
        if file.sha256 is None:
            raise LookupError(file.filename)
        return file.sha256

    def known_metadata(self, file: Installable) -> KnownMetadata:
        assert isinstance(file, Wheel | SourceDistribution), "this world has no direct references"
        licensed = {"license": "MIT"} if len(file.filename) % 2 else {}
        written = replace(self.written(file.name, file.version), **licensed)
        key = (file.name, file.version)
        if isinstance(file, Wheel) or not (key in self.observed or key in self.assumed):
            return KnownMetadata(metadata=written)
        return KnownMetadata(metadata=written, evidence="observed" if key in self.observed else "assumed")
