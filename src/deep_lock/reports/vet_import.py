"""What `vet import` changes, for people."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from deep_lock.models.vetting import FileAudit, ImportedAudits
from deep_lock.network.urls import shown_url
from deep_lock.reports.document import document
from deep_lock.sanitize import Safe, counted, joined, line, show


class ImportChange(Struct, frozen=True, kw_only=True):
    """What an import changes for one team."""

    team: str
    pinned: ImportedAudits
    """What is pinned now; of a team that is removed, what was pinned."""
    added: tuple[FileAudit, ...] = ()
    withdrawn: tuple[FileAudit, ...] = ()
    is_removed: bool = False


def as_text(changes: Sequence[ImportChange]) -> Safe:
    """Return a line for each team and for each audit that is added or withdrawn."""
    found: list[Safe] = []
    for change in changes:
        pinned = change.pinned
        pin = f"commit {pinned.commit}" if pinned.commit else f"sha256 {pinned.sha256}"
        where = shown_url(pinned.source.git or pinned.source.url)
        audits = f"{len(pinned.audits)} {'audit' if len(pinned.audits) == 1 else 'audits'}"
        state = "removed" if change.is_removed else f"{audits}, {pin}"
        found.append(line(f"{change.team}: {where}: {state}"))
        found += [line(f"  added      {_audit_text(audit)}") for audit in change.added]
        found += [line(f"  withdrawn  {_audit_text(audit)}") for audit in change.withdrawn]
        found += [] if change.added or change.withdrawn else [line("  no audit changed")]
    return joined(found)


def as_json(changes: Sequence[ImportChange], lock: str, *, written: bool) -> Safe:
    """Return the changes as one document. ``written`` is whether they are in the files now."""
    rows = [
        {
            "team": change.team,
            "from": shown_url(change.pinned.source.git or change.pinned.source.url),
            "commit": change.pinned.commit or None,
            "sha256": change.pinned.sha256,
            "removed": change.is_removed,
            "audits": len(change.pinned.audits),
            "added": [audit_row(audit) for audit in change.added],
            "withdrawn": [audit_row(audit) for audit in change.withdrawn],
        }
        for change in changes
    ]
    return document("vet-import", 1, {"lock": lock, "written": written, "teams": rows})


def audit_row(audit: FileAudit) -> dict[str, Any]:
    """Return an audit as JSON documents have it."""
    return {
        "name": audit.package,
        "version": audit.version or None,
        "from": audit.base_version or None,
        "criteria": audit.criteria,
        "who": audit.who,
        "date": f"{audit.date:%Y-%m-%d}",
        "notes": audit.notes,
        "files": [own.sha256 for own in audit.files],
    }


def _audit_text(audit: FileAudit) -> str:
    base = f" (from {audit.base_version})" if audit.base_version else ""
    files = counted(len(audit.files), "file")
    criteria = ", ".join(audit.criteria)
    return f"{audit.package} {audit.version}{base}: {criteria}, {files}, by {show(audit.who)} on {audit.date}"
