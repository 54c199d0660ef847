"""poetry.lock as Poetry installs from it: recorded locks with the answers of Poetry's own installer for each environment.

expected.json is what `Installer` (2.5.1 for lock version 2.1, 1.8.5 for 2.0) wants to install there: the main group, the
main group with one extra, one group alone.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.foreign_locks.poetry import read_poetry_lock
from deep_lock.models.foreign_lock import ForeignLock, installed_pins
from deep_lock.targets.factory import make_target

FIXTURES = Path(__file__).parents[3] / "fixtures" / "foreign"
LOCKS = ["poetry-rich", "poetry-standard", "poetry1-rich", "poetry1-forked"]
SHA = "ab" * 32


def recorded(name: str) -> ForeignLock:
    folder = FIXTURES / name
    project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    return read_poetry_lock((folder / "poetry.lock").read_text(encoding="utf-8"), "poetry.lock", project)


def environment(label: str) -> dict[str, str]:
    python, platform = label.split("-", 1)
    return dict(make_target(f"3.{python.removeprefix('cp3')}", platform, host=None).environment)


def installed(lock: ForeignLock, label: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for place, scopes in installed_pins(lock, environment(label)).items():
        pin = lock.pins[place]
        for scope in scopes:
            key = f"{scope.kind}:{scope.name}" if scope.name else scope.kind
            found.setdefault(key, set()).add(f"{pin.name}=={pin.version}")
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_each_environment_has_what_poetry_installs_there(name: str) -> None:
    lock = recorded(name)
    expected = json.loads((FIXTURES / name / "expected.json").read_text(encoding="utf-8"))
    for label, scopes in expected.items():
        found = installed(lock, label)
        for scope, text in scopes.items():
            base = found.get("base", set()) if scope.startswith("extra:") else set()
            assert found.get(scope, set()) | base == set(text.split()), (label, scope)


def test_a_lock_says_where_its_pins_are_from() -> None:
    lock = recorded("poetry-rich")
    assert (lock.kind, lock.requires_python) == ("poetry.lock", "<3.14,>=3.9")
    assert (lock.extras, lock.groups) == (("ini", "web-server"), ("dev", "docs"))
    pins = {str(pin.name): pin for pin in lock.pins}
    commit = "47d3b08ccf99d8445790e1e0f1f211b40fedfa2b"
    assert pins["gitlib"].url == f"git+https://git.example/gitlib.git@{commit}"
    assert pins["local-lib"].url == "./local-lib#editable=true"
    assert pins["idna"].url == "https://files.example/idna-3.10-py3-none-any.whl"
    assert pins["certifi"].index == "https://index.example/simple"
    assert [len(file.sha256 or "") for file in pins["certifi"].files] == [64, 64]
    assert pins["requests"].extras == {"socks"}
    assert (pins["click"].direct, pins["certifi"].direct) == (True, False)
    assert lock.notes == ()


def test_a_login_in_an_index_is_left_out() -> None:
    lock = read_poetry_lock(
        package('files = []\n[package.source]\ntype = "legacy"\nurl = "https://u:secret@index.example/simple"'),
        "poetry.lock",
        None,
    )
    assert lock.pins[0].index == "https://index.example/simple"
    assert "secret" not in repr(lock)


METADATA = '\n[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\ncontent-hash = "a"\n'


def package(rest: str = "files = []", metadata: str = METADATA) -> str:
    return (
        '[[package]]\nname = "a"\nversion = "1"\noptional = false\npython-versions = "*"\ngroups = ["main"]\n'
        + rest
        + "\n"
        + metadata
    )


@pytest.mark.parametrize(
    ("rest", "metadata", "said"),
    [
        ("files = 1", METADATA, "package[0].files must be an array, not a number"),
        ('files = [{file = "a-1.tar.gz", hash = 1}]', METADATA, "package[0].files[0].hash must be a string"),
        ('files = [{file = "a-1.tar.gz", hash = "sha256:12"}]', METADATA, "package[0].files[0].hash is"),
        ('files = [{file = "../a-1.tar.gz"}]', METADATA, "package[0].files[0].file names no file"),
        ('files = []\nmarkers = "python_version ?? 3"', METADATA, "package[0].markers is"),
        ("files = []\nmarkers = {main = 3}", METADATA, "package[0].markers.main must be a string"),
        ('files = []\n[package.source]\ntype = "svn"\nurl = "x"', METADATA, "package[0].source.type is 'svn'"),
        ("files = []", METADATA.replace("2.1", "2.2"), "lock version '2.2'; known are 1.0, 1.1, 2.0, 2.1"),
        ("files = []", METADATA.replace("2.1", "3.0"), "lock version '3.0'"),
        ("files = []", "", "lacks the key 'metadata'"),
        ("files = []", METADATA.replace("2.1", "2.0"), "does not contain the requirements of the project"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(rest: str, metadata: str, said: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        read_poetry_lock(package(rest, metadata), "poetry.lock", None)
    assert said in caught.value.message
    assert caught.value.message.startswith("poetry.lock: ")


def test_another_digest_is_no_sha256() -> None:
    lock = read_poetry_lock(
        package('files = [{file = "a-1.tar.gz", hash = "md5:' + "a" * 32 + '"}]'), "poetry.lock", None
    )
    assert [(file.name, file.sha256) for file in lock.pins[0].files] == [("a-1.tar.gz", None)]
    assert [note.code for note in lock.notes] == ["foreign-no-sha256"]


def test_a_union_of_pythons_is_a_marker() -> None:
    lock = read_poetry_lock(package(metadata=METADATA.replace(">=3.9", "<=3.8 || >3.9.2,<4")), "poetry.lock", None)
    assert lock.requires_python is None
    assert len(lock.environments) == 1


def test_an_old_lock_has_its_files_apart() -> None:
    files = f'a = [{{file = "a-1-py3-none-any.whl", hash = "sha256:{SHA}"}}, {{file = "a-2-py3-none-any.whl", hash = "sha256:{SHA}"}}]'
    text = (
        '[[package]]\nname = "a"\nversion = "1"\ncategory = "main"\noptional = false\npython-versions = "*"\n'
        '[metadata]\nlock-version = "1.1"\npython-versions = "^3.9"\ncontent-hash = "x"\n[metadata.files]\n' + files
    )
    lock = read_poetry_lock(text, "poetry.lock", '[tool.poetry.dependencies]\npython = "^3.9"\na = "^1"\n')
    assert [file.name for file in lock.pins[0].files] == ["a-1-py3-none-any.whl"]
    assert installed(lock, "cp312-x86_64-windows") == {"base": {"a==1"}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def written(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {written(below)}" for key, below in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
        case None:
            return '""'
        case _:
            return json.dumps(value)


@settings(max_examples=150, deadline=None)
@given(
    key=st.sampled_from(
        ["files", "markers", "groups", "source", "dependencies", "extras", "name", "version", "develop"]
    ),
    value=VALUES,
    version=st.sampled_from(["1.1", "2.0", "2.1"]),
)
def test_nothing_but_our_errors_escapes(key: str, value: Any, version: str) -> None:
    table = {"name": "a", "version": "1", "python-versions": "*", "groups": ["main"], "files": [], key: value}
    text = f'package = [{written(table)}]\nmetadata = {{lock-version = "{version}", python-versions = "*"}}\n'
    with suppress(DeepLockError):
        read_poetry_lock(text, "poetry.lock", '[tool.poetry.dependencies]\na = "*"\n')
