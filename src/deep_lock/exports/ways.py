"""Chains through the layers of a lock, in words."""

from collections.abc import Iterable

from deep_lock.model.layers import Edge, Layers
from deep_lock.model.register import called


def words(layers: Layers, edges: Iterable[Edge]) -> tuple[str, ...]:
    """Return a chain in words: "NAME VERSION" for each step; what is built gives way to "build of NAME VERSION"."""
    found: list[str] = []
    for edge in edges:
        if edge.kind == "build" and edge.environment.record is not None:
            found[-1:] = [f"build of {called(edge.environment.record)}"]
        found.append(called(layers.nodes[edge.child].entry))
    return tuple(found)
