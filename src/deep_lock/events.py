"""What happened, as frozen records, and who may be told.

The library prints nothing: it tells a Reporter. The command line shows some of it; a library user passes `silent`.
"""

from typing import Protocol

from msgspec import Struct


class Warned(Struct, frozen=True, kw_only=True):
    """Something that a person should know. ``code`` is stable and greppable; ``subject`` is what it is about."""

    code: str
    subject: str
    message: str


class Fetching(Struct, frozen=True, kw_only=True):
    """A request was started. ``what`` is a file or project name, for the progress line."""

    what: str


class Fetched(Struct, frozen=True, kw_only=True):
    """A request ended, well or not. ``size`` in bytes."""

    what: str
    size: int = 0


class Solving(Struct, frozen=True, kw_only=True):
    """A problem is being solved. ``subject`` is a sentence part: "runtime" or "build of NAME VERSION"."""

    subject: str
    target: str


class Pinned(Struct, frozen=True, kw_only=True):
    """The resolver pinned a candidate (it may be given up again)."""

    name: str
    version: str


class Building(Struct, frozen=True, kw_only=True):
    """The build of a wheel was started. ``what`` is "NAME VERSION"."""

    what: str


class BuildEnded(Struct, frozen=True, kw_only=True):
    """A build ended, well or not; ``of`` builds are made in this run."""

    what: str
    of: int


Event = Warned | Fetching | Fetched | Solving | Pinned | Building | BuildEnded


class Reporter(Protocol):
    """Is told of events. Called from worker threads too: must be quick and thread-safe, and must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""


def silent(event: Event, /) -> None:
    """The Reporter that forgets: for library use."""
    del event
