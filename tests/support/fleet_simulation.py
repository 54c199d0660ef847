"""A simulation of a fleet run, for the table in docs/guides/fleet.md: which bound is met first, with how many workers.

Times are from runs of `deep-lock fleet lock` with 500 generated repositories on a machine with two processors. What was not
measured is an assumption, and is named so in the page.
"""

import random
from collections.abc import Sequence
from heapq import heapify, heapreplace

from msgspec import Struct

REPOSITORIES = 10_000
PAGES_OF_ONE = 40
"""Projects that the locks of one repository name."""
PROJECTS = 20_000
"""Projects that may be named; a few are in most repositories (the weights are those of Zipf)."""
WORKERS_OF_ONE_MACHINE = 8
WORKERS = (1, 2, 4, 8, 16, 32, 64)


class Costs(Struct, frozen=True, kw_only=True):
    """What a run costs, in seconds, and the budget."""

    look_up: float = 0.2
    """The commit of one repository: `git ls-remote` over a network."""
    look_ups_at_a_time: int = 8
    task: float = 0.13
    """A repository in a worker, with all pages in the cache: 63 s for 500."""
    page: float = 0.05
    """A page of the index until it is read."""
    requests_per_second: float = 20.0
    """The budget of the origin, for all machines together."""
    view: float = 0.017
    """A new lock in the database, the page and the metrics: 9.4 s for 562."""


class Simulated(Struct, frozen=True, kw_only=True):
    """One run."""

    workers: int
    look_ups: float
    tasks: float
    views: float
    requests: int

    @property
    def seconds(self) -> float:
        """The whole run."""
        return self.look_ups + self.tasks + self.views


def simulate(workers: int, changed: float, costs: Costs, seed: int = 1) -> Simulated:
    """Simulate a run in which the share ``changed`` of the repositories must run.

    Workers take one repository after the other. A page is requested once by the workers of one machine; the budget of requests
    is one sequence for all of them.
    """
    rng = random.Random(seed)  # noqa: S311 - a repeatable simulation, no secret
    weights = [1 / (rank + 10) for rank in range(PROJECTS)]
    total = round(REPOSITORIES * changed)
    named = rng.choices(range(PROJECTS), weights, k=total * PAGES_OF_ONE)
    free = [(0.0, worker) for worker in range(workers)]
    heapify(free)
    at_hand: dict[tuple[int, int], float] = {}
    next_request = end = 0.0
    for number in range(total):
        start, worker = free[0]
        machine = worker // WORKERS_OF_ONE_MACHINE
        ready = start
        for page in set(named[number * PAGES_OF_ONE : (number + 1) * PAGES_OF_ONE]):
            if (machine, page) not in at_hand:
                next_request = max(next_request, start) + 1 / costs.requests_per_second
                at_hand[machine, page] = next_request + costs.page
            ready = max(ready, at_hand[machine, page])
        done = ready + costs.task
        end = max(end, done)
        heapreplace(free, (done, worker))
    return Simulated(
        workers=workers,
        look_ups=REPOSITORIES * costs.look_up / costs.look_ups_at_a_time,
        tasks=end,
        views=total * costs.view,
        requests=len(at_hand),
    )


def bound(run: Simulated, total: int, costs: Costs) -> str:
    """Return which part of a run takes the most time."""
    parts = {
        "workers": total * costs.task / run.workers,
        "requests": run.requests / costs.requests_per_second,
        "look-ups": run.look_ups,
        "views": run.views,
    }
    return max(parts, key=lambda name: parts[name])


def rows(share: float, every: Sequence[int] = WORKERS, costs: Costs | None = None) -> list[str]:
    """Return rows of the table in docs/guides/fleet.md."""
    costs = costs or Costs()
    found = []
    for workers in every:
        run = simulate(workers, share, costs)
        first = bound(run, round(REPOSITORIES * share), costs)
        times = (f"{seconds / 60:.0f} min" for seconds in (run.seconds, run.look_ups, run.tasks, run.views))
        found.append(f"| {share:.0%} | {workers} | {' | '.join(times)} | {run.requests} | {first} |")
    return found


if __name__ == "__main__":
    print("\n".join(row for share in (1.0, 0.05) for row in rows(share)))  # noqa: T201 - the result
