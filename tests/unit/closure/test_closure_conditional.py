"""Requirements that a backend has only where PATH lacks a tool are dropped where no release meets them."""

from typing import Any

import pytest
from msgspec.structs import replace

from deep_lock.closure.closure import close
from deep_lock.closure.model import Built, Plan, Subject
from deep_lock.errors import Unsatisfiable
from deep_lock.events import silent
from deep_lock.models.build_system import HookAnswer
from deep_lock.models.resolution import Problem, Resolved, Selection
from deep_lock.targets.target import Target
from tests.support.worlds import World, WorldSources, target, wishes

TOOLLESS: dict[str, Any] = {"wheel": False, "build": ["backend"], "hook": ["downloader"]}
BACKEND: dict[str, Any] = {"1": {}}


class OnPath(WorldSources):
    """Every answer holds for an empty search path only."""

    def proven(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer:
        return replace(super().proven(subject, environment, target), conditional="PATH")


def _close(sources: WorldSources) -> list[Built]:
    problem = Problem(requirements=wishes("app"), target=target(), selection=Selection())
    return list(close(Plan(runtime=(problem,)), sources, silent).builds)


@pytest.mark.parametrize(
    "world",
    [
        {"app": {"1": TOOLLESS}, "backend": BACKEND},
        {
            "app": {"1": TOOLLESS},
            "backend": BACKEND,
            "downloader": {"1": {"wheel": False, "build": ["backend", "nowhere"], "hook": []}},
        },
    ],
    ids=["unknown", "cannot be built"],
)
def test_what_path_may_provide_is_dropped_with_a_reason(world: World) -> None:
    (built,) = _close(OnPath(world=world))
    assert [pin.name for pin in built.final.pins] == ["backend"]
    assert (built.answer.requires, built.answer.evidence) == (None, "assumed")
    assert "downloader" in built.answer.reason


def test_what_is_found_is_not_dropped() -> None:
    (built,) = _close(OnPath(world={"app": {"1": TOOLLESS}, "backend": BACKEND, "downloader": {"1": {}}}))
    assert [pin.name for pin in built.final.pins] == ["backend", "downloader"]
    assert built.answer.evidence == "static"


def test_an_unconditional_answer_is_never_dropped() -> None:
    with pytest.raises(Unsatisfiable, match="downloader"):
        _close(WorldSources(world={"app": {"1": TOOLLESS}, "backend": BACKEND}))
