"""The state of a fleet as metrics, in the text format of Prometheus (0.0.4), for the textfile collector of its node exporter.

Names end in their unit, and each is a gauge: a run of a fleet is a batch job, and the file has the state after the last one.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import get_args

import msgspec
from msgspec import Struct

from deep_lock.fleet.query import hash_conflicts
from deep_lock.fleet.records import ProjectStatus, RepositoryStatus
from deep_lock.models.advisory import SEVERITIES
from deep_lock.sanitize import show

NAME = "fleet.prom"
PREFIX = "deep_lock_fleet_"
EXIT_CODES = (0, 1, 2, 3, 4)


class Metric(Struct, frozen=True, kw_only=True):
    """A gauge."""

    name: str
    """Without the prefix."""
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]


def metrics(connection: sqlite3.Connection) -> str:
    """Return the text. Label values that nothing has are there with 0: else an alert on them would have no data."""
    return "".join(_text(own) for own in _metrics(connection))


def _metrics(connection: sqlite3.Connection) -> Iterable[Metric]:
    def one(statement: str) -> float:
        return float(connection.execute(statement).fetchone()[0] or 0)

    def by(label: str, statement: str, values: Iterable[object]) -> list[tuple[Mapping[str, str], float]]:
        counts = dict.fromkeys(map(str, values), 0.0)
        for value, count in connection.execute(statement):
            counts[str(value)] = counts.get(str(value), 0.0) + count
        return [({label: value}, count) for value, count in counts.items()]

    yield Metric(
        name="repositories",
        help="Repositories by the status of their last result.",
        samples=by("status", "SELECT status, COUNT(*) FROM repository GROUP BY status", get_args(RepositoryStatus)),
    )
    yield Metric(
        name="projects",
        help="Projects by the status of their last result.",
        samples=by("status", "SELECT status, COUNT(*) FROM project GROUP BY status", get_args(ProjectStatus)),
    )
    yield Metric(
        name="repository_exit_codes",
        help="Repositories by the worst exit code of their projects.",
        samples=by("exit_code", "SELECT exit_code, COUNT(*) FROM repository GROUP BY exit_code", EXIT_CODES),
    )
    yield Metric(
        name="dangerous_projects",
        help="Projects whose new lock has a dangerous change.",
        samples=[({}, one("SELECT COUNT(*) FROM project WHERE dangerous > 0"))],
    )
    yield Metric(
        name="findings",
        help="Findings of the last audit of each project, by severity.",
        samples=_findings(connection),
    )
    yield Metric(
        name="hash_conflicts",
        help="File names that have more than one sha256 in the locks.",
        samples=[({}, float(len(hash_conflicts(connection))))],
    )
    yield Metric(
        name="unreadable_locks",
        help="Locks that could not be read.",
        samples=[({}, one("SELECT COUNT(*) FROM lock WHERE fault != ''"))],
    )
    yield Metric(name="locks", help="Different locks.", samples=[({}, one("SELECT COUNT(*) FROM lock"))])
    yield Metric(
        name="killed_workers",
        help="Workers that were killed for the last results of the repositories.",
        samples=[({}, one("SELECT SUM(kills) FROM repository"))],
    )
    yield Metric(
        name="requests",
        help="Requests for the last results of the repositories.",
        samples=[({}, one("SELECT SUM(requests) FROM repository"))],
    )
    yield Metric(
        name="work_seconds",
        help="Wall clock of the workers for the last results of the repositories.",
        samples=[({}, one("SELECT SUM(seconds) FROM repository"))],
    )
    yield Metric(
        name="slowest_repository_seconds",
        help="The longest time of one repository.",
        samples=[({}, one("SELECT MAX(seconds) FROM repository"))],
    )
    newest, oldest = connection.execute("SELECT MAX(finished), MIN(finished) FROM repository").fetchone()
    for name, text, label in (("last", newest, "newest"), ("oldest", oldest, "oldest")):
        if text is not None:
            yield Metric(
                name=f"{name}_result_timestamp_seconds",
                help=f"When the {label} of the last results was made, as Unix time.",
                samples=[({}, datetime.fromisoformat(text).timestamp())],
            )


def _findings(connection: sqlite3.Connection) -> list[tuple[Mapping[str, str], float]]:
    counts: dict[str, float] = dict.fromkeys(("malware", *SEVERITIES), 0.0)
    for (findings,) in connection.execute("SELECT findings FROM project WHERE findings != '[]'"):
        for own in msgspec.json.decode(findings):
            key = "malware" if own["malware"] else show(own["severity"])
            counts[key] = counts.get(key, 0.0) + 1
    return [({"severity": severity}, count) for severity, count in counts.items()]


def _text(own: Metric) -> str:
    name = f"{PREFIX}{own.name}"
    lines = [f"# HELP {name} {own.help}", f"# TYPE {name} gauge"]
    for labels, value in own.samples:
        shown = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}")
    return "\n".join([*lines, ""])


def _label(text: str) -> str:
    """Return the value of a label with the escapes of the format."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
