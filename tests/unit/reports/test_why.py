"""`deep-lock why` and `deep-lock tree`: every way in is told, and none is made up."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from deep_lock.analysis.graph import Graph, open_graph
from deep_lock.cli.main import run
from deep_lock.lockfile.index import called, index_lock, is_gate, members
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.selection import full_selections
from deep_lock.models.lock import Lock
from deep_lock.reports.why import inverted_rows, reasons, tree_rows, tree_text
from tests.support.lock_strategies import TARGETS, closed_locks, locked_target, package, small_lock, targets_of

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
CLOSED = LOCKS / "closed.lock"


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(list(arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def _lock() -> Lock:
    return from_text(CLOSED.read_text(encoding="utf-8"), "closed.lock")


def _graph(lock: Lock) -> Graph:
    """Return the graph on the targets of a drawn lock."""
    lock_index = index_lock(lock)
    return open_graph(lock_index, targets_of(lock), full_selections(lock_index.lock))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_every_edge_into_an_entry_is_a_way_in_and_every_way_is_made_of_edges(lock: Lock) -> None:
    lock_index = index_lock(lock)
    graph = _graph(lock)
    edges: set[tuple[str, str]] = set()
    names = {entry.name: called(entry) for entry in lock.packages if not is_gate(entry.marker)}
    for entry in lock.packages:
        if not entry.build_only:
            edges |= {
                (called(entry), names[reference.name]) for reference in entry.dependencies if reference.name in names
            }
    for build in lock.builds:
        own = {member.name: f"{member.name} {member.version}" for member in members(build)}
        edges |= {(f"build of {called(build)}", text) for text in own.values()}
        edges |= {(own[member.name], own[name]) for member in members(build) for name in member.dependencies}
    for entry in lock.packages:
        (found,) = reasons(graph, [entry])
        assert found.runtime or found.builds, "nothing in a lock is there for no reason"
        assert bool(found.runtime) == (not is_gate(entry.marker))
        for chain in (*found.runtime, *found.builds):
            assert chain[-1] == called(entry)
            for above, below in itertools.pairwise(chain):
                assert (above, below) in edges or below.startswith("build of "), (above, below)
        askers = {one for one, other in edges if other == called(entry) and not one.startswith("build of ")}
        told = {chain[-2] for chain in (*found.runtime, *found.builds) if len(chain) > 1}
        reached = {called(lock_index.entries[key]) for key in graph.nodes}
        assert askers & reached <= told


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_the_tree_with_builds_shows_every_package(lock: Lock) -> None:
    graph = _graph(lock)
    text = tree_text(graph, tree_rows(graph, builds=True, depth=None))
    for entry in lock.packages:
        assert re.search(rf"(?:^|── ){re.escape(called(entry))}(?: |$)", text, re.MULTILINE), called(entry)
    plain = tree_text(graph, tree_rows(graph, builds=False, depth=None))
    assert "build of" not in plain


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_an_inverted_tree_ends_at_what_the_project_asks_for(lock: Lock) -> None:
    lock_index = index_lock(lock)
    graph = _graph(lock)
    asked = {called(entry) for entry in lock.packages if entry.direct}
    for entry in lock.packages[:3]:
        lines = tree_text(graph, inverted_rows(graph, [entry.name], builds=True, depth=None)).splitlines()
        assert lines[0].startswith(called(entry)) or len(lock_index.versions[entry.name]) > 1
        leaves = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if _indent(after) <= _indent(line)]
        for leaf in leaves:
            text = re.sub(r"^[ │├└─]*", "", leaf)
            whole = text.removesuffix(" (*)").removesuffix(" (sdist only)")
            assert text.endswith("(*)") or whole in asked or text.startswith("build of"), leaf


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" │├└─"))


def test_a_path_holds_on_one_target_and_the_tree_shows_each_target_once() -> None:
    """Package m is installed because of a on Linux and because of b on Windows; only b is installed where m needs c."""
    systems = {"a": "linux", "b": "win32", "c": "win32"}
    a, b, c = (
        replace(package(name, "1.0", *needs), marker=f"sys_platform == '{systems[name]}'", direct=name != "c")
        for name, needs in (("a", "m"), ("b", "m"), ("c", ""))
    )
    lock = replace(small_lock(a, b, c, package("m", "1.0", "c")), targets=tuple(map(locked_target, TARGETS[:2])))
    graph = _graph(lock)
    (found,) = reasons(graph, [c])
    assert found.runtime == (("b 1.0", "m 1.0", "c 1.0"),)
    assert tree_text(graph, tree_rows(graph, builds=False, depth=None)) == (
        "a 1.0\n└── m 1.0\nb 1.0\n└── m 1.0\n    └── c 1.0\n"
    )
    assert (
        tree_text(graph, inverted_rows(graph, ["c"], builds=False, depth=None)) == "c 1.0\n└── m 1.0\n    └── b 1.0\n"
    )


def test_why_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "why", "--lock", str(CLOSED), "setuptools")
    assert code == 0
    first = next(entry for entry in _lock().packages if entry.name == "setuptools")
    assert out.splitlines()[0].startswith(f"setuptools {first.version}: build-only")
    assert "used by builds because of" in out
    assert re.search(r"^    .*build of \S+ \S+ > setuptools ", out, re.MULTILINE)


def test_why_as_json_names_all_ways(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "why", "--lock", str(CLOSED), "setuptools", "--format", "json")
    assert code == 0
    told = json.loads(out)["packages"]
    versions = [entry.version for entry in _lock().packages if entry.name == "setuptools"]
    assert [own["version"] for own in told] == versions
    assert all(chain[-1] == f"setuptools {own['version']}" for own in told for chain in own["builds"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("why", "nothing-like-it"), "has no package nothing-like-it"),
        (("why", "setuptools==0.0"), "has no setuptools 0.0"),
        (("why", "setup"), "it has: setuptools"),
        (("tree", "--target", "cp399-moon"), "has no target cp399-moon"),
        (("tree", "--invert", "nothing-like-it"), "has no package nothing-like-it"),
    ],
)
def test_what_is_not_there_is_wrong_usage(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, said = _run(capsys, *arguments, "--lock", str(CLOSED))
    assert (code, out) == (2, "")
    assert told in said


def test_the_tree_of_one_target_and_its_depth(capsys: pytest.CaptureFixture[str]) -> None:
    lock = _lock()
    whole = _run(capsys, "tree", "--lock", str(CLOSED), "--build")[1]
    label = lock.targets[0].name
    some = _run(capsys, "tree", "--lock", str(CLOSED), "--build", "--target", label)[1]
    assert len(some.splitlines()) < len(whole.splitlines())
    assert f"on {label}" not in some
    top = _run(capsys, "tree", "--lock", str(CLOSED), "--depth", "0")[1].splitlines()
    assert top == [line for line in top if not line.startswith((" ", "│", "├", "└"))]
    assert {line.split(" ")[0] for line in top} == {entry.name for entry in lock.packages if entry.direct}
