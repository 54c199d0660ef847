"""Replacing a lock: the text is read back and compared before it is written, and keys of a newer revision are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from packaging.pylock import Pylock, PylockValidationError

from deep_lock.errors import LockInvalid, UrlForbidden
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.rewrite import checked_text
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import LockedPackage, LockedReference
from tests.support.lock_strategies import LINUX, package, small_lock

ENTRY = replace(package("a"), direct=True)


def test_a_valid_lock_is_its_text() -> None:
    lock = small_lock(ENTRY)
    assert checked_text(lock, (LINUX,)) == to_text(lock)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (replace(ENTRY, name="A"), "the new lock: packages[0].name: must be a normalized name, not 'A'"),
        (replace(ENTRY, marker=""), "the new lock differs when it is read back"),
        (replace(ENTRY, build_only=True), "the new lock breaks invariants:\n  a 1.0 is marked build-only"),
    ],
)
def test_a_lock_that_is_not_read_back_is_an_internal_error(entry: LockedPackage, fault: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        checked_text(small_lock(entry))
    assert caught.value.message.startswith(f"internal error, please report: {fault}")


def test_what_must_not_be_written_is_no_internal_error() -> None:
    with pytest.raises(UrlForbidden) as caught:
        checked_text(small_lock(replace(ENTRY, index="https://user:secret@index.example/simple/")))
    assert "internal error" not in caught.value.message


def test_what_packaging_refuses_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PylockValidationError("no", context="packages[0]")

    monkeypatch.setattr(Pylock, "from_dict", refuse)
    with pytest.raises(LockInvalid) as caught:
        checked_text(small_lock(ENTRY))
    assert (
        caught.value.message == "internal error, please report: the new lock is not valid PEP 751: no in 'packages[0]'"
    )


LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
SMALL, NEWER = ((LOCKS / f"{name}.lock").read_text("utf-8") for name in ("small", "newer-revision"))


@pytest.mark.parametrize("suffix", [".zip", ".tar.bz2", ".tar.xz"])
def test_an_sdist_of_another_format_is_written(suffix: str) -> None:
    text = SMALL.replace(".tar.gz", suffix)
    assert checked_text(from_text(text, "x")) == text


def test_an_sdist_with_an_old_spelling_of_its_version_is_written() -> None:
    text = SMALL.replace('\nversion = "1.0"', '\nversion = "1.0a1"').replace("hostile-1.0-cp", "hostile-1.0a1-cp")
    text = text.replace("hostile==1.0", "hostile==1.0a1")
    text = text.replace("hostile-1.0.tar.gz", "hostile-1.0-alpha-1.zip")
    assert checked_text(from_text(text, "x")) == text
    with pytest.raises(LockInvalid, match=r"'other-1.0-alpha-1.zip' is not a file of 'hostile'"):
        from_text(text.replace("hostile-1.0-alpha-1.zip", "other-1.0-alpha-1.zip"), "x")
    with pytest.raises(LockInvalid, match=r"'hostile-1.0-alpha-2.zip' is not a file of version 1.0a1"):
        from_text(text.replace("hostile-1.0-alpha-1.zip", "hostile-1.0-alpha-2.zip"), "x")


def _rewritten(previous: str, text: str = SMALL) -> str:
    """Return the text of a lock that replaces one of revision 7."""
    return checked_text(replace(from_text(text, "x"), revision=7), previous=previous)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_rewrite_keeps_what_a_newer_revision_wrote(line_end: str) -> None:
    text = NEWER.replace("crates = 3\n", "crates = [\n    3,\n]\n")
    assert _rewritten(text.replace("\n", line_end)) == text


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('lock-version = "1.0"\n', 'first = 1\nlock-version = "1.0"\n'),
        ('created-by = "deep-lock"\n', 'created-by = "deep-lock"\nlast = [\n    1,\n    # why\n    2,\n]\n'),
        ("extras = []\n", "extras = []\n  'odd key'=0x1F # why\n"),
        ('version = "1.0"\nindex', "version = \"1.0\"\nnew = 'x'\nindex"),
        ("size = 10, hashes", "new = {a=1, b = [1,2]}, size = 10, hashes"),
        ('hashes = {sha256 = "2d', 'new = 1, hashes = {sha256 = "2d'),
        ("tool.deep-lock.build-on", 'tool.deep-lock.before = "x" # why\ntool.deep-lock.build-on'),
        ("tool.deep-lock.build-only = true\n", "tool.deep-lock.build-only = true\ntool.other.x = 1\n"),
        ("revision = 7\n", "revision = 7\nnew.a = 1\nnew.b = 2\n"),
        ("moods = ", "unknown = "),
        ("[tool.deep-lock.indexes]", '[tool.deep-lock.members.a]\npath = "a"\n\n[tool.deep-lock.indexes]'),
        (
            "[tool.deep-lock.indexes]",
            "[[tool.deep-lock.rows]]\nx = 1\n\n[[tool.deep-lock.rows]]\n\n[tool.deep-lock.indexes]",
        ),
        ("\n[[tool.deep-lock.builds]]", "\n[[tool.deep-lock.new]]\n\n[[tool.deep-lock.builds]]"),
        ('needed = "targets"\n', 'needed = "targets"\nnew = 1979-05-27\n'),
        ('version = "84.2.1"},', 'version = "84.2.1", new = true},'),
        ("crates = 3\n", "crates = 3\n\n[[tool.deep-lock.later]]\nx = 1\n"),
        ("[tool.deep-lock]\n", "[tool.other]\nx = 1\n\n[tool.deep-lock]\n"),
    ],
)
def test_an_unknown_key_keeps_its_position_and_its_style(was: str, now: str) -> None:
    text = NEWER.replace(was, now, 1)
    assert text != NEWER
    assert _rewritten(text) == text


def test_an_unknown_mark_is_kept_on_a_package_without_marks() -> None:
    lock = small_lock(replace(package("a"), direct=True), package("b"))
    lock = replace(
        lock, packages=(replace(lock.packages[0], dependencies=(LockedReference(name="b"),)), lock.packages[1])
    )
    assert "direct" not in to_text(lock).partition('name = "b"\nversion')[2]
    head, tail = checked_text(lock).replace("revision = 0", "revision = 7").split("\n\n[tool.deep-lock]")
    previous = f'{head}\ntool.deep-lock.reviewed = "alice"\n\n[tool.deep-lock]{tail}'
    assert checked_text(replace(lock, revision=7), previous=previous) == previous


def test_unknown_keys_go_with_their_table() -> None:
    text = NEWER.replace('version = "84.2.1"\n', 'version = "84.2.1"\nnew = 1\n', 1)
    assert "new = 1" in _rewritten(text)
    assert "new = 1" not in _rewritten(text.replace("84.2.1", "84.2.0"))


def test_unknown_keys_of_a_reformatted_lock_are_kept_on_one_line() -> None:
    text = (LOCKS / "reformatted.lock").read_text("utf-8")
    for was, now in (
        ("revision = 0", "revision = 7\n'a key' = {x=1, y = [1,2]} # why"),
        ("direct = false}", "direct = false, reviewed = 'alice'}"),
        ('{version = "84.2.1", name', '{new = 0x1F, version = "84.2.1", name'),
        ("[packages.sdist]", "[packages.sdist]\nnew = {a = 1} # why"),
        ("[[packages.wheels]]\nname", "[packages.sdist.more]\nx = 'y'\n[[packages.wheels]]\nname"),
    ):
        assert was in text
        text = text.replace(was, now, 1)
    text += "later = [\n1]"
    expected = SMALL
    for was, now in (
        ("revision = 0", "revision = 7\n'a key' = {x=1, y = [1,2]} # why\nlater = [\n1]"),
        ("build-only = true", 'build-only = true\ntool.deep-lock.reviewed = "alice"'),
        ('{name = "setuptools", version', '{new = 0x1F, name = "setuptools", version'),
        ("sdist = {", "sdist = {new = {a = 1}, "),
        ('81"}}\n', '81"}, more = {x = "y"}}\n'),
    ):
        assert was in expected
        expected = expected.replace(was, now, 1)
    assert _rewritten(text) == expected


def test_keys_that_are_new_are_before_a_kept_table() -> None:
    previous = NEWER.replace(
        'requirements = [\n    "hostile",\n]\nworkspace = ["a", "b"]\n', "\n[tool.deep-lock.inputs.new]\nx = 1\n"
    )
    assert previous != NEWER
    assert (
        'sources = ["pyproject.toml"]\nrequirements = [\n    "hostile",\n]\n\n[tool.deep-lock.inputs.new]\nx = 1\n\n'
        in _rewritten(previous)
    )


def test_of_a_previous_lock_of_our_revision_nothing_is_kept() -> None:
    assert checked_text(from_text(SMALL, "x"), previous="x = ") == SMALL


def test_without_a_previous_lock_the_revision_is_ours() -> None:
    assert _rewritten("") == SMALL


def test_a_lock_that_tomlkit_does_not_read_is_not_replaced() -> None:
    with pytest.raises(LockInvalid) as caught:
        _rewritten("x = ")
    assert caught.value.message.startswith("the previous lock is of a later deep-lock, and its keys cannot be kept: ")
    assert caught.value.hint == "upgrade deep-lock"


@pytest.mark.parametrize(
    ("command", "imported"),
    [
        ("lock --check", False),
        ("why docopt", False),
        ("tree", False),
        ("policy", False),
        ("diff deep.lock deep.lock", False),
        ("export -f pylock", True),
    ],
)
def test_tomlkit_is_imported_only_to_write(tmp_path: Path, command: str, *, imported: bool) -> None:
    (tmp_path / "deep.lock").write_bytes((LOCKS / "example.lock").read_bytes())
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1"\ndependencies = ["docopt>=0.6"]\n')
    (tmp_path / "tomlkit.py").write_text('raise ImportError("no tomlkit here")\n')
    ran = subprocess.run(
        [sys.executable, "-m", "deep_lock", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "DEEP_LOCK_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("no tomlkit here" in ran.stderr) == imported, ran.stderr
    assert imported or ran.returncode in {0, 1}
