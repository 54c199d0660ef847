"""A lock as one HTML page for people who review it.

`html_file` says what is true of the page.
"""

from collections.abc import Mapping
from typing import Any

from deep_lock.analysis.graph import ROOT, Edge, Graph, Path, open_graph, shortest_paths
from deep_lock.exports.contents import LABELS, content_lines
from deep_lock.exports.html_file import html_file
from deep_lock.exports.json_document import describe, identify
from deep_lock.exports.page_body import (
    Facts,
    about,
    body,
    files,
    links,
    native_words,
    packages,
    stated_ranges,
    title_of,
)
from deep_lock.exports.view import View
from deep_lock.lockfile.index import Key
from deep_lock.models.lock import LockedArchive
from deep_lock.sanitize import Html, html_text


def page(view: View, facts: Facts | None = None) -> Html:
    """Return the page: what the lock has, and ``facts`` about it."""
    facts = facts or Facts()
    graph = open_graph(view.lock_index, view.targets, view.selections)
    parts = {
        "heading": html_text(title_of(view)),
        "about": about(view),
        "body": body(view, graph, facts),
        "packages": packages(view, graph, facts),
        "files": files(graph, facts),
    }
    return html_file(
        "deep_lock.exports", "page", f"{title_of(view)}: {view.source}", _content(view, graph, facts), parts
    )


def _content(view: View, graph: Graph, facts: Facts) -> dict[str, Any]:
    """Return the JSON document, with indices where it has names: shortened names stay apart."""
    contents = facts.contents
    found = describe(view, graph)
    places = {package["id"]: place for place, package in enumerate(found["packages"])}
    labels = {label: place for place, label in enumerate(graph.labels)}
    for package, node in zip(found["packages"], graph.nodes.values(), strict=True):
        source = node.entry.source
        package["contents"] = (
            [] if contents is None else [(LABELS[kind], text) for kind, text in content_lines(node.entry, contents)]
        )
        package["links"] = links(node.entry, contents)
        package["native"] = native_words(node.entry, contents)
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
        build["package"] = None if build["package"] is None else places[build["package"]]
        for members in (build["packages"], build["declared-packages"] or ()):
            for member in members:
                member["package"] = places.get(f"{member['name']}=={member['version']}")
    edges = {edge: place for place, edge in enumerate(graph.edges)}
    ranges = {key: stated_ranges(node.entry, contents) for key, node in graph.nodes.items()}
    found["edges"] = [
        [
            -1 if edge.parent.subject == ROOT else places[identify(edge.parent.subject)],
            places[identify(edge.child.subject)],
            edge.kind,
            edge.environment.number - 1,
            _requirements(edge, graph, ranges),
            int(edge.declared_only),
        ]
        for edge in graph.edges
    ]
    found["ranges"] = contents is not None
    found["steps"], found["paths"] = _steps(graph, edges)
    return found


def _requirements(edge: Edge, graph: Graph, ranges: Mapping[Key, Mapping[str, list[str]]]) -> list[str]:
    """Return the requirements of an edge: those of the lock, or those that the metadata of the parent states."""
    if edge.requirements or edge.parent.key is None:
        return list(edge.requirements)
    return ranges[edge.parent.key].get(graph.nodes[edge.child.subject].entry.name, [])


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
