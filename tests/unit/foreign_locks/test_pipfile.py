"""Pipfile.lock: a recorded lock (Pipenv 2026.10.3) with what `pipenv requirements` says of it."""

from pathlib import Path

import pytest

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.pipfile import read_pipfile_lock
from deep_lock.models.foreign_lock import ForeignLock, installed_pins
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import BASE, Scope

LOCK = Path(__file__).parents[3] / "fixtures" / "foreign" / "pipenv" / "Pipfile.lock"
META = '"_meta": {"pipfile-spec": 6}'


def recorded() -> ForeignLock:
    return read_pipfile_lock(LOCK.read_text(encoding="utf-8"), "Pipfile.lock")


def names(lock: ForeignLock, python: str, scope: Scope) -> str:
    found = installed_pins(lock, make_target(python, "x86_64-manylinux_2_28", host=None).environment)
    return " ".join(sorted(lock.pins[place].name for place, scopes in found.items() if scope in scopes))


def test_sections_are_the_project_and_groups() -> None:
    lock = recorded()
    assert names(lock, "3.11", BASE) == (
        "attrs certifi charset-normalizer click gitlib idna local-lib pluggy pysocks requests urllib3"
    )
    assert names(lock, "3.11", Scope(kind="group", name="develop")) == "iniconfig packaging pluggy pygments pytest"
    assert names(lock, "3.9", Scope(kind="group", name="develop")) == "packaging pygments pytest"
    assert names(lock, "3.11", Scope(kind="group", name="docs")) == "markupsafe"


def test_what_the_lock_says_of_itself() -> None:
    lock = recorded()
    assert (lock.kind, lock.pythons, lock.one_environment) == ("Pipfile.lock", ("3.11",), True)
    assert lock.groups == ("develop", "docs")
    assert [(note.code, note.subject) for note in lock.notes] == [
        ("foreign-unpinned", "colorama"),
        ("foreign-unpinned", "tomli"),
    ]
    pins = {str(pin.name): pin for pin in lock.pins}
    assert str(pins["click"].version) == "8.5.1"
    assert pins["click"].index == "https://index.example/simple"
    assert pins["gitlib"].url == "git+https://git.example/gitlib.git@47d3b08ccf99d8445790e1e0f1f211b40fedfa2b"
    assert pins["local-lib"].url == "./local-lib#editable=true"
    assert pins["idna"].url == "https://files.example/idna-3.10-py3-none-any.whl"
    assert len(pins["certifi"].sha256s) == 2
    assert len([pin for pin in lock.pins if pin.name == "pluggy"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{" + META + ', "default": ' + "[" * 900 + "]" * 900 + "}", "default must be a table, not an array"),
        ('{"a": 1, "a": 2}', "a key is in one table twice"),
        ('{"_meta": {"pipfile-spec": 7}}', "_meta.pipfile-spec is 7; known is 6"),
        ("{" + META + ', "default": []}', "default must be a table, not an array"),
        ("{" + META + ', "default": {"a": {"version": ">=1"}}}', "default.a.version is not a pinned version"),
        ("{" + META + ', "default": {"a": {"version": "==1", "hashes": [1]}}}', "default.a.hashes[0] must be a string"),
        ("{" + META + ', "default": {"a": {"hg": "https://x.example/a"}}}', "default.a.hg cannot be used"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        read_pipfile_lock(text, "Pipfile.lock")
    assert said in caught.value.message


def test_another_digest_is_no_sha256() -> None:
    text = "{" + META + ', "default": {"a": {"version": "==1", "hashes": ["md5:' + "a" * 32 + '"]}}}'
    lock = read_pipfile_lock(text, "Pipfile.lock")
    assert (lock.pins[0].sha256s, [note.code for note in lock.notes]) == (frozenset(), ["foreign-no-sha256"])
