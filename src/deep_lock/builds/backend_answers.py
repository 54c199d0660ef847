"""Asks backends on behalf of the closure, where that is allowed, and remembers what they said.

Law: an answer says where it was observed; a backend that fails is told of, and what it might have said is never made up.
"""

from collections.abc import Callable

import msgspec
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.builds import hooks
from deep_lock.builds.context import RUNNER_VERSION, BuildContext, Made, called, settings_key
from deep_lock.builds.host import Machine
from deep_lock.closure.model import Built, Subject
from deep_lock.errors import DeepLockError, HookFailed, HookRefused, MetadataInvalid
from deep_lock.events import Reporter, Warned
from deep_lock.index.cache import Cache
from deep_lock.models.build_system import HookAnswer
from deep_lock.models.distribution import Archive, SourceDistribution, Vcs, source_of
from deep_lock.models.metadata import Metadata, check_name, parse_metadata
from deep_lock.models.requirement import parse_requirement
from deep_lock.models.resolution import Resolved
from deep_lock.sanitize import show
from deep_lock.targets.target import Target, holds

_ANSWERS = f"hook-answers-{RUNNER_VERSION}"
_ANSWERED, _FAILED = b"+", b"-"
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class HookRunner:
    """Every backend that a run may ask."""

    def __init__(
        self, *, workshop: BuildContext, machine: Machine, cache: Cache, reporter: Reporter, afresh: bool = False
    ) -> None:
        """``afresh``: what was answered before is not good enough."""
        self._afresh = afresh
        self._workshop = workshop
        self._machine = machine
        self._cache = cache
        self._reporter = reporter
        self._told: set[tuple[str, str]] = set()

    def is_wanted(self, name: NormalizedName) -> bool:
        """Whether the user lets the project's backend be asked, if this machine can."""
        return self._machine.is_allowed(name)

    def place(self, name: NormalizedName, target: Target) -> Target | None:
        """Return the target on which a backend may be asked on behalf of another; None where it must not or cannot."""
        return self._machine.place(name, target)

    def requires(self, subject: Subject, resolved: Resolved, target: Target, made: Made) -> HookAnswer:
        """Return what the subject's backend asks for, in this environment.

        A backend that fails is told of, and its answer is ``assumed``. Raises SafetyError and IndexFault.
        """

        def ask() -> bytes:
            hook = hooks.requires_for_editable if subject.hook == "editable" else hooks.requires_for_wheel
            texts = self._workshop.call(subject, resolved, made, target=target, ask=hook)
            return msgspec.json.encode([text for text in texts if not _is_for_an_extra(text, target)])

        key = self._key(subject, resolved, target, made, f"get_requires_for_build_{subject.hook}")
        try:
            texts = _decode_texts(self._remembered(key, ask))
        except (HookFailed, HookRefused) as error:
            return HookAnswer(requires=None, evidence="assumed", reason=self._failed(subject, error))
        return HookAnswer(requires=texts, evidence="observed", observed_on=target.label)

    def metadata(self, built: Built, made: Made) -> Metadata | None:
        """Return the core metadata that the backend tells; None where it fails, which is told of.

        Raises SafetyError (MetadataInvalid for another project or version) and IndexFault.
        """
        subject, target = built.subject, built.target

        def ask() -> bytes:
            raw, by_wheel = self._workshop.call(subject, built.final, made, target=target, ask=hooks.read_metadata)
            if by_wheel:
                self._tell("built-for-metadata", subject, "its backend tells metadata only by building a wheel")
            return raw

        key = self._key(subject, built.final, target, made, "prepare_metadata_for_build_wheel")
        try:
            return _read(self._remembered(key, ask), subject)
        except (HookFailed, HookRefused) as error:
            self._failed(subject, error)
            return None

    def _remembered(self, key: str, ask: Callable[[], bytes]) -> bytes:
        """Return what was answered before, or ask. A failure is remembered too: --refresh asks again.

        Raises what asking raises, and the HookFailed of an earlier run.
        """
        known = self._cache.get_record(_ANSWERS, key) if key and not self._afresh else None
        if known is None:
            try:
                known = _ANSWERED + ask()
            except HookFailed as error:
                if key:
                    self._cache.put_record(_ANSWERS, key, _FAILED + error.message.encode())
                raise
            if key:
                self._cache.put_record(_ANSWERS, key, known)
        if known.startswith(_FAILED):
            raise HookFailed(f"{known[1:].decode()}\n    (so it was when it was asked before; --refresh asks again)")
        return known[1:]

    def _key(self, subject: Subject, resolved: Resolved, target: Target, made: Made, hook: str) -> str:
        """Return the key of a remembered answer; "" for folders, whose files may change at any time."""
        source = _fixed(subject)
        if not source:
            return ""
        own = self._workshop.digest(resolved, target, made)
        confined = "confined" if self._machine.is_confined(subject.name) else "unconfined"
        return f"{hook} {confined} {subject.facts.build_system.backend} {source} {own}{settings_key(subject)}"

    def _failed(self, subject: Subject, error: DeepLockError) -> str:
        """Tell once what a backend said when it failed; returns the reason in a line."""
        message = error.message.removeprefix(f"{called(subject)}: ")
        first, _, rest = message.partition("\n")
        said = [line.strip() for line in rest.splitlines() if line.strip() and "--refresh" not in line]
        last = said[-1] if said else ""
        self._tell(type(error).__name__, subject, message)
        return f"{first}: {last}" if last else first

    def _tell(self, code: str, subject: Subject, message: str) -> None:
        if (code, called(subject)) not in self._told:
            self._told.add((code, called(subject)))
            self._reporter(Warned(code=code, subject=called(subject), message=message))


def _fixed(subject: Subject) -> str:
    """Return what names the very bytes that are built; "" where nothing does."""
    match subject.source:
        case SourceDistribution() as sdist:
            return sdist.sha256 or sdist.url
        case Vcs() as commit:
            return source_of(commit)
        case Archive() as archive:
            return f"{archive.file.sha256} {archive.subdirectory}"
        case _:
            return ""


def _read(raw: bytes, subject: Subject) -> Metadata:
    where = f"the metadata that the backend of {called(subject)} tells"
    metadata = parse_metadata(raw, where)
    if not subject.unnamed:
        check_name(metadata, subject.name, where)
    if subject.version is not None and not _same(metadata.version, subject.version):
        raise MetadataInvalid(f"{where}: is that of version {show(metadata.version)}")
    return metadata


def _is_for_an_extra(text: str, target: Target) -> bool:
    """Whether a requirement is there for an extra only: flit-core returns those too, and a build has no extras."""
    marker = parse_requirement(text).marker
    return marker is not None and "extra" in str(marker) and not holds(marker, target)


def _same(told: str, version: str) -> bool:
    try:
        return Version(told) == Version(version)
    except InvalidVersion:
        return told == version
