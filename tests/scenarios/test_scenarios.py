"""Every scenario of fixtures/scenarios, through the real command line against a real index server."""

from pathlib import Path

import pytest
from scenarios import Scenario, check, laid, load

FOLDER = Path(__file__).parents[2] / "fixtures" / "scenarios"
SCENARIOS = [load(path) for path in sorted(FOLDER.glob("*.toml"))]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(
    scenario: Scenario, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with laid(scenario, tmp_path, capfd, monkeypatch) as made:
        check(scenario, made)


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 60
