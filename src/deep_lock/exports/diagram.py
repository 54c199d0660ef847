"""What a picture of a lock shows: entries in layers, and who brings in whom. The forms draw it.

Law: a picture shows the graph of `model.layers` and no other; its names are letters, digits and "_" in any form.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from deep_lock.analysis.graph import ROOT, Edge, EdgeKind, Layers, Node, open_layers
from deep_lock.exports.view import Exported, View
from deep_lock.lockfile.index import Key, called
from deep_lock.sanitize import show

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
"""The legend of the arrows: how "A", on the left, stands to "B"."""
PROJECT = "project"
"""The id of the project."""
_LONGEST_ID = 60


class Box(Struct, frozen=True, kw_only=True):
    """One entry, in its layer: 0 is the run time, 1 what builds it, and so on down."""

    id: str
    """Made of its name and version: another entry that comes or goes does not change it."""
    key: Key
    label: str
    level: int
    mark: Mark
    note: str
    """Where it is installed, built with, and built, where that is not the same on all targets."""


class Arrow(Struct, frozen=True, kw_only=True):
    """``above`` needs ``below``; ids."""

    above: str
    below: str
    kind: EdgeKind


class Drawing(Struct, frozen=True, kw_only=True):
    """Boxes in the lock's order, arrows from the top down."""

    project: str
    """What the project is called, as far as the lock knows."""
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({box.level for box in self.boxes}))


def layer_name(level: int) -> str:
    """Return what a layer is called."""
    return "run time" if level == 0 else f"builds, level {level}"


def project_name(layers: Layers) -> str:
    """Return what the project is called: only the record of its own build knows."""
    own = (build.name for build in layers.register.lock.builds if build.needed == "project")
    return next(own, "the project")


def draw(view: View) -> Drawing:
    """Return what is installed and built on the view's targets, for its extras and groups."""
    layers = open_layers(view.lock_index, view.targets, view.selection)
    ids = _ids(layers)
    boxes = tuple(
        Box(
            id=ids[key],
            key=key,
            label=called(node.entry),
            level=node.level,
            mark="sdist-only" if node.entry.sdist_only else "built" if node.built else "",
            note="; ".join(_notes(node, frozenset(layers.labels))),
        )
        for key, node in layers.nodes.items()
    )
    return Drawing(project=project_name(layers), boxes=boxes, arrows=_arrows(layers, ids))


def _ids(layers: Layers) -> dict[Key, str]:
    ids = {ROOT: PROJECT}
    taken = {PROJECT}
    for key, node in layers.nodes.items():
        # the letter in front keeps words of the forms ("end", "node") and digits from being read as such
        stem = "p_" + re.sub("[^a-z0-9]+", "_", called(node.entry).lower()).strip("_")[:_LONGEST_ID]
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}__{number}"
        taken.add(name)
        ids[key] = name
    return ids


def _notes(node: Node, everywhere: frozenset[str]) -> Iterator[str]:
    for what, labels in (("run time", node.runtime), ("in builds", node.used), ("built", node.built)):
        if labels:
            yield f"{what}: {'all targets' if labels == everywhere else ', '.join(sorted(labels))}"


def _arrows(layers: Layers, ids: dict[Key, str]) -> tuple[Arrow, ...]:
    """Return each arrow once. A dependency that holds at run time is drawn so, and not for the builds where it holds too."""
    installed = {(edge.parent, edge.child) for edge in layers.edges if edge.kind == "runtime"}
    drawn: dict[tuple[Key, Key, EdgeKind], Edge] = {}
    for edge in layers.edges:
        if edge.kind != "inside" or (edge.parent, edge.child) not in installed:
            drawn.setdefault((edge.parent, edge.child, edge.kind), edge)
    return tuple(Arrow(above=ids[edge.parent], below=ids[edge.child], kind=edge.kind) for edge in drawn.values())


_BOXES = {
    "": 'shape=box, fillcolor="#eef2f7"',
    "built": 'shape=hexagon, fillcolor="#fde7c2"',
    "sdist-only": 'shape=octagon, fillcolor="#f9c9c4"',
}
_DOT_ARROWS: dict[EdgeKind, str] = {
    "runtime": "",
    "build": " [style=dashed]",
    "inside": ' [style=dashed, color="#8a94a6"]',
}


def graph(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as clusters of one graph."""
    return Exported(
        files=(("deep-lock.dot", _text(draw(view))),),
        usage="dot -Tsvg -O {file}",
        unsupported=("files, hashes, markers and indexes are not in a picture",),
    )


def _text(drawing: Drawing) -> str:
    lines = [
        "digraph deep_lock {",
        "  rankdir=LR;",
        '  node [style=filled, fontname="sans-serif"];',
        f'  {PROJECT} [label={_quoted(drawing.project)}, shape=doubleoctagon, fillcolor="#ffffff"];',
    ]
    for level in drawing.levels:
        lines += [f"  subgraph cluster_{level} {{", f"    label={_quoted(layer_name(level))};"]
        lines += [f"    {box.id} {_dot_box(box)};" for box in drawing.boxes if box.level == level]
        lines.append("  }")
    lines += [f"  {arrow.above} -> {arrow.below}{_DOT_ARROWS[arrow.kind]};" for arrow in drawing.arrows]
    return "\n".join([*lines, *_dot_legend(), "}", ""])


def _dot_legend() -> list[str]:
    """Return a cluster that stands apart: its names begin as no id does."""
    lines = ["  subgraph cluster_legend {", '    label="legend";']
    lines += [
        f"    legend_box_{place} [label={_quoted(meaning)}, {_BOXES[mark]}];"
        for place, (mark, meaning) in enumerate(MEANINGS)
    ]
    for place, (kind, meaning) in enumerate(ARROWS):
        lines += [
            f"    legend_from_{place} [label={_quoted(f'A {meaning}')}, shape=plaintext, style=solid];",
            f'    legend_to_{place} [label="B", shape=plaintext, style=solid];',
            f"    legend_from_{place} -> legend_to_{place}{_DOT_ARROWS[kind]};",
        ]
    return [*lines, "  }"]


def _dot_box(box: Box) -> str:
    return f"[label={_quoted(box.label)}, tooltip={_quoted(box.note)}, {_BOXES[box.mark]}]"


def _quoted(text: str) -> str:
    """Return a quoted string of DOT. In labels a backslash begins an escape, and "&" an entity of HTML."""
    escaped = show(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


MAX_EDGES = 500
MAX_TEXT = 50_000
"""What Mermaid draws by default (maxEdges, maxTextSize); beyond it shows an error in the picture's place."""

_SHAPES: dict[Mark, tuple[str, str]] = {"": ("[", "]"), "built": ("{{", "}}"), "sdist-only": ("[[", "]]")}
_CLASSES: dict[Mark, tuple[str, str]] = {
    "built": ("built", "fill:#fde7c2,stroke:#b7791f"),
    "sdist-only": ("sdistonly", "fill:#f9c9c4,stroke:#b02a1f"),
}
_MERMAID_ARROWS: dict[EdgeKind, str] = {"runtime": "-->", "build": "-.->", "inside": "-.->"}
"""Mermaid has one dashed arrow: the legend names both of its meanings."""


def flowchart(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as subgraphs of one flowchart."""
    lines = _lines(draw(view))
    text = "\n".join([*lines, ""])
    arrows = sum(f" {arrow} " in line for line in lines for arrow in set(_MERMAID_ARROWS.values()))
    unsupported = ["files, hashes, markers, targets and indexes are not in a picture"]
    if arrows > MAX_EDGES or len(text) > MAX_TEXT:
        unsupported.append(
            f"{arrows} arrows and {len(text)} characters are more than Mermaid draws by default ({MAX_EDGES} and"
            f" {MAX_TEXT}): set maxEdges and maxTextSize, take one --target, or -f dot"
        )
    return Exported(
        files=(("deep-lock.mmd", text),),
        usage="put it between ```mermaid and ``` in a Markdown comment, or: npx @mermaid-js/mermaid-cli -i {file} -o lock.svg",
        unsupported=tuple(unsupported),
    )


def _lines(drawing: Drawing) -> list[str]:
    lines = ["flowchart LR", f'  {PROJECT}(["{_escaped(drawing.project)}"])']
    for level in drawing.levels:
        lines.append(f'  subgraph layer{level}["{layer_name(level)}"]')
        lines += [_mermaid_box(box.id, box.label, box.mark) for box in drawing.boxes if box.level == level]
        lines.append("  end")
    lines += dict.fromkeys(f"  {arrow.above} {_MERMAID_ARROWS[arrow.kind]} {arrow.below}" for arrow in drawing.arrows)
    marked = [(box.id, box.mark) for box in drawing.boxes]
    marked += [(f"legend_box_{place}", mark) for place, (mark, _) in enumerate(MEANINGS)]
    lines += _mermaid_legend()
    for mark, (name, style) in _CLASSES.items():
        lines.append(f"  classDef {name} {style}")
        lines += [f"  class {own} {name}" for own, of in marked if of == mark]
    return lines


def _mermaid_legend() -> list[str]:
    lines = ['  subgraph legend["legend"]']
    lines += [_mermaid_box(f"legend_box_{place}", meaning, mark) for place, (mark, meaning) in enumerate(MEANINGS)]
    for place, sign in enumerate(dict.fromkeys(_MERMAID_ARROWS.values())):
        meaning = ", or ".join(told for kind, told in ARROWS if _MERMAID_ARROWS[kind] == sign)
        lines += [
            _mermaid_box(f"legend_from_{place}", f"A {meaning}", ""),
            _mermaid_box(f"legend_to_{place}", "B", ""),
            f"    legend_from_{place} {sign} legend_to_{place}",
        ]
    return [*lines, "  end"]


def _mermaid_box(own: str, label: str, mark: Mark) -> str:
    first, last = _SHAPES[mark]
    return f'    {own}{first}"{_escaped(label)}"{last}'


def _escaped(text: str) -> str:
    """Return a label: whatever is no plain letter, digit or sign of a version is written as its code."""
    return "".join(
        character if character.isascii() and (character.isalnum() or character in " .-_+!") else f"#{ord(character)};"
        for character in show(text)
    )
