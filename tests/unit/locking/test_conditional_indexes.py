"""Which index a project has with each target and choice: tables."""

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from deep_lock.errors import ConfigError
from deep_lock.locking.conditional_indexes import decided_indexes
from deep_lock.models.conflicts import Conflict
from deep_lock.models.resolution import ConditionalIndex
from deep_lock.targets.markers import BASE, Scope
from tests.support.lock_strategies import LINUX, WINDOWS

TORCH = canonicalize_name("torch")
CPU, CUDA, DEV = Scope(kind="extra", name="cpu"), Scope(kind="extra", name="cuda"), Scope(kind="group", name="dev")
APART: tuple[Conflict, ...] = ((CPU, CUDA),)
ALONE = {scope: (scope,) for scope in (BASE, CPU, CUDA, DEV)}


def table(url: str, scope: Scope | None = None, marker: str | None = None) -> ConditionalIndex:
    return ConditionalIndex(url=url, scope=scope, marker=Marker(marker) if marker else None)


@pytest.mark.parametrize(
    ("tables", "expected", "builds"),
    [
        ([table("a", CPU), table("b", CUDA)], ["", "a", "b"], ""),
        ([table("a", CPU), table("b", CUDA), table("c")], ["c", "a", "b"], "c"),
        ([table("a", CPU), table("c", None, "sys_platform == 'linux'")], ["c", "a", "c"], "c"),
        ([table("a", CPU), table("c", None, "sys_platform == 'win32'")], ["", "a", ""], ""),
        ([table("a", CPU, "sys_platform == 'win32'"), table("c")], ["c", "c", "c"], "c"),
        ([table("a", CPU, "sys_platform == 'linux'"), table("b", CPU, "os_name == 'posix'")], ["", "a", ""], ""),
        ([table("a", DEV)], ["a", "a", "a"], "a"),
        ([table("a", DEV), table("a", CPU), table("a", CUDA)], ["a", "a", "a"], "a"),
        ([table("a", BASE)], ["a", "a", "a"], "a"),
    ],
)
def test_the_index_with_each_choice(tables: list[ConditionalIndex], expected: list[str], builds: str) -> None:
    found = decided_indexes({TORCH: tables}, (LINUX,), ALONE, APART)
    choices = [frozenset[Scope](), frozenset({CPU}), frozenset({CUDA})]
    assert [found.runtime[LINUX.label, choice] for choice in choices] == [((TORCH, url),) for url in expected]
    assert found.builds == {LINUX.label: ((TORCH, builds),)}


def test_each_target_has_its_own() -> None:
    tables = [table("a", None, "sys_platform == 'linux'"), table("b", None, "sys_platform == 'win32'")]
    found = decided_indexes({TORCH: tables}, (LINUX, WINDOWS), ALONE, ())
    assert found.builds == {LINUX.label: ((TORCH, "a"),), WINDOWS.label: ((TORCH, "b"),)}


def test_an_extra_has_the_index_of_one_that_it_requires() -> None:
    scopes = {**ALONE, DEV: (DEV, CPU)}
    found = decided_indexes({TORCH: [table("a", CPU)]}, (LINUX,), scopes, APART)
    assert found.runtime[LINUX.label, frozenset()] == ((TORCH, "a"),)
    with pytest.raises(ConfigError, match="b for extra 'cuda', a for group 'dev'") as raised:
        decided_indexes({TORCH: [table("b", CUDA), table("a", CPU)]}, (LINUX,), scopes, APART)
    assert '[[{extra = "cpu"}, {extra = "cuda"}], [{extra = "cuda"}, {group = "dev"}]]' in raised.value.hint


def test_nothing_that_can_be_declared_helps_a_scope_with_two_indexes() -> None:
    scopes = {**ALONE, DEV: (DEV, CPU, CUDA)}
    with pytest.raises(ConfigError, match="torch must come from different indexes") as raised:
        decided_indexes({TORCH: [table("a", CPU), table("b", CUDA)]}, (LINUX,), {DEV: scopes[DEV]}, ())
    assert "conflicts" not in raised.value.hint


def test_a_scope_that_is_not_locked_has_no_index() -> None:
    found = decided_indexes({TORCH: [table("a", CPU), table("b", CUDA)]}, (LINUX,), {BASE: (BASE,), CPU: (CPU,)}, ())
    assert found.runtime == {(LINUX.label, frozenset()): ((TORCH, "a"),)}
