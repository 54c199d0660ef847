"""Parts of a target: each is compared with packaging, which evaluates its text for every micro version and system."""

from functools import reduce
from itertools import product
from operator import and_, or_

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from deep_lock.targets.factory import make_target
from deep_lock.targets.open_markers import (
    NEVER,
    TargetPart,
    admitted_micros,
    is_whole,
    limited,
    part_text,
    part_where,
    whole,
    without,
)
from deep_lock.targets.target import Target

PLATFORM = "x86_64-manylinux_2_28"
TARGET = make_target("3.11", PLATFORM, host=None)
COMPARISONS = [
    "python_full_version < '3.11.3'",
    "python_full_version >= '3.11.5'",
    "python_full_version == '3.11.4'",
    "python_full_version != '3.11.9'",
    "implementation_version > '3.11.2'",
    "python_full_version <= '3.11'",
    "python_full_version ~= '3.11.4'",
    "python_full_version == '3.11.3.*'",
    "python_full_version < '3.11.10rc1'",
    "python_full_version in '3.11.12 3.11.2'",
    "'3.11.4' not in python_full_version",
    "'3.11.04' <= python_full_version",
    "python_version == '3.11'",
    "sys_platform == 'win32'",
    "platform_release >= '5'",
    "'Debian' in platform_version",
]
markers = st.recursive(
    st.sampled_from(COMPARISONS),
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
        lambda own: f"({own[0]} {own[1]} {own[2]})"
    ),
    max_leaves=5,
)


def holds(text: str, micro: int, release: str, version: str) -> bool:
    own = {
        **TARGET.environment,
        "python_full_version": f"3.11.{micro}",
        "implementation_version": f"3.11.{micro}",
        "platform_release": release,
        "platform_version": version,
    }
    return Marker(text).evaluate(own)


def truths(part: TargetPart) -> list[bool]:
    systems = list(product((0, 2, 3, 4, 5, 9, 10), ("4.9", "6.1"), ("#1 Debian", "#2 other")))
    if part.is_never:
        return [False] * len(systems)
    text = part_text(part, TARGET) or "python_version >= '3'"
    return [holds(text, *own) for own in systems]


@settings(max_examples=25, deadline=None)
@given(markers, markers)
def test_parts_are_exact(one: str, other: str) -> None:
    parts = [part_where(Marker(text), TARGET) for text in (one, other)]
    systems = list(product((0, 2, 3, 4, 5, 9, 10), ("4.9", "6.1"), ("#1 Debian", "#2 other")))
    expected = [[holds(text, *own) for own in systems] for text in (one, other)]
    assert [truths(part) for part in parts] == expected
    assert truths(reduce(and_, parts)) == [all(own) for own in zip(*expected, strict=True)]
    assert truths(reduce(or_, parts)) == [any(own) for own in zip(*expected, strict=True)]
    assert truths(without(parts[0], TARGET)) == [not own for own in expected[0]]
    assert is_whole(parts[0] | without(parts[0], TARGET), TARGET)


specifiers = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
            st.sampled_from(
                ["3", "3.10", "3.11", "3.12", "3.11.0", "3.11.3", "3.11.03", "3.11.4rc1", "3.11.9.post1", "3.11.99"]
            ),
        ),
        st.tuples(st.sampled_from(["==", "!="]), st.sampled_from(["3.*", "3.11.*", "3.11.0.*", "3.11.12.*"])),
        st.tuples(st.just("~="), st.sampled_from(["3.10", "3.11", "3.11.2", "3.11.2.1"])),
    ).map("".join),
    max_size=3,
).map(",".join)


@settings(max_examples=100, deadline=None)
@given(specifiers)
def test_admitted_micro_versions_are_those_of_packaging(text: str) -> None:
    specifier = SpecifierSet(text)
    assert admitted_micros(text, "3.11") == sum(
        1 << micro for micro in range(100) if specifier.contains(f"3.11.{micro}")
    )


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("python_full_version < '3.11.3'", "python_full_version < '3.11.3'"),
        ("python_full_version <= '3.11.3' and python_version < '3.13'", "python_full_version < '3.11.4'"),
        (
            "python_full_version == '3.11.3' or python_full_version == '3.11.5'",
            "python_full_version == '3.11.3' or python_full_version == '3.11.5'",
        ),
        # neither holds if the release is no version
        ("platform_release < '5' or platform_release >= '5'", 'platform_release < "5" or platform_release >= "5"'),
        ("platform_release < '5' or platform_release >= '7'", 'platform_release < "5" or platform_release >= "7"'),
        (
            "python_full_version < '3.11.3' and platform_release >= '5'",
            "python_full_version < '3.11.3' and platform_release >= \"5\"",
        ),
        ("python_full_version < '3.12'", ""),
    ],
)
def test_the_text_of_a_part_is_short(marker: str, text: str) -> None:
    assert part_text(part_where(Marker(marker), TARGET), TARGET) == text


def labels(*targets: Target) -> list[int]:
    return [target.micros.bit_count() for target in targets]


def test_the_micro_versions_of_a_target_are_those_of_its_lock() -> None:
    full, other = make_target("3.11.4", PLATFORM, host=None), make_target("3.12", PLATFORM, host=None)
    assert labels(*limited((TARGET, other), None)) == [100, 100]
    assert labels(*limited((TARGET, other), ">=3.11.4")) == [96, 100]
    assert labels(*limited((TARGET, full, other), None)) == [0, 0, 100]
    assert part_where(Marker("python_full_version < '3.11.3'"), full) == NEVER
    assert part_where(Marker("python_full_version == '3.11.4'"), full) == whole(full)
