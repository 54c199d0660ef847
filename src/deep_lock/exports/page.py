"""A lock as one HTML page for people who review it.

`html_file` says what is true of the page.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deep_lock.analysis.graph import ROOT, Edge, Graph, Path, open_graph, shortest_paths
from deep_lock.exports.contents import LABELS, Contents, content_lines
from deep_lock.exports.html_file import html_file
from deep_lock.exports.json_document import describe, identify
from deep_lock.exports.view import View
from deep_lock.models.lock import LockedArchive
from deep_lock.sanitize import Html


def page(view: View, contents: Contents | None = None, findings: Sequence[str] = ()) -> Html:
    """Return the page; with ``contents`` it has what the files bring, and the ``findings`` in them, a sentence each."""
    graph = open_graph(view.lock_index, view.targets, view.selections)
    return html_file("deep_lock.exports", f"{view.source}: deep-lock report", _content(view, graph, contents, findings))


def _content(view: View, graph: Graph, contents: Contents | None, findings: Sequence[str]) -> dict[str, Any]:
    """Return the JSON document, with indices where it has names: shortened names stay apart."""
    found = describe(view, graph)
    packages = {package["id"]: place for place, package in enumerate(found["packages"])}
    labels = {label: place for place, label in enumerate(graph.labels)}
    for package, node in zip(found["packages"], graph.nodes.values(), strict=True):
        source = node.entry.source
        package["contents"] = (
            [] if contents is None else [(LABELS[kind], text) for kind, text in content_lines(node.entry, contents)]
        )
        package["source-sha256"] = source.sha256 if isinstance(source, LockedArchive) else None
        # the steps have the chains, the edges have the dependencies
        del package["chain"], package["dependencies"]
        files = [*package["wheels"], *([package["sdist"]] if package["sdist"] else [])]
        for table in (package, *files):
            table["targets"] = [labels[label] for label in table["targets"]]
        for key in ("used-in-builds", "built"):
            package[key] = [labels[label] for label in package[key]]
    for build in found["builds"]:
        build["targets"] = [labels[label] for label in build["targets"]]
        build["package"] = None if build["package"] is None else packages[build["package"]]
        for members in (build["packages"], build["declared-packages"] or ()):
            for member in members:
                member["package"] = packages.get(f"{member['name']}=={member['version']}")
    edges = {edge: place for place, edge in enumerate(graph.edges)}
    found["edges"] = [
        [
            -1 if edge.parent.subject == ROOT else packages[identify(edge.parent.subject)],
            packages[identify(edge.child.subject)],
            edge.kind,
            edge.environment.number - 1,
            list(edge.requirements),
            int(edge.declared_only),
        ]
        for edge in graph.edges
    ]
    found["findings"] = list(findings)
    found["steps"], found["paths"] = _steps(graph, edges)
    return found


def _steps(graph: Graph, edges: Mapping[Edge, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the steps of the shortest paths, and the last step of each path, the shortest path first.

    A step is an edge, and the step before it (-1: the project). That to a build is the step to what is built.
    """
    places: dict[Path, int] = {}
    steps: list[tuple[int, int]] = []
    ends: list[int] = []
    for path in shortest_paths(graph).values():
        missing: list[Path] = []
        at: Path | None = path
        while at is not None and at not in places:
            missing.append(at)
            at = at.before
        for own in reversed(missing):
            before = -1 if own.before is None else places[own.before]
            places[own] = before if own.edge.kind == "built" else len(steps)
            if own.edge.kind != "built":
                steps.append((edges[own.edge], before))
        if path.edge.kind != "built":
            ends.append(places[path])
    return steps, ends
