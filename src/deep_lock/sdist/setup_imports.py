"""The modules that a setup.py imports whenever it runs: without them it fails before it calls setup().

The import statements of setup.py, and of the sdist's own modules that it loads, are read. An import in a function, under a
condition, or in a ``try`` whose ``except ImportError`` continues, does not count.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct, field
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.sdist.setup_py import parse_python

Need = tuple[str, ...]
"""Modules of which one is enough, the first one first."""

MAX_NEEDS = 64
MAX_FILES = 64

REMOVED = {
    **dict.fromkeys(
        (
            *("ConfigParser", "Cookie", "HTMLParser", "Queue", "SocketServer", "StringIO", "Tkinter", "__builtin__"),
            *("cPickle", "cStringIO", "commands", "cookielib", "copy_reg", "exceptions", "httplib", "urllib2"),
            *("urlparse", "xmlrpclib"),
        ),
        0,
    ),
    "macpath": 8,
    **dict.fromkeys(("_bootlocale", "dummy_threading"), 9),
    **dict.fromkeys(("formatter", "parser", "symbol"), 10),
    "binhex": 11,
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), 12),
    **dict.fromkeys(
        ("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib"), 13
    ),
    **dict.fromkeys(
        ("nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"), 13
    ),
}
"""Modules of the standard library, and the minor version of Python 3 that has them no longer."""

STANDARD = (sys.stdlib_module_names | {"annotationlib", "compression"}) - REMOVED.keys()
"""The standard library of every Python, on any version. A module that is new in one counts for all."""

NAMESPACES = frozenset({"azure", "backports", "google", "jaraco", "ruamel", "sphinxcontrib", "zope"})
"""Packages that many projects share: the second name decides which."""
_EXITS = frozenset({"exit", "quit", "_exit"})
_CAUGHT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


class _Tree(Struct):
    """The Python files of the sdist, and those that were read."""

    files: Mapping[str, bytes]
    names: AbstractSet[str]
    read: set[str] = field(default_factory=set)


def needed_modules(name: NormalizedName, files: Mapping[str, bytes], names: AbstractSet[str]) -> tuple[Need, ...]:
    """Return what setup.py needs, less the standard library and the sdist's own modules; empty without a setup.py.

    ``name`` is the sdist's own, ``files`` has the contents that are known, ``names`` every file, both by path in the sdist.
    """
    needs = dict.fromkeys(_needs_of_file("setup.py", _Tree(files=files, names=names), package=None))
    return tuple(need for need in needs if not any(canonicalize_name(module) == name for module in need))[:MAX_NEEDS]


def project_module(dotted: str) -> str:
    """Return the part of a module's name that decides which project has it."""
    first, _, rest = dotted.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first in NAMESPACES and rest else first


def _needs_of_file(path: str, tree: _Tree, *, package: str | None) -> list[Need]:
    """Return the needs of a file; ``package`` is what relative imports in it start from, None for setup.py."""
    if path in tree.read or path not in tree.files or len(tree.read) >= MAX_FILES:
        return []
    tree.read.add(path)
    module = parse_python(tree.files[path])
    return [] if module is None else _needs(module.body, tree, package)


def _needs(body: list[ast.stmt], tree: _Tree, package: str | None) -> list[Need]:
    found: list[Need] = []
    for statement in body:
        match statement:
            case ast.Import(names=aliases):
                for alias in aliases:
                    found += _needs_of_import(alias.name, tree)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                start = _absolute(module or "", level, package)
                for alias in aliases if start else ():
                    found += _needs_of_import(start, tree, member=alias.name)
            case ast.Try():
                found += _needs_of_try(statement, tree, package)
            case ast.With(body=inner) | ast.ClassDef(body=inner):
                found += _needs(inner, tree, package)
            case ast.If(test=test, body=inner) if package is None and _is_main(test):
                found += _needs(inner, tree, package)
            case ast.Expr(value=ast.Call(func=ast.Name(id="setup") | ast.Attribute(attr="setup"))):
                break  # the hook ends in there
    return found[:MAX_NEEDS]


def _absolute(module: str, level: int, package: str | None) -> str:
    if not level:
        return module
    parts = (package or "").split(".")
    start = ".".join(parts[: len(parts) - level + 1])
    return ".".join(filter(None, (start, module)))


def _is_main(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
    return False


def _needs_of_import(dotted: str, tree: _Tree, *, member: str = "") -> list[Need]:
    first = dotted.partition(".")[0]
    if first in STANDARD or first == "setuptools":  # the backend: it runs setup.py
        return []
    if not _is_own(first, tree):
        return [(project_module(dotted),)]
    found: list[Need] = []
    parts = [*dotted.split("."), *([member] if member else [])]
    for count in range(1, len(parts) + 1):
        folder, name = "/".join(parts[:count]), ".".join(parts[:count])
        for root in ("", "src/"):
            found += _needs_of_file(f"{root}{folder}/__init__.py", tree, package=name)
            found += _needs_of_file(f"{root}{folder}.py", tree, package=".".join(parts[: count - 1]))
    return found


def _is_own(first: str, tree: _Tree) -> bool:
    """Whether the sdist has a module of that name: at its top, or, where setup.py changes sys.path, in a folder."""
    if any(f"{root}{first}{end}" in tree.names for root in ("", "src/") for end in (".py", "/__init__.py")):
        return True
    if any(name.startswith((f"{first}/", f"src/{first}/")) and name.endswith(".py") for name in tree.names):
        return True
    ends = (f"/{first}.py", f"/{first}/__init__.py")
    return b"sys.path" in tree.files.get("setup.py", b"") and any(name.endswith(ends) for name in tree.names)


def _needs_of_try(statement: ast.Try, tree: _Tree, package: str | None) -> list[Need]:
    found = _needs(statement.body, tree, package)
    handler = next((own for own in statement.handlers if _catches(own.type)), None)
    if handler is not None:
        others = _needs(handler.body, tree, package)
        if not _ends(handler.body):
            found = [tuple(dict.fromkeys((*need, *other))) for need in found for other in others]
    return [*found[:MAX_NEEDS], *_needs(statement.finalbody, tree, package)]


def _catches(caught: ast.expr | None) -> bool:
    return caught is None or any(isinstance(node, ast.Name) and node.id in _CAUGHT for node in ast.walk(caught))


def _ends(body: list[ast.stmt]) -> bool:
    """Whether the last statement ends the script."""
    return isinstance(body[-1], ast.Raise) or any(name in _EXITS for name in _called(body[-1]))


def _called(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            yield name
