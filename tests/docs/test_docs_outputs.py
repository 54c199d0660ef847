"""The outputs in docs/guides/failing-builds.md and faq.md are those of the command line, in this process."""

import json
import re
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from tests.support.console_blocks import blocks, check_block
from tests.support.paths import ROOT
from tests.support.scenario_server import Release, Releases
from tests.support.scenarios import MINOR, Bench, bench
from tests.support.wheelhouses import BASE, STRONG, sdist

FAILING = (ROOT / "docs" / "guides" / "failing-builds.md").read_text(encoding="utf-8")
QUESTIONS = (ROOT / "docs" / "guides" / "faq.md").read_text(encoding="utf-8")
HOOK = "def get_requires_for_build_wheel(config_settings=None):\n"
NO_PROGRAM = f"import shutil\n{HOOK}    if not shutil.which('mysql_config'):\n        raise SystemExit('mysql_config was not found')\n"


def _own_backend(code: str, *requires: str) -> Release:
    """Return an sdist with a backend of its own, about which no rule is."""
    tree = {"own.py": code}
    return {"wheels": [], "sdist": True, "build": [], "backend": "own", "backend-path": ["."], "tree": tree} | {
        "requires": list(requires)
    }


RELEASES: Releases = {
    **BASE,
    "maker 3.0": {},
    "numpy 2.4.0": {"modules": {"numpy.py": ""}},
    "image-tools 1.4": _own_backend(f"import numpy\n{HOOK}    return []\n", "numpy"),
    "mysql-driver 2.1": {},
    "mysql-driver 2.2": _own_backend(NO_PROGRAM),
    "vendor-sdk 1.0": _own_backend(f"import os\n{HOOK}    return [] if config_settings else os.environ['SDK_DIR']\n"),
    "data-files 1.0": sdist(says={"connects": ["192.0.2.1", 443]}),
    "late-deps 1.0": sdist(says={"requires": ["maker"]}),
    "other-version 1.0": sdist(says={"version": "1.0.1"}),
    "c-lib 1.0": {
        **sdist(),
        "tree": {"zipper.json": json.dumps({"compiles": "answer.c"}), "answer.c": "#include <libfoo.h>\n"},
    },
}


def _set_options(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands without options run in the folder of the project, with its index, for this machine."""
    monkeypatch.chdir(made.folder)
    for name, value in (("DEFAULT_INDEX", made.server.url), ("PYTHON_VERSION", MINOR), ("PLATFORM", "host")):
        monkeypatch.setenv(f"DEEP_LOCK_{name}", value)


@pytest.mark.skipif(not STRONG, reason="the outputs are those of a machine with a sandbox")
def test_the_guide_for_builds_that_fail_shows_their_outputs_and_its_remedies_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, list[str]] = {}

    def output(words: list[str]) -> list[str]:
        """Return the lines of a command; one run is enough for all sections."""
        if words[0] == "cat":
            return Path(words[1]).read_text(encoding="utf-8").splitlines()
        if (command := " ".join(words)) not in known:
            run(words[1:])
            known[command] = capsys.readouterr().err.splitlines()
        return known[command]

    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        _set_options(made, monkeypatch)
        made.ask("image-tools", "mysql-driver", "vendor-sdk", "data-files", "late-deps", "other-version", "c-lib")
        for block in blocks(FAILING):
            check_block(block, output)
        settings = re.findall(r"```toml\n(.*?)```", FAILING, re.DOTALL)
        text = (made.folder / "pyproject.toml").read_text(encoding="utf-8")
        # the keys of [tool.deep-lock] come before its tables
        made.write(
            {"pyproject.toml": text + "\n".join(sorted(settings, key=lambda own: "[tool.deep-lock]" not in own))}
        )
        assert run(["lock"]) == 0
        assert "only the declared build requirements" not in capsys.readouterr().err
        lock = from_text((made.folder / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    assert {build.name: build.evidence for build in lock.builds}.items() >= {
        ("image-tools", "observed"),
        ("vendor-sdk", "observed"),
    }
    assert ("mysql-driver", "2.1") in {(entry.name, entry.version) for entry in lock.packages}


CHAIN: Releases = {**BASE, "app-lib 1.0": sdist("maker", requires=("shared",)), "maker 3.0": sdist()}


@pytest.mark.skipif(not STRONG, reason="the outputs are those of a machine with a sandbox")
def test_the_page_of_questions_shows_outputs_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def output(words: list[str]) -> list[str]:
        before = len(made.server.log)
        assert run(words[1:]) == 0
        assert "static.lock" in words or len(made.server.log) == before, "a lock that fits needs no request"
        shown = capsys.readouterr()
        return [*shown.out.splitlines(), *shown.err.splitlines()]

    with bench(tmp_path, capsys, monkeypatch, CHAIN) as made:
        _set_options(made, monkeypatch)
        made.ask("app-lib")
        assert run(["lock"]) == 0
        capsys.readouterr()
        for block in blocks(QUESTIONS):
            check_block(block, output)
