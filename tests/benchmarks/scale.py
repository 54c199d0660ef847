"""Measures each command on locks of 50 to 4,000 packages for 20 targets, and draws the result.

    python -m tests.benchmarks.scale --json FILE --plot docs/images/scale.svg

A made-up index has as many projects as the lock has packages; one in ten is built from source. CPU seconds and peak memory
are of the command and its children. Nothing is compared: growth by more than the number of packages is what to look for.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tests.benchmarks.run import PYPROJECT, ROOTS, machine, made_up_index, measure

SIZES = (50, 200, 1000, 4000)
PACKAGE = "bench-010"
COMMANDS: Mapping[str, Sequence[str]] = {
    "lock, cold": ("lock",),
    "lock, warm": ("lock",),
    "lock, up to date": ("lock",),
    "lock --check": ("lock", "--check"),
    "why": ("why", PACKAGE),
    "tree": ("tree",),
    "tree --build": ("tree", "--build"),
    "diff": ("diff", "old.lock", "deep.lock"),
    "policy": ("policy", "--policy", "policy.toml"),
    "report": ("report", "-o", "page.html"),
    "export -f pylock": ("export", "-f", "pylock", "-o", "pylock.toml"),
    "export -f requirements": ("export", "-f", "requirements", "-o", "requirements.txt"),
    "export -f build-constraints": ("export", "-f", "build-constraints", "-d", "constraints"),
    "export -f cyclonedx": ("export", "-f", "cyclonedx", "-o", "sbom.json"),
    "vet init": ("vet", "init"),
    "vet check": ("vet", "check"),
}
WITHOUT_LOCK = ("lock, cold", "lock, warm")
MAX_MINUTES = 10
WIDTH, HEIGHT, MARGIN, LEGEND = 760, 420, 60, 200
COLORS = ("#1f5fbf", "#b3261e", "#1b7f4b", "#8a4fbf", "#a65e00", "#00707a", "#7a7a00", "#555555")
DRAWN = ("lock, warm", "lock --check", "why", "tree --build", "diff", "report", "export -f pylock", "vet check")


def measured(size: int, only: str) -> list[dict[str, object]]:
    """Return the rows of one size: command, CPU seconds, peak memory in MB."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="deep-lock-scale-") as text:
        scratch = Path(text)
        with made_up_index(scratch, size) as (index, projects):
            folder = projects / "generated"
            (folder / "pyproject.toml").write_text(PYPROJECT.replace(",<3.13", "").format(json.dumps(ROOTS)))
            (folder / "policy.toml").write_text('yanked = "error"\n')
            environment = {
                "PATH": os.defpath,
                "HOME": text,
                "LANG": "C.UTF-8",
                "DEEP_LOCK_CACHE_DIR": str(scratch / "cache"),
                "DEEP_LOCK_DEFAULT_INDEX": f"{index}/simple/",
                "DEEP_LOCK_HOOKS": "static",
            }
            for name, arguments in COMMANDS.items():
                lock = folder / "deep.lock"
                if name in WITHOUT_LOCK and lock.exists():
                    lock.rename(folder / "old.lock")
                if only not in name and name not in WITHOUT_LOCK:
                    continue
                command = [sys.executable, "-P", "-m", "deep_lock", "-q", *arguments]
                figures = measure(command, folder, environment, MAX_MINUTES * 60)
                packages = lock.read_text(encoding="utf-8").count("\n[[packages]]")
                rows.append({"packages": packages, "command": name, "cpu": figures["cpu"], "memory": figures["memory"]})
    return rows


def plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG: CPU seconds by the number of packages, both axes logarithmic in steps of ten.

    On such axes linear growth is a line of 45 degrees or less. ``rows`` are those of the JSON document.
    """
    lines = {name: sorted((row["packages"], row["cpu"]) for row in rows if row["command"] == name) for name in DRAWN}
    across = _Axis([x for points in lines.values() for x, _ in points], MARGIN, WIDTH - LEGEND)
    upwards = _Axis([y for points in lines.values() for _, y in points], HEIGHT - MARGIN, MARGIN / 2)
    body = [
        *(_tick(across.at(value), HEIGHT - MARGIN + 18, f"{value:g}", "middle") for value in across.values),
        *(_tick(MARGIN - 8, upwards.at(value) + 4, f"{value:g} s", "end") for value in upwards.values),
        *(
            _line([(across.at(value), upwards.start), (across.at(value), upwards.end)], "#d0d4da", 1)
            for value in across.values
        ),
        *(
            _line([(across.start, upwards.at(value)), (across.end, upwards.at(value))], "#d0d4da", 1)
            for value in upwards.values
        ),
        _tick((across.start + across.end) / 2, HEIGHT - 14, "packages in the lock, for 20 targets", "middle"),
    ]
    for number, (name, points) in enumerate(lines.items()):
        color = COLORS[number]
        body.append(_line([(across.at(x), upwards.at(y)) for x, y in points], color, 2.5))
        height = MARGIN / 2 + 16 + 24 * number
        body.append(_line([(across.end + 16, height - 4), (across.end + 40, height - 4)], color, 2.5))
        body.append(_tick(across.end + 46, height, name, "start"))
    drawn = "\n".join(body)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="13">
<title>CPU seconds of commands by the number of packages in the lock</title>
<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fbfcfe"/>
{drawn}
</svg>
"""


class _Axis:
    """Powers of ten that enclose values, between two positions."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._first = math.floor(math.log10(min(values)))
        last = math.ceil(math.log10(max(values)))
        self.values = [10.0**power for power in range(self._first, last + 1)]
        self.start, self.end = start, end
        self._step = (end - start) / (last - self._first)

    def at(self, value: float) -> float:
        """Return the position of a value."""
        return round(self.start + (math.log10(value) - self._first) * self._step, 1)


def _tick(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#222b36">{text}</text>'


def _line(points: Sequence[tuple[float, float]], color: str, width: float) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def main() -> None:
    """Measure, print, and write what was requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--only", default="", help="text in the name of a command")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        for row in measured(size, options.only):
            rows.append(row)
            click.echo(
                f"{row['packages']:5} packages  {row['command']:28} {row['cpu']:7.2f} s CPU {row['memory']:6.0f} MB"
            )
    if options.json:
        options.json.write_text(json.dumps({**machine({}), "rows": rows}, indent=1))
    if options.plot:
        options.plot.write_text(plot(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
