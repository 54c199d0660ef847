"""The product and real packages: from a recording in the default run, and from the real index with ``-m live``.

One cache, and one shelf of files to judge locks by, for all tests of an index. What is asserted stays true as the index
moves: pins are exact and a release never changes; where newer releases could change the answer, the index is looked at as
it was on one day. A real index that cannot be reached fails these tests: who asks for ``-m live`` wants to know.
"""

import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deep_lock.models.lock import Lock, LockedBuild
from tests.support.real_index import RealBench, Shelf, index_url, no_network, open_fetcher
from tests.support.recorded_index import RecordedIndex
from tests.support.scenarios import LINUX, key_of, marks, told_build

FIXTURES = Path(__file__).parents[2] / "fixtures"
PROJECTS = sorted((FIXTURES / "projects").iterdir())
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "real_packages" / "edges.toml").read_text(encoding="utf-8"))[
    "case"
]
KEYS = frozenset(
    {
        "title",
        "requirements",
        "pythons",
        "platforms",
        "flags",
        "exit",
        "says",
        "pins",
        "marks",
        "files",
        "any",
        "builds",
    }
)
STATIC = "--hooks=static"
"""What a hook says depends on the machine that asks; only the shipped projects are locked as a user would."""
ON_LINUX = ("--python-version=3.13", f"--platform={LINUX}", STATIC)
THEN = "--exclude-newer=2026-10-15"
CHAIN = (
    "mypy",
    "ast-serialize",
    "maturin",
    "setuptools-rust",
    "setuptools-scm",
    "vcs-versioning",
    "packaging",
    "flit-core",
)
PYTHRAN_ON = {"3.10": "old", "3.11": "old", "3.12": "new", "3.13": "new"}
"""Python to the setuptools that builds pythran: before version 60 or after."""


@pytest.fixture(scope="session", params=["recorded", pytest.param("live", marks=pytest.mark.live)])
def index(request: pytest.FixtureRequest) -> Iterator[str]:
    """Provide the URL of an index with real packages."""
    if request.param == "live":
        yield index_url()
        return
    with RecordedIndex.load() as server:
        yield server.url


@pytest.fixture(scope="session")
def shelf(index: str) -> Iterator[Shelf]:
    fetcher = open_fetcher(index)
    yield Shelf(index=index, fetcher=fetcher)
    fetcher.close()


@pytest.fixture(scope="session")
def cache(index: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - one cache for each index
    return tmp_path_factory.mktemp("real-cache")


@pytest.fixture
def real(
    shelf: Shelf, cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> RealBench:
    monkeypatch.setenv("DEEP_LOCK_DEFAULT_INDEX", shelf.index)
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(cache))
    return RealBench(folder=tmp_path, capture=capfd, monkeypatch=monkeypatch, shelf=shelf)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_a_shipped_project(real: RealBench, project: Path) -> None:
    shutil.copytree(project, real.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("deep.lock*"))
    lock = real.lock()
    assert lock.targets
    assert {entry.name for entry in lock.packages if entry.build_only}


def test_the_index_is_what_is_asked(real: RealBench) -> None:
    """The control of every "needs no network": without the network there is no first lock."""
    real.ask("docopt==0.6.2")
    with no_network(real.monkeypatch, real.folder / "no-cache"):
        code, told = real.run("--python-version=3.13", "--platform=x86_64-windows")
    assert code == 3, told
    assert not (real.folder / "deep.lock").exists()


def records(lock: Lock, name: str) -> list[LockedBuild]:
    return [build for build in lock.builds if build.name == name]


def built_with(lock: Lock, name: str) -> dict[str, str]:
    """Return the build environment of the only record of a project."""
    (build,) = records(lock, name)
    return {member.name: member.version for member in build.packages}


def test_eight_levels_of_builds(real: RealBench) -> None:
    real.ask("mypy==2.4.0")
    lock = real.lock(*ON_LINUX, "--build-scope=all", THEN)
    edges = {(build.name, member.name) for build in lock.builds for member in build.packages}
    assert [edge for edge in pairwise(CHAIN) if edge not in edges] == []
    (end,) = records(lock, "flit-core")
    assert (end.requires, end.packages, end.ends) == ((), (), "self-hosted")
    assert [entry.name for entry in lock.packages if entry.sdist is None] == []


def test_what_says_nothing_is_built_by_setuptools(real: RealBench) -> None:
    real.ask("docopt==0.6.2")
    lock = real.lock(*ON_LINUX)
    (build,) = records(lock, "docopt")
    assert (build.backend, build.requires_from) == ("setuptools.build_meta:__legacy__", "default")
    assert "setuptools" in built_with(lock, "docopt")
    assert [entry.build_only for entry in lock.packages if entry.name == "setuptools"] == [True]


def test_a_build_requirement_is_an_sdist_too(real: RealBench) -> None:
    real.ask("PyGObject==3.58.1")
    lock = real.lock(*ON_LINUX, THEN)
    assert {"pycairo", "meson-python", "ninja"} <= set(built_with(lock, "pygobject"))
    assert {"meson-python", "ninja"} <= set(built_with(lock, "pycairo"))
    (pycairo,) = records(lock, "pycairo")
    assert (pycairo.needed, pycairo.backend) == ("targets", "mesonpy")


def test_one_sdist_built_by_two_setuptools(real: RealBench) -> None:
    real.ask("pythran==0.19.0")
    lock = real.lock(*(f"--python-version={python}" for python in PYTHRAN_ON), *ON_LINUX[1:], "--no-binary=pythran")
    found: dict[str, str] = {}
    for build in records(lock, "pythran"):
        (major,) = (int(member.version.split(".")[0]) for member in build.packages if member.name == "setuptools")
        found |= dict.fromkeys(build.targets, "old" if major < 60 else "new")
    assert found == {f"cp{python.replace('.', '')}-{LINUX}": age for python, age in PYTHRAN_ON.items()}


def test_two_builds_share_what_suits_both(real: RealBench) -> None:
    real.ask("numpy==2.5.5", "scipy==1.18.1")
    lock = real.lock(*ON_LINUX, "--no-binary=numpy", "--no-binary=scipy")
    numpy, scipy = built_with(lock, "numpy"), built_with(lock, "scipy")
    for shared in ("cython", "meson-python"):
        assert numpy[shared] == scipy[shared]
        assert len([entry for entry in lock.packages if entry.name == shared]) == 1
    assert scipy["numpy"] == "2.5.5"


def test_two_builds_keep_apart_what_suits_neither(real: RealBench) -> None:
    real.ask("numpy==1.21.6", "mysqlclient==2.3.1")
    flags = ("--python-version=3.10", *ON_LINUX[1:], "--no-binary=numpy", "--no-binary=mysqlclient")
    lock = real.lock(*flags)
    assert built_with(lock, "numpy")["setuptools"] == "59.2.0"
    assert int(built_with(lock, "mysqlclient")["setuptools"].split(".")[0]) >= 77
    assert len([entry for entry in lock.packages if entry.name == "setuptools"]) == 2


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
def test_a_real_edge(real: RealBench, case: Mapping[str, Any]) -> None:
    assert set(case) <= KEYS, set(case) - KEYS
    real.ask(*case["requirements"])
    flags = [STATIC]
    flags += [f"--python-version={python}" for python in case.get("pythons", ("3.13",))]
    flags += [f"--platform={platform}" for platform in case.get("platforms", (LINUX,))]
    flags += case.get("flags", ())
    code, told = real.run(*flags)
    assert code == case.get("exit", 0), told
    for text in case.get("says", ()):
        assert text in told, told
    if code:
        assert not (real.folder / "deep.lock").exists()
        return
    lock = real.lock(*flags)
    check_entries(case, lock)
    named = {canonicalize_name(Requirement(text).name) for text in case["requirements"]}
    check_records(case["builds"], lock, named)


def check_entries(case: Mapping[str, Any], lock: Lock) -> None:
    entries = {key_of(entry): entry for entry in lock.packages}
    assert set(case.get("pins", ())) <= set(entries)
    for key, own in case.get("marks", {}).items():
        assert marks(entries[key]) == sorted(own), key
    for key, name in case.get("files", {}).items():
        sdist = entries[key].sdist
        assert sdist is not None
        assert sdist.name == name
    for key in case.get("any", ()):
        assert [wheel.name for wheel in entries[key].wheels if wheel.name.endswith("-none-any.whl")], key
        assert not entries[key].sdist_only


def check_records(expected: Sequence[Mapping[str, Any]], lock: Lock, named: Collection[str]) -> None:
    """Compare the records of the projects that the case names; those of others may come and go."""
    found = {told["of"]: told for build in lock.builds if build.name in named for told in [told_build(build)]}
    assert sorted(found) == sorted(table["of"] for table in expected)
    for table in expected:
        own = found[table["of"]]
        members = {member.partition("==")[0] for member in own["packages"]}
        assert set(table.get("with", ())) <= members
        wanted = {key: value for key, value in table.items() if key != "with"}
        assert {key: own[key] for key in wanted} == wanted
