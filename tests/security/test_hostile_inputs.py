"""Whatever is read, the answer is a value or a DeepLockError: nothing else escapes (Hypothesis, with a grammar each)."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from deep_lock.config.config import read_config_file
from deep_lock.errors import DeepLockError
from deep_lock.project.pyproject import read_pyproject
from deep_lock.project.requirements_txt import read_requirements
from deep_lock.project.script import read_script
from deep_lock.project.setuptools import read_setup_cfg

FIXTURES = Path(__file__).parents[2] / "fixtures" / "inputs"
TOMLS = [(FIXTURES / name).read_text("utf-8") for name in ("pep621.toml", "poetry1.toml", "poetry2.toml")]

scalars = st.sampled_from(
    [
        "1",
        "true",
        "1.5",
        "2026-01-01",
        "'x'",
        '"a>1"',
        "[]",
        "['a', 'b; os_name == \"x\"']",
        "{}",
        "{ x = 1 }",
        "[[]]",
        "nan",
    ]
)
keys = st.sampled_from(
    [
        "project", "project.name", "project.version", "project.dynamic", "project.dependencies", "project.requires-python",
        "project.optional-dependencies", "project.optional-dependencies.x", "dependency-groups", "dependency-groups.x",
        "build-system", "build-system.requires", "build-system.build-backend", "build-system.backend-path", "tool",
        "tool.poetry", "tool.poetry.name", "tool.poetry.version", "tool.poetry.dependencies", "tool.poetry.extras",
        "tool.poetry.dependencies.python", "tool.poetry.dependencies.x", "tool.poetry.dependencies.x.version",
        "tool.poetry.dependencies.x.markers", "tool.poetry.dependencies.x.platform", "tool.poetry.extras.x",
        "tool.poetry.group", "tool.poetry.group.x", "tool.poetry.group.x.dependencies", "tool.poetry.dev-dependencies",
        "tool.poetry.group.x.include-groups", "tool.setuptools", "tool.setuptools.dynamic", "tool.uv", "tool.deep-lock",
        "tool.setuptools.dynamic.dependencies", "tool.setuptools.dynamic.optional-dependencies.x",
    ]
)  # fmt: skip
settings = st.sampled_from(
    [
        "python-versions", "platforms", "extras", "groups", "default-groups", "build-scope", "no-binary", "only-binary",
        "allow-wheel", "resolution", "prerelease", "exclude-newer", "exclude-newer-package", "exclude-newer-package.x",
        "fork-strategy", "hooks", "index", "sources", "sources.x", "find-links", "no-index", "index-strategy",
        "constraints", "overrides", "build-constraints", "package", "files", "build-resolution", "require-evidence", "attestations",
        "extra-build-requires", "extra-build-requires.x", "config-settings", "config-settings.x",
        "config-settings.x.y", "policy", "unknown",
    ]
)  # fmt: skip
lines = st.sampled_from(
    [
        "foo", "foo==1", "-r b", "-c b", "--hash=sha256:" + "a" * 64, "\\", "#", "--no-binary", ":all:", "-", "--", "'",
        '"', "--pre", " ", "\n", "\t", "\r", "\x0c", "\u202e", "\ud800", "\x00", ";", "@", "https://a.example", "[x]", "=",
        "install_requires =", "[options]", "[metadata]", "name = a", "  x\n", "%(x)s", "attr:", "[options.extras_require]",
        "# /// script\n", "# ///\n", "# dependencies = []\n", "# x\n",
    ]
)  # fmt: skip
scraps = st.lists(lines, max_size=12).map("".join)


def opener(including: str, relative: str, /) -> str:
    """A folder in which every file says the same few things."""
    if relative == "b":
        return "foo\n-r c\n"
    if relative == "setup.cfg":
        return "[options]\ninstall_requires = y\n"
    raise FileNotFoundError(including, relative)


def survives(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except DeepLockError as error:
        assert error.message  # noqa: PT017  a value is as good an outcome


def document(rows: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in rows.items())


@given(st.dictionaries(keys, scalars, max_size=8).map(document))
def test_shapes_of_pyproject(text: str) -> None:
    survives(lambda text: read_pyproject(text, "pyproject.toml", opener=opener), text)


@given(st.dictionaries(settings, scalars, max_size=4).map(document))
def test_shapes_of_settings(text: str) -> None:
    survives(lambda text: read_config_file(text, "deep-lock.toml"), text)


@given(st.sampled_from(TOMLS), st.integers(0, 2000), st.integers(0, 40), st.text(max_size=5))
def test_mutations_of_pyproject(text: str, start: int, length: int, instead: str) -> None:
    survives(
        lambda text: read_pyproject(text, "pyproject.toml", opener=opener),
        text[:start] + instead + text[start + length :],
    )


@given(scraps)
@example("# /// script\n# dependencies = ['\ud800']\n# ///\n")
def test_scraps(text: str) -> None:
    survives(lambda text: read_requirements(text, "r.txt", opener), text)
    survives(lambda text: read_setup_cfg(text, "setup.cfg", setup_py=text), text)
    survives(lambda text: read_script(text, "x.py"), text)
    survives(lambda text: read_config_file(text, "deep-lock.toml"), text)


@given(st.text())
def test_any_text(text: str) -> None:
    survives(lambda text: read_requirements(text, "r.txt", opener), text)
    survives(lambda text: read_setup_cfg(text, "setup.cfg"), text)
    survives(lambda text: read_script("# /// script\n# " + text + "\n# ///", "x.py"), text)
    survives(lambda text: read_pyproject(text, "pyproject.toml"), text)
