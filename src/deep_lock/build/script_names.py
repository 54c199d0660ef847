"""Names in a setup.py: what is bound where, who calls setuptools' setup, and who else can reach a value.

Counted over all scopes, so that a name that is bound twice anywhere is simply not known.
"""

import ast
from collections.abc import Iterator

from msgspec import Struct, field

_SETUP_MODULES = {"setuptools", "distutils.core"}
_SETUP_ROOTS = {"setuptools", "distutils"}
MAX_DEPTH = 50
MAX_STEPS = 20_000
"""Steps for one script: names that are made of names twice over would take time and memory without end."""
_REBINDING = {"exec", "execfile", "globals", "locals", "vars"}
"""Builtins by which names change without an assignment."""


class UnprovenError(Exception):
    """Carries the reason; never leaves this file."""


class Script(Struct):
    """What names mean in the file."""

    bound: dict[str, int] = field(default_factory=dict)
    """How often a name is bound, in any scope."""
    setup_bound: dict[str, int] = field(default_factory=dict)
    """How often it is bound to setuptools' setup, or to a module that has it."""
    modules: dict[str, str] = field(default_factory=dict)
    """Alias of an imported module that has ``setup``."""
    values: dict[str, ast.expr] = field(default_factory=dict)
    """Names that are bound once, at top level, by a plain assignment."""
    rebinding: dict[int, str] = field(default_factory=dict)
    """Builtins that may change names, by the identity of their node."""
    confined: set[int] = field(default_factory=set)
    """Those of them that change the names of a namespace of their own."""
    steps: int = 0
    uses: dict[str, set[str]] = field(default_factory=dict)
    """Where a name is read: "setup" (an argument), "copy", "in NAME", or "other"."""

    def spend(self, depth: int) -> None:
        """Count one step at a depth. Raises UnprovenError where it is one too many."""
        self.steps += 1
        if depth > MAX_DEPTH:
            raise UnprovenError("is nested too deeply")
        if self.steps > MAX_STEPS:
            raise UnprovenError("takes too many steps")


def survey(tree: ast.Module) -> Script:
    script = Script()
    for node in ast.walk(tree):
        _note_bindings(node, script)
    for identity, name in script.rebinding.items():
        if identity not in script.confined:
            raise UnprovenError(f"{name}() may change names")
    for statement in tree.body:
        target = _plain_target(statement)
        if target is not None and script.bound[target[0]] == 1:
            script.values[target[0]] = target[1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and _root(node) in script.modules:
            raise UnprovenError("it changes setuptools itself")
    return script


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _note_bindings(node: ast.AST, script: Script) -> None:
    for name in _bound_names(node):
        script.bound[name] = script.bound.get(name, 0) + 1
    if isinstance(node, ast.Import):
        _note_import(node, script)
    elif isinstance(node, ast.ImportFrom):
        _note_import_from(node, script)
    elif isinstance(node, ast.Name) and node.id in _REBINDING and isinstance(node.ctx, ast.Load):
        script.rebinding[id(node)] = node.id
    elif isinstance(node, ast.Call) and _is_confined_exec(node):
        script.confined.add(id(node.func))


def _is_confined_exec(node: ast.Call) -> bool:
    """exec(code, NAME) and exec(code, {}) bind names in there; what NAME is, its own uses will tell."""
    match node:
        case ast.Call(func=ast.Name(id="exec"), args=[_, ast.Name() | ast.Dict(), *_], keywords=[]):
            return True
    return False


def _note_import(node: ast.Import, script: Script) -> None:
    for alias in node.names:
        root = alias.name.partition(".")[0]
        if alias.asname is None and root in _SETUP_ROOTS:
            _note_setup(root, script, module=root)
        elif alias.asname is not None and alias.name in _SETUP_MODULES:
            _note_setup(alias.asname, script, module=alias.name)


def _note_import_from(node: ast.ImportFrom, script: Script) -> None:
    known = node.module in _SETUP_MODULES and not node.level
    for alias in node.names:
        if alias.name == "*":
            if not known:
                raise UnprovenError("names come in by a star import")
            script.bound["setup"] = script.bound.get("setup", 0) + 1
            _note_setup("setup", script, module="")
        elif known and alias.name == "setup":
            _note_setup(alias.asname or alias.name, script, module="")


def _note_setup(name: str, script: Script, *, module: str) -> None:
    script.setup_bound[name] = script.setup_bound.get(name, 0) + 1
    if module:
        script.modules[name] = module


def _bound_names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            # `import a.b` and `import a.c` bind the same module to "a"
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.arg(arg=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names


def _plain_target(statement: ast.stmt) -> tuple[str, ast.expr] | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return name, value
    return None


def setup_calls(tree: ast.Module, script: Script) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_setup(node.func, script)]
    if not calls:
        raise UnprovenError("it does not call setuptools' setup() by its name")
    if any(call.args for call in calls):
        raise UnprovenError("setup() has positional arguments")
    functions = {id(call.func) for call in calls}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and _is_setup(node, script) and id(node) not in functions:
            raise UnprovenError("setup is handed on")
    return calls


def _is_setup(function: ast.expr, script: Script) -> bool:
    match function:
        case ast.Name(id=name):
            return _means_setup(name, script) and name not in script.modules
        case ast.Attribute(attr="setup", value=ast.Name(id=name)):
            return _means_setup(name, script) and name in script.modules
        case ast.Attribute(attr="setup", value=ast.Attribute(attr="core", value=ast.Name(id="distutils"))):
            return _means_setup("distutils", script)
    return False


def _means_setup(name: str, script: Script) -> bool:
    """Every binding of the name is one to setuptools' own (there may be two: try, except ImportError)."""
    return 0 < script.bound.get(name, 0) == script.setup_bound.get(name, 0)


_Use = tuple[ast.AST, str]


def note_uses(tree: ast.Module, calls: list[ast.Call], script: Script) -> None:
    """Find out who reads a name: a list that anybody else can reach may be changed before setup() sees it."""
    waiting: list[_Use] = []
    setups = {id(call) for call in calls}
    for statement in tree.body:
        target = _plain_target(statement)
        if target is not None and target[0] in script.values:
            waiting.append((target[1], f"in {target[0]}"))
        else:
            waiting.append((statement, "other"))
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, ast.Name):
            script.uses.setdefault(node.id, set()).add(where)
        elif isinstance(node, ast.Call) and id(node) in setups:
            waiting.extend((keyword.value, "setup") for keyword in node.keywords)
        else:
            inside = _inner_use(node, where)
            waiting.extend((child, inside) for child in ast.iter_child_nodes(node))


def _inner_use(node: ast.AST, where: str) -> str:
    if where == "other":
        return "other"
    if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict | ast.keyword):
        return where
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "copy"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return where
    return "other"


def is_unreachable(name: str, script: Script, depth: int) -> bool:
    """Whether nothing but setup() and copies can reach the object behind the name."""
    script.spend(depth)
    for use in script.uses.get(name, ()):
        if use == "other" or (use.startswith("in ") and not is_unreachable(use[3:], script, depth + 1)):
            return False
    return True
