"""`export -f dot`, `mermaid` and `json`: the whole lock is there, in layers, and text from outside stays text."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from lock_strategies import closed_locks
from msgspec.structs import replace

from deep_lock.exports import dot, json_document, mermaid
from deep_lock.exports.drawing import PROJECT, draw
from deep_lock.exports.view import View, make_view
from deep_lock.lockfile.read import from_text
from deep_lock.model.chains import find_chains
from deep_lock.model.lock import Lock
from deep_lock.model.locked_targets import chosen_targets
from deep_lock.model.register import is_gate, key_of, members

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "fixtures" / "locks"
SCHEMA = json.loads((ROOT / "docs" / "export-json.schema.json").read_text(encoding="utf-8"))
NODE = re.compile(r'^    (n\d+) \[label="((?:[^"\\]|\\.)*)", ([^\]]*)\];$')
EDGE = re.compile(r"^  (n\d+) -> (n\d+)( \[style=dashed\])?;$")
BOX = re.compile(r'^    (n\d+)\["([^"]*)"\]$')
LINK = re.compile(r"^  (n\d+) (-->|-\.->) (n\d+)$")


def _view(lock: Lock, *labels: str) -> View:
    return make_view(lock, "deep.lock", chosen_targets(lock, labels, "deep.lock"), extras=None, groups=None)


def _lock(name: str) -> Lock:
    return from_text((LOCKS / name).read_text(encoding="utf-8"), name)


def _edges(lock: Lock) -> set[tuple[str, str, str]]:
    """Return who needs whom, told from the lock's tables alone: (name above, name below, kind)."""
    found = set()
    runtime = {entry.name for entry in lock.packages if not is_gate(entry.marker)}
    for entry in lock.packages:
        if entry.name in runtime and not entry.build_only:
            found |= {("", entry.name, "runtime")} if entry.direct else set()
            found |= {(entry.name, reference.name, "runtime") for reference in entry.dependencies}
    for build in lock.builds:
        needed = {name for member in members(build) for name in member.dependencies}
        above = "" if build.needed == "project" else build.name
        found |= {(above, member.name, "build") for member in members(build) if member.name not in needed}
        found |= {
            (member.name, name, "build")
            for member in members(build)
            for name in member.dependencies
            if name != member.name
        }
    return found


@pytest.mark.parametrize("name", ["closed.lock", "small.lock"])
def test_every_entry_and_every_edge_is_drawn(name: str) -> None:
    lock = _lock(name)
    text = dot.graph(_view(lock)).files[0][1]
    nodes = {match[1]: match[2] for line in text.splitlines() if (match := NODE.match(line))}
    edges = {
        (nodes[match[1]].split(" ")[0], nodes[match[2]].split(" ")[0], "build" if match[3] else "runtime")
        for line in text.splitlines()
        if (match := EDGE.match(line))
    }
    project = nodes["n0"].split(" ")[0]
    assert len(nodes) == len(lock.packages) + 1
    assert edges == {(above or project, below, kind) for above, below, kind in _edges(lock)}


@pytest.mark.parametrize("name", ["closed.lock", "small.lock"])
def test_both_pictures_show_the_same(name: str) -> None:
    view = _view(_lock(name))
    plain, flow = dot.graph(view).files[0][1], mermaid.flowchart(view).files[0][1]
    links = [match for line in flow.splitlines() if (match := LINK.match(line))]
    edges = [match for line in plain.splitlines() if (match := EDGE.match(line))]
    assert [(one[1], one[2], bool(one[3])) for one in edges] == [(one[1], one[3], one[2] == "-.->") for one in links]
    boxes = {match[1] for line in flow.splitlines() if (match := BOX.match(line))}
    nodes = {match[1] for line in plain.splitlines() if (match := NODE.match(line))}
    assert boxes == nodes
    assert flow.count("subgraph") == flow.count("\n  end")


@given(closed_locks())
def test_layers_are_the_fewest_builds(lock: Lock) -> None:
    """Against Bellman-Ford over the lock's tables: what is installed is 0, what builds an entry one more than it."""
    view = _view(lock)
    levels = {key_of(entry): 0 for entry in lock.packages if not is_gate(entry.marker)}
    for _ in lock.packages:
        for build in lock.builds:
            key = (build.name, build.version or "", build.source or "")
            above = 0 if build.needed == "project" else levels.get(key)
            for member in members(build) if above is not None else ():
                own = levels.get(key_of(member))
                levels[key_of(member)] = (above or 0) + 1 if own is None else min(own, (above or 0) + 1)
    chains = find_chains(view.register)
    for box in draw(view).boxes:
        if box.key != PROJECT:
            assert box.level == levels[box.key]
            assert chains.chain(box.key)[-1] == box.label


@given(closed_locks())
def test_the_json_document_fits_its_schema_and_says_what_the_lock_says(lock: Lock) -> None:
    text = json_document.document(_view(lock)).files[0][1]
    document = json.loads(text)
    jsonschema.validate(document, SCHEMA)
    assert text == json_document.document(_view(lock)).files[0][1]
    assert [(own["name"], own["version"]) for own in document["packages"]] == [
        (entry.name, entry.version) for entry in lock.packages
    ]
    roles = {(own["name"], own["version"]): own["role"] for own in document["packages"]}
    for entry in lock.packages:
        expected = "build-only" if entry.build_only else "both" if entry.also_build else "runtime"
        assert roles[entry.name, entry.version] == expected
    digests = {file["sha256"] for own in document["packages"] for file in (*own["wheels"], own["sdist"]) if file}
    assert digests == {
        file.sha256 for entry in lock.packages for file in (*entry.wheels, entry.sdist) if file is not None
    }
    assert len(document["builds"]) == len(lock.builds)


def test_every_key_of_the_schema_is_documented() -> None:
    page = (ROOT / "docs" / "export-json.md").read_text(encoding="utf-8")
    keys: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            keys.update(node.get("properties", {}))
            for below in node.values():
                collect(below)

    collect(SCHEMA)
    assert {key for key in keys if f"`{key}`" not in page} == set()


HOSTILE = 'a"];evil\\ <script>\n|#'


def test_labels_from_outside_stay_labels() -> None:

    lock = _lock("small.lock")
    first = replace(lock.packages[0], version=HOSTILE)
    view = _view(replace(lock, packages=(first, *lock.packages[1:])))
    plain = dot.graph(view).files[0][1]
    assert '\\"];evil\\\\ <script> |#"' in plain
    flow = mermaid.flowchart(view).files[0][1]
    assert "a#34;#93;#59;evil#92; #60;script#62;#10;#124;#35;" in flow


def test_a_picture_that_mermaid_would_refuse_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mermaid, "MAX_EDGES", 1)
    assert "maxEdges" in mermaid.flowchart(_view(_lock("closed.lock"))).losses[-1]


def test_one_target_shows_less() -> None:
    lock = _lock("closed.lock")
    some = {box.key for box in draw(_view(lock, lock.targets[0].name)).boxes}
    every = {box.key for target in lock.targets for box in draw(_view(lock, target.name)).boxes}
    assert every == {box.key for box in draw(_view(lock)).boxes}
    assert len(some) < len(every)
