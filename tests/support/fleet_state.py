"""A state folder of a fleet, made of real locks: its journal and its locks, as a run leaves them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from deep_lock.fleet.records import RepositoryResult, Result

LOCKS = Path(__file__).parents[2] / "fixtures" / "locks"
CLOSED = (LOCKS / "closed.lock").read_text(encoding="utf-8")
EXAMPLE = (LOCKS / "example.lock").read_text(encoding="utf-8")
CLICK = "f71506abcb189d7e00c86f331f39c9269b4550947538095770aff7f60e145321"
"""The sha256 of the wheel of click in `CLOSED`."""
COMMIT = "c" * 40
FINDING = {
    "id": "GHSA-1",
    "aliases": ["CVE-2026-1"],
    "malware": False,
    "severity": "high",
    "name": "click",
    "version": "8.5.1",
    "source": "",
    "summary": "Summary of GHSA-1",
    "fixed-in": ["8.5.2"],
    "uses": [
        {
            "scope": "runtime",
            "build": None,
            "targets": ["one"],
            "all-targets": False,
            "chain": ["click 8.5.1"],
            "fix": None,
        }
    ],
}


def project(repository: str, lock: str, path: str = ".", **more: object) -> Result:
    """Return the result of a project with this lock; empty: it has none."""
    known: dict[str, object] = {
        "action": "lock",
        "status": "up-to-date",
        "lock_path": "deep.lock" if path == "." else f"{path}/deep.lock",
        "lock_sha256": sha256(lock.encode()).hexdigest() if lock else "",
        "packages": lock.count("[[packages]]"),
        "builds": lock.count("[[tool.deep-lock.builds]]"),
    }
    return Result(repository=repository, commit=COMMIT, project=path, **{**known, **more})  # type: ignore[arg-type] # names of fields


def repository(name: str, *projects: Result, **more: object) -> RepositoryResult:
    """Return the result of a repository."""
    known: dict[str, object] = {
        "url": f"https://git.example/{name}.git",
        "commit": COMMIT,
        "configuration": "1",
        "status": "done",
        "exit_code": max((own.exit_code for own in projects), default=0),
        "finished": datetime(2026, 11, 30, 2, tzinfo=UTC),
        "seconds": 1.5,
        "requests": 2,
    }
    return RepositoryResult(repository=name, projects=projects, **{**known, **more})  # type: ignore[arg-type] # names of fields


def write_state(folder: Path, results: Iterable[RepositoryResult], *locks: str) -> None:
    """Write the journal and the locks."""
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    for text in locks:
        (folder / "locks" / f"{sha256(text.encode()).hexdigest()}.lock").write_bytes(text.encode())
    (folder / "fleet.jsonl").write_bytes(b"".join(msgspec.json.encode(own) + b"\n" for own in results))
