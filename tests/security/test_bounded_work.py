"""A lock that was edited makes no work: only names that the resolution gets to are requested from an index."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, Bench, bench

HELD: Releases = {
    "lib 1.0": {"requires": ["dep", "other"]},
    "dep 1.0": {},
    "other 1.0": {},
    "made 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 1.0": {},
    "extra 1.0": {},
}
PLANTED = 40
ENTRY = """[[packages]]
name = "planted-{number}"
version = "1.0"
index = "{index}"
wheels = [{{name = "planted_{number}-1.0-py3-none-any.whl", url = "{origin}/files/planted_{number}-1.0-py3-none-any.whl", size = 1, hashes = {{sha256 = "{number:064x}"}}}}]

"""


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, HELD) as own:
        own.ask("lib", "made")
        ran = own.lock()
        assert ran.code == 0, ran.stderr
        yield own


def with_entries(text: str, made: Bench) -> str:
    """Return the lock with entries that nothing requires."""
    entries = "".join(
        ENTRY.format(number=number, index=made.server.url, origin=made.server.origin) for number in range(PLANTED)
    )
    place = text.index("[[packages]]")
    return text[:place] + entries + text[place:]


def with_dependencies(text: str, made: Bench) -> str:
    """Return it with entries that a package of the project requires, by the lock alone."""
    text = with_entries(text, made)
    names = ", ".join(f'{{name = "planted-{number}"}}' for number in range(PLANTED))
    return text.replace('{name = "dep"}', f'{{name = "dep"}}, {names}')


def with_members(text: str, made: Bench) -> str:
    """Return it with entries that a build uses, by the lock alone."""
    text = with_entries(text, made)
    names = "".join(f'\n  {{name = "planted-{number}", version = "1.0"}},' for number in range(PLANTED))
    head, found, tail = text.partition('\npackages = [\n    {name = "make')
    assert found
    return head + found.replace("\n    {", f"{names}\n    {{") + tail


PLANTS = [with_entries, with_dependencies, with_members]


def plant(made: Bench, how: object) -> Path:
    path = made.folder / "deep.lock"
    path.write_text(how(path.read_text(encoding="utf-8"), made), encoding="utf-8")  # type: ignore[operator]  # one of PLANTS
    made.server.log.clear()
    return path


def test_a_page_is_requested_once_for_all_targets_and_builds(
    made: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by the next process only where it is not fresh."""
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cold"))
    made.pythons, made.platforms = ["3.11", "3.12", "3.13"], [LINUX, "x86_64-windows"]
    made.hold({**HELD, "more 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"}})
    made.ask("lib", "made", "more", "maker")
    made.server.log.clear()
    ran = made.lock("-U", "--refresh")  # only what this run remembers prevents a second request
    assert ran.code == 0, ran.stderr
    pages = made.server.asked("/simple/")
    assert sorted(pages) == [f"/simple/{name}/" for name in ("dep", "lib", "made", "maker", "more", "other")]
    assert made.lock("-U").code == 0
    assert made.server.asked("/simple/") == pages


@pytest.mark.parametrize("how", PLANTS)
@pytest.mark.parametrize(
    "flags",
    [(), ("--refresh",), ("-U",), ("-P", "dep"), ("-P", "maker"), ("--check",)],
    ids=["lock", "refresh", "upgrade", "one", "build", "check"],
)
def test_lock_requests_no_name_that_only_the_lock_has(made: Bench, flags: tuple[str, ...], how: object) -> None:
    plant(made, how)
    made.ask("lib", "made", "extra")  # the lock is stale
    ran = made.lock(*flags)
    assert ran.code in ({1} if flags == ("--check",) else {0}), ran.stderr
    assert made.server.asked("planted") == []
    assert "planted" not in ran.text or flags == ("--check",)


@pytest.mark.parametrize("how", PLANTS)
def test_a_cold_cache_changes_nothing(
    made: Bench, how: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(made, how)
    made.ask("lib", "made", "extra")
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cold"))
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert made.server.asked("/dep/")
    assert made.server.asked("planted") == []


@pytest.mark.parametrize("how", PLANTS)
def test_add_and_remove_request_none(made: Bench, how: object) -> None:
    plant(made, how)
    assert run(["add", *made.flags(), "extra"]) == 0
    assert run(["remove", *made.flags(), "extra"]) == 0
    assert made.server.asked("/extra/")
    assert made.server.asked("planted") == []


@pytest.mark.parametrize("how", [with_entries, with_members])
def test_outdated_requests_none(made: Bench, how: object) -> None:
    path = plant(made, how)
    made.hold({**HELD, "dep 1.1": {}})
    assert run(["outdated", "--lock", str(path), "--default-index", made.server.url, "--fail-on", "any"]) == 1
    assert "nothing in the lock requires planted-0, planted-1" in made.capture.readouterr().err
    assert made.server.asked("/dep/")
    assert made.server.asked("planted") == []


@pytest.mark.parametrize("how", [with_entries, with_members])
def test_verify_requests_none_and_reports_each(made: Bench, how: object) -> None:
    path = plant(made, how)
    assert run(["verify", "--lock", str(path), "--default-index", made.server.url]) == 1
    assert made.capture.readouterr().out.count("nothing in the lock requires it") == PLANTED
    assert made.server.asked("/dep/")
    assert made.server.asked("planted") == []


@pytest.mark.parametrize("how", PLANTS)
def test_the_merge_driver_requests_none(made: Bench, how: object) -> None:
    path = made.folder / "deep.lock"
    sides = {"base": path.read_text(encoding="utf-8")}
    made.hold({**HELD, "dep 1.1": {}, "dep 1.2": {}})
    for side, version in (("ours", "1.1"), ("theirs", "1.2")):
        ran = made.lock("-P", f"dep=={version}", "--refresh")
        assert ran.code == 0, ran.stderr
        sides[side] = ran.text
    files = []
    for side, text in sides.items():
        files.append(made.folder / side)
        files[-1].write_text(how(text, made) if side == "theirs" else text, encoding="utf-8")  # type: ignore[operator]  # one of PLANTS
    made.server.log.clear()
    code = run(["git-merge", *map(str, files), str(path)])
    assert made.server.asked("planted") == []
    assert code == 0, made.capture.readouterr().err
    assert "planted" not in files[1].read_text(encoding="utf-8")
