"""A lock of many entries: a third at run time, of which some are built, and two layers of builds below them."""

from msgspec.structs import replace

from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedBuild,
    LockedInputs,
    LockedPackage,
    LockedReference,
)
from tests.support.lock_strategies import INDEX, LINUX, OLDER, WINDOWS, locked_target, package, sdist, wheel

TARGETS = (LINUX, WINDOWS, OLDER)
WORDS = ("wind", "river", "stone", "cloud", "ember", "moss", "north", "salt", "fern", "lake")


def _name(layer: str, place: int) -> str:
    return f"{layer}-{WORDS[place % 10]}-{place}"


def _built(
    entry: LockedPackage, members: list[LockedPackage], *, everywhere: bool
) -> tuple[LockedPackage, LockedBuild]:
    version = str(entry.version)
    source = sdist(entry.name, version)
    entry = replace(
        entry,
        sdist=source,
        wheels=() if everywhere else (wheel(entry.name, version, "cp313-cp313-win_amd64"),),
        sdist_only=everywhere,
        build_on=() if everywhere else (LINUX.label, OLDER.label),
        build=f"{entry.name}=={version}",
    )
    names = [member.name for member in members]
    return entry, LockedBuild(
        name=entry.name,
        version=version,
        sdist=f"sha256:{source.sha256}",
        needed="always" if everywhere else "targets",
        targets=() if everywhere else (LINUX.label, OLDER.label),
        backend="setuptools.build_meta",
        requires=(f"{names[0]}>=1",),
        requires_from="pyproject",
        requires_dynamic=tuple(names[1:2]),
        evidence="observed" if everywhere else "static",
        observed_on=LINUX.label if everywhere else None,
        packages=tuple(
            EnvironmentMember(name=member.name, version=str(member.version), dependencies=tuple(names[at + 1 : at + 3]))
            for at, member in enumerate(members)
        ),
    )


def _some(entries: list[LockedPackage], first: int, count: int) -> list[LockedPackage]:
    return [entries[(first + at) % len(entries)] for at in range(count)]


def big_lock(size: int) -> Lock:
    """Return a lock of so many entries; at least 20."""
    tools = max(4, size // 6)
    deep = max(4, size // 12)
    count = size - tools - deep
    bottom = [replace(package(_name("base", at), "3.1"), marker=BUILD_MARKER, build_only=True) for at in range(deep)]
    middle, builds = [], []
    for at in range(tools):
        entry = replace(package(_name("tool", at), f"2.{at}"), marker=BUILD_MARKER, build_only=True)
        if at % 3 == 0:
            entry, build = _built(entry, _some(bottom, at, 3), everywhere=at % 2 == 0)
            builds.append(build)
        middle.append(entry)
    top = []
    for at in range(count):
        needs = tuple(LockedReference(name=_name("app", other)) for other in (2 * at + 1, 2 * at + 2) if other < count)
        entry = replace(package(_name("app", at), f"1.{at}.0"), dependencies=needs, direct=at < 2)
        if at % 4 == 0:
            entry, build = _built(entry, _some(middle, at, 4), everywhere=at % 3 == 0)
            builds.append(build)
        top.append(entry)
    return Lock(
        inputs=LockedInputs(sources=("pyproject.toml",), requirements=(_name("app", 0), _name("app", 1))),
        indexes=(("default", INDEX),),
        targets=tuple(locked_target(target) for target in TARGETS),
        packages=tuple(sorted([*top, *middle, *bottom], key=lambda entry: entry.name)),
        builds=tuple(sorted(builds, key=lambda build: build.name)),
    )
