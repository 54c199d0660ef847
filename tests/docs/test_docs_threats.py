"""The threat model and the stability promise name tests that exist, and SECURITY.md points to the threat model."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (?!promise|---|actor)(.+?) \| (.+?) \|$",
    (ROOT / "docs" / "project" / "threat-model.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_each_promise_has_tests_that_exist() -> None:
    promises = [(promise, re.findall(r"`([^`]+\.py)`", tests)) for promise, tests in ROWS if ".py`" in tests]
    assert len(promises) > 20
    for promise, files in promises:
        assert files, promise
        for name in files:
            assert "\ndef test_" in (ROOT / "tests" / name).read_text(encoding="utf-8"), (promise, name)


def test_each_stable_thing_has_tests_that_exist() -> None:
    page = (ROOT / "docs" / "project" / "stability.md").read_text(encoding="utf-8")
    files = re.findall(r"`(tests/[^`]+\.py)`", page)
    assert len(files) > 8
    for name in files:
        assert "\ndef test_" in (ROOT / name).read_text(encoding="utf-8"), name


def test_security_md_points_to_the_threat_model() -> None:
    assert "(../docs/project/threat-model.md)" in (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
