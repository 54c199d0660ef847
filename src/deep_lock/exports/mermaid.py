"""The layers of a lock as a Mermaid flowchart, as pages and comments of code hosts draw it."""

from deep_lock.exports.drawing import Drawing, draw, layer_name
from deep_lock.exports.view import Exported, View

MAX_EDGES = 500
MAX_TEXT = 50_000
"""What Mermaid draws by default (maxEdges, maxTextSize); beyond it shows an error in the picture's place."""


def flowchart(view: View) -> Exported:
    """Return the run time, and each level of builds below it, as subgraphs of one flowchart."""
    drawing = draw(view)
    text = _text(drawing)
    losses = ["files, hashes, markers and targets are not in a picture"]
    if len(drawing.arrows) > MAX_EDGES or len(text) > MAX_TEXT:
        told = f"{len(drawing.arrows)} arrows and {len(text)} characters"
        losses.append(
            f"{told} are more than Mermaid draws by default ({MAX_EDGES} and {MAX_TEXT}): set maxEdges and maxTextSize,"
            " or take -f dot"
        )
    return Exported(
        files=(("deep-lock.mmd", text),),
        usage="put it between ```mermaid and ``` in a Markdown comment, or: npx @mermaid-js/mermaid-cli -i {file} -o lock.svg",
        losses=tuple(losses),
    )


def _text(drawing: Drawing) -> str:
    ids = {box.key: f"n{place}" for place, box in enumerate(drawing.boxes)}
    lines = ["flowchart LR"]
    for level in drawing.levels:
        lines.append(f'  subgraph layer{level}["{layer_name(level)}"]')
        lines += [f'    {ids[box.key]}["{_escaped(box.label)}"]' for box in drawing.boxes if box.level == level]
        lines.append("  end")
    lines += [
        f"  {ids[arrow.above]} {'-.->' if arrow.kind == 'build' else '-->'} {ids[arrow.below]}"
        for arrow in drawing.arrows
    ]
    lines += ["  classDef built fill:#fde7c2,stroke:#b7791f", "  classDef sdistonly fill:#f9c9c4,stroke:#b02a1f"]
    for mark, name in (("built", "built"), ("sdist-only", "sdistonly")):
        marked = [ids[box.key] for box in drawing.boxes if box.mark == mark]
        lines += [f"  class {','.join(marked)} {name}"] if marked else []
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    """Return a label: whatever is no plain letter, digit or sign of a version is written as its code."""
    return "".join(
        character if character.isascii() and (character.isalnum() or character in " .-_+!") else f"#{ord(character)};"
        for character in text
    )
