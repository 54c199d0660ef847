"""The audits of other teams: their tables in `config.toml`, and the text of `imports.lock`."""

import re
from collections.abc import Mapping

from packaging.version import Version

from deep_lock.models.vetting import VERSION, AuditImport, FileAudit, ImportedAudits
from deep_lock.pep440 import parse_version
from deep_lock.project import edit
from deep_lock.project.edit import Document
from deep_lock.project.vetting_files import record_text

_HEAD = """\
# The audits that deep-lock vet import took from the teams of config.toml, pinned. Do not edit: run deep-lock vet import.
"""
_VERSION = re.compile(r"^version\s*=.*\n", re.MULTILINE)


def with_import(document: Document, team: str, source: AuditImport) -> Document:
    """Add the source of a team to `config.toml`, sorted by name, above the exemptions.

    Raises ProjectInvalid where that is not possible.
    """
    text = f"[imports.{team}]\n{_source_text(source, is_pin=False)}\n"
    own = [(start, keys[1]) for start, keys in edit.headers(document) if len(keys) > 1 and keys[0] == "imports"]
    below = next((start for start, name in own if name > team), None)
    if below is not None:
        return edit.with_table_at(document, edit.comments_above(document, below), text)
    if own:
        end = edit.entry_spans(document, ("imports", max(name for _, name in own)))[0][1]
        return edit.with_table_at(document, end, f"\n{text}".removesuffix("\n"))
    version = _VERSION.search(document.text)
    return edit.with_table_at(document, version.end() if version else 0, f"\n{text}".removesuffix("\n"))


def without_import(document: Document, team: str) -> Document:
    """Remove the source of a team from `config.toml`. Raises ProjectInvalid where that is not possible."""
    return edit.without_table(document, ("imports", team))


def imports_lock_text(imports: Mapping[str, ImportedAudits]) -> str:
    """Return the text of `imports.lock`: the teams by name, and the audits of each by project and version."""
    parts = [f"{_HEAD}version = {VERSION}\n"]
    for team, own in sorted(imports.items()):
        pin = [edit.assignment("sha256", own.sha256)]
        pin += [edit.assignment("commit", own.commit)] if own.commit else []
        parts.append(f"[imports.{team}]\n{_source_text(own.source, is_pin=True)}" + "\n".join(pin) + "\n")
        parts += [record_text(("audits", team, audit.package), audit) for audit in sorted(own.audits, key=audit_order)]
    return "\n".join(parts)


def audit_order(audit: FileAudit) -> tuple[str, Version]:
    """Return the key that sorts the audits of a team."""
    return audit.package, parse_version(audit.version)


def _source_text(source: AuditImport, *, is_pin: bool) -> str:
    """Return the lines of a source. Its path is left out of `config.toml` where it is the default."""
    is_default = source.path == AuditImport().path
    values = {
        "url": source.url,
        "git": source.git,
        "ref": source.ref,
        "path": source.path if source.git and (is_pin or not is_default) else "",
    }
    return "".join(f"{edit.assignment(key, value)}\n" for key, value in values.items() if value)
