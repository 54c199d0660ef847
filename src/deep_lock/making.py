"""The body of a lock: sources, closure and assembly of one run, tied together."""

from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from deep_lock.asking import Backends
from deep_lock.assembling import Assembly, packages
from deep_lock.closure import close
from deep_lock.deferred import Deferred
from deep_lock.direct_sources import DirectSources, earlier_pins
from deep_lock.earlier import earlier_of
from deep_lock.errors import HookRefused
from deep_lock.events import Reporter, Warned
from deep_lock.findings import require_evidence, require_moved, require_sources, tell
from deep_lock.given_files import GivenFiles
from deep_lock.graph import Closure, Plan
from deep_lock.index_sources import IndexSources
from deep_lock.machine import Machine
from deep_lock.model.lock import Lock
from deep_lock.model.requirement import parse_requirement
from deep_lock.network import Network
from deep_lock.planning import plan_of
from deep_lock.reading import completed
from deep_lock.recording import builds
from deep_lock.settings import hook_policy_of
from deep_lock.settled import Run, head_of, with_targets
from deep_lock.sharing import releases, sharable
from deep_lock.workshop import Workshop

if TYPE_CHECKING:
    from deep_lock import given_findings, given_targets, project_metadata
    from deep_lock.index import vcs
else:
    given_findings = Deferred("deep_lock.given_findings")
    given_targets = Deferred("deep_lock.given_targets")
    project_metadata = Deferred("deep_lock.project_metadata")
    vcs = Deferred("deep_lock.index.vcs")


def make_lock(run: Run, network: Network, reporter: Reporter) -> Lock:
    """Resolve everything to full depth, and assemble the lock.

    Raises ActionNeeded, IndexFault and SafetyError.
    """
    machine = Machine(hook_policy_of(run.flags, run.gathered.config), run.targets, reporter)
    moved = frozenset(parse_requirement(text).name for text in run.flags.upgrade.packages)
    surroundings = run.flags.surroundings
    direct = DirectSources(
        client=network.client,
        repositories=cache(
            lambda: vcs.Repositories(surroundings.cache_folder, surroundings.environ, offline=run.flags.network.offline)
        ),
        trees=run.gathered.trees,
        earlier=earlier_pins(run.old, without=moved),
    )
    workshop = Workshop(
        machine=machine,
        client=network.client,
        cache=network.cache,
        project=run.flags.inputs.folder.resolve(),
        folder_of=run.gathered.trees.folder,
        checkout=direct.checkout,
    )
    plan = _plan(run)
    given = GivenFiles(run.gathered.foreign)
    backends = Backends(
        workshop=workshop,
        machine=machine,
        cache=network.cache,
        reporter=reporter,
        afresh=run.flags.network.refresh,
    )
    sources = IndexSources(
        client=network.client,
        cache=network.cache,
        selection=run.selection,
        target=run.targets[0],
        reporter=reporter,
        backends=backends,
        earlier=earlier_of(run.old),
        added=plan.extra_build_requires,
        settings=plan.config_settings.keys(),
        direct=direct,
        given=given,
    )
    with closing(workshop):
        if run.gathered.foreign is not None:
            run = _fitting(run, plan, sources, reporter)
            made = _closed(run, _plan(run), sources, reporter)
            given.check(made)
            return made
        if run.gathered.project.unknown:
            run = _asked(run, plan, sources=sources, backends=backends, reporter=reporter)
            plan = _plan(run)
        return _closed(run, plan, sources, reporter)


def _plan(run: Run) -> Plan:
    return plan_of(run.flags, run.gathered, run.old, selection=run.selection, targets=run.targets)


def _fitting(run: Run, plan: Plan, sources: IndexSources, reporter: Reporter) -> Run:
    """Leave out default targets that cannot take what another tool's lock pins."""
    foreign = run.gathered.foreign
    if foreign is None:
        return run
    declared = given_targets.are_declared(run.flags, run.gathered.config)
    left = given_targets.fitting(foreign, plan.runtime, sources, reporter, declared=declared)
    return run if left == run.targets else with_targets(run, left)


def _asked(run: Run, plan: Plan, *, sources: IndexSources, backends: Backends, reporter: Reporter) -> Run:
    """Complete the project by what its own backend tells; where it cannot be asked, by what the old lock says.

    Raises HookRefused where neither can be.
    """
    project = run.gathered.project
    known = project_metadata.from_backend(
        project, plan, plan.runtime[0], sources=sources, backends=backends, reporter=reporter
    )
    if known is None:
        fields = " and ".join(f"project.{key}" for key in sorted(project.unknown))
        said = f"{fields}: dynamic, known to the build backend only, and that cannot be asked here"
        if run.old is None:
            raise HookRefused(
                f"{project.source}: {said}", hint="write them in the file; deep-lock doctor says why it cannot be asked"
            )
        message = f"{said}: taken from the lock as it was"
        reporter(Warned(code="project-not-asked", subject=project.source, message=message))
        return run
    return replace(run, gathered=completed(run.gathered, known, run.flags.inputs))


def _closed(run: Run, plan: Plan, sources: IndexSources, reporter: Reporter) -> Lock:
    closure = _shared(plan, sources, reporter)
    require_sources(closure, run.selection)
    upgrade = run.flags.upgrade
    named = (parse_requirement(text) for text in upgrade.packages)
    require_moved(closure, (requirement for requirement in named if requirement.specifier), upgrade.in_builds)
    if run.flags.rules.require_evidence or run.gathered.config.require_evidence:
        require_evidence(closure)
    if run.gathered.foreign is not None:
        given_findings.tell_given(
            run.gathered.foreign,
            closure,
            plan.runtime,
            sources,
            reporter,
            indexes=[url for _, url in head_of(run).indexes],
        )
    tell(closure, sources, reporter, added=plan.extra_build_requires, settings=plan.config_settings)
    assembly = Assembly(
        closure=closure,
        problems=plan.runtime,
        parts=run.gathered.parts,
        shelf=sources,
        selection=run.selection,
        folder=run.folder,
        every_file=run.gathered.config.files == "all",
    )
    return replace(head_of(run), packages=packages(assembly), builds=builds(assembly))


def _shared(plan: Plan, sources: IndexSources, reporter: Reporter) -> Closure:
    """Close once; close again where environments could share more, and keep what names fewer releases."""
    closure = close(plan, sources, reporter)
    preferences = sharable(closure) if plan.share else {}
    if not preferences:
        return closure
    again = close(replace(plan, shared=preferences), sources, reporter)
    return again if releases(again) < releases(closure) else closure
