"""docs/incidents.md: each incident is replayed, and the table and the outputs of the page are those of the command line."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.incidents import GATES, INCIDENTS, Incident, Replay, replay
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8")
POLICY = PAGE.split("```toml\n")[1].split("```")[0]
ROW = re.compile(r"^\| \[(.+?)\]\(#.+?\) \| (.+) \|$", re.MULTILINE)
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
        blocks = re.findall(r"```console\n(.*?)```", _section(incident), re.DOTALL)
        assert blocks
        for block in blocks:
            _check(block, played)
    assert not list(tmp_path.rglob("stolen")), "code of the attack ran"


def _check(block: str, played: Replay) -> None:
    """Run the commands of a block; the lines after each are in its output, in this order."""
    for shown in block.split("$ ")[1:]:
        command, *lines = shown.splitlines()
        arguments = shlex.split(command.removeprefix("deep-lock "))
        code, out, err = played.run(*arguments)
        output = iter([*played.neutral(out).splitlines(), *played.neutral(err).splitlines(), f"(exit code {code})"])
        for line in lines:
            assert line == "..." or line in output, f"{command}: {line}\n{out}{err}"
