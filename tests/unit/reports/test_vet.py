"""The output of `vet suggest`."""

import json
from pathlib import Path

from deep_lock.reports.vet import MAX_FILES, Suggestion, suggestions_json, suggestions_text

LOCK = Path("deep.lock")


def test_commands_that_the_text_leaves_out_are_counted_and_all_are_in_the_json() -> None:
    names = tuple(f"demo-2.0-cp31{minor}-cp31{minor}-win_amd64.whl" for minor in range(MAX_FILES + 2))
    own = Suggestion(
        name="demo",
        version="2.0",
        subject="demo 2.0",
        criteria=("safe-to-run",),
        needs_all=True,
        has_covered_files=False,
        base="1.0",
        compared=names,
        whole=(),
        to_read=None,
        size=1,
    )
    text = str(suggestions_text([own], LOCK))
    assert text.count("deep-lock vet diff") == MAX_FILES
    assert "    and 2 more: vet diff demo 1.0 2.0 --file NAME\n" in text
    (row,) = json.loads(str(suggestions_json([own], LOCK)))["suggestions"]
    assert [command.split()[-1] for command in row["commands"] if " diff " in command] == list(names)
