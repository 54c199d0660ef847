"""The work of commands is within its bounds: requests, bytes, function calls and modules, and never time."""

import sys

import pytest
from msgspec.structs import replace

from tests.benchmarks import work


@pytest.mark.skipif(sys.platform != "linux", reason="the bounds are from Linux: other systems load other modules")
def test_no_command_does_more_than_its_bound() -> None:
    assert work.over_the_bounds(work.counted(), work.read_bounds()) == []


def test_each_count_over_its_bound_is_a_fault() -> None:
    bounds = work.read_bounds()
    check = bounds["check"]
    more = replace(check, requests=1, bytes=10, calls=check.calls * 2, modules=(*check.modules, "rich"))
    faults = work.over_the_bounds({**bounds, "check": more, "new": more}, bounds)
    assert faults == [
        "new: has no bound",
        "check: 1 requests, and the bound is 0",
        "check: 10 bytes, and the bound is 0",
        f"check: {more.calls} calls, and the bound is {int(check.calls * work.SLACK)}",
        "check: loads rich, which it did not load before",
    ]
