"""Generated repositories of a fleet, and the index that they use.

The shapes take turns: one project; a project with sdists to build; dependency groups; two projects in folders; a lock that is there.
Then there are workspaces, broken repositories and hostile ones, as many as are named.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.scenario_server import Releases

LIBRARIES = 30
TOOL = '[tool.deep-lock]\npython-versions = ["3.12"]\nplatforms = ["x86_64-manylinux_2_28"]\nhooks = "static"\n'
PROJECT = '[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = {requires}\n' + TOOL
GIT = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", "-c", "gc.auto=0")


def releases() -> Releases:
    """Return the libraries of the index: each third one is an sdist that poetry-core builds, and each requires the next two."""
    found: dict[str, Mapping[str, object]] = {"poetry-core 2.1.0": {}}
    for number in range(LIBRARIES):
        requires = [f"lib{later}" for later in (number + 1, number + 7) if later < LIBRARIES]
        for version in ("1.0", "1.1"):
            own: dict[str, object] = {"requires": requires}
            if number % 3 == 2:
                own |= {"wheels": [], "sdist": True, "build": ["poetry-core"], "backend": "poetry.core.masonry.api"}
            found[f"lib{number} {version}"] = own
    return found


@dataclass(frozen=True, kw_only=True)
class Made:
    """The repositories by what a run must make of them."""

    folder: Path
    good: tuple[str, ...]
    workspaces: tuple[str, ...]
    broken: tuple[str, ...]
    hostile: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.good, *self.workspaces, *self.broken, *self.hostile)


def make_fleet(folder: Path, number: int, *, workspaces: int = 1, broken: int = 2, hostile: int = 2) -> Made:
    """Make so many git repositories in a folder."""
    good = tuple(f"app{at:04}" for at in range(number - workspaces - broken - hostile))
    made = Made(
        folder=folder,
        good=good,
        workspaces=tuple(f"workspace{at}" for at in range(workspaces)),
        broken=tuple(f"broken{at}" for at in range(broken)),
        hostile=tuple(f"hostile{at}" for at in range(hostile)),
    )
    for at, name in enumerate(good):
        commit_files(folder / name, dict(_shape(at, name)))
    for at, name in enumerate(made.workspaces):
        commit_files(folder / name, dict(_workspace(at, name)))
    for at, name in enumerate(made.broken):
        text = "[tool.deep-lock\n" if at % 2 else PROJECT.format(name=name, requires=["lib0>9"])
        commit_files(folder / name, {"pyproject.toml": text})
    for at, name in enumerate(made.hostile):
        if at % 2:
            commit_files(folder / name, {"deep.lock": "x" * 1000}, link=("pyproject.toml", "/etc/passwd"))
        else:
            attack = PROJECT.format(name=name, requires=["lib0"]) + 'policy = "../../../../etc/passwd"\n'
            commit_files(folder / name, {"pyproject.toml": attack, ".gitattributes": "* filter=evil\n"})
    return made


def _requires(at: int, *, most: int = 3) -> list[str]:
    return [f"lib{(at * 7 + own * 11) % LIBRARIES}" for own in range(1 + at % most)]


def _shape(at: int, name: str) -> Iterator[tuple[str, str]]:
    match at % 5:
        case 0:
            yield "pyproject.toml", PROJECT.format(name=name, requires=_requires(at))
        case 1:
            yield "pyproject.toml", PROJECT.format(name=name, requires=["lib2", "lib5", "lib8"])
        case 2:
            groups = f'[dependency-groups]\ndev = ["lib{at % LIBRARIES}"]\n'
            yield "pyproject.toml", PROJECT.format(name=name, requires=_requires(at)) + groups
        case 3:
            yield "api/pyproject.toml", PROJECT.format(name=f"{name}-api", requires=_requires(at))
            yield "web/pyproject.toml", PROJECT.format(name=f"{name}-web", requires=_requires(at + 1))
            yield "docs/pyproject.toml", '[project]\nname = "docs"\nversion = "1"\ndependencies = ["lib99"]\n'
        case _:
            yield "pyproject.toml", PROJECT.format(name=name, requires=["lib29"])


def _workspace(at: int, name: str) -> Iterator[tuple[str, str]]:
    root = PROJECT.format(name=name, requires=["lib0"]) + '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    yield "pyproject.toml", root
    for member in ("one", "two"):
        text = f'[project]\nname = "{name}-{member}"\nversion = "1"\ndependencies = {_requires(at)}\n'
        yield f"packages/{member}/pyproject.toml", text


def write_list(made: Made, path: Path) -> Path:
    """Write a repos.toml of the repositories."""
    rows = (f'[[repositories]]\nname = "{name}"\npath = "{(made.folder / name).as_posix()}"\n' for name in made.names)
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def commit_files(folder: Path, files: Mapping[str, str], *, link: tuple[str, str] | None = None) -> None:
    """Commit files, and a link if one is named, in a repository that is made at its first commit."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    if link is not None:
        (folder / link[0]).symlink_to(link[1])
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "files")):
        clean = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", *GIT, *command], cwd=folder, check=True, env=clean)


def add_file(made: Made, name: str, path: str, text: str) -> None:
    """Add a commit to a repository."""
    commit_files(made.folder / name, {path: text})
