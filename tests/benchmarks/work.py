"""Counts the work of commands on the made-up index, and compares it with the bounds of work.toml.

    python -m tests.benchmarks.work            # compare; exit code 1 if a count is over its bound
    python -m tests.benchmarks.work --write    # write the counts of this machine as the new bounds

A count does not depend on the load of the machine: requests, bytes, function calls of all threads, and modules that
are loaded. The bounds are from CPython 3.11 on Linux; newer Pythons make fewer calls.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import click
import tomlkit
from msgspec import Struct, convert, to_builtins

from tests.benchmarks.run import made_up_index

BOUNDS = Path(__file__).with_name("work.toml")
SLACK = 1.05
"""Calls may be this many times the bound: the order of the responses of the index changes them a little."""
COUNTING = """
import cProfile, json, os, sys, threading
profile = cProfile.Profile()
profiles = [profile]
run_thread = threading.Thread.run

def run_counted(thread):
    own = cProfile.Profile()
    profiles.append(own)
    with own:
        run_thread(thread)

if sys.version_info < (3, 12):  # later profilers count all threads
    threading.Thread.run = run_counted
with profile:
    from deep_lock.cli.main import run
    code = run(sys.argv[1:])
calls = sum(row.callcount for own in profiles for row in own.getstats())
own = ("__main__", "__mp_main__", "cProfile", "profile", "pstats")
loaded = {name for name, module in sys.modules.items() if module is not None and name[0] != "_"}
names = {name for name in loaded if name.split(".")[0] not in {*sys.stdlib_module_names, *own}}
# packages of others by their first name: how they are divided is theirs
names = {name if name.startswith("deep_lock.") else name.split(".")[0] for name in names if "__mypyc" not in name}
heavy = {"asyncio", "concurrent.futures", "email", "http.client", "multiprocessing", "sqlite3", "ssl", "unittest"}
with open(os.environ["WORK_RESULT"], "w") as file:
    json.dump({"code": code, "calls": calls, "modules": sorted(names | heavy & loaded)}, file)
"""


class Work(Struct, frozen=True, kw_only=True):
    """What one command did."""

    requests: int
    """That the index answered."""
    bytes: int
    """Of the bodies of these answers."""
    calls: int
    """Of Python functions in all threads, those of imports included."""
    modules: tuple[str, ...]
    """Those of deep-lock, of packages of others, and of the standard library those that take long to load."""


class _Counter:
    """Runs commands in one folder, with one index and one cache."""

    def __init__(self, index: str, folder: Path, scratch: Path) -> None:
        self._index = index
        self._folder = folder
        self._scratch = scratch

    def count(self, *arguments: str) -> Work:
        """Run a command in a process of its own. Raises RuntimeError where it fails."""
        result = self._scratch / "result.json"
        environment = {
            "PATH": os.defpath,
            "HOME": str(self._scratch),
            "DEEP_LOCK_CACHE_DIR": str(self._folder / "cache"),
            "DEEP_LOCK_DEFAULT_INDEX": f"{self._index}/simple/",
            "DEEP_LOCK_PLATFORM": "x86_64-manylinux_2_28",
            "DEEP_LOCK_PYTHON_VERSION": "3.11",
            "DEEP_LOCK_HOOKS": "static",
            "WORK_RESULT": str(result),
        }
        self.control("reset")
        command = [sys.executable, "-c", COUNTING, "-q", *arguments]
        ended = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False)
        counters = self.control("reset")
        found = json.loads(result.read_text(encoding="utf-8")) if ended.returncode == 0 else {}
        if found.get("code") != 0:
            raise RuntimeError(f"deep-lock {' '.join(arguments)}: {ended.stderr[-2000:]}")
        return convert({**found, "requests": counters["requests"], "bytes": counters["bytes"]}, Work)

    def control(self, path: str) -> dict[str, int]:
        """Request the counters of the index, or change how it answers."""
        with urllib.request.urlopen(f"{self._index}/-/{path}") as answer:  # noqa: S310 - the index of this process, on loopback
            counters: dict[str, int] = json.load(answer)
            return counters


def counted() -> dict[str, Work]:
    """Return the work of each measured command, by a name for it."""
    with tempfile.TemporaryDirectory(prefix="deep-lock-work-") as text:
        scratch = Path(text)
        with made_up_index(scratch) as (index, projects):
            counter = _Counter(index, projects / "generated", scratch)
            lock = projects / "generated" / "deep.lock"
            found = {"cold": counter.count("lock")}
            old = lock.rename(projects / "generated" / "old.lock")
            found["warm"] = counter.count("lock")
            found["up-to-date"] = counter.count("lock")
            found["check"] = counter.count("lock", "--check")
            found["why"] = counter.count("why", "bench-010")
            found["tree"] = counter.count("tree")
            found["diff"] = counter.count("diff", old.name, lock.name)
        with made_up_index(scratch / "payload", payload=True) as (index, projects):
            counter = _Counter(index, projects / "generated", scratch)
            counter.control("set?pep658=0")
            found["cold-without-metadata-files"] = counter.count("lock")
    return found


def over_the_bounds(found: dict[str, Work], bounds: dict[str, Work]) -> list[str]:
    """Return what is more than its bound, a sentence each."""
    faults = [f"{name}: has no bound" for name in found.keys() - bounds.keys()]
    for name, bound in bounds.items():
        own = found[name]
        limits = (("requests", bound.requests), ("bytes", bound.bytes), ("calls", int(bound.calls * SLACK)))
        for what, limit in limits:
            if (number := getattr(own, what)) > limit:
                faults.append(f"{name}: {number} {what}, and the bound is {limit}")
        if new := sorted(set(own.modules) - set(bound.modules)):
            faults.append(f"{name}: loads {', '.join(new)}, which it did not load before")
    return faults


def read_bounds() -> dict[str, Work]:
    """Return the bounds of work.toml."""
    return convert(tomllib.loads(BOUNDS.read_text(encoding="utf-8")), dict[str, Work])


def _write(found: dict[str, Work]) -> None:
    document = tomlkit.document()
    document.add(tomlkit.comment("Made by: python -m tests.benchmarks.work --write"))
    for name, work in found.items():
        table = tomlkit.table()
        for key, value in to_builtins(work).items():
            if key != "modules":
                table.add(key, value)
        modules = tomlkit.array()
        modules.extend(work.modules)
        table.add("modules", modules.multiline(multiline=True))
        document.add(name, table)
    BOUNDS.write_text(document.as_string(), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and compare or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the counts as the new bounds")
    options = parser.parse_args(arguments)
    found = counted()
    for name, work in found.items():
        click.echo(
            f"{name:11} {work.requests:5} requests {work.bytes:9} bytes {work.calls:8} calls {len(work.modules):4} modules"
        )
    if options.write:
        _write(found)
        return 0
    faults = over_the_bounds(found, read_bounds())
    for fault in faults:
        click.echo(fault, err=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
