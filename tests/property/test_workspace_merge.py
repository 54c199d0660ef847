"""Merges of generated workspaces: a merge without a conflict is the lock that a run in the merged tree makes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from deep_lock.analysis.merge import merge
from deep_lock.analysis.merge_check import wrong_selections
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench

RELEASES: Releases = {
    "a 1.0": {"requires": ["b", "c; sys_platform == 'win32'"]},
    "b 1.0": {"requires": ["d"]},
    "c 1.0": {"requires": ["d", "e"]},
    "d 1.0": {},
    "e 1.0": {},
    "f 1.0": {"requires": ["b"]},
    "flit-core 3.9": {},
}
NAMES = ("one", "two", "three")
LISTS = ("dependencies", "extra", "group")
BACKEND = '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n'
ROOT = '[dependency-groups]\ndev = ["e"]\n[tool.deep-lock.workspace]\nmembers = ["*"]\n'

World = Mapping[tuple[str, str], frozenset[str]]
"""By member and list what it requires: packages, and members."""

sets = st.frozensets(st.sampled_from([*"abcdef", *NAMES]), max_size=3)
worlds = st.fixed_dictionaries({(name, own): sets for name in NAMES for own in LISTS})
changes = st.dictionaries(st.tuples(st.sampled_from(NAMES), st.sampled_from(LISTS)), sets, min_size=1, max_size=2)


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.pythons, own.platforms = ("3.12", "3.13"), (LINUX, WINDOWS)
        yield own


def _text(name: str, world: World) -> str:
    def listed(own: str) -> str:
        return str(sorted(world[name, own] - {name}))

    sources = "".join(f"{other} = {{workspace = true}}\n" for other in NAMES if other != name)
    return (
        f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {listed("dependencies")}\n'
        f"[project.optional-dependencies]\nx = {listed('extra')}\n[dependency-groups]\nx = {listed('group')}\n"
        f"{BACKEND}[tool.deep-lock.sources]\n{sources}"
    )


def _locked(made: Bench, world: World, previous: str = "") -> Lock:
    made.write({"pyproject.toml": ROOT, **{f"{name}/pyproject.toml": _text(name, world) for name in NAMES}})
    path = made.folder / "deep.lock"
    path.unlink(missing_ok=True)
    if previous:
        path.write_text(previous, encoding="utf-8")
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    return ran.lock


def _merged_world(base: World, ours: World, theirs: World) -> World:
    return {
        key: frozenset(
            own for own in ours[key] | theirs[key] if (own in ours[key] and own in theirs[key]) or own not in base[key]
        )
        for key in base
    }


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes four locks: to shrink one takes minutes
)
@given(worlds, changes, changes)
def test_a_merge_is_the_lock_of_the_merged_tree(made: Bench, base: World, ours: World, theirs: World) -> None:
    one, other = {**base, **ours}, {**base, **theirs}
    before = _locked(made, base)
    text = to_text(before)
    sides = _locked(made, one, text), _locked(made, other, text)
    merged = merge(before, *sides)
    assert not merged.settings, "the members of the lists differ, and no requirement does"
    targets = chosen_targets(merged.lock, (), "deep.lock")
    faults = [*broken_invariants(merged.lock, targets), *wrong_selections(merged.lock, *sides, targets)]
    if merged.both or faults:
        event(f"resolved again: {'both changed a package' if merged.both else 'another selection'}")
        return
    assert to_text(merged.lock) == to_text(_locked(made, _merged_world(base, one, other)))
