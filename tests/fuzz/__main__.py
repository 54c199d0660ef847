"""Fuzz by hand: `python -m tests.fuzz --seconds 60 [TARGET ...]`. Writes one JSON document with cases and faults."""

import argparse
import base64
import json
import sys
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz.mutations import mutated, random_edits
from tests.fuzz.targets import READERS, Reader, is_refusal, seeds_of

ROUND_SECONDS = 1.0
"""Each target runs for so long, then the next one: a fault in any of them is seen early."""
SLOW_SECONDS = 5.0
MAX_KEPT = 20


def _place(error: BaseException) -> str:
    """Return the innermost line of deep_lock: cases with one place are one fault."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "deep_lock" in frame.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {Path(last.filename).name}:{last.lineno}"


class _Tally:
    """The cases of one target."""

    def __init__(self) -> None:
        self.cases = self.read = self.refused = 0
        self.slowest = 0.0
        self.faults: dict[str, dict[str, object]] = {}

    def run(self, target: Reader, data: bytes, number: int) -> None:
        begin = time.perf_counter()
        try:
            target.read(data)
            self.read += 1
        except Exception as error:  # noqa: BLE001 - what is looked for
            if is_refusal(target, error):
                self.refused += 1
            else:
                self._keep(_place(error), "".join(traceback.format_exception(error))[-3000:], data, number)
        seconds = time.perf_counter() - begin
        self.slowest = max(self.slowest, seconds)
        if seconds > SLOW_SECONDS:
            self._keep("slow", f"{seconds:.1f} s", data, number)
        self.cases += 1

    def _keep(self, place: str, text: str, data: bytes, number: int) -> None:
        fault = self.faults.setdefault(
            place, {"count": 0, "case": number, "text": text, "data": base64.b64encode(data).decode()}
        )
        count = fault["count"]
        fault["count"] = (count if isinstance(count, int) else 0) + 1

    def document(self) -> dict[str, object]:
        return {
            "cases": self.cases,
            "read": self.read,
            "refused": self.refused,
            "slowest": round(self.slowest, 3),
            "faults": dict(list(self.faults.items())[:MAX_KEPT]),
        }


def main() -> int:
    """Run; 1 if there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", help="names of targets; all if there are none")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="the number of the first case; by default a random one")
    parser.add_argument("--seeds", type=Path, action="append", default=[], help="more seeds: FOLDER/TARGET/*")
    parser.add_argument("--out", type=Path, default=None, help="write the document here, after each round")
    chosen = parser.parse_args()
    number = first = Random().randrange(2**40) if chosen.seed is None else chosen.seed  # noqa: S311 - no secret
    targets = [target for target in READERS if not chosen.targets or target.name in chosen.targets]
    tallies = {target.name: _Tally() for target in targets}
    begin = time.monotonic()
    document: dict[str, object] = {}
    while time.monotonic() - begin < chosen.seconds:
        for target in targets:
            seeds = seeds_of(target, tuple(chosen.seeds))
            until = time.monotonic() + min(ROUND_SECONDS, chosen.seconds / len(targets))
            while time.monotonic() < until:
                number += 1
                random = Random(number)  # noqa: S311 - no secret
                data = mutated(random.choice(seeds), random_edits(random), seeds)
                tallies[target.name].run(target, data, number)
        document = {
            "first": first,
            "seconds": round(time.monotonic() - begin),
            "cases": sum(own.cases for own in tallies.values()),
            "faults": sum(len(own.faults) for own in tallies.values()),
            "targets": {name: own.document() for name, own in tallies.items()},
        }
        if chosen.out is not None:
            chosen.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    if chosen.out is None:
        print(json.dumps(document, indent=1))  # noqa: T201 - the result
    return 1 if document.get("faults") else 0


if __name__ == "__main__":
    sys.exit(main())
