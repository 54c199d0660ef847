"""The negation of a marker holds exactly where the marker does not."""

import pytest
from packaging.markers import Marker

from deep_lock.targets.factory import make_target
from deep_lock.targets.marker_negation import negated

TARGETS = [
    make_target(python, platform, host=None)
    for python in ("3.9", "3.11", "3.13")
    for platform in ("x86_64-manylinux_2_28", "arm64-macos_14", "x86_64-windows")
]


@pytest.mark.parametrize(
    "text",
    [
        "sys_platform == 'linux'",
        "sys_platform != 'linux' and sys_platform != 'win32'",
        "python_version < '3.11' or sys_platform == 'win32' and python_version >= '3.12'",
        "(python_version < '3.11' or sys_platform == 'win32') and (platform_machine == 'x86_64' or os_name == 'nt')",
        "python_full_version > '3.11.4' or 'linux' in sys_platform",
        "'win' not in sys_platform and implementation_name == 'cpython'",
        "((python_version<='3.11'))",
        "sys_platform in 'linux darwin'",
    ],
)
def test_it_holds_where_the_marker_does_not(text: str) -> None:
    marker = Marker(text)
    held = [marker.evaluate(dict(target.environment)) for target in TARGETS]
    assert [not negated(marker).evaluate(dict(target.environment)) for target in TARGETS] == held
    assert [negated(negated(marker)).evaluate(dict(target.environment)) for target in TARGETS] == held


@pytest.mark.parametrize("text", ["python_version ~= '3.11'", "platform_release === '5' and os_name == 'nt'"])
def test_an_operator_without_an_opposite_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no opposite"):
        negated(Marker(text))
