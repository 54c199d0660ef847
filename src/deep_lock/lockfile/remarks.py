"""What a rule says, before it is known how loud the rule is and whether it is excepted."""

from msgspec import Struct

from deep_lock.model.lock import LockedBuild, LockedPackage
from deep_lock.model.register import Key, called, key_of, record_key


class Remark(Struct, frozen=True, kw_only=True):
    """One thing that a rule found."""

    code: str
    name: str
    """The project that an exception must name; "" where it is about none."""
    version: str = ""
    subject: str
    message: str
    hint: str = ""
    key: Key | None = None
    """Of the entry that it is about: what brings it in is looked for once it is known that somebody will be told."""
    chain: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def remark_on(
    code: str, subject: LockedPackage | LockedBuild, message: str, *, hint: str = "", targets: tuple[str, ...] = ()
) -> Remark:
    """Return a remark on an entry, or on a build: its own targets are then those of the remark."""
    key: Key | None = None
    if isinstance(subject, LockedPackage):
        key = key_of(subject)
    else:
        targets = subject.targets
        if subject.needed != "project":
            key = record_key(subject)
    return Remark(
        code=code,
        name=subject.name,
        version=subject.version or "",
        subject=called(subject),
        message=message,
        hint=hint,
        key=key,
        targets=targets,
    )
