"""The dependency graph of a lock as a picture: DOT for Graphviz, and a Mermaid flowchart.

Invariant: names of boxes are letters, digits and "_", and text of the lock is escaped.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from deep_lock.analysis.graph import ROOT, EdgeKind, Graph, Node, open_graph
from deep_lock.exports.view import Exported, View
from deep_lock.lockfile.index import Key, called
from deep_lock.sanitize import lines, show

Mark = Literal["", "built", "sdist-only"]
"""Nothing; built on some of the targets, though there are wheels; no wheel at all."""

MEANINGS: tuple[tuple[Mark, str], ...] = (
    ("", "installs a wheel"),
    ("built", "built on some target"),
    ("sdist-only", "has no wheel at all"),
)
"""The legend of the boxes."""
ARROWS: tuple[tuple[EdgeKind, str], ...] = (
    ("runtime", "needs at run time"),
    ("build", "needs to be built"),
    ("inside", "needs in a build environment"),
)
"""The legend of the arrows, from A to B."""
PROJECT = "project"
"""The id of the project."""
_LONGEST_ID = 60


class Box(Struct, frozen=True, kw_only=True):
    """One package, on its level: 0 is the runtime, 1 what builds it, and so on."""

    id: str
    """Made of its name and version: other packages do not change it."""
    label: str
    level: int
    mark: Mark
    note: str
    """On which targets it is installed, used by builds, and built."""


class Drawing(Struct, frozen=True, kw_only=True):
    """Boxes in the lock's order, and arrows from the top down."""

    project: str
    """The name of the project, if the lock has it."""
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, str, EdgeKind], ...]
    """(id, id of what it needs, kind)."""

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({box.level for box in self.boxes}))


def _level_name(level: int) -> str:
    return "runtime" if level == 0 else f"builds, level {level}"


def draw(view: View) -> Drawing:
    """Return what is installed and built on the view's targets, for its extras and groups."""
    graph = open_graph(view.lock_index, view.targets, view.selections)
    ids = _ids(graph)
    boxes = tuple(
        Box(
            id=ids[key],
            label=called(node.entry),
            level=node.level,
            mark="sdist-only" if node.entry.sdist_only else "built" if node.built else "",
            note="; ".join(_notes(graph, node)),
        )
        for key, node in graph.nodes.items()
    )
    return Drawing(project=view.project or "the project", boxes=boxes, arrows=tuple(_arrows(graph, ids)))


def _ids(graph: Graph) -> dict[Key, str]:
    ids = {ROOT: PROJECT}
    taken = {PROJECT}
    for key, node in graph.nodes.items():
        # the letter in front keeps digits and keywords ("end", "node") from being read as such
        stem = "p_" + re.sub("[^a-z0-9]+", "_", called(node.entry).lower()).strip("_")[:_LONGEST_ID]
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}__{number}"
        taken.add(name)
        ids[key] = name
    return ids


def _notes(graph: Graph, node: Node) -> Iterator[str]:
    for what, targets in (("runtime", node.runtime), ("in builds", node.used), ("built", node.built)):
        if labels := graph.labels_of(targets):
            yield f"{what}: {'all targets' if labels == graph.labels else ', '.join(sorted(labels))}"


def _arrows(graph: Graph, ids: dict[Key, str]) -> Iterator[tuple[str, str, EdgeKind]]:
    """Yield each arrow once. A dependency at runtime is not drawn again for the builds where it holds too."""
    arrows = dict.fromkeys((edge.parent.subject, edge.child.subject, edge.kind) for edge in graph.edges)
    for parent, child, kind in arrows:
        if kind != "inside" or (parent, child, "runtime") not in arrows:
            yield ids[parent], ids[child], kind


# -- DOT

_DOT_BOXES = {
    "": 'shape=box, fillcolor="#eef2f7"',
    "built": 'shape=hexagon, fillcolor="#fde7c2"',
    "sdist-only": 'shape=octagon, fillcolor="#f9c9c4"',
}
_DOT_ARROWS: dict[EdgeKind, str] = {
    "runtime": "",
    "build": " [style=dashed]",
    "inside": ' [style=dashed, color="#8a94a6"]',
}


def dot(view: View) -> Exported:
    """Return the runtime, and each level of builds below it, as clusters of one graph."""
    return Exported(
        files=(("deep-lock.dot", lines(_dot_text(draw(view)))),),
        usage="dot -Tsvg -O {file}",
        unsupported=("files, hashes, markers and indexes",),
    )


def _dot_text(drawing: Drawing) -> str:
    lines = [
        "digraph deep_lock {",
        "  rankdir=LR;",
        '  node [style=filled, fontname="sans-serif"];',
        f'  {PROJECT} [label={_quoted(drawing.project)}, shape=doubleoctagon, fillcolor="#ffffff"];',
    ]
    for level in drawing.levels:
        lines += [f"  subgraph cluster_{level} {{", f"    label={_quoted(_level_name(level))};"]
        lines += [
            f"    {box.id} [label={_quoted(box.label)}, tooltip={_quoted(box.note)}, {_DOT_BOXES[box.mark]}];"
            for box in drawing.boxes
            if box.level == level
        ]
        lines.append("  }")
    lines += [f"  {above} -> {below}{_DOT_ARROWS[kind]};" for above, below, kind in drawing.arrows]
    return "\n".join([*lines, *_dot_legend(), "}", ""])


def _dot_legend() -> list[str]:
    """Return a cluster of its own: its names begin as no id does."""
    lines = ["  subgraph cluster_legend {", '    label="legend";']
    lines += [
        f"    legend_box_{place} [label={_quoted(meaning)}, {_DOT_BOXES[mark]}];"
        for place, (mark, meaning) in enumerate(MEANINGS)
    ]
    for place, (kind, meaning) in enumerate(ARROWS):
        lines += [
            f"    legend_from_{place} [label={_quoted(f'A {meaning}')}, shape=plaintext, style=solid];",
            f'    legend_to_{place} [label="B", shape=plaintext, style=solid];',
            f"    legend_from_{place} -> legend_to_{place}{_DOT_ARROWS[kind]};",
        ]
    return [*lines, "  }"]


def _quoted(text: str) -> str:
    """Return a quoted string of DOT. In labels a backslash begins an escape, and "&" an entity of HTML."""
    escaped = show(text).replace("&", "&amp;").replace("#", "&#35;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# -- Mermaid

MAX_EDGES = 500
MAX_TEXT = 50_000
"""What Mermaid draws by default (maxEdges, maxTextSize); beyond it shows an error instead of the picture."""

_SHAPES: dict[Mark, tuple[str, str]] = {"": ("[", "]"), "built": ("{{", "}}"), "sdist-only": ("[[", "]]")}
_CLASSES: dict[Mark, tuple[str, str]] = {
    "built": ("built", "fill:#fde7c2,stroke:#b7791f"),
    "sdist-only": ("sdistonly", "fill:#f9c9c4,stroke:#b02a1f"),
}
_MERMAID_ARROWS: dict[EdgeKind, str] = {"runtime": "-->", "build": "-.->", "inside": "-.->"}
"""Mermaid has one dashed arrow: the legend has both of its meanings."""


def mermaid(view: View) -> Exported:
    """Return the runtime, and each level of builds below it, as subgraphs of one flowchart."""
    rows = _mermaid_lines(draw(view))
    text = "\n".join([*rows, ""])
    arrows = sum(f" {arrow} " in row for row in rows for arrow in set(_MERMAID_ARROWS.values()))
    unsupported = ["files, hashes, markers, targets and indexes"]
    if arrows > MAX_EDGES or len(text) > MAX_TEXT:
        unsupported.append(
            f"{arrows} arrows and {len(text)} characters are more than Mermaid draws by default ({MAX_EDGES} and"
            f" {MAX_TEXT}): set maxEdges and maxTextSize, take one --target, or -f dot"
        )
    return Exported(
        files=(("deep-lock.mmd", lines(text)),),
        usage="put it between ```mermaid and ``` in a Markdown comment, or: npx @mermaid-js/mermaid-cli -i {file} -o lock.svg",
        unsupported=tuple(unsupported),
    )


def _mermaid_lines(drawing: Drawing) -> list[str]:
    lines = ["flowchart LR", f'  {PROJECT}(["{_escaped(drawing.project)}"])']
    for level in drawing.levels:
        lines.append(f'  subgraph layer{level}["{_level_name(level)}"]')
        lines += [_mermaid_box(box.id, box.label, box.mark) for box in drawing.boxes if box.level == level]
        lines.append("  end")
    lines += dict.fromkeys(f"  {above} {_MERMAID_ARROWS[kind]} {below}" for above, below, kind in drawing.arrows)
    marked = [(box.id, box.mark) for box in drawing.boxes]
    marked += [(f"legend_box_{place}", mark) for place, (mark, _) in enumerate(MEANINGS)]
    lines += _mermaid_legend()
    for mark, (name, style) in _CLASSES.items():
        lines.append(f"  classDef {name} {style}")
        lines += [f"  class {box} {name}" for box, own in marked if own == mark]
    return lines


def _mermaid_legend() -> list[str]:
    lines = ['  subgraph legend["legend"]']
    lines += [_mermaid_box(f"legend_box_{place}", meaning, mark) for place, (mark, meaning) in enumerate(MEANINGS)]
    for place, sign in enumerate(dict.fromkeys(_MERMAID_ARROWS.values())):
        meaning = ", or ".join(meaning for kind, meaning in ARROWS if _MERMAID_ARROWS[kind] == sign)
        lines += [
            _mermaid_box(f"legend_from_{place}", f"A {meaning}", ""),
            _mermaid_box(f"legend_to_{place}", "B", ""),
            f"    legend_from_{place} {sign} legend_to_{place}",
        ]
    return [*lines, "  end"]


def _mermaid_box(name: str, label: str, mark: Mark) -> str:
    first, last = _SHAPES[mark]
    return f'    {name}{first}"{_escaped(label)}"{last}'


def _escaped(text: str) -> str:
    """Return a label: every character but plain letters, digits and signs of versions is written as its code."""
    return "".join(
        character if character.isascii() and (character.isalnum() or character in " .-_+!") else f"#{ord(character)};"
        for character in show(text)
    )
