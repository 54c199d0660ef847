"""Opens a lock and hands what is asked of it to the form that is asked for.

Law: nothing is resolved, and no index is asked; whether the lock fits its project is not looked at.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from deep_lock.deferred import Deferred
from deep_lock.events import Reporter
from deep_lock.exports.view import Exported, View, make_view
from deep_lock.flags import ExportFlags
from deep_lock.installable import place_of, placed, plain_lock, requirement_lines
from deep_lock.model.locked_targets import chosen_targets
from deep_lock.reading import require_lock

if TYPE_CHECKING:
    from deep_lock import network
    from deep_lock.exports import build_constraints, cyclonedx, dot, hermeto, json_document, mermaid, spdx
else:
    build_constraints = Deferred("deep_lock.exports.build_constraints")
    cyclonedx = Deferred("deep_lock.exports.cyclonedx")
    dot = Deferred("deep_lock.exports.dot")
    hermeto = Deferred("deep_lock.exports.hermeto")
    json_document = Deferred("deep_lock.exports.json_document")
    mermaid = Deferred("deep_lock.exports.mermaid")
    spdx = Deferred("deep_lock.exports.spdx")
    network = Deferred("deep_lock.network")

Writer = Callable[[View, ExportFlags], Exported]

FORMATS: dict[str, Writer] = {
    "build-constraints": lambda view, flags: build_constraints.constraints(
        view, per_sdist=flags.per_sdist, place=partial(place_of, flags)
    ),
    "cyclonedx": lambda view, flags: placed(cyclonedx.bom(view, network.public_index()), flags),
    "dot": lambda view, flags: placed(dot.graph(view), flags),
    "hermeto": lambda view, flags: hermeto.hermeto(view, name_index=flags.index_options),
    "json": lambda view, flags: placed(json_document.document(view), flags),
    "mermaid": lambda view, flags: placed(mermaid.flowchart(view), flags),
    "pylock": plain_lock,
    "requirements": requirement_lines,
    "spdx": lambda view, flags: placed(spdx.document(view, network.public_index()), flags),
}
"""What `export -f` takes, and what makes it."""

BARE = frozenset({"requirements", "hermeto"})
"""Formats that know no extras and groups: without a flag they hold the project's own dependencies only."""


def export(flags: ExportFlags, reporter: Reporter) -> Exported:
    """Return the lock in the form that is asked for, unwritten. Raises LockInvalid, UsageError and TargetsAlike."""
    lock = require_lock(flags.lock, reporter)
    view = make_view(
        lock,
        flags.lock.name,
        chosen_targets(lock, flags.targets, flags.lock.name),
        extras=_names(flags.extras, flags.format),
        groups=_names(flags.groups, flags.format),
    )
    return FORMATS[flags.format](view, flags)


def _names(asked: tuple[str, ...] | Literal["all"] | None, form: str) -> frozenset[str] | None:
    """Return the extras, or groups, to be chosen; None is all."""
    if asked == "all" or (asked is None and form not in BARE):
        return None
    return frozenset(asked or ())
