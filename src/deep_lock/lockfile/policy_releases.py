"""Rules of a policy about what releases say of themselves: their licences (PEP 639), and what was yanked (PEP 592).

Law: a licence that no expression states is not known, and never taken for allowed.
"""

from collections.abc import Iterator

from deep_lock.lockfile.remarks import Remark, remark_on
from deep_lock.model.lock import LockedPackage
from deep_lock.model.policy import Policy
from deep_lock.model.register import Register, is_gate
from deep_lock.model.spdx_expression import canonical_license, is_met


def release_remarks(register: Register, policy: Policy) -> Iterator[Remark]:
    """Yield what the rules about licences and yanked releases find."""
    for entry in register.lock.packages:
        if not is_gate(entry.marker):  # what only builds use is not part of what is passed on
            yield from _licenses(entry, policy.licenses)
        if entry.yanked is not None:
            told = f": {entry.yanked}" if entry.yanked else ""
            hint = f"deep-lock lock -P {entry.name}"
            yield remark_on("yanked", entry, f"it was yanked when it was locked{told}", hint=hint)


def _licenses(entry: LockedPackage, allowed: frozenset[str] | None) -> Iterator[Remark]:
    expression = canonical_license(entry.license)
    if expression is None:
        told = f"{entry.license} is no SPDX expression" if entry.license else "it states no expression"
        yield remark_on("license-unknown", entry, f"its licence is not known: {told}")
    elif allowed is not None and not is_met(expression, allowed):
        yield remark_on("license", entry, f"its licence is {expression}, which the allowed ones do not meet")
