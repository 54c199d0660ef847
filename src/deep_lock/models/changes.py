"""Differences between two locks, and findings of a review, for people who decide and for programs that show them."""

from typing import Literal, get_args

from msgspec import Struct

Weight = Literal["danger", "look", "version", "quiet"]
"""How much attention a change needs: danger first, quiet none."""

CODES: dict[str, tuple[int, Weight, str]] = {
    "hash-changed": (
        1,
        "danger",
        "The sha256 of a file changed under the same version and file name: published files never change.",
    ),
    "host-new": (2, "danger", "Files come from a host that the old lock does not have."),
    "index-changed": (2, "danger", "A project comes from another index."),
    "build-dep-new": (4, "danger", "A new project runs during a build."),
    "became-sdist-only": (3, "danger", "A release no longer has a wheel: its own code runs where it is installed."),
    "build-new": (5, "danger", "A package is newly built from source: its backend and its own code run."),
    "backend-changed": (5, "danger", "A build uses another backend."),
    "requires-changed": (6, "look", "The build requirements of a package changed."),
    "evidence-lowered": (6, "look", "The build requirements of a package were known, and are now assumed."),
    "role-changed": (7, "look", "A project moved between the runtime and the builds."),
    "source-changed": (7, "look", "The source of a project changed: a release, an archive, a path or a repository."),
    "provenance-lost": (7, "look", "The publisher attestation changed or disappeared."),
    "yanked-new": (7, "look", "A release was yanked, or a yanked release was selected."),
    "license-changed": (8, "look", "The license of an installed package changed, or is no longer stated."),
    "package-new": (8, "look", "A project is new at runtime."),
    "build-gone": (9, "look", "A package that is still in the lock no longer has a build record."),
    "settings-changed": (9, "look", "The settings, targets or inputs of the lock changed."),
    "downgraded": (10, "version", "The version is lower than before."),
    "version-changed": (11, "version", "The version is higher than before."),
    "package-gone": (12, "version", "A project is no longer in the lock."),
    "files-changed": (20, "quiet", "The files of the same release changed."),
    "edges-changed": (20, "quiet", "The dependencies of the same release changed."),
    "marker-changed": (20, "quiet", "The marker of a package changed: its targets, extras or groups."),
    "details-changed": (20, "quiet", "Only details differ: a size, a time, a mark."),
}
"""By code: its rank (1 is read first), its weight, and what it means."""


class Change(Struct, frozen=True, kw_only=True):
    """One difference."""

    code: str
    name: str
    """The project; "" where the change is about the lock."""
    was: str = ""
    now: str = ""
    message: str
    """One line, without the name."""
    chain: tuple[str, ...] = ()
    """What brings it in, from a direct dependency down; a build is written "build of NAME VERSION"."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that it touches; empty: all, or it is not about targets."""

    @property
    def rank(self) -> int:
        return CODES[self.code][0]

    @property
    def weight(self) -> Weight:
        return CODES[self.code][1]


Severity = Literal["error", "finding", "note"]
"""An error fails the command; a finding needs a review; a note is information."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that a review found."""

    code: str
    severity: Severity
    subject: str
    message: str
    """One line, without the subject."""
    hint: str = ""
    chain: tuple[str, ...] = ()
    """What brings the subject in, from a direct dependency down; a build is written "build of NAME VERSION"."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that it touches; empty: all, or it is not about targets."""
