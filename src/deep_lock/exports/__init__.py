"""A lock in the formats that other tools read and enforce."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "build_constraints",
    "cyclonedx",
    "diagram",
    "diff_page",
    "hermeto",
    "html_file",
    "json_document",
    "page",
    "page_body",
    "pylock",
    "requirements",
    "spdx",
    "view",
]

load_at_first_use(
    __name__,
    "build_constraints",
    "cyclonedx",
    "diagram",
    "diff_page",
    "hermeto",
    "json_document",
    "pylock",
    "requirements",
    "spdx",
)
