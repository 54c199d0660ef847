"""setup.py without running it. The property at the end does run it, and compares: proven must mean true."""

import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deep_lock.sdist.setup_py import read_options
from deep_lock.sdist.setuptools_options import OPTIONS, SetuptoolsOptions

HEAD = "from setuptools import setup\n"


def read(text: str) -> SetuptoolsOptions:
    return read_options(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "setup(install_requires=['a', 'b>=1'])",
        HEAD + "setup(install_requires=('a', 'b>=1'))",
        HEAD + "setup(install_requires='a\\n# no\\nb>=1  # why\\n')",
        HEAD + "setup(install_requires='a b>=1'.split())",
        HEAD + "setup(install_requires='''\na\nb>=1\n'''.strip().splitlines())",
        HEAD + "R = ['a', 'b>=1']\nsetup(install_requires=R)",
        HEAD + "R = ['a']\nsetup(install_requires=R + ['b>=1'])",
        HEAD + "V = '1'\nsetup(install_requires=['a', 'b>=' + V])",
        HEAD + "V = '1'\nsetup(install_requires=['a', f'b>={V}'])",
        HEAD + "A: str = 'a'\nsetup(install_requires=[A, 'b>=1'])",
        HEAD + "K = dict(name='x', install_requires=['a', 'b>=1'])\nsetup(**K)",
        HEAD + "K = {'install_requires': ['a', 'b>=1']}\nsetup(name='x', **K)",
        HEAD + "if __name__ == '__main__':\n    setup(install_requires=['a', 'b>=1'])",
        HEAD + "def main():\n    setup(install_requires=['a', 'b>=1'])\nmain()",
        HEAD
        + "R = ['a', 'b>=1']\ntry:\n    setup(install_requires=R, ext=1)\nexcept OSError:\n    setup(install_requires=R)",
        HEAD + "import os\nexec(open('v.py').read(), {})\nR = ['a', 'b>=1']\nprint(os.name)\nsetup(install_requires=R)",
        HEAD + "n = {}\nexec('x = 1', n)\nsetup(version=n['x'], install_requires=['a', 'b>=1'])",
        "import setuptools, setuptools.command.sdist\nsetuptools.setup(install_requires=['a', 'b>=1'])",
        "import setuptools as st\nst.setup(install_requires=['a', 'b>=1'])",
        "import distutils.core\ndistutils.core.setup(install_requires=['a', 'b>=1'])",
        "from setuptools import *\nsetup(install_requires=['a', 'b>=1'])",
        (
            "try:\n    from setuptools import setup\nexcept ImportError:\n    from distutils.core import setup\n"
            "setup(install_requires=['a', 'b>=1'])"
        ),
        "from setuptools import setup as run\nrun(install_requires=['a', 'b>=1'])",
    ],
)
def test_proven(text: str) -> None:
    options = read(text)
    assert options.unproven == {}
    assert options.install_requires == ("a", "b>=1")
    assert options.setup_requires == ()


def test_extras_and_python() -> None:
    options = read(
        HEAD
        + """
TEST = ["pytest"]
E = {"test": TEST, ":python_version < '3'": "enum34", "none": []}
setup(extras_require=E, python_requires=">=3.8", setup_requires=["cffi"], cmdclass={}, unknown_keyword=object())
"""
    )
    assert options.unproven == {}
    assert options.extras_require == (("test", ("pytest",)), (":python_version < '3'", ("enum34",)), ("none", ()))
    assert options.python_requires == ">=3.8"
    assert options.setup_requires == ("cffi",)


def _doubling(value: str) -> str:
    return f"A0 = {value}\n" + "".join(f"A{n + 1} = A{n} + A{n}\n" for n in range(20))


def _braid() -> str:
    """Two names of a stage are each part of both of the next stage: 2**40 ways from the first to the last."""
    stages = "".join(f"A{n + 1} = [A{n}, B{n}]\nB{n + 1} = [A{n}, B{n}]\n" for n in range(40))
    return "A0 = ['x']\nB0 = ['x']\n" + stages


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + "R = ['a']\nR.append('b')\nsetup(install_requires=R)", "may change"),
        (HEAD + "R = ['a']\nR += ['b']\nsetup(install_requires=R)", "assigned exactly once"),
        (HEAD + "R = ['a']\nQ = R\nQ.append('b')\nsetup(install_requires=R)", "may change"),
        (HEAD + "R = ['a']\nQ = [R]\nQ[0].append('b')\nsetup(install_requires=R)", "may change"),
        (HEAD + "R = ['a']\nchange(R)\nsetup(install_requires=R)", "may change"),
        (HEAD + "R = ['a']\nsetup(packages=change(R), install_requires=R)", "may change"),
        (HEAD + "if cond():\n    R = ['a']\nsetup(install_requires=R)", "assigned exactly once"),
        (HEAD + "R = ['a']\ndef f():\n    global R\n    R = []\nsetup(install_requires=R)", "assigned exactly once"),
        (HEAD + "R = ['a']\nfor R in ():\n    pass\nsetup(install_requires=R)", "assigned exactly once"),
        (HEAD + "R = ['a']\nexec(open('x').read())\nsetup(install_requires=R)", "exec()"),
        (HEAD + "R = ['a']\nglobals()['R'] = []\nsetup(install_requires=R)", "globals()"),
        (HEAD + "n = globals()\nexec('R = []', n)\nR = ['a']\nsetup(install_requires=R)", "globals()"),
        (HEAD + "from x import *\nsetup(install_requires=['a'])", "star import"),
        (HEAD + "from setup_tools import setup\nsetup(install_requires=['a'])", "by its name"),
        (HEAD + "def setup(**k): pass\nsetup(install_requires=['a'])", "by its name"),
        (HEAD + "setup = wrap(setup)\nsetup(install_requires=['a'])", "by its name"),
        (HEAD + "wrap(setup)\nsetup(install_requires=['a'])", "passed to other code"),
        (HEAD + "setup(install_requires=['a'])\nsetup(install_requires=['b'])", "differs"),
        (HEAD + "setup(install_requires=['a'])\nsetup()", "differs"),
        (HEAD + "setup(install_requires=open('r').read())", "computed"),
        (HEAD + "setup(install_requires=['a'] if x else [])", "computed"),
        (HEAD + "setup(install_requires=[r for r in 'a'])", "computed"),
        (HEAD + "setup(install_requires=['a', 1])", "not a list of requirements"),
        (HEAD + "setup(install_requires=['-r other.txt'])", "not a list of requirements"),
        (HEAD + "setup(install_requires=A)\nA = A", "nested too deeply"),
        (HEAD + _doubling("['x']") + "setup(install_requires=A20)", "too many steps"),
        (HEAD + _doubling("'x'") + "setup(install_requires=A20)", "too m"),
        (HEAD + _braid() + "setup(install_requires=A0)", "too many steps"),
        (HEAD + "K = {}\nK['install_requires'] = []\nsetup(**K)", "**K"),
        (HEAD + "setup(**make())", "computed"),
        (HEAD + "setup({})", "positional"),
        (HEAD + "setup(distclass=D)", "distribution class"),
        (HEAD + "setup(pbr=True)", "pbr"),
        (HEAD + "dict = f\nsetup(**dict(a=1))", "computed"),
        ("import setuptools\nsetuptools.setup = f\nsetuptools.setup()", "changes setuptools"),
        ("import setuptools\nsetuptools.dist.Distribution = f\nsetuptools.setup()", "changes setuptools"),
        ("import build\nbuild.run()", "by its name"),
        ("print 'hello'", "not Python"),
        ("\0", "not Python"),
        ("x = " + "-" * 100_000 + "1", "not Python"),
        ("x = 'a'" + " + 'a'" * 100_000, "not Python"),
        ("x = " + "9" * 10_000, "not Python"),
    ],
)
def test_unproven(text: str, reason: str) -> None:
    options = read(text)
    assert reason in options.unproven["install_requires"]


def test_an_option_is_judged_by_itself() -> None:
    options = read(HEAD + "setup(install_requires=compute(), extras_require=[], setup_requires=['cffi'])")
    assert set(options.unproven) == {"install_requires"}
    assert options.setup_requires == ("cffi",)


def test_another_encoding() -> None:
    text = "# -*- coding: latin-1 -*-\n# \xe9\n" + HEAD + "setup(install_requires=['a'])"
    assert read_options(text.encode("latin-1")).install_requires == ("a",)


# --- the property: scripts of a small grammar, read and run

NAMES = st.sampled_from(["A", "B", "C"])
TEXTS = st.sampled_from(["'x'", "'y>=1'", "'z'"])
VALUES = st.one_of(
    st.lists(TEXTS, max_size=2).map(lambda texts: f"[{', '.join(texts)}]"),
    NAMES,
    st.tuples(NAMES, NAMES).map(lambda pair: f"{pair[0]} + {pair[1]}"),
    NAMES.map(lambda name: f"[*{name}]"),
    NAMES.map(lambda name: f"list({name})"),
    st.just("'x y'.split()"),
)
STATEMENTS = st.one_of(
    st.tuples(NAMES, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.tuples(NAMES, VALUES).map(lambda pair: f"{pair[0]} += {pair[1]}"),
    NAMES.map(lambda name: f"{name}.append('w')"),
    st.tuples(NAMES, VALUES).map(lambda pair: f"if flag:\n    {pair[0]} = {pair[1]}"),
    st.tuples(NAMES, NAMES).map(lambda pair: f"D = {{'k': {pair[0]}}}\nD['k'].append({pair[1]}[0])"),
    st.tuples(NAMES, NAMES).map(lambda pair: f"for {pair[0]} in ({pair[1]},):\n    {pair[0]}.append('v')"),
    NAMES.map(lambda name: f"def f(l):\n    l.append('u')\nf({name})"),
    NAMES.map(lambda name: f"exec(\"{name} = ['t']\")"),
    st.just("flag = not flag"),
)
CALLS = st.tuples(VALUES, st.sampled_from(["", ", setup_requires=B", ", extras_require={'e': C}"])).map(
    lambda pair: f"setup(install_requires={pair[0]}{pair[1]})"
)
SCRIPTS = st.tuples(st.lists(STATEMENTS, max_size=5), CALLS, st.lists(STATEMENTS, max_size=2), st.booleans()).map(
    lambda parts: "\n".join(
        [
            HEAD + "flag = True",
            "A = ['a']",
            "B = ['b']",
            "C = ['c']",
            *parts[0],
            f"if flag:\n    {parts[1]}" if parts[3] else parts[1],
            *parts[2],
        ]
    )
)


class Recorder(ModuleType):
    """Stands in for setuptools: takes the first call down, by value, and stops the script as the hook does."""

    class Stop(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("setuptools")
        self.told: dict[str, Any] = {}

    def setup(self, **keywords: Any) -> None:
        self.told = {
            option: tuple(value)
            for option, value in keywords.items()
            if option in OPTIONS and option != "extras_require" and isinstance(value, list)
        }
        raise Recorder.Stop


def run(text: str) -> dict[str, Any] | None:
    recorder, before = Recorder(), sys.modules.get("setuptools")
    sys.modules["setuptools"] = recorder
    try:
        exec(compile(text, "setup.py", "exec"), {"__name__": "__main__"})  # noqa: S102  # a script of our own grammar
    except Recorder.Stop:
        return recorder.told
    except Exception:  # noqa: BLE001  # the script fails, as hostile ones do: then it tells nothing
        return None
    finally:
        del sys.modules["setuptools"]
        if before is not None:
            sys.modules["setuptools"] = before
    return None


@settings(max_examples=400)
@example(text=HEAD + "A = ['a']\nB = A\nB.append('x')\nsetup(install_requires=A)")
@example(text=HEAD + "A = ['a']\nB = ['b']\nsetup(install_requires=A + B, setup_requires=B)")
@given(text=SCRIPTS)
def test_proven_means_true(text: str) -> None:
    options, told = read(text), run(text)
    if told is None:
        return
    for option in ("install_requires", "setup_requires"):
        if option not in options.unproven:
            assert getattr(options, option) == told.get(option, ())
