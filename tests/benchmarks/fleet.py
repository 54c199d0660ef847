"""Measures `deep-lock fleet` with generated repositories and a local index, and prints a Markdown table.

    python -m tests.benchmarks.fleet                                # 500 repositories
    python -m tests.benchmarks.fleet --repositories 60 --json fleet.json

It runs: nothing in the cache; all in the cache; one worker; a shell loop over the same repositories (git clone and deep-lock lock, one
after the other, with a cache of its own); workers that are killed with -9 every 20 s and every 3 s; the locks committed; nothing
changed; questions about all locks. Runs with kills, one worker and the loop must have the locks of the first run, byte by byte. Memory
is the sum of the resident bytes of all processes of a run: pages that they share count for each. The index runs in the process of
the benchmark, which counts each request by URL. The exit code is 1 where a repository is lost or twice in a journal, a lock differs, a
hostile repository gets what it wants, or a URL is requested twice without a kill. Linux only (/proc).
"""

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from tests.benchmarks.fleet_cases import MINOR, TEXT_OF_WORKER, make_repositories, releases
from tests.support.fleet_repositories import Made, add_file, write_list
from tests.support.scenario_server import ScenarioServer

COMMAND = (sys.executable, "-m", "deep_lock")
LOOP = """
while read -r name url; do
    rm -rf tree
    git clone -q --depth 1 "$url" tree && "$0" -m deep_lock -q lock --all-projects --project tree 2>> ../loop.log
    for lock in tree/deep.lock; do [ -f "$lock" ] && cp "$lock" "../loop-locks/$name.lock"; done
done < ../urls.txt
:
"""
SAMPLE_SECONDS = 0.1
KILLS_SECONDS = (20.0, 3.0)
LEFT_SECONDS = 10.0
ASK_RUNS = 7
SHOWN = 5
QUESTIONS = (("builds-with", "poetry-core"), ("uses", "library0"), ("hash-conflicts",))
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HEAD = (
    "| run | wall s | CPU s, at least | peak MB, all processes | requests | URLs | requested again | ran | kills | exit code |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One run."""

    name: str
    wall: float
    cpu: float
    """At least: killed processes, and those that no other one waits for, count up to the last sample."""
    memory: float
    """Of all processes at a time, at most; MB."""
    requests: dict[str, int]
    """By path of the URL."""
    ran: int | None
    """Repositories; None: not a run of a fleet."""
    kills: int
    exit_code: int
    output: str

    @property
    def again(self) -> list[str]:
        """The paths that were requested more than once."""
        return sorted(path for path, times in self.requests.items() if times > 1)

    def row(self) -> str:
        """Return a line of the table."""
        cells = [self.name, f"{self.wall:.1f}", f"{self.cpu:.1f}", f"{self.memory:.0f}"]
        cells += [str(sum(self.requests.values())), str(len(self.requests)), str(len(self.again))]
        cells += ["" if self.ran is None else str(self.ran), str(self.kills), str(self.exit_code)]
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A row of /proc."""

    pid: int
    parent: int
    memory: int
    cpu: float
    """Seconds, without those of its children."""


def processes() -> Iterator[Process]:
    """Yield the processes of the machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            yield Process(
                pid=int(folder.name),
                parent=int(fields[1]),
                memory=int(fields[21]) * PAGE_BYTES,
                cpu=(int(fields[11]) + int(fields[12])) / TICKS,
            )


class Watch:
    """Measures a process and those that it started, and kills workers of it in turns."""

    def __init__(self, pid: int, kill_seconds: float | None) -> None:
        """Begin. ``kill_seconds``: the time between two kills; None: none."""
        self.memory = self.kills = 0
        self._family = {pid}
        self._cpu: dict[int, float] = {}
        self._every = kill_seconds
        self._random = random.Random(0)  # noqa: S311 - the same choices in each run
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop to measure, before the number of the process can be that of another one."""
        self._ended.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """The seconds of all processes that were seen."""
        return sum(self._cpu.values())

    def left(self) -> set[int]:
        """Return the processes that are still there some seconds after the first one ended."""
        end = time.monotonic() + LEFT_SECONDS
        while (left := self._family & {own.pid for own in processes()}) and time.monotonic() < end:
            time.sleep(SAMPLE_SECONDS)
        return left

    def _run(self) -> None:
        due = time.monotonic() + (self._every or 0)
        while not self._ended.wait(SAMPLE_SECONDS):
            found = {own.pid: own for own in processes()}
            self._family &= set(found)
            while added := {own.pid for own in found.values() if own.parent in self._family} - self._family:
                self._family |= added
            self.memory = max(self.memory, sum(found[pid].memory for pid in self._family))
            self._cpu |= {pid: found[pid].cpu for pid in self._family}
            if self._every is not None and time.monotonic() >= due:
                due = time.monotonic() + self._every
                self._kill()

    def _kill(self) -> None:
        """Kill the process that does the work of a worker, or the worker of Dask that started it."""
        victims = sorted(pid for pid in self._family if _is_worker(pid))
        if victims and not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(victims), signal.SIGKILL)
                self.kills += 1


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return b" fleet worker" in line or b"multiprocessing.spawn" in line
    return False


@dataclass(kw_only=True)
class Bench:
    """The repositories, the index, and what the runs wrote."""

    folder: Path
    made: Made
    server: ScenarioServer
    workers: int
    faults: list[str] = field(default_factory=list)

    def environ(self, cache: str) -> dict[str, str]:
        """Return the environment of a run."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_PRELOAD") if name in os.environ}
        (self.folder / "tmp").mkdir(exist_ok=True)
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "DEEP_LOCK_CACHE_DIR": str(self.folder / cache),
            "DEEP_LOCK_DEFAULT_INDEX": self.server.url,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def run(self, name: str, command: tuple[str, ...], *, cache: str, kill_seconds: float | None = None) -> Figures:
        """Run a command to its end, and measure it."""
        self.server.log.clear()
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        with (self.folder / "run.log").open("w+b") as log, (self.folder / "run.json").open("w+b") as out:
            start = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=work, env=self.environ(cache), stdin=subprocess.DEVNULL, stdout=out, stderr=log
            )
            watch = Watch(process.pid, kill_seconds)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            wall = time.perf_counter() - start
            watch.end()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if left := watch.left():
                self.faults.append(f"{name}: processes are left: {sorted(left)}")
            out.seek(0)
            text = out.read().decode()
            log.seek(0)
            errors = log.read().decode(errors="replace")
        document = json.loads(text) if text.startswith("{") else {}
        if "Traceback" in errors or document.get("schema") == "deep-lock/error":
            self.faults.append(f"{name}: {errors[-2000:]}{text[-500:]}")
        requests = Counter(urlsplit(own.path).path for own in list(self.server.log))
        if kill_seconds is None and (again := [path for path, times in requests.items() if times > 1]):
            self.faults.append(f"{name}: requested more than once: {', '.join(again)}")
        if "/stolen" in requests:
            self.faults.append(f"{name}: a build hook had a connection to the index")
        return Figures(
            name=name,
            wall=wall,
            cpu=max(watch.cpu, usage.ru_utime + usage.ru_stime),
            memory=watch.memory / 1e6,
            requests=dict(requests),
            ran=document.get("ran"),
            kills=watch.kills,
            exit_code=process.returncode,
            output=text,
        )

    def lock(
        self, name: str, state: str, *, cache: str, workers: int = 0, kill_seconds: float | None = None
    ) -> Figures:
        """Run `deep-lock fleet lock`, and check its journal."""
        options = ("-f", str(self.folder / "repos.toml"), "--state", str(self.folder / state), "--format", "json")
        command = (*COMMAND, "fleet", "lock", *options, "--workers", str(workers or self.workers))
        figures = self.run(name, command, cache=cache, kill_seconds=kill_seconds)
        kept, own = self.journal(state)
        twice = [repository for repository, times in Counter(row["repository"] for row in own).items() if times > 1]
        lost = set(self.made.names) - {row["repository"] for row in (*kept, *own)}
        if twice or lost or len(own) != figures.ran:
            self.faults.append(
                f"{name}: {figures.ran} ran, {len(own)} are in the journal; twice: {twice}; lost: {len(lost)} {sorted(lost)[:SHOWN]}"
            )
        for path in (self.folder / state / "locks").glob("*.lock"):
            if sha256(path.read_bytes()).hexdigest() != path.stem:
                self.faults.append(f"{name}: {path.name} has other bytes than its name states")
        return figures

    def journal(self, state: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the lines of the journal that are kept of runs before, and those of the last run."""
        path = self.folder / state / "fleet.jsonl"
        if not path.exists():
            return [], []  # the run failed as a whole
        text = path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        begins = max(at for at, row in enumerate(rows) if row.get("kind") == "run")
        return rows[:begins], rows[begins + 1 :]

    def results(self, state: str) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return what became of each project, without what differs from run to run: times, requests, workers."""
        keys = ("status", "exit-code", "code", "message", "lock-path", "lock-sha256", "previous-sha256")
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for own in self.journal(state)[1]:
            found[own["repository"], ""] = tuple(str(own.get(key)) for key in keys[:4])
            for row in own.get("projects", ()):
                found[own["repository"], row["project"]] = tuple(str(row.get(key)) for key in keys)
        return found

    def compare(self, name: str, state: str, first: str) -> None:
        """Compare the results of a run with those of the first one."""
        mine, wanted = self.results(state), self.results(first)
        other = [key for key in sorted({*mine, *wanted}) if mine.get(key) != wanted.get(key)]
        if other:
            shown = "; ".join(f"{key}: {mine.get(key)}, and not {wanted.get(key)}" for key in other[:SHOWN])
            self.faults.append(f"{name}: {len(other)} results are others than in the first run: {shown}")

    def locks(self, state: str) -> dict[str, tuple[str, str]]:
        """Return (path, digest) of the lock of each good repository and each workspace: they have one project each."""
        names = {*self.made.good, *self.made.workspaces}
        rows = {own["repository"]: own["projects"] for own in self.journal(state)[1] if own["repository"] in names}
        return {name: (row["lock-path"], row["lock-sha256"]) for name, (row,) in rows.items()}

    def loop(self) -> Figures:
        """Run the shell loop, and compare its locks with those of the first run."""
        urls = (f"{name} {(self.made.folder / name).as_uri()}\n" for name in self.made.names)
        (self.folder / "urls.txt").write_text("".join(urls), encoding="utf-8")
        (self.folder / "loop-locks").mkdir()
        figures = self.run("shell loop, nothing in the cache", ("sh", "-c", LOOP, sys.executable), cache="loop-cache")
        for name, (_, digest) in self.locks("cold").items():
            path = self.folder / "loop-locks" / f"{name}.lock"
            if not path.exists() or sha256(path.read_bytes()).hexdigest() != digest:
                self.faults.append(f"{figures.name}: {name} has another lock than in the fleet, or none")
        return figures

    def ask(self) -> dict[str, float]:
        """Return the seconds of a whole process for each question: the median."""
        found = {}
        for question in QUESTIONS:
            command = (*COMMAND, "fleet", "ask", *question, "--state", str(self.folder / "cold"), "--format", "json")
            runs = [self.run("ask", command, cache="cache") for _ in range(ASK_RUNS)]
            if any(own.exit_code for own in runs):
                self.faults.append(f"fleet ask {' '.join(question)}: exit codes {[own.exit_code for own in runs]}")
            found[" ".join(question)] = statistics.median(own.wall for own in runs)
        return found

    def check_hostile(self, secret: Path) -> None:
        """Check that no lock and no journal has the text of the worker's file, and that no hook wrote next to it."""
        if Path(f"{secret}.written").exists():
            self.faults.append("a build hook wrote out of its folder")
        for path in (own for own in self.folder.rglob("*") if own.suffix in {".lock", ".jsonl", ".html", ".prom"}):
            if path.is_file() and TEXT_OF_WORKER.encode() in path.read_bytes():
                self.faults.append(f"{path.name} has the text of a file of the worker")


def measure(bench: Bench, secret: Path) -> Iterator[Figures]:
    """Yield the figures of each run as they come in; the faults are in ``bench.faults``."""
    yield bench.lock(f"nothing in the cache, {bench.workers} workers", "cold", cache="cache")
    yield bench.lock(f"all in the cache, {bench.workers} workers", "warm", cache="cache")
    bench.compare("all in the cache", "warm", "cold")
    yield bench.lock("all in the cache, 1 worker", "one", cache="cache", workers=1)
    bench.compare("one worker", "one", "cold")
    yield bench.loop()
    for seconds in KILLS_SECONDS:
        state = f"kills{seconds:.0f}"
        name = f"nothing in the cache, a kill -9 every {seconds:.0f} s"
        yield bench.lock(name, state, cache=f"{state}-cache", kill_seconds=seconds)
        bench.compare(name, state, "cold")
    yield from _committed(bench)
    bench.check_hostile(secret)


def _committed(bench: Bench) -> Iterator[Figures]:
    """Commit the locks, as a delivery does, and run twice."""
    for name, (path, digest) in bench.locks("cold").items():
        text = (bench.folder / "cold" / "locks" / f"{digest}.lock").read_bytes().decode()
        add_file(bench.made, name, path, text)
    yield bench.lock("the locks are committed", "cold", cache="cache")
    statuses = Counter(
        row["status"]
        for own in bench.journal("cold")[1]
        if own["repository"] in {*bench.made.good, *bench.made.workspaces}
        for row in own["projects"]
    )
    if set(statuses) != {"up-to-date"}:
        bench.faults.append(f"locks that are committed are not up to date: {dict(statuses)}")
    yield bench.lock("nothing changed", "cold", cache="cache")
    again = {*bench.made.good, *bench.made.workspaces} & {own["repository"] for own in bench.journal("cold")[1]}
    if again:
        bench.faults.append(f"nothing changed: {len(again)} repositories ran again, such as {sorted(again)[:SHOWN]}")


@contextlib.contextmanager
def opened(folder: Path, number: int, workers: int, secret: Path) -> Iterator[Bench]:
    """Start the index, and make the repositories."""
    secret.write_text(TEXT_OF_WORKER, encoding="utf-8")
    with ScenarioServer() as server:
        server.hold(releases())
        port = urlsplit(server.url).port or 0
        made = make_repositories(
            folder / "repositories",
            number,
            secret=secret,
            address=("127.0.0.1", port),
            seed=_seed(folder / "seed", server),
            workspaces=min(3, number // 5),
            broken=min(10, number // 5),
        )
        write_list(made, folder / "repos.toml")
        yield Bench(folder=folder, made=made, server=server, workers=workers)


def _seed(folder: Path, server: ScenarioServer) -> str:
    """Return a lock of a requirements file."""
    folder.mkdir()
    (folder / "requirements.in").write_text("library0\n", encoding="utf-8")
    options = ("-r", "requirements.in", "--python-version", MINOR, "--platform", "host", "-i", server.url)
    environ = {**os.environ, "DEEP_LOCK_CACHE_DIR": str(folder / "cache")}
    subprocess.run([*COMMAND, "-q", "lock", *options], cwd=folder, env=environ, check=True)
    return (folder / "deep.lock").read_text(encoding="utf-8")


def report(figures: list[Figures], asked: Mapping[str, float], bench: Bench) -> Iterator[str]:
    """Yield what follows the table: kinds of results, requests, questions, ratios, faults."""
    cold, warm, one, loop = figures[:4]
    yield ""
    yield f"- Results of the first run: {json.loads(cold.output)['counts']}."
    yield f"- The shell loop takes {loop.wall / cold.wall:.2f} of the time; one worker takes {one.wall / warm.wall:.2f} of that of {bench.workers}."
    for own in figures:
        if own.again:
            yield f"- {own.name}: requested again: {', '.join(own.again)}."
    for question, seconds in asked.items():
        yield f"- fleet ask {question}: {seconds:.2f} s (median of {ASK_RUNS} processes)."
    yield f"- Load at the end: {os.getloadavg()[0]:.1f}."
    yield from (f"- FAULT: {fault}" for fault in bench.faults)
    if not bench.faults:
        yield "- Nothing is lost, nothing is twice, and all runs have the same locks."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repositories", type=int, default=500, help="at least 10 [500]")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="[one for each processor]")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--folder", type=Path, help="an empty folder for all files, which are kept [a temporary one]")
    return parser.parse_args()


def main(write: Callable[[str], None] = click.echo) -> int:
    """Measure, print the table, and return the exit code."""
    options = _options()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-bench-")))
        folder = folder.resolve()
        folder.mkdir(exist_ok=True)
        bench = stack.enter_context(opened(folder, options.repositories, options.workers, folder / "secret.txt"))
        write(HEAD)
        figures = []
        for own in measure(bench, folder / "secret.txt"):
            figures.append(own)
            write(own.row())
        asked = bench.ask()
        for line in report(figures, asked, bench):
            write(line)
        if options.json:
            rows = [{**asdict(own), "output": None} for own in figures]
            document = {"repositories": options.repositories, "runs": rows, "ask": asked, "faults": bench.faults}
            options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
