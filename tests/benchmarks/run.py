"""Measures deep-lock against its peers in the same run, and prints a Markdown table of ratios.

    python tests/benchmarks/run.py --uv UV                          # a made-up index of some 300 projects
    python tests/benchmarks/run.py --index URL --projects FOLDER    # a recorded index, and real projects

The index must be on loopback and answer /-/reset and /-/set as bench_index.py does. Runs are taken in turn (A B A B) and
medians are quoted. CPU seconds are the honest figure on a busy machine: client and server share its cores. Peak memory
is that of the largest process of the tree. The program measures; it fails on no number. Unix only (wait4).
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from tests.benchmarks.bench_cases import UV_COMPILE, Case, State, Tool, generated_cases, recorded_cases
from tests.benchmarks.bench_index import PROJECTS

HEAD = (
    "| project | state | ours | against | wall x | CPU x | memory x | limit "
    "| ours: wall s | CPU s | MB | requests | theirs: wall s | CPU s | MB | requests |\n"
    "|---|---|---|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)
PYPROJECT = '[project]\nname = "generated"\nversion = "1"\nrequires-python = ">=3.11,<3.13"\ndependencies = {}\n'
ALLOW_WHEEL = '\n[tool.deep-lock]\nallow-wheel = ["psycopg-binary"]\n'
"""Scope "all" needs leave for what has no sdist at all."""
ROOTS = ["bench-000", "bench-001", "bench-002"]


class Failed(Exception):
    """A measured command did not succeed."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One run: seconds, MB, and requests that the index answered."""

    wall: float
    cpu: float
    memory: float
    requests: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where the index and the programs are, and where to work."""

    index: str
    projects: Path
    scratch: Path
    programs: dict[str, str]
    timeout: float
    used: set[Path] = field(default_factory=set)

    def control(self, path: str) -> dict[str, object]:
        """Ask the index for its counters."""
        with urllib.request.urlopen(f"{self.index}/-/{path}") as answer:  # noqa: S310 - the loopback index that was given
            counters: dict[str, object] = json.load(answer)
            return counters

    def folder(self, project: str, tool: Tool) -> Path:
        """Return the tool's own copy of a project, made on first use."""
        folder = self.scratch / f"{project} {tool.label}"
        if folder not in self.used:
            self.used.add(folder)
            shutil.copytree(self.projects / project, folder / "project")
            if tool.program == "deep-lock":
                with (folder / "project" / "pyproject.toml").open("a") as file:
                    file.write(ALLOW_WHEEL)
            for name in ("cache", "home", "tmp"):
                (folder / name).mkdir()
            if tool.program == "pybuild-deps":  # its input is a runtime lock
                self.execute(UV_COMPILE, folder, "cold")
                shutil.move(folder / "project" / UV_COMPILE.lock, folder / "project" / "locked.txt")
        return folder

    def execute(self, tool: Tool, folder: Path, state: State) -> Figures:
        """Bring the folder into the state and run the tool there once. Raises Failed."""
        if state == "cold":
            shutil.rmtree(folder / "cache")
            (folder / "cache").mkdir()
        if state != "noop":
            (folder / "project" / tool.lock).unlink(missing_ok=True)
        names = {
            "index": f"{self.index}/simple/",
            "cache": str(folder / "cache"),
            "python": sys.executable,
            "minor": f"{sys.version_info[0]}.{sys.version_info[1]}",
        }
        extra = tool.noop if state == "noop" else ()
        command = [self.programs[tool.program], *(part.format(**names) for part in (*tool.argv, *extra))]
        environment = {
            "PATH": os.defpath,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": names["cache"],
            "DEEP_LOCK_CACHE_DIR": names["cache"],
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": names["index"].rstrip("/"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self.control(f"set?pep658={int(tool.metadata_files)}")
        self.control("reset")
        figures = measure(command, folder / "project", environment, self.timeout)
        counters = self.control("reset")
        return Figures(**figures, requests=float(str(counters["requests"])))

    def prepare(self, tool: Tool, folder: Path, state: State) -> None:
        """Make sure that there are caches, and a lock, where the state wants them."""
        lock = folder / "project" / tool.lock
        if state == "cold" or (lock.exists() and any((folder / "cache").iterdir())):
            return
        self.execute(tool, folder, "warm")

    def compare(self, case: Case, runs: int) -> tuple[list[Figures], list[Figures]]:
        """Run both sides of a case in turn. Raises Failed."""
        sides = [(tool, self.folder(case.project, tool)) for tool in (case.ours, case.theirs)]
        for tool, folder in sides:
            self.prepare(tool, folder, case.state)
        taken: tuple[list[Figures], list[Figures]] = ([], [])
        for _ in range(runs):
            for side, (tool, folder) in zip(taken, sides, strict=True):
                side.append(self.execute(tool, folder, case.state))
        return taken


def measure(command: list[str], folder: Path, environment: dict[str, str], timeout: float) -> dict[str, float]:
    """Run a command; return wall, CPU and peak memory of its process tree. Raises Failed."""
    log = folder.parent / "log.txt"
    with log.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        alarm = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines() or [""]
        raise Failed(f"{Path(command[0]).name} exited with {process.returncode} after {wall:.1f} s: {lines[-1][:200]}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}


def _medians(runs: list[Figures]) -> Figures:
    return Figures(
        wall=statistics.median(run.wall for run in runs),
        cpu=statistics.median(run.cpu for run in runs),
        memory=statistics.median(run.memory for run in runs),
        requests=statistics.median(run.requests for run in runs),
    )


def row(case: Case, ours: Figures, theirs: Figures) -> str:
    """Return a case as a line of the table."""
    ratios = [ours.wall / theirs.wall, ours.cpu / theirs.cpu, ours.memory / theirs.memory]
    cells = [
        case.project,
        case.state,
        case.ours.label,
        case.theirs.label,
        *(f"{ratio:.2f}" for ratio in ratios),
        case.limit,
    ]
    for own in (ours, theirs):
        cells += [f"{own.wall:.2f}", f"{own.cpu:.2f}", f"{own.memory:.0f}", f"{own.requests:.0f}"]
    return f"| {' | '.join(cells)} |"


def report(bench: Bench, cases: list[Case], runs: int, results: list[dict[str, object]]) -> Iterator[str]:
    """Yield the table line by line, as the figures come in; what was left out, and why, in lines below it.

    Each run of each case is added to ``results``.
    """
    left_out = []
    yield HEAD
    for case in cases:
        what = f"{case.project}, {case.state}: {case.ours.label} against {case.theirs.label}"
        absent = [tool.program for tool in (case.ours, case.theirs) if tool.program not in bench.programs]
        if absent:
            left_out.append(f"- {what}: {absent[0]} was not found")
            continue
        try:
            ours, theirs = bench.compare(case, runs)
        except Failed as error:
            left_out.append(f"- {what}: {error}")
            continue
        sides = ((case.ours.label, ours), (case.theirs.label, theirs))
        measured = [{"tool": label, "runs": [asdict(run) for run in taken]} for label, taken in sides]
        results.append({"project": case.project, "state": case.state, "tools": measured})
        yield row(case, _medians(ours), _medians(theirs))
    yield "\n".join(["", f"Medians of {runs} runs in turn, load {os.getloadavg()[0]:.1f} at the end.", *left_out])


@contextlib.contextmanager
def made_up_index(scratch: Path, projects: int = PROJECTS, *, payload: bool = False) -> Iterator[tuple[str, Path]]:
    """Serve the made-up index from a process of its own; give its address, and a folder with a project for it.

    With ``payload`` wheels have the sizes of real ones.
    """
    project = scratch / "projects" / "generated"
    project.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PYPROJECT.format(json.dumps(ROOTS)))
    (project / "requirements.in").write_text("\n".join(ROOTS))
    command = [sys.executable, str(Path(__file__).with_name("bench_index.py")), f"--projects={projects}"]
    command += ["--payload"] if payload else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip() if server.stdout is not None else ""
            yield f"http://127.0.0.1:{port}", project.parent
        finally:
            server.kill()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", help="a running recorded index, without /simple/; with --projects")
    parser.add_argument("--projects", type=Path, help="folders with pyproject.toml and requirements.in")
    parser.add_argument("--latency-ms", type=float, default=30, help="of each answer of the index [30]")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="text in 'PROJECT STATE OURS THEIRS'; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each run, the versions and the machine")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run")
    for program in ("deep-lock", "uv", "pybuild-deps"):
        parser.add_argument(f"--{program}", help="path of the program [the one on PATH]")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    options = _options()
    named = {name: getattr(options, name.replace("-", "_")) for name in ("deep-lock", "uv", "pybuild-deps")}
    found = {name: path or shutil.which(name) for name, path in named.items()}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deep-lock-bench-")))
        if options.index and options.projects:
            index, projects, cases = options.index.rstrip("/"), options.projects.resolve(), recorded_cases()
        else:
            (index, projects), cases = stack.enter_context(made_up_index(scratch, payload=True)), generated_cases()
        bench = Bench(
            index=index,
            projects=projects,
            scratch=scratch,
            programs={name: str(Path(path).absolute()) for name, path in found.items() if path},
            timeout=options.timeout,
        )
        bench.control(f"set?latency_ms={options.latency_ms}")
        kept = [
            case
            for case in cases
            if all(
                text in f"{case.project} {case.state} {case.ours.label} {case.theirs.label}" for text in options.only
            )
        ]
        if not kept:
            raise SystemExit(f"error: no case has {' and '.join(map(repr, options.only))}")
        results: list[dict[str, object]] = []
        for line in report(bench, kept, options.runs, results):
            click.echo(line)
    if options.json:
        options.json.write_text(
            json.dumps({**machine(found), "latency-ms": options.latency_ms, "results": results}, indent=1)
        )


def machine(programs: Mapping[str, str | None]) -> dict[str, object]:
    """Return what the figures depend on: the versions of the programs, and the machine."""
    versions = {
        name: subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        for name, path in programs.items()
        if path
    }
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "programs": versions,
    }


if __name__ == "__main__":
    main()
