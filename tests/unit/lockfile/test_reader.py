"""Reading a lock: what is accepted, what is refused, and the messages."""

import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace
from packaging.pylock import Pylock

from deep_lock import errors
from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.events import Event, Warned
from deep_lock.lockfile import reader
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import LockedInputs
from tests.support.lock_strategies import in_folder, package, small_lock

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
BROKEN = LOCKS / "broken"
MESSAGES = tomllib.loads((BROKEN / "messages.toml").read_text("utf-8"))
RESTORE = (
    'restore the file, for example with git, or delete it and run "deep-lock lock", which selects every version again'
)
GOLDEN = ("example", "closed", "small")


def _text(name: str) -> str:
    return (LOCKS / f"{name}.lock").read_bytes().decode()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_lock_is_written_as_it_was_read(name: str) -> None:
    text = _text(name)
    assert to_text(from_text(text, name)) == text


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_lock_is_a_pylock(name: str) -> None:
    Pylock.from_dict(tomllib.loads(_text(name)))


@pytest.mark.parametrize("text", ["", "hello", 'version = 1\n[[package]]\nname = "x"\n', "lock-version = 1"])
def test_a_file_that_is_no_lock_gets_a_remedy(text: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        from_text(text, "deep.lock")
    assert caught.value.hint == RESTORE


def test_every_broken_lock_has_its_message() -> None:
    assert {path.stem for path in BROKEN.glob("*.lock")} == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_broken_lock_is_refused(name: str) -> None:
    expected = MESSAGES[name]
    text = (BROKEN / f"{name}.lock").read_bytes().decode()
    with pytest.raises(getattr(errors, expected["error"])) as caught:
        from_text(text, f"{name}.lock")
    if "begins" in expected:
        assert caught.value.message.startswith(expected["begins"])
    else:
        assert caught.value.message == expected["message"]
    assert caught.value.hint == expected["hint"] if "hint" in expected else caught.value.hint in {"", RESTORE}
    assert caught.value.message.isprintable()
    assert "hunter2" not in caught.value.message + caught.value.hint


IN_FOLDER = to_text(small_lock(in_folder(replace(package("a"), direct=True), "../out/é b")))
WHEEL = "a-1.0-py3-none-any.whl"


def test_a_file_in_a_folder_has_a_path_and_no_index() -> None:
    lock = from_text(IN_FOLDER, "x")
    assert (lock.packages[0].index, lock.packages[0].wheels[0].url) == (None, None)
    assert lock.packages[0].wheels[0].path == f"../out/é b/{WHEEL}"
    assert to_text(lock) == IN_FOLDER
    Pylock.from_dict(tomllib.loads(IN_FOLDER))


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        (f'path = "/home/alice/{WHEEL}"', "path: must be a relative path"),
        (f'path = "~alice/{WHEEL}"', "path: must be a relative path"),
        (f'path = "C:/wheels/{WHEEL}"', "path: must be a relative path"),
        (f'path = "C:{WHEEL}"', "path: must be a relative path"),
        (f'path = "..\\\\{WHEEL}"', "path: must be a relative path"),
        (f'path = "file:wheels/{WHEEL}"', "path: must be a relative path"),
        (f'path = "https://files.example/{WHEEL}"', "path: must be a relative path"),
        (f'path = "wheels/../../{WHEEL}"', "path: must be a relative path in normal form"),
        (f'path = "./{WHEEL}"', "path: must be a relative path in normal form"),
        (f'path = "a//{WHEEL}"', "path: must be a relative path in normal form"),
        (f'path = "{WHEEL}/"', "path: must be a relative path in normal form"),
        (f'path = "{WHEEL}/.."', "path: must be a relative path in normal form"),
        (f'path = "a\\n/{WHEEL}"', "path: contains control characters"),
        ('path = ""', "path: must be a relative path"),
        ('path = ".."', "path: does not end in the file's name"),
        ('path = "wheels/b-1.0-py3-none-any.whl"', "path: does not end in the file's name"),
        (f'path = "{WHEEL}", url = "https://files.example/{WHEEL}"', "path: cannot be used with 'url'"),
        ("path = 1", "path: must be a string"),
        ("size = 1", "url: is missing"),
    ],
)
def test_a_path_that_is_none_is_refused(place: str, fault: str) -> None:
    text = IN_FOLDER.replace(f'path = "../out/\\u00E9 b/{WHEEL}", size = 22000', place)
    assert text != IN_FOLDER
    with pytest.raises(LockInvalid) as caught:
        from_text(text, "deep.lock")
    assert caught.value.message.startswith(f"deep.lock: packages[0].wheels[0].{fault}")


def test_a_file_with_a_url_is_from_an_index() -> None:
    text = to_text(small_lock(replace(package("a"), direct=True))).replace(
        'index = "https://index.example/simple/"\n', ""
    )
    with pytest.raises(LockInvalid, match=r"packages\[0\]\.index: is missing"):
        from_text(text, "deep.lock")


@pytest.mark.parametrize("name", ["foreign-host", "hash-of-another"])
def test_what_is_policy_is_not_refused_by_the_reader(name: str) -> None:
    text = _text(f"policy/{name}")
    assert to_text(from_text(text, name)) == text


def test_layout_and_the_order_of_keys_do_not_matter() -> None:
    assert to_text(from_text(_text("reformatted"), "reformatted.lock")) == _text("small")


def test_windows_line_ends_do_not_matter() -> None:
    assert from_text(_text("closed").replace("\n", "\r\n"), "x") == from_text(_text("closed"), "x")


def test_a_newer_revision_is_reported_with_its_unknown_keys() -> None:
    events: list[Event] = []
    lock = from_text(_text("newer-revision"), "deep.lock", events.append)
    assert replace(lock, revision=0) == from_text(_text("small"), "small.lock")
    assert events == [
        Warned(
            code="lock-newer",
            subject="deep.lock",
            message="was written by a later deep-lock (revision 7, this one knows 0); not understood: "
            "packages[0].tool.deep-lock.reviewed, tool.deep-lock.moods, tool.deep-lock.inputs.workspace, "
            "tool.deep-lock.targets[0].libc, tool.deep-lock.builds[0].crates",
        )
    ]


SETTINGS = to_text(
    replace(
        small_lock(replace(package("a"), direct=True)),
        inputs=LockedInputs(
            sources=("pyproject.toml",),
            requirements=("a",),
            config_settings=(("a", (("--opt", ("-b", "-a")), ("mode", ""))),),
        ),
    )
)


def test_config_settings_keep_the_order_of_a_list() -> None:
    assert '[tool.deep-lock.inputs.config-settings.a]\n--opt = ["-b", "-a"]\nmode = ""\n' in SETTINGS
    assert to_text(from_text(SETTINGS, "x")) == SETTINGS


@pytest.mark.parametrize(
    ("was", "now", "fault"),
    [
        ("config-settings.a]", "config-settings.A_b]", ".A_b: must be a normalized name, not 'A_b'"),
        ('mode = ""', "mode = 1", ".a.mode: must be a string, not an integer"),
        ('mode = ""', 'mode = ["", 1]', ".a.mode[1]: must be a string, not an integer"),
        ('mode = ""', 'mode = "a\\nb"', ".a.mode: contains control characters: a\\u{a}b"),
        ('mode = ""', '"" = "x"', ".a.: is not the name of a setting"),
        ('mode = ""', 'mode = ""\n[tool.deep-lock.inputs.config-settings.b]', ".b: is empty"),
        ("config-settings.a]", "config-settings]", ".--opt: must be a normalized name, not '--opt'"),
        (
            '[tool.deep-lock.inputs.config-settings.a]\n--opt = ["-b", "-a"]\nmode = ""',
            "[tool.deep-lock.inputs.config-settings]\na = 1",
            ".a: must be a table, not an integer",
        ),
    ],
)
def test_config_settings_that_are_refused(was: str, now: str, fault: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        from_text(SETTINGS.replace(was, now), "x")
    assert caught.value.message == f"x: tool.deep-lock.inputs.config-settings{fault}"


@pytest.mark.parametrize(
    ("was", "now", "fault"),
    [
        (
            'needed = "always"',
            'hook = "editable"\nneeded = "always"',
            ".hook: belongs to the project's build alone: everything else is built as a wheel",
        ),
        ('source = "."', 'source = "."\nhook = "wheel"', ".hook: must be one of 'editable', not 'wheel'"),
        ('source = "."', 'source = "."\nhook = true', ".hook: must be a string, not a boolean"),
    ],
)
def test_only_the_project_has_a_hook(was: str, now: str, fault: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        from_text(_text("closed").replace(was, now, 1), "x")
    place, _, rest = caught.value.message.partition("]")
    assert place.startswith("x: tool.deep-lock.builds[")
    assert rest == fault


@pytest.mark.parametrize(
    ("was", "now", "fault"),
    [
        # messages of msgspec quote the value and the key: they must not be taken for the location
        ('needed = "always"', 'needed = "x\' - at `$.packages[0]`"', "builds[0].needed: must be one of 'always', "),
        ('evidence = "static"', 'evidence = "\u202e"', "builds[0].evidence: must be one of 'static', 'observed', "),
        ("{sha256 =", '{"x` - at `$.y" = 1, sha256 =', "packages[0].wheels[0].hashes.x` - at `$.y: only sha256 is"),
        ("version = 1\n", "version = 0\n", "tool.deep-lock.version: must be an integer from 1 to 2**63 - 1"),
        ("revision = 0\n", "revision = 1.5\n", "tool.deep-lock.revision: must be an integer, not a float"),
        ('groups = ["ops"]', "groups = {}", "dependency-groups: must be an array, not a table"),
        ('groups = ["ops"]', "groups = [1979-05-27]", "dependency-groups[0]: must be a string, not a date or time"),
        ("[tool.deep-lock.options]", "[tool.deep-lock.options]\nx = 1.5", "options.x: must be a string, not a float"),
        ("[tool.deep-lock.options]", "[tool.deep-lock.options]\nx = -1", "options.x: must be an integer from 0"),
        ("[tool.deep-lock.indexes]", "[tool.deep-lock.indexes]\nx = [1]", "indexes.x: must be a string, not an array"),
        ("lock-version =", "unknown = []\nlock-version =", "unknown: is a key that this format does not have"),
    ],
)
def test_the_location_of_a_fault_is_named(was: str, now: str, fault: str) -> None:
    text = _text("closed")
    assert was in text
    with pytest.raises(LockInvalid) as caught:
        from_text(text.replace(was, now, 1), "x")
    assert caught.value.message.startswith(("x: " + fault, "x: tool.deep-lock." + fault))


def test_a_second_algorithm_is_refused_in_a_newer_revision_too() -> None:
    text = _text("newer-revision").replace("{sha256 =", "{blake2 = 1, sha256 =", 1)
    with pytest.raises(LockInvalid, match=r"hashes\.blake2: only sha256 is accepted"):
        from_text(text, "x")


def test_two_editable_records_are_refused() -> None:
    head, record, tail = _text("closed").rpartition('[[tool.deep-lock.builds]]\nname = "shop"')
    editable = (record + tail).replace('source = "."', 'source = "."\nhook = "editable"')
    assert from_text(head + record + tail + "\n" + editable, "x").builds[-1].hook == "editable"
    with pytest.raises(LockInvalid, match=r"shop \(editable\) has a record already"):
        from_text(head + editable + "\n" + editable, "x")


def test_a_newer_lock_version_of_the_same_major_is_reported() -> None:
    events: list[Event] = []
    from_text(_text("small").replace('lock-version = "1.0"', 'lock-version = "1.1"'), "deep.lock", events.append)
    assert [event.message for event in events if isinstance(event, Warned)] == [
        "lock-version 1.1 is newer than 1.0, the one that this deep-lock knows"
    ]


def test_our_own_revision_is_not_reported() -> None:
    events: list[Event] = []
    from_text(_text("closed"), "deep.lock", events.append)
    assert events == []


def test_size_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LOCK_BYTES", 2**20)
    # two bytes a character: it is bytes that count
    with pytest.raises(LockInvalid, match="larger than 1 MiB"):
        from_text("# " + "é" * 2**19, "deep.lock")


def test_an_existing_lock_with_many_dots_on_a_line_is_read() -> None:
    text = _text("small").replace(
        '"hostile",', '"hostile", ' + ", ".join(f'"a{i}==1.2.3.4.5"' for i in range(20)) + ","
    )
    assert len(from_text(text, "x").inputs.requirements) == 21


@pytest.mark.parametrize(
    "text",
    [
        'a = """' * 3000,
        "a = '''" + "'''" * 3000 + "b" * 10,
        ('"' + '\\"' * 100_000 + "\n") * 2 + "." * 100,
        "a" * 1_000_000 + "." * 100,
        ("a." * 64 + "a = 1\n") * 50 + "." * 100,
        "\n".join(["'" * 65 + "." * 65] * 2000),
    ],
)
def test_hostile_dots_and_quotes_end_in_an_error(text: str) -> None:
    with pytest.raises(DeepLockError):
        from_text(text, "deep.lock")


def test_the_source_is_shown_safely() -> None:
    with pytest.raises(LockInvalid) as caught:
        from_text("", "x\u202e\n.lock")
    assert caught.value.message == "x\\u{202e}\\u{a}.lock: lock-version: is missing"


@pytest.mark.parametrize("text", ["\ufeff", "\x00", "\ud800"])
def test_what_is_no_text_is_refused(text: str) -> None:
    with pytest.raises(LockInvalid):
        from_text(text + _text("small"), "deep.lock")


def test_an_empty_lock_round_trips() -> None:
    text = to_text(small_lock())
    assert "packages = []" in text
    assert to_text(from_text(text, "x")) == text
    Pylock.from_dict(tomllib.loads(text))


def test_extras_and_groups_without_requirements_are_kept() -> None:
    lock = small_lock(replace(package("a"), direct=True))
    lock = replace(lock, inputs=replace(lock.inputs, extras=(("none", ()),), build_requires=()))
    assert from_text(to_text(lock), "x") == lock
