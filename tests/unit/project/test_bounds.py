"""Bounds that exclude a newer version are raised in their own style, and nothing else of the requirement changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from deep_lock.project.bounds import admitting


@pytest.mark.parametrize(
    ("text", "newest", "expected"),
    [
        ("lib<2", "2.4.1", "lib<3"),
        ("lib<2.0", "2.4.1", "lib<3.0"),
        ("lib<2.0.0", "3.1", "lib<4.0.0"),
        ("lib<2.1", "2.1.5", "lib<2.2"),
        ("lib<2.1", "3.0", "lib<3.1"),
        ("lib<0.5", "0.6.1", "lib<0.7"),
        ("lib<10", "10.0", "lib<11"),
        ("lib<3", "3.0rc1", "lib<4"),
        ("lib<2.dev0", "2.4", "lib<3.dev0"),
        ("lib<0", "1.0", "lib<2"),
        ("lib<=1.5", "1.6.2", "lib<=1.6.2"),
        ("lib==1.2", "1.3", "lib==1.3"),
        ("lib===1.2", "1.3", "lib===1.3"),
        ("lib==1.2.*", "1.4.7", "lib==1.4.*"),
        ("lib==1.*", "2.4.7", "lib==2.*"),
        ("lib~=1.2", "2.4.7", "lib~=2.4"),
        ("lib~=1.2.3", "1.3", "lib~=1.3.0"),
        ("lib~=1.2", "1.3", "lib~=1.2"),
        ("lib>=1,<2", "2.4", "lib>=1,<3"),
        ("lib >= 1, < 2", "2.4", "lib >= 1, < 3"),
        ("lib (>=1,<2)", "2.4", "lib (>=1,<3)"),
        ('Lib.Name[Extra,b] <2 ; python_version < "3.14"', "2.4", 'Lib.Name[Extra,b] <3 ; python_version < "3.14"'),
        ("lib>=1,<2,!=1.5", "2.4", "lib>=1,<3,!=1.5"),
        ("lib>=1", "2.4", "lib>=1"),
        ("lib<2,<1.5", "1.9", "lib<2,<1.10"),
    ],
)
def test_a_bound_is_raised_in_its_style(text: str, newest: str, expected: str) -> None:
    assert admitting(text, Version(newest)) == expected


@pytest.mark.parametrize(
    ("text", "newest"),
    [
        ("lib<2,!=2.4", "2.4"),
        ("lib @ https://files.example/lib-1.0-py3-none-any.whl", "2.4"),
        ("lib<2", "1!1.0"),
    ],
)
def test_what_is_excluded_on_purpose_stays(text: str, newest: str) -> None:
    assert admitting(text, Version(newest)) is None


RELEASE = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(st.sampled_from(["<", "<=", "==", "~="]), RELEASE, RELEASE)
def test_the_result_admits_the_version_and_keeps_the_rest(operator: str, bound: str, newest: str) -> None:
    written = f"{bound}.0" if operator == "~=" and "." not in bound else bound
    text = f'lib[a] {operator}{written}; python_version > "3"'
    changed = admitting(text, Version(newest))
    assert changed is not None
    before, after = Requirement(text), Requirement(changed)
    assert after.specifier.contains(newest)
    assert (after.name, after.extras, after.marker) == (before.name, before.extras, before.marker)
    assert before.specifier.contains(newest) == (changed == text)
