"""`lock --verify-metadata`: the metadata that a lock is made from, compared with those in the wheels."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.errors import MetadataDiffers
from deep_lock.index.client import IndexClient
from deep_lock.index.workers import OnceMap
from deep_lock.lockfile.selection import best_wheel
from deep_lock.models.distribution import Wheel
from deep_lock.models.lock import Lock
from deep_lock.targets.target import Target


class ComparedWheels:
    """Fetches wheels, several at once, and compares their metadata."""

    def __init__(self, client: IndexClient, conditional: Collection[str]) -> None:
        """``conditional`` are the projects whose index depends on conditions."""
        self._client = client
        self._conditional = conditional
        self._done: OnceMap[str, MetadataDiffers | None] = OnceMap()

    def compare_taken(self, lock: Lock, targets: Sequence[Target]) -> int:
        """Compare each wheel of an index that a target takes, and return how many there are.

        Raises MetadataDiffers with all that differ, IndexFault and SafetyError.
        """
        wheels = self._taken(lock, targets)
        self._compare(wheels)
        return len(wheels)

    def compare_used(self) -> None:
        """Compare each wheel whose metadata a failed resolution used: they may be its cause. Raises as `compare_taken`."""
        self._compare(self._client.used_wheels())

    def _taken(self, lock: Lock, targets: Iterable[Target]) -> list[Wheel]:
        wheels: list[Wheel] = []
        for entry in lock.packages:
            best = (best_wheel(entry.wheels, target) for target in targets)
            names = {file.name for file in best if file is not None}
            if entry.source is None and entry.version is not None and names:
                index = entry.index if entry.name in self._conditional else None
                files = self._client.files(canonicalize_name(entry.name), Version(entry.version), index or "")
                wheels += [file for file in files if isinstance(file, Wheel) and file.filename in names]
        return wheels

    def _compare(self, wheels: Iterable[Wheel]) -> None:
        tasks = [partial(self._done.get, wheel.url, partial(self._difference, wheel)) for wheel in wheels]
        for task in tasks:
            self._client.prefetch(task)
        errors = [error for task in tasks if (error := task()) is not None]
        if errors:
            raise MetadataDiffers("\n".join(error.message for error in errors), hint=errors[0].hint)

    def _difference(self, wheel: Wheel) -> MetadataDiffers | None:
        try:
            self._client.compared_wheel(wheel)
        except MetadataDiffers as error:
            return error
        return None
