import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from deep_lock.errors import DeepLockError, LimitExceeded, PyprojectInvalid
from deep_lock.sdist.pyproject import read_build_system, read_project, read_toml_bytes, with_extra
from deep_lock.sdist.setuptools_options import parse_requires_txt

WHERE = "pyproject.toml of sample 1.0"
SAMPLE = NormalizedName("sample")


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf[build-system]\nrequires = []",
        b"\xff = 1",
        b"a" + b".a" * 50_000 + b" = 1",
        b"x = {a" + b" . a" * 50_000 + b" = 1}",
        b'"a"' + b".'a'" * 50_000 + b" = 1",
        b"a = " + b"[" * 50_000,
        b"a = " + b"9" * 100_000,
        b"a = 1\na = 2",
        b"[",
    ],
)
def test_hostile_toml(raw: bytes) -> None:
    with pytest.raises(PyprojectInvalid) as refusal:
        read_toml_bytes(raw, WHERE)
    assert refusal.value.message.startswith(WHERE)
    assert refusal.value.hint


@pytest.mark.parametrize(
    "text",
    ['a = "' + "x." * 500 + '"', 'a = """\n' + "." * 500 + '\n"""', "a = 1 # " + "." * 500, "a.b.c.d = 1"],
)
def test_dots_elsewhere_are_no_keys(text: str) -> None:
    assert read_toml_bytes(text.encode(), WHERE)


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ("build-system = 1", PyprojectInvalid),
        ("[build-system]", PyprojectInvalid),
        ("[build-system]\nrequires = [1]", PyprojectInvalid),
        ("[build-system]\nrequires = {}", PyprojectInvalid),
        ("[build-system]\nrequires = ['a b c']", PyprojectInvalid),
        ("[build-system]\nrequires = ['a; " + "(" * 2000 + "']", PyprojectInvalid),
        ("[build-system]\nrequires = ['" + "a" * 5000 + "']", LimitExceeded),
        ("[build-system]\nrequires = [" + "'a'," * 2001 + "]", LimitExceeded),
        ("[build-system]\nrequires = ['a @ file:///x']", PyprojectInvalid),
        ("[build-system]\nrequires = ['a @ FILE:x']", PyprojectInvalid),
        ("[build-system]\nrequires = ['a @ git+file:///x']", PyprojectInvalid),
        ("[build-system]\nrequires = ['a @ ../x']", PyprojectInvalid),
        ("[build-system]\nrequires = []\nbuild-backend = 1", PyprojectInvalid),
        ("[build-system]\nrequires = []\nbuild-backend = 'a b'", PyprojectInvalid),
        ("[build-system]\nrequires = []\nbuild-backend = 'a:b:c'", PyprojectInvalid),
        ("[build-system]\nrequires = []\nbuild-backend = ''", PyprojectInvalid),
        *[
            (f"[build-system]\nrequires = []\nbackend-path = ['{path}']", PyprojectInvalid)
            for path in ("..", "a/../..", "/a", "a\\\\b", "C:", "C:/x")
        ],
    ],
)
def test_build_system_refused(table: str, error: type[DeepLockError]) -> None:
    with pytest.raises(error):
        read_build_system(read_toml_bytes(table.replace("\\\\", "\\").encode(), WHERE), WHERE)


def test_duplicates_and_order_are_kept() -> None:
    requires = ["B", "a", "B", "a[x]>=1 ; python_version > '3'"]
    assert read_build_system({"build-system": {"requires": requires}}, WHERE)[0].requires == tuple(requires)


@pytest.mark.parametrize(
    ("project", "proves"),
    [
        ({"name": "Sample"}, True),
        ({"name": "sample", "dynamic": ["version", "readme"]}, True),
        ({"name": "other"}, False),
        ({}, False),
        ({"name": "sample", "dynamic": ["optional-dependencies"]}, False),
        ({"name": "sample", "dynamic": "dependencies"}, False),
        ({"name": "sample", "dependencies": "attrs"}, False),
        ({"name": "sample", "dependencies": ["no requirement !"]}, False),
        ({"name": "sample", "optional-dependencies": {"x": ["no requirement !"]}}, False),
        ({"name": "sample", "optional-dependencies": {"x": "attrs"}}, False),
    ],
)
def test_what_a_project_table_proves(project: dict[str, object], *, proves: bool) -> None:
    assert (read_project({"project": project}, SAMPLE, "1.0") is not None) is proves


@pytest.mark.parametrize(
    ("text", "extra", "marker", "expected"),
    [
        ("a>=1", "", "", "a>=1"),
        ("a", "x", "", 'a ; extra == "x"'),
        ("a; os_name == 'nt' or os_name == 'x'", "x", "", 'a ; (os_name == "nt" or os_name == "x") and extra == "x"'),
        ("a", "", "os_name == 'nt'", "a ; (os_name == 'nt')"),
        ("a @ https://files.example/a.zip", "x", "", 'a @ https://files.example/a.zip ; extra == "x"'),
    ],
)
def test_with_extra(text: str, extra: str, marker: str, expected: str) -> None:
    assert with_extra(text, extra, marker) == expected


@pytest.mark.parametrize("raw", [b"not a requirement !", b"[x:no marker]\na", b"a\n" * 6000])
def test_malformed_requires_txt(raw: bytes) -> None:
    assert parse_requires_txt(raw, SAMPLE, "1.0") is None


@given(st.binary(max_size=300))
def test_requires_txt_never_raises(raw: bytes) -> None:
    parse_requires_txt(raw, SAMPLE, "1.0")


@given(st.binary(max_size=300))
def test_toml_gives_a_table_or_our_error(raw: bytes) -> None:
    try:
        read_build_system(read_toml_bytes(raw, WHERE), WHERE)
    except (PyprojectInvalid, LimitExceeded):
        return
