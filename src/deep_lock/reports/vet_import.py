"""What `vet import` changes, for people."""

from collections.abc import Sequence

from msgspec import Struct

from deep_lock.models.vetting import FileAudit, ImportedAudits
from deep_lock.network.urls import shown_url
from deep_lock.sanitize import Safe, joined, line, show


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


def _audit_text(audit: FileAudit) -> str:
    base = f" (from {audit.base_version})" if audit.base_version else ""
    files = f"{len(audit.files)} {'file' if len(audit.files) == 1 else 'files'}"
    criteria = ", ".join(audit.criteria)
    return f"{audit.package} {audit.version}{base}: {criteria}, {files}, by {show(audit.who)} on {audit.date}"
