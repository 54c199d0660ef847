"""How severe a vulnerability is: CVSS 2, 3 and 4, by the library of the same name."""

import re
from collections.abc import Iterable, Mapping

from cvss import CVSS2, CVSS3, CVSS4, CVSSError
from msgspec import Struct

from deep_lock.boundary import reading
from deep_lock.errors import AdvisoryInvalid
from deep_lock.models.advisory import SEVERITIES, Advisory, Severity

MAX_VECTOR = 500
_WORDS: Mapping[str, Severity] = {
    **{severity: severity for severity in SEVERITIES},
    "moderate": "medium",
    "important": "high",
}
_LEAST: tuple[tuple[float, Severity], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
"""The lowest score of each rating (CVSS 3.1 and 4.0). CVSS 2 has no ratings: its scores are rated the same way."""
_VERSION = re.compile(r"CVSS:([34])\.\d/")


class Rated(Struct, frozen=True, kw_only=True):
    """The severity of a vulnerability."""

    severity: Severity = "unknown"
    score: float | None = None
    """0.0 to 10.0; None where there is no vector that can be read."""
    vector: str = ""
    """The one that the score is of."""


def rate(advisories: Iterable[Advisory]) -> Rated:
    """Return the highest score of the vectors of any of these records; without one, the worst word of a database."""
    every = tuple(advisories)
    scored = [
        (score, vector)
        for vector in dict.fromkeys(vector for own in every for vector in own.vectors)
        if (score := score_of(vector)) is not None
    ]
    if scored:
        score, vector = max(scored, key=lambda own: own[0])
        return Rated(severity=severity_of(score), score=score, vector=vector)
    words = {_WORDS[word] for own in every if (word := own.rating.strip().lower()) in _WORDS}
    return Rated(severity=min(words, key=SEVERITIES.index, default="unknown"))


def severity_of(score: float) -> Severity:
    """Return the rating of a score."""
    return next((severity for least, severity in _LEAST if score >= least), "none")


def score_of(vector: str) -> float | None:
    """Return the score of a vector; None for what is none."""
    found = _VERSION.match(vector)
    kind = {"3": CVSS3, "4": CVSS4}[found[1]] if found is not None else CVSS2
    try:
        with reading("a CVSS vector", AdvisoryInvalid):
            if len(vector) > MAX_VECTOR:
                return None
            return float(kind(vector).base_score)
    except (AdvisoryInvalid, CVSSError):
        return None
