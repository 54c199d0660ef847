"""What an earlier lock recorded as observed: so that a machine that cannot ask does not unlearn what another one saw."""

from collections.abc import Mapping

from msgspec import Struct, field
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.closure.model import Subject
from deep_lock.models.build_system import ConfigSettings, HookAnswer
from deep_lock.models.lock import Lock, LockedBuild
from deep_lock.models.requirement import parse_requirement
from deep_lock.models.resolution import Resolved
from deep_lock.targets.target import Target


class PreviousAnswers(Struct, frozen=True, kw_only=True):
    """Observed records by (name, version, label of a target)."""

    builds: Mapping[tuple[str, str | None, str], LockedBuild] = field(default_factory=dict)
    settings: Mapping[str, ConfigSettings] = field(default_factory=dict)
    """What backends were told then."""

    def answer(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer | None:
        """Return the recorded answer; None where anything that it depends on is another now.

        That is the sdist, what it declares, the releases of that, and what its backend is told.
        """
        sdist = subject.sdist
        build = self.builds.get((subject.name, subject.version, target.label))
        if build is None or sdist is None or build.source is not None or build.sdist != f"sha256:{sdist.sha256}":
            return None
        if self.settings.get(subject.name, ()) != subject.config_settings:
            return None
        system = subject.facts.build_system
        if (build.backend, build.requires) != (system.backend, tuple(sorted(set(system.requires)))):
            return None
        if _declared_releases(build) != _releases(
            environment, {parse_requirement(text).name for text in build.requires}
        ):
            return None
        return HookAnswer(requires=build.requires_dynamic, evidence="observed", observed_on=build.observed_on or "")


def earlier_of(old: Lock | None) -> PreviousAnswers:
    """Return what a lock holds of observations."""
    if old is None:
        return PreviousAnswers()
    everywhere = tuple(target.name for target in old.targets)
    return PreviousAnswers(
        settings=dict(old.inputs.config_settings),
        builds={
            (build.name, build.version, label): build
            for build in old.builds
            if build.evidence == "observed"
            for label in build.targets or everywhere
        },
    )


def _declared_releases(build: LockedBuild) -> dict[str, str]:
    wanted = {parse_requirement(text).name for text in build.requires}
    return {member.name: member.version for member in build.packages if canonicalize_name(member.name) in wanted}


def _releases(environment: Resolved, names: set[NormalizedName]) -> dict[str, str]:
    return {pin.name: str(pin.version) for pin in environment.pins if pin.name in names}
