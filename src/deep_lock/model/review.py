"""What a review of a lock finds: the noun that every reviewer gives back."""

from typing import Literal

from msgspec import Struct

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
