"""Hashes that the user wrote: each is compared, or an error."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.scenarios import Bench, bench

NO_HASH = "0" * 64
URL = "{file:one-1.0-py3-none-any.whl}"
APP = '[project]\nname = "app"\nversion = "1"\ndependencies = ["one{}"]\n'
POETRY = '[tool.poetry]\nname = "app"\nversion = "1"\n[tool.poetry.dependencies]\npython = ">=3.12"\n'


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, {"one 1.0": {}, "one 2.0": {}}) as own:
        yield own


@pytest.mark.parametrize("hashed", ["md5=" + "0" * 32, "sha1=" + "0" * 40, "sha512=" + "0" * 128, "egg=one&sha384=0"])
@pytest.mark.parametrize(
    ("files", "flags", "place"),
    [
        ({"pyproject.toml": APP.format(f" @ {URL}#HASH")}, (), "pyproject.toml:4"),
        ({"r.txt": f"one @ {URL}#HASH\n"}, ("-r", "{folder}/r.txt"), "r.txt:1"),
        ({"r.txt": "-r more/s.txt\n", "more/s.txt": f"{URL}#HASH\n"}, ("-r", "{folder}/r.txt"), "more/s.txt:1"),
        (
            {"pyproject.toml": APP.format("") + f'[tool.deep-lock.sources]\none = {{ url = "{URL}#HASH" }}\n'},
            (),
            "sources.one",
        ),
        (
            {"pyproject.toml": APP.format("") + f'[tool.uv.sources]\none = {{ url = "{URL}#HASH" }}\n'},
            (),
            "the source of 'one'",
        ),
        ({"pyproject.toml": POETRY + f'one = {{ url = "{URL}#HASH" }}\n'}, (), "pyproject.toml:6"),
    ],
)
def test_a_url_with_another_hash_than_sha256_is_an_error(
    made: Bench, files: Mapping[str, str], flags: tuple[str, ...], place: str, hashed: str
) -> None:
    made.write({name: text.replace("HASH", hashed) for name, text in files.items()})
    ran = made.lock(*flags)
    assert (ran.code, ran.text) == (2, ""), ran.stderr
    assert place in ran.stderr
    assert "only sha256 is compared" in ran.stderr
    assert "#sha256=" in ran.stderr


def test_a_folder_with_a_hash_is_an_error(made: Bench) -> None:
    made.write({"r.txt": f"./lib#sha256={NO_HASH}\n", "lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\n'})
    ran = made.lock("-r", "{folder}/r.txt")
    assert ran.code == 2
    assert "r.txt:1" in ran.stderr
    assert "a folder has no sha256" in ran.stderr


def test_lines_without_a_hash_in_common_are_named(made: Bench) -> None:
    made.write(
        {
            "r.txt": "one==1.0 --hash=sha256:{sha256:one-1.0-py3-none-any.whl}\n-c c.txt\n",
            "c.txt": f"one==1.0 --hash=sha256:{NO_HASH}\n",
        }
    )
    ran = made.lock("-r", "{folder}/r.txt")
    assert ran.code == 4
    assert "have no sha256 for one in common (" in ran.stderr
    assert f"c.txt:1: {NO_HASH}" in ran.stderr
    assert made.filled("r.txt:1: {sha256:one-1.0-py3-none-any.whl}") in ran.stderr
