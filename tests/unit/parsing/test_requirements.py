"""Requirement texts: what they mean, what they are called when they are wrong, and hostile ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from deep_lock.errors import DeepLockError, LimitExceeded, RequirementInvalid
from deep_lock.models.requirement import MAX_NAME_LENGTH, Origin, Requirement
from deep_lock.parsing.requirements import (
    MAX_MARKER_DEPTH,
    MAX_MARKER_LENGTH,
    MAX_REQUIREMENT_LENGTH,
    parse_requirement,
)

ORIGIN = Origin(source="pyproject.toml", place="project.dependencies", line=7)


def test_all_parts() -> None:
    found = parse_requirement("Zope.Interface [B_x, a] >=5,!=5.1 ; python_version<'3.12'", ORIGIN)
    assert found.name == "zope-interface"
    assert found.extras == {"a", "b-x"}
    assert found.specifier == SpecifierSet("!=5.1,>=5")
    assert found.marker == Marker('python_version < "3.12"')
    assert (found.url, found.origin) == (None, ORIGIN)
    assert str(found) == 'zope-interface[a,b-x]!=5.1,>=5; python_version < "3.12"'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("six", "six"),
        ("Six ( >=1.0 )", "six>=1.0"),
        ("a~=1.4", "a~=1.4"),
        ("a===2004d", "a===2004d"),
        ("a==1!2.0.*", "a==1!2.0.*"),
        ("a@https://files.example/a.zip", "a @ https://files.example/a.zip"),
        (
            "a[x] @ git+https://code.example/a.git@main ; os_name=='nt'",
            'a[x] @ git+https://code.example/a.git@main ; os_name == "nt"',
        ),
        ("a; extra == 'B_c'", 'a; extra == "b-c"'),
        ("a>=1,", "a>=1"),
    ],
)
def test_texts_read_and_written(text: str, written: str) -> None:
    found = parse_requirement(text)
    assert str(found) == written
    assert parse_requirement(written) == found


def test_equal_wherever_written() -> None:
    here, there = parse_requirement("a>=1", ORIGIN), parse_requirement("A >=1")
    assert here == there
    assert len({here, there}) == 1
    assert here != parse_requirement("a>1")
    assert Requirement(name=here.name) == parse_requirement("a")


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (ORIGIN, "pyproject.toml:7 [project.dependencies]"),
        (Origin(source="requirements.txt", line=3), "requirements.txt:3"),
        (Origin(source="demo 1.0", place="Requires-Dist"), "demo 1.0 [Requires-Dist]"),
    ],
)
def test_errors_name_the_origin(origin: Origin, text: str) -> None:
    assert str(origin) == text
    for wrong, kind in (("a =! 1", RequirementInvalid), ("a" * (MAX_REQUIREMENT_LENGTH + 1), LimitExceeded)):
        for _ in range(2):  # the second time from the cache, if errors were kept there
            with pytest.raises(kind) as caught:
                parse_requirement(wrong, origin)
            assert caught.value.message.startswith(f"{text}: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-r other.txt",
        "a b",
        "a>=1.*",
        "dep (>=1.*)",
        "dep>=1.0.dev*",
        "dep~=1",
        "a>=1;",
        "a; unknown_field == 'x'",
        "a; python_version",
        "a; python_version = '3'",
        "a @",
        "a[",
        "a[x",
        "_a",
        "a\nb",
        "a; os_name == 'x\ny'z",
        "a==" + "1" * 1000,
        "a; python_full_version >= '3." + "1" * 5000 + "'",
        "\x1b[2J",
        "dem\u043e",
        "http://files.example/a.zip",
    ],
)
def test_invalid_texts(text: str) -> None:
    with pytest.raises(RequirementInvalid, match="not a valid requirement") as caught:
        parse_requirement(text)
    assert len(caught.value.message) < 900
    assert "\x1b" not in caught.value.message


def nested(depth: int) -> str:
    return f"a; {'(' * depth}os_name == 'nt'{')' * depth}"


def test_depth_of_markers() -> None:
    assert parse_requirement(nested(MAX_MARKER_DEPTH)).marker is not None
    for depth in (MAX_MARKER_DEPTH + 1, 500, 5000, MAX_MARKER_LENGTH // 2 - 20):
        with pytest.raises(RequirementInvalid, match="nested too deeply"):
            parse_requirement(nested(depth))
    # many brackets beside each other are no depth
    wide = "a; " + " or ".join(f"(os_name == 'x{number}')" for number in range(200))
    assert parse_requirement(wide).marker is not None


def test_lengths() -> None:
    assert parse_requirement("a" * MAX_NAME_LENGTH).name == "a" * MAX_NAME_LENGTH
    long_marker = " or ".join(f"python_version == '3.{number}'" for number in range(3000))
    assert parse_requirement(f"a; {long_marker}").marker is not None
    for text in (
        "a" * (MAX_NAME_LENGTH + 1),
        "a" + " " * MAX_REQUIREMENT_LENGTH,
        "a @ https://files.example/" + "x" * MAX_REQUIREMENT_LENGTH,
        "a;" + " " * (MAX_MARKER_LENGTH + 1),
        "a" * 1_500_000,
    ):
        with pytest.raises(LimitExceeded, match="at most"):
            parse_requirement(text)


def test_numbers_that_python_would_not_read() -> None:
    # packaging reads the version of a specifier only when it is asked, far from here
    found = parse_requirement("a==" + "1" * 999)
    assert not found.specifier.contains("1")


pieces = st.sampled_from(
    [
        "a",
        "A_b",
        "[x]",
        "[",
        "]",
        " ",
        ">=",
        "1.0",
        "1.*",
        "==",
        "~=",
        ",",
        "; ",
        "(",
        ")",
        "'",
        '"',
        "os_name",
        " and ",
        "@ ",
        "https://x.example/",
        "\n",
        "\x00",
        "é",
        "9" * 50,
    ]
)


@given(st.lists(pieces, max_size=20).map("".join) | st.text(max_size=60))
def test_any_text_is_a_requirement_or_a_known_error(text: str) -> None:
    try:
        found = parse_requirement(text, ORIGIN)
    except DeepLockError as error:
        assert error.message.startswith(str(ORIGIN))  # noqa: PT017 - and nothing else may escape
    else:
        assert parse_requirement(str(found)) == found
