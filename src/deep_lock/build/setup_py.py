"""The requirement options of a setup.py, where they can be proven without running it.

Law: proven, or not at all. An option is proven where every call of setuptools' own ``setup`` in the file leaves it
out, or every one gives the same literals, directly or through names that are bound once and that nothing else could
change. Which of the calls is run, and what the rest of the file does, cannot matter then.
"""

import ast
from collections.abc import Mapping

from msgspec.structs import replace

from deep_lock.build.literal_values import Literal, evaluate
from deep_lock.build.python_source import parse_python
from deep_lock.build.script_names import Script, UnprovenError, is_unreachable, note_uses, setup_calls, survey
from deep_lock.build.setuptools_options import (
    EXTRAS,
    INSTALL,
    OPTIONS,
    PYTHON,
    SETUP,
    SetuptoolsOptions,
    all_unproven,
    split_lines,
)

_TAKES_OVER = {
    "distclass": "setup() is given a distribution class of its own",
    "pbr": "pbr makes the metadata",
    "script_args": "setup() is given a command of its own",
}


def read_setup_py(raw: bytes) -> SetuptoolsOptions:
    """Read the options of a setup.py. Never raises: what is not proven has its reason in ``unproven``."""
    tree = parse_python(raw)
    if tree is None:
        return all_unproven("setup.py is not Python that this Python can parse")
    try:
        script = survey(tree)
        calls = setup_calls(tree, script)
        note_uses(tree, calls, script)
        found = [_options(script, _keywords(script, call)) for call in calls]
    except UnprovenError as reason:
        return all_unproven(f"setup.py: {reason}")
    return _agree(found)


def _agree(found: list[SetuptoolsOptions]) -> SetuptoolsOptions:
    """Return what all calls say; an option on which they differ is unproven."""
    first = found[0]
    unproven = {option: reason for options in found for option, reason in options.unproven.items()}
    for option in OPTIONS:
        if any(getattr(options, option) != getattr(first, option) for options in found):
            unproven.setdefault(option, f"setup.py: {option} differs between calls of setup()")
    return replace(first, unproven=unproven)


def _keywords(script: Script, call: ast.Call) -> Mapping[str, ast.expr]:
    """Return the arguments of a call of setup(); ``**name`` is looked through where it is a literal mapping."""
    found: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg is not None:
            found[keyword.arg] = keyword.value
        else:
            found.update(_expand(keyword.value, script))
    for name, reason in _TAKES_OVER.items():
        if name in found:
            raise UnprovenError(reason)
    return found


def _expand(node: ast.expr, script: Script) -> Mapping[str, ast.expr]:
    if isinstance(node, ast.Name):
        if node.id not in script.values or not is_unreachable(node.id, script, 0):
            raise UnprovenError(f"setup() is given **{node.id}, which is not a plain mapping")
        node = script.values[node.id]
    match node:
        case ast.Dict(keys=keys, values=values):
            names = [key.value if isinstance(key, ast.Constant) else None for key in keys]
            if all(isinstance(name, str) for name in names):
                return {str(name): value for name, value in zip(names, values, strict=True)}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if "dict" not in script.bound:
            if all(keyword.arg is not None for keyword in keywords):
                return {keyword.arg: keyword.value for keyword in keywords if keyword.arg is not None}
    raise UnprovenError("setup() is given keyword arguments by a mapping that is computed")


def _options(script: Script, keywords: Mapping[str, ast.expr]) -> SetuptoolsOptions:
    unproven: dict[str, str] = {}
    values: dict[str, Literal] = {}
    for option in OPTIONS:
        if option in keywords:
            try:
                values[option] = evaluate(keywords[option], script)
            except UnprovenError as reason:
                unproven[option] = f"setup.py: {option} {reason}"

    def lines(option: str, value: "Literal") -> tuple[str, ...]:
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


def _requirement_lines(value: "Literal") -> tuple[str, ...] | None:
    """What setuptools takes: a list of strings, a string of lines, or nothing."""
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
