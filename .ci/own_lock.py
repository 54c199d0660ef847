"""Makes deep.lock of this repository, and from it the files that CI and users install, in .ci/pins.

    python .ci/own_lock.py                      after a change of pyproject.toml; pins stay as they are where they can
    python .ci/own_lock.py -U                   with the newest versions; other options of deep-lock lock work too
    python .ci/own_lock.py --from-source DIR    a lock in DIR with the same versions, in which all that has an sdist is built:
                                                what is installed at run time, for this Python and machine

This repository contains no address of an index (tests/docs/test_docs_names.py). In pyproject.toml and deep.lock, the index is
https://index.example/simple/ and the files are on https://files.example/. The names, versions and sha256 are the real ones, so
`deep-lock lock --check` and the exports work as they are. This script runs deep-lock in a copy that has the real addresses:
there, a file whose sha256 differs from that of the index is an error, or a change of the lock that a reviewer sees.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deep_lock.network.public_index import public_index

ROOT = Path(__file__).parents[1]
INPUTS = ("pyproject.toml", "README.md", "LICENSE", "src/deep_lock/__init__.py", "deep.lock")
INDEX = "https://index.example/simple/"
FILES = "https://files.example/"
WITHOUT_SDIST_BUILD = ("filelock", "platformdirs")
"""The build requirements of their sdists are not on every index (python-sbom)."""


def with_real_index(text: str, index: str) -> str:
    """Return a text of this repository with the address of the index."""
    return text.replace(INDEX, index)


def without_addresses(lock: str, index: str) -> str:
    """Return a lock without the addresses of the index and of its files."""
    return re.sub(r'(?<=\burl = ")https?://[^"]*/', FILES, lock.replace(index, INDEX))


def _deep_lock(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "deep_lock", *arguments], cwd=folder, check=True)


def _copy(folder: Path, index: str) -> None:
    for name in INPUTS:
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, to)
    for name in ("pyproject.toml", "deep.lock"):
        path = folder / name
        if path.exists():
            path.write_text(with_real_index(path.read_text(encoding="utf-8"), index), encoding="utf-8")


def export_pins(folder: Path, to: Path) -> None:
    """Write what CI and users install: the run time, the tests, the tools of the site, the pins of the build, each with its sha256."""
    _deep_lock(folder, "-q", "export", "-f", "requirements", "-o", str(to / "runtime.txt"))
    for extra, name in (("test", "tests.txt"), ("docs", "docs.txt")):
        _deep_lock(folder, "-q", "export", "-f", "requirements", "--extra", extra, "-o", str(to / name))
    _deep_lock(folder, "-q", "export", "-f", "build-constraints", "-d", str(to))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-source", type=Path, metavar="DIR")
    own, options = parser.parse_known_args()
    index = public_index()
    if own.from_source is not None:
        _copy(own.from_source, index)
        pyproject = own.from_source / "pyproject.toml"
        text = pyproject.read_text(encoding="utf-8")
        pyproject.write_text(text.replace("[tool.deep-lock]\n", "[tool.deep-lock]\nextras = []\n"), encoding="utf-8")
        wheels = [option for name in WITHOUT_SDIST_BUILD for option in ("--only-binary", name)]
        target = ("--python-version", "host", "--platform", "host")
        _deep_lock(own.from_source, "lock", "--no-binary", ":all:", *wheels, *target, *options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy(folder, index)
        _deep_lock(folder, "lock", *options)
        lock = without_addresses((folder / "deep.lock").read_text(encoding="utf-8"), index)
    (ROOT / "deep.lock").write_text(lock, encoding="utf-8")
    export_pins(ROOT, ROOT / ".ci" / "pins")


if __name__ == "__main__":
    main()
