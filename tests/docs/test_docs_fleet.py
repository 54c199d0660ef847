"""The simulation in docs/guides/fleet.md."""

from tests.support.fleet_simulation import Costs, bound, rows, simulate
from tests.support.paths import ROOT


def test_the_table_is_that_of_the_simulation() -> None:
    page = (ROOT / "docs" / "guides" / "fleet.md").read_text(encoding="utf-8")
    for row in rows(0.05, (1, 64)):
        assert row in page.splitlines()
    costs = Costs()
    assert f"{costs.task} s of a worker" in page
    assert f"{costs.view * 1000:.0f} ms for each new lock" in page


def test_a_run_is_no_shorter_than_its_bounds() -> None:
    costs = Costs(requests_per_second=1000.0)
    run = simulate(4, 0.02, costs)
    assert run.tasks >= 200 * costs.task / 4
    assert run.tasks >= run.requests / costs.requests_per_second
    assert bound(run, 200, costs) == "look-ups"
    assert simulate(1, 0.02, costs).tasks >= 200 * costs.task
