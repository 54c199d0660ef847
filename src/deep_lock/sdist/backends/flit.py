"""flit-core: nothing, unless it must import the project to find its version or description: then the runtime dependencies."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.build_system import HookAnswer
from deep_lock.sdist.backends.rule import (
    Declared,
    Environment,
    Rule,
    Source,
    UnprovenError,
    proven,
    requires_nothing,
    unknown,
)
from deep_lock.sdist.pyproject import nested_table, parse_requirements
from deep_lock.sdist.setup_py import parse_python
from deep_lock.targets.target import Target

_READ = SpecifierSet(">=3.2,<5")
"""Read: buildapi.py, common.py and config.py of flit-core 3.2.0, 3.4.0, 3.9.0, 3.12.0 and 4.2.0.

2.3.0 always requires the runtime dependencies, 3.0.0 reads no ``[project]``: both are left out.
"""
_VERSION_FILES = ("version.py", "_version.py", "__version__.py")
_VERSION_FILES_SINCE = "3.9"
_ANNOTATED_SINCE = "3.12"


def _declare(source: Source) -> Declared:
    flit = nested_table(source.pyproject, "tool", "flit")
    project = nested_table(source.pyproject, "project")
    if project:
        dynamic, module = project.get("dynamic", []), _module_name(flit.get("module"), project)
        wanted = {field for field in ("version", "description") if isinstance(dynamic, list) and field in dynamic}
        runtime = source.project.requires_dist if source.project is not None else None
    else:
        old = nested_table(flit, "metadata")
        module, wanted = old.get("module", ""), {"version", "description"}
        runtime = _old_requirements(old)
    if not wanted:
        return Declared(requires=(), reason="version and description are in pyproject.toml")
    if not isinstance(module, str) or not module:
        raise UnprovenError("flit's module name cannot be read")
    return _declare_module(source, module, wanted, runtime)


def _module_name(table: Any, project: Mapping[str, Any]) -> Any:
    if isinstance(table, dict) and "name" in table:
        return table["name"]
    name = project.get("name", "")
    if not isinstance(name, str):
        return ""
    return name.removesuffix("-stubs").replace("-", "_") + ("-stubs" if name.endswith("-stubs") else "")


def _old_requirements(table: Mapping[str, Any]) -> tuple[str, ...] | None:
    """``[tool.flit.metadata] requires`` (flit-core before 4)."""
    listed = table.get("requires", [])
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        return None
    return tuple(listed) if parse_requirements(tuple(listed)) is not None else None


def _declare_module(source: Source, module: str, wanted: set[str], runtime: tuple[str, ...] | None) -> Declared:
    path = module.replace(".", "/")
    candidates = (f"{path}/__init__.py", f"{path}.py", f"src/{path}/__init__.py", f"src/{path}.py")
    there = [candidate for candidate in candidates if candidate in source.members.names]
    tree = parse_python(source.members.files.get(there[0], b"\0")) if len(there) == 1 else None
    if tree is None:
        raise UnprovenError(f"the module {module[:100]!r} cannot be read here")
    if "description" in wanted and not ast.get_docstring(tree):
        return _imports(module, runtime)
    if "version" not in wanted or any(_is_simple_version(node) for node in tree.body):
        return Declared(requires=(), reason=f"version and description can be read from {module} without importing it")
    return _declare_version_files(source, module, there[0], tree, runtime)


def _declare_version_files(
    source: Source, module: str, main: str, tree: ast.Module, runtime: tuple[str, ...] | None
) -> Declared:
    """Newer releases look in more files, and for more forms: the answer is right since the release that began to."""
    folder = main.removesuffix("__init__.py")
    trees = [tree]
    if main.endswith("/__init__.py"):
        for path in (folder + name for name in _VERSION_FILES if folder + name in source.members.names):
            found = parse_python(source.members.files.get(path, b"\0"))
            if found is None:
                raise UnprovenError(f"{path[:200]} cannot be read here")
            trees.append(found)
    since = [form for one in trees for node in one.body for form in _version_forms(node)]
    if not since:
        return _imports(module, runtime)
    return Declared(requires=(), reason=f"the version can be read from {module}", since=min(since, key=Version))


def _imports(module: str, runtime: tuple[str, ...] | None) -> Declared:
    if runtime is None:
        raise UnprovenError(f"flit imports {module}, whose dependencies cannot be read")
    # Requirements of extras are in its list too, but their markers are false without the extra.
    listed = tuple(text for text in runtime if "extra ==" not in text)
    return Declared(requires=listed, reason=f"flit imports {module} and requires its runtime dependencies")


def _is_simple_version(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id="__version__")], value=ast.Constant(value=str(version))):
            return bool(version)
    return False


def _version_forms(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets, value=ast.Constant(value=str(version))) if version:
            if any(isinstance(target, ast.Name) and target.id == "__version__" for target in targets):
                yield _VERSION_FILES_SINCE
        case ast.AnnAssign(target=ast.Name(id="__version__"), value=ast.Constant(value=str(version))) if version:
            yield _ANNOTATED_SINCE


def _complete_flit(declared: tuple[str, ...], version: Version, target: Target, environment: Environment) -> HookAnswer:
    """flit.buildapi is flit-core's under an older name: flit-core's version decides."""
    del version, target
    core = environment.get(NormalizedName("flit-core"))
    if core is None or not _READ.contains(core, prereleases=True):
        return unknown(f"no rule for flit-core {core or '(none)'}")
    return proven(declared)


RULES = (
    Rule(
        distribution=NormalizedName("flit-core"),
        backends=frozenset({"flit_core.buildapi"}),
        read=_READ,
        declare=_declare,
    ),
    # read: flit_core/build_thyself.py of 2.3.0, 3.2.0 and 3.4.0; 3.9.0 has none any more
    Rule(
        distribution=NormalizedName("flit-core"),
        backends=frozenset({"flit_core.build_thyself"}),
        read=SpecifierSet(">=2.3,<3.5"),
        declare=requires_nothing("flit-core builds itself; its hook always returns the empty list"),
        only_itself=True,
    ),
    # read: flit/buildapi.py of 2.3.0, 3.2.0, 3.12.0 and 4.2.0
    Rule(
        distribution=NormalizedName("flit"),
        backends=frozenset({"flit.buildapi"}),
        read=SpecifierSet(">=2.3,<5"),
        declare=_declare,
        complete=_complete_flit,
    ),
)
