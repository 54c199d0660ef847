"""Asks backends on behalf of the closure, where that is allowed, and remembers what they said.

Law: an answer says where it was observed; a backend that fails is told of, and what it might have said is never made up.
"""

from typing import TYPE_CHECKING

import msgspec
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.deferred import Deferred
from deep_lock.display import show
from deep_lock.errors import DeepLockError, HookFailed, HookRefused, MetadataInvalid
from deep_lock.events import Reporter, Warned
from deep_lock.graph import Built, Subject
from deep_lock.index.cache import Cache
from deep_lock.machine import Machine
from deep_lock.model.build_system import HookAnswer
from deep_lock.model.metadata import Metadata, check_name, parse_metadata
from deep_lock.model.resolution import Resolved
from deep_lock.model.target import Target
from deep_lock.workshop import RUNNER_VERSION, Made, Workshop, called, settings_key

if TYPE_CHECKING:
    from deep_lock.build import frontend
else:
    frontend = Deferred("deep_lock.build.frontend")

_ANSWERS = f"hook-answers-{RUNNER_VERSION}"
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class Backends:
    """Every backend that a run may ask."""

    def __init__(self, *, workshop: Workshop, machine: Machine, cache: Cache, reporter: Reporter) -> None:
        self._workshop = workshop
        self._machine = machine
        self._cache = cache
        self._reporter = reporter
        self._told: set[tuple[str, str]] = set()

    def place(self, name: NormalizedName, target: Target) -> Target | None:
        """Return the target on which a backend may be asked on behalf of another; None where it must not or cannot."""
        return self._machine.place(name, target)

    def requires(self, subject: Subject, resolved: Resolved, target: Target, made: Made) -> HookAnswer:
        """Return what the subject's backend asks for, in this environment.

        A backend that fails is told of, and its answer is ``assumed``. Raises SafetyError and IndexFault.
        """
        key = self._key(subject, resolved, target, made, f"get_requires_for_build_{subject.hook}")
        known = self._cache.get_record(_ANSWERS, key) if key else None
        if known is not None:
            return HookAnswer(requires=_decode_texts(known), evidence="observed", observed_on=target.label)
        try:
            ask = frontend.requires_for_editable if subject.hook == "editable" else frontend.requires_for_wheel
            texts = self._workshop.call(subject, resolved, made, target=target, ask=ask)
        except (HookFailed, HookRefused) as error:
            return HookAnswer(requires=None, evidence="assumed", reason=self._failed(subject, error))
        if key:
            self._cache.put_record(_ANSWERS, key, msgspec.json.encode(texts))
        return HookAnswer(requires=texts, evidence="observed", observed_on=target.label)

    def metadata(self, built: Built, made: Made) -> Metadata | None:
        """Return the core metadata that the backend tells; None where it fails, which is told of.

        Raises SafetyError (MetadataInvalid for another project or version) and IndexFault.
        """
        subject, target = built.subject, built.target
        key = self._key(subject, built.final, target, made, "prepare_metadata_for_build_wheel")
        raw = self._cache.get_record(_ANSWERS, key) if key else None
        if raw is None:
            try:
                raw, by_wheel = self._workshop.call(
                    subject, built.final, made, target=target, ask=frontend.read_metadata
                )
            except (HookFailed, HookRefused) as error:
                self._failed(subject, error)
                return None
            if by_wheel:
                self._tell("built-for-metadata", subject, "its backend tells metadata only by building a wheel")
            if key:
                self._cache.put_record(_ANSWERS, key, raw)
        return _read(raw, subject)

    def _key(self, subject: Subject, resolved: Resolved, target: Target, made: Made, hook: str) -> str:
        """Return the key of a remembered answer; "" for the project, whose files may change at any time."""
        if subject.sdist is None:
            return ""
        own = self._workshop.digest(resolved, target, made)
        confined = "confined" if self._machine.is_confined(subject.name) else "unconfined"
        sdist = subject.sdist.sha256 or subject.sdist.url
        return f"{hook} {confined} {subject.facts.build_system.backend} {sdist} {own}{settings_key(subject)}"

    def _failed(self, subject: Subject, error: DeepLockError) -> str:
        """Tell once what a backend said when it failed; returns the reason in a line."""
        first, _, rest = error.message.partition("\n")
        last = rest.strip().rpartition("\n")[2].strip()
        self._tell(type(error).__name__, subject, error.message)
        return f"{first}: {last}" if last else first

    def _tell(self, code: str, subject: Subject, message: str) -> None:
        if (code, called(subject)) not in self._told:
            self._told.add((code, called(subject)))
            self._reporter(Warned(code=code, subject=called(subject), message=message))


def _read(raw: bytes, subject: Subject) -> Metadata:
    where = f"the metadata that the backend of {called(subject)} tells"
    metadata = parse_metadata(raw, where)
    check_name(metadata, subject.name, where)
    if subject.version is not None and not _same(metadata.version, subject.version):
        raise MetadataInvalid(f"{where}: is that of version {show(metadata.version)}")
    return metadata


def _same(told: str, version: str) -> bool:
    try:
        return Version(told) == Version(version)
    except InvalidVersion:
        return told == version
