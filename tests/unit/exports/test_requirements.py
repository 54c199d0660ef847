"""`export -f requirements`: each line says where it holds and which bytes may be taken, and nothing else."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.pylock import Pylock
from packaging.requirements import Requirement
from packaging.tags import Tag

from deep_lock.config.options import ExportOptions
from deep_lock.errors import UsageError
from deep_lock.events import silent
from deep_lock.exports.view import Exported
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock, LockedArchive, LockedDirectory, LockedPackage, LockedVcs
from deep_lock.operations.export import export
from deep_lock.targets.factory import make_target
from deep_lock.targets.target import Target
from tests.support.lock_strategies import closed_locks, in_folder, locked_target, package, small_lock, wheel

CLOSED = Path(__file__).parents[3] / "fixtures" / "locks" / "closed.lock"
WINDOWS = "cp313-x86_64-windows"
COMMIT, DIGEST = "a" * 40, "b" * 64


def exported(lock: Path, **flags: Any) -> Exported:
    return export(ExportOptions(lock=lock, format="requirements", **flags), silent)


def written(folder: Path, lock: Lock) -> Path:
    path = folder / "deep.lock"
    path.write_text(to_text(lock), encoding="utf-8")
    return path


def read(text: str) -> list[tuple[Requirement, set[str]]]:
    """Read lines as pip does: continued ones are one; comments and options are nothing that is installed."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith(("#", "--")):
            continue
        parts = line.split(" --hash=")
        assert all(part.startswith("sha256:") for part in parts[1:])
        found.append((Requirement(parts[0]), {part.strip().removeprefix("sha256:") for part in parts[1:]}))
    return found


def lines(made: Exported) -> list[str]:
    return [line for line in made.files[0][1].splitlines() if not line.startswith("#")]


# -- the invariant


def chosen(lock: Path, target: Target, extras: Iterable[str], groups: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of what packaging would take from the lock, by name==version."""
    whole = Pylock.from_dict(tomllib.loads(lock.read_text(encoding="utf-8")))
    found = whole.select(
        environment=dict(target.environment),  # type: ignore[arg-type]  # a mapping of the same keys
        tags=[Tag(*tag.split("-")) for tag in target.tags],
        extras=list(extras),
        dependency_groups=list(groups),
    )
    return {f"{own.name}=={own.version}": str(place.hashes["sha256"]) for own, place in found}  # type: ignore[union-attr]  # files only


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(lock=closed_locks(), data=st.data())
def test_what_holds_on_a_target_is_what_the_lock_installs_there(
    tmp_path: Path, lock: Lock, data: st.DataObject
) -> None:
    path = written(tmp_path, lock)
    targets = [make_target(target.python, target.platform, host=None) for target in lock.targets]
    some = data.draw(st.lists(st.sampled_from(targets), unique_by=lambda target: target.label))
    text = exported(path, targets=tuple(target.label for target in some)).files[0][1]
    lines = read(text)
    locked = {
        f"{entry.name}=={entry.version}": {
            file.sha256 for file in (*entry.wheels, *([entry.sdist] if entry.sdist is not None else []))
        }
        for entry in lock.packages
    }
    for requirement, digests in lines:
        assert digests
        assert digests <= locked[f"{requirement.name}{requirement.specifier}"]
    for target in some or targets:
        here = {
            f"{requirement.name}{requirement.specifier}": digests
            for requirement, digests in lines
            if requirement.marker is None or requirement.marker.evaluate(dict(target.environment))
        }
        wanted = chosen(path, target, (), ())
        assert set(here) == set(wanted)
        assert all(digest in here[name] for name, digest in wanted.items())


def test_by_itself_it_is_the_base_alone_and_flags_add_to_it() -> None:
    def pins(**flags: Any) -> list[str]:
        return [f"{own.name}{own.specifier}" for own, _ in read(exported(CLOSED, **flags).files[0][1])]

    base = ["click==8.5.1", "colorama==0.4.6", "docopt==0.6.2", "numpydemo==2.4.0", "numpydemo==2.5.0"]
    assert pins() == [*base, "scipydemo==1.2.0"]
    assert pins(extras="all") == [*base, "psycopg2==2.9.11", "scipydemo==1.2.0"]
    assert pins(groups=("ops",)) == [*base, "private-tools==3!1.0.post2", "scipydemo==1.2.0"]
    assert pins(build="shop") == ["setuptools==84.2.1"]
    assert pins(build="scipydemo") == [
        "flit-core==4.2.0",
        "meson-python==0.22.1",
        "ninja==1.13.0",
        "numpydemo==2.4.0",
        "numpydemo==2.5.0",
    ]


def test_the_text_is_this() -> None:
    made = exported(CLOSED, targets=(WINDOWS,), output=Path("need/our reqs.txt"))
    text = made.files[0][1]
    assert text.splitlines()[:5] == [
        "# Made by deep-lock from closed.lock: the runtime packages. Do not edit: export again.",
        f"# For {WINDOWS}.",
        '# pip install --require-hashes -r "our reqs.txt"',
        "click==8.5.1 \\",
        "    --hash=sha256:f71506abcb189d7e00c86f331f39c9269b4550947538095770aff7f60e145321",
    ]
    assert text.endswith("\n")
    assert " ; " not in text, "one target needs no marker"
    assert made.usage == f'pip install --require-hashes -r "{Path("need/our reqs.txt")}"'
    assert exported(CLOSED, targets=(WINDOWS,), output=Path("need/our reqs.txt")) == made


def test_a_file_for_another_target_is_not_taken_for_a_line_that_does_not_hold_there(tmp_path: Path) -> None:
    """The base wants it on Windows, an extra on Linux too: its Linux wheel stands in the lock."""
    platforms = {"win_amd64": "x86_64-windows", "manylinux_2_28_x86_64": "x86_64-manylinux_2_28"}
    targets = [make_target("3.13", platform, host=None) for platform in (*platforms.values(), "arm64-macos_14")]
    windows, linux = (wheel("lib", "1.0", f"cp313-cp313-{tag}") for tag in platforms)
    lib = replace(
        package("lib"), direct=True, wheels=(windows, linux), marker="sys_platform == 'win32' or 'more' in extras"
    )
    lock = replace(small_lock(lib), extras=("more",), targets=tuple(map(locked_target, targets)))
    path = written(tmp_path, lock)
    for extras, wanted in (((), {windows.sha256}), ("all", {windows.sha256, linux.sha256})):
        ((_, digests),) = read(exported(path, extras=extras).files[0][1])
        assert digests == wanted
    labels = tuple(target.label for target in targets[:2])
    both = ExportOptions(lock=path, format="pylock", extras="all", targets=labels)
    for flags, files in ((replace(both, extras=()), [windows.name]), (both, [linux.name, windows.name])):
        text = tomllib.loads(export(flags, silent).files[0][1])
        assert [file["name"] for file in text["packages"][0]["wheels"]] == files


UNSUPPORTED: Mapping[str, tuple[Mapping[str, Any], list[str]]] = {
    "base": ({}, ["build requirements: docopt 0.6.2, scipydemo 1.2.0 are", "other environments: "]),
    "two indexes": ({"groups": "all"}, ["build requirements: ", "other environments: ", "indexes: "]),
    "nothing built": ({"build": "shop"}, ["other environments: "]),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_the_format_cannot_express_is_reported(case: str) -> None:
    flags, wanted = UNSUPPORTED[case]
    reported = exported(CLOSED, **flags).unsupported
    assert [text for text in wanted if not any(line.startswith(text) for line in reported)] == []
    assert len(reported) == len(wanted)


# -- direct references


def direct(name: str, source: Any, version: str | None = None) -> LockedPackage:
    return LockedPackage(name=name, version=version, direct=True, source=source)


SOURCES: Mapping[str, tuple[LockedPackage, str]] = {
    "a file": (
        direct("lib", LockedArchive(url="https://files.example/lib-1.0-py3-none-any.whl", sha256=DIGEST), "1.0"),
        f"lib @ https://files.example/lib-1.0-py3-none-any.whl     --hash=sha256:{DIGEST}",
    ),
    "a part of an archive": (
        direct("lib", LockedArchive(url="https://files.example/x.zip", sha256=DIGEST, subdirectory="a b")),
        f"lib @ https://files.example/x.zip#subdirectory=a%20b     --hash=sha256:{DIGEST}",
    ),
    "a file beside": (
        direct("lib", LockedArchive(path="../a b/é#;x.zip", sha256=DIGEST)),
        f"lib @ file:./../a%20b/%C3%A9%23%3Bx.zip     --hash=sha256:{DIGEST}",
    ),
    "a folder": (direct("lib", LockedDirectory(path="libs/x")), "lib @ file:./libs/x"),
    "a part of a folder": (
        direct("lib", LockedDirectory(path="libs/x", subdirectory="inner")),
        "lib @ file:./libs/x/inner",
    ),
    "a commit": (
        direct("lib", LockedVcs(url="https://files.example/x.git", commit_id=COMMIT)),
        f"lib @ git+https://files.example/x.git@{COMMIT}",
    ),
    "a part of a commit": (
        direct("lib", LockedVcs(url="ssh://git@files.example/x.git", commit_id=COMMIT, subdirectory="in")),
        f"lib @ git+ssh://git@files.example/x.git@{COMMIT}#subdirectory=in",
    ),
    "what pip would fill in": (
        direct("lib", LockedArchive(url="https://files.example/${SECRET}/x.zip", sha256=DIGEST)),
        f"lib @ https://files.example/$%7BSECRET%7D/x.zip     --hash=sha256:{DIGEST}",
    ),
    "what pip would fill in of a commit": (
        direct("lib", LockedVcs(url="https://files.example/${SECRET}.git", commit_id=COMMIT)),
        f"lib @ git+https://files.example/$%7BSECRET%7D.git@{COMMIT}",
    ),
    "what pip would fill in of a path": (
        direct("lib", LockedDirectory(path="${SECRET}/x")),
        "lib @ file:./%24%7BSECRET%7D/x",
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_direct_reference_is_one_line(case: str, tmp_path: Path) -> None:
    entry, wanted = SOURCES[case]
    made = exported(written(tmp_path, small_lock(entry)))
    (line,) = "\n".join(lines(made)).replace("\\\n", "").splitlines()
    assert line == wanted
    tree = not isinstance(entry.source, LockedArchive)
    assert any(line.startswith("pip: ") for line in made.unsupported) == tree
    assert made.usage.startswith("uv pip install -r" if tree else "pip install --require-hashes -r")
    placed = "path" in getattr(entry.source, "__struct_fields__", ()) and getattr(entry.source, "path", None)
    assert ("Run it in the folder of deep.lock" in made.files[0][1]) == bool(placed)


def test_an_editable_folder_is_reported(tmp_path: Path) -> None:
    entry = direct("lib", LockedDirectory(path="lib", editable=True))
    assert "editable installation: of lib @ lib" in exported(written(tmp_path, small_lock(entry))).unsupported


def test_a_repository_in_a_folder_is_refused(tmp_path: Path) -> None:
    entry = direct("lib", LockedVcs(path="../repository", commit_id=COMMIT))
    with pytest.raises(UsageError) as error:
        exported(written(tmp_path, small_lock(entry)))
    assert "cannot name a repository in a folder" in error.value.message


# -- indexes and folders


def test_indexes_are_named_only_where_it_is_asked_for() -> None:
    assert not re.search(r"^--", exported(CLOSED).files[0][1], re.MULTILINE)
    assert lines(exported(CLOSED, index_options=True))[:2] == [
        "--index-url https://index.example/simple/",
        "--extra-index-url https://private.example/simple/",
    ]


def test_folders_of_files_are_named_from_where_the_file_stands(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    lock = written(folder, small_lock(replace(in_folder(package("lib"), "links/x"), direct=True)))
    bare = exported(lock)
    assert "folders: pass --find-links for links/x, or export with --index-options" in bare.unsupported
    assert "--find-links links/x" in lines(exported(lock, index_options=True))
    below = exported(lock, index_options=True, output=folder / "deps" / "requirements.txt")
    assert "--find-links ../links/x" in lines(below)
    assert not any(line.startswith("folders") for line in below.unsupported)


@pytest.mark.parametrize("name", ["a b", "${SECRET}", "#x", "-x"])
def test_a_folder_that_a_line_cannot_name_is_refused(name: str, tmp_path: Path) -> None:
    lock = written(tmp_path, small_lock(replace(in_folder(package("lib"), name), direct=True)))
    with pytest.raises(UsageError) as error:
        exported(lock, index_options=True)
    assert "--find-links" in error.value.hint
