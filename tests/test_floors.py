"""The laws of the house that a program can see: floors, wings, who may import what."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import deep_lock

SOURCE = Path(deep_lock.__file__).parent
PACKAGE = "deep_lock"

FLOORS: dict[str, int] = {
    "errors": 1,
    "events": 1,
    "files": 1,
    "display": 1,
    "deferred": 1,
    "model": 2,
    "inputs": 3,
    "index": 3,
    "resolve": 3,
    "build": 3,
    "lockfile": 3,
    "exports": 3,
    "reviews": 3,
    "graph": 4,
    "given_files": 4,
    "build_problems": 4,
    "machine": 4,
    "workshop": 4,
    "asking": 4,
    "earlier": 4,
    "closure": 4,
    "sharing": 4,
    "reach": 4,
    "assembling": 4,
    "recording": 4,
    "direct_entries": 4,
    "beside": 4,
    "built_wheel": 4,
    "building": 4,
    "wheel_folder": 4,
    "flags": 5,
    "given_pins": 5,
    "given_reading": 5,
    "opening": 5,
    "given_targets": 5,
    "given_findings": 5,
    "index_sources": 5,
    "reading": 5,
    "local_trees": 5,
    "direct_sources": 5,
    "settings": 5,
    "network": 5,
    "project_build": 5,
    "project_metadata": 5,
    "planning": 5,
    "findings": 5,
    "settled": 5,
    "making": 5,
    "locking": 5,
    "exporting": 5,
    "reporting": 5,
    "comparing": 5,
    "verifying": 5,
    "merging": 5,
    "git_setup": 5,
    "outdating": 5,
    "upgrades": 5,
    "index_from": 5,
    "explaining": 5,
    "given_locks": 5,
    "installable": 5,
    "policing": 5,
    "fetching": 5,
    "wheelhouse": 5,
    "cli": 6,
    "__main__": 7,
    "__init__": 0,
}
"""Lower floors first. A room may import its own floor only where it is not a wing."""

WINGS = {"inputs", "index", "resolve", "build", "lockfile", "exports", "reviews"}

ONLY_IN: dict[str, tuple[str, ...]] = {
    "httpx": (),
    "httpcore": ("index/transport.py", "index/sockets.py", "index/connections.py"),
    "subprocess": ("build/", "index/vcs.py", "index/revisions.py", "index/git_settings.py"),
    "venv": ("build/",),
    "installer": ("build/",),
    "resolvelib": ("resolve/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "platformdirs": ("cli/",),
}
"""Outside modules that belong to one room."""

READS_THE_WORLD = ("cli/", "model/targets.py", "files.py", "__main__.py", "index/cache.py", "build/confine.py")
"""Who may look at the clock, the environment, the platform. (files and the cache ask for file modes; confine.py is a
program of its own, and empties its environment.)"""


def _files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def _room(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", node


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_go_down(path: Path) -> None:
    room = _room(path)
    for name, _ in _imports(path):
        if not name.startswith(f"{PACKAGE}.") or room == "__init__":
            continue
        other = name.split(".")[1]
        if other == room:
            continue
        assert FLOORS[other] <= FLOORS[room], f"{room} imports {other}, which is above it"
        assert not (room in WINGS and other in WINGS), f"the wings {room} and {other} must not know each other"
        assert not (room == "model" and other != "errors"), f"model imports {other}"


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_private_names_are_taken(path: Path) -> None:
    for name, node in _imports(path):
        if isinstance(node, ast.ImportFrom) and name.startswith(PACKAGE):
            private = [alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"]
            assert not private, f"{path}: takes {private} from {name}"


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_outside_modules_stay_in_their_room(path: Path) -> None:
    place = path.relative_to(SOURCE).as_posix()
    for name, _ in _imports(path):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or place.startswith(allowed), f"{place} imports {name}"


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_the_world_is_read_in_few_places(path: Path) -> None:
    place = path.relative_to(SOURCE).as_posix()
    if place.startswith(READS_THE_WORLD):
        return
    read = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    for sign in ("os.environ", "datetime.now", "date.today", "time.time", "sys.platform", "sys.stdout", "sys.stderr"):
        assert sign not in read, f"{place} uses {sign}"


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_import_inside_a_function(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            assert not inner, f"{path}:{function.lineno}: imports inside {function.name}"


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path in _files():
        parts = path.relative_to(SOURCE).with_suffix("").parts
        own = ".".join((PACKAGE, *parts)).removesuffix(".__init__")
        graph[own] = {name for name, _ in _imports(path) if name.startswith(f"{PACKAGE}.")}
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != 1, f"import circle: {' -> '.join((*trail, name))}"
        if state.get(name) == 2 or name not in graph:
            return
        state[name] = 1
        for other in graph[name]:
            visit(other, (*trail, name))
        state[name] = 2

    for name in graph:
        visit(name, ())
