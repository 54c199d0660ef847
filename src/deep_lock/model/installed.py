"""What a lock installs on a target, by the selection of extras and groups that an installer is given (PEP 751)."""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from packaging.markers import InvalidMarker, Marker

from deep_lock.model.lock import LockedFile, LockedPackage
from deep_lock.model.register import Register, covers, is_gate, key_of
from deep_lock.model.target import Target, UnevaluableMarker, rank


class Chosen(Struct, frozen=True, kw_only=True):
    """What a user selects at installation (PEP 751)."""

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


def holds_in_lock(marker: str | None, target: Target, selection: Chosen | None = None) -> bool:
    """Whether a marker of the lock holds; one that cannot be evaluated does not."""
    if marker is None:
        return True
    chosen = selection or Chosen()
    variables = {"extras": chosen.extras, "dependency_groups": chosen.groups}
    try:
        return Marker(marker).evaluate({**target.environment, **variables}, context="lock_file")
    except (InvalidMarker, ValueError, RecursionError, *UnevaluableMarker):
        return False


def present(register: Register, target: Target, selection: Chosen) -> list[LockedPackage]:
    """Return the entries that are installed at run time on a target with this selection."""
    truth: dict[str | None, bool] = {}
    for entry in register.lock.packages:
        if entry.marker not in truth:
            truth[entry.marker] = not is_gate(entry.marker) and holds_in_lock(entry.marker, target, selection)
    return [entry for entry in register.lock.packages if truth[entry.marker]]


def everything(register: Register) -> Chosen:
    """Return the selection of every extra and every group."""
    lock = register.lock
    return Chosen(extras=frozenset(lock.extras), groups=frozenset((*lock.dependency_groups, *lock.default_groups)))


def tags_of(wheel: str) -> str:
    """Return the compressed tag set of a wheel's file name."""
    return "-".join(wheel.removesuffix(".whl").split("-")[-3:])


def best_wheel(wheels: Iterable[LockedFile], target: Target) -> LockedFile | None:
    """Return the wheel that an installer takes on the target: the lowest rank, by name among equals. None: none fits."""
    ranked = [
        (place, wheel.name, wheel) for wheel in wheels if (place := rank(tags_of(wheel.name), target)) is not None
    ]
    return min(ranked, key=lambda item: item[:2])[2] if ranked else None


def is_built(register: Register, entry: LockedPackage, target: Target) -> bool:
    """Whether a record says that the entry is built on the target."""
    return any(covers(build, target.label) for build in register.records.get(key_of(entry), ()))


def taken_files(register: Register, entry: LockedPackage, target: Target) -> Iterator[LockedFile]:
    """Yield the wheels of a release that fit the target, and its sdist where it is built or nothing else is there."""
    fitting = [wheel for wheel in entry.wheels if rank(tags_of(wheel.name), target) is not None]
    yield from fitting
    if entry.sdist is not None and (not fitting or is_built(register, entry, target)):
        yield entry.sdist
