"""The layers of a lock as a Mermaid flowchart, as pages and comments of code hosts draw it."""

from deep_lock.display import show
from deep_lock.exports.drawing import ARROWS, MEANINGS, PROJECT, Drawing, Mark, draw, layer_name
from deep_lock.exports.view import Exported, View
from deep_lock.model.layer_edges import EdgeKind

MAX_EDGES = 500
MAX_TEXT = 50_000
"""What Mermaid draws by default (maxEdges, maxTextSize); beyond it shows an error in the picture's place."""

_SHAPES: dict[Mark, tuple[str, str]] = {"": ("[", "]"), "built": ("{{", "}}"), "sdist-only": ("[[", "]]")}
_CLASSES: dict[Mark, tuple[str, str]] = {
    "built": ("built", "fill:#fde7c2,stroke:#b7791f"),
    "sdist-only": ("sdistonly", "fill:#f9c9c4,stroke:#b02a1f"),
}
_ARROWS: dict[EdgeKind, str] = {"runtime": "-->", "build": "-.->", "inside": "-.->"}
"""Mermaid has one dashed arrow: the legend names both of its meanings."""


def flowchart(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as subgraphs of one flowchart."""
    lines = _lines(draw(view))
    text = "\n".join([*lines, ""])
    arrows = sum(f" {arrow} " in line for line in lines for arrow in set(_ARROWS.values()))
    losses = ["files, hashes, markers, targets and indexes are not in a picture"]
    if arrows > MAX_EDGES or len(text) > MAX_TEXT:
        losses.append(
            f"{arrows} arrows and {len(text)} characters are more than Mermaid draws by default ({MAX_EDGES} and"
            f" {MAX_TEXT}): set maxEdges and maxTextSize, take one --target, or -f dot"
        )
    return Exported(
        files=(("deep-lock.mmd", text),),
        usage="put it between ```mermaid and ``` in a Markdown comment, or: npx @mermaid-js/mermaid-cli -i {file} -o lock.svg",
        losses=tuple(losses),
    )


def _lines(drawing: Drawing) -> list[str]:
    lines = ["flowchart LR", f'  {PROJECT}(["{_escaped(drawing.project)}"])']
    for level in drawing.levels:
        lines.append(f'  subgraph layer{level}["{layer_name(level)}"]')
        lines += [_box(box.id, box.label, box.mark) for box in drawing.boxes if box.level == level]
        lines.append("  end")
    lines += dict.fromkeys(f"  {arrow.above} {_ARROWS[arrow.kind]} {arrow.below}" for arrow in drawing.arrows)
    marked = [(box.id, box.mark) for box in drawing.boxes]
    marked += [(f"legend_box_{place}", mark) for place, (mark, _) in enumerate(MEANINGS)]
    lines += _legend()
    for mark, (name, style) in _CLASSES.items():
        lines.append(f"  classDef {name} {style}")
        lines += [f"  class {own} {name}" for own, of in marked if of == mark]
    return lines


def _legend() -> list[str]:
    lines = ['  subgraph legend["legend"]']
    lines += [_box(f"legend_box_{place}", meaning, mark) for place, (mark, meaning) in enumerate(MEANINGS)]
    for place, sign in enumerate(dict.fromkeys(_ARROWS.values())):
        meaning = ", or ".join(told for kind, told in ARROWS if _ARROWS[kind] == sign)
        lines += [
            _box(f"legend_from_{place}", f"A {meaning}", ""),
            _box(f"legend_to_{place}", "B", ""),
            f"    legend_from_{place} {sign} legend_to_{place}",
        ]
    return [*lines, "  end"]


def _box(own: str, label: str, mark: Mark) -> str:
    first, last = _SHAPES[mark]
    return f'    {own}{first}"{_escaped(label)}"{last}'


def _escaped(text: str) -> str:
    """Return a label: whatever is no plain letter, digit or sign of a version is written as its code."""
    return "".join(
        character if character.isascii() and (character.isalnum() or character in " .-_+!") else f"#{ord(character)};"
        for character in show(text)
    )
