"""docs/reference/policy.md lists every key of a policy with its level and meaning, and no others."""

import re
from pathlib import Path
from typing import get_args

import pytest

from deep_lock.config.policy import KEYS, SETTINGS, read_policy_file
from deep_lock.models.changes import CODES, Finding, Severity
from deep_lock.models.policy import AGAINST, PROFILES, RULES, Exemption, Level

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of every table row below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def _names(cell: str) -> list[str]:
    return re.findall(r"`\"?([a-z-]+)\"?`", cell)


def test_every_rule_is_documented_with_its_level() -> None:
    documented = {_names(rule)[0]: (level, meaning) for rule, level, meaning in _rows("Rules")}
    assert documented == {code: (level, meaning or CODES[code][2]) for code, (level, meaning) in RULES.items()}
    first = PAGE.split("With `--against FILE`")[0]
    assert all((f"| `{code}` |" in first) == (code not in AGAINST) for code in RULES)


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Settings", SETTINGS),
        ("Levels", get_args(Level)),
        ("Exceptions", Exemption.__struct_fields__),
    ],
)
def test_every_key_is_documented(heading: str, names: tuple[str, ...]) -> None:
    assert sorted(_names(row[0])[0] for row in _rows(heading)) == sorted(names)


def test_the_json_document_is_documented() -> None:
    keys = [name for row in _rows("The JSON document") for name in _names(row[0])]
    assert set(keys) == set(Finding.__struct_fields__)
    (severity,) = (row[1] for row in _rows("The JSON document") if row[0] == "`severity`")
    assert _names(severity) == list(get_args(Severity))


def test_the_strict_profile_is_documented() -> None:
    rows = {level: _names(rules) for level, rules in _rows_of("level", 'rules of `"strict"`')}
    levels = PROFILES["strict"].levels
    assert rows == {level: sorted(code for code in levels if levels[code] == level) for level in ("error", "finding")}
    assert not [code for code in levels if levels[code] == RULES[code][0]], "the baseline has this level already"


def _rows_of(*heads: str) -> list[list[str]]:
    """Return the cells of the table with these heads."""
    table = PAGE.split(f"| {' | '.join(heads)} |\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[1:]]


def test_the_example_is_read() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    policy = read_policy_file(example.replace("tool.deep-lock.policy.", "").replace("[tool.deep-lock.policy]", ""), "x")
    assert policy.max_depth == 3
    assert [exemption.name for exemption in policy.exceptions] == ["old-library"]
    assert {"exception-expired", "exception-unused"} & KEYS == set()
