"""hatchling: the dependencies that the wheel target and its build hooks are configured to have.

Environment variables can switch hooks on and off; hooks run with a scrubbed environment, so none is looked at.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import PyprojectInvalid
from deep_lock.models.metadata import Metadata
from deep_lock.sdist.backends.rule import Declared, Editable, Rule, Source, UnprovenError
from deep_lock.sdist.pyproject import nested_table, parse_requirements, read_toml_bytes
from deep_lock.sdist.setup_py import parse_python

_QUIET_HOOKS = frozenset({"version", "vcs", "mypyc", "jupyter-builder", "cython"})
"""Build hooks that add no dependencies of their own.

Read: hatchling's version hook, hatch-vcs 0.3.0 and 0.5.0, hatch-mypyc 0.16.0, hatch-jupyter-builder 0.10.0,
hatch-cython 0.6.0: none overrides ``BuildHookInterface.dependencies``.
"""
_FEATURES_SINCE = "1.8"
"""Read: 1.4.1 does not know require-runtime-features, 1.8.0 does."""


def _declare(source: Source) -> Declared:
    build = nested_table(_hatch_config(source), "build")
    target = nested_table(build, "targets", "wheel")
    hooks = _enabled_hooks(build, target)
    for name, config in hooks.items():
        _require_quiet(name, config, source)
    requires = [*_strings(target, "dependencies"), *_strings(build, "dependencies")]
    for config in hooks.values():
        requires.extend(_strings(config, "dependencies"))
    tables = (_inherit(target, build, "require-runtime-dependencies"), *hooks.values())
    if any(table.get("require-runtime-dependencies") is True for table in tables):
        requires.extend(_of_extra(source.project, None))
    feature_tables = (_inherit(target, build, "require-runtime-features"), *hooks.values())
    features = [feature for table in feature_tables for feature in _strings(table, "require-runtime-features")]
    for feature in features:
        requires.extend(_of_extra(source.project, feature))
    found = tuple(dict.fromkeys(requires))
    if parse_requirements(found) is None:
        raise UnprovenError("hatchling's configured dependencies are not all valid")
    return Declared(
        requires=found,
        reason="[tool.hatch.build] dependencies, hooks and runtime requirements",
        since=_FEATURES_SINCE if features else "",
    )


def _hatch_config(source: Source) -> Mapping[str, Any]:
    """hatch.toml replaces the top-level keys of ``[tool.hatch]`` that it has."""
    config = nested_table(source.pyproject, "tool", "hatch")
    if "hatch.toml" in source.members.files:
        try:
            config.update(read_toml_bytes(source.members.files["hatch.toml"], "hatch.toml"))
        except PyprojectInvalid as error:
            raise UnprovenError(error.message) from None
    elif "hatch.toml" in source.members.names:
        raise UnprovenError("hatch.toml cannot be read here")
    return config


def _enabled_hooks(build: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    hooks = {**nested_table(build, "hooks"), **nested_table(target, "hooks")}
    if not all(isinstance(config, dict) for config in hooks.values()):
        raise UnprovenError("[tool.hatch.build.hooks] is malformed")
    return {name: config for name, config in hooks.items() if config.get("enable-by-default", True)}


def _inherit(target: Mapping[str, Any], build: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the table that counts: the target's own value goes before that of all targets."""
    return target if key in target else build


def _strings(table: Mapping[str, Any], key: str) -> list[str]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise UnprovenError(f"{key} in hatchling's configuration is not a list of strings")
    return found


def _of_extra(project: Metadata | None, feature: str | None) -> Iterator[str]:
    """Yield the runtime dependencies of the project, or those of one extra, as ``[project]`` lists them."""
    if project is None:
        raise UnprovenError("hatchling requires the runtime dependencies, which [project] leaves to plugins")
    mark = "extra ==" if feature is None else f'extra == "{canonicalize_name(feature)}"'
    for text in project.requires_dist:
        if feature is None and mark not in text:
            yield text
        elif feature is not None and text.endswith(mark):
            yield text.removesuffix(mark).rstrip().removesuffix("and").rstrip().removesuffix(";").rstrip()


def _require_quiet(name: str, config: Mapping[str, Any], source: Source) -> None:
    """Raise where a build hook might add dependencies of its own."""
    if name in _QUIET_HOOKS:
        return
    if name != "custom":
        raise UnprovenError(f"no rule for the build hook {name[:100]!r} of hatchling")
    path = config.get("path", "hatch_build.py")
    raw = source.members.files.get(path) if isinstance(path, str) else None
    tree = parse_python(raw) if raw is not None else None
    if tree is None or not _is_quiet(tree):
        raise UnprovenError("hatchling's custom build hook may have dependencies that only its code knows")


def _is_quiet(tree: ast.Module) -> bool:
    """Whether the one hook class is a plain child of hatchling's interface without ``dependencies`` of its own."""
    plain = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and [base.id for base in node.bases if isinstance(base, ast.Name)] == ["BuildHookInterface"]
        and len(node.bases) == 1
        and not node.decorator_list
        and not node.keywords
    ]
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    others = [node for node in classes if node not in plain and node.bases]
    if len(plain) != 1 or others:
        return False
    # By any spelling: a method, an attribute, a string given to setattr, a finder function.
    for node in ast.walk(tree):
        names = {getattr(node, "name", None), getattr(node, "id", None), getattr(node, "attr", None)}
        if "get_build_hook" in names or (isinstance(node, ast.FunctionDef) and node.name == "dependencies"):
            return False
        if _binds_dependencies(node):
            return False
    return True


def _binds_dependencies(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="dependencies", ctx=ast.Store()) | ast.Attribute(attr="dependencies", ctx=ast.Store()):
            return True
        case ast.Name(id="setattr" | "exec" | "globals"):
            return True
    return False


def _declare_own(source: Source) -> Declared:
    """hatchling.ouroboros returns hatchling's own dependencies, as its pyproject.toml lists them (since 1.12)."""
    if source.project is None:
        raise UnprovenError("hatchling's own dependencies cannot be read")
    return Declared(requires=source.project.requires_dist, reason="hatchling builds itself with its own dependencies")


_EDITABLE = (
    # read: build.py and ouroboros.py of 1.0.0, 1.4.1, 1.8.0, 1.12.2, 1.18.0, 1.19.1 and 1.21.1
    Editable(read=SpecifierSet("<1.22")),
    # read: those of 1.22.5, 1.27.0 and 1.33.0
    Editable(read=SpecifierSet(">=1.22.5"), requires=("editables~=0.3",)),
)

RULES = (
    # read: build.py, builders/config.py, builders/hooks/*.py and metadata/core.py of 1.0.0, 1.4.1, 1.8.0, 1.12.2,
    # 1.27.0 and 1.33.0
    Rule(
        distribution=NormalizedName("hatchling"),
        backends=frozenset({"hatchling.build"}),
        read=SpecifierSet(">=1.0,<2"),
        declare=_declare,
        editable=_EDITABLE,
    ),
    # read: ouroboros.py of 1.12.2, 1.27.0 and 1.33.0
    Rule(
        distribution=NormalizedName("hatchling"),
        backends=frozenset({"hatchling.ouroboros"}),
        read=SpecifierSet(">=1.12,<2"),
        declare=_declare_own,
        editable=_EDITABLE,
        only_itself=True,
    ),
)
