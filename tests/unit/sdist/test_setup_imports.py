"""What a setup.py imports whenever it runs."""

import pytest
from packaging.utils import NormalizedName

from deep_lock.sdist.setup_imports import needed_modules

NAME = NormalizedName("the-sdist")
CASES: dict[str, list[tuple[str, ...]]] = {
    "import numpy": [("numpy",)],
    "import numpy.distutils.core as core, yaml": [("numpy",), ("yaml",)],
    "import os, sys, distutils.core, setuptools.command": [("distutils",)],
    "from google.protobuf import message": [("google.protobuf",)],
    "with open('x') as file:\n    import yaml": [("yaml",)],
    "class Build:\n    import yaml\n    def run(self):\n        import numpy": [("yaml",)],
    "if __name__ == '__main__':\n    import yaml": [("yaml",)],
    "if x:\n    import yaml\nelse:\n    import numpy": [],
    "try:\n    import yaml\nfinally:\n    import numpy": [("yaml",), ("numpy",)],
    "try:\n    import yaml\nexcept ValueError:\n    pass": [("yaml",)],
    "try:\n    import yaml\nexcept ImportError:\n    pass": [],
    "try:\n    import yaml\nexcept:\n    raise": [("yaml",)],
    "try:\n    import yaml\nexcept (ImportError, OSError):\n    print(1)\n    sys.exit(1)": [("yaml",)],
    "try:\n    import a, b\nexcept Exception:\n    import c": [("a", "c"), ("b", "c")],
    "from setuptools import setup\nsetup()\nimport numpy": [],
    "from . import other": [],
    "import own": [("inside",), ("deeper",)],
    "from own.part import thing": [("inside",), ("deeper",), ("parted",)],
    "import apart": [("apart",)],
    "import the_sdist": [],
    "import sys\nsys.path.insert(0, 'tools')\nimport apart": [],
    "no python at all": [],
}
TREE = {
    "own/__init__.py": b"from .deep import x\nimport inside\n",
    "own/deep.py": b"import deeper, own\n",
    "own/part.py": b"from . import deep\nimport parted\nif 1:\n    import never\n",
    "tools/apart.py": b"",
}


@pytest.mark.parametrize("text", CASES)
def test_needs(text: str) -> None:
    files = {**TREE, "setup.py": text.encode()}
    assert sorted(needed_modules(NAME, files, files.keys())) == sorted(CASES[text])


def test_nothing_is_needed_without_a_setup_py() -> None:
    assert needed_modules(NAME, TREE, TREE.keys()) == ()
