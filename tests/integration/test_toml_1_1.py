"""TOML 1.1 in each file that a run reads: an inline table of several lines, with a comma at its end and a comment.

fixtures/scenarios/toml-1.1.toml has the pyproject.toml of the project and of an sdist.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.foreign_locks.load import parse_imported
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

FOREIGN = Path(__file__).parents[2] / "fixtures" / "foreign"
THING: Releases = {
    "thing 1.0": {"wheels": [], "sdist": True, "build": ["tool"], "backend": "tool"},
    "tool 1.0": {},
    "more 1.0": {},
}
CONFIG = """
extra-build-requires = { # a comment
    thing = [
        "more",
    ],
}
"""
SCRIPT = """\
# /// script
# dependencies = ["thing"]
# tool = {
#     deep-lock = { hooks = "static", },
# }
# ///
print()
"""
_INLINE = re.compile(r"\{ ?([^{}\n]+?) ?\}")


def _newer(text: str) -> str:
    """Return a TOML text with each inline table on several lines."""
    return _INLINE.sub(r"{\n  # a comment\n  \1,\n}", text)


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, THING) as own:
        own.ask("thing")
        yield own


def test_the_configuration_file(made: Bench) -> None:
    made.write({"deep-lock.toml": CONFIG})
    ran = made.lock()
    assert (ran.code, ran.pins()) == (0, ["more==1.0", "thing==1.0", "tool==1.0"]), ran.stderr


def test_a_fault_in_the_configuration_file_has_its_line(made: Bench) -> None:
    made.write({"deep-lock.toml": CONFIG.replace('"more"', '"more ("')})
    ran = made.lock()
    assert ran.code == 2
    assert "deep-lock.toml:4 [extra-build-requires.thing]" in ran.stderr


def test_a_script(made: Bench) -> None:
    made.write({"run.py": SCRIPT})
    ran = made.lock("--script", "{folder}/run.py", output="run.py.deep.lock")
    assert ran.code == 0, ran.stderr
    assert ran.pins() == ["thing==1.0", "tool==1.0"]


def test_the_lock_itself(made: Bench) -> None:
    first = made.lock()
    newer = _newer(first.text)
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(newer)
    made.write({"deep.lock": newer})
    ran = made.lock("--check")
    assert (ran.code, ran.lock) == (1, first.lock), "it is read, and its form is not canonical"
    assert "not in canonical form" in ran.stderr
    (made.folder / "pyproject.toml").write_text((made.folder / "pyproject.toml").read_text().replace("thing", "tool"))
    ran = made.lock()
    assert tomllib.loads(ran.text), "what is written is TOML 1.0"


@pytest.mark.parametrize(
    "path",
    sorted(path.relative_to(FOREIGN).as_posix() for path in FOREIGN.glob("*/*.lock") if path.name != "Pipfile.lock"),
)
def test_locks_of_other_tools(path: str) -> None:
    text = (FOREIGN / path).read_text(encoding="utf-8")
    newer = _newer(text)
    assert newer != text
    place = FOREIGN / path
    assert parse_imported(newer, place, place.parent) == parse_imported(text, place, place.parent)
