"""A lock as one HTML page for the people who review it.

Law: the page asks nothing of any network, and its policy (CSP) would not let it; text of the lock reaches it only as data,
shown by `display`, and no script writes it as markup. The same lock gives the same bytes.
"""

import base64
import hashlib
from html import escape
from importlib import resources
from string import Template
from typing import Any

import msgspec

from deep_lock.analysis.graph import ROOT, Layers, Step, open_layers, ways_in
from deep_lock.exports.json_document import describe, identify
from deep_lock.exports.view import Exported, View
from deep_lock.models.lock import LockedArchive
from deep_lock.sanitize import show

LONGEST = 2_000
"""Characters of one text: URLs are longer than what a message shows."""
NAME = "deep-lock.html"


def page(view: View) -> Exported:
    """Return the page."""
    layers = open_layers(view.lock_index, view.targets, view.selection)
    style, script = _part("page.css"), _part("page.js")
    text = Template(_part("page.html")).substitute(
        title=escape(show(f"{view.source}: deep-lock report")),
        style=style,
        style_hash=_digest(style),
        script=script,
        script_hash=_digest(script),
        data=_data(_content(view, layers)),
    )
    return Exported(files=((NAME, text),), usage="open {file} in a browser")


def _part(name: str) -> str:
    return resources.files("deep_lock.exports").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return how a policy names the one inline element that may run, or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data(content: Any) -> str:
    """Return JSON that ends no element and begins no comment, wherever in HTML it stands."""
    text = msgspec.json.encode(content).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _content(view: View, layers: Layers) -> dict[str, Any]:
    """Return the JSON document, with places in lists where it has names: each is there once, and a cut cannot mix them up."""
    found = describe(view, layers)
    packages = {package["id"]: place for place, package in enumerate(found["packages"])}
    labels = {label: place for place, label in enumerate(layers.labels)}
    ways = ways_in(layers)
    for package, node in zip(found["packages"], layers.nodes.values(), strict=True):
        source = node.entry.source
        package["source-sha256"] = source.sha256 if isinstance(source, LockedArchive) else None
        # chains stand in the steps, dependencies in the edges
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
    edges = {edge: place for place, edge in enumerate(layers.edges)}
    found["edges"] = [
        [
            -1 if edge.parent == ROOT else packages[identify(edge.parent)],
            packages[identify(edge.child)],
            edge.kind,
            edge.environment.place - 1,
            list(edge.requirements),
            int(edge.declared_only),
        ]
        for edge in layers.edges
    ]
    steps, ends = _steps(ways)
    found["steps"] = [[edges[step.edge], before] for step, before in steps]
    found["ways"] = ends
    shown: dict[str, Any] = _shown(found)
    return shown


def _steps(ways: tuple[Step, ...]) -> tuple[list[tuple[Step, int]], list[int]]:
    """Return every step of the ways with the place of the one before it (-1: the project), and where each way ends."""
    places: dict[int, int] = {}
    steps: list[tuple[Step, int]] = []
    ends: list[int] = []
    for way in ways:
        missing: list[Step] = []
        at: Step | None = way
        while at is not None and id(at) not in places:
            missing.append(at)
            at = at.before
        for step in reversed(missing):
            before = -1 if step.before is None else places[id(step.before)]
            places[id(step)] = len(steps)
            steps.append((step, before))
        ends.append(places[id(way)])
    return steps, ends


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return show(value, LONGEST)
    if isinstance(value, dict):
        return {show(key, LONGEST): _shown(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(own) for own in value]
    return value
