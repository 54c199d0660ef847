"""docs/concepts/incidents.md: each incident is replayed, and the table and the outputs of the page are those of the command line."""

import re
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from tests.support.console_blocks import blocks, check_block
from tests.support.incidents import GATES, INCIDENTS, Incident, Replay, replay
from tests.support.paths import ROOT
from tests.support.scenarios import MINOR, bench

PAGE = (ROOT / "docs" / "concepts" / "incidents.md").read_text(encoding="utf-8")
POLICY = PAGE.split("```toml\n")[1].split("```")[0]
ROW = re.compile(r"^\| \[(.+?)\]\(#.+?\) \| (.+) \|$", re.MULTILINE)
REMOVAL = "# The index removes the files."
TABLE = {title: cells.split(" | ") for title, cells in ROW.findall(PAGE)}


def _section(incident: Incident) -> str:
    return PAGE.split(f"\n## {incident.title}\n")[1].split("\n## ")[0]


def test_the_table_has_every_incident_and_every_gate() -> None:
    assert sorted(TABLE) == sorted(incident.title for incident in INCIDENTS)
    assert f"| incident | {' | '.join(GATES)} |" in PAGE
    assert tuple(re.findall(r"^\| (.+?) \|", PAGE.split("## Gates")[1].split("\n\n")[1], re.MULTILINE)[2:]) == GATES


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident.name)
def test_the_page_shows_what_the_gates_do(
    incident: Incident, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with replay(incident, POLICY, tmp_path, capsys, monkeypatch) as played:
        assert played.cells() == dict(zip(GATES, TABLE[incident.title], strict=True))
        found = blocks(_section(incident))
        assert found
        for block in found:
            check_block(block, partial(_output, played))
    assert not list(tmp_path.rglob("stolen")), "code of the attack ran"


def _output(played: Replay, words: list[str]) -> list[str]:
    """Run a command of the page, and return the lines of its output."""
    if words[0] == "#":
        assert " ".join(words) == REMOVAL
        played.remove()
        return []
    code, out, err = played.run(*words[1:])
    return [*played.neutral(out).splitlines(), *played.neutral(err).splitlines(), f"(exit code {code})"]


STEALING = """
import pathlib, socket

def get_requires_for_build_wheel(config_settings=None):
    done = []
    for attempt in (
        lambda: pathlib.Path({folder!r}, "stolen").write_text("x"),
        lambda: pathlib.Path({folder!r}, "login.txt").read_text(),
        lambda: socket.create_connection(("127.0.0.1", {port}), 2).close(),
    ):
        try:
            done.append(attempt())
        except OSError:
            pass
    if done:
        raise RuntimeError("done: " + repr(done))
    return []
"""


def test_code_of_a_release_that_must_run_while_it_is_locked_is_confined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As deep-translator 1.8.5, but with a backend of its own, which only a run of its hook can tell from another."""
    (tmp_path / "login.txt").write_text("secret", encoding="utf-8")
    with bench(tmp_path, capsys, monkeypatch, {}) as made:
        backend = STEALING.format(folder=str(tmp_path), port=urlsplit(made.server.url).port)
        release = {"wheels": [], "sdist": True, "build": [], "backend": "own", "backend-path": ["."]}
        made.hold({"deep-translator 1.8.5": {**release, "tree": {"own.py": backend}}})
        made.pythons, made.platforms, made.hooks = (MINOR,), ("host",), "sandbox"
        made.ask("deep-translator")
        ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert not (tmp_path / "stolen").exists()
    (build,) = ran.lock.builds
    assert build.evidence == ("observed" if probe().level == "strong" else "assumed")
