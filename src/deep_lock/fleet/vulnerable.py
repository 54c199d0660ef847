"""Which releases of a fleet an advisory affects, by databases or a service instead of the last audit."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from deep_lock.analysis.advisories import AdvisoriesOf, Vulnerability, vulnerabilities
from deep_lock.config.config import Config
from deep_lock.config.options import AdvisoryOptions, NetworkOptions, RunContext
from deep_lock.events import Reporter
from deep_lock.fleet.query import Affected
from deep_lock.models.lock import LockedPackage
from deep_lock.operations.advisory_sources import look_up


def affected(
    releases: Sequence[tuple[str, str]],
    wanted: str,
    *,
    options: AdvisoryOptions,
    network: NetworkOptions,
    context: RunContext,
    reporter: Reporter,
) -> Iterator[Affected]:
    """Yield those of the releases (name and version) that the advisory ``wanted`` affects, by its ID or an alias.

    Raises UsageError and IndexFault.
    """
    looked_up = look_up(
        [LockedPackage(name=name, version=version) for name, version in releases],
        options,
        Config(source=""),
        Path(),
        network=network,
        context=context,
        reporter=reporter,
    )
    for name, version in releases:
        vulnerability = _wanted(wanted.lower(), name, version, looked_up.advisories)
        if vulnerability is not None:
            yield Affected(name=name, version=version, text=_text(vulnerability))


def _wanted(wanted: str, name: str, version: str, advisories: AdvisoriesOf) -> Vulnerability | None:
    own = advisories.get(name, ())
    if not any(wanted in map(str.lower, (each.id, *each.aliases)) for each in own):
        return None
    return next((each for each in vulnerabilities(version, own) if wanted in map(str.lower, each.ids)), None)


def _text(own: Vulnerability) -> str:
    severity = "malware" if own.is_malware else own.rated.severity
    fixed = f"; fixed in {', '.join(own.fixed_in)}" if own.fixed_in else ""
    return f"{own.id} ({severity}): {own.summary}{fixed}"
