"""What a picture of a lock shows: entries in layers, and who brings in whom. The forms draw it.

Law: a picture shows the graph of `model.layers` and no other; its names are letters, digits and "_" in any form.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from deep_lock.exports.view import View
from deep_lock.model.layer_edges import EdgeKind
from deep_lock.model.layers import ROOT, Edge, Layers, Node, open_layers
from deep_lock.model.register import Key, called

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
    layers = open_layers(view.register, view.targets, view.chosen)
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
