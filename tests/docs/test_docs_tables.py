"""The tables of the documentation match the code."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from msgspec import Struct
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import deep_lock
from deep_lock.config import audit, config
from deep_lock.events import Event
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.tables import Document, known_keys
from deep_lock.lockfile.writer import to_text
from deep_lock.sdist.backends import answer
from deep_lock.targets.factory import DEFAULT_PLATFORMS, make_target

ROOT = Path(__file__).parents[2]
SOURCE = Path(deep_lock.__file__).parent


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _section(name: str, heading: str) -> str:
    """Return the text from a heading to the next one."""
    return re.split(r"^#+ ", _page(name).partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# -- configuration


def test_every_key_of_the_configuration_is_documented() -> None:
    documented = [row[0].strip("`") for row in _rows(_section("reference/configuration.md", "Keys"))[1:]]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(config._READERS)


def test_every_key_of_an_index_is_documented() -> None:
    documented = {
        row[0].strip("`") for row in _rows(_section("reference/configuration.md", "`[[tool.deep-lock.index]]`"))[1:]
    }
    assert documented == set(config.IndexSetting.__struct_encode_fields__)


def test_every_key_of_an_audit_is_documented() -> None:
    documented = [
        row[0].strip("`") for row in _rows(_section("reference/configuration.md", "`[tool.deep-lock.audit]`"))[1:]
    ]
    assert sorted(documented) == sorted(audit.KEYS)


def test_the_example_of_a_configuration_is_read() -> None:
    example, *_ = re.findall(r"```toml\n(.*?)```", _page("reference/configuration.md"), re.DOTALL)
    read = config.read_config(tomllib.loads(example)["tool"]["deep-lock"], "pyproject.toml")
    assert read.sources == (("our-library", "corp"),)


# -- backends


def test_every_backend_is_documented_with_its_versions() -> None:
    written = {
        frozenset(re.findall(r"`([^`]+)`", backends)): (name, SpecifierSet(versions.strip("`")), "†" in backends)
        for backends, name, versions in _rows(_section("concepts/closure.md", "Backends with a static rule"))[1:]
    }
    rules = {rule.backends: (rule.distribution, rule.read, rule.only_itself) for rule in answer.RULES.values()}
    assert written == rules


def test_the_default_platforms_are_documented() -> None:
    assert re.findall(r"^- `(.+)`$", _section("concepts/closure.md", "Targets"), re.MULTILINE) == list(
        DEFAULT_PLATFORMS
    )


# -- dependencies


def _declared(extra: str = "") -> dict[str, str]:
    """Return the bounds of the dependencies, or of an extra, by name; an extra of the project itself is not listed again."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {one.name: str(one.specifier) for one in map(Requirement, texts) if one.name != project["name"]}


@pytest.mark.parametrize(
    ("heading", "extra"),
    [
        ("At run time", ""),
        ("With the extra `attestations`", "attestations"),
        ("With the extra `fleet`", "fleet"),
        ("For tests", "test"),
        ("For the site", "docs"),
    ],
)
def test_every_dependency_is_documented_with_its_bound(heading: str, extra: str) -> None:
    rows = _rows(_section("project/dependencies.md", heading))[1:]
    assert {row[0]: row[1].strip("`") for row in rows} == _declared(extra)


def _imported() -> set[str]:
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name for alias in names}
                case ast.ImportFrom(module=str(module)):
                    found.add(module)
                case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module))]):
                    found.add(module)
                case ast.Call(func=ast.Name(id="find_spec"), args=[ast.Constant(value=str(module))]):
                    found.add(module)  # read, not imported
    return {name.partition(".")[0] for name in found} - {deep_lock.__name__}


def test_what_is_imported_is_declared_and_the_reverse() -> None:
    foreign = _imported() - set(sys.stdlib_module_names)
    owners = packages_distributions()
    declared = _declared().keys() | _declared("attestations").keys() | _declared("fleet").keys()
    # pypi-attestations imports sigstore, whose bound decides the trusted root; distributed imports cryptography
    assert {canonicalize_name(owners[module][0]) for module in foreign} == declared - {"cryptography", "sigstore"}


# -- the lock


def _example() -> str:
    (example,) = re.findall(r"```toml\n(.*?)```", _page("formats/lock-format.md"), re.DOTALL)
    return str(example)


def test_the_example_lock_is_read_and_written_again() -> None:
    warned: list[Event] = []
    lock = from_text(_example(), "docs/formats/lock-format.md", warned.append)
    assert warned == []
    assert to_text(lock) == _example()
    targets = tuple(make_target(target.python, target.platform, host=None) for target in lock.targets)
    assert broken_invariants(lock, targets) == ()


def test_the_readme_shows_parts_of_that_lock() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for part in shown.split("\n\n"):
        assert part.strip() in _example()


def _keys(kind: type[Struct]) -> frozenset[str]:
    known, nested = known_keys(kind)
    return known.union(*(_keys(inner) for inner in nested.values()))


def test_every_key_of_a_lock_is_documented() -> None:
    documented = set(re.findall(r"`([a-z-]+)(?: = [^`]*)?`", _page("formats/lock-format.md")))
    assert _keys(Document) - documented == set()


# -- the architecture


def test_every_package_is_documented() -> None:
    packages = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    documented = {
        row[0].strip("`").rstrip("/") for row in _rows(_section("project/architecture.md", "The packages"))[1:]
    }
    assert documented == {package for package in packages if not package.startswith("__")}


def test_the_architecture_page_names_files_that_exist() -> None:
    named = re.findall(
        r"`((?:[a-z_]+/)+[a-z_]+\.py|[a-z_]+\.py|docs/[a-z/-]+\.md)`",
        _section("project/architecture.md", "Where is it?"),
    )
    roots = {True: ROOT, False: SOURCE}
    assert len(named) > 20, "the page has changed: change this test, too"
    assert [name for name in named if not (roots[name.startswith("docs/")] / name).is_file()] == []


def test_the_architecture_page_names_modules_that_exist() -> None:
    (row,) = [row for row in _rows(_section("project/architecture.md", "The packages")) if row[0] == "`cli/`"]
    cells = [cell for row in _rows(_section("project/architecture.md", "Two examples")) for cell in row[1:]]
    named = [f"cli.{name}" for name in re.findall(r"`([a-z]+)`", row[1])]
    named += [name for cell in cells for name in re.findall(r"`([a-z_.]+)`", cell)]
    paths = [SOURCE.joinpath(*name.split(".")) for name in named]
    assert len(named) > 15, "the page has changed: change this test, too"
    assert [path.name for path in paths if not (path.with_suffix(".py").is_file() or path.is_dir())] == []


def test_every_requirement_has_a_pin_that_it_admits() -> None:
    """`.ci/run` takes these versions: a new release of a tool cannot break a change that is not about it."""
    for file, extras in {"tests.txt": ("", "attestations", "fleet", "test"), "docs.txt": ("docs",)}.items():
        lines = (ROOT / ".ci" / "pins" / file).read_text(encoding="utf-8").splitlines()
        texts = [line.rstrip(" \\") for line in lines if not line.startswith(("#", "    --hash="))]
        pins = {own.name: own.specifier for own in map(Requirement, texts)}
        for extra in extras:
            for name, specifier in _declared(extra).items():
                (pin,) = pins[canonicalize_name(name)]
                assert pin.version in SpecifierSet(specifier), f"{name}{specifier}: .ci/pins/{file} has {pin}"
