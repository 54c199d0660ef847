"""The architecture as far as a program can see it: the import contract, the public interfaces of packages, and who reads the environment."""

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest

import deep_lock
from deep_lock.cli.output import Printer
from deep_lock.exports.view import Exported
from deep_lock.operations.report import report
from deep_lock.sanitize import Html, Safe
from tests.support.paths import ROOT

SOURCE = Path(deep_lock.__file__).parent
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}

READS_THE_WORLD = (
    "cli",
    "targets.factory",
    "files",
    "__main__",
    "index.cache",
    "network.request_budget",
    "network.tls",
    "builds.sandbox.confine",
)
"""Who may look at the clock, the environment, the platform. (files and the cache ask for file modes; confine is a
program of its own, and empties its environment; tls finds the certificate authorities of the system; the budget compares moments with
those of other processes.)"""
WORLD = ("os.environ", "datetime.now", "date.today", "time.time", "sys.platform", "sys.stdout", "sys.stderr")


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@cache
def _imports(name: str) -> tuple[tuple[str, ast.ImportFrom], ...]:
    """Return the modules of deep_lock that a module imports, each with its statement."""
    found = []
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deep_lock"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append((full if full in MODULES else str(node.module), node))
    return tuple(found)


def _linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a checkout."""
    # cached graphs of another checkout know nothing of this one
    code = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_import_contract_holds() -> None:
    linted = _linted(ROOT)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize(
    ("module", "code", "contract"),
    [
        (
            "models/lock.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from deep_lock.lockfile.reader import from_text\n",
            "An import goes down",
        ),
        ("lockfile/reader.py", "from deep_lock import lock as make\n", "No module imports the public API"),
        ("lockfile/reader.py", "from deep_lock import operations\n", "An import goes down"),
        ("closure/closure.py", "from deep_lock.locking import warnings as lazy_face\n", "An import goes down"),
        ("closure/closure.py", "from deep_lock.lockfile import reader\n", "An import goes down"),
        (
            "models/lock.py",
            'from importlib import import_module\nlocking = import_module("deep_lock.locking.lock")\n',
            "Only lazy imports modules by name",
        ),
    ],
    ids=["type-checking", "public-api", "from-root", "lazy-face", "same-line", "import-module"],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, code: str, contract: str) -> None:
    shutil.copytree(SOURCE, tmp_path / "src" / "deep_lock", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "src" / "deep_lock" / module
    path.write_text(path.read_text(encoding="utf-8") + "\n" + code, encoding="utf-8")
    linted = _linted(tmp_path)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert any(line.startswith(contract) and "BROKEN" in line for line in linted.stdout.splitlines()), linted.stdout


@pytest.mark.parametrize("name", [name for name in MODULES if name != "deep_lock"])
def test_other_packages_take_what_the_face_names(name: str) -> None:
    for other, statement in _imports(name):
        package, _, module = other.rpartition(".")
        while package.startswith("deep_lock."):
            if not name.startswith(f"{package}.") and name != package:
                assert module in _face(package), f"{name}:{statement.lineno}: {package} does not name {module}"
            package, _, module = package.rpartition(".")


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_a_face_names_what_is_there_and_is_taken(name: str) -> None:
    named = _face(name)
    assert sorted(named) == named
    if name == "deep_lock":
        assert [attribute for attribute in named if not hasattr(deep_lock, attribute)] == []
        return
    taken = {
        other.removeprefix(f"{name}.").partition(".")[0]
        for module in MODULES
        if module != name and not module.startswith(f"{name}.")
        for other, _ in _imports(module)
        if other.startswith(f"{name}.")
    }
    assert set(named) == taken


def _face(name: str) -> list[str]:
    for node in _tree(name).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
    return []


@pytest.mark.parametrize("name", MODULES)
def test_no_private_name_of_another_module_is_taken(name: str) -> None:
    for other, node in _imports(name):
        private = [alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"]
        assert not private, f"{name}: takes {private} from {other}"


@pytest.mark.parametrize(
    "name", [name for name in MODULES if not name.removeprefix("deep_lock.").startswith(READS_THE_WORLD)]
)
def test_the_world_is_read_in_few_places(name: str) -> None:
    ends = {own.rpartition(".")[2] for own in WORLD}  # first: to write an expression as text is slow
    attributes = [node for node in ast.walk(_tree(name)) if isinstance(node, ast.Attribute) and node.attr in ends]
    read = {ast.unparse(node) for node in attributes}
    assert read.isdisjoint(WORLD)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "deep_lock"])
def test_no_import_inside_a_function(name: str) -> None:
    for function in ast.walk(_tree(name)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            assert not inner, f"{name}:{function.lineno}: imports inside {function.name}"
            called = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            assert "__import__" not in called, f"{name}:{function.lineno}"


SAFE_TYPES = ("Safe", "Markdown", "Html")


@pytest.mark.parametrize("name", [name for name in MODULES if name != "deep_lock.sanitize"])
def test_only_sanitize_makes_safe_text(name: str) -> None:
    """The type checker finds a plain text where output needs a safe one; this finds a module that makes one of its own."""
    for call in ast.walk(_tree(name)):
        if not isinstance(call, ast.Call):
            continue
        called = ast.unparse(call.func).rpartition(".")[2]
        assert called not in SAFE_TYPES, f"{name}:{call.lineno}: makes safe text"
        if called == "cast":
            assert not any(own in ast.unparse(call.args[0]) for own in SAFE_TYPES), f"{name}:{call.lineno}"
        if called == "markdown":
            literal = call.args[0]
            assert isinstance(literal, ast.Constant), f"{name}:{call.lineno}: a template is a literal"
            assert isinstance(literal.value, str)
        assert called not in {"echo", "secho"} or name == "deep_lock.cli.output", f"{name}:{call.lineno}: prints"


def test_output_takes_safe_text_only() -> None:
    assert get_type_hints(Printer.data)["text"] is Safe
    assert get_type_hints(Exported)["files"] == tuple[tuple[str, Safe], ...]
    assert get_type_hints(report)["return"] is Html
