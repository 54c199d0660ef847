"""What differs in what releases say of themselves, and their index of them: licences, and what was yanked."""

from collections.abc import Iterator

from deep_lock.model.changes import Change
from deep_lock.model.register import Register, is_gate


def release_changes(before: Register, after: Register) -> Iterator[Change]:
    """Yield other licences at run time, and yanked releases. A lock that states no licence at all has none to compare."""
    states = any(entry.license for entry in after.lock.packages)
    for name in sorted(before.versions.keys() & after.versions.keys()):
        was, now = _licenses(before, name), _licenses(after, name)
        stays = any(not is_gate(entry.marker) for entry in after.versions[name])
        if was and was != now and stays and states:
            told = " and ".join(now) or "none that is stated"
            yield Change(
                code="license-changed",
                name=name,
                was=" and ".join(was),
                now=" and ".join(now),
                message=f"its licence was {' and '.join(was)}, and is {told}",
            )
    for key, entry in after.entries.items():
        known = before.entries.get(key)
        if entry.yanked is not None and (known is None or known.yanked is None):
            told = f": {entry.yanked}" if entry.yanked else ""
            yield Change(
                code="yanked-new",
                name=entry.name,
                now=entry.version or "",
                message=f"{entry.version or ''} is yanked{told}".strip(),
            )


def _licenses(register: Register, name: str) -> tuple[str, ...]:
    """Return the licences of a project at run time."""
    entries = register.versions[name]
    return tuple(sorted({entry.license for entry in entries if entry.license and not is_gate(entry.marker)}))
