"""What differs between two locks, for a person who must decide, and for programs that show it."""

from typing import Literal

from msgspec import Struct

Weight = Literal["danger", "look", "version", "quiet"]
"""What it asks of a reader: to stop, to look, to know, or nothing."""

CODES: dict[str, tuple[int, Weight, str]] = {
    "hash-changed": (1, "danger", "Other bytes under the same version and file name: published files never change."),
    "host-new": (2, "danger", "Files come from a host that the old lock does not know."),
    "index-changed": (2, "danger", "A project comes from another index than before."),
    "build-dep-new": (4, "danger", "A project is new among what runs while something is built."),
    "became-sdist-only": (3, "danger", "A release has no wheel any more: its own code runs where it is installed."),
    "build-new": (5, "danger", "Something is built that was not: its backend and its own code run."),
    "backend-changed": (5, "danger", "A build is done by other code than before."),
    "requires-changed": (6, "look", "A build asks for something else."),
    "evidence-lowered": (6, "look", "What a backend asks for was known, and is assumed now."),
    "role-changed": (7, "look", "A project moved between the run time and the builds."),
    "source-changed": (7, "look", "A project comes from a release, a path or a repository, and it did not before."),
    "provenance-lost": (7, "look", "Somebody else vouches for a release than for the one before, or nobody."),
    "yanked-new": (7, "look", "A release was yanked that was not, or a yanked one was taken."),
    "license-changed": (8, "look", "What is installed is under another licence than before, or states none any more."),
    "package-new": (8, "look", "A project is new at run time."),
    "build-gone": (9, "look", "Something that is still there has no build record any more."),
    "settings-changed": (9, "look", "The lock was made by other settings, for other targets, or from other inputs."),
    "downgraded": (10, "version", "An older version than before."),
    "version-changed": (11, "version", "A newer version than before."),
    "package-gone": (12, "version", "A project is in the lock no more."),
    "files-changed": (20, "quiet", "Other files of the same release are listed."),
    "edges-changed": (20, "quiet", "A release is said to need other projects."),
    "marker-changed": (20, "quiet", "An entry is installed elsewhere, or for other extras and groups."),
    "details-changed": (20, "quiet", "Nothing else differs, and the locks are not equal: a size, a time, a mark."),
    "record-changed": (20, "quiet", "A build environment holds other versions of the same projects."),
}
"""By code: its rank (1 is read first), its weight, and what it means."""


class Change(Struct, frozen=True, kw_only=True):
    """One difference."""

    code: str
    name: str
    """The project that it is about; "" where it is about the lock."""
    was: str = ""
    now: str = ""
    message: str
    """One line, without the name."""
    chain: tuple[str, ...] = ()
    """What brings it in: from what the project asks for, down to it; a build is written "build of NAME VERSION"."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that it touches; empty: all, or it is not about targets."""

    @property
    def rank(self) -> int:
        return CODES[self.code][0]

    @property
    def weight(self) -> Weight:
        return CODES[self.code][1]


Severity = Literal["error", "finding", "note"]
"""An error fails the command; a finding asks a person to look; a note is said and no more."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that a review found."""

    code: str
    severity: Severity
    subject: str
    message: str
    """One line, without the subject."""
    hint: str = ""
    chain: tuple[str, ...] = ()
    """What brings the subject in, from what the project asks for; a build is written "build of NAME VERSION"."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that it touches; empty: all, or it is not about targets."""
