"""A locked project with sdists, and the folder that `deep-lock wheelhouse` fills for it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import MINOR, Bench, bench

STRONG = probe().level == "strong"
HOOKS = "sandbox" if STRONG else "trust"
ZIPPER = (Path(__file__).parents[2] / "fixtures" / "building" / "zipper.py").read_text(encoding="utf-8")


def sdist(
    *build: str, says: Mapping[str, Any] | None = None, requires: tuple[str, ...] = (), **tree: str
) -> dict[str, Any]:
    """Return a release that is an sdist only, built by the backend of fixtures/building."""
    return {
        "wheels": [],
        "sdist": True,
        "build": ["zipper", *build],
        "backend": "zipper",
        "requires": list(requires),
        "tree": {"zipper.json": json.dumps(says or {}), **{f"{name}.py": text for name, text in tree.items()}},
    }


BASE: Releases = {
    "zipper 1.0": {"modules": {"zipper.py": ZIPPER}},
    "shared 2.0": {"modules": {"shared.py": "NAME = 'shared'\n"}},
}
CHAIN: Releases = {
    **BASE,
    "app-lib 1.0": sdist(
        "maker", says={"uses": ["maker", "tool"]}, requires=("shared>=1", "other"), app_lib="import shared, other\n"
    ),
    "maker 3.0": sdist("tool", says={"uses": ["tool"]}, requires=("tool",), maker=""),
    "tool 0.5": sdist(tool=""),
    "other 1.0": {
        "wheels": [],
        "sdist": True,
        "build": [],
        "backend": "own.zipper",
        "backend-path": ["backend"],
        "tree": {"backend/own/zipper.py": ZIPPER, "other.py": ""},
    },
}
RUNTIME = {"app_lib-1.0-py3-none-any.whl", "shared-2.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"}
BUILD = {"maker-3.0-py3-none-any.whl", "tool-0.5-py3-none-any.whl"}


@dataclass(frozen=True, kw_only=True)
class Made:
    code: int
    stderr: str
    asked: tuple[str, ...]

    def count(self, row: str) -> int:
        """Return a number of the table."""
        found = re.search(rf"^  {row} +(\d+)$", self.stderr, re.MULTILINE)
        assert found, self.stderr
        return int(found[1])


@dataclass(frozen=True, kw_only=True)
class Yard:
    """A locked project, and a folder for its wheels."""

    bench: Bench
    folder: Path

    @property
    def lock(self) -> Path:
        return self.bench.folder / "deep.lock"

    def make(self, *flags: str, hooks: str = HOOKS) -> Made:
        server = self.bench.server
        before = len(server.log)
        self.bench.capture.readouterr()
        code = run(["wheelhouse", "--lock", str(self.lock), "-d", str(self.folder), f"--hooks={hooks}", *flags])
        told = self.bench.capture.readouterr()
        assert told.out == ""
        assert "Traceback" not in re.sub(r"(?m)^    .*$", "", told.err), "but for what a backend said"
        paths = [request.path for request in server.log[before:]]
        assert all(path.startswith("/files/") for path in paths), "only files are asked for"
        return Made(code=code, stderr=told.err, asked=tuple(sorted(path.removeprefix("/files/") for path in paths)))

    def wheels(self, below: str = "") -> set[str]:
        return {path.name for path in (self.folder / below).glob("*.whl")}

    def relock(self, releases: Releases) -> None:
        """Let the index have these releases, under the same names, and lock again."""
        self.bench.hold(releases)
        self.lock.unlink()  # it has other bytes under the same names
        locked = self.bench.lock("--refresh")
        assert locked.code == 0, locked.stderr

    def edit(self, pattern: str, text: str) -> None:
        before = self.lock.read_text(encoding="utf-8")
        after = re.sub(pattern, text, before, flags=re.DOTALL | re.MULTILINE)
        assert after != before
        self.lock.write_text(after, encoding="utf-8")


@contextmanager
def yard(
    folder: Path,
    capture: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    releases: Releases,
    *asked: str,
    hooks: str = HOOKS,
) -> Iterator[Yard]:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    with bench(folder, capture, monkeypatch, releases) as made:
        made.pythons, made.platforms, made.hooks = [MINOR], ["host"], hooks
        made.ask(*asked)
        locked = made.lock()
        assert locked.code == 0, locked.stderr
        yield Yard(bench=made, folder=folder / "wheels")
