"""What a rule says, before it is known how loud the rule is and whether it is excepted."""

from msgspec import Struct

from deep_lock.model.lock import LockedBuild, LockedPackage
from deep_lock.model.register import called


class Remark(Struct, frozen=True, kw_only=True):
    """One thing that a rule found."""

    code: str
    name: str
    """The project that an exception must name; "" where it is about none."""
    version: str = ""
    subject: str
    message: str
    hint: str = ""
    chain: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def remark_on(
    code: str,
    subject: LockedPackage | LockedBuild,
    message: str,
    *,
    hint: str = "",
    chain: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
) -> Remark:
    """Return a remark on an entry, or on a build."""
    return Remark(
        code=code,
        name=subject.name,
        version=subject.version or "",
        subject=called(subject),
        message=message,
        hint=hint,
        chain=chain,
        targets=targets,
    )
