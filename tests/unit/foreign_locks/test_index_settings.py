"""--index-from: what pip and uv are set up for, read as they read it, and used by a real lock."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli import session
from deep_lock.cli.main import run
from deep_lock.errors import ProjectInvalid
from deep_lock.foreign_locks.index_settings import ForeignIndexes, pip_indexes, uv_indexes
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

A, B, C = "https://a.example/simple", "https://b.example/simple", "https://c.example/simple"


@pytest.mark.parametrize(
    ("environ", "files", "found"),
    [
        ({}, [], ForeignIndexes()),
        ({"PIP_INDEX_URL": A, "PIP_EXTRA_INDEX_URL": f"{B} {C}"}, [], ForeignIndexes(default=A, indexes=(B, C))),
        ({}, [f"[global]\nindex-url = {A}\nextra-index-url =\n    {B}\n    {C}\n"], ForeignIndexes(default=A, indexes=(B, C))),
        # a variable counts more than a file, the first file more than the next, a command's section more than [global]
        ({"PIP_INDEX_URL": A}, [f"[global]\nindex-url = {B}\n"], ForeignIndexes(default=A)),
        ({}, [f"[global]\nindex-url = {A}\n", f"[global]\nindex-url = {B}\n"], ForeignIndexes(default=A)),
        ({}, [f"[global]\nindex-url = {B}\n[install]\nindex-url = {A}\n"], ForeignIndexes(default=A)),
        ({"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "links /more"}, [], ForeignIndexes(no_index=True, find_links=("links", "/more"))),
        ({"PIP_NO_INDEX": "0"}, ["[global]\nno-index = true\n"], ForeignIndexes()),
    ],
)  # fmt: skip
def test_pip(environ: Mapping[str, str], files: list[str], found: ForeignIndexes) -> None:
    assert pip_indexes(environ, [("pip.conf", text) for text in files]) == found


def test_a_file_that_is_none_of_pips() -> None:
    with pytest.raises(ProjectInvalid, match=r"pip\.conf"):
        pip_indexes({}, [("pip.conf", "index-url")])


@pytest.mark.parametrize(
    ("environ", "tables", "found"),
    [
        ({}, [], ForeignIndexes()),
        ({"UV_DEFAULT_INDEX": f"own={A}", "UV_INDEX": f"b={B} {C}"}, [], ForeignIndexes(default=A, indexes=(f"b={B}", C))),
        ({"UV_DEFAULT_INDEX": A}, [{"index": [{"url": B, "default": True}]}], ForeignIndexes(default=A)),
        ({"UV_INDEX_URL": A, "UV_EXTRA_INDEX_URL": B}, [{"index-url": C}], ForeignIndexes(default=A, indexes=(B,))),
        ({}, [{"index": [{"name": "b", "url": B}, {"url": A, "default": True}, {"url": C}]}], ForeignIndexes(default=A, indexes=(f"b={B}", C))),
        ({}, [{"index-url": A, "extra-index-url": [B]}, {"index-url": C, "find-links": ["x"]}], ForeignIndexes(default=A, indexes=(B,), find_links=("x",))),
        ({}, [{"index": [{"name": "b", "url": B, "explicit": True}]}], ForeignIndexes(left_out=("uv's index b is explicit: name it in [[tool.deep-lock.index]]",))),
        ({}, [{"index": "x", "extra-index-url": B, "index-url": 1, "no-index": True}], ForeignIndexes(no_index=True)),
    ],
)  # fmt: skip
def test_uv(environ: Mapping[str, str], tables: list[Mapping[str, Any]], found: ForeignIndexes) -> None:
    assert uv_indexes(environ, tables) == found


LIB: Releases = {"lib 1.0": {}}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in session.FOREIGN_INDEX_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("deep_lock.cli.user_folders.settings_folders", lambda tool: [tmp_path / tool])
    with bench(tmp_path, capfd, monkeypatch, LIB) as own:
        own.ask("lib")
        yield own


def lock(made: Bench, tool: str) -> str:
    flags = made.flags()
    place = flags.index("--default-index")
    code = run(["lock", *flags[:place], *flags[place + 2 :], "--index-from", tool])
    told = made.capture.readouterr().err
    assert code == 0, told
    assert f'default = "{made.server.url}"' in (made.folder / "deep.lock").read_text(encoding="utf-8")
    return told


def test_a_lock_asks_where_pips_variable_says(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", made.server.url)
    lock(made, "pip")


@pytest.mark.parametrize("named", [True, False])
def test_a_lock_asks_where_pips_file_says(made: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, named: bool) -> None:  # fmt: skip
    place = tmp_path / "pip" / "pip.conf"
    place.parent.mkdir()
    place.write_text(f"[global]\nindex-url = {made.server.url}\n", encoding="utf-8")
    if named:
        monkeypatch.setenv("PIP_CONFIG_FILE", str(place.rename(tmp_path / "own.ini")))
    lock(made, "pip")


def test_a_lock_asks_where_uvs_settings_say(made: Bench, tmp_path: Path) -> None:
    with (made.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[[tool.uv.index]]\nname = "own"\nurl = "{made.server.url}"\ndefault = true\n')
        file.write('[[tool.uv.index]]\nname = "far"\nurl = "https://far.example/"\nexplicit = true\n')
    assert "uv's index far is explicit" in lock(made, "uv")
    user = tmp_path / "uv" / "uv.toml"
    user.parent.mkdir()
    user.write_text('index-url = "https://far.example/"\n', encoding="utf-8")
    lock(made, "uv")


def test_the_command_line_counts_for_more(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://far.example/")
    ran = made.lock("--index-from", "pip")
    assert ran.code == 0
    assert "far.example" not in ran.text
    assert ran.lock.indexes == (("default", made.server.url),)
