"""Whose hooks run here, and on which target."""

import pytest
from packaging.utils import canonicalize_name

from deep_lock.builds.host import HookPolicy, Machine
from deep_lock.builds.sandbox import sandbox
from deep_lock.events import Event, Warned
from deep_lock.targets.factory import make_target, read_host
from deep_lock.targets.target import Target

HOST = read_host()
MINOR = int(HOST.python_full_version.split(".")[1])
HERE = make_target(f"3.{MINOR}", "host", host=HOST)
MAC = make_target(f"3.{MINOR}", "arm64-macos_14", host=HOST)
NAME, OTHER = canonicalize_name("thing"), canonicalize_name("other")


def machine(*targets: Target, heard: list[Event] | None = None, **policy: object) -> Machine:
    told: list[Event] = [] if heard is None else heard
    return Machine(HookPolicy(**policy), targets, told.append)  # type: ignore[arg-type]  # by name


def test_a_target_that_runs_here_is_its_own_place() -> None:
    assert machine(HERE, trust_all=True).hook_target(NAME, HERE) == HERE


def test_a_foreign_target_is_spoken_for_by_a_declared_one() -> None:
    assert machine(MAC, HERE, trust_all=True).hook_target(NAME, MAC) == HERE


def test_without_a_declared_target_that_runs_here_this_interpreter_speaks() -> None:
    place = machine(MAC, trust_all=True).hook_target(NAME, MAC)
    assert place is not None
    assert place.python_full_version == HOST.python_full_version


def test_static_means_that_nothing_runs() -> None:
    assert machine(HERE).hook_target(NAME, HERE) is None


def test_without_a_sandbox_only_the_trusted_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "is_possible", lambda: False)
    heard: list[Event] = []
    here = machine(HERE, heard=heard, sandboxed=True, trusted=frozenset({NAME}))
    assert here.hook_target(NAME, HERE) == HERE
    assert heard == []
    assert here.hook_target(OTHER, HERE) is None
    assert here.hook_target(OTHER, HERE) is None
    assert [event.code for event in heard if isinstance(event, Warned)] == ["no-sandbox"]


def test_trust_is_for_the_named_alone() -> None:
    here = machine(HERE, sandboxed=True, trusted=frozenset({NAME}))
    assert (here.is_confined(NAME), here.is_confined(OTHER)) == (False, True)
