"""The requirement options of a setup.py, where they can be proven without running it.

Invariant: an option is proven where every call of setuptools' own ``setup`` in the file leaves it out, or every one gives
the same literals, directly or through names that are bound once and that nothing else could change. Which of the calls
runs, and what the rest of the file does, cannot matter then.
"""

import ast
import threading
import warnings
from collections.abc import Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from deep_lock.sdist.setuptools_options import (
    EXTRAS,
    INSTALL,
    OPTIONS,
    PYTHON,
    SETUP,
    SetuptoolsOptions,
    all_unproven,
    split_lines,
)

MAX_SOURCE = 512 * 1024
MAX_DEPTH = 50
MAX_STEPS = 20_000
"""Steps for one script: names that are made of names twice over would take time and memory without end."""
MAX_TEXT = 4096
"""Characters of a text that the script puts together. Requirements are shorter; literals may be longer."""

_SETUP_MODULES = {"setuptools", "distutils.core"}
_SETUP_ROOTS = {"setuptools", "distutils"}
_REBINDING = {"exec", "execfile", "globals", "locals", "vars"}
"""Builtins by which names change without an assignment."""
_TAKES_OVER = {
    "distclass": "setup() uses its own distribution class",
    "pbr": "pbr makes the metadata",
    "script_args": "setup() uses its own command class",
}

_Literal = str | int | float | bool | None | list["_Literal"] | dict[str, "_Literal"]

_quiet = threading.Lock()
"""`warnings.catch_warnings` swaps a global list: two threads inside it at once could leave the wrong one behind."""


class _Unproven(Exception):
    """Carries the reason; never leaves this file."""


def parse_python(raw: bytes) -> ast.Module | None:
    """Return the tree; None where the source is no Python of today (Python 2 above all), or hostile."""
    if len(raw) > MAX_SOURCE:
        return None
    with _quiet, warnings.catch_warnings():
        # "\d" in a setup.py must not become a warning of ours
        warnings.simplefilter("ignore")
        try:
            return ast.parse(raw)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None


def read_options(raw: bytes) -> SetuptoolsOptions:
    """Read the options of a setup.py. Never raises: what is not proven has its reason in ``unproven``.

    Of ``setup_requires`` that are not proven, the literals that a call or a mapping gives are returned.
    """
    tree = parse_python(raw)
    if tree is None:
        return all_unproven("setup.py is not Python that this Python can parse")
    try:
        script = _survey(tree)
        calls = _setup_calls(tree, script)
        _note_uses(tree, calls, script)
        found = [_options(script, _keywords(script, call)) for call in calls]
    except _Unproven as reason:
        return replace(all_unproven(f"setup.py: {reason}"), setup_requires=_literal_setup_requires(tree))
    first = found[0]
    unproven = {option: reason for options in found for option, reason in options.unproven.items()}
    for option in OPTIONS:
        if any(getattr(options, option) != getattr(first, option) for options in found):
            unproven.setdefault(option, f"setup.py: {option} differs between calls of setup()")
    known = _literal_setup_requires(tree) if SETUP in unproven else first.setup_requires
    return replace(first, setup_requires=known, unproven=unproven)


# -- names


class _Script(Struct):
    """What names mean in the file."""

    bound: dict[str, int] = field(default_factory=dict)
    """How often a name is bound, in any scope."""
    setup_bound: dict[str, int] = field(default_factory=dict)
    """How often it is bound to setuptools' setup, or to a module that has it."""
    modules: dict[str, str] = field(default_factory=dict)
    """Alias of an imported module that has ``setup``."""
    values: dict[str, ast.expr] = field(default_factory=dict)
    """Names that are bound once, at top level, by a plain assignment."""
    confined: set[int] = field(default_factory=set)
    """Nodes of `exec` that change the names of a namespace of their own, by identity."""
    steps: int = 0
    uses: dict[str, set[str]] = field(default_factory=dict)
    """Where a name is read: "setup" (an argument), "copy", "in NAME", or "other"."""

    def spend(self, depth: int) -> None:
        """Count one step at a depth. Raises _Unproven where it is one too many."""
        self.steps += 1
        if depth > MAX_DEPTH:
            raise _Unproven("is nested too deeply")
        if self.steps > MAX_STEPS:
            raise _Unproven("takes too many steps")


def _survey(tree: ast.Module) -> _Script:
    script = _Script()
    for node in ast.walk(tree):
        _note_bindings(node, script)
    for statement in tree.body:
        target = _plain_target(statement)
        if target is not None and script.bound[target[0]] == 1:
            script.values[target[0]] = target[1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and _root(node) in script.modules:
            raise _Unproven("it changes setuptools itself")
    return script


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _note_bindings(node: ast.AST, script: _Script) -> None:
    for name in _bound_names(node):
        script.bound[name] = script.bound.get(name, 0) + 1
    if isinstance(node, ast.Import):
        _note_import(node, script)
    elif isinstance(node, ast.ImportFrom):
        _note_import_from(node, script)
    elif isinstance(node, ast.Call) and _is_confined_exec(node):
        script.confined.add(id(node.func))  # before its parts: ast.walk goes from the top
    elif isinstance(node, ast.Name) and _rebinds(node, script):
        raise _Unproven(f"{node.id}() may change names")


def _rebinds(node: ast.Name, script: _Script) -> bool:
    return node.id in _REBINDING and isinstance(node.ctx, ast.Load) and id(node) not in script.confined


def _is_confined_exec(node: ast.Call) -> bool:
    """Whether it is exec(code, NAME) or exec(code, {}), which bind names in there; `_note_uses` looks at NAME."""
    match node:
        case ast.Call(func=ast.Name(id="exec"), args=[_, ast.Name() | ast.Dict(), *_], keywords=[]):
            return True
    return False


def _note_import(node: ast.Import, script: _Script) -> None:
    for alias in node.names:
        root = alias.name.partition(".")[0]
        if alias.asname is None and root in _SETUP_ROOTS:
            _note_setup(root, script, module=root)
        elif alias.asname is not None and alias.name in _SETUP_MODULES:
            _note_setup(alias.asname, script, module=alias.name)


def _note_import_from(node: ast.ImportFrom, script: _Script) -> None:
    known = node.module in _SETUP_MODULES and not node.level
    for alias in node.names:
        if alias.name == "*":
            if not known:
                raise _Unproven("it has a star import")
            script.bound["setup"] = script.bound.get("setup", 0) + 1
            _note_setup("setup", script, module="")
        elif known and alias.name == "setup":
            _note_setup(alias.asname or alias.name, script, module="")


def _note_setup(name: str, script: _Script, *, module: str) -> None:
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


def _setup_calls(tree: ast.Module, script: _Script) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_setup(node.func, script)]
    if not calls:
        raise _Unproven("it does not call setuptools' setup() by its name")
    if any(call.args for call in calls):
        raise _Unproven("setup() has positional arguments")
    functions = {id(call.func) for call in calls}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and _is_setup(node, script) and id(node) not in functions:
            raise _Unproven("setup is passed to other code")
    return calls


def _is_setup(function: ast.expr, script: _Script) -> bool:
    match function:
        case ast.Name(id=name):
            return _means_setup(name, script) and name not in script.modules
        case ast.Attribute(attr="setup", value=ast.Name(id=name)):
            return _means_setup(name, script) and name in script.modules
        case ast.Attribute(attr="setup", value=ast.Attribute(attr="core", value=ast.Name(id="distutils"))):
            return _means_setup("distutils", script)
    return False


def _means_setup(name: str, script: _Script) -> bool:
    """Every binding of the name is one to setuptools' own (there may be two: try, except ImportError)."""
    return 0 < script.bound.get(name, 0) == script.setup_bound.get(name, 0)


# -- uses of names


def _note_uses(tree: ast.Module, calls: list[ast.Call], script: _Script) -> None:
    """Note where names are read: a list that other code can reach may be changed before setup() sees it."""
    waiting: list[tuple[ast.AST, str]] = []
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


def _is_unreachable(name: str, script: _Script, depth: int) -> bool:
    """Whether only setup() and copies can reach the object behind the name."""
    script.spend(depth)
    for use in script.uses.get(name, ()):
        if use == "other" or (use.startswith("in ") and not _is_unreachable(use[3:], script, depth + 1)):
            return False
    return True


# -- values


def _evaluate(node: ast.expr, script: _Script, depth: int = 0) -> "_Literal":  # noqa: PLR0911  # one return a form
    """Return the value of an expression of literals and proven names. Raises _Unproven."""
    script.spend(depth)
    deeper = depth + 1
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name):
            return _evaluate_name(name, script, deeper)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_evaluate(item, script, deeper) for item in items]
        case ast.Dict(keys=keys, values=values):
            return _evaluate_dict(zip(keys, values, strict=True), script, deeper)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if "dict" not in script.bound:
            pairs = [(ast.Constant(k.arg) if k.arg is not None else None, k.value) for k in keywords]
            return _evaluate_dict(iter(pairs), script, deeper)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _add(_evaluate(left, script, deeper), _evaluate(right, script, deeper))
        case ast.Call(func=ast.Attribute(value=text, attr="split" | "splitlines" | "strip" as verb), args=[]):
            return _split(_evaluate(text, script, deeper), verb)
        case ast.JoinedStr(values=parts):
            return _short("".join(_evaluate_part(part, script, deeper) for part in parts))
    raise _Unproven("is computed")


def _evaluate_name(name: str, script: _Script, depth: int) -> "_Literal":
    node = script.values.get(name)
    if node is None:
        raise _Unproven(f"comes from {name!r}, which is not assigned exactly once at the top level of the module")
    value = _evaluate(node, script, depth)
    if isinstance(value, list | dict) and not _is_unreachable(name, script, depth):
        raise _Unproven(f"comes from {name!r}, which other code may change")
    return value


def _evaluate_dict(
    pairs: Iterator[tuple[ast.expr | None, ast.expr]], script: _Script, depth: int
) -> dict[str, "_Literal"]:
    found: dict[str, _Literal] = {}
    for key_node, value_node in pairs:
        value = _evaluate(value_node, script, depth)
        if key_node is None:
            if not isinstance(value, dict):
                raise _Unproven("is computed")
            found.update(value)
            continue
        key = _evaluate(key_node, script, depth)
        if not isinstance(key, str):
            raise _Unproven("has keys that are not strings")
        found[key] = value
    return found


def _add(left: "_Literal", right: "_Literal") -> "_Literal":
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    if isinstance(left, str) and isinstance(right, str):
        return _short(left + right)
    raise _Unproven("is computed")


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise _Unproven("is a string of too many characters")
    return text


def _split(text: "_Literal", verb: str) -> "_Literal":
    if not isinstance(text, str):
        raise _Unproven("is computed")
    if verb == "strip":
        return text.strip()
    return list(text.split() if verb == "split" else text.splitlines())


def _evaluate_part(part: ast.expr, script: _Script, depth: int) -> str:
    node = (
        part.value if isinstance(part, ast.FormattedValue) and part.conversion == -1 and not part.format_spec else part
    )
    value = _evaluate(node, script, depth)
    if not isinstance(value, str):
        raise _Unproven("is computed")
    return value


# -- arguments of setup()


def _keywords(script: _Script, call: ast.Call) -> Mapping[str, ast.expr]:
    """Return the arguments of a call of setup(); of ``**name`` too where it is a literal mapping."""
    found: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg is not None:
            found[keyword.arg] = keyword.value
        else:
            found.update(_expand(keyword.value, script))
    for name, reason in _TAKES_OVER.items():
        if name in found:
            raise _Unproven(reason)
    return found


def _expand(node: ast.expr, script: _Script) -> Mapping[str, ast.expr]:
    if isinstance(node, ast.Name):
        if node.id not in script.values or not _is_unreachable(node.id, script, 0):
            raise _Unproven(f"setup() has **{node.id}, which is not a plain mapping")
        node = script.values[node.id]
    match node:
        case ast.Dict(keys=keys, values=values):
            names = [key.value if isinstance(key, ast.Constant) else None for key in keys]
            if all(isinstance(name, str) for name in names):
                return {str(name): value for name, value in zip(names, values, strict=True)}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if "dict" not in script.bound:
            if all(keyword.arg is not None for keyword in keywords):
                return {keyword.arg: keyword.value for keyword in keywords if keyword.arg is not None}
    raise _Unproven("setup() has keyword arguments of a mapping that is computed")


def _options(script: _Script, keywords: Mapping[str, ast.expr]) -> SetuptoolsOptions:
    unproven: dict[str, str] = {}
    values: dict[str, _Literal] = {}
    for option in OPTIONS:
        if option in keywords:
            try:
                values[option] = _evaluate(keywords[option], script)
            except _Unproven as reason:
                unproven[option] = f"setup.py: {option} {reason}"

    def lines(option: str, value: "_Literal") -> tuple[str, ...]:
        found = _requirement_lines(value)
        if found is None:
            unproven[option] = f"setup.py: {option} is not a list of requirements"
        return found or ()

    extras = values.get(EXTRAS) or {}
    if not isinstance(extras, dict):
        extras, unproven[EXTRAS] = {}, f"setup.py: {EXTRAS} is not a mapping"
    python_requires = values.get(PYTHON) or ""
    return SetuptoolsOptions(
        install_requires=lines(INSTALL, values.get(INSTALL)),
        extras_require=tuple((key, lines(EXTRAS, value)) for key, value in extras.items()),
        setup_requires=lines(SETUP, values.get(SETUP)),
        python_requires=python_requires if isinstance(python_requires, str) else "",
        unproven=unproven,
    )


def _requirement_lines(value: "_Literal") -> tuple[str, ...] | None:
    """Return the requirements of a list of strings, of a string of lines, or of nothing, as setuptools does."""
    if not value:
        return ()
    if isinstance(value, str):
        return split_lines(value)
    if not isinstance(value, list):
        return None
    found: list[str] = []
    for item in value:
        lines = split_lines(item) if isinstance(item, str) else None
        if lines is None:
            return None
        found.extend(lines)
    return tuple(found)


# -- what can be read of setup_requires that are not proven


def _literal_setup_requires(tree: ast.Module) -> tuple[str, ...]:
    """Return the requirements that the file has as literals under this name, in a call or in a mapping."""
    values = {target[0]: target[1] for statement in tree.body if (target := _plain_target(statement)) is not None}
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        for value in _values_of(node, SETUP):
            for text in _literals(value, values):
                found.update(dict.fromkeys(split_lines(text) or ()))
    return tuple(found)


def _values_of(node: ast.AST, option: str) -> Iterator[ast.expr]:
    """Yield what a call passes, or a mapping has, under the name of an option."""
    match node:
        case ast.Call(keywords=keywords):
            yield from (keyword.value for keyword in keywords if keyword.arg == option)
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == option:
                    yield value


def _literals(node: ast.expr, values: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield the strings of a list that is written out, or put together of lists and names, in order."""
    waiting, steps = [node], 0
    while waiting and steps < MAX_STEPS:
        steps += 1
        match waiting.pop():
            case ast.Constant(value=str(text)):
                yield text
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                waiting.extend(reversed(parts))
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                waiting += [right, left]
            case ast.Starred(value=part):
                waiting.append(part)
            case ast.Name(id=name) if name in values:
                waiting.append(values[name])
