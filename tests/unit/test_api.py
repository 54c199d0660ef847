"""The public API: what `deep_lock` exports, and the examples of docs/reference/api.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import deep_lock
from deep_lock import DeepLockError, check, lock, read_lock, write_lock
from tests.support.paths import FIXTURES, ROOT
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

PAGE = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## ([^\n]+)\n+```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RELEASES: Releases = {
    "lib 1.0": {},
    "app 1.0": {"requires": ["lib"], "wheels": [], "sdist": True, "build": ["setuptools"]},
    "setuptools 80.0": {"wheels": ["py3-none-any"]},
}


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A project with a lock, its index named in its configuration; the current directory is its folder."""
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as made:
        made.write(
            {
                "pyproject.toml": """
[project]
name = "demo"
version = "1.0"
dependencies = ["app"]

[tool.deep-lock]
python-versions = ["3.13"]
platforms = ["x86_64-manylinux_2_28"]
hooks = "static"

[[tool.deep-lock.index]]
name = "corp"
url = "{url}"
default = true
"""
            }
        )
        monkeypatch.chdir(made.folder)
        write_lock(lock(), "deep.lock")
        yield made


def test_the_names_are_the_documented_ones() -> None:
    documented = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE)) | {
        name for row in re.findall(r"^\| (`[A-Z][^|]*) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert {*documented, "DeepLockError", "__version__"} == set(deep_lock.__all__)
    with pytest.raises(AttributeError, match="locked"):
        deep_lock.locked  # type: ignore[attr-defined] # noqa: B018 - the missing attribute is the test


def test_the_parameters_are_the_documented_ones() -> None:
    tree = ast.parse((Path(deep_lock.__file__).parent / "api.py").read_text(encoding="utf-8"))
    signatures = {
        f"{node.name}({', '.join(argument.arg for argument in (*node.args.args, *node.args.kwonlyargs))})"
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    assert set(re.findall(r"^\| `(\w+\([^)]*\))` \|", PAGE, re.MULTILINE)) == signatures


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        ("Read a lock", "app 1.0"),
        ("Which packages run code when the lock is installed?", "app 1.0 is built by setuptools.build_meta"),
        ("Check whether a lock is up to date", ""),
        ("Upgrade one package", "new: [('lib', '2.0')]"),
        ("Report progress", "Solving(subject='runtime'"),
    ],
)
def test_the_examples_run(project: Bench, title: str, printed: str) -> None:
    assert [each for each, _ in EXAMPLES] == [
        "Read a lock",
        "Which packages run code when the lock is installed?",
        "Check whether a lock is up to date",
        "Upgrade one package",
        "Report progress",
    ]
    if title in {"Upgrade one package", "Report progress"}:
        project.hold({**RELEASES, "lib 2.0": {}})
        monkey = project.folder / "pyproject.toml"
        monkey.write_text(monkey.read_text(encoding="utf-8").replace('["app"]', '["app", "lib"]'), encoding="utf-8")
    project.capture.readouterr()
    exec(compile(dict(EXAMPLES)[title], title, "exec"), {"__name__": "example"})  # noqa: S102 - our own page
    out = project.capture.readouterr().out
    assert printed in out
    assert printed or not out


def test_a_lock_is_kept_until_it_is_upgraded(project: Bench) -> None:
    first = read_lock(project.folder / "deep.lock")
    project.hold({**RELEASES, "lib 2.0": {}})
    assert lock() == first
    assert [package.version for package in lock(upgrade=True, refresh=True).packages if package.name == "lib"] == [
        "2.0"
    ]
    assert [
        package.version for package in lock(upgrade=["lib==2.0"], refresh=True).packages if package.name == "lib"
    ] == ["2.0"]
    assert lock(upgrade="lib", refresh=True) == lock(upgrade=["lib"], refresh=True) != first
    assert read_lock("deep.lock") == first, "lock writes nothing"


def test_a_stale_lock_says_why(project: Bench) -> None:
    assert check(project.folder) == ()
    path = project.folder / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('["app"]', '["app>=1"]'), encoding="utf-8")
    assert any("app>=1" in reason for reason in check())
    (project.folder / "deep.lock").unlink()
    assert check() == ("there is no lock",)


def test_a_lock_is_written_as_it_was(tmp_path: Path) -> None:
    source = FIXTURES / "locks" / "closed.lock"
    write_lock(read_lock(source), tmp_path / "deep.lock")
    assert (tmp_path / "deep.lock").read_bytes() == source.read_bytes()


def test_a_file_of_a_later_deep_lock_keeps_its_unknown_keys(tmp_path: Path) -> None:
    text = (FIXTURES / "locks" / "newer-revision.lock").read_text("utf-8")
    path = tmp_path / "deep.lock"
    path.write_text(text, encoding="utf-8")
    write_lock(read_lock(path), path)
    assert path.read_text("utf-8") == text
    write_lock(read_lock(path), tmp_path / "copy.lock")
    assert (tmp_path / "copy.lock").read_bytes() == (FIXTURES / "locks" / "small.lock").read_bytes()


def test_a_lock_that_breaks_an_invariant_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep.lock"
    path.write_text("old", encoding="utf-8")
    good = read_lock(FIXTURES / "locks" / "closed.lock")
    broken = deep_lock.Lock(inputs=good.inputs, targets=good.targets, packages=good.packages[1:])
    with pytest.raises(DeepLockError, match="contradicts itself"):
        write_lock(broken, path)
    assert path.read_text(encoding="utf-8") == "old"
    with pytest.raises(DeepLockError, match="cannot be written"):
        write_lock(good, tmp_path / "missing" / "deep.lock")
    with pytest.raises(DeepLockError, match=r"deep\.lock"):
        read_lock(tmp_path / "none" / "deep.lock")
