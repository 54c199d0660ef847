"""Writing a lock: invalid and secret values are refused, everything else has one spelling."""

import tomllib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from deep_lock.errors import DeepLockError, LockInvalid, UrlForbidden
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock, LockedFile, LockedTarget, OptionValue
from tests.support.lock_strategies import package, small_lock, wheel

LOCK = small_lock(replace(package("a"), direct=True))
WHEEL = wheel("a", "1.0")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\b\t\n\f\r", r'"\b\t\n\f\r"'),
        ("\x00\x1f\x7f\x9f", r'"\u0000\u001f\u007f\u009F"'),
        ("\u00e9\u202e", r'"\u00E9\u202E"'),
        ("🐍", r'"\U0001F40D"'),
    ],
)
def test_strings_are_ascii_and_mean_the_same(text: str, written: str) -> None:
    written_lock = to_text(_with_option(text))
    assert f"\nx = {written}\n" in written_lock
    assert _options(written_lock) == {"x": text}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (2**62, "4611686018427387904"),
        (("b", 'a"'), r'["a\"", "b"]'),
        ((), "[]"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
        (datetime(2026, 1, 1, 5, 0, tzinfo=timezone(timedelta(hours=9))), "2025-12-31T20:00:00Z"),
    ],
)
def test_each_value_has_one_spelling_on_one_line(value: OptionValue, written: str) -> None:
    text = to_text(_with_option(value))
    assert f"\nx = {written}\n" in text
    assert _options(text) == {"x": sorted(value) if isinstance(value, tuple) else value}


@pytest.mark.parametrize(("key", "written"), [("a-b_1", "a-b_1"), ("a.b", '"a.b"'), ("", '""'), ("é", r'"\u00E9"')])
def test_keys_are_quoted_only_where_they_must_be(key: str, written: str) -> None:
    text = to_text(replace(LOCK, options=((key, "x"),)))
    assert f'\n{written} = "x"\n' in text
    assert _options(text) == {key: "x"}


def _options(text: str) -> object:
    return tomllib.loads(text)["tool"]["deep-lock"]["options"]


def _with_file(file: LockedFile) -> Lock:
    return replace(LOCK, packages=(replace(LOCK.packages[0], wheels=(file,)),))


def _with_option(value: OptionValue) -> Lock:
    return replace(LOCK, options=(("x", value),))


NO_ZONE = datetime(2026, 1, 1)  # noqa: DTZ001 - a time without a zone is what must be refused


@pytest.mark.parametrize(
    ("lock", "error"),
    [
        (_with_file(replace(WHEEL, url="https://user:hunter2@files.example/a.whl")), UrlForbidden),
        (_with_file(replace(WHEEL, url="https://hunter2@files.example/a.whl")), UrlForbidden),
        (_with_file(replace(WHEEL, url="file:///a.whl")), UrlForbidden),
        (_with_file(replace(WHEEL, url="https://files.example/a b.whl")), LockInvalid),
        (_with_file(replace(WHEEL, url=None)), LockInvalid),
        (_with_file(replace(WHEEL, path="links/a-1.0-py3-none-any.whl")), LockInvalid),
        (_with_file(replace(WHEEL, url=None, path="/home/alice/a-1.0-py3-none-any.whl")), LockInvalid),
        (_with_file(replace(WHEEL, upload_time=NO_ZONE)), LockInvalid),
        (_with_option(NO_ZONE), LockInvalid),
        (_with_option("\ud800"), LockInvalid),
        (replace(LOCK, indexes=(("default", "https://:hunter2@index.example/"),)), UrlForbidden),
        (replace(LOCK, packages=(replace(LOCK.packages[0], version="latest"),)), LockInvalid),
        (replace(LOCK, packages=(replace(LOCK.packages[0], index="http://hunter2@x.example/"),)), UrlForbidden),
        (replace(LOCK, inputs=replace(LOCK.inputs, requirements=("a b c",))), LockInvalid),
        (
            replace(LOCK, inputs=replace(LOCK.inputs, constraints=("a @ git+https://hunter2@git.example/a",))),
            LockInvalid,
        ),
    ],
)
def test_what_must_not_be_written_is_refused(lock: Lock, error: type[DeepLockError]) -> None:
    with pytest.raises(error) as caught:
        to_text(lock)
    assert "hunter2" not in caught.value.message


def test_the_user_name_of_ssh_is_no_secret() -> None:
    text = "a @ git+ssh://git@git.example/a"
    assert text in to_text(replace(LOCK, inputs=replace(LOCK.inputs, constraints=(text,))))


def test_environments_stand_in_the_order_of_their_targets() -> None:
    markers = ("sys_platform == 'win32'", "sys_platform == 'linux'", "os_name == 'java'")
    targets = tuple(
        LockedTarget(name=name, marker=marker, python="3.13", platform="p")
        for name, marker in zip(("a", "b"), markers[:2], strict=True)
    )
    text = to_text(replace(LOCK, targets=targets, environments=tuple(sorted(markers))))
    places = [text.index(f'"{marker}",') for marker in markers]
    assert places == sorted(places)


def test_versions_are_sorted_as_versions() -> None:
    packages = tuple(package("a", version) for version in ("1.10", "2.0rc1", "1!0.1", "1.9", "2.0"))
    text = to_text(replace(LOCK, packages=packages))
    assert [line for line in text.splitlines() if line.startswith('version = "')] == [
        f'version = "{version}"' for version in ("1.9", "1.10", "2.0rc1", "2.0", "1!0.1")
    ]


def test_the_default_index_stands_first() -> None:
    indexes = (("b", "https://b.example/"), ("default", "https://index.example/"), ("a", "https://a.example/"))
    text = to_text(replace(LOCK, indexes=indexes))
    assert text.index("\ndefault = ") < text.index("\na = ") < text.index("\nb = ")
