"""The value of an expression of literals and proven names in a setup.py."""

import ast
from collections.abc import Iterator

from deep_lock.build.script_names import Script, UnprovenError, is_unreachable

MAX_TEXT = 4096
"""Characters that a text may have when it is put together. Requirements are shorter; literals may be longer."""

Literal = str | int | float | bool | None | list["Literal"] | dict[str, "Literal"]


def evaluate(node: ast.expr, script: Script, depth: int = 0) -> "Literal":  # noqa: PLR0911  # one return a form
    """Return the value of an expression of literals and proven names. Raises UnprovenError."""
    script.spend(depth)
    deeper = depth + 1
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name):
            return _evaluate_name(name, script, deeper)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [evaluate(item, script, deeper) for item in items]
        case ast.Dict(keys=keys, values=values):
            return _evaluate_dict(zip(keys, values, strict=True), script, deeper)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if "dict" not in script.bound:
            pairs = [(ast.Constant(k.arg) if k.arg is not None else None, k.value) for k in keywords]
            return _evaluate_dict(iter(pairs), script, deeper)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _add(evaluate(left, script, deeper), evaluate(right, script, deeper))
        case ast.Call(func=ast.Attribute(value=text, attr="split" | "splitlines" | "strip" as verb), args=[]):
            return _split(evaluate(text, script, deeper), verb)
        case ast.JoinedStr(values=parts):
            return _short("".join(_evaluate_part(part, script, deeper) for part in parts))
    raise UnprovenError("is computed")


def _evaluate_name(name: str, script: Script, depth: int) -> "Literal":
    node = script.values.get(name)
    if node is None:
        raise UnprovenError(f"comes from {name!r}, which is not bound once by a plain assignment at top level")
    value = evaluate(node, script, depth)
    if isinstance(value, list | dict) and not is_unreachable(name, script, depth):
        raise UnprovenError(f"comes from {name!r}, which other code may change")
    return value


def _evaluate_dict(
    pairs: Iterator[tuple[ast.expr | None, ast.expr]], script: Script, depth: int
) -> dict[str, "Literal"]:
    found: dict[str, Literal] = {}
    for key_node, value_node in pairs:
        value = evaluate(value_node, script, depth)
        if key_node is None:
            if not isinstance(value, dict):
                raise UnprovenError("is computed")
            found.update(value)
            continue
        key = evaluate(key_node, script, depth)
        if not isinstance(key, str):
            raise UnprovenError("has keys that are not strings")
        found[key] = value
    return found


def _add(left: "Literal", right: "Literal") -> "Literal":
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    if isinstance(left, str) and isinstance(right, str):
        return _short(left + right)
    raise UnprovenError("is computed")


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise UnprovenError("is a text put together out of too much")
    return text


def _split(text: "Literal", verb: str) -> "Literal":
    if not isinstance(text, str):
        raise UnprovenError("is computed")
    if verb == "strip":
        return text.strip()
    return list(text.split() if verb == "split" else text.splitlines())


def _evaluate_part(part: ast.expr, script: Script, depth: int) -> str:
    node = (
        part.value if isinstance(part, ast.FormattedValue) and part.conversion == -1 and not part.format_spec else part
    )
    value = evaluate(node, script, depth)
    if not isinstance(value, str):
        raise UnprovenError("is computed")
    return value
