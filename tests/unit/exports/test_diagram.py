"""`export -f dot` and `mermaid`: the whole graph is there, in layers, and text from outside stays text."""

import re
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from msgspec.structs import replace

from deep_lock.exports import diagram
from deep_lock.exports.view import View, make_view
from deep_lock.lockfile.index import called, key_of
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import Lock
from tests.support.brute_graph import brute_graph
from tests.support.lock_strategies import closed_locks

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
NAMES = ("closed.lock", "example.lock", "small.lock", "newer-revision.lock")
STRING = r'"((?:[^"\\]|\\.)*)"'
ID = "[a-z][a-z0-9_]*"


def _lock(name: str) -> Lock:
    return from_text((LOCKS / name).read_text(encoding="utf-8"), name)


def _view(lock: Lock, *labels: str, bare: bool = False) -> View:
    chosen = frozenset[str]() if bare else None
    return make_view(lock, "deep.lock", chosen_targets(lock, labels, "deep.lock"), extras=chosen, groups=chosen)


@dataclass(kw_only=True)
class Picture:
    """What a reader that knows only these few statements sees; another one is refused."""

    labels: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    """The label of the cluster of a box; "" is none."""
    marks: dict[str, str] = field(default_factory=dict)
    arrows: list[tuple[str, str, str]] = field(default_factory=list)

    def named(self) -> set[tuple[str, str, str]]:
        """The arrows between labels, the legend left out."""
        return {
            (self.labels[one], self.labels[two], kind)
            for one, two, kind in self.arrows
            if not one.startswith("legend_")
        }

    def boxes(self) -> dict[str, tuple[str, str]]:
        """(group, mark) by label, the legend left out."""
        return {
            label: (self.groups[own], self.marks[own])
            for own, label in self.labels.items()
            if not own.startswith("legend_")
        }


def _unquoted(text: str) -> str:
    return unescape(text.replace('\\"', '"').replace("\\\\", "\\"))


def read_dot(text: str) -> Picture:
    """Read what `diagram.dot` writes, a statement a line."""
    picture, group = Picture(), ""
    shapes = {"box": "", "hexagon": "built", "octagon": "sdist-only", "doubleoctagon": "project", "plaintext": ""}
    kinds = {"": "runtime", " [style=dashed]": "build", ' [style=dashed, color="#8a94a6"]': "inside"}
    first, *lines, last = text.splitlines()
    assert (first, last) == ("digraph deep_lock {", "}")
    for line in map(str.strip, lines):
        if found := re.fullmatch(rf"subgraph cluster_(\w+) \{{|(\}})|label={STRING};", line):
            group = "" if found[2] else found[3] or group
        elif found := re.fullmatch(
            rf"({ID}) \[label={STRING}(?:, tooltip={STRING})?, shape=(\w+), [^\]\"]*(?:{STRING})?\];", line
        ):
            assert found[1] not in picture.labels
            picture.labels[found[1]] = _unquoted(found[2])
            picture.groups[found[1]], picture.marks[found[1]] = group, shapes[found[4]]
        elif found := re.fullmatch(rf"({ID}) -> ({ID})( \[[^\]]*\])?;", line):
            picture.arrows.append((found[1], found[2], kinds[found[3] or ""]))
        else:
            assert line in {"rankdir=LR;", 'node [style=filled, fontname="sans-serif"];'}
    return picture


def read_mermaid(text: str) -> Picture:
    """Read what `diagram.mermaid` writes, a statement a line."""
    picture, group = Picture(), ""
    shapes = {"[": "", "{{": "built", "[[": "sdist-only", "([": "project"}
    first, *lines = text.splitlines()
    assert first == "flowchart LR"
    classes: dict[str, str] = {}
    for line in map(str.strip, lines):
        if found := re.fullmatch(r'subgraph (\w+)\["([\w ,#;]*)"\]|(end)', line):
            group = "" if found[3] else found[2]
        elif found := re.fullmatch(rf'({ID})(\[\[|\{{\{{|\(\[|\[)"([^"]*)"(?:\]\]|\}}\}}|\]\)|\])', line):
            assert found[1] not in picture.labels
            picture.labels[found[1]] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), found[3])
            picture.groups[found[1]], picture.marks[found[1]] = group, shapes[found[2]]
        elif found := re.fullmatch(rf"({ID}) (-->|-\.->) ({ID})", line):
            picture.arrows.append((found[1], found[3], "runtime" if found[2] == "-->" else "build"))
        elif found := re.fullmatch(rf"class ({ID}) (\w+)", line):
            classes[found[1]] = found[2]
        else:
            assert re.fullmatch(r"classDef (built|sdistonly) fill:#\w{6},stroke:#\w{6}", line), line
    assert classes == {
        own: mark.replace("-", "") for own, mark in picture.marks.items() if mark in {"built", "sdist-only"}
    }
    return picture


def _pictures(view: View) -> tuple[Picture, Picture]:
    plain, flow = read_dot(diagram.dot(view).files[0][1]), read_mermaid(diagram.mermaid(view).files[0][1])
    for picture in (plain, flow):
        assert {own for one, two, _ in picture.arrows for own in (one, two)} <= set(picture.labels)
        assert len(set(picture.arrows)) == len(picture.arrows)
    return plain, flow


def _shows(view: View) -> None:
    """Hold both pictures to what brute force finds in the lock."""
    told = [brute_graph(view.lock, target, view.extras, view.groups) for target in view.targets]
    words = {key_of(entry): called(entry) for entry in view.lock.packages}
    lines = {line[:3] for own in told for line in own.edges}
    shadowed = {(one, two, "inside") for one, two, kind in lines if kind == "runtime"}
    plain, flow = _pictures(view)
    project = plain.labels["project"]
    wanted = {(words[one] if one else project, words[two], kind) for one, two, kind in lines - shadowed}
    assert plain.named() == wanted
    assert flow.named() == {(one, two, "build" if kind == "inside" else kind) for one, two, kind in wanted}
    boxes = {project: ("", "project")}
    for entry in view.lock.packages:
        key = key_of(entry)
        if levels := [own.levels[key] for own in told if key in own.levels]:
            group = f"builds, level {min(levels)}" if min(levels) else "runtime"
            mark = "built" if any(key in own.built for own in told) else ""
            boxes[words[key]] = (group, "sdist-only" if entry.sdist_only else mark)
    assert plain.boxes() == flow.boxes() == boxes


@pytest.mark.parametrize("bare", [False, True], ids=["all", "bare"])
@pytest.mark.parametrize("name", NAMES)
def test_every_entry_and_every_edge_is_drawn(name: str, *, bare: bool) -> None:
    lock = _lock(name)
    _shows(_view(lock, bare=bare))
    for target in lock.targets:
        _shows(_view(lock, target.name, bare=bare))


@given(closed_locks())
def test_any_lock_is_drawn_whole(lock: Lock) -> None:
    _shows(_view(lock))


def test_versions_of_a_name_are_apart() -> None:
    plain, _ = _pictures(_view(_lock("closed.lock")))
    assert {label for label in plain.labels.values() if label.startswith(("numpydemo ", "setuptools "))} == {
        "numpydemo 2.4.0", "numpydemo 2.5.0", "setuptools 80.9.0", "setuptools 84.2.1",
    }  # fmt: skip
    assert ("scipydemo 1.2.0", "numpydemo 2.4.0", "build") in plain.named()
    assert plain.labels["project"] == "shop"


def test_the_legend_names_every_shape_and_arrow() -> None:
    plain, flow = _pictures(_view(_lock("closed.lock")))
    for picture, kinds in ((plain, ["runtime", "build", "inside"]), (flow, ["runtime", "build"])):
        legend = {own: mark for own, mark in picture.marks.items() if picture.groups[own] == "legend"}
        assert {mark for own, mark in legend.items() if own.startswith("legend_box")} == {"", "built", "sdist-only"}
        assert [kind for one, _, kind in picture.arrows if one.startswith("legend_")] == kinds


def test_ids_outlive_other_entries() -> None:
    lock = _lock("closed.lock")
    every, some = (diagram.dot(_view(lock, bare=bare)).files[0][1].splitlines() for bare in (False, True))
    assert "  project -> p_docopt_0_6_2;" in set(every) & set(some)


def test_ids_that_would_be_the_same_are_told_apart() -> None:
    lock = _lock("small.lock")
    twin = replace(lock.packages[0], name="hostile-1", version="0")
    _, flow = _pictures(_view(replace(lock, packages=(*lock.packages, twin))))
    assert {own: label for own, label in flow.labels.items() if "hostile" in own} == {
        "p_hostile_1_0": "hostile 1.0", "p_hostile_1_0__2": "hostile-1 0",
    }  # fmt: skip


HOSTILE = 'a"];evil\\ <script>&lt;\n|#35;%%{init}%% ```end\\N é\u202e\\'
SHOWN = 'hostile a"];evil\\ <script>&lt;\\u{a}|#35;%%{init}%% ```end\\N é\\u{202e}\\'


def test_labels_from_outside_stay_labels() -> None:
    lock = _lock("small.lock")
    entry, record = (replace(own, version=HOSTILE) for own in (lock.packages[0], lock.builds[0]))
    view = _view(replace(lock, packages=(entry, *lock.packages[1:]), builds=(record,)))
    for picture in _pictures(view):
        assert SHOWN in picture.labels.values()
        assert (SHOWN, "setuptools 84.2.1", "build") in picture.named()
    flow = diagram.mermaid(view).files[0][1]
    assert flow.isascii()
    assert not re.search(r"[`%<>\\]", flow.replace("-->", "").replace("-.->", ""))


@pytest.mark.parametrize(("limit", "told"), [("MAX_EDGES", "19 arrows and"), ("MAX_TEXT", "than Mermaid draws")])
def test_a_picture_that_mermaid_would_refuse_is_reported(
    limit: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = _view(_lock("closed.lock"))
    text = diagram.mermaid(view).files[0][1]
    size = {"MAX_EDGES": text.count("->"), "MAX_TEXT": len(text)}[limit]
    monkeypatch.setattr(diagram, limit, size)
    assert len(diagram.mermaid(view).unsupported) == 1
    monkeypatch.setattr(diagram, limit, size - 1)
    assert told in diagram.mermaid(view).unsupported[1]


def test_equal_locks_give_equal_bytes() -> None:
    for write in (diagram.dot, diagram.mermaid):
        assert write(_view(_lock("closed.lock"))) == write(_view(_lock("closed.lock")))
