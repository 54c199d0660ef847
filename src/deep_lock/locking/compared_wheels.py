"""`lock --verify-metadata`: the metadata that a lock is made from, compared with those in the wheels."""

from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.errors import MetadataDiffers
from deep_lock.index.client import IndexClient
from deep_lock.index.workers import OnceMap
from deep_lock.lockfile.selection import best_wheel
from deep_lock.models.distribution import Wheel
from deep_lock.models.lock import Lock
from deep_lock.targets.target import Target


def compare_wheels(lock: Lock, targets: Iterable[Target], client: IndexClient) -> int:
    """Fetch each wheel of an index that a target takes, compare its metadata, and return how many wheels there are.

    Raises MetadataDiffers with all that differ, IndexFault and SafetyError.
    """
    wheels = list(_taken(lock, list(targets), client))
    compared: OnceMap[str, MetadataDiffers | None] = OnceMap()

    def compare(wheel: Wheel) -> MetadataDiffers | None:
        try:
            client.compared_wheel(wheel)
        except MetadataDiffers as error:
            return error
        return None

    for wheel in wheels:
        client.prefetch(lambda wheel=wheel: compared.get(wheel.url, lambda: compare(wheel)))  # type: ignore[misc]  # mypy cannot infer a lambda's default
    results = [compared.get(wheel.url, lambda wheel=wheel: compare(wheel)) for wheel in wheels]  # type: ignore[misc]  # as above
    errors = [error for error in results if error is not None]
    if errors:
        raise MetadataDiffers("\n".join(error.message for error in errors), hint=errors[0].hint)
    return len(wheels)


def _taken(lock: Lock, targets: list[Target], client: IndexClient) -> Iterator[Wheel]:
    for entry in lock.packages:
        if entry.source is not None or entry.version is None:
            continue
        best = (best_wheel(entry.wheels, target) for target in targets)
        names = {file.name for file in best if file is not None}
        for file in client.files(canonicalize_name(entry.name), Version(entry.version)) if names else ():
            if isinstance(file, Wheel) and file.filename in names:
                yield file
