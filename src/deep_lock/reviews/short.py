"""A lock in few words, for git to show what changed: a line for each entry, file and build."""

from collections.abc import Iterator

from deep_lock.model.lock import Lock, LockedPackage
from deep_lock.model.register import called


def short_text(lock: Lock) -> str:
    """Return the lock in few words."""
    lines = [f"requirement {text}" for text in lock.inputs.requirements]
    lines += [f"target {target.name}" for target in lock.targets]
    for entry in lock.packages:
        lines += _entry(entry)
    for build in lock.builds:
        where = f" on {', '.join(build.targets)}" if build.targets else ""
        lines.append(f"build of {called(build)} by {build.backend} [{build.evidence}]{where}")
        lines += [f"    {member.name} {member.version}" for member in build.packages]
    return "\n".join([*lines, ""])


def _entry(entry: LockedPackage) -> Iterator[str]:
    marks = [
        name
        for name, holds in (
            ("build-only", entry.build_only),
            ("also-build", entry.also_build),
            ("sdist-only", entry.sdist_only),
            ("direct", entry.direct),
        )
        if holds
    ]
    marks += ["yanked"] if entry.yanked is not None else []
    marker = f" ; {entry.marker}" if entry.marker and not entry.build_only else ""
    told = f" [{', '.join(marks)}]" if marks else ""
    yield f"{called(entry)}{told}{marker}"
    for file in (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ())):
        yield f"    {file.name} {file.sha256[:16]}"
