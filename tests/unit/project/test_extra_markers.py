"""Requirements of the project for one extra only, by their markers."""

import pytest

from deep_lock.errors import ProjectInvalid
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.project.extra_markers import split_extra


@pytest.mark.parametrize(
    ("text", "extra", "left"),
    [
        ("lib>=1", None, "lib>=1"),
        ("lib; sys_platform == 'win32'", None, "lib; sys_platform == 'win32'"),
        ("lib; platform_version == 'extra'", None, "lib; platform_version == 'extra'"),
        ("lib>=1; extra == 'Fast_IO'", "fast-io", "lib>=1"),
        ("lib; sys_platform == 'win32' and extra == 'x'", "x", "lib; sys_platform == 'win32'"),
        ("lib; extra == 'x' and sys_platform == 'win32'", "x", "lib; sys_platform == 'win32'"),
        (
            "lib; (os_name == 'nt' or os_name == 'posix') and extra == 'x'",
            "x",
            "lib; os_name == 'nt' or os_name == 'posix'",
        ),
    ],
)
def test_the_extra_is_taken_out_of_the_marker(text: str, extra: str | None, left: str) -> None:
    found, own = split_extra(parse_requirement(text), "pyproject.toml")
    assert (found, str(own)) == (extra, str(parse_requirement(left)))


@pytest.mark.parametrize(
    "marker", ["extra != 'x'", "extra == 'x' or os_name == 'nt'", "os_name == 'nt' or (extra == 'x')", "'x' in extra"]
)
def test_a_marker_of_no_single_extra_is_refused(marker: str) -> None:
    with pytest.raises(ProjectInvalid, match=r"cannot be assigned to one extra: lib"):
        split_extra(parse_requirement(f"lib; {marker}"), "pyproject.toml")
