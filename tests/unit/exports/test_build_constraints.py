"""Build constraints as text: what they pin, in how few files, and what they cannot express."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from packaging.requirements import Requirement

from deep_lock.errors import NotLocked, TargetsAlike
from deep_lock.exports.build_constraints import constraints
from deep_lock.exports.view import Exported, View, make_view
from deep_lock.lockfile.index import covers, index_lock, key_of, record_key
from deep_lock.lockfile.selection import every_name, installed_packages
from deep_lock.models.lock import BUILD_MARKER, EnvironmentMember, Lock, LockedBuild, LockedInputs, LockedPackage
from deep_lock.targets.factory import make_target, read_host
from deep_lock.targets.target import Target
from tests.support.lock_strategies import (
    INDEX,
    LINUX,
    TARGETS,
    closed_locks,
    locked_target,
    package,
    sdist,
    targets_of,
    wheel,
)

Line = tuple[Requirement, frozenset[str]]
"""A pin, and its sha256 digests."""


def view_of(lock: Lock, targets: Sequence[Target]) -> View:
    return make_view(lock, "deep.lock", tuple(targets), extras=None, groups=None)


def lines_of(text: str) -> list[Line]:
    """Read a file as pip does: a backslash goes on, a hash sign ends."""
    joined = text.replace("\\\n", " ")
    found = []
    for line in filter(None, (line.partition("#")[0].strip() for line in joined.splitlines())):
        requirement, *hashes = re.split(r"\s+--hash=sha256:", line)
        found.append((Requirement(requirement), frozenset(hashes)))
    return found


def on(lines: Sequence[Line], target: Target) -> dict[str, tuple[str, frozenset[str]]]:
    """Return what the lines pin on a target: one version of each name, or it is wrong."""
    held = [line for line in lines if line[0].marker is None or line[0].marker.evaluate(dict(target.environment))]
    pinned = {own.name: (str(own.specifier).removeprefix("=="), hashes) for own, hashes in held}
    assert len(pinned) == len(held)
    return pinned


# -- properties of any lock


def below(lock: Lock, build: LockedBuild, label: str) -> Iterator[tuple[str, str]]:
    """Yield what is pinned while something is built, by the lock's own tables. There are no cycles."""
    for member in build.packages:
        yield member.name, member.version
        for inner in lock.builds:
            if inner.needed != "project" and (inner.name, inner.version) == (member.name, member.version):
                yield from below(lock, inner, label) if covers(inner, label) else ()


def direct_pins(lock: Lock, targets: Sequence[Target]) -> Mapping[tuple[object, ...], dict[str, set[tuple[str, str]]]]:
    """Return what an installer builds for the run time, and the project: by target, the pins of all that this needs."""
    register = index_lock(lock)
    found: dict[tuple[object, ...], dict[str, set[tuple[str, str]]]] = {}
    for target in targets:
        installed = {key_of(entry) for entry in installed_packages(register, target, every_name(register.lock))}
        for build in lock.builds:
            if covers(build, target.label) and (build.needed == "project" or record_key(build) in installed):
                pins = set(below(lock, build, target.label))
                found.setdefault((*record_key(build), build.hook), {})[target.label] = pins
    return found


def agree(*sets: Mapping[str, set[tuple[str, str]]]) -> bool:
    together: dict[tuple[str, str], set[str]] = {}
    for own in sets:
        for label, pins in own.items():
            for name, version in pins:
                together.setdefault((label, name), set()).add(version)
    return all(len(versions) == 1 for versions in together.values())


@given(lock=closed_locks())
@settings(deadline=None)
def test_each_build_has_a_file_and_there_is_one_file_if_one_will_do(lock: Lock) -> None:
    targets = targets_of(lock)
    exported = constraints(view_of(lock, targets), per_sdist=False)
    files = [lines_of(text) for _, text in exported.files]
    per_target = [{target.label: on(lines, target) for target in targets} for lines in files]
    wanted = direct_pins(lock, targets)
    for own in wanted.values():
        if agree(own):
            assert any(fits_file(own, file) for file in per_target)
    conflicting = [own for own in wanted.values() if not agree(own)]
    assert sum("no single file serves" in text for text in exported.unsupported) >= len(conflicting)
    if not conflicting:
        least = fewest(list(wanted.values()))
        assert len(files) >= least
        assert (len(files) == 1) == (least == 1)


def fits_file(
    own: Mapping[str, set[tuple[str, str]]], file: Mapping[str, Mapping[str, tuple[str, frozenset[str]]]]
) -> bool:
    return all(file[label].get(name, ("",))[0] == version for label, pins in own.items() for name, version in pins)


def fewest(sets: list[dict[str, set[tuple[str, str]]]]) -> int:
    for count in range(1, len(sets) + 1):
        for places in product(range(count), repeat=len(sets)):
            shared = [[own for own, at in zip(sets, places, strict=True) if at == place] for place in range(count)]
            if all(agree(*together) for together in shared):
                return count
    return 1


@given(lock=closed_locks())
@settings(deadline=None)
def test_the_hashes_are_those_of_what_each_target_takes(lock: Lock) -> None:
    targets = targets_of(lock)
    entries = {(entry.name, entry.version): entry for entry in lock.packages}
    for target in targets:
        (text,) = (text for _, text in constraints(view_of(lock, [target]), per_sdist=False).files[:1])
        for name, (version, hashes) in on(lines_of(text), target).items():
            entry = entries[name, version]
            records = [each for each in lock.builds if (each.name, each.version) == (name, version)]
            if entry.sdist and any(covers(each, target.label) and each.needed != "project" for each in records):
                assert hashes == {entry.sdist.sha256}
            else:
                assert hashes
                assert hashes <= {file.sha256 for file in entry.wheels}


@given(lock=closed_locks())
@settings(deadline=None)
def test_one_file_for_each_sdist_pins_what_that_needs(lock: Lock) -> None:
    targets = targets_of(lock)
    wanted = direct_pins(lock, targets)
    exported = constraints(view_of(lock, targets), per_sdist=True)
    names = [name for name, _ in exported.files]
    assert len(set(names)) == len(names)
    for (name, version, _, hook), own in wanted.items():
        stem = "-".join(["build-constraints", *(str(part) for part in (name, version, hook) if part)])
        (text,) = (text for there, text in exported.files if there == f"{stem}.txt")
        if agree(own):
            lines = lines_of(text)
            for target in targets:
                if target.label in own:
                    assert own[target.label] <= {(name, pin[0]) for name, pin in on(lines, target).items()}


# -- small worlds


def member(text: str) -> EnvironmentMember:
    name, _, version = text.partition(" ")
    return EnvironmentMember(name=name, version=version)


def built(
    text: str, *environment: str, targets: Sequence[str] = (), build_only: bool = False
) -> tuple[LockedPackage, LockedBuild]:
    """Return an entry that is an sdist only, and its record."""
    name, _, version = text.partition(" ")
    source = sdist(name, version)
    entry = replace(
        package(name, version),
        wheels=(),
        sdist=source,
        sdist_only=True,
        build=f"{name}=={version}",
        direct=not build_only,
        build_only=build_only,
        marker=BUILD_MARKER if build_only else None,
    )
    return entry, LockedBuild(
        name=name,
        version=version,
        sdist=f"sha256:{source.sha256}",
        needed="always",
        targets=tuple(targets),
        backend="maker",
        requires=tuple(each.partition(" ")[0] for each in environment),
        requires_from="pyproject",
        requires_dynamic=(),
        evidence="static",
        packages=tuple(map(member, environment)),
    )


def tool(text: str) -> LockedPackage:
    name, _, version = text.partition(" ")
    return replace(package(name, version), marker=BUILD_MARKER, build_only=True)


def world(
    *made: tuple[LockedPackage, LockedBuild], tools: Sequence[str] = (), targets: Sequence[Target] = (LINUX,)
) -> View:
    entries = sorted((*(entry for entry, _ in made), *map(tool, tools)), key=lambda entry: (entry.name, entry.version))
    lock = Lock(
        inputs=LockedInputs(sources=("pyproject.toml",)),
        indexes=(("default", INDEX),),
        targets=tuple(map(locked_target, targets)),
        packages=tuple(entries),
        builds=tuple(sorted((build for _, build in made), key=lambda build: (build.name, build.targets))),
    )
    return view_of(lock, targets)


def shown(exported: Exported) -> dict[str, str]:
    """Return the files without hashes."""
    return {name: re.sub(r" \\\n    --hash=\S+", "", text) for name, text in exported.files}


HEAD = "# Build constraints of deep.lock, made by deep-lock export, for the builds of:\n"


def test_one_file_where_one_will_do() -> None:
    view = world(
        built("left 1.0", "maker 3.0", "helper 1.0"),
        built("maker 3.0", "helper 1.0", build_only=True),
        built("right 2.0", "helper 1.0"),
        tools=["helper 1.0"],
    )
    exported = constraints(view, per_sdist=False)
    assert shown(exported) == {
        "build-constraints.txt": f"{HEAD}#   left 1.0, and inside it maker 3.0\n#   right 2.0\nhelper==1.0\nmaker==3.0\n"
    }
    digest = wheel("helper", "1.0").sha256
    assert f"helper==1.0 \\\n    --hash=sha256:{digest}\n" in exported.files[0][1]
    assert exported.usage == (
        "pip install --no-cache-dir --require-hashes -r requirements.txt --build-constraint build-constraints.txt"
    )


def test_where_builds_disagree_the_files_are_named_by_number_and_used_one_by_one() -> None:
    view = world(
        built("a 1.0", "helper 1.0"),
        built("b 1.0", "helper 2.0"),
        built("c 1.0", "helper 1.0", "other 1.0"),
        tools=["helper 1.0", "helper 2.0", "other 1.0"],
    )
    exported = constraints(view, per_sdist=False)
    assert shown(exported) == {
        "build-constraints-1.txt": f"{HEAD}#   a 1.0\n#   c 1.0\nhelper==1.0\nother==1.0\n",
        "build-constraints-2.txt": f"{HEAD}#   b 1.0\nhelper==2.0\n",
    }
    assert exported.usage.split(" && ") == [
        "pip install --no-cache-dir --no-deps -c requirements.txt --build-constraint build-constraints-1.txt a==1.0 c==1.0",
        "pip install --no-cache-dir --no-deps -c requirements.txt --build-constraint build-constraints-2.txt b==1.0",
        "pip install --require-hashes -r requirements.txt",
    ]
    each = constraints(view, per_sdist=True)
    assert [name for name, _ in each.files] == [f"build-constraints-{name}-1.0.txt" for name in "abc"]
    assert len(each.usage.split(" && ")) == 4


def test_only_what_is_installed_is_installed_by_the_command() -> None:
    """Of what is built on the way to that there is a file, but no requirement."""
    view = world(built("a 1.0", "maker 3.0"), built("maker 3.0", "helper 1.0", build_only=True), tools=["helper 1.0"])
    exported = constraints(view, per_sdist=True)
    assert [name for name, _ in exported.files] == ["build-constraints-a-1.0.txt", "build-constraints-maker-3.0.txt"]
    assert exported.usage == (
        "pip install --no-cache-dir --require-hashes -r requirements.txt --build-constraint build-constraints-a-1.0.txt"
    )


def test_builds_inside_a_build_decide_too() -> None:
    """Two environments that agree, and one of a member that does not agree with the other's."""
    view = world(
        built("a 1.0", "maker 3.0"),
        built("b 1.0", "helper 2.0"),
        built("maker 3.0", "helper 1.0", build_only=True),
        tools=["helper 1.0", "helper 2.0"],
    )
    files = shown(constraints(view, per_sdist=False))
    assert [lines.splitlines()[2:] for lines in files.values()] == [["helper==1.0", "maker==3.0"], ["helper==2.0"]]


def test_a_build_that_conflicts_with_one_inside_it_is_reported() -> None:
    view = world(
        built("a 1.0", "maker 3.0", "helper 2.0"),
        built("maker 3.0", "helper 1.0", build_only=True),
        tools=["helper 1.0", "helper 2.0"],
    )
    exported = constraints(view, per_sdist=False)
    assert shown(exported) == {
        "build-constraints-1.txt": f"{HEAD}#   a 1.0 (only its own environment, without builds inside it)\nhelper==2.0\nmaker==3.0\n",
        "build-constraints-2.txt": f"{HEAD}#   maker 3.0\nhelper==1.0\n",
    }
    assert exported.unsupported[0] == (
        "a 1.0: no single file serves all of its builds, so pip and uv cannot build it in one run, and deep-lock wheelhouse "
        "can: maker 3.0 is built with helper 1.0, and a 1.0 with helper 2.0"
    )


def test_versions_that_differ_by_target_have_markers() -> None:
    linux, windows = TARGETS[0], TARGETS[1]
    entry, on_linux = built("a 1.0", "helper 1.0", "other 1.0", targets=[linux.label])
    _, on_windows = built("a 1.0", "helper 2.0", "other 1.0", targets=[windows.label])
    view = world(
        (entry, on_linux), (tool("helper 2.0"), on_windows), tools=["helper 1.0", "other 1.0"], targets=[linux, windows]
    )
    ((_, text),) = constraints(view, per_sdist=False).files
    lines = lines_of(text)
    assert {name: pin[0] for name, pin in on(lines, linux).items()} == {"helper": "1.0", "other": "1.0"}
    assert {name: pin[0] for name, pin in on(lines, windows).items()} == {"helper": "2.0", "other": "1.0"}
    assert [own.name for own, _ in lines if own.marker] == ["helper", "helper"]


def test_targets_that_no_marker_distinguishes() -> None:
    ordinary, free = (make_target(python, "x86_64-manylinux_2_28", host=read_host()) for python in ("3.13", "3.13t"))
    entry, first = built("a 1.0", "helper 1.0", targets=[ordinary.label])
    _, second = built("a 1.0", "helper 2.0", targets=[free.label])
    with pytest.raises(TargetsAlike, match="no marker can distinguish"):
        constraints(
            world((entry, first), (tool("helper 2.0"), second), tools=["helper 1.0"], targets=[ordinary, free]),
            per_sdist=False,
        )
    other, third = built("b 1.0", "helper 2.0", targets=[free.label])
    apart = world((entry, first), (other, third), tools=["helper 1.0", "helper 2.0"], targets=[ordinary, free])
    assert len(constraints(apart, per_sdist=False).files) == 2, "no marker can share a file between them"


def test_where_nothing_is_built_there_is_one_file_without_a_pin() -> None:
    exported = constraints(world(), per_sdist=False)
    assert shown(exported) == {"build-constraints.txt": f"{HEAD}#   no package: nothing is built\n"}
    assert (exported.usage, exported.unsupported) == ("pip install --require-hashes -r requirements.txt", ())


def test_what_the_user_added_is_reported() -> None:
    entry, record = built("a 1.0", "helper 1.0")
    view = world((entry, replace(record, requires_user=("helper",))), tools=["helper 1.0"])
    inputs = replace(view.lock.inputs, config_settings=(("a", (("--debug", "1"),)),))
    reported = constraints(view_of(replace(view.lock, inputs=inputs), view.targets), per_sdist=False).unsupported
    assert reported[:2] == (
        "extra build requirements of a 1.0: only the lock has helper",
        "config settings of a: pass them to the installer, --config-settings",
    )


def test_a_pin_without_an_entry() -> None:
    with pytest.raises(NotLocked, match=re.escape("a build uses helper 1.0, which has no entry")):
        constraints(world(built("a 1.0", "helper 1.0")), per_sdist=False)
