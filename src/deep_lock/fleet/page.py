"""The database of a fleet as one HTML page: what is wrong comes first, and each package, file, backend and publisher can be found.

`exports.html_file` says what is true of the page. The same database gives the same bytes.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from deep_lock.exports.html_file import html_file
from deep_lock.fleet.query import HashConflict, hash_conflicts, identity_text
from deep_lock.sanitize import Html

NAME = "fleet.html"
MAX_CHANGES = 40
"""Of one project, the most dangerous first."""
MAX_FILES = 100_000
"""With more files the page has no hashes: it would be too large. `fleet ask has-file` finds them."""
KINDS = ("alarm", "dangerous", "vulnerable", "failed", "stale", "unread", "changed", "up-to-date")
"""What a project can be, the worst first; it may be several of them."""


def page(connection: sqlite3.Connection) -> Html:
    """Return the page."""
    return html_file("deep_lock.fleet", "page", "deep-lock fleet", _content(connection))


def _content(connection: sqlite3.Connection) -> dict[str, Any]:
    conflicts = hash_conflicts(connection)
    projects = [*_projects(connection, conflicts), *_without_projects(connection)]
    projects.sort(key=lambda own: (KINDS.index(own["kinds"][0]), own["repository"], own["project"]))
    numbers = {own.pop("id"): number for number, own in enumerate(projects)}
    names = {(own["repository"], own["project"]): number for number, own in enumerate(projects)}
    files = connection.execute("SELECT COUNT(*) FROM file").fetchone()[0]
    return {
        "finished": connection.execute("SELECT MAX(finished) FROM repository").fetchone()[0],
        "repositories": connection.execute("SELECT COUNT(*) FROM repository").fetchone()[0],
        "kinds": KINDS,
        "projects": projects,
        "releases": _releases(connection, numbers, with_files=files <= MAX_FILES),
        "has-files": files <= MAX_FILES,
        "backends": _backends(connection, numbers),
        "conflicts": [_conflict(own, names) for own in conflicts],
    }


# -- projects

_PROJECTS = """
SELECT project.id, project.repository, path, repository.url, project.commit_id, action, project.status, project.exit_code, project.code,
    project.message, project.hint, warnings, lock_path, packages, builds, targets, changes, dangerous, findings, lock.fault,
    repository.finished
FROM project JOIN repository ON repository.name = project.repository LEFT JOIN lock ON lock.sha256 = project.lock
"""


def _projects(connection: sqlite3.Connection, conflicts: Iterable[HashConflict]) -> Iterable[dict[str, Any]]:
    alarms = {name for own in conflicts for each in own.variants if not each.usual for name in each.projects}
    cursor = connection.execute(_PROJECTS)
    keys = [own[0] for own in cursor.description]
    for values in cursor:
        row = dict(zip(keys, values, strict=True))
        for key in ("warnings", "targets", "changes", "findings"):
            row[key] = msgspec.json.decode(row[key])
        row["fault"] = row["fault"] or ""
        row["project"] = row.pop("path")
        row["kinds"] = _kinds(row, is_alarm=(row["repository"], row["project"]) in alarms)
        row["hidden-changes"] = max(0, len(row["changes"]) - MAX_CHANGES)
        row["changes"] = [
            {key: own[key] for key in ("weight", "name", "was", "now", "message", "chain")}
            for own in row["changes"][:MAX_CHANGES]
        ]
        row["findings"] = [_finding(own) for own in row["findings"]]
        yield row


def _kinds(row: Mapping[str, Any], *, is_alarm: bool) -> list[str]:
    is_failed = row["status"] == "failed" and bool(row["code"] or not row["findings"])
    found = {
        "alarm": is_alarm,
        "dangerous": row["dangerous"] > 0,
        "vulnerable": bool(row["findings"]),
        "failed": is_failed,
        "stale": row["status"] == "stale",
        "unread": bool(row["fault"]),
        "changed": row["status"] == "changed",
    }
    return [kind for kind in KINDS if found.get(kind)] or ["up-to-date"]


def _finding(own: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: own[key] for key in ("id", "aliases", "severity", "name", "version", "summary", "malware")}
    return {**found, "fixed-in": own["fixed-in"], "chains": [use["chain"] for use in own["uses"][:3]]}


def _without_projects(connection: sqlite3.Connection) -> Iterable[dict[str, Any]]:
    """Yield a row for each repository that failed as a whole."""
    rows = connection.execute(
        "SELECT name, url, commit_id, status, exit_code, code, message, hint, finished FROM repository WHERE status != 'done'"
    )
    for name, url, commit, status, exit_code, code, message, hint, finished in rows:
        yield {
            "id": f"repository {name}",
            "repository": name,
            "project": "",
            "url": url,
            "commit_id": commit,
            "action": "",
            "status": status,
            "exit_code": exit_code,
            "code": code,
            "message": message,
            "hint": hint,
            "warnings": [],
            "lock_path": "",
            "packages": 0,
            "builds": 0,
            "targets": [],
            "changes": [],
            "hidden-changes": 0,
            "dangerous": 0,
            "findings": [],
            "fault": "",
            "finished": finished,
            "kinds": ["failed"],
        }


# -- what can be found


def _releases(
    connection: sqlite3.Connection, numbers: Mapping[Any, int], *, with_files: bool
) -> list[tuple[str, str, list[tuple[str, str]], list[str], list[int], list[int]]]:
    """Return each release: name, version, files, publishers, the projects that install it, and those that only build with it."""
    files: dict[int, list[tuple[str, str]]] = {}
    if with_files:
        for release, name, digest in connection.execute(
            "SELECT release, name, sha256 FROM file ORDER BY release, name"
        ):
            files.setdefault(release, []).append((name, digest))
    publishers: dict[int, list[str]] = {}
    for release, identity in connection.execute("SELECT DISTINCT release, identity FROM publisher ORDER BY 1, 2"):
        publishers.setdefault(release, []).append(identity_text(msgspec.json.decode(identity)))
    installed: dict[int, set[int]] = {}
    built: dict[int, set[int]] = {}
    for release, project, role in connection.execute(
        "SELECT DISTINCT release, project.id, role FROM used JOIN usage ON usage.id = used.usage JOIN project ON project.lock = used.lock"
    ):
        (built if role == "build" else installed).setdefault(release, set()).add(numbers[project])
    return [
        (
            name,
            version or source,
            files.get(release, []),
            publishers.get(release, []),
            sorted(installed.get(release, ())),
            sorted(built.get(release, set()) - installed.get(release, set())),
        )
        for release, name, version, source in connection.execute(
            "SELECT id, name, version, source FROM release ORDER BY name, version, source, index_url, digest"
        ).fetchall()
    ]


def _backends(connection: sqlite3.Connection, numbers: Mapping[Any, int]) -> list[tuple[str, list[int]]]:
    """Return each build backend, with the projects that use it."""
    found: dict[str, set[int]] = {}
    for backend, project in connection.execute(
        "SELECT DISTINCT backend, project.id FROM used JOIN usage ON usage.id = used.usage JOIN project ON project.lock = used.lock"
        " WHERE backend != '' ORDER BY backend"
    ):
        found.setdefault(backend, set()).add(numbers[project])
    return [(backend, sorted(projects)) for backend, projects in found.items()]


def _conflict(own: HashConflict, names: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    return {
        "file": own.file,
        "variants": [
            {
                "sha256": each.sha256,
                "usual": each.usual,
                "indexes": each.indexes,
                "projects": [names[name] for name in each.projects],
            }
            for each in own.variants
        ],
    }
