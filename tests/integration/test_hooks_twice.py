"""`--observe`: each hook is called twice, and two different answers are an error that names both (exit 4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox import sandbox
from tests.support.scenarios import MINOR, Bench, bench

REQUIRES = "import os, random, sys, time, tempfile\ndef get_requires_for_build_wheel(config_settings=None):\n    {}\n"
METADATA = """
import os, time
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, "thing-1.0.dist-info"))
    with open(os.path.join(folder, "thing-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n" + {})
    return "thing-1.0.dist-info"
"""
STABLE: dict[str, Any] = {"tool 1.0": {}, "tool 2.0": {}, "other 1.0": {}, "base 1.0": {}}


def thing(backend: str, **more: object) -> dict[str, Any]:
    return {
        "wheels": [],
        "sdist": True,
        "build": ["base"],
        "backend": "own",
        "backend-path": ["."],
        "tree": {"own.py": backend},
        **more,
    }


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    with bench(tmp_path, capfd, monkeypatch, STABLE) as own:
        own.pythons, own.platforms, own.hooks = [MINOR], ["host"], "sandbox"
        own.ask("thing")
        yield own


@pytest.mark.parametrize(
    "body",
    [
        "return ['tool; python_version < \"9.%d\"' % (hash('text') % 10**9)]",
        "return ['tool'] if 'again' in os.environ['HOME'] else ['other']",
        "return ['tool==' + ('2.0' if time.tzname[0] != 'UTC' else '1.0')]",
        "return ['tool'] if 'again' in tempfile.gettempdir() else []",
        "return ['tool; python_version < \"9.%d\"' % time.time_ns()]",
        "return ['tool'] if not os.environ.get('CI') else sys.exit('no')",
    ],
    ids=["hash-seed", "home", "time-zone", "temporary-folder", "clock", "fails-once"],
)
def test_requirements_that_differ(made: Bench, body: str) -> None:
    made.hold({**STABLE, "thing 1.0": thing(REQUIRES.format(body))})
    ran = made.lock("--observe")
    assert (ran.code, ran.text) == (4, "")
    assert "two different results for get_requires_for_build_wheel" in ran.stderr
    assert "first" in ran.stderr
    assert "then" in ran.stderr


def test_both_answers_are_named(made: Bench) -> None:
    body = "return ['tool==1.0'] if not os.environ.get('CI') else ['other']"
    made.hold({**STABLE, "thing 1.0": thing(REQUIRES.format(body))})
    assert "first tool==1.0, then other" in made.lock("--observe").stderr
    assert made.lock().code == 0, "without --observe it is called once"


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("('Requires-Dist: tool\\n' if os.environ.get('CI') else 'Requires-Dist: other\\n')", "first other, then tool"),
        ("'Requires-Python: >=3.%d\\n' % (8 if os.environ.get('CI') else 7)", "first >=3.7, then >=3.8"),
        ("('Provides-Extra: more\\n' if os.environ.get('CI') else '')", "Provides-Extra: first nothing, then more"),
    ],
)
def test_metadata_that_differ(made: Bench, field: str, named: str) -> None:
    made.hold({**STABLE, "thing 1.0": thing(METADATA.format(field), **{"metadata-version": "2.1"})})
    ran = made.lock("--observe")
    assert (ran.code, ran.text) == (4, "")
    assert "two different results for prepare_metadata_for_build_wheel" in ran.stderr
    assert named in ran.stderr


def test_answers_that_are_the_same(made: Bench) -> None:
    """The order of a set is no difference, and neither is a comment in METADATA: the lock has the same bytes."""
    body = "return list({'tool', 'other', 'base'})"
    text = METADATA.format("'Requires-Dist: tool\\nSummary: %d\\n' % time.time_ns()")
    made.hold({**STABLE, "thing 1.0": thing(REQUIRES.format(body) + text, **{"metadata-version": "2.1"})})
    ran = made.lock("--observe")
    assert ran.code == 0, ran.stderr
    assert 'evidence = "observed"' in ran.text
    assert made.lock("--observe", "--refresh").text == ran.text


def test_an_answer_of_one_call_is_not_taken_for_one_of_two(made: Bench) -> None:
    """The cache of a run without --observe does not hide the difference."""
    body = "return ['tool'] if not os.environ.get('CI') else ['other']"
    made.hold({**STABLE, "thing 1.0": thing(REQUIRES.format(body))})
    assert made.lock().code == 0
    before = (made.folder / "deep.lock").read_bytes()
    assert made.lock("--observe", "--upgrade").code == 4
    assert (made.folder / "deep.lock").read_bytes() == before
