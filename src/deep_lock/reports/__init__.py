"""Findings and differences as text, Markdown, JSON and SARIF."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "audit",
    "diff",
    "document",
    "findings",
    "lock_document",
    "lock_summary",
    "outdated",
    "projects",
    "vet",
    "vet_diff",
    "vet_import",
    "why",
]

load_at_first_use(__name__, "lock_summary")
load_at_first_use(
    __name__, "audit", "diff", "lock_document", "projects", "vet", "vet_diff", "vet_import", "why", in_load_all=False
)
