"""The result of a run that locks, for its JSON document."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from deep_lock.cli import failures
from deep_lock.cli.observed import Observed
from deep_lock.cli.session import Session
from deep_lock.errors import Stale
from deep_lock.locking.lock import Checked, Outcome
from deep_lock.reports import document, lock_document, lock_summary
from deep_lock.sanitize import lines


class LockRecord:
    """The keys of `deep-lock/lock`, filled while the run works. Where no document is requested it has none."""

    def __init__(self, session: Session, form: str) -> None:
        self.is_wanted = form == "json"
        self.observed = Observed()
        self._now = session.context.now
        # this loads the modules that the document needs: none is loaded after the first request
        self._keys: dict[str, Any] = dict(lock_document.EMPTY) if self.is_wanted else {}

    def set(self, key: str, value: Any) -> None:
        """Set one key."""
        self._keys[key] = value

    def set_checked(self, checked: Checked, status: str) -> None:
        """Set what --check found."""
        if self.is_wanted:
            self._keys |= {"status": status, "path": checked.path.as_posix(), "reasons": checked.reasons}
            if checked.lock is not None:
                self._keys |= lock_document.lock_keys(checked.lock, checked.text)

    def set_outcome(self, outcome: Outcome, *, dry_run: bool) -> None:
        """Set what was locked."""
        if self.is_wanted:
            changed = "would-change" if dry_run else "written"
            self._keys |= lock_document.lock_keys(outcome.lock, outcome.text) | {
                "status": changed if outcome.changed else "up-to-date",
                "path": outcome.path.as_posix(),
                "changes": lock_document.change_rows(outcome.previous, outcome.lock, self._now),
                "kept-options": outcome.kept_options,
                "changed-limits": outcome.changed_limits,
                "compared-wheels": outcome.compared,
            }

    def report(self, session: Session, outcome: Outcome) -> None:
        """Write for people what changed, the numbers of the lock, and what runs code. -v lists everything."""
        limit = None if session.printer.verbosity > 0 else lock_summary.MAX_ROWS
        seconds = self.observed.seconds
        session.printer.rows(lock_summary.summary(outcome.lock, outcome.previous, seconds=seconds, limit=limit))

    def set_path(self, path: Path) -> None:
        """Set which lock the run is about."""
        self._keys["path"] = path.as_posix()

    def write_difference(self, session: Session, text: str) -> None:
        """Show what a dry run would change in a file of the user: in the document, or on stdout."""
        if self.is_wanted:
            self._keys["difference"] += text
        else:
            session.printer.data(lines(text))

    def set_failure(self, error: Exception) -> None:
        """Set why the run ended."""
        if self.is_wanted:
            status = "stale" if isinstance(error, Stale) else "failed"
            self._keys |= {"status": status, "error": document.failure_row(failures.describe(error))}

    def row(self) -> dict[str, Any]:
        """Return the keys."""
        return {**self._keys, **self.observed.row()}


@contextmanager
def lock_document_of(session: Session, form: str) -> Iterator[LockRecord]:
    """Give the record of a run, and write its document at the end where that is requested, also of one that fails."""
    record = LockRecord(session, form)
    try:
        yield record
    except click.exceptions.Exit:
        _write(session, record)
        raise
    except Exception as error:
        record.set_failure(error)
        _write(session, record)
        raise
    _write(session, record)


def _write(session: Session, record: LockRecord) -> None:
    if record.is_wanted:
        session.printer.data(document.document(lock_document.NAME, lock_document.VERSION, record.row()))
