"""The differences between two locks, for reviewers and for other programs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from msgspec import Struct

Weight = Literal["danger", "look", "version", "quiet"]
"""How important it is to a reviewer, the most important first."""
WEIGHTS: tuple[Weight, ...] = get_args(Weight)
HEADINGS: Mapping[Weight, str] = MappingProxyType(
    {
        "danger": "Dangerous changes",
        "look": "Changes to review",
        "version": "Version changes",
        "quiet": "Details",
    }
)
"""Above the changes of a weight, in each kind of output."""

CODES: dict[str, tuple[int, Weight, str]] = {
    "advisory-new": (1, "danger", "A known vulnerability that does not affect the old lock affects the new one."),
    "hash-changed": (1, "danger", "Other bytes under the same version and file name: published files never change."),
    "file-added-later": (1, "danger", "A file was added to a locked release after the locked ones."),
    "host-new": (2, "danger", "Files come from a host that the old lock does not know."),
    "index-changed": (2, "danger", "A project comes from another index than before."),
    "build-dep-new": (4, "danger", "A project is new in the build environments: its code runs in a build."),
    "wheel-pth": (4, "danger", "A wheel has a file or a module that takes effect whenever Python starts."),
    "wheel-foreign-top-level": (4, "danger", "A wheel has a module of another project or of the standard library."),
    "wheel-command-shadow": (4, "danger", "A wheel has a script with the name of a command that others provide."),
    "native-new": (4, "danger", "A project has native code, and had none."),
    "provenance-lost": (2, "danger", "The publisher was attested, and is not attested any more."),
    "identity-changed": (2, "danger", "Another publisher is attested than before."),
    "identity-new": (5, "danger", "A publisher is attested for the first time."),
    "became-sdist-only": (3, "danger", "A release has no wheel any more: its own code runs when it is built."),
    "build-new": (5, "danger", "A package is built that was not built before: its backend and its own code run."),
    "backend-changed": (5, "danger", "A build uses another backend than before."),
    "requires-changed": (7, "look", "The requirements of a build changed."),
    "build-tool-changed": (
        6,
        "look",
        "A project that runs in a build has another version there, or runs in one more build.",
    ),
    "built-release-changed": (
        6,
        "look",
        "A package that is built from source has another version or source: its own code runs.",
    ),
    "evidence-lowered": (7, "look", "The requirements from a backend were known, and are assumed now."),
    "role-changed": (8, "look", "A project moved between the runtime packages and the build environments."),
    "source-changed": (8, "look", "A project is from another kind of source: an index, a path or a repository."),
    "yanked-new": (8, "look", "A locked release was yanked, or a yanked one is new."),
    "license-changed": (9, "look", "The license of a runtime package changed or disappeared."),
    "package-new": (9, "look", "A project is new among the runtime packages."),
    "build-gone": (10, "look", "A package that is still locked has no build record any more."),
    "wheel-installed": (9, "look", "One of these, but not wheel-pth, is in a wheel of a package that no build uses."),
    "wheel-other-top-level": (10, "look", "A wheel has a module with a name unlike that of its project."),
    "wheel-shared-import": (9, "look", "Two projects that are installed together have the same import name."),
    "contents-new": (
        9,
        "look",
        "A release has native code, scripts, import names or SBOMs that the project did not have.",
    ),
    "contents-gone": (
        12,
        "version",
        "A release lacks native code, scripts, import names or SBOMs that the project had.",
    ),
    "wheel-unreadable": (8, "look", "A wheel cannot be read: its contents are not known."),
    "settings-changed": (10, "look", "The settings, the targets or the inputs of the lock changed."),
    "downgraded": (11, "version", "An older version than before."),
    "advisory-fixed": (11, "version", "A known vulnerability that affects the old lock does not affect the new one."),
    "version-changed": (12, "version", "A newer version than before."),
    "package-gone": (13, "version", "A project is no longer in the lock."),
    "files-changed": (20, "quiet", "Other files of the same release are listed."),
    "edges-changed": (20, "quiet", "The dependencies of a release changed."),
    "marker-changed": (
        20,
        "quiet",
        "The marker of a package changed: it is installed on other targets, or with other extras and groups.",
    ),
    "details-changed": (20, "quiet", "Only details changed: a size, a time, a mark."),
}
"""By code: its rank (1 is read first), its weight, and what it means."""


Part = Literal["builds", "settings", "hosts", "publishers"]
"""A part of a lock that the lock of another tool, or one without builds, does not have."""


class Change(Struct, frozen=True, kw_only=True):
    """One difference."""

    code: str
    name: str
    """The project that changed; "" for the lock itself."""
    was: str = ""
    now: str = ""
    message: str
    """One line, without the name."""
    chain: tuple[str, ...] = ()
    """Why it is in the lock: from a requirement of the project down to it; a build is written "build of NAME VERSION"."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that it affects; empty: all, or none in particular."""

    @property
    def rank(self) -> int:
        return CODES[self.code][0]

    @property
    def weight(self) -> Weight:
        return CODES[self.code][1]


Severity = Literal["error", "finding", "note"]
"""An error fails the command; a finding needs a review; a note is only shown."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""


class Finding(Struct, frozen=True, kw_only=True):
    """One finding of a review."""

    code: str
    id: str = ""
    """Of the exception that covers it, for ``policy --accept``: RULE:NAME==VERSION, or RULE:NAME; "" if none can."""
    severity: Severity
    subject: str
    message: str
    """One line, without the subject."""
    hint: str = ""
    chain: tuple[str, ...] = ()
    """Why the subject is in the lock, from a requirement of the project; a build is written "build of NAME VERSION"."""
    targets: tuple[str, ...] = ()
    """Labels of the targets that it affects; empty: all, or none in particular."""
