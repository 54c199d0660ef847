"""`vet diff`: the files of two releases, and the sdist and the wheel of one, from an index over sockets."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from tests.support.scenarios import Bench, bench

INFO = "demo-{}.dist-info/entry_points.txt"
OLD = {
    "demo/__init__.py": "import os\n\nx = 1\n",
    "demo/gone.py": "y = 1\n",
    "demo/LICENSE": "free\n",
    INFO.format("1.0"): "[console_scripts]\ndemo = demo:main\n",
}
NEW = {
    "demo/__init__.py": "import os\n\nx = 2\n",
    "demo/fast.txt": "\x7fELF\0\0",
    "demo/tricky.py": "# \x1b[31m ::error::x\n# " + "a" * 5000 + "\n",
    "demo-2.0.data/purelib/demo.pth": "import demo\n",
    "docs/LICENSE": "free\n",
    INFO.format("2.0"): "[console_scripts]\ndemo = demo:main\npip = demo:main\n",
}
SDIST = {"build": [], "backend": "own", "backend-path": ["tools"]}
RELEASES: dict[str, Any] = {
    "demo 1.0": {
        "modules": OLD,
        "sdist": True,
        **SDIST,
        "tree": {"tools/own.py": "1\n", "demo/__init__.py": "x = 1\n"},
    },
    "demo 2.0": {
        "modules": NEW,
        "sdist": True,
        **SDIST,
        "tree": {"tools/own.py": "2\n", "setup.cfg": "[x]\n", "src/demo/__init__.py": NEW["demo/__init__.py"]},
    },
    "bare 1.0": {"wheels": ["cp313-cp313-win_amd64"]},
    "bare 2.0": {"wheels": ["py3-none-any"]},
    "bare 3.0": {"wheels": ["py3-none-any", "cp313-cp313-win_amd64"], "sdist": True},
}


class Vet:
    """A locked project, and `vet diff` on it."""

    def __init__(self, made: Bench) -> None:
        self.bench = made
        made.ask("demo")
        assert made.lock().code == 0
        self.folder = made.folder

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run(["vet", "diff", "--lock", str(self.folder / "deep.lock"), *arguments])
        shown = self.bench.capture.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    def json(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self(*arguments, "--format", "json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture
def vet(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Vet]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as made:
        yield Vet(made)


def test_what_is_dangerous_comes_first_then_the_files_then_the_lines(vet: Vet) -> None:
    code, out, err = vet("demo", "1.0", "2.0")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "demo: 1.0 -> 2.0"
    assert [line.strip() for line in lines[4:8]] == [
        "To read first (3)",
        "! demo/fast.txt: new compiled code (ELF, 6 bytes)  [native-new]",
        "! demo.pth: a new file that takes effect whenever Python starts  [startup-new]",
        "! pip: a new script  [script-new]",
    ]
    assert [line.split() for line in lines[9:19]] == [
        ["A", "+1", "demo.data/purelib/demo.pth"],
        ["M", "+1", "-1", "demo/__init__.py"],
        ["A", "demo/fast.txt", "(ELF,", "6", "bytes)"],
        ["D", "-1", "demo/gone.py"],
        ["A", "+2", "demo/tricky.py"],
        ["R", "demo/LICENSE", "->", "docs/LICENSE"],
        ["M", "+1", "-1", "demo.dist-info/METADATA"],
        ["M", "+1", "demo.dist-info/entry_points.txt"],
        [],
        ["---", "demo.data/purelib/demo.pth"],
    ]
    assert "-x = 1\n+x = 2\n" in out
    assert "\x1b" not in out
    assert "+# \\u{1b}[31m ::error::x\n" in out
    assert max(map(len, lines)) <= 500
    assert vet("demo", "1.0", "2.0", "--stat")[1] == out.partition("\n\n")[0] + "\n"


def test_the_sdists_are_compared_on_request_and_build_files_are_dangerous(vet: Vet) -> None:
    found = vet.json("demo", "1.0", "2.0", "--file", "demo-2.0.tar.gz", "--stat")
    assert (found["schema"], found["version"]) == ("deep-lock/vet-diff", 1)
    assert found["old"]["file"] == "demo-1.0.tar.gz"
    assert found["not-compared"] == ["demo-2.0-py3-none-any.whl"]
    assert [(own["code"], own["subject"]) for own in found["dangers"]] == [
        ("build-changed", "setup.cfg"),
        ("build-changed", "tools/own.py"),
    ]
    assert not any("diff" in own for own in found["files"])
    assert found["to-read"]["lines"] == sum(own["added"] + own["removed"] for own in found["files"])


def test_files_that_the_old_release_has_not_are_not_compared(vet: Vet) -> None:
    found = vet.json("bare", "2.0", "3.0")
    assert (found["new"]["file"], set(found["not-compared"])) == (
        "bare-3.0-py3-none-any.whl",
        {"bare-3.0.tar.gz", "bare-3.0-cp313-cp313-win_amd64.whl"},
    )
    assert vet.json("bare", "3.0")["not-compared"] == ["bare-3.0-cp313-cp313-win_amd64.whl"]


def test_the_wheel_and_the_sdist_of_one_release(vet: Vet) -> None:
    found = vet.json("demo", "2.0")
    assert [(own["path"], own["status"]) for own in found["files"]] == [
        ("demo.data/purelib/demo.pth", "added"),
        ("demo/fast.txt", "added"),
        ("demo/tricky.py", "added"),
        ("docs/LICENSE", "added"),
    ]
    assert [(own["code"], own["subject"]) for own in found["dangers"]] == [
        ("native-new", "demo/fast.txt"),
        ("startup-new", "demo.pth"),
    ]
    assert found["not-compared"] == []
    assert vet.json("demo", "2.0", "2.0") == found, "a file is not compared with itself"
    (changed,) = (own for own in vet.json("demo", "1.0")["files"] if own["status"] == "changed")
    assert changed["diff"] == ["@@ -1,1 +1,3 @@", "+import os", "+", " x = 1"]


def test_both_are_unpacked_for_an_editor(vet: Vet, tmp_path: Path) -> None:
    folder = tmp_path / "review"
    assert vet("demo", "1.0", "2.0", "--to", str(folder))[0] == 0
    assert (folder / "old/demo/gone.py").read_text() == "y = 1\n"
    assert (folder / "new/demo-2.0.data/purelib/demo.pth").read_text() == "import demo\n"
    code, _, err = vet("demo", "1.0", "2.0", "--to", str(folder))
    assert code == 2
    assert "is not empty" in err
    assert vet("demo", "2.0", "--to", str(tmp_path / "two"))[0] == 0
    assert (tmp_path / "two/sdist/demo-2.0/tools/own.py").is_file()
    vet.bench.hold({**RELEASES, "demo 1.0": {**RELEASES["demo 1.0"], "modules": {"../../evil.py": ""}}})
    third = tmp_path / "three"
    assert vet("demo", "1.0", "2.0", "--to", str(third), "--refresh")[0] == 4
    assert not third.exists()
    vet.bench.hold({**RELEASES, "demo 1.0": {**RELEASES["demo 1.0"], "modules": {f"{'x' * 300}.py": ""}}})
    code, _, err = vet("demo", "1.0", "2.0", "--to", str(third), "--refresh")
    assert (code, list(third.iterdir())) == (4, []), "a name that no file can have"
    assert "cannot be written" in err


def test_a_release_that_was_removed_is_compared_if_it_is_in_the_cache(vet: Vet) -> None:
    whole = vet.json("demo", "1.0", "2.0")
    vet.bench.hold({"demo 1.0": RELEASES["demo 1.0"]})
    found = vet.json("demo", "1.0", "2.0", "--refresh")
    assert (found["old"], found["new"], found["dangers"]) == (whole["old"], whole["new"], whole["dangers"])
    assert run(["cache", "clean"]) == 0
    code, _, err = vet("demo", "1.0", "2.0")
    assert code == 2
    assert "demo 2.0: is not on the index" in err


def test_the_bytes_have_the_hash_of_the_lock(vet: Vet) -> None:
    vet.bench.hold({**RELEASES, "demo 2.0": {**RELEASES["demo 2.0"], "comment": "other bytes"}})
    assert run(["cache", "clean"]) == 0
    code, out, err = vet("demo", "1.0", "2.0", "--refresh")
    assert (code, out) == (4, "")
    assert "demo-2.0-py3-none-any.whl" in err


def test_the_bytes_have_the_hash_of_the_records(vet: Vet) -> None:
    assert run(["vet", "init", "--lock", str(vet.folder / "deep.lock")]) == 0
    config = vet.folder / "supply-chain" / "config.toml"
    wheel = next(file for file in vet.bench.server.projects["demo"] if file.filename == "demo-1.0-py3-none-any.whl")
    own = f'{{ name = "{wheel.filename}", sha256 = "{hashlib.sha256(wheel.content).hexdigest()}" }}'
    config.write_text(
        f'version = 1\n[[exemptions.demo]]\nversion = "1.0"\ncriteria = ["safe-to-run"]\nfiles = [{own}]\n',
        encoding="utf-8",
    )
    assert vet.json("demo", "1.0", "2.0")["old"]["sha256"] == hashlib.sha256(wheel.content).hexdigest()
    # an index that has the same malware in both releases would have nothing to read
    vet.bench.hold({**RELEASES, "demo 1.0": {**RELEASES["demo 1.0"], "comment": "other bytes"}})
    assert run(["cache", "clean"]) == 0
    code, out, err = vet("demo", "1.0", "2.0", "--refresh")
    assert (code, out) == (4, "")
    assert "demo-1.0-py3-none-any.whl" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "1.0", "3.0"), "3.0: is not on the index\nhint: it has 2.0, 1.0"),
        (("demo", "x", "2.0"), "'x': is not a version"),
        (("demo", "1.0", "2.0", "--file", "demo.whl"), "--file demo.whl: is not a file of the release"),
        (("bare", "1.0", "2.0"), "the old release has no file of the same kind: it has bare-1.0-cp313"),
        (("bare", "1.0"), "the release has no sdist: it has bare-1.0-cp313"),
    ],
)
def test_what_cannot_be_compared(arguments: tuple[str, ...], message: str, vet: Vet) -> None:
    code, out, err = vet(*arguments)
    assert (code, out) == (2, "")
    assert message in err
