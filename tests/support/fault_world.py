"""A world of three projects on a FaultServer, and the real command line run against it in a process of its own.

alpha (wheel) asks for beta; beta (sdist only) is built by gamma (wheel).
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import forked
from tests.support.fault_server import FaultServer, reply

SOURCE = Path(__file__).parents[2] / "src"
WITH_SUPPORT = {"PYTHONPATH": os.pathsep.join((str(SOURCE), str(SOURCE.parent)))}
"""For a program that imports this package."""
JSON = ("Content-Type", "application/vnd.pypi.simple.v1+json")
PROJECT = '[project]\nname = "letter"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["alpha"]\n'
TARGET = ("--python-version", "3.12", "--platform", "x86_64-manylinux_2_28", "--hooks", "static")
"""Nothing of the world's sdists can be run: their backends are names."""
ALPHA, BETA, GAMMA = "alpha-1.0-py3-none-any.whl", "beta-1.0.tar.gz", "gamma-1.0-py3-none-any.whl"
PAGES = tuple(f"/simple/{name}/" for name in ("alpha", "beta", "gamma"))


def core_metadata(name: str, *requires: str) -> bytes:
    """A METADATA file of version 1.0."""
    lines = ["Metadata-Version: 2.2", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {each}" for each in requires)]
    return ("\n".join(lines) + "\n").encode()


def sdist(name: str, *, builds_with: str, pyproject: bytes | None = None, pkg_info: bytes | None = None) -> bytes:
    """An sdist that says all of itself, and is built by a project of which nobody knows a rule."""
    usual = f'[build-system]\nrequires = ["{builds_with}"]\nbuild-backend = "{builds_with}"\n'.encode()
    texts = {"PKG-INFO": pkg_info or core_metadata(name), "pyproject.toml": pyproject or usual}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in texts.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


FILES = {
    ALPHA: core_metadata("alpha", "beta>=1"),
    BETA: sdist("beta", builds_with="gamma"),
    GAMMA: core_metadata("gamma"),
}
"""What is served of each file: the metadata of a wheel, the whole of an sdist."""


def file_path(filename: str) -> str:
    """Where the world serves what is read of a file."""
    return f"/files/{filename}" if filename == BETA else f"/files/{filename}.metadata"


def page(name: str, filename: str, /, *, files: str = "../..", promised: bytes | None = None, **more: object) -> bytes:
    """A project page. ``files`` stands before the path of the file's URL; ``promised`` are the bytes it has the hash of."""
    digest = hashlib.sha256(FILES[filename] if promised is None else promised).hexdigest()
    entry: dict[str, object] = {"filename": filename, "url": f"{files}/files/{filename}"}
    entry["hashes"] = {"sha256": digest}
    if filename != BETA:
        entry["core-metadata"] = {"sha256": digest}
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": [{**entry, **more}]}).encode()


def people(server: FaultServer, *, names: Sequence[str] = ("alpha", "beta", "gamma"), **more: object) -> str:
    """Script the whole world, all of it right; gives the URL of the index."""
    for name, filename in zip(("alpha", "beta", "gamma"), (ALPHA, BETA, GAMMA), strict=True):
        if name not in names:
            server.script(f"/simple/{name}/", reply(b"not here", status="404 Not Found"))
            continue
        server.script(f"/simple/{name}/", reply(page(name, filename, **more), headers=[JSON]))  # type: ignore[arg-type]  # passed on
        server.script(file_path(filename), reply(FILES[filename]))
    return f"{server.base}/simple/"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str


def can_be_forked(before: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a run needs no Python of its own: it is the command line or a script, with no variable that Python reads at its start."""
    is_known = before == ("-m", "deep_lock") or (len(before) == 1 and before[0].endswith("fault_quick.py"))
    return hasattr(os, "fork") and is_known and not any(name.startswith(("PYTHON", "LD_")) for name in environ)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A project folder and a cache folder, and the command line run there."""

    project: Path
    cache: Path

    @property
    def lock(self) -> Path:
        return self.project / "deep.lock"

    def litter(self) -> list[Path]:
        """Temporary files of ours, in either folder."""
        return [path for folder in (self.project, self.cache) for path in folder.rglob(".deep-lock-*")]

    def files_with(self, content: bytes) -> list[Path]:
        """Files in either folder that hold these bytes."""
        paths = [path for folder in (self.project, self.cache) for path in folder.rglob("*") if path.is_file()]
        return [path for path in paths if content in path.read_bytes()]

    def keep_old_lock(self, url: str) -> str:
        """Give the project a lock of other dependencies, as an earlier run had left it; returns it."""
        old = old_lock().replace(PLACE, url.removesuffix("/simple/"))
        self.lock.write_text(old, encoding="utf-8", newline="")
        return old

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        names = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "LD_PRELOAD")  # the last one is the clock of `.ci/run --clock`
        kept = {name: os.environ[name] for name in names if name in os.environ}
        own = {"PYTHONPATH": str(SOURCE), "HOME": str(self.project), "DEEP_LOCK_CACHE_DIR": str(self.cache)}
        return {**kept, **own, "PYTHONUTF8": "1", **(more or {})}

    def start(
        self, *arguments: str, environ: Mapping[str, str] | None = None, before: Sequence[str] = ("-m", "deep_lock")
    ) -> "subprocess.Popen[str]":
        """Begin a run; ``before`` is what Python is told to run."""
        return subprocess.Popen(
            [sys.executable, *before, *arguments],
            cwd=self.project,
            env=self.environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(
        self, *arguments: str, environ: Mapping[str, str] | None = None, before: Sequence[str] = ("-m", "deep_lock")
    ) -> Ended:
        """Run to the end, which must come."""
        if can_be_forked(before, environ or {}):
            code, stdout, stderr = forked.run(before[-1], arguments, self.project, self.environ(environ))
            assert "Traceback" not in stderr, stderr
            return Ended(code=code, stdout=stdout, stderr=stderr)
        with self.start(*arguments, environ=environ, before=before) as child:
            try:
                stdout, stderr = child.communicate(timeout=120)
            except BaseException:
                child.kill()
                raise
        assert "Traceback" not in stderr, stderr
        return Ended(code=child.returncode, stdout=stdout, stderr=stderr)

    def make_lock(
        self,
        url: str,
        *more: str,
        environ: Mapping[str, str] | None = None,
        before: Sequence[str] = ("-m", "deep_lock"),
    ) -> Ended:
        """Run `deep-lock lock` for one target against one default index."""
        return self.run("lock", *TARGET, "-i", url, *more, environ=environ, before=before)


def desk(folder: Path) -> Desk:
    """A fresh project and an empty cache below ``folder``."""
    project, cache = folder / "project", folder / "cache"
    project.mkdir()
    cache.mkdir(mode=0o700)
    (project / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return Desk(project=project, cache=cache)


PLACE = "http://place.invalid"


def lock_of(folder: Path, *, dependency: str = "alpha") -> str:
    """What a run writes where nothing goes wrong, with PLACE for the index's origin."""
    own = desk(folder)
    (own.project / "pyproject.toml").write_text(PROJECT.replace('"alpha"', f'"{dependency}"'), encoding="utf-8")
    with FaultServer() as server:
        assert own.make_lock(people(server)).code == 0
        return own.lock.read_text(encoding="utf-8").replace(server.base, PLACE)


@cache
def old_lock() -> str:
    """The lock of a project that asks for gamma alone."""
    with TemporaryDirectory() as folder:
        return lock_of(Path(folder), dependency="gamma")
