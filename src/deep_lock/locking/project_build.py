"""The project as a build subject, and its dependencies where only a lock or its build backend knows them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.builds.backend_answers import HookRunner
from deep_lock.closure.closure import close_build
from deep_lock.closure.model import Plan, Sources, Subject
from deep_lock.events import Reporter
from deep_lock.models.build_system import BuildSystem, ConfigSettings
from deep_lock.models.lock import Lock
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.resolution import Problem
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.project import extra_markers
from deep_lock.project.local_trees import read_files, read_modules, read_names
from deep_lock.project.project import Named, Project, with_expanded_references
from deep_lock.sdist.backends.answer import with_config_settings
from deep_lock.sdist.project_tree import read_project_tree

UNNAMED = canonicalize_name("project")


def project_subject(
    folder: Path, project: Project, build_system: BuildSystem, settings: Mapping[NormalizedName, ConfigSettings]
) -> Subject:
    """Return the project as a build subject. Raises PyprojectInvalid."""
    files = dict(read_files(folder))
    name: NormalizedName = project.name or UNNAMED
    facts = read_project_tree(
        files,
        names=frozenset(files) | read_names(folder),
        modules=read_modules(folder, files),
        name=name,
        version=project.version,
        build_system=build_system,
    )
    own = settings.get(name, ())
    return Subject(
        name=name,
        version=project.version,
        source=None,
        unnamed=project.name is None,
        facts=with_config_settings(facts) if own else facts,
        config_settings=own,
    )


BACKEND = "build backend"


def from_lock(project: Project, old: Lock) -> Project:
    """Return the project with its dynamic dependencies as recorded in a lock: for a comparison without running code."""
    origin = Origin(source="deep.lock", place="inputs")
    name = next((NormalizedName(build.name) for build in old.builds if build.needed == "project"), None)
    if project.name is None:
        project = replace(project, name=name)
    extras = tuple(
        (NormalizedName(name), _parsed(texts, replace(origin, place=f"inputs.extras.{name}")))
        for name, texts in old.inputs.extras
    )
    return _completed(project, _parsed(old.inputs.requirements, origin), extras, old.requires_python)


def from_backend(
    project: Project, plan: Plan, problem: Problem, *, sources: Sources, hooks: HookRunner, reporter: Reporter
) -> Project | None:
    """Return the project with its dynamic dependencies from its backend; None where that may not run, or fails.

    Raises ActionNeeded where its build environment cannot be closed, SafetyError and IndexFault.
    """
    subject = plan.project
    if subject is not None and subject.facts.metadata is not None:
        return _with(project, subject.facts.metadata, reporter)  # proven by its files
    target = None if subject is None else hooks.machine.hook_target(subject.name, problem.target)
    if subject is None or target is None:
        return None
    built, builds = close_build(plan, subject, replace(problem, target=target), sources, reporter)
    metadata = hooks.metadata(built, builds)
    return None if metadata is None else _with(replace(project, name=metadata.name), metadata, reporter)


def _with(project: Project, metadata: Metadata, reporter: Reporter) -> Project:
    origin = Origin(source=project.source, place=BACKEND)
    base: list[Requirement] = []
    extras: dict[NormalizedName, list[Requirement]] = {
        canonicalize_name(extra): [] for extra in metadata.provides_extra
    }
    for requirement in _parsed(metadata.requires_dist, origin):
        extra, own = extra_markers.split_extra(requirement, project.source)
        if extra is None:
            base.append(own)
        else:
            place = f"{BACKEND}, extra {extra}"
            extras.setdefault(extra, []).append(replace(own, origin=replace(origin, place=place)))
    named = tuple((name, tuple(own)) for name, own in sorted(extras.items()))
    completed = _completed(project, tuple(base), named, metadata.requires_python)
    for note in completed.notes[len(project.notes) :]:
        reporter(note)
    return completed


def _completed(
    project: Project, dependencies: tuple[Requirement, ...], extras: Named, requires_python: str | None
) -> Project:
    """Fill in the fields that are dynamic, and replace the requirements on the project itself, which need all fields."""
    project = replace(project, requires_python=project.requires_python or requires_python)
    if "dependencies" in project.unknown:
        project = replace(project, dependencies=dependencies)
    if "optional-dependencies" in project.unknown:
        project = replace(project, extras=extras)
    return with_expanded_references(project)


def _parsed(texts: Iterable[str], origin: Origin) -> tuple[Requirement, ...]:
    return tuple(parse_requirement(text, origin) for text in texts)
