"""Severities: vectors of each version of CVSS, words of databases, and what is neither."""

import pytest

from deep_lock.analysis.severity import rate, score_of, severity_of
from deep_lock.models.advisory import Advisory
from tests.support.advisories import CRITICAL, MEDIUM, V2, V4


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        (CRITICAL, 9.8),
        (MEDIUM, 4.2),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        (V4, 8.7),
        (V2, 7.5),
        ("", None),
        ("CVSS:3.1/AV:N", None),
        ("CVSS:9.0/AV:N", None),
        ("nonsense", None),
        ("CVSS:3.1/" + "AV:N/" * 1000, None),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:\ud800", None),
    ],
)
def test_the_score_of_a_vector(vector: str, score: float | None) -> None:
    assert score_of(vector) == score


def test_the_ratings_of_scores() -> None:
    assert [severity_of(score) for score in (0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10.0)] == [
        *("none", "low", "low", "medium", "medium", "high", "high", "critical", "critical")
    ]


def test_the_highest_score_counts_then_the_worst_word() -> None:
    assert rate([Advisory(id="A", vectors=(MEDIUM, V4)), Advisory(id="B", rating="CRITICAL")]).severity == "high"
    assert (
        rate([Advisory(id="A", vectors=("x",), rating="MODERATE"), Advisory(id="B", rating="low")]).severity == "medium"
    )
    assert rate([Advisory(id="A", rating="dreadful")]).severity == "unknown"
    assert rate([]).severity == "unknown"
