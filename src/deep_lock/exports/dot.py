"""The layers of a lock as a directed graph for Graphviz (DOT)."""

from deep_lock.exports.drawing import Box, Drawing, draw, layer_name
from deep_lock.exports.view import Exported, View

_STYLES = {
    "": 'fillcolor="#eef2f7"',
    "built": 'fillcolor="#fde7c2", penwidth=2',
    "sdist-only": 'fillcolor="#f9c9c4", penwidth=2',
}
_LEGEND = (("installs a wheel", ""), ("built on some target", "built"), ("sdist only: runs its own code", "sdist-only"))


def graph(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as clusters of one graph."""
    return Exported(
        files=(("deep-lock.dot", _text(draw(view))),),
        usage="dot -Tsvg -O {file}",
        losses=("files, hashes, markers and targets are not in a picture",),
    )


def _text(drawing: Drawing) -> str:
    ids = {box.key: f"n{place}" for place, box in enumerate(drawing.boxes)}
    lines = [
        "digraph deep_lock {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
    ]
    for level in drawing.levels:
        lines += [f"  subgraph cluster_{level} {{", f"    label={_quoted(layer_name(level))};"]
        lines += [f"    {ids[box.key]} {_box(box)};" for box in drawing.boxes if box.level == level]
        lines.append("  }")
    for arrow in drawing.arrows:
        dashed = " [style=dashed]" if arrow.kind == "build" else ""
        lines.append(f"  {ids[arrow.above]} -> {ids[arrow.below]}{dashed};")
    lines += ["  subgraph cluster_legend {", '    label="legend; a dashed arrow: needed to build";']
    lines += [
        f"    legend{place} [label={_quoted(text)}, {_STYLES[mark]}];" for place, (text, mark) in enumerate(_LEGEND)
    ]
    return "\n".join([*lines, "  }", "}", ""])


def _box(box: Box) -> str:
    return f"[label={_quoted(box.label)}, {_STYLES[box.mark]}]"


def _quoted(text: str) -> str:
    """Return a quoted string of DOT: a backslash begins an escape there, and a line break would end nothing."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
