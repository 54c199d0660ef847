"""Requirements files for Hermeto, read by the rules that Hermeto applies to them."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from packaging.requirements import Requirement

from deep_lock.exports.hermeto import hermeto
from deep_lock.exports.view import Exported, make_view
from deep_lock.lockfile.index import covers, index_lock, key_of
from deep_lock.lockfile.selection import every_name, installed_packages
from deep_lock.models.lock import (
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedPackage,
    LockedSource,
    LockedVcs,
)
from deep_lock.targets.target import Target, rank
from tests.support.lock_strategies import INDEX, LINUX, TARGETS, closed_locks, package, sdist, small_lock, targets_of

DIGEST = "ab" * 32
COMMIT = "12" * 20


def export(lock: Lock, targets: Sequence[Target] = (LINUX,), *, name_index: bool = False) -> Exported:
    view = make_view(lock, "deep.lock", tuple(targets), extras=None, groups=None)
    return hermeto(view, name_index=name_index)


def given_input(exported: Exported) -> dict[str, Any]:
    """Return the JSON input of the command in ``usage``."""
    words = shlex.split(exported.usage)
    assert words[-7:-1] == ["hermeto", "fetch-deps", "--source", ".", "--output", "hermeto-output"]
    found: dict[str, Any] = json.loads(words[-1])
    assert set(found) <= {"type", "requirements_files", "requirements_build_files", "binary"}
    assert found["type"] == "pip"
    assert [*found["requirements_files"], *found["requirements_build_files"]] == [name for name, _ in exported.files]
    return found


def read(text: str) -> list[tuple[Requirement, list[str]]]:
    """Read a file by Hermeto's rules; what it would refuse is a failed test."""
    found = []
    for line in text.replace("\\\n", "").splitlines():
        words = re.sub(r"(^|\s)#(?!subdirectory=).*$", "", line).split()
        options = [word for word in words if word.startswith("-")]
        hashes = [word.removeprefix("--hash=") for word in options if word.startswith("--hash=")]
        if options and not hashes:
            assert words[0] == "--index-url", "other options are refused or ignored"
            assert urlsplit(words[1]).scheme in ("http", "https")
            continue
        if words:
            requirement = Requirement(" ".join(word for word in words if word not in options))
            _check(requirement, hashes)
            found.append((requirement, hashes))
    assert len({bool(hashes) for _, hashes in found}) <= 1, "where one has a hash, all must have one"
    return found


def _check(requirement: Requirement, hashes: list[str]) -> None:
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", text) for text in hashes)
    if requirement.url is None:
        assert [part.operator for part in requirement.specifier] == ["=="]
        return
    url = urlsplit(requirement.url)
    if url.scheme in ("git+https", "git+http"):
        assert not hashes
        assert re.search("@[0-9a-f]{40}$", url.path)
    else:
        assert url.scheme in ("http", "https")
        assert len(hashes) == 1
        assert url.path.endswith((".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.Z", ".tar", ".whl"))


def fetched(exported: Exported, index: Mapping[tuple[str, str], Sequence[LockedFile]]) -> set[str]:
    """Return the files that Hermeto takes from an index: of each line, or it fails."""
    binary = given_input(exported).get("binary")
    assert binary in (None, {"arch": ":all:", "os": ":all:", "py_impl": ":all:"}), "all wheels pass the filter"
    found: set[str] = set()
    for requirement, hashes in (line for _, text in exported.files for line in read(text)):
        there = index[requirement.name, str(requirement.specifier).removeprefix("==")]
        right = [file.name for file in there if f"sha256:{file.sha256}" in hashes]
        wheels = [name for name in right if name.endswith(".whl") and binary is not None]
        sources = [name for name in right if not name.endswith(".whl")][:1]
        assert wheels or sources, f"{requirement}: no distributions found"
        found |= {*wheels, *sources}
    return found


def taken(lock: Lock, targets: Sequence[Target]) -> set[str]:
    """Return the files that are installed or built with anywhere, by the lock's own tables."""
    register = index_lock(lock)
    found: set[str] = set()
    for target in targets:
        entries = list(installed_packages(register, target, every_name(register.lock)))
        builds = [build for build in lock.builds if build.needed == "project" and covers(build, target.label)]
        while entries or builds:
            if builds:
                entries += [register.entries[key_of(member)] for member in builds.pop().packages]
                continue
            entry = entries.pop()
            own = [build for build in register.records.get(key_of(entry), ()) if covers(build, target.label)]
            builds += own
            files = (entry.sdist,) if own else entry.wheels
            found |= {file.name for file in files if file and (own or rank(tags(file.name), target) is not None)}
    return found


def tags(name: str) -> str:
    return "-".join(name.removesuffix(".whl").split("-")[-3:])


def on_an_index(lock: Lock) -> dict[tuple[str, str], list[LockedFile]]:
    """Return all files of the lock, and beside those of each release an sdist that is not in it."""
    index: dict[tuple[str, str], list[LockedFile]] = {}
    for entry in lock.packages:
        stray = replace(sdist(entry.name, str(entry.version)), name="stray.tar.gz", sha256="0" * 64)
        files = (stray, *entry.wheels, *([entry.sdist] if entry.sdist else []))
        index[entry.name, str(entry.version)] = list(files)
    return index


@given(lock=closed_locks())
@settings(deadline=None)
def test_hermeto_fetches_what_is_taken_somewhere_and_nothing_else(lock: Lock) -> None:
    targets = targets_of(lock)
    exported = export(lock, targets)
    assert fetched(exported, on_an_index(lock)) == taken(lock, targets)


def built(text: str, *environment: str) -> tuple[LockedPackage, LockedBuild]:
    """Return an sdist, and its record."""
    name, _, version = text.partition(" ")
    source = sdist(name, version)
    entry = replace(package(name, version), wheels=(), sdist=source, sdist_only=True, build=f"{name}=={version}")
    members = (each.partition(" ") for each in environment)
    return entry, LockedBuild(
        name=name,
        version=version,
        sdist=f"sha256:{source.sha256}",
        needed="always",
        backend="maker",
        requires_from="pyproject",
        requires_dynamic=(),
        evidence="static",
        packages=tuple(EnvironmentMember(name=name, version=version) for name, _, version in members),
    )


def world(*made: tuple[LockedPackage, LockedBuild], more: Sequence[LockedPackage] = ()) -> Lock:
    return small_lock(*(entry for entry, _ in made), *more, builds=tuple(build for _, build in made))


def test_wheels_are_enabled_only_where_one_is_taken() -> None:
    alone = built("a 1.0")
    assert "binary" not in given_input(export(world(alone)))
    assert "binary" in given_input(export(world(alone, more=[package("b")])))


def test_an_sdist_without_a_build_record_has_its_hash() -> None:
    """A lock with ``build-scope = "none"`` has no records."""
    entry, _ = built("a 1.0")
    lock = small_lock(entry, package("b"))
    assert fetched(export(lock), on_an_index(lock)) == {"a-1.0.tar.gz", "b-1.0-py3-none-any.whl"}


def test_build_requirements_that_conflict_are_in_several_files() -> None:
    helpers = [built("helper 1.0"), built("helper 2.0")]
    lock = world(built("a 1.0", "helper 1.0"), built("b 1.0", "helper 2.0"), *helpers)
    exported = export(lock)
    found = given_input(exported)
    assert found["requirements_build_files"] == ["requirements-build-1.txt", "requirements-build-2.txt"]
    assert given_input(export(world(built("a 1.0", "helper 1.0"), helpers[0])))["requirements_build_files"] == [
        "requirements-build.txt"
    ]


def test_the_index_is_named_on_the_command_line_or_in_each_file() -> None:
    lock = world(built("a 1.0", "helper 1.0"), built("helper 1.0"))
    assert export(lock).usage.startswith(f"PIP_INDEX_URL={INDEX} hermeto ")
    exported = export(lock, name_index=True)
    assert exported.usage.startswith("hermeto ")
    assert all(f"\n--index-url {INDEX}\n" in text for _, text in exported.files)
    assert fetched(exported, on_an_index(lock)) == {"a-1.0.tar.gz", "helper-1.0.tar.gz"}


@pytest.mark.parametrize(
    ("source", "place", "line"),
    [
        (
            LockedArchive(url="https://files.example/x-1.tar.gz", sha256=DIGEST),
            "requirements.txt",
            f"x @ https://files.example/x-1.tar.gz --hash=sha256:{DIGEST}",
        ),
        (
            LockedArchive(url="https://files.example/x.zip", sha256=DIGEST, subdirectory="inner"),
            "requirements.txt",
            f"x @ https://files.example/x.zip#subdirectory=inner --hash=sha256:{DIGEST}",
        ),
        (
            LockedVcs(url="https://git.example/x.git", commit_id=COMMIT, subdirectory="inner"),
            "requirements-git.txt",
            f"x @ git+https://git.example/x.git@{COMMIT}#subdirectory=inner",
        ),
        (LockedArchive(url="https://files.example/x.tgz", sha256=DIGEST), "", ""),
        (LockedArchive(path="x-1.tar.gz", sha256=DIGEST), "", ""),
        (LockedVcs(url="ssh://git.example/x.git", commit_id=COMMIT), "", ""),
        (LockedVcs(url="https://git.example/x.git", commit_id="12" * 32), "", ""),
        (LockedVcs(path="../x", commit_id=COMMIT), "", ""),
        (LockedDirectory(path="x"), "", ""),
    ],
)
def test_direct_references(source: LockedSource, place: str, line: str) -> None:
    entry = LockedPackage(name="x", version=None, source=source, direct=True)
    exported = export(small_lock(entry, package("b")))
    files = dict(exported.files)
    given_input(exported)
    assert all(read(text) is not None for text in files.values())
    lines = {name: [" ".join(part.split()) for part in _joined(text)] for name, text in files.items()}
    if place:
        assert line in lines[place]
        assert not [text for text in exported.unsupported if text.startswith("x ")]
    else:
        assert not [each for own in lines.values() for each in own if each.startswith("x ")]
        assert [text for text in exported.unsupported if "Hermeto does not fetch such a source" in text]
    assert ("requirements-git.txt" in files) == (place == "requirements-git.txt")


def _joined(text: str) -> list[str]:
    return text.replace("\\\n", "").splitlines()


def test_versions_by_target_are_both_fetched() -> None:
    linux, windows = TARGETS[0], TARGETS[1]
    lock = small_lock(
        replace(package("b", "1.0"), marker="sys_platform == 'linux'"),
        replace(package("b", "2.0"), marker="sys_platform == 'win32'"),
    )
    exported = export(lock, [linux, windows])
    assert fetched(exported, on_an_index(lock)) == {"b-1.0-py3-none-any.whl", "b-2.0-py3-none-any.whl"}


def test_another_index_is_reported() -> None:
    lock = small_lock(package("a"), replace(package("b"), index="https://b.example/simple/"))
    assert any("https://b.example/simple/" in text for text in export(lock).unsupported)
