"""Events of a run, as frozen records.

The library prints nothing: it passes events to a Reporter. The command line shows some of them; a library user passes `silent`.
"""

from typing import Protocol

from msgspec import Struct


class Warned(Struct, frozen=True, kw_only=True):
    """A warning. ``code`` is stable; ``subject`` is what it is about."""

    code: str
    subject: str
    message: str


class Fetching(Struct, frozen=True, kw_only=True):
    """A request started. ``name`` is that of a file or project, for the progress line."""

    name: str


class Fetched(Struct, frozen=True, kw_only=True):
    """A request ended, with or without success. ``size`` in bytes."""

    name: str
    size: int = 0


class FromCache(Struct, frozen=True, kw_only=True):
    """The cache had what would be requested else: an index page, metadata or a file of this name."""

    name: str


class PageRead(Struct, frozen=True, kw_only=True):
    """The page of a project was read, from an index or from the cache: a run with the same pages has the same result.

    ``digest`` is that of its content; empty where the index does not have the project.
    """

    url: str
    digest: str


class MayChange(Struct, frozen=True, kw_only=True):
    """Something was read, or was not possible, that may differ in the next run though each page is the same.

    ``name`` is what, as "the branch main of URL".
    """

    name: str


class TargetStarted(Struct, frozen=True, kw_only=True):
    """The resolution of everything for one target started: the ``number``-th of ``total``. A run can make several rounds."""

    target: str
    number: int
    total: int


class Solving(Struct, frozen=True, kw_only=True):
    """A resolution started. ``subject`` is "runtime" or "build of NAME VERSION"."""

    subject: str
    target: str


class Building(Struct, frozen=True, kw_only=True):
    """The build of a wheel started. ``name`` is "NAME VERSION"."""

    name: str


class BuildEnded(Struct, frozen=True, kw_only=True):
    """A build ended, with or without success; ``total`` is the number of builds of the run."""

    name: str
    total: int


class Planning(Struct, frozen=True, kw_only=True):
    """The plan of a fleet continues: ``done`` of ``total``. ``subject`` is "looking up commits" or "requesting pages"."""

    subject: str
    done: int
    total: int


class RepositoryRetried(Struct, frozen=True, kw_only=True):
    """An attempt to work on a repository of a fleet failed, or its worker was killed: another one follows."""

    name: str
    attempt: int
    """The one that failed; the first is 1."""
    pause: float
    """Seconds until the next one."""
    reason: str


class RepositoryEnded(Struct, frozen=True, kw_only=True):
    """The work on a repository of a fleet ended, with or without success: the ``done``-th of ``total``."""

    name: str
    done: int
    total: int
    failed: int
    """How many have failed so far."""
    seconds: float
    """Since the run began."""


Event = (
    Warned
    | Fetching
    | Fetched
    | FromCache
    | PageRead
    | MayChange
    | TargetStarted
    | Solving
    | Building
    | BuildEnded
    | Planning
    | RepositoryRetried
    | RepositoryEnded
)


class Reporter(Protocol):
    """Receives events, from worker threads too: must be quick and thread-safe, and must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Receive one event."""


def silent(event: Event, /) -> None:
    """The Reporter that ignores all events: for library use."""
    del event
