"""Makes a new lock: index, build backends, closure and assembly put together."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis import near_names
from deep_lock.builds.backend_answers import HookRunner
from deep_lock.builds.context import BuildContext
from deep_lock.builds.host import Machine
from deep_lock.closure.closure import close
from deep_lock.closure.model import Closure, Plan
from deep_lock.closure.version_sharing import releases, shared_preferences, with_runtime_preferences
from deep_lock.errors import DeepLockError, HookRefused, Unsatisfiable
from deep_lock.events import MayChange, Reporter, Warned
from deep_lock.index.client import IndexClient
from deep_lock.locking import (
    compared_wheels,
    excluding_scopes,
    identities,
    imported_lock,
    project_build,
    user_hashes,
    warnings,
)
from deep_lock.locking.assemble import AssemblyInput, builds, lockable_parts, packages, pythons_left_out
from deep_lock.locking.catalog import IndexCatalog
from deep_lock.locking.clients import Network, open_network
from deep_lock.locking.direct_sources import DirectSources, previous_pins
from deep_lock.locking.plan import make_plan
from deep_lock.locking.previous_lock import previous_answers
from deep_lock.locking.release_files import PreviousFiles, ReleaseFiles
from deep_lock.locking.request import LockRequest, with_project, with_targets
from deep_lock.locking.targets import excluded_by_python, require_exclusion, same_reasons
from deep_lock.models.conflicts import Choice, choices, chosen_scopes
from deep_lock.models.lock import Lock
from deep_lock.models.resolution import RequirementScope
from deep_lock.network import git
from deep_lock.sdist import missing_modules
from deep_lock.targets.markers import environments
from deep_lock.targets.open_markers import whole
from deep_lock.targets.short_form import in_words
from deep_lock.targets.target import Target


class NewLock(Struct, frozen=True, kw_only=True):
    """A lock, and the number of wheels whose metadata were compared for it; None where that was not to be done."""

    lock: Lock
    compared: int | None


def build_lock(request: LockRequest, reporter: Reporter) -> NewLock:
    """Resolve everything to full depth, and assemble the lock.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    settings = request.settings
    if settings.has_age:
        reporter(MayChange(name="the time that the age in exclude-newer gives"))
    with closing(open_network(settings.network, request.context, reporter)) as network:
        compared = recorder = None  # both are loaded before an archive is opened
        if settings.attestations != "off":
            recorder = identities.Identities(network.client, settings, request.previous)
        if settings.verify_metadata:
            conditional = frozenset(settings.network.conditional)
            compared = compared_wheels.ComparedWheels(network.client, conditional)
        while True:
            try:
                made = _made(request, network, reporter)
            except Unsatisfiable:
                if compared is not None:
                    compared.compare_used()
                raise
            if isinstance(made, Lock):
                count = compared.compare_taken(made, request.settings.targets) if compared is not None else None
                return NewLock(lock=recorder.recorded(made) if recorder is not None else made, compared=count)
            request = made


def _made(request: LockRequest, network: Network, reporter: Reporter) -> Lock | LockRequest:
    """Return the lock, or the request without the default targets that turn out to be excluded.

    The lock is then made again: it has nothing of a target that is left out.
    """
    settings, context, trees = request.settings, request.context, request.inputs.trees
    indexes = settings.network.indexes
    machine = Machine(settings.hooks, settings.targets, reporter)
    direct = DirectSources(
        client=network.client,
        repositories=cache(lambda: git.Repositories(context.cache_folder, context.environ, offline=indexes.offline)),
        trees=trees,
        previous=previous_pins(
            request.previous,
            without=settings.upgrade.names,
            accepted_files=settings.upgrade.accepted_files,
        ),
        reporter=reporter,
        is_assigned=lambda name: indexes.only_source(name) is not None or name in settings.network.conditional,
        foreign=request.inputs.foreign.source if request.inputs.foreign is not None else None,
        index=indexes.sources[0].url if indexes.sources else "",
    )
    releases = _release_files(request, network.client)
    build_context = BuildContext(
        machine=machine,
        client=network.client,
        files_of=releases.of_release,
        cache=network.cache,
        project=request.inputs.options.folder.resolve(),
        folder_of=trees.folder,
        checkout=direct.checkout,
    )
    hooks = HookRunner(
        context=build_context,
        cache=network.cache,
        reporter=reporter,
        refresh=indexes.refresh,
        twice=settings.observe,
    )
    foreign, plan = request.inputs.foreign, make_plan(request)
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
        completed = request
        if request.inputs.project.unknown:
            completed = _with_dynamic_metadata(request, plan, catalog, hooks, reporter)
            plan = make_plan(completed)
            outside = excluded_by_python(completed.inputs.project, settings.targets)
            if outside:
                return with_targets(request, settings.declared.leave_out(settings.targets, outside))
        elif foreign is not None and (excluded := imported_lock.unsupported_targets(foreign, plan.runtime, catalog)):
            return _without_targets(request, excluded, reporter)
        warnings.require_existing(plan.runtime, catalog, settings.upgrade, request.previous)
        try:
            closure = _shared(plan, catalog, reporter)
            if closure.excluded:
                require_exclusion(settings.targets, closure.excluded)
                return _without_targets(request, closure.excluded, reporter)
        except Unsatisfiable as error:
            if error.nowhere:
                hint = _near_hint(error.nowhere, request)
            else:
                scopes, declared = completed.inputs.scopes, completed.inputs.conflicts
                members = completed.inputs.members
                hint = error.hint or excluding_scopes.conflict_hint(
                    plan.runtime, scopes, declared, catalog, members=members
                )
            raise Unsatisfiable(error.message, hint=hint, nowhere=error.nowhere) from None
        lock = _assembled(completed, plan, closure, catalog, reporter)
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


def _without_targets(request: LockRequest, excluded: Mapping[Target, DeepLockError], reporter: Reporter) -> LockRequest:
    """Leave out default targets, with a warning that names each. Raises the error of a declared one."""
    settings = request.settings
    left = settings.declared.leave_out(settings.targets, excluded)
    source = ", ".join(request.inputs.sources)
    every = [target.label for target in settings.targets]
    for labels, reason in same_reasons(excluded, settings.targets):
        message = f"{in_words(labels, every)} {'is' if len(labels) == 1 else 'are'} left out: {reason}"
        reporter(Warned(code="target-left-out", subject=source, message=message))
    return with_targets(request, left)


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
            hint=missing_modules.build_system_hint(
                hooks.lacking.values(), {own.name for _, scope in request.inputs.scopes for own in scope}
            )
            if hooks.lacking
            else "write them in the file; deep-lock doctor shows why the backend cannot run",
        )
    reporter(
        Warned(code="project-metadata-kept", subject=project.source, message=f"{message}: taken from the previous lock")
    )
    return request


def _assembled(request: LockRequest, plan: Plan, closure: Closure, catalog: IndexCatalog, reporter: Reporter) -> Lock:
    settings, inputs = request.settings, request.inputs
    warnings.require_sources(closure, settings.selection)
    warnings.require_upgraded(closure, settings.upgrade, request.previous)
    if settings.require_evidence:
        warnings.require_evidence(closure)
    if inputs.foreign is not None:
        warnings.warn_of_imported(
            inputs.foreign, closure, plan.runtime, catalog, reporter, indexes=[url for _, url in request.head.indexes]
        )
    warnings.warn_of_open_markers(closure, reporter)
    warnings.warn(
        closure,
        catalog,
        reporter,
        selection=settings.selection,
        added=plan.extra_build_requires,
        settings=plan.config_settings,
    )
    allowed = choices(inputs.conflicts, [scope for scope, _ in inputs.scopes], inputs.implied)
    assembly = AssemblyInput(
        closure=closure,
        problems=tuple(replace(own, apply_open=own.target in closure.divided) for own in plan.runtime),
        parts={choice: _parts(request, choice, allowed) for choice in allowed},
        files=catalog,
        selection=settings.selection,
        folder=request.folder,
        implied=inputs.implied,
        members=frozenset(own.member.name for own in inputs.workspace),
        every_file=settings.files == "all",
    )
    parts = lockable_parts(settings.targets, closure.open_markers)
    if inputs.foreign is not None:
        every = [scope for scope, _ in inputs.scopes]
        for choice in allowed:
            scopes = chosen_scopes(every, choice, allowed, inputs.implied)
            for label, part in imported_lock.lockable_parts(inputs.foreign, scopes, settings.targets, reporter).items():
                parts[label] = parts[label] & part if label in parts else part
    entries = packages(assembly)
    warnings.require_nameable(entries, settings.network.options.plain_allowed_hosts)
    limits = pythons_left_out(entries, assembly)
    for _, _, target, left in limits:
        parts[target.label] = parts.get(target.label, whole(target)) & left
    warnings.warn_of_pythons(limits, closure.labels, reporter)
    warnings.warn_of_signed_urls(entries, catalog, reporter)
    return replace(
        request.head,
        environments=environments(settings.targets, inputs.project.requires_python, parts),
        packages=entries,
        builds=builds(assembly),
    )


def _parts(request: LockRequest, choice: Choice, allowed: Sequence[Choice]) -> Sequence[RequirementScope]:
    """Return what each part of the project requires with a choice: it is the same with each, but in an imported lock."""
    inputs = request.inputs
    if inputs.foreign is None or len(allowed) == 1:
        return inputs.scopes
    scopes = chosen_scopes([scope for scope, _ in inputs.scopes], choice, allowed, inputs.implied)
    return imported_lock.scope_requirements(inputs.foreign, scopes, request.settings.targets, inputs.trees)


def _near_hint(nowhere: Sequence[str], request: LockRequest) -> str:
    """Return which projects the names that no index has may mean: those of the lock and of the project first."""
    locked = {entry.name for entry in request.previous.packages} if request.previous is not None else set()
    named = {requirement.name for _, own in request.inputs.scopes for requirement in own}
    known = locked | (named - set(nowhere))
    near = ((name, near_names.near_project(name, known)) for name in nowhere)
    return "; ".join(f"{name}: {text}" for name, text in near if text)


def _shared(plan: Plan, catalog: IndexCatalog, reporter: Reporter) -> Closure:
    """Close once; close again where targets or environments could share more, and keep the closure with fewer releases."""
    closure = close(plan, catalog, reporter)
    if closure.excluded:
        return closure
    if plan.share_runtime:
        other = with_runtime_preferences(plan, closure)
        again = close(other, catalog, reporter) if other != plan else closure
        if releases(again) < releases(closure):
            plan, closure = other, again
    preferences = shared_preferences(closure) if plan.share else {}
    if not preferences:
        return closure
    again = close(replace(plan, shared=preferences), catalog, reporter)
    return again if releases(again) < releases(closure) else closure
