"""Why a package is in a lock, and the lock as a tree.

For each edge that brings the package in the shortest path is shown: all paths would be too many to read, and each of them ends
with one of these edges.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from deep_lock.analysis.graph import Graph, Position, TargetSet, path_words, shortest_paths
from deep_lock.lockfile.index import called, key_of
from deep_lock.models.lock import LockedPackage
from deep_lock.reports.document import document
from deep_lock.sanitize import Safe, lines, show
from deep_lock.targets.short_form import short_form


class Reasons(Struct, frozen=True, kw_only=True):
    """The paths to one package, as text, the shortest first."""

    entry: LockedPackage
    labels: tuple[str, ...]
    """The targets of the lock."""
    runtime: tuple[tuple[str, ...], ...]
    builds: tuple[tuple[str, ...], ...]
    """Those that lead through a build."""


def reasons(graph: Graph, entries: Iterable[LockedPackage]) -> tuple[Reasons, ...]:
    """Return the paths to these packages."""
    paths = shortest_paths(graph).values()
    found: list[Reasons] = []
    for entry in entries:
        own = [path for path in paths if path.edge.child.key == key_of(entry)]
        found.append(
            Reasons(
                entry=entry,
                labels=graph.labels,
                runtime=tuple(dict.fromkeys(path_words(graph, path) for path in own if not path.builds)),
                builds=tuple(dict.fromkeys(path_words(graph, path) for path in own if path.builds)),
            )
        )
    return tuple(found)


def why_text(every: Iterable[Reasons], limit: int | None) -> Safe:
    """Return the paths as text; of each kind at most ``limit``."""
    found: list[str] = []
    for own in every:
        found.append(f"{show(called(own.entry))}: {_role(own.entry, own.labels)}")
        for heading, paths in (("installed because of", own.runtime), ("used by builds because of", own.builds)):
            if paths:
                found.append(f"  {heading}")
                found += [f"    {' > '.join(map(show, path))}" for path in paths[:limit]]
                more = len(paths) - len(paths[:limit])
                found += [f"    ... and {more} more paths (--all)"] if more else []
        if not own.runtime and not own.builds:
            found.append("  nothing is known to require it")
    return lines("\n".join([*found, ""]))


def _role(entry: LockedPackage, labels: Sequence[str]) -> str:
    marks = ["build-only" if entry.build_only else "runtime and builds" if entry.also_build else "runtime"]
    marks += ["direct dependency"] if entry.direct else []
    marks += ["sdist-only"] if entry.sdist_only else []
    marks += [f"built on {short_form(entry.build_on, labels)}"] if entry.build_on else []
    return ", ".join(marks)


Step = tuple[Position, TargetSet]
"""Where an edge of the tree leads, and the targets on which it holds."""


class TreeRow(Struct, frozen=True, kw_only=True):
    """One line of a tree."""

    level: int
    lead: str
    """What is drawn in front of it."""
    position: Position
    is_repeated: bool
    """Whether what is below it is below an earlier row of the same position."""


def tree_rows(graph: Graph, *, builds: bool, depth: int | None) -> list[TreeRow]:
    """Return the tree from the project down; ``depth`` is the number of levels below the top, None is all."""

    def below(position: Position) -> list[Step]:
        edges = graph.below.get(position, ())
        return [(edge.child, edge.targets) for edge in edges if builds or edge.kind != "built"]

    return _rows(below(graph.root), below, depth)


def inverted_rows(graph: Graph, names: Iterable[str], *, builds: bool, depth: int | None) -> list[TreeRow]:
    """Return the tree from some packages up to the project: what needs them."""
    wanted = frozenset(names)

    def above(position: Position) -> list[Step]:
        return [(edge.parent, edge.targets) for edge in graph.above[position] if edge.parent != graph.root]

    positions = {
        edge.child
        for edge in graph.edges
        if edge.child.subject[0] in wanted and (builds or edge.environment.record is None)
    }
    tops = sorted(positions, key=lambda position: (position.subject, position.environment.number))
    return _rows([(position, position.environment.targets) for position in tops], above, depth)


def tree_text(graph: Graph, rows: Iterable[TreeRow]) -> Safe:
    """Return a tree as text."""
    drawn = [f"{row.lead}{_label(graph, row.position)}{' (*)' if row.is_repeated else ''}" for row in rows]
    return lines("\n".join([*drawn, ""]) if drawn else "")


def tree_json(graph: Graph, rows: Iterable[TreeRow], lock: str) -> Safe:
    """Return a tree as one document."""
    return document("tree", 1, {"lock": lock, "rows": [_json_row(graph, row) for row in rows]})


def _json_row(graph: Graph, row: TreeRow) -> dict[str, Any]:
    build, key = row.position.environment.record, row.position.key
    entry = graph.nodes[key].entry if key is not None else None
    named = entry or build
    is_build = entry is None and build is not None
    return {
        "level": row.level,
        "kind": "package" if entry is not None else "build" if is_build else "project",
        "name": named.name if named is not None else "",
        "version": named.version if named is not None else None,
        "sdist-only": entry is not None and entry.sdist_only,
        "backend": build.backend if is_build and build is not None else None,
        "evidence": build.evidence if is_build and build is not None else None,
        "targets": build.targets if is_build and build is not None else (),
        "repeated": row.is_repeated,
    }


def _rows(tops: list[Step], following: Callable[[Position], list[Step]], depth: int | None) -> list[TreeRow]:
    """List the rows without recursion: the stack holds what is still to come, with the bars in front of it."""
    rows: list[TreeRow] = []
    shown: dict[Position, TargetSet] = {}
    stack = [(position, targets, "", "", 0) for position, targets in reversed(tops)]
    while stack:
        position, targets, lead, bars, level = stack.pop()
        children = [(child, targets & own) for child, own in following(position) if targets & own]
        known = shown.get(position, 0)
        folded = bool(children) and not targets & ~known
        rows.append(TreeRow(level=level, lead=lead, position=position, is_repeated=folded))
        if folded or (depth is not None and level >= depth):
            continue
        shown[position] = known | targets
        for place, (child, own) in reversed(list(enumerate(children))):
            corner, bar = ("└── ", "    ") if place == len(children) - 1 else ("├── ", "│   ")
            stack.append((child, own, bars + corner, bars + bar, level + 1))
    return rows


def _label(graph: Graph, position: Position) -> str:
    """Return the line of a position. A build that is not made on all targets names its own."""
    build = position.environment.record
    if position.key is not None:
        entry = graph.nodes[position.key].entry
        return show(f"{called(entry)}{' (sdist only)' if entry.sdist_only else ''}")
    if build is None:
        return "the project"
    where = f" on {short_form(build.targets, graph.labels)}" if build.targets and len(graph.labels) > 1 else ""
    return show(f"build of {called(build)} by {build.backend}{where} [{build.evidence}]", limit=400)
