"""`deep-lock outdated --apply`: bounds are raised in their style, the lock moves with them, and a failure changes nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import Lock
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

OLD: Releases = {
    "app-lib 1.2": {},
    "exact 1.2": {},
    "near 1.2": {},
    "tied 1.0": {"requires": ["shared<3"]},
    "shared 2.0": {},
    "free 1.0": {},
    "grouped 1.0": {},
    "extra-lib 1.0": {},
    "maker 3.0": {"modules": {"maker.py": ""}},
}
NEW: Releases = {
    **OLD,
    "app-lib 2.4.1": {},
    "exact 1.3": {},
    "near 2.1": {},
    "shared 3.0": {},
    "free 2.0": {},
    "grouped 2.0": {},
    "extra-lib 2.0": {},
    "maker 4.1": {"modules": {"maker.py": ""}},
}
PROJECT = """\
# The project.
[project]
name = "app"
version = "1"
dependencies = [
    # exact for a reason
    'app-lib [fast] >=1, <2 ; python_version >= "3.8"',  # below the next major
    "exact==1.2",
    "free",
    "near~=1.2",
    "tied",
]

[project.optional-dependencies]
more = ["extra-lib<2"]

[dependency-groups]
dev = ["grouped<=1.5", {include-group = "test"}]
test = ["free"]

[build-system]
requires = ["maker <4"]
build-backend = "maker"

[tool.deep-lock]
python-versions = ["3.13"]
platforms = ["x86_64-manylinux_2_28", "x86_64-windows"]
hooks = "static"
index = [{name = "local", url = "{url}", default = true}]
"""
EDITS = {
    "app-lib": ("app-lib [fast] >=1, <2 ;", "app-lib [fast] >=1, <3 ;"),
    "exact": ('"exact==1.2"', '"exact==1.3"'),
    "near": ('"near~=1.2"', '"near~=2.1"'),
    "extra-lib": ('"extra-lib<2"', '"extra-lib<3"'),
    "grouped": ('"grouped<=1.5"', '"grouped<=2.0"'),
    "maker": ('"maker <4"', '"maker <5"'),
}


class Applying:
    def __init__(self, made: Bench, text: str = PROJECT) -> None:
        self.bench = made
        made.write({"pyproject.toml": text})
        self.before = self.text()
        code, _, said = self.run("lock", "--project", str(made.folder))
        assert code == 0, said
        made.hold(NEW)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run(list(arguments))
        told = self.bench.capture.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    def apply(self, *arguments: str, lock: str = "deep.lock") -> tuple[int, str, str]:
        return self.run("outdated", "--apply", "--lock", str(self.bench.folder / lock), *arguments)

    def text(self, name: str = "pyproject.toml") -> str:
        return (self.bench.folder / name).read_text(encoding="utf-8")

    @property
    def lock(self) -> Lock:
        return from_text(self.text("deep.lock"), "deep.lock")

    def pins(self) -> set[str]:
        return {f"{entry.name}=={entry.version}" for entry in self.lock.packages}

    def edited(self, *names: str) -> str:
        text = self.before
        for name in names:
            assert text.count(EDITS[name][0]) == 1
            text = text.replace(*EDITS[name])
        return text


@pytest.fixture
def applying(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Applying]:
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        yield Applying(made)


def test_every_bound_is_raised_and_locked(applying: Applying) -> None:
    before = applying.pins()
    code, out, said = applying.apply()
    assert (code, out) == (0, ""), said
    assert applying.text() == applying.edited(*EDITS)
    assert applying.pins() - before == {
        "app-lib==2.4.1",
        "exact==1.3",
        "near==2.1",
        "extra-lib==2.0",
        "grouped==2.0",
        "maker==4.1",
    }
    assert "free==1.0" in applying.pins(), "what no bound holds back stays"
    assert "shared==2.0" in applying.pins(), "another package holds it back"
    assert "  the dependencies: exact==1.2 -> exact==1.3\n" in said
    assert "  [build-system] requires: maker <4 -> maker <5\n" in said
    assert applying.run("lock", "--project", str(applying.bench.folder), "--check")[0] == 0
    code, _, said = applying.apply()
    assert code == 0
    assert "no bound in pyproject.toml holds back" in said


def test_only_named_packages(applying: Applying) -> None:
    before = applying.pins()
    code, _, said = applying.apply("exact", "Grouped")
    assert code == 0, said
    assert applying.text() == applying.edited("exact", "grouped")
    assert applying.pins() - before == {"exact==1.3", "grouped==2.0"}


def test_a_name_that_no_bound_holds_back(applying: Applying) -> None:
    for name in ("free", "shared"):
        code, _, said = applying.apply(name)
        assert code == 0
        assert "no bound in pyproject.toml holds back" in said
    code, _, said = applying.apply("exat")
    assert code == 2
    assert "did you mean exact?" in said
    assert applying.text() == applying.before


def test_names_limit_the_table_too(applying: Applying) -> None:
    code, out, _ = applying.run("outdated", "--lock", str(applying.bench.folder / "deep.lock"), "exact")
    assert code == 0
    assert re.sub(r"\d+ days", "N days", out) == (
        "runtime\n  exact  1.2 -> 1.3  (N days old)\n      held back by the project: exact==1.2\n"
    )


def test_a_failure_leaves_both_files(applying: Applying) -> None:
    applying.bench.hold({**NEW, "exact 1.3": {"requires": ["nowhere"]}})
    lock = applying.text("deep.lock")
    code, _, said = applying.apply("--refresh")
    assert code == 1
    assert "nowhere" in said
    assert (applying.text(), applying.text("deep.lock")) == (applying.before, lock)
    assert applying.apply("--refresh", "near")[0] == 0
    assert applying.text() == applying.edited("near")


def test_what_is_written_meanwhile_is_not_overwritten(applying: Applying, monkeypatch: pytest.MonkeyPatch) -> None:
    path = applying.bench.folder / "pyproject.toml"
    page = applying.bench.server.page

    def other_program(name: str) -> tuple[str, bytes] | None:
        path.write_text(applying.before + "# mine\n", encoding="utf-8")
        return page(name)

    monkeypatch.setattr(applying.bench.server, "page", other_program)
    lock = applying.text("deep.lock")
    code, _, said = applying.apply("--refresh")
    assert code in {1, 2}
    assert "another program wrote it" in said
    assert (applying.text(), applying.text("deep.lock")) == (applying.before + "# mine\n", lock)


def test_dry_run_shows_both_files(applying: Applying) -> None:
    lock = applying.text("deep.lock")
    code, out, said = applying.apply("--dry-run", "exact")
    assert code == 0
    assert '-    "exact==1.2",\n+    "exact==1.3",\n' in out
    assert "--- a/deep.lock" in out
    assert "would change pyproject.toml" in said
    assert (applying.text(), applying.text("deep.lock")) == (applying.before, lock)


def test_a_stale_lock_is_refused(applying: Applying) -> None:
    applying.bench.write({"pyproject.toml": PROJECT.replace('"tied"', '"tied>=1"')})
    code, _, said = applying.apply()
    assert code == 1
    assert "deep.lock is stale" in said
    assert "run deep-lock lock first" in said


def test_what_cannot_be_raised_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PROJECT.replace('"exact==1.2"', '"exact<=1.2,!=1.3"').replace(
        "[tool.deep-lock]\n", '[tool.deep-lock]\nconstraints = ["free<2"]\n'
    )
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        applying = Applying(made, text)
        code, _, said = applying.apply("exact", "free")
        assert code == 0
        assert "warning: exact: the dependencies: no higher bound of exact<=1.2,!=1.3 admits 1.3" in said
        assert "warning: free: no list of requirements in pyproject.toml holds it back" in said
        assert applying.text() == applying.before


def test_a_requirement_for_other_targets_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "['exact==1.2; sys_platform == \"win32\"', 'exact<1.3; sys_platform == \"linux\"']"
    text = f'[project]\nname = "app"\nversion = "1"\ndependencies = {own}\n{PROJECT[PROJECT.index("[tool") :]}'
    with bench(
        tmp_path,
        capsys,
        monkeypatch,
        {"exact 1.2": {"wheels": ["cp313-cp313-win_amd64", "cp313-cp313-manylinux_2_17_x86_64"]}},
    ) as made:
        applying = Applying(made, text)
        made.hold({**OLD, **made.told, "exact 1.3": {"wheels": ["cp313-cp313-win_amd64"]}})
        code, _, said = applying.apply("--refresh")
        assert code == 0, said
        assert applying.text() == applying.before.replace("exact==1.2", "exact==1.3")
        assert {"exact==1.2", "exact==1.3"} <= applying.pins()


def test_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        '#!/usr/bin/env python3\n# /// script\n# requires-python = ">=3.13"\n# dependencies = [\n#     "exact==1.2",  # why\n# ]\n'
        '#\n# [tool.deep-lock]\n# python-versions = ["3.13"]\n# index = [{name = "local", url = "{url}", default = true}]\n# ///\nimport exact\n'
    )
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.write({"tool.py": text})
        path = made.folder / "tool.py"
        path.chmod(0o755)
        before = path.read_text(encoding="utf-8")
        assert run(["lock", "--script", str(path)]) == 0
        made.hold(NEW)
        assert run(["outdated", "--apply", "--refresh", "--lock", str(made.folder / "tool.py.deep.lock")]) == 0
        assert path.read_text(encoding="utf-8") == before.replace("==1.2", "==1.3")
        assert path.stat().st_mode & 0o777 == 0o755
        assert run(["lock", "--script", str(path), "--check"]) == 0


def test_the_pins_of_another_tool_are_not_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'[project]\nname = "app"\nversion = "1"\ndependencies = ["exact==1.2"]\n{PROJECT[PROJECT.index("[tool") :]}from-lock = "requirements.txt"\n'
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.write({"requirements.txt": "exact==1.2\n"})
        applying = Applying(made, text)
        code, _, said = applying.apply()
        assert code == 2
        assert "deep.lock has the pins of requirements.txt" in said


def test_the_build_of_a_dependency_is_not_the_projects_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    native = {"wheels": [], "sdist": True, "build": ["flit_core <4"], "backend": "flit_core.buildapi"}
    releases: Releases = {"native 1.0": native, "flit_core 3.9": {}}
    text = f'[project]\nname = "app"\nversion = "1"\ndependencies = ["native"]\n{PROJECT[PROJECT.index("[tool") :]}'
    with bench(tmp_path, capsys, monkeypatch, releases) as made:
        applying = Applying(made, text)
        made.hold({**releases, "flit_core 4.0": {}})
        code, _, said = applying.apply()
        assert code == 0
        assert said == "no bound in pyproject.toml holds back a newer version that it could admit\n"


def test_a_lock_that_breaks_the_policy_may_be_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases: Releases = {"exact 1.2": {"yanked": "broken"}}
    text = f'[project]\nname = "app"\nversion = "1"\ndependencies = ["exact==1.2"]\n{PROJECT[PROJECT.index("[tool") :]}'
    with bench(tmp_path, capsys, monkeypatch, releases) as made:
        applying = Applying(made, f'{text}policy = {{yanked = "error"}}\n')
        made.hold({**releases, "exact 1.3": {}})
        assert applying.run("lock", "--check", "--project", str(made.folder))[0] == 1
        assert applying.apply()[0] == 0
        assert applying.run("lock", "--check", "--project", str(made.folder))[0] == 0


@pytest.mark.parametrize("flag", ["--runtime", "--build", "--fail-on=any", "--group-by=package"])
def test_options_of_the_table_are_refused(applying: Applying, flag: str) -> None:
    assert applying.apply(flag)[0] == 2
    assert applying.text() == applying.before
