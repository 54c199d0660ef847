"""The format of `deep.lock`: reading, writing, and what must hold in every lock."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "build_digests",
    "edited_versions",
    "index",
    "invariants",
    "member",
    "order",
    "paths",
    "reader",
    "rewrite",
    "selection",
    "staleness",
    "targets",
    "writer",
]

load_at_first_use(__name__, "edited_versions", "reader", "rewrite", "staleness", "writer")
