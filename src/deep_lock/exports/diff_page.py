"""What differs between two locks as one HTML page: the dangerous changes first. It has no script."""

from collections.abc import Sequence

from deep_lock.exports.html_file import html_file
from deep_lock.exports.page_body import changes_sections, diff_about, finding_section
from deep_lock.models.changes import Change, Finding
from deep_lock.sanitize import Html, html_text, joined


def diff_page(
    project: str,
    sides: tuple[str, str],
    changes: Sequence[Change],
    findings: Sequence[Finding],
    notes: Sequence[str],
) -> Html:
    """Return the page of two locks, of which ``sides`` has the names: the old one first.

    ``findings`` are those of the policy, ``notes`` are sentences about what was and was not compared.
    """
    old, new = sides
    policy = finding_section("policy", "Policy", findings or None, "")
    parts = {
        "heading": html_text(f"{project or new}: changes"),
        "about": diff_about(old, new, changes, findings),
        "body": joined([policy, changes_sections(changes, old, notes)]),
    }
    return html_file("deep_lock.exports", "diff_page", f"{project or new}: changes since {old}", None, parts)
