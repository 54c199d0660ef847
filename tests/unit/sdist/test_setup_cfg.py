import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.sdist.setup_cfg import read_options
from deep_lock.sdist.setuptools_options import SetuptoolsOptions, merge_options, options_requires_dist


def read(text: str, **files: str) -> SetuptoolsOptions:
    return read_options(text.encode(), {path.replace("_", "."): body.encode() for path, body in files.items()})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ("a",)),
        ("a; b>=1", ("a", "b>=1")),
        ("\n  a\n  b>=1; python_version<'3'\n  # no\n", ("a", "b>=1; python_version<'3'")),
        ("", ()),
        ("file: req.txt", ("x", "y>=2")),
    ],
)
def test_lists(value: str, expected: tuple[str, ...]) -> None:
    options = read(f"[options]\ninstall_requires = {value}\n", req_txt="x\n# c\ny>=2  # why\n")
    assert (options.install_requires, options.unproven) == (expected, {})


@pytest.mark.parametrize(
    "text",
    [
        "[options]\ninstall_requires = file: missing.txt",
        "[options]\ninstall_requires = %(name)s",
        "[options]\ninstall_requires = a; python_version < '3'",
        "[options]\ninstall_requires =\n  -r other.txt",
        "[global]\nverbose = 1",
        "no section",
        "[options]\n[options]",
        "\xff",
    ],
)
def test_unproven(text: str) -> None:
    assert "install_requires" in read_options(text.encode("latin-1"), {}).unproven


def test_setup_requires_knows_no_files() -> None:
    assert "setup_requires" in read("[options]\nsetup_requires = file: req.txt", req_txt="x").unproven


def test_extras_keep_their_case_and_dashes() -> None:
    options = read("[options]\ninstall-requires = a\n[options.extras_require]\nMy-Extra = b\ntwo =\n  c\n  d\n")
    assert options.install_requires == ("a",)
    assert options.extras_require == (("My-Extra", ("b",)), ("two", ("c", "d")))
    found = options_requires_dist(options.install_requires, options.extras_require)
    assert found == (
        ("a", 'b ; extra == "my-extra"', 'c ; extra == "two"', 'd ; extra == "two"'),
        ("my-extra", "two"),
    )


def test_the_file_is_not_asked_where_the_call_says_something() -> None:
    config = SetuptoolsOptions(install_requires=("cfg",), unproven={"setup_requires": "no", "install_requires": "no"})
    merged = merge_options(SetuptoolsOptions(install_requires=("py",)), config)
    assert (merged.install_requires, merged.unproven) == (("py",), {"setup_requires": "no"})


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    read_options(text.encode("utf-8", "surrogatepass"), {})
