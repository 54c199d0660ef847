"""What a run that locks reports: what changed, the numbers of the lock, and what runs code."""

from collections.abc import Iterator, Sequence

from deep_lock.analysis import updates
from deep_lock.models.lock import Lock, LockedBuild
from deep_lock.sanitize import Painted, counted, listed, show
from deep_lock.targets.short_form import short_form

MAX_ROWS = 20
"""Lines of changes, and of releases that run code: more are counted."""
MAX_BACKENDS = 3
Row = tuple[str | Painted, ...]
"""A line in parts: those with a color of ours, and plain text."""
_GREEN, _RED, _CYAN, _MAGENTA = "32", "31", "36", "35;1"
_SIGNS: dict[updates.Kind, tuple[str, str]] = {
    "added": ("+", _GREEN),
    "updated": ("~", _CYAN),
    "downgraded": ("~", _MAGENTA),
    "removed": ("-", _RED),
}


def summary(lock: Lock, old: Lock | None, *, seconds: float, limit: int | None = MAX_ROWS) -> list[Row]:
    """Return what changed since the previous lock, and the lock in numbers, as lines.

    ``limit`` is that of the changes at run time, and of the releases that run code; None: all are listed. What went back, and
    what runs in builds, is never cut off.
    """
    changed = _updates(updates.updates(old, lock), limit) if old is not None else []
    plain = [*_numbers(lock, seconds), *_code_in_builds(lock, limit), *_crates(lock)]
    return [*changed, *((text,) for text in plain)]


def _names(lock: Lock) -> list[str]:
    return [target.name for target in lock.targets]


def _numbers(lock: Lock, seconds: float) -> list[str]:
    packages = lock.packages
    tools = sum(package.build_only for package in packages)
    parts = [f"{len(packages) - tools} at run time", f"{tools} in builds only"] if tools else []
    only = sum(package.sdist_only for package in packages)
    parts += [f"{only} sdist only"] if only else []
    more = f" ({', '.join(parts)})" if parts else ""
    builds = f"{counted(len(lock.builds), 'build environment')}; " if lock.builds else ""
    names = _names(lock)
    return [
        f"  {counted(len(packages), 'package')} in {seconds:.1f} s{more}",
        f"  {builds}targets: {short_form(names, names)}",
    ]


def _updates(found: Sequence[updates.Update], limit: int | None) -> list[Row]:
    """List what changed at run time, and then in builds."""
    runtime, tools = (list(_ordered(found, in_builds=in_builds)) for in_builds in (False, True))
    back = [own for own in runtime if own.kind == "downgraded"]
    others = [own for own in runtime if own.kind != "downgraded"]
    cut = others[max(0, limit - len(back)) :] if limit is not None else []
    return [
        *(_row(own) for own in runtime if own not in cut),
        *([(f"  and {len(cut)} more (-v shows all)",)] if cut else []),
        *([("  build tools:",)] if tools else []),
        *(("  ", *_row(own)) for own in tools),
    ]


def _ordered(found: Sequence[updates.Update], *, in_builds: bool) -> Iterator[updates.Update]:
    """Return the changes in the order of the summary: what is new, updated, went back, is gone."""
    for kind in updates.KINDS:
        yield from (own for own in found if own.in_builds == in_builds and own.kind == kind)


def _row(own: updates.Update) -> Row:
    sign, color = _SIGNS[own.kind]
    versions = " -> ".join(text for text in (own.was, own.now) if text)
    note = (Painted(" (downgraded)", _MAGENTA),) if own.kind == "downgraded" else ()
    return ("  ", Painted(sign, color), f" {show(own.name)} {show(versions)}", *note)


def _code_in_builds(lock: Lock, limit: int | None) -> list[str]:
    """List what runs its own code when it is built: a reviewer looks at these first."""
    if dict(lock.options).get("build-scope") == "none":
        return ["  builds are not locked (build scope none)"]
    own = sorted({build.backend for build in lock.builds if build.needed == "project"})
    own_line = [f"  the project itself is built by {show(listed(own, MAX_BACKENDS))}"] if own else []
    releases: dict[tuple[str, str, str], list[LockedBuild]] = {}
    for build in lock.builds:
        if build.needed != "project":
            releases.setdefault((build.name, build.version or "", build.source or ""), []).append(build)
    if not releases:
        only = "  other packages are installed from wheels, which run no code when installed"
        none = "  only wheels are installed: no package runs its own code when it is installed"
        return [only, *own_line] if own else [none]
    lines = ["  run their own code when they are built:"]
    shown = list(releases.values())[:limit]
    lines += [f"    {_release(builds, lock)}" for builds in shown]
    if len(releases) > len(shown):
        lines.append(f"    and {len(releases) - len(shown)} more (-v shows all)")
    return [*lines, *own_line]


def _release(builds: list[LockedBuild], lock: Lock) -> str:
    """Return a release with all of its build records: other targets can have other build environments."""
    build = builds[0]
    backends = ", ".join(sorted({show(own.backend) for own in builds}))
    evidence = ", ".join(sorted({own.evidence for own in builds} - {"static"}))
    name = f"{show(build.name)} {show(build.version or '')}".rstrip()
    return f"{name} by {backends}{f' [{evidence}]' if evidence else ''} ({_where(builds, lock)})"


def _where(builds: list[LockedBuild], lock: Lock) -> str:
    every = _names(lock)
    labels = {label for label in every if any(not own.targets or label in own.targets for own in builds)}
    return "every target" if len(labels) == len(every) else short_form(labels, every)


def _crates(lock: Lock) -> list[str]:
    """Report sdists with Rust crates: crates are not part of this lock."""
    count = len({(build.name, build.version) for build in lock.builds if build.cargo_lock is not None})
    if not count:
        return []
    sdists = "1 sdist needs" if count == 1 else f"{count} sdists need"
    return [f"  {sdists} Rust crates: a Cargo.lock pins them, and not this lock"]
