"""What a run that locks reports: what changed, the numbers of the lock, and what runs code."""

from collections.abc import Iterable

from deep_lock.analysis import updates
from deep_lock.models.lock import Lock, LockedBuild
from deep_lock.sanitize import listed, show

MAX_ROWS = 20
MAX_TARGETS = 3


def summary(lock: Lock, old: Lock | None) -> str:
    """Return what changed since the previous lock, and the lock in numbers, as lines of plain text."""
    packages = lock.packages
    rows = [
        ("packages", len(packages)),
        ("  at run time", sum(not package.build_only for package in packages)),
        ("    also in builds", sum(package.also_build for package in packages)),
        ("  in builds only", sum(package.build_only for package in packages)),
        ("  sdist only", sum(package.sdist_only for package in packages)),
        ("build environments", len(lock.builds)),
        ("targets", len(lock.targets)),
    ]
    changed = _updates(updates.updates(old, lock)) if old is not None else []
    lines = [f"  {name:<22}{count:>5}" for name, count in rows]
    return "\n".join([*changed, *lines, *_code_in_builds(lock), *_crates(lock)])


def _updates(found: Iterable[updates.Update]) -> list[str]:
    """List what changed at run time, and then in builds. What went back, and what runs in builds, is never cut off."""
    runtime, builds = ([own for own in found if own.in_builds == in_builds] for in_builds in (False, True))
    lines: list[str] = []
    for kind in updates.KINDS:
        rows = [own for own in runtime if own.kind == kind]
        shown = rows if kind == "downgraded" else rows[:MAX_ROWS]
        lines += [f"  {_row(own)}" for own in shown]
        lines += [f"  {kind:<11} ... and {len(rows) - len(shown)} more" for _ in rows[len(shown) : len(shown) + 1]]
    if builds:
        lines.append("  build tools:")
        lines += [f"    {_row(own)}" for kind in updates.KINDS for own in builds if own.kind == kind]
    return lines


def _row(own: updates.Update) -> str:
    return f"{own.kind:<11} {show(own.name)} {show(' -> '.join(text for text in (own.was, own.now) if text))}"


def _code_in_builds(lock: Lock) -> list[str]:
    """List what runs its own code when it is built: a reviewer looks at these first."""
    if dict(lock.options).get("build-scope") == "none":
        return ["  builds are not locked (build scope none)"]
    own = sorted({build.backend for build in lock.builds if build.needed == "project"})
    own_line = [f"  the project itself is built by {show(listed(own, MAX_TARGETS))}"] if own else []
    releases: dict[tuple[str, str, str], list[LockedBuild]] = {}
    for build in lock.builds:
        if build.needed != "project":
            releases.setdefault((build.name, build.version or "", build.source or ""), []).append(build)
    if not releases:
        only = "  only wheels of other projects are installed: none of them runs its own code when it is installed"
        none = "  only wheels are installed: no package runs its own code when it is installed"
        return [only, *own_line] if own else [none]
    lines = ["  run their own code when they are built:"]
    lines += [f"    {_release(builds, lock)}" for builds in list(releases.values())[:MAX_ROWS]]
    if len(releases) > MAX_ROWS:
        lines.append(f"    ... and {len(releases) - MAX_ROWS} more")
    return [*lines, *own_line]


def _release(builds: list[LockedBuild], lock: Lock) -> str:
    """Return a release with all of its build records: other targets can have other build environments."""
    build = builds[0]
    backends = ", ".join(sorted({show(own.backend) for own in builds}))
    evidence = ", ".join(sorted({own.evidence for own in builds} - {"static"}))
    name = f"{show(build.name)} {show(build.version or '')}".rstrip()
    return f"{name} on {_where(builds, lock)}: {backends}{f' [{evidence}]' if evidence else ''}"


def _where(builds: list[LockedBuild], lock: Lock) -> str:
    every = [target.name for target in lock.targets]
    labels = [label for label in every if any(not own.targets or label in own.targets for own in builds)]
    if len(labels) == len(every):
        return "every target"
    return ", ".join(labels) if len(labels) <= MAX_TARGETS else f"{len(labels)} of {len(every)} targets"


def _crates(lock: Lock) -> list[str]:
    """Report sdists with Rust crates: crates are not part of this lock."""
    count = len({(build.name, build.version) for build in lock.builds if build.cargo_lock is not None})
    if not count:
        return []
    sdists = "1 sdist needs" if count == 1 else f"{count} sdists need"
    return [f"  {sdists} Rust crates, pinned by a Cargo.lock of their own: they are not part of this lock"]
