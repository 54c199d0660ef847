"""Makes a new lock: index, build backends, closure and assembly put together."""

from collections.abc import Sequence
from contextlib import closing
from functools import cache

from msgspec.structs import replace

from deep_lock.analysis import near_names
from deep_lock.builds.backend_answers import HookRunner
from deep_lock.builds.context import BuildContext
from deep_lock.builds.host import Machine
from deep_lock.closure.closure import close
from deep_lock.closure.model import Closure, Plan
from deep_lock.closure.version_sharing import releases, shared_preferences
from deep_lock.errors import HookRefused, Unsatisfiable
from deep_lock.events import Reporter, Warned
from deep_lock.index.client import IndexClient
from deep_lock.locking import imported_lock, project_build, user_hashes, warnings
from deep_lock.locking.assemble import AssemblyInput, builds, packages
from deep_lock.locking.catalog import IndexCatalog
from deep_lock.locking.direct_sources import DirectSources, previous_pins
from deep_lock.locking.indexes import open_network
from deep_lock.locking.plan import make_plan
from deep_lock.locking.previous_lock import previous_answers
from deep_lock.locking.release_files import PreviousFiles, ReleaseFiles
from deep_lock.locking.request import LockRequest, with_project, with_targets
from deep_lock.models.lock import Lock
from deep_lock.network import git
from deep_lock.sdist import missing_modules


def build_lock(request: LockRequest, reporter: Reporter) -> Lock:
    """Resolve everything to full depth, and assemble the lock.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    settings, context, trees = request.settings, request.context, request.inputs.trees
    indexes = settings.network.indexes
    with closing(open_network(settings.network, context, reporter)) as network:
        machine = Machine(settings.hooks, settings.targets, reporter)
        direct = DirectSources(
            client=network.client,
            repositories=cache(
                lambda: git.Repositories(context.cache_folder, context.environ, offline=indexes.offline)
            ),
            trees=trees,
            previous=previous_pins(request.previous, without=frozenset(settings.upgrade.packages)),
            is_assigned=lambda name: indexes.only_source(name) is not None,
        )
        releases = _release_files(request, network.client)
        build_context = BuildContext(
            machine=machine,
            client=network.client,
            files_of=releases.every,
            cache=network.cache,
            project=request.inputs.options.folder.resolve(),
            folder_of=trees.folder,
            checkout=direct.checkout,
        )
        hooks = HookRunner(context=build_context, cache=network.cache, reporter=reporter, refresh=indexes.refresh)
        plan = make_plan(request)
        catalog = IndexCatalog(
            client=network.client,
            cache=network.cache,
            direct=direct,
            hooks=hooks,
            plan=plan,
            previous=previous_answers(request.previous),
            releases=releases,
        )
        with closing(build_context):
            if request.inputs.project.unknown:
                completed = _with_dynamic_metadata(request, plan, catalog, hooks, reporter)
            else:
                completed = _with_supported_targets(request, plan, catalog, reporter)
            lock = _close(completed, plan if completed is request else make_plan(completed), catalog, reporter)
            for hashes in (releases.imported, releases.by_user):
                if hashes is not None:
                    hashes.check(lock)
            return lock


def _release_files(request: LockRequest, client: IndexClient) -> ReleaseFiles:
    """Return the files of releases, restricted by the hashes of the inputs and by the previous lock. Raises HashMissing."""
    foreign, hash_files, settings = request.inputs.foreign, request.inputs.hash_files, request.settings
    return ReleaseFiles(
        client=client,
        settings=settings,
        imported=imported_lock.ImportedHashes(foreign) if foreign is not None else None,
        by_user=user_hashes.UserHashes(hash_files, settings.targets) if hash_files.have_hashes else None,
        previous=PreviousFiles(request.previous, settings) if request.previous is not None else None,
    )


def _with_supported_targets(request: LockRequest, plan: Plan, catalog: IndexCatalog, reporter: Reporter) -> LockRequest:
    """Leave out default targets that do not support what another tool's lock pins."""
    foreign, settings = request.inputs.foreign, request.settings
    if foreign is None:
        return request
    targets = imported_lock.supported_targets(
        foreign, plan.runtime, catalog, reporter, declared=settings.targets_declared
    )
    return request if targets == settings.targets else with_targets(request, targets)


def _with_dynamic_metadata(
    request: LockRequest, plan: Plan, catalog: IndexCatalog, hooks: HookRunner, reporter: Reporter
) -> LockRequest:
    """Complete the project by what its build backend returns, or the previous lock recorded.

    Raises HookRefused where neither is possible.
    """
    project = request.inputs.project
    completed = project_build.from_backend(
        project, plan, plan.runtime[0], sources=catalog, hooks=hooks, reporter=reporter
    )
    if completed is not None:
        return with_project(request, completed)
    fields = " and ".join(f"project.{key}" for key in sorted(project.unknown))
    message = f"{fields}: dynamic, known to the build backend only, and the backend cannot run here"
    if request.previous is None:
        raise HookRefused(
            f"{project.source}: {message}",
            hint=missing_modules.build_system_hint(hooks.lacking.values())
            if hooks.lacking
            else "write them in the file; deep-lock doctor shows why the backend cannot run",
        )
    reporter(
        Warned(code="project-metadata-kept", subject=project.source, message=f"{message}: taken from the previous lock")
    )
    return request


def _close(request: LockRequest, plan: Plan, catalog: IndexCatalog, reporter: Reporter) -> Lock:
    settings, inputs = request.settings, request.inputs
    warnings.require_existing(catalog, settings.upgrade, request.previous)
    try:
        closure = _shared(plan, catalog, reporter)
    except Unsatisfiable as error:
        if not error.nowhere:
            raise
        raise Unsatisfiable(error.message, hint=_near_hint(error.nowhere, request), nowhere=error.nowhere) from None
    warnings.require_sources(closure, settings.selection)
    warnings.require_upgraded(closure, settings.upgrade, request.previous)
    if settings.require_evidence:
        warnings.require_evidence(closure)
    if inputs.foreign is not None:
        warnings.warn_of_imported(
            inputs.foreign, closure, plan.runtime, catalog, reporter, indexes=[url for _, url in request.head.indexes]
        )
    warnings.warn(
        closure,
        catalog,
        reporter,
        selection=settings.selection,
        added=plan.extra_build_requires,
        settings=plan.config_settings,
    )
    assembly = AssemblyInput(
        closure=closure,
        problems=plan.runtime,
        parts=inputs.scopes,
        files=catalog,
        selection=settings.selection,
        folder=request.folder,
        every_file=settings.files == "all",
    )
    entries = packages(assembly)
    warnings.warn_of_signed_urls(entries, catalog, reporter)
    return replace(request.head, packages=entries, builds=builds(assembly))


def _near_hint(nowhere: Sequence[str], request: LockRequest) -> str:
    """Return which projects the names that no index has may mean: those of the lock and of the project first."""
    locked = {entry.name for entry in request.previous.packages} if request.previous is not None else set()
    named = {requirement.name for _, own in request.inputs.scopes for requirement in own}
    known = locked | (named - set(nowhere))
    near = ((name, near_names.near_project(name, known)) for name in nowhere)
    return "; ".join(f"{name}: {text}" for name, text in near if text)


def _shared(plan: Plan, catalog: IndexCatalog, reporter: Reporter) -> Closure:
    """Close once; close again where environments could share more, and keep the closure with fewer releases."""
    closure = close(plan, catalog, reporter)
    preferences = shared_preferences(closure) if plan.share else {}
    if not preferences:
        return closure
    again = close(replace(plan, shared=preferences), catalog, reporter)
    return again if releases(again) < releases(closure) else closure
