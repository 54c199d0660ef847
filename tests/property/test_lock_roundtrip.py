"""Invariants of the text of a lock, on generated locks."""

import tomllib
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.pylock import Pylock
from packaging.tags import Tag, parse_tag

from deep_lock.errors import DeepLockError
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock, LockedPackage
from deep_lock.targets.target import Target
from tests.support.lock_strategies import closed_locks, shuffled, targets_of


@given(closed_locks())
def test_what_is_written_is_read(lock: Lock) -> None:
    text = to_text(lock)
    assert text.isascii()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    read = from_text(text, "deep.lock")
    assert read == ordered(lock)
    assert to_text(read) == text


@given(closed_locks())
def test_an_editor_that_keeps_the_style_moves_no_byte(lock: Lock) -> None:
    text = to_text(lock)
    assert tomlkit.dumps(tomlkit.parse(text)) == text


def _paths_of_texts(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths_of_texts(inner, (*path, key))


@given(closed_locks(), st.data())
def test_an_edit_of_one_value_changes_its_line_alone(lock: Lock, data: st.DataObject) -> None:
    text = to_text(lock)
    *path, key = data.draw(st.sampled_from(list(_paths_of_texts(tomllib.loads(text)))))
    document = tomlkit.parse(text)
    table: Any = document
    for part in path:
        table = table[part]
    table[key] = "edited"
    was, now = text.splitlines(), tomlkit.dumps(document).splitlines()
    assert len(was) == len(now)
    (changed,) = [line for line, other in zip(now, was, strict=True) if line != other]
    assert '"edited"' in changed


@given(closed_locks(), st.randoms(use_true_random=False))
def test_order_changes_no_byte(lock: Lock, random: Random) -> None:
    assert to_text(shuffled(lock, random)) == to_text(lock)


def _tags(target: Target) -> list[Tag]:
    return [tag for text in target.tags for tag in parse_tag(text)]


@given(closed_locks())
def test_readers_of_pylock_install_the_runtime_part(lock: Lock) -> None:
    pylock = Pylock.from_dict(tomllib.loads(to_text(lock)))
    wanted = {(entry.name, entry.version) for entry in lock.packages if not entry.build_only}
    for target in targets_of(lock):
        chosen = list(pylock.select(environment=dict(target.environment), tags=_tags(target)))  # type: ignore[arg-type]  # its Environment is a TypedDict of the same keys
        assert {(package.name, str(package.version)) for package, _ in chosen} == wanted


@given(closed_locks())
def test_a_valid_lock_breaks_no_invariant(lock: Lock) -> None:
    assert broken_invariants(lock, targets_of(lock)) == ()


@given(closed_locks(), st.data())
def test_each_removal_is_found(lock: Lock, data: st.DataObject) -> None:
    places = [("packages", place) for place in range(len(lock.packages))]
    places += [("builds", place) for place, build in enumerate(lock.builds) if build.source is None]
    if not places:
        return
    part, place = data.draw(st.sampled_from(places))
    if part == "packages":
        less = replace(lock, packages=lock.packages[:place] + lock.packages[place + 1 :])
    else:
        less = replace(lock, builds=lock.builds[:place] + lock.builds[place + 1 :])
    assert broken_invariants(less) != ()


def _inverted(entry: LockedPackage, mark: str) -> LockedPackage:
    match mark:
        case "build-only":
            return replace(entry, build_only=not entry.build_only)
        case "also-build":
            return replace(entry, also_build=not entry.also_build)
        case "sdist-only":
            return replace(entry, sdist_only=not entry.sdist_only)
        case "direct":
            return replace(entry, direct=not entry.direct)
        case "no-source":
            return replace(entry, no_source=True)
        case _:
            return replace(entry, build=None if entry.build else f"{entry.name}=={entry.version}")


_MARKS = ("build-only", "also-build", "sdist-only", "direct", "no-source", "build")


@given(closed_locks(), st.data())
def test_each_inverted_mark_is_found(lock: Lock, data: st.DataObject) -> None:
    if not lock.packages:
        return
    place = data.draw(st.integers(0, len(lock.packages) - 1))
    inverted = _inverted(lock.packages[place], data.draw(st.sampled_from(_MARKS)))
    packages = (*lock.packages[:place], inverted, *lock.packages[place + 1 :])
    assert broken_invariants(replace(lock, packages=packages)) != ()


@given(closed_locks(), st.data())
def test_a_file_cut_between_tables_is_found(lock: Lock, data: st.DataObject) -> None:
    text = to_text(lock)
    cuts = [place for place in range(len(text)) if text.startswith("\n[[packages]]", place)]
    if not cuts:
        return
    cut = data.draw(st.sampled_from(cuts))
    try:
        read = from_text(text[:cut], "deep.lock")
    except DeepLockError:
        return
    assert broken_invariants(read) != ()


@pytest.mark.parametrize("junk", ['"', "\x00", "[[packages]]\n", "= ", "{", "\n", "9", "a.", "\ud800", "-", "''' "])
@settings(max_examples=25)
@given(lock=closed_locks(), data=st.data())
def test_a_damaged_file_is_a_lock_or_an_error(lock: Lock, data: st.DataObject, junk: str) -> None:
    text = to_text(lock)
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    damaged = text[:start] + junk + text[start + length :]
    try:
        read = from_text(damaged, "deep.lock")
    except DeepLockError as error:
        fault = error.message
    else:
        assert from_text(to_text(read), "deep.lock") == read
        return
    assert fault.startswith("deep.lock:")
    assert fault.isprintable()
