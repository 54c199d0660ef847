"""What the second run does: keeps pins, gives up what it is told to, asks for nothing it has, says why a lock is stale."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.cli.main import run
from deep_lock.lockfile import rewrite
from deep_lock.lockfile.index import files_of
from deep_lock.lockfile.reader import from_text
from tests.support.scenario_server import Releases, release_files
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, Run, bench, check_whole, laid, load, set_clock

SCENARIOS = Path(__file__).parents[2] / "fixtures" / "scenarios"
SETUPTOOLS: Releases = {"setuptools 80.9.0": {}}
LIB: Releases = {"lib 1.0": {"requires": ["dep", "other"]}, "dep 1.0": {}, "other 1.0": {}}
NEWER: Releases = {
    **LIB,
    "lib 1.1": {"requires": ["dep", "other"]},
    "dep 1.1": {},
    "other 1.1": {},
    "tool 1.0": {"wheels": [], "sdist": True, "build": ["setuptools", "cython"], "backend": "setuptools.build_meta"},
    "cython 3.0": {},
    "cython 3.1": {},
    "setuptools 81.0.0": {},
    **SETUPTOOLS,
}
SDIST = {"wheels": [], "sdist": True}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, LIB) as own:
        own.ask("lib")
        assert own.lock().code == 0
        yield own


def test_pins_are_kept_where_newer_releases_appear(made: Bench) -> None:
    made.hold(NEWER)
    made.ask("lib", "tool")
    ran = made.lock("--refresh")
    assert ran.code == 0
    assert ran.pins(builds=False) == ["dep==1.0", "lib==1.0", "other==1.0", "tool==1.0"]
    check_whole(made, ran)


def test_upgrade_gives_up_all_pins(made: Bench) -> None:
    made.hold(NEWER)
    ran = made.lock("-U", "--refresh")
    assert ran.pins() == ["dep==1.1", "lib==1.1", "other==1.1"]
    check_whole(made, ran)


@pytest.mark.parametrize(
    ("flag", "pins"),
    [
        ("dep", ["dep==1.1", "lib==1.0", "other==1.0"]),
        ("Dep", ["dep==1.1", "lib==1.0", "other==1.0"]),
        ("lib", ["dep==1.0", "lib==1.1", "other==1.0"]),
        ("other==1.1", ["dep==1.0", "lib==1.0", "other==1.1"]),
        ("other==1.0", ["dep==1.0", "lib==1.0", "other==1.0"]),
    ],
)
def test_upgrade_of_one_package_moves_what_it_must(made: Bench, flag: str, pins: list[str]) -> None:
    made.hold(NEWER)
    ran = made.lock("-P", flag, "--refresh")
    assert ran.code == 0, ran.stderr
    assert ran.pins() == pins


def test_upgrade_of_one_package_takes_along_what_it_needs(made: Bench) -> None:
    made.hold({**NEWER, "lib 1.1": {"requires": ["dep>=1.1", "other"]}})
    assert made.lock("-P", "lib", "--refresh").pins() == ["dep==1.1", "lib==1.1", "other==1.0"]


def test_a_version_that_does_not_exist_is_said(made: Bench) -> None:
    before = made.lock().text
    ran = made.lock("-P", "lib==9")
    assert ran.code == 1
    assert "-P lib==9: no index has such a version of lib; available: 1.0" in ran.stderr
    assert ran.text == before


def test_build_pins_are_kept_and_given_up_apart(made: Bench) -> None:
    old: Releases = {key: release for key, release in NEWER.items() if key not in {"cython 3.1", "setuptools 81.0.0"}}
    made.hold(old)
    made.ask("tool")
    assert made.lock("-U", "--refresh").pins() == ["cython==3.0", "setuptools==80.9.0", "tool==1.0"]
    made.hold(NEWER)
    kept = made.lock("--refresh")
    assert kept.pins() == ["cython==3.0", "setuptools==80.9.0", "tool==1.0"]
    one = made.lock("-P", "cython")
    assert one.pins() == ["cython==3.1", "setuptools==80.9.0", "tool==1.0"]
    exact = made.lock("-P", "cython==3.0")
    assert exact.pins() == ["cython==3.0", "setuptools==80.9.0", "tool==1.0"]
    every = made.lock("--upgrade-build")
    assert every.pins() == ["cython==3.1", "setuptools==81.0.0", "tool==1.0"]
    check_whole(made, every)


def test_a_yanked_pin_is_kept_and_told_of(made: Bench) -> None:
    made.hold({**NEWER, "dep 1.0": {"yanked": "a hole"}})
    ran = made.lock("--refresh")
    assert "dep==1.0" in ran.pins()
    assert "dep 1.0: it is yanked: a hole" in ran.stderr


def test_order_of_inputs_is_no_matter(made: Bench) -> None:
    made.hold(NEWER)
    made.ask("lib", "tool", "cython>=3", "dep<2")
    first = made.lock("-U", "--refresh")
    made.ask("dep<2", "cython>=3", "tool", "lib")
    assert made.lock("--check").code == 0
    assert made.lock("-U").text == first.text
    made.ask("dep  < 2", "Cython >=3", "TOOL", "lib")
    assert made.lock("--check").code == 0
    assert made.lock("-U").text == first.text


def test_order_of_flags_is_no_matter(made: Bench) -> None:
    made.pythons, made.platforms = ("3.12", "3.13"), ("x86_64-windows", "x86_64-manylinux_2_28")
    first = made.lock("--no-binary", "a", "--no-binary", "b")
    made.pythons, made.platforms = ("3.13", "3.12"), ("x86_64-manylinux_2_28", "x86_64-windows")
    second = made.lock("-U", "--no-binary", "b", "--no-binary", "a")
    assert second.text == first.text


def test_a_second_run_asks_for_nothing_and_writes_nothing(made: Bench) -> None:
    path = made.folder / "deep.lock"
    before = path.stat().st_mtime_ns
    ran = made.lock()
    assert ran.asked == ()
    assert "deep.lock is up to date" in ran.stderr
    assert path.stat().st_mtime_ns == before


def test_dry_run_writes_nothing(made: Bench) -> None:
    before = made.lock().text
    made.ask("lib", "dep")
    ran = made.lock("--dry-run")
    assert (ran.code, ran.text) == (0, before)
    assert "deep.lock would change" in ran.stderr


# -- --check


@pytest.mark.parametrize(
    ("requirements", "reason"),
    [
        (["lib", "dep"], "pyproject.toml now requires 'dep'"),
        ([], "pyproject.toml no longer requires 'lib'"),
        (["lib>=1"], "pyproject.toml now requires 'lib>=1' instead of 'lib'"),
    ],
)
def test_check_says_which_input_changed(made: Bench, requirements: list[str], reason: str) -> None:
    made.ask(*requirements)
    ran = made.lock("--check")
    assert (ran.code, ran.asked) == (1, ())
    assert reason in ran.stderr
    assert "hint: run deep-lock lock, with the same options" in ran.stderr


ADDING = """\
[project]
name = "app"
version = "1"
dependencies = ["tool"]

[tool.deep-lock.extra-build-requires]
tool = {}
"""


@pytest.mark.parametrize(
    ("added", "code", "reason"),
    [
        (["dep==1.0"], 0, "up to date"),
        (["Dep == 1.0", "dep==1.0"], 0, "up to date"),
        (["dep"], 1, "extra-build-requires of 'tool' now requires 'dep' instead of 'dep==1.0'"),
        (["dep==1.0", "other"], 1, "extra-build-requires of 'tool' now requires 'other'"),
        ([], 1, "extra-build-requires of 'tool' no longer requires 'dep==1.0'"),
    ],
)
def test_check_says_which_addition_to_a_build_changed(made: Bench, added: list[str], code: int, reason: str) -> None:
    made.hold(NEWER)
    made.write({"pyproject.toml": ADDING.format(["dep==1.0"])})
    first = made.lock("-U", "--refresh")
    assert "dep==1.0" in first.pins()
    made.write({"pyproject.toml": ADDING.format(added)})
    ran = made.lock("--check")
    assert (ran.code, ran.asked) == (code, ())
    assert reason in ran.stderr
    again = made.lock()
    check_whole(made, again)
    assert (again.text == first.text) == (code == 0)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--resolution", "lowest"], 'option resolution changed from "highest" to "lowest"'),
        (["--build-scope", "none"], 'option build-scope changed from "needed" to "none"'),
        (["--python-version", "3.12"], "target 'cp312-x86_64-manylinux_2_28' was added"),
        (["--index", "corp=https://index.example/simple/"], "index 'corp' was added"),
        (["--exclude-newer", "2024-01-01"], "option exclude-newer is now set"),
    ],
)
def test_check_says_which_rule_changed(made: Bench, flags: list[str], reason: str) -> None:
    ran = made.lock("--check", *flags)
    assert (ran.code, ran.asked) == (1, ())
    assert reason in ran.stderr


def test_check_without_a_lock(made: Bench) -> None:
    (made.folder / "deep.lock").unlink()
    for flag in ("--check", "--locked", "--check-exists"):
        ran = made.lock(flag)
        assert (ran.code, ran.asked) == (1, ())
        assert "there is no lock" in ran.stderr


def test_check_exists_does_not_look_inside(made: Bench) -> None:
    (made.folder / "deep.lock").write_text("no lock at all", encoding="utf-8")
    assert made.lock("--check-exists").code == 0
    ran = made.lock("--check")
    assert ran.code == 2
    assert "deep.lock" in ran.stderr


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("tool.deep-lock.sdist-only = true\n", "", "tool 1.0"),
        ("tool.deep-lock.build-only = true\n", "", "setuptools 80.9.0"),
        ("tool.deep-lock.direct = true\n", "", "tool 1.0"),
        ("marker = \"'deep-lock-build' in dependency_groups\"\n", "", "setuptools 80.9.0"),
        ('    {name = "setuptools", version = "80.9.0"},\n', "", "setuptools"),
    ],
)
def test_check_sees_a_mark_that_was_edited_by_hand(made: Bench, old: str, new: str, reason: str) -> None:
    made.hold({"tool 1.0": {**SDIST}, **SETUPTOOLS})
    made.ask("tool")
    text = made.lock("-U", "--refresh").text
    assert old in text
    (made.folder / "deep.lock").write_text(text.replace(old, new), encoding="utf-8")
    ran = made.lock("--check")
    assert (ran.code, ran.asked) == (1, ()), ran.stderr
    assert reason in ran.stderr
    again = made.lock()
    assert (again.code, again.text) == (0, text)


def test_check_sees_that_a_record_was_removed(made: Bench) -> None:
    made.hold({"tool 1.0": {**SDIST}, **SETUPTOOLS})
    made.ask("tool")
    text = made.lock("-U", "--refresh").text
    (made.folder / "deep.lock").write_text(text[: text.index("[[tool.deep-lock.builds]]")], encoding="utf-8")
    ran = made.lock("--check")
    assert (ran.code, ran.asked) == (1, ())
    assert "tool 1.0 lists an sdist, but has no build record" in ran.stderr
    assert made.lock().text == text


def _swapped(text: str) -> str:
    """Swap the first two packages."""
    head, first, second, *rest = text.split("[[packages]]\n")
    return "[[packages]]\n".join([head, second, first, *rest])


@pytest.mark.parametrize(
    "edit",
    [
        _swapped,
        lambda text: text.replace(" = ", "  =  ", 1),
        lambda text: text.replace("\n[[packages]]", "\n\n[[packages]]", 1),
        lambda text: text.replace('name = "dep"', "name = 'dep'", 1),
        lambda text: text.replace('name = "dep"', 'name = "\\u0064ep"', 1),
        lambda text: text.replace("[[packages]]\n", "[[packages]]\n# a note\n", 1),
        lambda text: text.replace("\n", "  \n", 1),
        lambda text: text + "\n",
        lambda text: text.removesuffix("\n"),
        lambda text: text.partition("\n")[2],
        lambda text: text.replace('name = "dep"\nversion = "1.0"\n', 'version = "1.0"\nname = "dep"\n', 1),
    ],
)
def test_check_holds_a_lock_to_its_form(made: Bench, edit: Callable[[str], str]) -> None:
    path = made.folder / "deep.lock"
    text = path.read_text(encoding="utf-8")
    assert edit(text) != text
    path.write_text(edit(text), encoding="utf-8", newline="")
    ran = made.lock("--check")
    assert (ran.code, ran.asked) == (1, ()), ran.stderr
    assert "not in canonical form: " in ran.stderr
    assert "hint: run deep-lock lock, with the same options" in ran.stderr
    again = made.lock()
    assert (again.code, again.text, again.asked) == (0, text, ()), again.stderr
    assert "wrote deep.lock" in again.stderr
    assert made.lock("--check").code == 0


def test_a_lock_in_known_form_is_not_written_as_text_again(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_text(*_: object) -> str:
        raise AssertionError("the lock is written as text")

    monkeypatch.setattr(rewrite, "canonical_text", to_text)
    assert made.lock("--check").code == 0  # lock noted the text that it wrote
    assert made.lock().code == 0
    path = made.folder / "deep.lock"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8", newline="")
    ended = made.lock("--check")
    assert (ended.code, "the lock is written as text" in ended.stderr) == (70, True)


def test_a_lock_may_have_the_line_ends_of_windows(made: Bench) -> None:
    path = made.folder / "deep.lock"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert made.lock("--check").code == 0


# -- --offline


def test_offline_makes_the_same_lock_from_the_cache(made: Bench) -> None:
    made.hold({"tool 1.0": {**SDIST}, **SETUPTOOLS})
    made.ask("tool")
    text = made.lock("-U", "--refresh").text
    (made.folder / "deep.lock").unlink()
    ran = made.lock("--offline")
    assert (ran.code, ran.asked) == (0, ()), ran.stderr
    assert ran.text == text


def test_offline_names_what_the_cache_lacks(made: Bench) -> None:
    made.ask("lib", "tool")
    before = (made.folder / "deep.lock").read_text(encoding="utf-8")
    ran = made.lock("--offline")
    assert (ran.code, ran.asked) == (3, ())
    assert "tool" in ran.stderr
    assert "not in the cache" in ran.stderr
    assert ran.text == before


# -- folders of files


@pytest.fixture
def linked(made: Bench) -> Bench:
    """Lay a release into a folder outside the project, and ask for it."""
    folder = made.folder.parent / "out" / "wheels"
    folder.mkdir(parents=True)
    for file in release_files("local 1.0", {}):
        (folder / file.filename).write_bytes(file.content)
    made.told = {**made.told, "local 1.0": {}}
    made.ask("lib", "local")
    return made


@pytest.mark.parametrize("place", ["../out/wheels", "{folder}/../out/wheels", "file://{folder}/../out/wheels"])
def test_a_folder_is_named_as_seen_from_the_lock(linked: Bench, place: str) -> None:
    ran = linked.lock("--find-links", place)
    assert ran.code == 0, ran.stderr
    assert 'path = "../out/wheels/local-1.0-py3-none-any.whl"' in ran.text
    assert dict(ran.lock.options)["find-links"] == ("../out/wheels",)
    assert str(linked.folder.parent) not in ran.text
    check_whole(linked, ran)
    assert linked.lock("--offline", "-U", "--find-links", place).text == ran.text


def test_a_lock_elsewhere_sees_the_folder_from_there(linked: Bench) -> None:
    output = linked.folder.parent / "out" / "deep.lock"
    ran = linked.lock("--find-links", "../out/wheels", "--output", str(output), output="../out/deep.lock")
    assert ran.code == 0, ran.stderr
    assert 'path = "wheels/local-1.0-py3-none-any.whl"' in ran.text
    assert dict(ran.lock.options)["find-links"] == ("wheels",)


def test_a_release_may_have_files_in_a_folder_and_on_an_index(linked: Bench) -> None:
    linked.hold({**LIB, "local 1.0": {"wheels": ["cp313-cp313-manylinux_2_17_x86_64"]}})
    ran = linked.lock("--find-links", "../out/wheels", "--refresh")
    (entry,) = (entry for entry in ran.lock.packages if entry.name == "local")
    assert entry.index == linked.server.url
    assert [file.path is None for file in entry.wheels] == [True, False]


def test_check_says_that_folders_changed(linked: Bench) -> None:
    assert linked.lock("--find-links", "../out/wheels").code == 0
    ran = linked.lock("--check")
    assert (ran.code, ran.asked) == (1, ())
    assert 'option find-links is no longer set; it was ["../out/wheels"]' in ran.stderr
    ran = linked.lock("--check", "--find-links", "wheels")
    assert 'option find-links changed from ["../out/wheels"] to ["wheels"]' in ran.stderr


# -- other inputs


def test_a_script_has_a_lock_of_its_own(made: Bench) -> None:
    made.write({"run.py": '# /// script\n# requires-python = ">=3.12"\n# dependencies = ["lib"]\n# ///\nprint()\n'})
    ran = made.lock("--script", str(made.folder / "run.py"), output="run.py.deep.lock")
    assert ran.code == 0, ran.stderr
    assert ran.pins() == ["dep==1.0", "lib==1.0", "other==1.0"]
    assert ran.lock.inputs.sources == ("run.py",)
    check_whole(made, ran)


def test_a_requirements_file_with_constraints(made: Bench) -> None:
    made.hold(NEWER)
    made.write(
        {
            "requirements.in": "-r more.in\n-c limits.txt\nlib  # a comment\n",
            "more.in": "tool ; sys_platform == 'linux'\n",
            "limits.txt": "dep<1.1\n",
        }
    )
    (made.folder / "deep.lock").unlink()
    ran = made.lock("-r", str(made.folder / "requirements.in"), "--refresh")
    assert ran.code == 0, ran.stderr
    assert ran.pins(builds=False) == ["dep==1.0", "lib==1.1", "other==1.1", "tool==1.0"]
    assert ran.lock.inputs.sources == ("requirements.in",)
    check_whole(made, ran)


def test_deep_lock_toml_wins_over_the_table(made: Bench) -> None:
    made.write(
        {
            "pyproject.toml": '[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n'
            '[tool.deep-lock]\nresolution = "lowest"\n',
            "deep-lock.toml": 'prerelease = "allow"\n',
        }
    )
    options = dict(made.lock().lock.options)
    assert (options["resolution"], options["prereleases"]) == ("highest", "allow")


def test_an_age_is_counted_from_the_run_that_first_locked_with_it(made: Bench) -> None:
    first = made.lock("--exclude-newer", "P7D")
    assert first.code == 0
    again = made.lock("--exclude-newer", "P7D")
    assert (again.text, again.asked) == (first.text, ())
    assert made.lock("--check", "--exclude-newer", "P7D").code == 0


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (["--exclude-newer", "P7D"], "exclude-newer"),
        (["--exclude-newer", "2024-06-01"], "exclude-newer"),
        (
            ["--exclude-newer-package", "lib=2024-06-01", "--exclude-newer-package", "dep=false"],
            "exclude-newer-package",
        ),
        (["--no-binary", "tool"], "no-binary"),
        (["--only-binary", ":all:"], "only-binary"),
        (["--build-scope", "none"], "build-scope"),
        (["--resolution", "lowest"], "resolution"),
        (["--prerelease", "allow"], "prerelease"),
        (["--fork-strategy", "fewest"], "fork-strategy"),
        (["--build-resolution", "highest"], "build-resolution"),
    ],
)
def test_options_of_the_command_line_hold_until_others_are_named(made: Bench, flags: list[str], name: str) -> None:
    first = made.lock("-U", *flags)
    assert first.code == 0, first.stderr
    assert "kept from" not in first.stderr
    for again in ([], ["-P", "lib"], ["-U"]):
        ran = made.lock(*again)
        assert ran.text == first.text or name == "exclude-newer", again
        assert dict(ran.lock.options).keys() == dict(first.lock.options).keys()
        assert f"  {name} kept from deep.lock" in ran.stderr
        check = made.lock("--check")
        assert (check.code, check.asked) == (0, ()), check.stderr


def test_an_age_of_the_command_line_is_counted_anew_when_all_is_upgraded(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.hold({**LIB, "lib 1.1": {"requires": ["dep", "other"], "uploaded": "2026-01-03T00:00:00Z"}})

    def at(day: int, *flags: str) -> Run:
        set_clock(monkeypatch, datetime(2026, 1, day, tzinfo=UTC))
        return made.lock("--refresh", *flags)

    assert "lib==1.0" in at(5, "-U", "--exclude-newer", "P7D").pins()
    assert "lib==1.0" in at(20).pins()
    assert "lib==1.0" in at(20, "-P", "lib").pins()
    assert "lib==1.1" in at(20, "-U").pins()


def test_options_of_the_command_line_are_replaced_and_undone(made: Bench) -> None:
    made.hold(NEWER)
    made.ask("lib", "tool")
    first = made.lock("-U", "--refresh")
    assert made.lock("--no-binary", "tool", "--exclude-newer", "2024-06-01", "--only-binary", "dep").code == 0
    ran = made.lock("--only-binary", "other")
    options = dict(ran.lock.options)
    assert (options["only-binary"], options["no-binary"]) == (("other",), ("tool",))
    assert "only-binary kept" not in ran.stderr
    ran = made.lock("--no-binary", ":none:", "--exclude-newer", "false", "--only-binary", ":none:")
    assert ran.text == first.text
    assert "kept from deep.lock" not in made.lock().stderr


def test_an_option_of_the_configuration_does_not_hold_without_it(made: Bench) -> None:
    made.write(
        {"pyproject.toml": '[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n', "deep-lock.toml": ""}
    )
    first = made.lock()
    made.write({"deep-lock.toml": 'exclude-newer = "2024-06-01"\n'})
    assert "exclude-newer" in dict(made.lock().lock.options)
    made.write({"deep-lock.toml": ""})
    assert "option exclude-newer is no longer set" in made.lock("--check").stderr
    ran = made.lock()
    assert ran.text == first.text
    assert "kept from" not in ran.stderr


def test_a_recorded_option_with_a_wrong_value_is_refused(made: Bench) -> None:
    text = made.lock("--resolution", "lowest").text
    assert '"--resolution=lowest"' in text
    (made.folder / "deep.lock").write_text(text.replace("--resolution=lowest", "--resolution=least"), encoding="utf-8")
    ran = made.lock("--check")
    assert ran.code == 2
    assert "command-line" in ran.stderr


# -- what fails leaves what was there


def test_nothing_is_written_where_the_index_fails(made: Bench) -> None:
    made.server.statuses["/simple/broken/"] = 500
    before = made.lock().text
    made.ask("broken")
    ran = made.lock()
    assert ran.code == 3
    assert ran.text == before
    assert sorted(path.name for path in made.folder.iterdir()) == ["deep.lock", "pyproject.toml"]


def test_a_refusal_of_the_first_index_is_not_passed_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capfd, monkeypatch, {"lib 9.0": {}}, indexes={"corp": {"lib 1.0": {}}}) as own:
        own.named = ["corp"]
        own.ask("lib")
        own.servers["corp"].statuses["/simple/lib/"] = 403
        ran = own.lock()
        assert ran.code == 3
        assert ran.text == ""
        assert not [path for path in ran.asked if path.startswith("/simple/lib/")]


def test_a_wheel_appears_and_the_release_is_no_longer_built(made: Bench) -> None:
    made.hold({"tool 1.0": {**SDIST}, **SETUPTOOLS})
    made.ask("tool")
    assert made.lock("-U", "--refresh").lock.builds
    made.hold({"tool 1.0": {"sdist": True}, **SETUPTOOLS})
    assert made.lock("--refresh").lock.builds, "a kept release keeps its files"
    ran = made.lock("--refresh", "-P", "tool")
    assert ran.pins() == ["tool==1.0"]
    assert not ran.lock.builds
    check_whole(made, ran)


def test_a_name_that_no_index_knows_is_not_asked_about_again(made: Bench) -> None:
    made.ask("lib", "late")
    assert made.lock("-U").asked == ("/simple/late/",)
    made.hold({**LIB, "late 1.0": {}})
    for flags in (("-U",), ("-U", "--offline"), ("-U", "--refresh-package", "lib")):
        ran = made.lock(*flags)
        assert ran.code == 1
        assert "no configured index has late" in ran.stderr
        assert "/simple/late/" not in ran.asked
    ran = made.lock("-U", "--refresh-package", "late")
    assert (ran.code, ran.asked[0]) == (0, "/simple/late/"), ran.stderr
    assert "late==1.0" in ran.pins()
    assert made.lock("-U").asked == ()


def test_cache_clean_forgets_what_no_index_knows(made: Bench) -> None:
    made.ask("late")
    assert made.lock("-U").code == 1
    made.hold({**LIB, "late 1.0": {}})
    assert run(["cache", "clean"]) == 0
    assert made.lock("-U").pins() == ["late==1.0"]


def test_a_warm_run_asks_nothing_and_reads_no_sdist_again(made: Bench) -> None:
    made.hold({**LIB, "src 1.0": SDIST, **SETUPTOOLS})
    made.ask("lib", "src")
    first = made.lock("-U", "--refresh")
    assert (first.code, first.pins()) == (0, ["dep==1.0", "lib==1.0", "other==1.0", "setuptools==80.9.0", "src==1.0"])
    again = made.lock("-U")
    assert (again.code, again.text, again.asked) == (0, first.text, ())


HATCHED: Releases = {"hatchling 1.33.0": {"requires": ["helper<2"]}, "helper 1.0": {}, "editables 0.4": {}}
HATCHING = """\
[project]
name = "app"
version = "1"
dependencies = []

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def test_an_editable_build_keeps_pins_of_its_own(made: Bench) -> None:
    made.hold(HATCHED)
    made.write({"pyproject.toml": HATCHING})
    first = made.lock("-U", "--refresh")
    assert [build.hook for build in first.lock.builds] == [None, "editable"]
    made.hold({**HATCHED, "editables 0.5": {}, "helper 1.1": {}})
    assert made.lock("--refresh").text == first.text
    moved = made.lock("-P", "editables", "--refresh")
    assert moved.pins() == ["editables==0.5", "hatchling==1.33.0", "helper==1.0"]
    check_whole(made, moved)


TOLD = """\
[project]
name = "app"
version = "1"
dependencies = ["thing"]

[tool.deep-lock.config-settings]
thing = {{want = {}}}
"""
ASKING: Releases = {
    "thing 1.0": {
        **SDIST,
        "build": [],
        "backend": "own",
        "backend-path": ["."],
        "tree": {"own.py": "def get_requires_for_build_wheel(settings=None):\n    return settings['want']\n"},
    },
    "dep 1.0": {},
    "lib 1.0": {},
}


@pytest.mark.skipif(probe().level != "strong", reason="no strong sandbox on this machine")
def test_an_answer_is_kept_only_for_what_the_backend_was_told(made: Bench) -> None:
    made.hold(ASKING)
    made.pythons, made.platforms, made.hooks = [MINOR], ["host"], "sandbox"
    made.write({"pyproject.toml": TOLD.format(["lib"])})
    (made.folder / "deep.lock").unlink()  # it has other bytes of the same release
    first = made.lock("--refresh")
    assert [(build.requires_dynamic, build.evidence) for build in first.lock.builds] == [(("lib",), "observed")]

    made.hooks = "static"
    assert made.lock("--refresh").text == first.text, "who cannot ask must not unlearn"

    made.write({"pyproject.toml": TOLD.format(["dep"])})
    stale = made.lock("--check")
    assert (stale.code, stale.asked) == (1, ())
    assert "config-settings of 'thing': 'want' changed from [\"lib\"] to [\"dep\"]" in stale.stderr
    assert [build.evidence for build in made.lock("--refresh").lock.builds] == ["assumed"]

    made.hooks = "sandbox"
    again = made.lock("-U")
    assert [build.requires_dynamic for build in again.lock.builds] == [("dep",)], "an answer of the cache was taken"
    check_whole(made, again)


def test_what_a_newer_deep_lock_wrote_outlives_a_rewrite(made: Bench) -> None:
    path = made.folder / "deep.lock"
    text = path.read_text(encoding="utf-8").replace("revision = 0", "revision = 1")
    path.write_text(
        text.replace(
            '\n[[packages]]\nname = "lib"', 'tool.deep-lock.reviewed = "alice"\n\n[[packages]]\nname = "lib"', 1
        ),
        encoding="utf-8",
    )
    made.ask("lib", "other")
    ran = made.lock()
    assert ran.code == 0
    assert "revision = 1" in ran.text
    assert 'tool.deep-lock.reviewed = "alice"' in ran.text


@pytest.mark.skipif(probe().level != "strong", reason="no strong sandbox here")
def test_a_project_that_cannot_be_asked_here_stays_what_the_lock_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with laid(load(SCENARIOS / "project-setup-py.toml"), tmp_path, capfd, monkeypatch) as made:
        first = made.lock()
        assert first.code == 0
        made.hold({**made.told, "lib 1.1": {}})
        made.hooks = "static"
        moved = made.lock("-P", "lib", "--refresh")
        assert moved.code == 0
        assert "the backend cannot run here: taken from the previous lock" in moved.stderr
        assert moved.pins(builds=False) == ["lib==1.1", "other==1.0"]
        assert [build.name for build in moved.lock.builds] == ["app"]
        refused = made.lock("-U")
        assert refused.code == 4
        assert "the backend cannot run here" in refused.stderr
        assert refused.text == moved.text


def test_other_bytes_under_a_kept_release_are_refused(made: Bench) -> None:
    """Not those of another version. Those of a release that the user moves are refused, too."""
    before = made.lock().text
    made.hold({**NEWER, "lib 1.0": {"requires": ["dep", "other"], "comment": "built anew"}})
    refused = made.lock("-P", "dep", "--refresh")
    assert refused.code == 4
    assert "lib-1.0-py3-none-any.whl: sha256" in refused.stderr
    assert "deep-lock lock --accept-changed-file lib-1.0-py3-none-any.whl" in refused.stderr
    assert refused.text == before
    assert made.lock("-P", "dep", "-P", "lib==1.0", "--refresh").code == 4
    taken = made.lock("-P", "dep", "--accept-changed-file", "lib-1.0-py3-none-any.whl", "--refresh")
    assert taken.code == 0
    assert taken.pins() == ["dep==1.1", "lib==1.0", "other==1.0"]


@pytest.mark.parametrize("flags", [(), ("-U",)], ids=["no lock", "-U"])
def test_a_version_can_be_named_where_no_lock_tells_who_uses_it(made: Bench, flags: tuple[str, ...]) -> None:
    made.hold(NEWER)
    made.ask("lib", "tool")
    if not flags:
        (made.folder / "deep.lock").unlink()
    ran = made.lock("--refresh", *flags, "-P", "dep==1.0", "-P", "setuptools==80.9.0", "-P", "cython==3.0")
    assert ran.code == 0, ran.stderr
    assert ran.pins(builds=False) == ["dep==1.0", "lib==1.1", "other==1.1", "tool==1.0"]
    (build,) = ran.lock.builds
    assert [f"{own.name} {own.version}" for own in build.packages] == ["cython 3.0", "setuptools 80.9.0"]


def test_two_versions_of_one_project_are_wrong_usage(made: Bench) -> None:
    ran = made.lock("-P", "dep==1.0", "-P", "Dep==1.1")
    assert ran.code == 2
    assert "-P names dep twice, as dep==1.0 and as dep==1.1" in ran.stderr.replace("Dep==", "dep==")


def test_a_lock_is_stale_where_a_requirements_file_gives_other_hashes(made: Bench) -> None:
    def lines(digest: str) -> None:
        made.write({"r.txt": f"dep==1.0 --hash=sha256:{digest} --hash=sha256:{'1' * 64}\n"})

    flags = ("-r", "{folder}/r.txt")
    lines("{sha256:dep-1.0-py3-none-any.whl}")
    first = made.lock(*flags)
    assert first.code == 0, first.stderr
    assert made.lock(*flags, "--check").code == 0
    lines("0" * 64)
    ran = made.lock(*flags, "--check")
    assert (ran.code, ran.asked) == (1, ())
    assert "r.txt:1 has other hashes for dep 1.0" in ran.stderr
    ran = made.lock(*flags)
    assert (ran.code, ran.text) == (4, first.text)


# -- a kept release keeps its files

OLD: Releases = {
    "plain 1.0": {},
    "built 1.0": {"wheels": [], "sdist": True, "build": ["tool"], "backend": "tool"},
    "tool 1.0": {"wheels": ["py3-none-any"]},
    "other 1.0": {},
}
TAG = "cp313-cp313-manylinux_2_28_x86_64"
LATER = {"uploaded": "2025-06-07T00:00:00Z"}


def _add_files(made: Bench, *tags: str) -> None:
    """Let each old release of the index have wheels with these tags, which came later."""
    names = ("plain", "built", "tool")
    more: Releases = {f"{name} 1.0": {**LATER, "wheels": list(tags)} for name in names}
    made.hold({**OLD})
    for key, release in more.items():
        files = release_files(key, release)
        made.server.projects[key.split(" ")[0]].extend(files)
        made.server.known.update({file.filename: file for file in files})


@pytest.fixture
def kept(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, OLD) as own:
        own.ask("plain", "built")
        assert own.lock().code == 0
        yield own


def _files(made: Bench) -> dict[str, list[str]]:
    lock = from_text((made.folder / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    return {entry.name: [file.name for file in files_of(entry)] for entry in lock.packages}


def test_a_kept_release_takes_no_file_that_was_added_later(kept: Bench) -> None:
    before = _files(kept)
    _add_files(kept, TAG)
    kept.ask("plain", "built", "other")
    ran = kept.lock("--refresh")
    assert ran.code == 0, ran.stderr
    assert _files(kept) == {**before, "other": ["other-1.0-py3-none-any.whl"]}
    build = ran.lock.builds[0]
    assert (build.name, build.needed, build.targets) == ("built", "always", ())
    assert next(entry for entry in ran.lock.packages if entry.name == "built").sdist_only
    kept.ask("plain", "built")
    assert kept.lock("--refresh").code == 0
    assert _files(kept) == before


@pytest.mark.parametrize(
    ("flags", "taken"),
    [(("-P", "plain"), {"plain"}), (("-P", "built"), {"built"}), (("-P", "tool"), {"tool"}), (("-U",), {"plain", "built"})],
)  # fmt: skip
def test_an_upgrade_takes_files_that_were_added_later(kept: Bench, flags: tuple[str, ...], taken: set[str]) -> None:
    before = _files(kept)
    _add_files(kept, TAG)
    assert kept.lock("--refresh", *flags).code == 0
    after = _files(kept)
    assert {name for name, files in after.items() if files != before[name]} == taken
    for name in taken:
        assert f"{name}-1.0-{TAG}.whl" in after[name]


def test_another_target_takes_the_files_that_it_needs(kept: Bench) -> None:
    before = _files(kept)
    kept.platforms = (LINUX, WINDOWS)
    _add_files(kept, TAG, "cp313-cp313-win_amd64")
    assert kept.lock("--refresh").code == 0
    after = _files(kept)
    assert after["plain"] == ["plain-1.0-cp313-cp313-win_amd64.whl", *before["plain"]]
    assert after["built"] == ["built-1.0-cp313-cp313-win_amd64.whl", *before["built"]]


def test_a_file_that_is_gone_is_replaced(kept: Bench) -> None:
    _add_files(kept, TAG)
    files = kept.server.projects["plain"]
    files[:] = [file for file in files if TAG in file.filename]
    kept.ask("plain", "built", "other")
    assert kept.lock("--refresh").code == 0
    assert _files(kept)["plain"] == [f"plain-1.0-{TAG}.whl"]


def test_another_choice_of_kinds_takes_the_files_anew(kept: Bench) -> None:
    kept.hold({**OLD, "plain 1.0": {"sdist": True, "build": ["tool"], "backend": "tool"}})
    assert kept.lock("--refresh", "--no-binary", "plain").code == 0
    assert _files(kept)["plain"] == ["plain-1.0.tar.gz"]
    assert kept.lock("--refresh", "--no-binary", ":none:").code == 0
    assert _files(kept)["plain"] == ["plain-1.0-py3-none-any.whl"]


def test_a_list_of_every_file_is_kept_too(kept: Bench) -> None:
    with (kept.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.deep-lock]\nfiles = "all"\n')
    assert kept.lock().code == 0
    before = _files(kept)
    _add_files(kept, TAG, "cp39-cp39-win_amd64")
    assert kept.lock("--refresh").code == 0
    assert _files(kept) == before
    assert kept.lock("--refresh", "-P", "plain").code == 0
    assert len(_files(kept)["plain"]) == 3


def _diff(made: Bench, old: str) -> str:
    (made.folder / "old.lock").write_text(old, encoding="utf-8")
    made.capture.readouterr()
    run(["diff", str(made.folder / "old.lock"), str(made.folder / "deep.lock")])
    return made.capture.readouterr().out


def test_diff_puts_a_file_that_was_added_later_first(kept: Bench) -> None:
    old = (kept.folder / "deep.lock").read_text(encoding="utf-8")
    kept.hold({**OLD, "other 2.0": {}})
    _add_files(kept, TAG)
    kept.ask("plain", "built", "other")
    assert kept.lock("--refresh", "-P", "plain", "-P", "tool").code == 0
    lines = [line for line in _diff(kept, old).splitlines() if "  [" in line]
    assert lines[0].endswith("[file-added-later]"), lines
    assert f"plain-1.0-{TAG}.whl was added to 1.0: uploaded 2025-06-07 00:00 UTC" in lines[0]
    assert "and the locked files until 2024-05-06 07:08 UTC" in lines[0]
    assert lines[1].startswith("  ! tool")
    assert not any("[files-changed]" in line for line in lines)


def test_diff_does_not_call_a_file_of_another_target_late(kept: Bench) -> None:
    old = (kept.folder / "deep.lock").read_text(encoding="utf-8")
    release = {"wheels": ["py3-none-any", "cp313-cp313-win_amd64"]}
    kept.hold({**OLD, "plain 1.0": release})
    kept.platforms = (LINUX, WINDOWS)
    assert kept.lock("--refresh").code == 0
    assert len(_files(kept)["plain"]) == 2
    assert "file-added-later" not in _diff(kept, old)


def test_diff_knows_a_later_file_without_its_time(kept: Bench) -> None:
    kept.hold({key: {**release, "uploaded": ""} for key, release in OLD.items()})
    assert kept.lock("--refresh", "-U").code == 0
    old = (kept.folder / "deep.lock").read_text(encoding="utf-8")
    kept.hold({**OLD, "plain 1.0": {"wheels": ["py3-none-any", TAG], "uploaded": ""}})
    assert kept.lock("--refresh", "-P", "plain").code == 0
    assert "the upload times are not known  [file-added-later]" in _diff(kept, old)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("-c", "{folder}/c.txt"), "the constraint 'lib<2' was removed"),
        (("--overrides", "{folder}/c.txt"), "the override 'lib<2' was removed"),
        (("-b", "{folder}/c.txt"), "the build constraint 'lib<2' was removed"),
        (("--group", "docs"), "dependency group 'dev' was added"),
        (("--extra", "more"), "extra 'other' was added"),
        (("--index", "own={url}"), "index 'own' was removed"),
        (("--find-links", "{folder}/links"), 'option find-links is no longer set; it was ["links"]'),
    ],
)
def test_what_one_run_gave_and_another_does_not_is_named(made: Bench, flags: tuple[str, ...], says: str) -> None:
    made.write(
        {
            "c.txt": "lib<2\n",
            "links/none.txt": "",
            "pyproject.toml": '[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n'
            "[project.optional-dependencies]\nmore = []\nother = []\n"
            "[dependency-groups]\ndev = []\ndocs = []\n",
        }
    )
    assert made.lock(*flags).code == 0
    again = made.lock()
    assert again.code == 0
    assert says in again.stderr
    assert says not in made.lock().stderr
