"""What build backends return from their hooks, cached by the build environment and the source that it was for.

Invariant: an answer names the target that it was observed on. A backend that fails is reported; its answer is never invented.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from deep_lock.boundary import reading
from deep_lock.builds import hooks
from deep_lock.builds.context import RUNNER_VERSION, BuildContext, settings_key
from deep_lock.closure.model import Builds, Built, Subject
from deep_lock.errors import (
    DeepLockError,
    HookBadResult,
    HookDiffers,
    HookFailed,
    HookRefused,
    MetadataInvalid,
)
from deep_lock.events import MayChange, Reporter, Warned
from deep_lock.index import metadata_differences
from deep_lock.index.cache import Cache
from deep_lock.models.build_system import HookAnswer
from deep_lock.models.distribution import Archive, SourceDistribution, Vcs, source_of
from deep_lock.models.metadata import Metadata, check_name, is_same_version, parse_metadata
from deep_lock.models.resolution import Resolved
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.sanitize import listed, show
from deep_lock.sdist import missing_modules
from deep_lock.targets.target import Target, holds

_ANSWERS = f"hook-answers-{RUNNER_VERSION}"
_MAX_SHOWN = 20
_T = TypeVar("_T")
_ANSWERED, _FAILED = b"+", b"-"
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class HookRunner:
    """Calls the hooks of every backend that may run."""

    def __init__(
        self, *, context: BuildContext, cache: Cache, reporter: Reporter, refresh: bool = False, twice: bool = False
    ) -> None:
        """``refresh``: cached answers are not used. ``twice``: each hook is called twice, and must answer the same."""
        self.machine = context.machine
        self._context = context
        self._cache = cache
        self._reporter = reporter
        self._refresh = refresh
        self._twice = twice
        self._reported: set[tuple[str, str]] = set()
        self.lacking: dict[str, str] = {}
        """The module without which a hook failed, by its subject."""

    def requires(self, subject: Subject, environment: Resolved, target: Target, builds: Builds) -> HookAnswer:
        """Return what the subject's hook requires in this environment; ``assumed`` where it fails, which is reported.

        Raises SafetyError and IndexFault.
        """
        name = f"get_requires_for_build_{subject.hook}"

        def call(*, again: bool = False) -> tuple[str, ...]:
            hook = hooks.requires_for_editable if subject.hook == "editable" else hooks.requires_for_wheel
            texts = self._context.call(subject, environment, builds, target=target, hook=hook, again=again)
            return tuple(text for text in texts if not _is_for_an_extra(text, target))

        def checked() -> bytes:
            texts = call()
            if self._twice:
                second = _second(subject, name, lambda: call(again=True))
                if set(second) != set(texts):
                    raise _differs(subject, name, (f"first {_shown(texts)}, then {_shown(second)}",))
            return msgspec.json.encode(texts)

        key = self._key(subject, environment, target, builds, name)
        try:
            answered = self._cached(key, checked)
        except (HookFailed, HookRefused) as error:
            return HookAnswer(requires=None, evidence="assumed", reason=self._report_failure(subject, error))
        with reading(f"the result of the hook of {subject.name}", HookBadResult):
            texts = _decode_texts(answered)
        return HookAnswer(requires=texts, evidence="observed", observed_on=target.label)

    def metadata(self, built: Built, builds: Builds) -> Metadata | None:
        """Return the core metadata that the backend makes; None where it fails, which is reported.

        Raises SafetyError (MetadataInvalid for another project or version) and IndexFault.
        """
        subject, target = built.subject, built.target

        name = "prepare_metadata_for_build_wheel"

        def call(*, again: bool = False) -> bytes:
            raw, by_wheel = self._context.call(
                subject, built.final, builds, target=target, hook=hooks.read_metadata, again=again
            )
            if by_wheel:
                self._report("built-for-metadata", subject, "its backend creates metadata only by building a wheel")
            return raw

        def checked() -> bytes:
            raw = call()
            if self._twice:
                second = _second(subject, name, lambda: call(again=True))
                found = metadata_differences.differences(
                    _read(raw, subject), _read(second, subject), names=("first", "then")
                )
                if found:
                    raise _differs(subject, name, found)
            return raw

        key = self._key(subject, built.final, target, builds, name)
        try:
            return _read(self._cached(key, checked), subject)
        except (HookFailed, HookRefused) as error:
            self._report_failure(subject, error)
            return None

    def _cached(self, key: str, call: Callable[[], bytes]) -> bytes:
        """Return the cached answer, or call the hook. A failure is cached too, until --refresh.

        Raises what the call raises, and the HookFailed of an earlier run.
        """
        known = self._cache.get_record(_ANSWERS, key) if key and not self._refresh else None
        if known is None:
            try:
                known = _ANSWERED + call()
            except HookFailed as error:
                if key:
                    self._cache.put_record(_ANSWERS, key, _FAILED + error.message.encode())
                raise
            if key:
                self._cache.put_record(_ANSWERS, key, known)
        if known.startswith(_FAILED):
            raise HookFailed(f"{known[1:].decode()}\n    (cached from an earlier call; --refresh calls the hook again)")
        return known[1:]

    def _key(self, subject: Subject, environment: Resolved, target: Target, builds: Builds, hook: str) -> str:
        """Return the key of a cached answer; "" for folders, whose files may change at any time."""
        source = _source_digest(subject)
        if not source:
            return ""
        environment_digest = self._context.digest(environment, target, builds)
        confined = "confined" if self.machine.is_confined(subject.name) else "unconfined"
        backend = subject.facts.build_system.backend
        twice = " twice" if self._twice else ""
        return f"{hook} {confined} {backend} {source} {environment_digest}{settings_key(subject)}{twice}"

    def _report_failure(self, subject: Subject, error: DeepLockError) -> str:
        """Report an error once; returns its reason as one line."""
        message = error.message.removeprefix(f"{subject}: ")
        module = missing_modules.module_of_failure(message)
        if module:
            self.lacking[str(subject)] = module
        first, _, rest = message.partition("\n")
        output = [line.strip() for line in rest.splitlines() if line.strip() and "--refresh" not in line]
        self._report(type(error).__name__, subject, message)
        if isinstance(error, HookRefused):  # the machine's, and not in the cache
            self._reporter(MayChange(name=f"the build hook of {subject}, which may not run on the machine"))
        return f"{first}: {output[-1]}" if output else first

    def _report(self, code: str, subject: Subject, message: str) -> None:
        if (code, str(subject)) not in self._reported:
            self._reported.add((code, str(subject)))
            self._reporter(Warned(code=code, subject=str(subject), message=message))


def _second(subject: Subject, hook: str, call: Callable[[], _T]) -> _T:
    """Return the result of a second call; a failure after a success is another result. Raises HookDiffers."""
    try:
        return call()
    except (HookFailed, HookRefused) as error:
        raise _differs(subject, hook, (f"first it had a result, then: {error.message}",)) from None


def _differs(subject: Subject, hook: str, found: Sequence[str]) -> HookDiffers:
    lines = "".join(f"\n    {line}" for line in found)
    return HookDiffers(
        f"{subject}: its backend returned two different results for {hook}, so neither is locked:{lines}",
        hint="The second call has another HOME, temporary folder, time zone and hash seed, and CI=true. Use a wheel of it"
        " (--only-binary), or another version, and report it to its author.",
    )


def _shown(texts: Sequence[str]) -> str:
    return listed([show(text) for text in sorted(texts)], _MAX_SHOWN) or "nothing"


def _source_digest(subject: Subject) -> str:
    """Return what identifies the very bytes that are built; "" where nothing does."""
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
    where = f"the metadata from the backend of {subject}"
    metadata = parse_metadata(raw, where)
    if not subject.unnamed:
        check_name(metadata, subject.name, where)
    if subject.version is not None and not is_same_version(metadata.version, subject.version):
        raise MetadataInvalid(f"{where}: are those of version {show(metadata.version)}")
    return metadata


def _is_for_an_extra(text: str, target: Target) -> bool:
    """Whether a requirement is only for an extra: flit-core returns those too, and a build has no extras."""
    marker = parse_requirement(text).marker
    return marker is not None and "extra" in str(marker) and not holds(marker, target)
