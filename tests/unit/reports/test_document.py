"""The location in the document of an error."""

import pytest

from deep_lock.reports.document import Failure, failure_row


@pytest.mark.parametrize(
    ("message", "location"),
    [
        ("pyproject.toml:11 [project.dependencies]: bad", ("pyproject.toml", 11)),
        ("pyproject.toml: is not valid TOML: Expected ']' (at line 3, column 9)", ("pyproject.toml", 3)),
        (
            "no set of versions fits the runtime on T:\n  pyproject.toml:7 [a] requires x\n  b.py:1 c",
            ("pyproject.toml", 7),
        ),
        ("deep.lock is stale:\n  the inputs changed", ("deep.lock", None)),
        ("reqs/dev.txt:3: bad", ("reqs/dev.txt", 3)),
        ("C:/a/deep-lock.toml: bad", ("C:/a/deep-lock.toml", None)),
        ("-P tomli: the lock does not use tomli", None),
        ("lib 1.0: a.toml:3 is bad", None),
        ("there is no option --x", None),
        ("a.example:8443 is not a host of this run", None),
        ("host:80: is not a host of this run", None),
    ],
)
def test_an_error_about_a_file_has_its_location(message: str, location: tuple[str, int | None] | None) -> None:
    row = failure_row(Failure(code="user-error", exit_code=2, message=message))
    assert (row.get("path"), row.get("line")) == (location or (None, None))
    assert row.keys() >= {"path"} if location else "path" not in row
    refused = failure_row(Failure(code="safety-error", exit_code=4, message=message))
    assert "path" not in refused, "it can quote a file of a release"
