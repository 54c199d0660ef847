"""Metrics in the text format of Prometheus: each line is of the format, and counts what the journal has."""

import re
from contextlib import closing

from deep_lock.fleet.metrics import Metric, _text, metrics
from deep_lock.fleet.update import Contents, in_memory
from tests.support.fleet_state import CLICK, CLOSED, FINDING, project, repository

SAMPLE = re.compile(
    r'(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*")\})? (?P<value>-?[0-9.e+]+)'
)
REPLACED = CLOSED.replace(CLICK, "0" * 64)


def test_the_text() -> None:
    results = [
        repository("a", project("a", CLOSED), project("a", REPLACED, "b", status="changed", dangerous=1)),
        repository("b", project("b", CLOSED, action="audit", status="failed", exit_code=1, findings=[FINDING])),
        repository("c", status="killed", exit_code=3, kills=3, seconds=100.0),
    ]
    texts = dict(zip((own.lock_sha256 for own in results[0].projects), (CLOSED, REPLACED), strict=True))
    with closing(in_memory(Contents(journal="", results=results, text_of=texts.get))) as connection:
        text = metrics(connection)
    assert text.endswith("\n")
    values: dict[str, float] = {}
    described: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            described.append(line.split(" ")[2])
            continue
        if line.startswith("# TYPE "):
            assert line.split(" ")[2:] == [described[-1], "gauge"]
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample is not None, line
        assert sample["name"] == described[-1]
        assert f"{sample['name']}{{{sample['labels']}}}" not in values
        values[f"{sample['name'].removeprefix('deep_lock_fleet_')} {sample['labels'] or ''}".strip()] = float(
            sample["value"]
        )
    assert len(described) == len(set(described))
    wanted = {
        'repositories status="done"': 2,
        'repositories status="failed"': 0,
        'repositories status="killed"': 1,
        'projects status="up-to-date"': 1,
        'projects status="changed"': 1,
        'projects status="failed"': 1,
        'projects status="stale"': 0,
        'repository_exit_codes exit_code="1"': 1,
        'repository_exit_codes exit_code="3"': 1,
        "dangerous_projects": 1,
        'findings severity="high"': 1,
        'findings severity="malware"': 0,
        "hash_conflicts": 1,
        "unreadable_locks": 0,
        "locks": 2,
        "killed_workers": 3,
        "requests": 6,
        "work_seconds": 103,
        "slowest_repository_seconds": 100,
        "last_result_timestamp_seconds": 1796004000,
    }
    assert {name: values[name] for name in wanted} == wanted


def test_an_empty_fleet_has_metrics() -> None:
    with closing(in_memory(Contents(journal="", results=[], text_of=dict[str, str]().get))) as connection:
        text = metrics(connection)
    assert 'deep_lock_fleet_projects{status="stale"} 0\n' in text
    assert "timestamp" not in text


def test_a_label_value_is_escaped() -> None:
    text = _text(Metric(name="x", help="X.", samples=[({"label": 'a"\\\nb'}, 1.0)]))
    assert text.splitlines()[-1] == 'deep_lock_fleet_x{label="a\\"\\\\\\nb"} 1'
