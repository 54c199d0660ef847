"""The part of a page that works without a script: what a reviewer looks for first, then the packages by their use.

Text from outside becomes text of an element, or an https link. Nothing else is markup.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.analysis.graph import Graph, Node, package_paths, path_words, position_paths
from deep_lock.exports.contents import Contents
from deep_lock.exports.view import View, installed_labels
from deep_lock.lockfile.index import Key, called, files_of
from deep_lock.lockfile.selection import InstallSelection
from deep_lock.models.changes import HEADINGS, Change, Finding
from deep_lock.models.lock import Identity, LockedArchive, LockedBuild, LockedPackage, LockedVcs, Needed, source_text
from deep_lock.sanitize import Html, counted, html_element, html_link, html_text, is_link, joined, listed
from deep_lock.targets.short_form import short_form

LONGEST = 2_000
"""Characters of one text."""
RECENT = timedelta(days=7)
MAX_SHOWN = 25
"""Rows of a section that are open at first; the rest is folded."""
MAX_TARGETS = 4
"""Targets that are named; more are counted."""
REASONS: Mapping[Needed, str] = {
    "always": "it has no wheel",
    "targets": "it has no wheel for some targets",
    "forced": "no-binary is set",
    "scope": "build scope all is set",
    "project": "it is the project",
    "direct": "it is a source tree",
}
EVIDENCE: Mapping[str, str] = {
    "static": "",
    "observed": "its backend ran when the lock was made",
    "assumed": "its backend did not run: requirements that it adds are not locked",
}
_HOSTS: Mapping[str, str] = {"GitHub": "https://github.com/", "GitLab": "https://gitlab.com/"}
"""Where the repository of an attested publisher is, by its kind."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a lock and is not in it."""

    now: datetime | None = None
    """For ages; without it only dates are shown."""
    contents: Contents | None = None
    """What its files bring."""
    findings: Sequence[str] = ()
    """What rules find in these files, a sentence each."""
    old: str = ""
    """The name of the lock that it was compared with; empty: it was not."""
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    """On the comparison, a sentence each."""
    vulnerable: tuple[Finding, ...] | None = None
    """None: it was not compared with advisories."""
    unvetted: tuple[Finding, ...] | None = None
    """None: the project has no audits."""


def element(tag: str, *children: Html, name: str = "", **attributes: str) -> Html:
    """Return an element; ``name`` is its class."""
    return html_element(tag, {**({"class": name} if name else {}), **attributes}, *children)


def text(own: str) -> Html:
    return html_text(own, LONGEST)


def body(view: View, graph: Graph, facts: Facts) -> Html:
    """Return the sections that come before the packages, the most urgent first."""
    parts = [
        _summary(view, graph, facts),
        *([changes_sections(facts.changes, facts.old, facts.notes)] if facts.old else []),
        finding_section(
            "vulnerable", "Known vulnerabilities", facts.vulnerable, "No advisory of the database affects the lock."
        ),
        _runs_code(view, graph, facts),
        finding_section("unvetted", "Not vetted", facts.unvetted, "Audits or exemptions cover every file."),
        _recent(graph, facts),
        _publishers(view),
    ]
    return joined(part for part in parts if part)


# -- the head


def title_of(view: View) -> str:
    """Return the name of the project, or that of the file."""
    return view.project or view.source


def about(view: View) -> Html:
    """Return what the lock is for, in a few lines: long lists are folded."""
    lock, labels = view.lock, [target.label for target in view.targets]
    pythons = list(dict.fromkeys(target.python for target in lock.targets if target.name in labels))
    first = [f"{view.source}, {counted(len(labels), 'target')}: {short_form(labels, labels)}"]
    first += [f"Python {lock.requires_python}"] if lock.requires_python else []
    rows = [
        ("targets", labels),
        ("Python", pythons),
        ("extras", sorted(view.extras)),
        ("dependency groups", sorted(view.groups)),
        ("requirements", list(lock.inputs.requirements)),
        ("indexes", [f"{name}: {url}" for name, url in lock.indexes]),
        ("settings", [f"{key} = {_value(value)}" for key, value in lock.options]),
    ]
    facts = [
        html_element(name, {}, content)
        for label, values in rows
        if values
        for name, content in (("dt", text(label)), ("dd", _lines(values)))
    ]
    return joined(
        [
            element("p", text(" · ".join(first)), name="quiet"),
            element(
                "details",
                element("summary", text("Targets, inputs, indexes and settings")),
                element("dl", *facts, name="facts"),
            ),
        ]
    )


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _lines(values: Iterable[str]) -> Html:
    return joined([element("div", text(own)) for own in values])


def _summary(view: View, graph: Graph, facts: Facts) -> Html:
    """Return the answers to the questions of a reviewer, one line each, with links to the sections."""
    built = [node for node in graph.nodes.values() if node.built]
    only = [node.entry.name for node in built if node.entry.sdist_only]
    items = []
    if facts.old:
        danger = [own for own in facts.changes if own.weight == "danger"]
        look = [own for own in facts.changes if own.weight == "look"]
        names = list(dict.fromkeys(own.name or view.source for own in danger))
        label = f"{counted(len(danger), 'dangerous change')} since {facts.old}"
        items.append(_answer("changes-danger" if danger else "changes", label, names, is_bad=bool(danger)))
        if look:
            names = list(dict.fromkeys(own.name or view.source for own in look))
            items.append(_answer("changes-look", f"{counted(len(look), 'change')} to review", names))
    if facts.vulnerable is not None:
        names = list(dict.fromkeys(own.subject for own in facts.vulnerable))
        items.append(_answer("vulnerable", _plural(len(names), "vulnerable package"), names, is_bad=bool(names)))
    names = only + [node.entry.name for node in built if node.entry.name not in only]
    if not _has_builds(view):
        names = _unlocked_builds(graph)
        label = f"builds are not locked: {_plural(len(names), 'package')} without a wheel"
    elif len(built) == 1:
        label = "1 package runs code when it is built"
    else:
        label = f"{_plural(len(built), 'package')} run code when they are built"
    items.append(_answer("code", label, names))
    if facts.unvetted is not None:
        names = list(dict.fromkeys(own.subject for own in facts.unvetted))
        items.append(_answer("unvetted", f"{_plural(len(names), 'package')} not vetted", names, is_bad=bool(names)))
    if facts.now is not None and (recent := _recent_nodes(graph, facts.now)):
        names = [node.entry.name for node in recent]
        items.append(_answer("recent", f"{_plural(len(names), 'package')} published in the last 7 days", names))
    runtime = [node for node in graph.nodes.values() if node.runtime]
    direct = [node.entry.name for node in runtime if node.entry.direct]
    items.append(_answer("packages", f"{_plural(len(runtime), 'package')} at run time, {len(direct)} direct", direct))
    tools = [node.entry.name for node in graph.nodes.values() if node.used]
    items.append(_answer("packages", f"{_plural(len(tools), 'package')} in build environments", tools))
    return element("ul", *items, name="answers")


def _has_builds(view: View) -> bool:
    return dict(view.lock.options).get("build-scope") != "none"


def _unlocked_builds(graph: Graph) -> list[str]:
    """Return the packages that must be built, of a lock without builds. Others may have no wheel for some target."""
    return [node.entry.name for node in graph.nodes.values() if node.entry.sdist_only]


def _plural(count: int, noun: str) -> str:
    return counted(count, noun) if count else f"no {noun}s"


def _answer(target: str, label: str, names: Sequence[str], *, is_bad: bool = False) -> Html:
    shown = [element("span", text(listed(names, 5)), name="quiet names")] if names else []
    return element(
        "li", element("a", text(label[:1].upper() + label[1:]), href=f"#{target}"), *shown, name="bad" if is_bad else ""
    )


# -- what changed


def diff_about(old: str, new: str, changes: Sequence[Change], findings: Sequence[Finding]) -> Html:
    """Return what the page of a comparison compares, and how much was found."""
    danger = list(dict.fromkeys(own.name or new for own in changes if own.weight == "danger"))
    look = list(dict.fromkeys(own.name or new for own in changes if own.weight == "look"))
    items = (
        [_answer("changes-danger", f"Dangerous changes in {counted(len(danger), 'package')}", danger, is_bad=True)]
        if danger
        else []
    )
    items += (
        [_answer("policy", counted(len(findings), "finding") + " of the policy", [], is_bad=True)] if findings else []
    )
    items += [_answer("changes-look", f"Changes to review in {counted(len(look), 'package')}", look)] if look else []
    if not danger:
        items.insert(0, element("li", text("No dangerous change was found.")))
    return joined([element("p", text(f"{old} to {new}"), name="quiet"), element("ul", *items, name="answers")])


def changes_sections(changes: Sequence[Change], old: str, notes: Sequence[str]) -> Html:
    """Return the changes, a part for each weight, the most dangerous first."""
    parts = [element("h2", text(f"Changes since {old}"), id="changes")]
    if not changes:
        parts.append(element("p", text("No differences.")))
    for weight, heading in HEADINGS.items():
        own = [_change(change) for change in changes if change.weight == weight]
        if not own:
            continue
        title = text(f"{heading} ({len(own)})")
        if weight in {"danger", "look"}:
            parts += [element("h3", title, id=f"changes-{weight}", name=weight), _list(own, name="findings")]
        else:
            rows = element("ul", *own, name="findings")
            parts.append(element("details", element("summary", title), rows))
    parts += [element("p", text(note), name="quiet") for note in notes]
    return element("section", *parts, **{"aria-labelledby": "changes"})


def _change(change: Change) -> Html:
    lines = [
        element(
            "div",
            *([element("strong", text(change.name)), text(" ")] if change.name else []),
            text(change.message),
            text(" "),
            element("span", text(change.code), name="code"),
        )
    ]
    if change.chain:
        lines.append(element("div", text(f"via {' > '.join(change.chain)}"), name="quiet"))
    if change.targets:
        lines.append(element("div", text(f"on {listed(change.targets, MAX_TARGETS)}"), name="quiet"))
    return element("li", *lines, name=change.weight)


def finding_section(identity: str, heading: str, findings: Sequence[Finding] | None, none: str) -> Html:
    if findings is None:
        return text("")
    title = f"{heading} ({len(findings)})" if findings else heading
    rows = _list([_finding(own) for own in findings], name="findings") if findings else element("p", text(none))
    return element("section", element("h2", text(title), id=identity), rows, **{"aria-labelledby": identity})


def _finding(own: Finding) -> Html:
    lines = [element("div", element("strong", text(own.subject)), text(f" {own.message}"))]
    lines += [element("div", text(f"via {' > '.join(own.chain)}"), name="quiet")] if own.chain else []
    lines += [element("div", text(own.hint), name="quiet")] if own.hint else []
    return element("li", *lines, name="danger" if own.severity == "error" else "look")


def _list(items: Sequence[Html], name: str) -> Html:
    first = element("ul", *items[:MAX_SHOWN], name=name)
    if len(items) <= MAX_SHOWN:
        return first
    more = element("summary", text(f"{len(items) - MAX_SHOWN} more"))
    return joined([first, element("details", more, element("ul", *items[MAX_SHOWN:], name=name))])


# -- what runs code


def _runs_code(view: View, graph: Graph, facts: Facts) -> Html:
    """Return each build by the name of what is built, the least known first. Equal builds are one row."""
    paths = package_paths(position_paths(graph))
    found: dict[tuple[str, ...], list[tuple[tuple[int, int, int], LockedBuild]]] = {}
    for made in graph.environments:
        build = made.record
        if build is None:
            continue
        node = graph.nodes.get(made.subject)
        chain = path_words(graph, paths[made.subject])[:-1] if made.subject in paths else ()
        order = ("assumed", "observed", "static").index(build.evidence)
        urgency = (order, 0 if node is not None and node.entry.sdist_only else 1, made.level)
        lines = _build_lines(build, chain, graph.labels_of(made.targets), graph.labels)
        found.setdefault(lines, []).append((urgency, build))
    items = sorted(
        (
            min(urgency for urgency, _ in own),
            min(called(build) for _, build in own),
            [called(build) for _, build in own],
            lines,
        )
        for lines, own in found.items()
    )
    parts = [element("h2", text("What runs code"), id="code")]
    parts.append(element("p", text(_code_sentence(len(items), view, graph)), name="quiet"))
    if facts.findings:
        parts.append(
            element("ul", *[element("li", text(own), name="danger") for own in facts.findings], name="findings")
        )
    parts += [_list([_build(names, lines, is_known=urgency[0] > 0) for urgency, _, names, lines in items], "findings")]
    return element("section", *parts, **{"aria-labelledby": "code"})


def _code_sentence(builds: int, view: View, graph: Graph) -> str:
    if not _has_builds(view):
        names = _unlocked_builds(graph)
        without = f" without a wheel: {', '.join(names)}." if names else "."
        return f"The lock has no builds (build scope none). What builds run is not known. {_plural(len(names), 'package').capitalize()}{without}"
    if not builds:
        return "Only wheels are installed. No package runs code when it is installed."
    return (
        "A wheel runs no code when it is installed. A package that is built from source runs its build backend, its own code "
        "and its build environment on the machine that installs it."
    )


def _build_lines(
    build: LockedBuild, chain: Sequence[str], labels: Sequence[str], every: Sequence[str]
) -> tuple[str, ...]:
    """Return what a row says of a build after its name: the reason, the environment, the evidence, what requires it."""
    where = "" if len(labels) == len(every) else f" ({short_form(labels, every)})"
    editable = " as an editable installation" if build.hook == "editable" else ""
    runs = [f"{own.name} {own.version}" for own in build.packages]
    in_tree = " in its own source tree" if build.backend_path else ""
    environment = f"build environment: {listed(runs, 8)}" if runs else "empty build environment"
    return (
        f"built{editable}{where}: {REASONS[build.needed]}.",
        f"Backend {build.backend}{in_tree}; {environment}.",
        f"Build requirements are {build.evidence}: {EVIDENCE[build.evidence]}." if EVIDENCE[build.evidence] else "",
        "It has a Cargo.lock: these crates are not in this lock." if build.cargo_lock else "",
        f"Required by {' > '.join(chain) or 'the project'}." if build.needed != "project" else "",
    )


def _build(names: Sequence[str], lines: Sequence[str], *, is_known: bool) -> Html:
    first, backend, *rest = lines
    verb = "is" if len(names) == 1 else "are"
    head = element("div", element("strong", text(listed(sorted(set(names)), 10))), text(f" {verb} {first}"))
    quiet = [element("div", text(own), name="quiet") for own in rest if own]
    return element("li", head, element("div", text(backend)), *quiet, name="look" if is_known else "danger")


# -- age and publishers


def published(entry: LockedPackage) -> datetime | None:
    """Return when the newest file was uploaded."""
    return max((file.upload_time for file in files_of(entry) if file.upload_time is not None), default=None)


def _recent_nodes(graph: Graph, now: datetime) -> list[Node]:
    found = [(own, node) for node in graph.nodes.values() if (own := published(node.entry)) and now - own < RECENT]
    return [node for _, node in sorted(found, key=lambda row: (row[0], row[1].entry.name), reverse=True)]


def _recent(graph: Graph, facts: Facts) -> Html:
    nodes = _recent_nodes(graph, facts.now) if facts.now is not None else []
    if not nodes:
        return text("")
    rows = []
    for node in nodes:
        moment = published(node.entry)
        use = "at run time" if node.runtime else "in builds"
        label = f" {use}, published {_age(moment, facts.now)}" if moment else ""
        rows.append(element("li", element("strong", text(called(node.entry))), text(label)))
    heading = element("h2", text(f"Published in the last 7 days ({len(nodes)})"), id="recent")
    return element("section", heading, _list(rows, name="findings"), **{"aria-labelledby": "recent"})


def _age(moment: datetime, now: datetime | None) -> str:
    date = f"{moment:%Y-%m-%d}"
    if now is None:
        return date
    days = (now - moment).days
    return f"{date} ({'today' if days <= 0 else counted(days, 'day')})"


def _publishers(view: View) -> Html:
    """Return who published the packages, as their indexes attest it; empty where nothing is recorded."""
    by: dict[str, list[str]] = {}
    for entry in view.lock.packages:
        for identity in entry.attestation_identities:
            by.setdefault(identity_words(identity), []).append(called(entry))
    if not by:
        return text("")
    rows = [
        element("li", element("strong", text(who)), text(f": {listed(names, 8)}")) for who, names in sorted(by.items())
    ]
    heading = element("summary", text(f"Attested publishers ({len(by)})"))
    return element("details", heading, element("ul", *rows, name="findings"), id="publishers")


def identity_words(identity: Identity) -> str:
    rest = ", ".join(own for key, own in identity if key != "kind")
    return f"{dict(identity).get('kind', '')} {rest}".strip()


# -- packages


def packages(view: View, graph: Graph, facts: Facts) -> Html:
    """Return the table of packages: run time (direct, transitive, of extras and groups), then builds by level."""
    base, above = installed_labels(view, _base(view)), _parents(graph, facts.contents)
    groups: dict[str, list[tuple[int, Node]]] = {}
    for place, (key, node) in enumerate(graph.nodes.items()):
        groups.setdefault(_group(node, key in base, base), []).append((place, node))
    bodies = []
    for name in sorted(groups, key=_group_order):
        nodes = sorted(groups[name], key=lambda own: (own[1].entry.name, own[0]))
        head = element("tr", element("th", text(f"{name} ({len(nodes)})"), colspan="6", scope="rowgroup"), name="group")
        bodies.append(
            element("tbody", head, *[_row(place, node, graph, above.get(node.key, ()), facts) for place, node in nodes])
        )
    heads = [element("th", text(own), scope="col") for own in COLUMNS]
    caption = element("caption", text("The packages of the lock, by their use"), name="unseen")
    return element("table", caption, element("thead", element("tr", *heads)), *bodies, id="rows")


COLUMNS = ("Package", "Code", "Required by", "License", "Published", "Size")


def _base(view: View) -> tuple[InstallSelection, ...]:
    """Return what is installed without extras; of the groups only those that are the default."""
    groups = frozenset(view.lock.default_groups) & view.groups
    return (InstallSelection(groups=groups),)


def _group(node: Node, is_base: bool, base: Mapping[Key, object]) -> str:  # noqa: FBT001
    if not node.runtime:
        return f"Builds, level {node.level}"
    if not is_base and base:
        return "Run time, only with extras or dependency groups"
    return "Run time, direct" if node.entry.direct else "Run time, transitive"


def _group_order(name: str) -> tuple[int, int, str]:
    first = ("Run time, direct", "Run time, transitive", "Run time, only with extras or dependency groups")
    return (first.index(name), 0, name) if name in first else (len(first), int(name.rpartition(" ")[2]), name)


def _row(place: int, node: Node, graph: Graph, above: Sequence[str], facts: Facts) -> Html:
    entry = node.entry
    marks = []
    if node.built:
        count, every = len(graph.labels_of(node.built)), len(graph.labels)
        label = "built from source" if entry.sdist_only or count == every else f"built on {count} of {every} targets"
        marks.append(element("span", text(label), name="mark only" if entry.sdist_only else "mark built"))
    elif entry.sdist_only:  # of a lock without builds
        marks.append(element("span", text("no wheel"), name="mark only"))
    if native := native_words(entry, facts.contents):
        marks.append(element("span", text(native), name="mark"))
    if entry.yanked is not None:
        marks.append(element("span", text("yanked"), name="mark only"))
    moment = published(entry)
    sizes = [file.size for file in files_of(entry) if file.size is not None]
    cells = [
        element("td", *marks),
        element("td", text(listed(above, 3))),
        element("td", text(entry.license or "")),
        element("td", text(_age(moment, facts.now) if moment else "")),
        element("td", text(_size(max(sizes)) if sizes else ""), name="number"),
    ]
    name = element("span", text(entry.name), name="name")
    head = element("th", name, text(" "), element("span", text(entry.version or ""), name="quiet"), scope="row")
    return element("tr", head, *cells, **{"data-place": str(place)})


def _parents(graph: Graph, contents: Contents | None) -> dict[Key, list[str]]:
    """Return what requires each package, the project first, with the requirements that the lock has."""
    found: dict[Key, list[str]] = {}
    ranges = {key: stated_ranges(node.entry, contents) for key, node in graph.nodes.items()} if contents else {}
    for edge in graph.edges:
        parent, record = edge.parent, edge.parent.environment.record
        if parent.key is not None:
            name = graph.nodes[parent.key].entry.name
        else:
            name = f"build of {record.name}" if record is not None else "the project"
        stated = ranges.get(parent.key, {}).get(graph.nodes[edge.child.subject].entry.name, []) if parent.key else []
        requirements = edge.requirements or stated
        wanted = f" ({listed(requirements, 2)})" if requirements else ""
        names = found.setdefault(edge.child.subject, [])
        if f"{name}{wanted}" not in names:
            names.append(f"{name}{wanted}")
    return found


def native_words(entry: LockedPackage, contents: Contents | None) -> str:
    """Return whether a package has native code: by the bytes of its files, or else by the names of its wheels."""
    known = [contents[file.sha256] for file in files_of(entry) if contents and file.sha256 in contents]
    if known:
        return "native code" if any(own.native for own in known) else ""
    return "native wheels" if any(not file.name.endswith("-any.whl") for file in entry.wheels) else ""


def links(entry: LockedPackage, contents: Contents | None) -> list[tuple[str, str]]:
    """Return (label, URL) of the pages of a package: its index, its source, the attested repository, those of its metadata."""
    found = [("index", f"{entry.index.rstrip('/')}/{entry.name}/")] if entry.index else []
    match entry.source:
        case LockedVcs() | LockedArchive() if entry.source.url:
            found.append(("source", entry.source.url))
    for identity in entry.attestation_identities:
        own = dict(identity)
        if own.get("kind") in _HOSTS and own.get("repository"):
            found.append(("attested source", f"{_HOSTS[own['kind']]}{own['repository']}"))
    for file in files_of(entry):
        if contents and file.sha256 in contents:
            found += [(f"{label} (stated by the package)", url) for label, url in contents[file.sha256].links]
            break
    return [(label, url) for label, url in dict.fromkeys(found) if is_link(url)]


def stated_ranges(entry: LockedPackage, contents: Contents | None) -> dict[str, list[str]]:
    """Return the requirements of a package by the project that they name, as far as its files were read."""
    found: dict[str, list[str]] = {}
    for file in files_of(entry):
        for wanted in contents[file.sha256].requires if contents and file.sha256 in contents else ():
            name = canonicalize_name(re.split(r"[^A-Za-z0-9._-]", wanted, maxsplit=1)[0])
            if wanted not in found.setdefault(name, []):
                found[name].append(wanted)
    return found


def _size(size: int) -> str:
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"


def files(graph: Graph, facts: Facts) -> Html:
    """Return the names and hashes of all files and the links, folded: the lock has them too."""
    rows = []
    for node in graph.nodes.values():
        own = [
            element(
                "div",
                element("code", text(file.name)),
                text(" "),
                element("code", text(f"sha256 {file.sha256}"), name="hash"),
            )
            for file in files_of(node.entry)
        ]
        own = own or [element("div", text(source_text(node.entry.source) or "no file"), name="quiet")]
        own += [element("div", html_link(url, label)) for label, url in links(node.entry, facts.contents)]
        rows += [element("dt", text(called(node.entry))), element("dd", *own)]
    total = sum(len(files_of(node.entry)) for node in graph.nodes.values())
    return element(
        "details", element("summary", text(f"Files, hashes and links ({total})")), element("dl", *rows), id="files"
    )
