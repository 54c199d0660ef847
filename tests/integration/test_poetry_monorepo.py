"""Poetry projects that require each other by path: p1 -> p2 -> p3, in folders, commits and archives."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deep_lock.models.lock import LockedVcs
from tests.support.scenario_server import Release
from tests.support.scenarios import Bench, Run, bench, git, make_repository

RELEASES: dict[str, Release] = {
    "poetry-core 2.1.0": {},
    "lib 1.0": {},
    "lib 2.0": {},
    "extra 1.0": {},
    "p2 9.0": {},
    "p3 9.0": {},
    "p4 9.0": {},
    "setuptools 80.0": {},
    "poetry-dynamic-versioning 1.10.1": {},
}
CORE = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
HEAD = '[tool.poetry]\nname = "{}"\nversion = "1.0"\n[tool.poetry.dependencies]\npython = ">=3.12"\n'
P1 = HEAD.format("p1") + 'p2 = { path = "../p2", develop = true }\n' + CORE
P2 = (
    HEAD.format("p2")
    + 'p3 = { path = "../p3", extras = ["more"] }\nlib = "^1"\n'
    + '[tool.poetry.group.dev.dependencies]\nnever = "*"\n'
    + CORE
)
P3 = (
    HEAD.format("p3")
    + 'p4 = { path = "../p4" }\nextra = { version = "*", optional = true }\n[tool.poetry.extras]\nmore = ["extra"]\n'
    + CORE
)
P4 = HEAD.format("P4") + 'lib = ">=1"\n' + CORE
TREE = {f"{name}/pyproject.toml": text for name, text in (("p1", P1), ("p2", P2), ("p3", P3), ("p4", P4))}
PROJECT = '[project]\nname = "{}"\nversion = "1.0"\ndependencies = ["{}"]\n[tool.poetry.dependencies]\n'
MIXED = {
    "p1/pyproject.toml": PROJECT.format("p1", "p2") + 'p2 = { path = "../p2" }\n' + CORE,
    "p2/pyproject.toml": P2,
    "p3/pyproject.toml": PROJECT.format("p3", "p4") + 'p4 = { path = "../p4" }\n' + CORE.replace("]\n", "]\n", 1),
    "p4/pyproject.toml": P4,
}
MIXED["p3/pyproject.toml"] = MIXED["p3/pyproject.toml"].replace(
    "[tool.poetry", '[project.optional-dependencies]\nmore = ["extra"]\n[tool.poetry', 1
)
DYNAMIC = {
    **TREE,
    "p2/pyproject.toml": P2.replace(
        '[tool.poetry]\nname = "p2"\nversion = "1.0"\n',
        '[project]\nname = "p2"\nversion = "1.0"\ndynamic = ["dependencies"]\n',
    ),
}
WITHOUT = {name: text.replace(CORE, "") for name, text in TREE.items()}
VERSIONING = {
    name: text.replace("poetry.core.masonry.api", "poetry_dynamic_versioning.backend").replace(
        '["poetry-core"]', '["poetry-core", "poetry-dynamic-versioning"]'
    )
    for name, text in TREE.items()
}
ROOTED = '[project]\nname = "{}"\nversion = "1.0"\ndependencies = ["{}"]\n'
PDM = {
    **TREE,
    "p1/pyproject.toml": ROOTED.format("p1", "p2 @ file:///${PROJECT_ROOT}/../p2") + CORE,
    "p2/pyproject.toml": ROOTED.format("p2", 'p3[more] @ file:///${PROJECT_ROOT}/../p3", "lib<2') + CORE,
}
HATCH = {
    name: text.replace("file:///${PROJECT_ROOT}/", "{root:uri}/../" + name.partition("/")[0] + "/")
    for name, text in PDM.items()
}
ALL = ["extra==1.0", "lib==1.0", "p2", "p3", "p4"]


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as laid:
        yield laid


def pins(made: Bench) -> list[str]:
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert not [
        path for path in ran.asked if path.startswith(("/simple/p2", "/simple/p3", "/simple/p4", "/simple/never"))
    ]
    assert str(made.folder.parent) not in ran.text
    assert "assumed" not in ran.text
    assert made.lock("--check").code == 0
    return ran.pins(builds=False)


@pytest.mark.parametrize(
    "tree",
    [TREE, MIXED, DYNAMIC, WITHOUT, VERSIONING, PDM, HATCH],
    ids=["Poetry", "project", "dynamic", "no build system", "versioning", "PDM", "Hatch"],
)
def test_folders_below_folders(made: Bench, tree: Mapping[str, str]) -> None:
    made.write(tree)
    root = made.folder
    made.folder = root / "p1"
    assert pins(made) == ALL
    made.folder = root
    made.ask("p1 @ ./p1")
    assert pins(made) == sorted(["p1", *ALL])


def test_a_folder_that_is_missing_is_named_with_what_requires_it(made: Bench) -> None:
    made.write(TREE)
    made.write({"p2/pyproject.toml": P2.replace("../p3", "../gone")})
    made.folder = made.folder / "p1"
    ran = made.lock()
    assert ran.code == 2
    assert "error: p2 (../p2): ../gone is not a folder" in ran.stderr


@pytest.mark.parametrize(("version", "code"), [("1.0", 0), ("1.5", 0), ("2.0", 2), ("0.0.0", 0)])
def test_the_version_of_the_project_must_fit_what_a_required_folder_requires(
    made: Bench, version: str, code: int
) -> None:
    made.hold({**RELEASES, "p1 1.7": {}})
    made.write(
        {
            "p1/pyproject.toml": P1.replace("1.0", version),
            "p2/pyproject.toml": HEAD.format("p2") + 'p1 = "^1"\n' + CORE,
        }
    )
    made.folder = made.folder / "p1"
    ran = made.lock()
    assert ran.code == code, ran.stderr
    assert "/simple/p1/" not in ran.asked
    if code:
        assert "requires p1<2,>=1, and the project itself is p1 2.0" in ran.stderr
        assert "error: p2 " in ran.stderr
    else:
        assert ran.pins(builds=False) == ["p1", "p2"]


def commits_of(ran: Run) -> set[str]:
    return {entry.source.commit_id for entry in ran.lock.packages if isinstance(entry.source, LockedVcs)}


@pytest.mark.parametrize("tree", [TREE, MIXED, DYNAMIC], ids=["Poetry", "project", "dynamic"])
def test_folders_of_a_commit(made: Bench, tree: Mapping[str, str]) -> None:
    repository = made.folder.parent / "repositories" / "mono"
    make_repository(repository, [{"files": {f"libs/{name}": text for name, text in tree.items()}}])
    made.ask("p1 @ git+{git:mono}@main#subdirectory=libs/p1")
    assert pins(made) == sorted(["p1", *ALL])
    (commit,) = commits_of(made.lock())
    make = repository / "libs/p4/pyproject.toml"
    make.write_text(P4.replace(">=1", ">=1,<2"), encoding="utf-8")

    git(repository, "commit", "--quiet", "--all", "--message=two")
    moved = made.lock("-P", "p1")
    assert moved.code == 0, moved.stderr
    (other,) = commits_of(moved)
    assert commit != other


def test_the_project_itself_may_require_a_folder_of_the_same_repository(made: Bench) -> None:
    repository = made.folder.parent / "repositories" / "mono"
    make_repository(repository, [{"files": TREE}])
    made.ask("p1 @ git+{git:mono}@main#subdirectory=p1", "p4 @ git+{git:mono}@main#subdirectory=p4")
    assert pins(made) == sorted(["p1", *ALL])


def archive(files: Mapping[str, str], top: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_folders_of_an_archive(made: Bench) -> None:
    (made.folder / "mono.tar.gz").write_bytes(archive(TREE, "mono-1"))
    made.ask("p1 @ ./mono.tar.gz#subdirectory=p1")
    assert pins(made) == sorted(["p1", *ALL])


def test_an_sdist_whose_metadata_lacks_what_the_table_has(made: Bench) -> None:
    info = "Metadata-Version: 2.1\nName: p4\nVersion: 1.0\n"
    (made.folder / "p4-1.0.tar.gz").write_bytes(archive({"pyproject.toml": P4, "PKG-INFO": info}, "p4-1.0"))
    made.ask("p4 @ ./p4-1.0.tar.gz")
    assert pins(made) == ["lib==2.0", "p4==1.0"]


@pytest.mark.parametrize("place", ["../p3", "/srv/p3", "../../p3"])
def test_a_path_that_leaves_the_archive_is_an_error_that_names_it(made: Bench, place: str) -> None:
    text = P2.replace("../p3", place)
    info = "Metadata-Version: 2.1\nName: p2\nVersion: 1.0\nRequires-Dist: p3 @ file:///build/p3\n"
    (made.folder / "p2-1.0.tar.gz").write_bytes(archive({"pyproject.toml": text, "PKG-INFO": info}, "p2-1.0"))
    made.ask("p2 @ ./p2-1.0.tar.gz")
    ran = made.lock()
    assert (ran.code, ran.asked) == (2, ()), ran.stderr
    assert f"it requires p3 from {place}, which is not a folder inside it" in ran.stderr
    made.write({"p3/pyproject.toml": P3, "p4/pyproject.toml": P4})
    made.write(
        {
            "pyproject.toml": (made.folder / "pyproject.toml").read_text()
            + '[tool.deep-lock.sources]\np3 = { path = "p3" }\n'
        }
    )
    assert pins(made) == ["extra==1.0", "lib==1.0", "p2==1.0", "p3", "p4"]


UV = '[project]\nname = "{}"\nversion = "1"\ndependencies = ["{}"]\n' + CORE


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ("p3 = { workspace = true }", ""),
        ('p3 = { path = "../p3" }', ""),
        ('p3 = { git = "{git:mono}", subdirectory = "libs/p3" }', ""),
        ('p3 = { index = "corp" }', "it assigns p3 to the index 'corp'"),
        ('p3 = { path = "../p3", extra = "x" }', "it assigns p3 to a source that deep-lock does not support"),
    ],
)
def test_sources_of_uv_in_a_commit(made: Bench, sources: str, says: str) -> None:
    repository = made.folder.parent / "repositories" / "mono"
    files = {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["libs/*"]\n',
        "libs/p2/pyproject.toml": UV.format("p2", "p3") + "[tool.uv.sources]\n",
        "libs/p3/pyproject.toml": UV.format("p3", "lib"),
    }
    make_repository(repository, [{"files": files}])
    files["libs/p2/pyproject.toml"] += made.filled(sources) + "\n"

    (repository / "libs/p2/pyproject.toml").write_text(files["libs/p2/pyproject.toml"], encoding="utf-8")
    git(repository, "commit", "--quiet", "--all", "--message=two")
    made.ask("p2 @ git+{git:mono}@main#subdirectory=libs/p2")
    if not says:
        assert pins(made) == ["lib==2.0", "p2", "p3"]
        return
    ran = made.lock()
    assert ran.code == 2, ran.stderr
    assert says in ran.stderr
    assert not [path for path in ran.asked if path.startswith("/simple/p3")]
