"""The layers of a lock as a directed graph for Graphviz (DOT)."""

from deep_lock.display import show
from deep_lock.exports.drawing import ARROWS, MEANINGS, PROJECT, Box, Drawing, draw, layer_name
from deep_lock.exports.view import Exported, View
from deep_lock.model.layer_edges import EdgeKind

_BOXES = {
    "": 'shape=box, fillcolor="#eef2f7"',
    "built": 'shape=hexagon, fillcolor="#fde7c2"',
    "sdist-only": 'shape=octagon, fillcolor="#f9c9c4"',
}
_ARROWS: dict[EdgeKind, str] = {
    "runtime": "",
    "build": " [style=dashed]",
    "inside": ' [style=dashed, color="#8a94a6"]',
}


def graph(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as clusters of one graph."""
    return Exported(
        files=(("deep-lock.dot", _text(draw(view))),),
        usage="dot -Tsvg -O {file}",
        losses=("files, hashes, markers and indexes are not in a picture",),
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
        lines += [f"    {box.id} {_box(box)};" for box in drawing.boxes if box.level == level]
        lines.append("  }")
    lines += [f"  {arrow.above} -> {arrow.below}{_ARROWS[arrow.kind]};" for arrow in drawing.arrows]
    return "\n".join([*lines, *_legend(), "}", ""])


def _legend() -> list[str]:
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
            f"    legend_from_{place} -> legend_to_{place}{_ARROWS[kind]};",
        ]
    return [*lines, "  }"]


def _box(box: Box) -> str:
    return f"[label={_quoted(box.label)}, tooltip={_quoted(box.note)}, {_BOXES[box.mark]}]"


def _quoted(text: str) -> str:
    """Return a quoted string of DOT. In labels a backslash begins an escape, and "&" an entity of HTML."""
    escaped = show(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
