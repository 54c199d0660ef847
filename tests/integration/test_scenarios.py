"""Every scenario of fixtures/scenarios, through the real command line against a real index server."""

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from deep_lock.builds.sandbox.sandbox import probe
from tests.support.scenarios import Scenario, check, laid, load

FOLDER = Path(__file__).parents[2] / "fixtures" / "scenarios"
SCENARIOS = [load(path) for path in sorted(FOLDER.glob("*.toml"))]


def parameters() -> list[ParameterSet]:
    return [
        pytest.param(
            scenario,
            id=scenario.name,
            marks=[pytest.mark.xfail(reason=scenario.table["broken"], strict=True)]
            if "broken" in scenario.table
            else [],
        )
        for scenario in SCENARIOS
    ]


@pytest.mark.parametrize("scenario", parameters())
def test_scenario(
    scenario: Scenario, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if scenario.table.get("hooks") == "sandbox" and probe().level != "strong":
        pytest.skip("no strong sandbox on this machine: " + "; ".join(layer.reason for layer in probe().layers))
    with laid(scenario, tmp_path, capfd, monkeypatch) as made:
        check(scenario, made)


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 60
