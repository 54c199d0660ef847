"""Which scopes of the project bring in which pin."""

from typing import Any

from deep_lock.closure.closure import close
from deep_lock.closure.model import Plan
from deep_lock.events import silent
from deep_lock.locking.assemble import scopes_by_pin
from deep_lock.models.resolution import Problem
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.open_markers import whole
from tests.support.worlds import WorldSources, target, wishes


def test_which_part_of_the_project_reaches_what() -> None:
    world: dict[str, Any] = {
        "a": {"1.0": {"requires": ["b", "c; extra == 'x'"]}},
        "b": {"1.0": {"requires": ["a"]}},
        "c": {"1.0": {}},
        "d": {"1.0": {"requires": ["e; sys_platform == 'win32'", "a[x]"]}},
    }
    problem = Problem(requirements=wishes("a", "d; sys_platform == 'linux'"), target=target())
    (_, resolved), *_ = close(Plan(runtime=(problem,)), WorldSources(world=world), silent).runtime
    fast = Scope(kind="extra", name="fast")
    parts = ((BASE, wishes("a")), (fast, wishes("d; sys_platform == 'linux'", "never; sys_platform == 'win32'")))
    found = scopes_by_pin(parts, problem, resolved)
    assert {name: list(scopes) for name, scopes in found.items()} == {
        "a": [BASE, fast],
        "b": [BASE, fast],
        "c": [fast],
        "d": [fast],
    }
    assert {part for scopes in found.values() for part in scopes.values()} == {whole(problem.target)}
