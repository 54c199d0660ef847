"""Locks: three full targets, makers of entries, and Hypothesis strategies for locks that are right by construction."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import TypeVar, get_args

from hypothesis import strategies as st
from msgspec.structs import replace

from deep_lock.models.build_system import Evidence
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedBuild,
    LockedFile,
    LockedInputs,
    LockedPackage,
    LockedReference,
    LockedTarget,
    OptionValue,
)
from deep_lock.targets.target import Target

INDEX = "https://index.example/simple/"
WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Item = TypeVar("Item")


# -- targets


def _target(python: str, system: str) -> Target:
    linux = system == "linux"
    digits = python.replace(".", "")
    platform = "x86_64-manylinux_2_28" if linux else "x86_64-windows"
    wheel_platform = "manylinux_2_28_x86_64" if linux else "win_amd64"
    older_platform = "manylinux_2_17_x86_64" if linux else wheel_platform
    tags = (f"cp{digits}-cp{digits}-{wheel_platform}", f"py3-none-{older_platform}", "py3-none-any")
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix" if linux else "nt",
        "platform_machine": "x86_64" if linux else "AMD64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux" if linux else "Windows",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux" if linux else "win32",
    }
    return Target(
        label=f"cp{digits}-{platform}",
        python=python,
        python_full_version=f"{python}.0",
        platform=platform,
        environment=environment,
        tags=tags,
        ranks={tag: place for place, tag in enumerate(tags)},
    )


TARGETS = (_target("3.13", "linux"), _target("3.13", "windows"), _target("3.12", "linux"))
LINUX, WINDOWS, OLDER = TARGETS


def locked_target(target: Target) -> LockedTarget:
    """Return the table of a target."""
    system = target.environment["sys_platform"]
    return LockedTarget(
        name=target.label,
        marker=f"python_version == '{target.python}' and sys_platform == '{system}'",
        python=target.python,
        platform=target.platform,
    )


# -- entries


def _file(filename: str) -> LockedFile:
    digest = hashlib.sha256(filename.encode()).hexdigest()
    return LockedFile(
        name=filename,
        url=f"https://files.example/{digest[:4]}/{filename.replace('+', '%2B')}",
        sha256=digest,
        upload_time=WHEN,
        size=len(filename) * 1000,
    )


def wheel(name: str, version: str, tags: str = "py3-none-any") -> LockedFile:
    """Return a wheel; its digest depends on its name."""
    return _file(f"{name.replace('-', '_')}-{version}-{tags}.whl")


def sdist(name: str, version: str) -> LockedFile:
    """Return an sdist; its digest depends on its name."""
    return _file(f"{name.replace('-', '_')}-{version}.tar.gz")


def package(name: str, version: str = "1.0", *needs: str) -> LockedPackage:
    """Return a plain runtime entry with one wheel for everybody."""
    return LockedPackage(
        name=name,
        version=version,
        index=INDEX,
        wheels=(wheel(name, version),),
        dependencies=tuple(LockedReference(name=need) for need in needs),
    )


def small_lock(*packages: LockedPackage, builds: tuple[LockedBuild, ...] = ()) -> Lock:
    """Return a lock for Linux; the packages that are marked direct are what the project asks for."""
    direct = sorted({entry.name for entry in packages if entry.direct})
    return Lock(
        inputs=LockedInputs(sources=("pyproject.toml",), requirements=tuple(direct)),
        indexes=(("default", INDEX),),
        targets=(locked_target(LINUX),),
        packages=packages,
        builds=builds,
    )


def in_folder(entry: LockedPackage, folder: str) -> LockedPackage:
    """Return the entry with all of its files in a folder, as --find-links finds them; "" is the lock's own."""

    def moved(file: LockedFile) -> LockedFile:
        return replace(file, url=None, path=f"{folder}/{file.name}" if folder else file.name, upload_time=None)

    return replace(
        entry,
        index=None,
        sdist=None if entry.sdist is None else moved(entry.sdist),
        wheels=tuple(map(moved, entry.wheels)),
    )


# -- locks that are right by construction

_FOLDERS = ("", "links", "a folder/é/..b", "../out", "../../~x")
_NAMES = (
    "a",
    "aiohttp",
    "cffi",
    "flit-core",
    "hatchling",
    "numpy",
    "setuptools",
    "typing-extensions",
    "x2",
    "zope-interface",
)
_VERSIONS = ("0.9", "1.0", "1.9", "1.10", "2.0rc1", "2.0", "1!0.1", "1.0.post1", "1.0+cu121", "2026.1.30")
_EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)
_ZONES = (UTC, timezone(timedelta(hours=9)))
_MOMENTS = st.builds(
    lambda microseconds, zone: (WHEN + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(0, 10**15) | st.just(0),
    st.sampled_from(_ZONES),
)
# What `show` leaves alone, with everything that TOML must escape and what lies outside of the BMP.
_TEXTS = st.text(st.sampled_from("ab \"'\\#{}[]=.é日🐍"), min_size=1, max_size=12)
_OPTIONS: Mapping[str, st.SearchStrategy[OptionValue]] = {
    "build-resolution": _TEXTS,
    "exclude-newer": _MOMENTS,
    "find-links": st.lists(st.sampled_from(_FOLDERS), max_size=2).map(tuple),
    "no-binary": st.lists(st.sampled_from(_NAMES), max_size=3).map(tuple),
    "require-evidence": st.booleans(),
    "stages": st.integers(0, 2**63 - 1),
}
_SETTINGS = st.dictionaries(
    st.sampled_from(_NAMES),
    st.dictionaries(_TEXTS, _TEXTS | st.just("") | st.lists(_TEXTS, max_size=3).map(tuple), min_size=1, max_size=3).map(
        lambda settings: tuple(settings.items())
    ),
    max_size=2,
)


@dataclass(kw_only=True)
class _Draft:
    """A lock under way: build environments only ever use releases of a later place, so that there is no cycle."""

    draw: st.DrawFn
    targets: tuple[Target, ...]
    packages: list[LockedPackage] = field(default_factory=list)
    builds: list[LockedBuild] = field(default_factory=list)

    def pick(self, strategy: st.SearchStrategy[Item]) -> Item:
        return self.draw(strategy)

    def labels(self) -> tuple[str, ...]:
        return tuple(target.label for target in self.targets)


def _sourced(draft: _Draft, entry: LockedPackage, layer: list[tuple[str, str]]) -> LockedPackage:
    """Give an entry its files: a wheel for all, wheels for some targets and an sdist for the rest, or an sdist only."""
    kind = draft.pick(st.sampled_from(["wheel", "wheel", "some", "sdist"]))
    if kind == "wheel":
        return entry
    labels = draft.labels()
    built = labels
    wheels: tuple[LockedFile, ...] = ()
    if kind == "some":
        size = draft.pick(st.integers(1, len(labels)))
        built = tuple(draft.pick(st.permutations(labels)))[:size]
        fitting = [target.tags[0] for target in draft.targets if target.label not in built]
        wheels = tuple(wheel(entry.name, str(entry.version), tags) for tags in fitting)
    source = sdist(entry.name, str(entry.version))
    entry = replace(
        entry,
        wheels=wheels,
        sdist=source,
        sdist_only=kind == "sdist",
        build_on=built if kind == "some" else (),
        build=f"{entry.name}=={entry.version}",
        metadata=draft.pick(st.none() | st.sampled_from(_EVIDENCE)),
    )
    draft.builds.append(_record(draft, entry, layer, () if len(built) == len(labels) else built))
    return entry


def _placed(draft: _Draft, entry: LockedPackage) -> LockedPackage:
    """Leave an entry with its index, or take its files from a folder: all of them, or the first wheel only."""
    kind = draft.pick(st.sampled_from(["index", "index", "folder", "both"]))
    if kind == "index":
        return entry
    moved = in_folder(entry, draft.pick(st.sampled_from(_FOLDERS)))
    if kind == "folder":
        return moved
    return replace(entry, wheels=(*moved.wheels[:1], *entry.wheels[1:]))


def _record(draft: _Draft, entry: LockedPackage, layer: list[tuple[str, str]], targets: tuple[str, ...]) -> LockedBuild:
    members = _environment(draft, layer)
    evidence = draft.pick(st.sampled_from(_EVIDENCE))
    dynamic = (
        () if evidence == "assumed" else draft.pick(st.just(()) | st.just(tuple(each.name for each in members[:1])))
    )
    source = entry.sdist
    return LockedBuild(
        name=entry.name,
        version=entry.version,
        sdist=f"sha256:{source.sha256}" if source is not None else None,
        needed="always" if entry.sdist_only else "targets",
        targets=targets,
        backend="setuptools.build_meta:__legacy__",
        requires=tuple(f"{each.name}=={each.version}; python_version >= '3'" for each in members),
        requires_from=draft.pick(st.sampled_from(["pyproject", "default"])),
        cargo_lock=draft.pick(st.none() | st.just(f"sha256:{hashlib.sha256(b'crates').hexdigest()}")),
        requires_dynamic=None if evidence == "assumed" else dynamic,
        conditional=draft.pick(st.just("") | _TEXTS),
        evidence=evidence,
        observed_on=draft.pick(st.sampled_from(draft.labels())) if evidence == "observed" else None,
        packages=members,
        declared_packages=draft.pick(
            st.sampled_from([None, (), tuple(replace(each, dependencies=()) for each in members[:1])])
        ),
    )


def _environment(draft: _Draft, layer: list[tuple[str, str]]) -> tuple[EnvironmentMember, ...]:
    if not layer:
        return ()
    chosen = dict(draft.pick(st.lists(st.sampled_from(layer), max_size=3)))
    names = tuple(chosen)
    return tuple(
        EnvironmentMember(name=name, version=version, dependencies=names[: draft.pick(st.integers(0, len(names)))])
        for name, version in chosen.items()
    )


def _build_layer(draft: _Draft) -> list[tuple[str, str]]:
    keys = draft.pick(st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VERSIONS)), max_size=5, unique=True))
    layer: list[tuple[str, str]] = []
    for name, version in keys:
        entry = replace(package(name, version), marker=BUILD_MARKER, build_only=True)
        draft.packages.append(_placed(draft, _sourced(draft, entry, list(layer))))
        layer.append((name, version))
    return layer


def _runtime(draft: _Draft, layer: list[tuple[str, str]]) -> None:
    taken = set(layer)
    names = draft.pick(st.lists(st.sampled_from(_NAMES), max_size=4, unique=True))
    for place, name in enumerate(names):
        version = draft.pick(st.sampled_from([each for each in _VERSIONS if (name, each) not in taken]))
        below = draft.pick(st.lists(st.sampled_from(names[place + 1 :]), unique=True)) if names[place + 1 :] else []
        entry = replace(
            package(name, version, *below),
            requires_python=draft.pick(st.sampled_from([None, ">=3.8", "!=3.9.*,>=3.8"])),
            direct=True,
            license=draft.pick(st.sampled_from([None, "MIT", "(MIT OR Apache-2.0) AND BSD-3-Clause"])),
            license_classifiers=draft.pick(st.sampled_from([(), ("License :: OSI Approved :: MIT License",)])),
            yanked=draft.pick(st.sampled_from([None, "", 'a "reason"'])),
            hash_origin=draft.pick(st.sampled_from([None, "computed"])),
            attestation_identities=draft.pick(st.sampled_from([(), ((("kind", "GitHub"), ("repository", "a/é")),)])),
        )
        draft.packages.append(_placed(draft, _sourced(draft, entry, layer)))


def _reached(draft: _Draft, project: LockedBuild | None) -> set[tuple[str, str]]:
    records = {(build.name, build.version): build for build in draft.builds}
    queue = [records.get((entry.name, entry.version)) for entry in draft.packages if not entry.build_only]
    queue.append(project)
    reached: set[tuple[str, str]] = set()
    while queue:
        build = queue.pop()
        for member in build.packages if build is not None else ():
            if (member.name, member.version) not in reached:
                reached.add((member.name, member.version))
                queue.append(records.get((member.name, member.version)))
    return reached


def _editable(draft: _Draft, project: LockedBuild | None) -> LockedBuild | None:
    """Draw the project's editable build: it asks for a member that the wheel declares, by another text."""
    if project is None or not project.packages or not draft.pick(st.booleans()):
        return None
    labels = draft.labels()
    return replace(
        project,
        hook="editable",
        targets=draft.pick(st.sampled_from([(), labels[:1]])) if len(labels) > 1 else (),
        requires_dynamic=(f"{project.packages[0].name}!=0",),
        evidence="observed",
        observed_on=labels[0],
        declared_packages=draft.pick(st.sampled_from([None, project.packages])),
    )


def _referenced(entry: LockedPackage, packages: list[LockedPackage]) -> LockedPackage:
    """Give references their version where a name has several entries."""
    names = [each.name for each in packages]
    runtime = {each.name: each.version for each in packages if not each.build_only}
    return replace(
        entry,
        dependencies=tuple(
            replace(each, version=runtime[each.name]) if names.count(each.name) > 1 else each
            for each in entry.dependencies
        ),
    )


def _overlays(builds: list[LockedBuild]) -> st.SearchStrategy[dict[str, tuple[str, ...]]]:
    """What the user adds to some of the builds; it must hold in every record of a name, so on no target."""
    names = sorted({build.name for build in builds})
    added = st.lists(st.sampled_from(("b; os_name == 'java'", "c; os_name == 'java'")), min_size=1, unique=True)
    return st.dictionaries(st.sampled_from(names), added.map(tuple)) if names else st.just({})


def _added_to(build: LockedBuild, added: tuple[str, ...]) -> LockedBuild:
    only = bool(added) and not build.requires
    return replace(build, requires_user=added, requires_from="user" if only else build.requires_from)


@st.composite
def closed_locks(draw: st.DrawFn) -> Lock:
    """Draw a lock that keeps every law on its targets."""
    targets = tuple(draw(st.permutations(TARGETS)))[: draw(st.integers(1, 3))]
    draft = _Draft(draw=draw, targets=targets)
    layer = _build_layer(draft)
    _runtime(draft, layer)
    project = None
    if draw(st.booleans()):
        entry = LockedPackage(name="project", version="0.1", index=INDEX)
        members = _environment(draft, layer)
        project = replace(
            _record(draft, entry, layer, ()),
            source=".",
            needed="project",
            version=draw(st.sampled_from([None, "0.1"])),
            packages=members,
            declared_packages=None,
            requires=tuple(each.name for each in members),
            cargo_lock=None,
            requires_dynamic=(),
            evidence="static",
            observed_on=None,
        )
    reached = _reached(draft, project)
    packages = [entry for entry in draft.packages if not entry.build_only or (entry.name, entry.version) in reached]
    keys = {(entry.name, entry.version) for entry in packages}
    builds = [build for build in draft.builds if (build.name, build.version) in keys]
    overlay = draw(_overlays(builds))
    builds = [_added_to(build, overlay.get(build.name, ())) for build in builds]
    own = tuple(build for build in [project, _editable(draft, project)] if build is not None)
    direct = tuple(entry for entry in packages if entry.direct)
    chosen = draw(st.lists(st.sampled_from(sorted(_OPTIONS)), unique=True))
    extras = draw(st.lists(st.sampled_from(_NAMES), max_size=2, unique=True))
    return Lock(
        environments=tuple(locked_target(target).marker for target in targets),
        requires_python=draw(st.sampled_from([None, ">=3.12"])),
        extras=tuple(extras),
        dependency_groups=tuple(draw(st.lists(st.sampled_from(_NAMES), max_size=2, unique=True))),
        inputs=LockedInputs(
            sources=("pyproject.toml", "more/requirements.in"),
            requirements=tuple(f"{entry.name}=={entry.version}" for entry in direct),
            extras=tuple((name, tuple(f"{entry.name}>=0" for entry in direct[:2])) for name in extras),
            constraints=tuple(draw(st.lists(st.sampled_from(["x2<9", "b; os_name == 'nt'"]), max_size=2))),
            extra_build_requires=tuple(overlay.items()),
            config_settings=tuple(draw(_SETTINGS).items()),
            build_requires=tuple(each.name for each in project.packages) if project is not None else None,
        ),
        options=tuple((key, draw(_OPTIONS[key])) for key in chosen),
        indexes=(("default", INDEX), ("b", "https://b.example/simple/"), ("a", "https://a.example:8443/simple/")),
        targets=tuple(locked_target(target) for target in targets),
        packages=tuple(_referenced(entry, packages) for entry in packages),
        builds=(*builds, *own),
    )


def targets_of(lock: Lock) -> tuple[Target, ...]:
    """Return the full targets of a drawn lock."""
    labels = {target.name for target in lock.targets}
    return tuple(target for target in TARGETS if target.label in labels)


def shuffled(lock: Lock, random: Random) -> Lock:
    """Return the same content as somebody else would put it together: every unordered sequence in another order."""

    def mixed(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(random.sample(items, len(items)))

    def build(each: LockedBuild) -> LockedBuild:
        return replace(
            each,
            targets=mixed(each.targets),
            requires=mixed(each.requires),
            requires_user=mixed(each.requires_user),
            packages=tuple(replace(item, dependencies=mixed(item.dependencies)) for item in mixed(each.packages)),
        )

    def entry(each: LockedPackage) -> LockedPackage:
        return replace(
            each,
            wheels=mixed(each.wheels),
            dependencies=mixed(each.dependencies),
            build_on=mixed(each.build_on),
        )

    return replace(
        lock,
        environments=mixed(lock.environments),
        extras=mixed(lock.extras),
        dependency_groups=mixed(lock.dependency_groups),
        inputs=replace(
            lock.inputs,
            sources=mixed(lock.inputs.sources),
            requirements=mixed(lock.inputs.requirements),
            extras=mixed(lock.inputs.extras),
            extra_build_requires=tuple((name, mixed(own)) for name, own in mixed(lock.inputs.extra_build_requires)),
            config_settings=tuple((name, mixed(own)) for name, own in mixed(lock.inputs.config_settings)),
        ),
        options=mixed(lock.options),
        indexes=mixed(lock.indexes),
        targets=mixed(lock.targets),
        packages=tuple(map(entry, mixed(lock.packages))),
        builds=tuple(map(build, mixed(lock.builds))),
    )
