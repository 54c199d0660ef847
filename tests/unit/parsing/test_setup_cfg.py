"""setup.cfg as sections: what its readers for the project and for sdists share."""

import pytest

from deep_lock.errors import ProjectInvalid
from deep_lock.parsing.setup_cfg import describes_project, list_items, parse_setup_cfg, plain_text


def items(value: str) -> list[tuple[int, str]]:
    return list_items(
        parse_setup_cfg(f"[options]\ninstall_requires = {value}\n", "setup.cfg").options["install_requires"]
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a; b>=1 ;", [(2, "a"), (2, "b>=1")]),
        ("a # why", [(2, "a")]),
        ("\n  a # why\n\n  # no\n  b; os_name == 'nt'", [(3, "a"), (6, "b; os_name == 'nt'")]),
        ("", []),
    ],
)
def test_list_items(value: str, expected: list[tuple[int, str]]) -> None:
    assert items(value) == expected


def test_names_of_options_are_normalized_and_those_of_extras_kept() -> None:
    config = parse_setup_cfg("[options]\r\nInstall-Requires = a\r\n[options.extras_require]\r\nMy-Extra = b\r\n", "x")
    assert list(config.options) == ["install_requires"]
    assert list(config.extras) == ["My-Extra"]
    assert not config.has_global


@pytest.mark.parametrize(
    ("text", "plain"), [("1.0", "1.0"), ("attr: a.b", None), ("file : v", None), ("%(x)s", None), ("", None)]
)
def test_plain_text(text: str, plain: str | None) -> None:
    assert plain_text(parse_setup_cfg(f"[metadata]\nversion = {text}", "x").metadata["version"]) == plain
    assert plain_text(None) is None


def test_faults_have_their_line() -> None:
    with pytest.raises(ProjectInvalid, match=r"setup\.cfg:2"):
        parse_setup_cfg("[options]\nabc", "setup.cfg")
    assert not describes_project("[flake8]\n")
    assert describes_project("[metadata]\n")
