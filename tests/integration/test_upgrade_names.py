"""What -P and --in-build name: a wrong name is an error with the nearest one, and the reason of a refused version is true."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

RELEASES: Releases = {
    "django 5.0": {"requires": ["certifi>=2020"]},
    "django 4.0": {},
    "certifi 2026.1": {"sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
    "certifi 2019.1": {},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 3.0": {"requires": ["flit_core"]},
    "flit_core 3.9": {},
}


@pytest.fixture
def locked(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        made.ask("django", "native")
        ended = made.lock()
        assert ended.code == 0, ended.stderr
        yield made


UNKNOWN = {
    ("-P", "djnago"): ("-P djnago: the lock does not use djnago", "did you mean django?"),
    ("-P", "djnago==5.0"): ("-P djnago: the lock does not use djnago", "did you mean django?"),
    ("-P", "django", "-P", "Certify"): ("-P certify: the lock does not use certify", "did you mean certifi?"),
    ("-P", "makers"): ("the lock does not use makers", "did you mean maker?"),
    ("-P", "wholly-other"): ("the lock does not use wholly-other",),
    ("-U", "-P", "djnago"): ("the lock does not use djnago", "did you mean django?"),
    ("-P", "maker", "--in-build", "natvie"): (
        "--in-build natvie: the lock has no build of natvie",
        "did you mean native?",
    ),
    ("-P", "django", "--in-build", "native"): ("-P django: the build of native does not use django",),
    ("-P", "mkaer==3.0", "--in-build", "native"): ("the build of native does not use mkaer", "did you mean maker?"),
    ("--in-build", "native"): ("--in-build native needs -P", "-P NAME --in-build native"),
}


@pytest.mark.parametrize("flags", UNKNOWN, ids=" ".join)
def test_a_name_that_the_lock_does_not_use_is_an_error(locked: Bench, flags: tuple[str, ...]) -> None:
    before = (locked.folder / "deep.lock").read_bytes()
    ended = locked.lock(*flags)
    assert ended.code == 2, ended.stderr
    for text in UNKNOWN[flags]:
        assert text in ended.stderr
    assert (locked.folder / "deep.lock").read_bytes() == before


def test_a_name_is_known_that_only_the_new_lock_uses(locked: Bench) -> None:
    locked.ask("django<5", "native")
    assert locked.lock().code == 0
    locked.ask("django", "native")
    ended = locked.lock("-P", "django", "-P", "certifi")
    assert ended.code == 0, ended.stderr
    assert "certifi==2026.1" in ended.pins()


def test_a_name_is_known_that_only_the_old_lock_uses(locked: Bench) -> None:
    locked.ask("django<5", "native")
    ended = locked.lock("-P", "certifi")
    assert ended.code == 0, ended.stderr
    assert "django==4.0" in ended.pins()


def test_a_version_that_no_index_has_is_named_with_those_that_are_there(locked: Bench) -> None:
    ended = locked.lock("-P", "certifi==1999.1")
    assert ended.code == 1
    assert "-P certifi==1999.1: no index has such a version of certifi; available: 2026.1, 2019.1" in ended.stderr
    assert "does not use" not in ended.stderr


def test_a_version_that_only_packages_without_the_requirement_admit_is_an_error_that_says_so(locked: Bench) -> None:
    ended = locked.lock("-P", "certifi==2019.1")
    assert ended.code == 1
    assert "-P certifi==2019.1: no environment uses that version" in ended.stderr
    assert "with it, only versions that do not require certifi fit" in ended.stderr


def test_deepen_knows_the_names_too(locked: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(locked.folder)
    locked.write({"requirements.txt": "native==1.0\n"})
    flags = [flag for flag in locked.flags() if flag not in {"--project", str(locked.folder)}]
    assert run(["deepen", "requirements.txt", *flags]) == 0
    assert run(["deepen", "requirements.txt", *flags, "-P", "mkaer"]) == 2
    assert "did you mean maker?" in locked.capture.readouterr().err


@pytest.mark.parametrize("option", ["no-binary", "only-binary", "allow-wheel"])
@pytest.mark.parametrize("form", ["option", "key"])
def test_a_choice_of_files_for_a_name_that_the_lock_does_not_use_is_a_warning(
    locked: Bench, option: str, form: str
) -> None:
    if form == "key":
        locked.ask("django", "native")
        path = locked.folder / "pyproject.toml"
        path.write_text(path.read_text() + f'[tool.deep-lock]\n{option} = ["djnago", "certifi"]\n')
    ended = locked.lock(*(["--" + option, "djnago", "--" + option, "certifi"] if form == "option" else []))
    assert ended.code == 0, ended.stderr
    assert f"djnago: {option} names it, but the lock does not use it; did you mean django?" in ended.stderr
    assert "certifi: " not in ended.stderr


def test_why_suggests_the_nearest_name(locked: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why", "djnago", "--lock", str(locked.folder / "deep.lock")]) == 2
    assert "did you mean django?" in capsys.readouterr().err
