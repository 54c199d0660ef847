"""`export -f pylock`: an installer selects from it what it would select from the lock, and nothing else is in it."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.pylock import Pylock, is_valid_pylock_path
from packaging.tags import Tag

from deep_lock.config.options import ExportOptions
from deep_lock.errors import TargetsAlike, UsageError
from deep_lock.events import silent
from deep_lock.exports.view import Exported
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedPackage,
    LockedVcs,
)
from deep_lock.operations.export import export
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import BASE, Scope, with_scopes
from deep_lock.targets.target import Target
from tests.support.lock_strategies import closed_locks, locked_target, package, sdist, small_lock, targets_of

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
CLOSED = LOCKS / "closed.lock"
OLDER, NEWER, WINDOWS = "cp312-x86_64-manylinux_2_28", "cp313-x86_64-manylinux_2_28", "cp313-x86_64-windows"
PLAIN = {
    "lock-version",
    "environments",
    "requires-python",
    "extras",
    "dependency-groups",
    "default-groups",
    "created-by",
    "packages",
}
Names = tuple[str, ...] | Literal["all"] | None


def exported(lock: Path, **flags: Any) -> Exported:
    return export(ExportOptions(lock=lock, format="pylock", **flags), silent)


def read(text: str) -> Pylock:
    return Pylock.from_dict(tomllib.loads(text))


def pylock(lock: Path, **flags: Any) -> Pylock:
    made = exported(lock, **flags)
    ((name, text),) = made.files
    assert is_valid_pylock_path(Path(name))
    assert set(tomllib.loads(text)) <= PLAIN, "nothing but what PEP 751 knows at the top"
    assert "deep-lock-build" not in text
    assert "\ntool." not in text
    return read(text)


def full(lock: Lock) -> tuple[Target, ...]:
    return tuple(make_target(target.python, target.platform, host=None) for target in lock.targets)


def selected(
    parsed: Pylock, target: Target, extras: Iterable[str] = (), groups: Iterable[str] = ()
) -> list[tuple[str, str, str]]:
    """Return what packaging would install: name, version, and the file or source."""
    found = parsed.select(
        environment=dict(target.environment),  # type: ignore[arg-type]  # a mapping of the same keys
        tags=[Tag(*tag.split("-")) for tag in target.tags],
        extras=list(extras),
        dependency_groups=list(groups),
    )
    return sorted((own.name, str(own.version), str(place)) for own, place in found)


def names(parsed: Pylock, target: Target, extras: Iterable[str] = (), groups: Iterable[str] = ()) -> list[str]:
    return [f"{name} {version}" for name, version, _ in selected(parsed, target, extras, groups)]


def written(folder: Path, lock: Lock) -> Path:
    path = folder / "deep.lock"
    path.write_text(to_text(lock), encoding="utf-8")
    return path


# -- the invariant


@st.composite
def marked_locks(draw: st.DrawFn) -> Lock:
    """Draw a lock in which entries are there on some targets, for the project, its extras and its groups."""
    lock = draw(closed_locks())
    targets = targets_of(lock)
    labels = [target.label for target in targets]
    scopes = [
        BASE,
        *(Scope(kind="extra", name=name) for name in lock.extras),
        *(Scope(kind="group", name=name) for name in lock.dependency_groups),
    ]
    part = st.tuples(st.frozensets(st.sampled_from(labels), min_size=1), st.sampled_from(scopes))

    def marked(entry: LockedPackage) -> LockedPackage:
        if entry.build_only:
            return entry
        return replace(entry, marker=with_scopes(draw(st.lists(part, min_size=1, max_size=3)), targets))

    return replace(lock, packages=tuple(map(marked, lock.packages)))


def asked(known: tuple[str, ...]) -> st.SearchStrategy[Names]:
    some = st.lists(st.sampled_from(known), unique=True).map(tuple) if known else st.just(())
    unsaid: st.SearchStrategy[Names] = st.sampled_from((None, "all"))
    return unsaid | some


def split(said: Names, known: tuple[str, ...]) -> tuple[set[str], list[list[str]]]:
    """Return what is chosen now, and what may be selected later."""
    if said is None:
        return set(), [[], list(known), *([name] for name in known)]
    return set(known if said == "all" else said), [[]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(lock=marked_locks(), data=st.data())
def test_an_installer_selects_what_it_would_select_from_the_lock(
    tmp_path: Path, lock: Lock, data: st.DataObject
) -> None:
    path = written(tmp_path, lock)
    extras, groups = data.draw(asked(lock.extras)), data.draw(asked(lock.dependency_groups))
    targets = tuple(data.draw(st.lists(st.sampled_from(full(lock)), unique_by=lambda target: target.label)))
    own = pylock(path, extras=extras, groups=groups, targets=tuple(target.label for target in targets))
    whole = read(path.read_text(encoding="utf-8"))
    fixed_extras, open_extras = split(extras, lock.extras)
    fixed_groups, open_groups = split(groups, lock.dependency_groups)
    for target in targets or full(lock):
        for more in open_extras:
            for others in open_groups:
                wanted = selected(whole, target, fixed_extras | set(more), fixed_groups | set(others))
                assert selected(own, target, more, others) == wanted
    if extras is not None and groups is not None:
        assert not [entry for entry in own.packages if entry.marker and " in " in str(entry.marker)]
    assert list(own.extras or ()) == (sorted(lock.extras) if extras is None else [])
    assert list(own.dependency_groups or ()) == (sorted(lock.dependency_groups) if groups is None else [])
    every = {(entry.name, str(entry.version)) for entry in own.packages}
    assert every <= {(entry.name, entry.version) for entry in lock.packages if not entry.build_only}
    for entry in own.packages:
        for reference in entry.dependencies or ():
            fits = [each for each in own.packages if each.name == reference["name"]]
            assert len(fits) == 1
            assert "version" not in reference


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(lock=closed_locks())
def test_a_build_environment_is_exactly_that_of_its_record(tmp_path: Path, lock: Lock) -> None:
    path = written(tmp_path, lock)
    for build in lock.builds:
        if build.hook is not None:
            continue
        own = pylock(path, build=f"{build.name}=={build.version}" if build.version else build.name)
        for target in full(lock):
            if not build.targets or target.label in build.targets:
                wanted = sorted(f"{member.name} {member.version}" for member in build.packages)
                assert names(own, target) == wanted


# -- what it holds


def test_without_a_choice_everything_stays_selectable() -> None:
    own = pylock(CLOSED)
    whole = tomllib.loads(CLOSED.read_text())
    text = tomllib.loads(exported(CLOSED).files[0][1])
    for key in ("environments", "requires-python", "extras", "dependency-groups", "lock-version", "created-by"):
        assert text[key] == whole[key]
    kept = [entry for entry in whole["packages"] if "deep-lock-build" not in entry.get("marker", "")]
    assert [entry["name"] for entry in text["packages"]] == [entry["name"] for entry in kept]
    for entry, old in zip(text["packages"], kept, strict=True):
        assert entry == {key: value for key, value in old.items() if key != "tool"}
    linux = make_target("3.13", "x86_64-manylinux_2_28", host=None)
    assert names(own, linux, ["postgres"], ["ops"]) == [
        "click 8.5.1",
        "docopt 0.6.2",
        "numpydemo 2.5.0",
        "private-tools 3!1.0.post2",
        "psycopg2 2.9.11",
        "scipydemo 1.2.0",
    ]


def test_a_target_takes_its_own_files_and_markers_are_gone() -> None:
    own = pylock(CLOSED, targets=(WINDOWS,), extras="all", groups=())
    assert [str(marker) for marker in own.environments or ()] == [
        'platform_machine == "AMD64" and python_version == "3.13" and sys_platform == "win32"'
    ]
    assert not [entry for entry in own.packages if entry.marker]
    files = {str(entry.name): [each.filename for each in entry.wheels or ()] for entry in own.packages}
    assert files["numpydemo"] == ["numpydemo-2.5.0-cp313-cp313-win_amd64.whl"]
    assert files["psycopg2"] == ["psycopg2-2.9.11-cp313-cp313-win_amd64.whl"]
    (psycopg,) = (entry for entry in own.packages if entry.name == "psycopg2")
    assert psycopg.sdist is None, "Windows builds none"


def test_the_projects_own_build_is_that_of_a_wheel_and_the_editable_one_is_reported(tmp_path: Path) -> None:
    setuptools = replace(package("setuptools", "80.0"), marker=BUILD_MARKER, build_only=True)
    own = LockedBuild(
        name="app",
        version=None,
        source=".",
        needed="project",
        backend="b",
        requires=("setuptools",),
        requires_from="pyproject",
        requires_dynamic=(),
        evidence="static",
        packages=(EnvironmentMember(name="setuptools", version="80.0"),),
    )
    editable = replace(own, hook="editable", requires_dynamic=("editables",), evidence="observed", observed_on=NEWER)
    made = exported(written(tmp_path, small_lock(setuptools, builds=(own, editable))), build="App")
    assert made.files[0][0] == "pylock.build-app.toml"
    assert [f"{entry.name} {entry.version}" for entry in read(made.files[0][1]).packages] == ["setuptools 80.0"]
    assert any("editables" in text for text in made.unsupported)


# -- what is refused

REFUSED: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
    "no such build": ({"build": "nope"}, "no record of the build of 'nope'", "docopt==0.6.2"),
    "another version": ({"build": "docopt==1"}, "no record of the build of 'docopt==1'", "docopt==0.6.2"),
    "not built there": (
        {"build": "psycopg2", "targets": (WINDOWS,)},
        f"psycopg2 2.9.11 is not built on {WINDOWS}",
        f"{OLDER}, {NEWER}",
    ),
    "no such extra": ({"extras": ("nope",)}, "has no extra 'nope'", "postgres"),
    "no installer reads it": (
        {"output": Path("my.lock")},
        "no installer accepts a lock with this name",
        "pylock.NAME.toml",
    ),
    "a dot too many": (
        {"output": Path("pylock.a.b.toml")},
        "no installer accepts a lock with this name",
        "pylock.toml",
    ),
    "no name": ({"output": Path("pylock..toml")}, "no installer accepts a lock with this name", "pylock.toml"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_with_a_remedy(case: str) -> None:
    flags, says, hint = REFUSED[case]
    with pytest.raises(UsageError) as error:
        exported(CLOSED, **flags)
    assert says in error.value.message
    assert hint in error.value.hint


def twins(tmp_path: Path) -> Path:
    """A lock for two levels of glibc, on which one sdist is built with different releases."""
    makers = [replace(package("maker", version), marker=BUILD_MARKER, build_only=True) for version in ("1.0", "2.0")]
    targets = [make_target("3.13", f"x86_64-manylinux_2_{level}", host=None) for level in (28, 34)]
    source = sdist("lib", "1.0")
    lib = replace(package("lib"), wheels=(), sdist=source, sdist_only=True, direct=True, build="lib==1.0")
    records = [
        LockedBuild(
            name="lib",
            version="1.0",
            sdist=f"sha256:{source.sha256}",
            needed="always",
            targets=(target.label,),
            backend="b",
            requires=("maker",),
            requires_from="pyproject",
            requires_dynamic=(),
            evidence="static",
            packages=(EnvironmentMember(name="maker", version=str(maker.version)),),
        )
        for target, maker in zip(targets, makers, strict=True)
    ]
    lock = small_lock(lib, *makers, builds=tuple(records))
    return written(tmp_path, replace(lock, targets=tuple(map(locked_target, targets))))


def test_records_that_no_marker_tells_apart_are_exported_one_by_one(tmp_path: Path) -> None:
    path = twins(tmp_path)
    with pytest.raises(TargetsAlike) as error:
        exported(path, build="lib")
    assert "--target" in error.value.hint
    for level, version in ((28, "1.0"), (34, "2.0")):
        own = pylock(path, build="lib", targets=(f"cp313-x86_64-manylinux_2_{level}",))
        assert [str(entry.version) for entry in own.packages] == [version]


def test_several_builds_of_one_name_are_told_apart_by_version(tmp_path: Path) -> None:
    path = twins(tmp_path)
    text = path.read_text()
    path.write_text(text.replace('version = "1.0"\nsdist', 'version = "2.0"\nsdist', 1))
    with pytest.raises(UsageError) as error:
        exported(path, build="lib", targets=("cp313-x86_64-manylinux_2_28",))
    assert error.value.hint == "name one of: lib==1.0, lib==2.0"


# -- sources and places


def sources(folder: Path) -> Path:
    commit, digest = "a" * 40, "b" * 64
    entries = (
        LockedPackage(name="tree", version=None, direct=True, source=LockedDirectory(path="sub/tree", editable=True)),
        LockedPackage(name="own", version=None, direct=True, source=LockedDirectory(path=".")),
        LockedPackage(name="beside", version=None, direct=True, source=LockedDirectory(path="../beside")),
        LockedPackage(
            name="commit",
            version=None,
            direct=True,
            source=LockedVcs(url="https://files.example/x.git", requested_revision="main", commit_id=commit),
        ),
        LockedPackage(
            name="file", version="1.0", direct=True, source=LockedArchive(path="a/file-1.0.tar.gz", sha256=digest)
        ),
        LockedPackage(
            name="far",
            version="1.0",
            direct=True,
            source=LockedArchive(url="https://files.example/far.zip", sha256=digest, subdirectory="in"),
        ),
    )
    folder.mkdir()
    return written(folder, small_lock(*entries))


def test_sources_are_kept_and_stand_where_the_lock_stands(tmp_path: Path) -> None:
    made = exported(sources(tmp_path / "project"))
    own = {str(entry.name): entry for entry in read(made.files[0][1]).packages}
    assert own["tree"].directory is not None
    assert (own["tree"].directory.path, own["tree"].directory.editable) == ("sub/tree", True)
    assert own["commit"].vcs is not None
    assert own["commit"].vcs.commit_id == "a" * 40
    assert own["far"].archive is not None
    assert own["far"].archive.subdirectory == "in"
    assert any("relative to the folder of deep.lock" in text for text in made.unsupported)
    assert any("pip" in text and "tree @ sub/tree" in text for text in made.unsupported)
    assert made.usage == "uv pip sync pylock.toml", "pip takes no source tree beside a hash"


PLACES: Mapping[str, tuple[Mapping[str, Path], list[str]]] = {
    "beside": ({"folder": Path("project")}, ["../beside", "a/file-1.0.tar.gz", ".", "sub/tree"]),
    "below": (
        {"output": Path("project/sub/x/pylock.toml")},
        ["../../../beside", "../../a/file-1.0.tar.gz", "../..", "../../sub/tree"],
    ),
    "elsewhere": (
        {"folder": Path("out")},
        ["../beside", "../project/a/file-1.0.tar.gz", "../project", "../project/sub/tree"],
    ),
    "in the tree itself": (
        {"output": Path("project/sub/tree/pylock.x.toml")},
        ["../../../beside", "../../a/file-1.0.tar.gz", "../..", "../../sub/tree"],
    ),
}


@pytest.mark.parametrize("case", PLACES)
def test_paths_are_seen_from_where_the_file_will_stand(case: str, tmp_path: Path) -> None:
    flags, wanted = PLACES[case]
    made = exported(sources(tmp_path / "project"), **{key: tmp_path / place for key, place in flags.items()})
    own = read(made.files[0][1])
    found = [place.path for entry in own.packages for place in (entry.directory, entry.archive) if place and place.path]
    assert found == wanted
    assert not [text for text in made.unsupported if "keep the file there" in text]
