"""The table of what was locked: entries, build-only, sdist-only, and what runs code where."""

from deep_lock.display import show
from deep_lock.model.lock import Lock

MAX_ROWS = 20
MAX_TARGETS = 3


def summary(lock: Lock) -> str:
    """Return the table as plain text, a line each."""
    runtime = [package for package in lock.packages if not package.build_only]
    rows = [
        ("entries", len(lock.packages)),
        ("  at run time", len(runtime)),
        ("  build-only", sum(package.build_only for package in lock.packages)),
        ("  for both", sum(package.also_build for package in lock.packages)),
        ("  sdist-only", sum(package.sdist_only for package in lock.packages)),
        ("build environments", len(lock.builds)),
        ("targets", len(lock.targets)),
    ]
    lines = [f"  {name:<22}{count:>5}" for name, count in rows]
    return "\n".join([*lines, *_runs_code(lock), *_crates(lock)])


def _runs_code(lock: Lock) -> list[str]:
    """Say which releases run their own code where they are installed: a reviewer looks here first."""
    builds = [build for build in lock.builds if build.needed != "project"]
    if not builds:
        return ["  nothing but wheels is installed: no package runs code of its own when it is installed"]
    lines = ["  run code when they are installed:"]
    for build in builds[:MAX_ROWS]:
        where = _where(build.targets, len(lock.targets))
        known = "" if build.evidence == "static" else f" [{build.evidence}]"
        name = f"{show(build.name)} {show(build.version or '')}".rstrip()
        lines.append(f"    {name} on {where}: {show(build.backend)}{known}")
    if len(builds) > MAX_ROWS:
        lines.append(f"    ... and {len(builds) - MAX_ROWS} more")
    return lines


def _where(targets: tuple[str, ...], declared: int) -> str:
    if not targets:
        return "every target"
    return ", ".join(targets) if len(targets) <= MAX_TARGETS else f"{len(targets)} of {declared} targets"


def _crates(lock: Lock) -> list[str]:
    """Say what a build downloads besides: crates have no place in this lock."""
    count = len({(build.name, build.version) for build in lock.builds if build.cargo_lock is not None})
    if not count:
        return []
    sdists = "1 sdist brings" if count == 1 else f"{count} sdists bring"
    return [f"  {sdists} Rust crates, pinned by a Cargo.lock of their own: outside of this lock"]
