"""Hook answers that the previous lock recorded: a machine that cannot run a backend keeps what another machine observed."""

from collections.abc import Mapping

from msgspec import Struct, field
from packaging.utils import canonicalize_name

from deep_lock.closure.model import Subject
from deep_lock.models.build_system import ConfigSettings, HookAnswer
from deep_lock.models.lock import Lock, LockedBuild
from deep_lock.models.resolution import Resolved
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.targets.target import Target


class PreviousAnswers(Struct, frozen=True, kw_only=True):
    """Observed build records by (name, version, label of a target)."""

    builds: Mapping[tuple[str, str | None, str], LockedBuild] = field(default_factory=dict)
    settings: Mapping[str, ConfigSettings] = field(default_factory=dict)
    """The config settings of that lock, by project."""

    def answer(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer | None:
        """Return the recorded answer; None where anything that it depends on changed.

        That is the sdist, its build requirements, the releases of these, and the config settings of its backend.
        """
        sdist = subject.sdist
        build = self.builds.get((subject.name, subject.version, target.label))
        if build is None or sdist is None or build.source is not None or build.sdist != f"sha256:{sdist.sha256}":
            return None
        system = subject.facts.build_system
        declared = {parse_requirement(text).name for text in build.requires}
        recorded = {member.name: member.version for member in build.packages}
        if (
            self.settings.get(subject.name, ()) != subject.config_settings
            or (build.backend, build.requires) != (system.backend, tuple(sorted(set(system.requires))))
            or {name: version for name, version in recorded.items() if canonicalize_name(name) in declared}
            != {pin.name: str(pin.version) for pin in environment.pins if pin.name in declared}
        ):
            return None
        return HookAnswer(requires=build.requires_dynamic, evidence="observed", observed_on=build.observed_on or "")


def previous_answers(lock: Lock | None) -> PreviousAnswers:
    """Return what a lock recorded as observed."""
    if lock is None:
        return PreviousAnswers()
    everywhere = tuple(target.name for target in lock.targets)
    return PreviousAnswers(
        settings=dict(lock.inputs.config_settings),
        builds={
            (build.name, build.version, label): build
            for build in lock.builds
            if build.evidence == "observed"
            for label in build.targets or everywhere
        },
    )
