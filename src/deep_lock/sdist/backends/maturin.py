"""maturin: cffi for cffi bindings, and a downloader of Rust where there is none."""

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.build_system import HookAnswer
from deep_lock.sdist.backends.rule import Declared, Environment, Rule, Source, proven
from deep_lock.sdist.pyproject import nested_table
from deep_lock.targets.target import Target

_PUCCINIALIN_SINCE = Version("1.8.4")
"""Read: 1.8.3 does not require it, 1.8.4, 1.8.6, 1.8.7, 1.9.0, 1.9.4, 1.10.2 to 1.16.0 do."""
_PYPY_SINCE = Version("1.14")
"""Read: 1.13.0 requires cffi on PyPy too, 1.14.0 does not."""


def _declare(source: Source) -> Declared:
    bindings = nested_table(source.pyproject, "tool", "maturin").get("bindings")
    return Declared(
        requires=("cffi",) if bindings == "cffi" else (),
        reason=f"[tool.maturin] bindings is {bindings!r}"[:200],
    )


def _complete(declared: tuple[str, ...], version: Version, target: Target, environment: Environment) -> HookAnswer:
    del environment
    if version >= _PYPY_SINCE and target.environment.get("implementation_name") == "pypy":
        declared = ()
    if version < _PUCCINIALIN_SINCE:
        return proven(declared)
    return proven(
        (*declared, "puccinialin"),
        "puccinialin downloads a Rust toolchain; maturin requires it where PATH has no cargo",
        conditional="PATH",
    )


RULES = (
    # read: maturin/__init__.py of 0.12.20, 0.14.17, 1.0.1, 1.4.0, 1.7.8, 1.8.3 and those named above
    Rule(
        distribution=NormalizedName("maturin"),
        backends=frozenset({"maturin"}),
        read=SpecifierSet(">=0.12.20,<2"),
        declare=_declare,
        complete=_complete,
    ),
)
