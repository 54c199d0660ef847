"""What is shown of a comparison, whatever the form."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from deep_lock.display import show
from deep_lock.model.changes import CODES, Change, Weight
from deep_lock.model.review import Finding

HEADINGS: Mapping[Weight, str] = {
    "danger": "Stop and look",
    "look": "Look",
    "version": "Versions",
    "quiet": "Details",
}
QUIET = {
    "files-changed": "other files of the same release",
    "edges-changed": "other dependencies of the same release",
    "marker-changed": "other markers",
    "record-changed": "other versions inside build environments",
}


class Review(Struct, frozen=True, kw_only=True):
    """A comparison of two locks."""

    old: str
    """What the old one is called: a file, or a revision of one."""
    new: str
    path: str = "deep.lock"
    """The file that the comparison is about, as annotations name it."""
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...] = ()
    """What the policy of the project finds in the new lock."""
    lines: Mapping[str, int] = {}
    """The line of each entry's name in the new file, from 1."""

    def of(self, weight: Weight) -> tuple[Change, ...]:
        """Return the changes of a weight, most important first."""
        return tuple(change for change in self.changes if change.weight == weight)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many changes have each code."""
        return Counter(change.code for change in self.changes)

    def line(self, change: Change) -> int:
        """Return the line that an annotation points at: that of the entry, else the first."""
        return self.lines.get(change.name, 1)


def way(change: Change) -> str:
    """Return the chain that brings a change in, on one line."""
    return " > ".join(show(step) for step in change.chain)


def where(change: Change) -> str:
    """Return the targets that a change touches, on one line; empty where that is all of them."""
    return ", ".join(change.targets)


def told(change: Change) -> str:
    """Return what is said of a change: the project, and what is the case."""
    return f"{show(change.name)}: {show(change.message, limit=600)}" if change.name else show(change.message, limit=600)


def meaning(code: str) -> str:
    """Return what a code means."""
    return CODES[code][2]
