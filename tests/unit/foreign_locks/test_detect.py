"""Which reader takes a lock: by its name, or by its content where the name tells nothing."""

from pathlib import Path

import pytest
from msgspec import Struct

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.detect import read_foreign

FIXTURES = Path(__file__).parents[3] / "fixtures" / "foreign"


def no_include(including: str, relative: str) -> str:
    raise AssertionError(f"{including} includes {relative}")


POETRY = "poetry-rich/poetry.lock"
PIPFILE = "pipenv/Pipfile.lock"
PINS = "pins/uv-universal.txt"
UV = 'version = 1\nrequires-python = ">=3.11"\n'
PYLOCK = 'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n'
PDM = 'package = []\n[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.0"\ncontent_hash = "sha256:00"\n'


def text_of(source: str) -> str:
    return source if "\n" in source else (FIXTURES / source).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "name", "kind"),
    [
        (POETRY, "poetry.lock", "poetry.lock"),
        (POETRY, "sub/Poetry.lock", "poetry.lock"),
        (POETRY, "saved-lock", "poetry.lock"),
        (PIPFILE, "Pipfile.lock", "Pipfile.lock"),
        (PIPFILE, "saved.json", "Pipfile.lock"),
        (PINS, "sub\\requirements.txt", "requirements.txt"),
        (PINS, "requirements.lock", "requirements.txt"),
        ("a==1\n", "pins.txt", "pip freeze"),
        (UV, "uv.lock", "uv.lock"),
        (UV, "saved.lock", "uv.lock"),
        (PYLOCK, "pylock.toml", "pylock.toml"),
        (PYLOCK, "pylock.dev.toml", "pylock.toml"),
        (PYLOCK, "saved.toml", "pylock.toml"),
        (PDM, "pdm.lock", "pdm.lock"),
        (PDM, "saved.lock", "pdm.lock"),
    ],
)
def test_a_lock_is_known_by_name_or_content(source: str, name: str, kind: str) -> None:
    assert read_foreign(text_of(source), name, project=None, opener=no_include).kind == kind


def types_of_strings(record: object) -> set[type]:
    if isinstance(record, str):
        return {type(record)}
    if isinstance(record, Struct):
        return types_of_strings(tuple(getattr(record, key) for key in record.__struct_fields__))
    if isinstance(record, tuple | frozenset):
        return set().union(*map(types_of_strings, record))
    return set()


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(FIXTURES.glob("*/*")) if path.name not in {"expected.json", "pyproject.toml"}],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_the_records_have_plain_strings(path: Path) -> None:
    project = path.with_name("pyproject.toml")
    text = project.read_text(encoding="utf-8") if project.is_file() else None
    folder = '[project]\nname = "local-lib"\nversion = "1"\n'
    lock = read_foreign(path.read_text(encoding="utf-8"), path.name, project=text, opener=lambda *_: folder)
    assert types_of_strings(lock) == {str}


@pytest.mark.parametrize("text", ["", "hello\n", "{}", "flask>=2\n", "[project]\nname = 'a'\n"])
def test_what_is_no_lock_is_refused_with_what_is_taken(text: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        read_foreign(text, "thing", project=None, opener=no_include)
    assert caught.value.message == "thing: is not a lockfile of a known format"
    assert "uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml" in caught.value.hint
