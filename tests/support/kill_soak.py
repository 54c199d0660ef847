"""Kills commands at random moments, and looks at what is left: `python -m tests.support.kill_soak COMMAND [KILLS [SEED]]`.

COMMAND is lock, lock-hooks, fetch, wheelhouse or merge. SOAK_SECONDS in the environment ends it earlier. Each try starts the command from the same state, sends SIGKILL to
its process after a random time, checks that no file is torn, and runs the command again to its end: then the result must
be that of an undisturbed run, and no temporary file may be left. One line of JSON with the counts is printed. POSIX only.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.fault_world import SOURCE
from tests.support.scenario_server import Releases, ScenarioServer, release_files
from tests.support.scenarios import MINOR, PLAIN

BACKEND = """
import os, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return ["tool"]
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "thing-1.0-py3-none-any.whl", "thing-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        write = lambda path, text: wheel.writestr(zipfile.ZipInfo(path), text)
        write("thing.py", b"")
        write(info + "METADATA", "Metadata-Version: 2.2\\nName: thing\\nVersion: 1.0\\n")
        write(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        write(info + "RECORD", "")
    return name
"""
THING = {
    "wheels": [],
    "sdist": True,
    "build": ["base"],
    "backend": "own",
    "backend-path": ["."],
    "tree": {"own.py": BACKEND},
}
RELEASES: Releases = {
    "thing 1.0": THING,
    "tool 1.0": {},
    "base 1.0": {},
    **{f"lib{number} {version}": {} for number in range(8) for version in ("1.0", "2.0", "3.0")},
}
NAMES = [f"lib{number}" for number in range(8)]
MOST_SECONDS = float(os.environ.get("SOAK_SECONDS", "7200"))


@dataclass(kw_only=True)
class Bench:
    """A project, a cache, a folder for temporary files and one for results, made anew from ``start`` before each try."""

    folder: Path
    url: str
    command: str
    faults: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.folder / "work" / "project"

    def environ(self) -> dict[str, str]:
        work = self.folder / "work"
        own = {"HOME": str(self.project), "TMPDIR": str(work / "tmp"), "DEEP_LOCK_CACHE_DIR": str(work / "cache")}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), **own}

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "deep_lock", *arguments],
            cwd=self.project,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> int:
        with self.start(*arguments) as child:
            _, said = child.communicate(timeout=600)
        if child.returncode:
            self.faults.append(f"exit {child.returncode}: {said.decode()[-500:]}")
        return child.returncode

    def lock(self, *more: str, hooks: str = "static") -> tuple[str, ...]:
        targets = (f"--python-version={MINOR}", "--platform=host")
        return ("lock", *targets, f"--hooks={hooks}", "--default-index", self.url, *more)

    def arguments(self) -> tuple[str, ...]:
        """Return the command that is killed."""
        match self.command:
            case "lock":
                return self.lock("-U", "--refresh")
            case "lock-hooks":
                return self.lock("-U", "--refresh", hooks="sandbox")
            case "fetch":
                return ("fetch", "-d", "out")
            case "wheelhouse":
                return ("wheelhouse", "-d", "out")
            case _:
                return ("git-merge", "base.lock", "ours.lock", "theirs.lock", "deep.lock")

    def prepare(self) -> None:
        """Make the state that every try starts from."""
        self.fresh(empty=True)
        if self.command == "merge":
            self.require(*NAMES[:2], "lib5")
            for name, version in {"base": "1.0", "ours": "2.0", "theirs": "3.0"}.items():
                self.run(*self.lock("-U", "-P", f"lib0=={version}", "-P", f"lib1=={version}"))
                shutil.copy(self.project / "deep.lock", self.project / f"{name}.lock")
        else:
            hooks = "static" if self.command in {"lock", "lock-hooks", "fetch"} else "sandbox"
            if self.command.startswith("lock"):
                self.require("lib0==1.0")
                self.run(*self.lock())
            self.require("thing", *NAMES)
            if not self.command.startswith("lock"):
                self.run(*self.lock(hooks=hooks))
        shutil.rmtree(self.folder / "start", ignore_errors=True)
        shutil.copytree(self.folder / "work", self.folder / "start")

    def require(self, *requirements: str) -> None:
        (self.project / "pyproject.toml").write_text(PLAIN.format(list(requirements)), encoding="utf-8")

    def fresh(self, *, empty: bool = False) -> None:
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        if not empty:
            shutil.copytree(self.folder / "start", self.folder / "work")
        for part in ("project", "cache", "tmp"):
            (self.folder / "work" / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "work" / "cache").chmod(0o700)

    def results(self) -> dict[str, str]:
        """Return the digests of the files that the command writes, but not those with names of temporary files."""
        written = [self.project / "ours.lock"] if self.command == "merge" else [self.project / "deep.lock"]
        written += [path for path in (self.project / "out").rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.project)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in written
            if path.exists() and not path.name.startswith(".deep-lock-")
        }

    def left(self) -> list[str]:
        """Return the temporary files and folders that are left."""
        work = self.folder / "work"
        found = [*work.rglob(".deep-lock-*.tmp"), *(work / "tmp").iterdir()]
        return sorted(str(path.relative_to(work)) for path in found)

    def try_once(self, seconds: float, calm: dict[str, str], known: frozenset[str]) -> bool:
        """Kill, look, run again, look. Return whether the kill came before the end."""
        self.fresh()
        before = self.results()
        with self.start(*self.arguments()) as child:
            time.sleep(seconds)
            child.kill()
            child.communicate()
        killed = child.returncode < 0
        for name, digest in self.results().items():
            records = name.endswith(".json")  # of the wheels so far: each state is right
            if digest not in {before.get(name), calm.get(name), *known} and not records:
                self.faults.append(f"after a kill at {seconds:.3f} s: {name} is torn")
        self.run(*self.arguments())
        if self.results() != calm:
            self.faults.append(f"after a kill at {seconds:.3f} s: the next run has another result: {self.results()}")
        if self.left():
            self.faults.append(f"after a kill at {seconds:.3f} s: left: {self.left()}")
        return killed


def soak(command: str, kills: int, seed: int) -> dict[str, object]:
    """Kill a command at so many random moments; return the counts, and what was wrong."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    with TemporaryDirectory(prefix="kills-") as name, ScenarioServer() as server:
        server.hold(RELEASES)
        known = frozenset(
            hashlib.sha256(file.content).hexdigest()
            for key, own in RELEASES.items()
            for file in release_files(key, own)
        )
        bench = Bench(folder=Path(name), url=server.url, command=command)
        bench.prepare()
        bench.fresh()
        started = time.monotonic()
        bench.run(*bench.arguments())
        length, calm = time.monotonic() - started, bench.results()
        tries = hit = 0
        while tries < kills and time.monotonic() - started < MOST_SECONDS:
            tries += 1
            hit += bench.try_once(chance.uniform(0, length), calm, known)
        return {"command": command, "tries": tries, "killed": hit, "seconds": round(length, 2), "faults": bench.faults}


def main(arguments: Sequence[str]) -> int:
    """Run one soak, and print its counts."""
    command, *more = arguments
    kills, seed = int(more[0]) if more else 200, int(more[1]) if len(more) > 1 else 1
    found = soak(command, kills, seed)
    os.write(1, json.dumps(found, indent=1).encode() + b"\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
