"""Resolves a plan completely: every runtime problem, every build below it, and the builds of those, at every depth.

The resolver chooses versions; this module keeps the stack of problems and resolves the top one again when something new
is known. There is no recursion, and nothing is skipped: every pinned sdist that is built is a problem of its own. A build
that is on the stack already is a build cycle, and the stack is the message.

A frame is resolved again when metadata that it lacked are known (`Blocked`), when its hook returned more requirements (two
stages, one fixpoint), and when one of its pins cannot be built (then without that pin).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import get_args

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.model import (
    Builds,
    Built,
    BuiltKey,
    Closure,
    HookElsewhere,
    OpenMarker,
    Plan,
    Preferences,
    Sources,
    Subject,
    built_key,
    key_of_pin,
)
from deep_lock.errors import ActionNeeded, BuildCycle, LimitExceeded, ReleaseRefused, Unsatisfiable
from deep_lock.events import Reporter, Solving, TargetStarted
from deep_lock.models.build_system import Hook, HookAnswer
from deep_lock.models.conflicts import Choice
from deep_lock.models.distribution import Buildable, built_from, is_wheel, source_of
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.resolution import (
    Blocked,
    BuildRequest,
    Candidate,
    Impossible,
    Pin,
    Problem,
    Purpose,
    Resolved,
    Selection,
)
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.resolver.candidates import Choices
from deep_lock.resolver.dependencies import BASE, open_requirements
from deep_lock.resolver.resolver import resolve
from deep_lock.targets.open_markers import NEVER, TargetPart, is_open, is_whole, part_where
from deep_lock.targets.target import Target, holds

MAX_DEPTH = 200
MAX_STAGES = 5


class _Frame(Struct, kw_only=True):
    problem: Problem
    subject: Subject | None = None
    """What is built; None of the runtime problem."""
    version: Version | None = None
    """The version by which the frame above pinned the subject."""
    answer: HookAnswer | None = None
    declared: Resolved | None = None
    answered_in: Resolved | None = None
    """The environment that the answer holds for."""
    resolved: Resolved | None = None
    waiting: list[Pin] = field(default_factory=list)
    """Pins whose builds are not closed yet, the next one last."""
    stages: int = 0
    cycle: str = ""
    """The first cycle below this frame: the message, should no other version break it."""
    failure: Unsatisfiable | ReleaseRefused | None = None
    """Why the first pin of this frame could not be built: the error, should no other version do."""


def close(plan: Plan, sources: Sources, reporter: Reporter) -> Closure:
    """Resolve every target's runtime closure and every build environment below it, to full depth.

    Raises Unsatisfiable, ReleaseRefused, BuildCycle, LimitExceeded, and what the sources raise.
    """
    runtime: list[tuple[Target, Resolved]] = []
    walks: list[_TargetWalk] = []
    pinned: dict[Choice, Preferences] = {}
    """By the targets before, as preferences for the next one."""
    used: dict[NormalizedName, tuple[Version, ...]] = {}
    others: dict[str, _TargetWalk] = {}
    found: list[OpenMarker] = []
    divided: set[Target] = set()
    excluded: dict[Target, Unsatisfiable] = {}
    groups = [(target, tuple(own)) for target, own in groupby(plan.runtime, key=lambda problem: problem.target)]
    for number, (target, problems) in enumerate(groups, start=1):
        reporter(TargetStarted(target=target.label, number=number, total=len(groups)))
        walk = _TargetWalk(target=target, plan=plan, sources=sources, reporter=reporter, used=used, others=others)
        try:
            resolutions = walk.close(problems, pinned)
        except Unsatisfiable as error:
            if not plan.may_leave_out and error.cause != "target":
                raise  # what is due to files for other targets names all targets that lack one
            excluded[target] = error
            continue
        open_markers = walk.open_markers(problems, resolutions)
        if open_markers and (both := walk.with_open(problems, resolutions)) is not None:
            walk, resolutions = both
            open_markers = walk.open_markers([replace(own, apply_open=True) for own in problems], resolutions)
            divided.add(target)
        found += open_markers
        for planned, resolved in zip(problems, resolutions, strict=True):
            pinned[planned.choice] = dict(_merged(pinned.get(planned.choice, {}), _versions_of(resolved)))
        runtime += [(target, resolved) for resolved in resolutions]
        walks.append(walk)
    by_target = groupby(runtime, key=lambda own: own[0])
    builds = [
        built
        for (_, own), walk in zip(by_target, walks, strict=True)
        for built in walk.needed_by(resolved for _, resolved in own)
    ]
    unknown = sorted({reason for walk in walks for reason in walk.editable_unknown})
    return Closure(
        runtime=tuple(runtime),
        builds=tuple(builds),
        editable_unknown=tuple(unknown),
        open_markers=tuple(found),
        divided=frozenset(divided),
        excluded=excluded,
    )


def close_build(
    plan: Plan, subject: Subject, like: Problem, sources: Sources, reporter: Reporter
) -> tuple[Built, Builds]:
    """Close one build alone, on the target of ``like``; returns it with all builds below it.

    Raises as `close`.
    """
    walk = _TargetWalk(target=like.target, plan=plan, sources=sources, reporter=reporter, used={}, others={})
    walk.run(walk.frame(subject, like))
    return walk.done[subject.key], walk.done


class _TargetWalk(Struct, kw_only=True):
    """One target's stack, and the builds closed on it."""

    target: Target
    plan: Plan
    sources: Sources
    reporter: Reporter
    others: dict[str, "_TargetWalk"]
    """Walks that only serve to call hooks for other targets, by label: shared between the walks of one run."""
    used: dict[NormalizedName, tuple[Version, ...]]
    """Pins of build environments so far, over all targets: shared between the walks of one run."""
    runtime: Preferences = field(default_factory=dict)
    done: dict[BuiltKey, Built] = field(default_factory=dict)
    failed: dict[BuiltKey, str] = field(default_factory=dict)
    """Why builds could not be closed alone (`close_alone`)."""
    editable_unknown: list[str] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    choices: Choices = field(default_factory=Choices)
    solved: dict[tuple[object, ...], Resolved] = field(default_factory=dict)
    """Environments by their requirements: sdists with the same ones share one."""

    def run(self, first: _Frame) -> Resolved:
        """Process the stack until the first frame is finished."""
        self.stack = [first]
        while self.stack:
            frame = self.stack[-1]
            if frame.resolved is None:
                self._resolve(frame)
            elif frame.waiting:
                self._descend(frame)
            else:
                self._finish(frame)
        if first.resolved is None:
            raise Unsatisfiable("the search ended without a result")
        return first.resolved

    def close(self, problems: Sequence[Problem], pinned: Mapping[Choice, Preferences]) -> list[Resolved]:
        """Resolve the target's runtime problems, and close all builds, that of the project too.

        ``pinned`` are preferences, by choice. So are the pins of the choices that are a part of another one: it differs in
        what it must. An alternative does not hold another one back.
        """
        found: dict[Choice, Resolved] = {}
        for planned in problems:
            hints = self.plan.runtime_hints.get((self.target.label, planned.choice), {})
            parts = [_versions_of(found[choice]) for choice in reversed(found) if choice < planned.choice]
            own = pinned.get(planned.choice, {})
            preferences = _merged(dict(planned.preferences), hints, own, *parts)
            found[planned.choice] = self.run(_Frame(problem=replace(planned, preferences=preferences)))
            self.runtime = dict(_merged(self.runtime, _versions_of(found[planned.choice])))
        if self.plan.project is not None and problems[0].selection.build_scope != "none":
            self.run(self.frame(self.plan.project, problems[0]))
            self.add_editable(self.plan.project, problems[0])
        return list(found.values())

    def with_open(
        self, problems: Sequence[Problem], resolutions: Sequence[Resolved]
    ) -> "tuple[_TargetWalk, list[Resolved]] | None":
        """Close the target once more, with the requirements that apply on a part of it too.

        Returns None where this is impossible, or changes a pin: a part of a target must not hold the whole one back.
        """
        walk = _TargetWalk(
            target=self.target,
            plan=self.plan,
            sources=self.sources,
            reporter=self.reporter,
            used=self.used,
            others=self.others,
        )
        pairs = zip(problems, resolutions, strict=True)
        opened = [replace(own, preferences=_merged(_versions_of(known)), apply_open=True) for own, known in pairs]
        try:
            both = walk.close(opened, {})
        except (ActionNeeded, ReleaseRefused):
            return None
        for known, resolved in zip(resolutions, both, strict=True):
            files = {pin.name: pin.distribution for pin in resolved.pins}
            if any(files.get(pin.name) != pin.distribution for pin in known.pins):
                return None
        return walk, both

    def open_markers(self, planned: Sequence[Problem], resolutions: Sequence[Resolved]) -> list[OpenMarker]:
        """Return the requirements at run time and in builds that apply on a part of the target only."""
        found: dict[tuple[str, str], OpenMarker] = {}
        like = planned[0]
        problems = list(zip(planned, resolutions, strict=True)) if like.fixed_pins is None else []
        for built in self.needed_by(resolutions):
            own = self._problem(built.subject, like, built.answer.requires or ())
            problems.append((own, built.final))
        for problem, answer in problems:
            for subject, requirement, part, applies in _open_requirements(problem, answer, self.sources):
                found[subject, str(requirement)] = OpenMarker(
                    target=self.target,
                    subject=subject,
                    requirement=requirement,
                    part=part,
                    locked=like.apply_open,
                    applies=applies,
                )
            for constraint, part in _unmet_constraints(problem, answer):
                found[str(constraint.origin or "a constraint"), str(constraint)] = OpenMarker(
                    target=self.target,
                    subject=str(constraint.origin or "a constraint"),
                    requirement=constraint,
                    part=part,
                    locked=False,
                    applies=False,
                )
        return list(found.values())

    def frame(self, subject: Subject, like: Problem) -> _Frame:
        """Return the frame of a build, on the same target and by the same rules as another problem."""
        return _Frame(problem=self._problem(subject, like, ()), subject=subject)

    def add_editable(self, project: Subject, like: Problem) -> None:
        """Close the project's editable build too, and keep it where it needs an environment of its own.

        A failure does not fail the lock: an installation of the wheel does not need this build.
        """
        wheel = self.done[project.key].answer
        if wheel.evidence == "assumed":
            return
        subject = replace(project, hook="editable")
        built = self.close_alone(subject, like)
        if built is None:
            self.editable_unknown.append(self.failed[subject.key])
        elif built.answer.evidence == "assumed":
            self.editable_unknown.append(built.answer.reason)
        if built is not None and not _needs_own_environment(built.answer, wheel):
            del self.done[subject.key]

    def close_alone(self, subject: Subject, like: Problem) -> Built | None:
        """Close one build alone, on this walk's target; None where that fails."""
        key = subject.key
        if key not in self.done and key not in self.failed:
            try:
                self.run(self.frame(subject, replace(like, target=self.target)))
            except (ActionNeeded, ReleaseRefused) as error:
                self.failed[key] = error.message
        return self.done.get(key)

    def needed_by(self, runtime: Iterable[Resolved]) -> list[Built]:
        """Return the builds that the final pins need: candidates that were given up leave others behind."""
        found: dict[BuiltKey, Built] = {}
        queue: list[Pin] = [pin for resolved in runtime for pin in resolved.pins]
        if self.plan.project is not None:
            for hook in get_args(Hook):
                own = self.done.get(replace(self.plan.project, hook=hook).key)
                if own is not None:
                    found[own.subject.key] = own
                    queue += [*own.declared.pins, *own.final.pins]
        while queue:
            pin = queue.pop()
            key = key_of_pin(pin)
            built = self.done.get(key)
            if built is not None and key not in found and built.subject.source == pin.distribution:
                found[key] = built
                queue += [*built.declared.pins, *built.final.pins]
        return [found[key] for key in sorted(found, key=lambda key: (key[0], key[1] or "", key[2]))]

    # -- step 1: resolve

    def _resolve(self, frame: _Frame) -> None:
        self.reporter(Solving(subject=str(frame.problem.purpose), target=frame.problem.target.label))
        key = self._solved_key(frame.problem, frame.subject) if frame.subject is not None else None
        frame.resolved = self.solved.get(key) if key is not None else None
        if frame.resolved is None:
            match resolve(frame.problem, self.sources.for_problem(frame.problem), self.choices):
                case Blocked(request=request):
                    self._learn_metadata(frame, request)
                    return
                case Impossible() as impossible:
                    self._give_up(frame, impossible)
                    return
                case Resolved() as resolved:
                    frame.resolved = resolved
                    if key is not None:
                        self.solved[key] = resolved
        selection = frame.problem.selection
        frame.waiting = [pin for pin in reversed(frame.resolved.pins) if _needs_build(pin, selection)]

    def _solved_key(self, problem: Problem, subject: Subject) -> tuple[object, ...]:
        texts = tuple(sorted({str(requirement) for requirement in problem.requirements}))
        # pins of the previous lock must not move because another build with the same requirements is upgraded
        return (texts, problem.excluded, _merged(self._hints(subject, self.target)))

    def _learn_metadata(self, frame: _Frame, request: BuildRequest) -> None:
        """Close the build of a release whose metadata only its backend knows, then have the backend make them."""
        source, walk = request.source, self
        if request.target == frame.problem.target:
            built = self.done.get(built_key(source, request.version))
            if built is None:
                self._push(frame, source, request.version)
                return
        else:
            walk = self._other(request.target)
            built = walk.close_alone(self.sources.inspect(source), frame.problem)
        self.sources.learn_metadata(request, built, walk.done)

    def _other(self, target: Target) -> "_TargetWalk":
        """Return the walk of the target on which hooks are called for this one.

        Its pins are not preferences of any other: an older Python must not hold a newer one back.
        """
        if target.label not in self.others:
            self.others[target.label] = _TargetWalk(
                target=target,
                plan=self.plan,
                sources=self.sources,
                reporter=self.reporter,
                used=dict(self.used),
                others=self.others,
            )
        return self.others[target.label]

    # -- step 2: close the builds of the pins

    def _descend(self, frame: _Frame) -> None:
        pin = frame.waiting.pop()
        source = built_from(pin.distribution)
        if source is not None and key_of_pin(pin) not in self.done:
            self._push(frame, source, pin.version)

    def _push(self, frame: _Frame, source: Buildable, version: Version) -> None:
        """Push a build onto the stack; one that is there already is a cycle."""
        if any(above.subject is not None and above.subject.source == source for above in self.stack):
            frame.cycle = frame.cycle or self._chain(f"{source.name} {version}")
            self._exclude(frame, source.name, version)
            return
        if len(self.stack) >= MAX_DEPTH:
            raise LimitExceeded(f"builds are nested more than {MAX_DEPTH} levels deep: {self._chain(source.name)}")
        new = self.frame(self.sources.inspect(source), frame.problem)
        new.version = version
        self.stack.append(new)

    # -- step 3: the hook's answer

    def _finish(self, frame: _Frame) -> None:
        """Get the hook's answer in the declared environment, again while the answer changes that environment itself."""
        subject, resolved = frame.subject, frame.resolved
        if subject is None or resolved is None:
            self.stack.pop()
            return
        environment = resolved if frame.declared is None else _within(resolved, frame.declared)
        if frame.answer is None or environment != frame.answered_in:
            frame.stages += 1
            if frame.stages > MAX_STAGES:
                raise Unsatisfiable(
                    f"the backend of {subject.name} {subject.version or ''} returns other requirements at each call",
                    hint="pin its build requirements with a build constraint",
                )
            known = frame.answer.requires or () if frame.answer is not None else ()
            frame.answer = self._answer(subject, environment, frame.problem)
            frame.declared = frame.declared or resolved
            frame.answered_in = environment
            dynamic = frame.answer.requires or ()
            if dynamic != known:
                problem = self._problem(subject, frame.problem, dynamic)
                frame.problem = replace(problem, excluded=frame.problem.excluded)
                frame.resolved = None
                return
        self.done[subject.key] = Built(
            subject=subject,
            target=frame.problem.target,
            answer=frame.answer,
            declared=frame.declared or resolved,
            final=resolved,
        )
        self.used.update(_merged(self.used, _versions_of(resolved)))
        self.stack.pop()

    def _answer(self, subject: Subject, environment: Resolved, problem: Problem) -> HookAnswer:
        answer = self.sources.build_requirements(subject, environment, problem.target, self.done)
        if not isinstance(answer, HookElsewhere):
            return answer
        built = self._other(answer.target).close_alone(subject, problem)
        return answer.fallback if built is None else answer.fallback.replaced_by(built.answer)

    # -- what cannot be built

    def _exclude(self, frame: _Frame, name: NormalizedName, version: Version) -> None:
        """Have a frame resolved again without one pin."""
        frame.problem = replace(frame.problem, excluded=frame.problem.excluded | {(name, version)})
        frame.resolved = None
        frame.waiting = []

    def _give_up(self, frame: _Frame, impossible: Impossible) -> None:
        """Try another version one level up; if there is none, raise what failed first.

        What the project itself requires is given up only because of a cycle: a release that cannot be built is not
        silently replaced by an older one.
        """
        subject = frame.subject
        if subject is not None and frame.answer is not None and _may_be_dropped(frame.answer):
            self._drop_requirements(frame, subject, frame.answer)
            return
        chain = self._chain("") if len(self.stack) > 1 else ""
        failure = frame.failure or _failure(impossible, chain)
        if (
            subject is not None
            and subject.source is not None
            and frame.version is not None
            and len(self.stack) > (1 if frame.cycle else 2)
        ):
            self.stack.pop()
            above = self.stack[-1]
            above.cycle = above.cycle or frame.cycle
            above.failure = above.failure or failure
            self._exclude(above, subject.name, frame.version)
            return
        if frame.cycle:
            raise BuildCycle(
                f"a build cycle, and no other version avoids it, on {frame.problem.target.label}:\n  {frame.cycle}",
                hint="allow a wheel for one of them (--only-binary NAME), or pin a version with other build requirements",
            )
        raise failure

    def _drop_requirements(self, frame: _Frame, subject: Subject, answer: HookAnswer) -> None:
        """Drop requirements that no release meets: assumed ones, and those of a machine without some tool.

        The answer becomes an assumption: in the second case, that the tool is installed.
        """
        dropped = ", ".join(answer.requires or ())
        when = (
            "where a tool is not installed it also requires" if answer.conditional else f"{answer.reason}; it requires"
        )
        reason = f"{when} {dropped}, and no set of versions satisfies that here"
        frame.answer = HookAnswer(requires=None, evidence="assumed", reason=reason, lacks=answer.lacks)
        frame.problem = replace(self._problem(subject, frame.problem, ()), excluded=frame.problem.excluded)
        frame.resolved = None

    def _chain(self, last: str) -> str:
        parts = [str(frame.problem.purpose) for frame in self.stack]
        if last:
            parts.append(f"build of {last}, which is already being built: a build cycle")
        return " -> ".join(parts)

    # -- problems

    def _problem(self, subject: Subject, like: Problem, dynamic: tuple[str, ...]) -> Problem:
        return Problem(
            requirements=_requirements_of(subject, dynamic),
            target=like.target,
            purpose=Purpose(kind="build", name=subject.name, version=subject.version or ""),
            constraints=self.plan.build_constraints,
            preferences=self._preferences(subject, like.target),
            indexes=self.plan.build_indexes.get(like.target.label, ()),
            selection=replace(like.selection, resolution="highest"),
            apply_open=like.apply_open,
        )

    def _preferences(self, subject: Subject, target: Target) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
        hints = self._hints(subject, target)
        if not self.plan.share:
            return _merged(hints)
        return _merged(hints, self.plan.shared.get(target.label, {}), self.runtime, self.used)

    def _hints(self, subject: Subject, target: Target) -> Preferences:
        """Return what the previous lock pinned in this environment."""
        known = self.plan.build_hints
        own = known.get((target.label, subject.name, subject.hook))
        if own is None:  # an editable build that requires nothing else has no record of its own
            own = known.get((target.label, subject.name, "wheel"))
        return self.plan.build_moves if own is None else own


def _failure(impossible: Impossible, chain: str) -> Unsatisfiable | ReleaseRefused:
    message = impossible.explanation + (f"\n  needed by: {chain}" if chain else "")
    if not impossible.is_unsafe:
        return Unsatisfiable(message, nowhere=impossible.nowhere, cause=impossible.cause)
    hint = "require a version that can be used, or a wheel if only the sdist is refused (no-binary, build-scope)"
    return ReleaseRefused(message, hint=hint)


# -- the requirements and preferred versions of a build problem


def _needs_build(pin: Pin, selection: Selection) -> bool:
    """Whether the target takes the release as an sdist or a source tree, which is then built."""
    return not is_wheel(pin.distribution) and selection.build_scope != "none"


def _requirements_of(subject: Subject, dynamic: tuple[str, ...]) -> tuple[Requirement, ...]:
    """Return the declared requirements, those of the user, and those that the hook returned, with their origins.

    Raises RequirementInvalid.
    """
    source = "pyproject.toml"
    if subject.source is not None:
        source = f"{subject.name} {subject.version or source_of(subject.source)}"
    system = subject.facts.build_system
    table = "build-system.requires" if system.requires_from == "pyproject" else "default build system"
    declared = Origin(source=source, place=table)
    hook = Origin(source=source, place=f"get_requires_for_build_{subject.hook}")
    return (
        *(parse_requirement(text, declared) for text in system.requires),
        *subject.added,
        *(parse_requirement(text, hook) for text in dynamic),
    )


def _open_requirements(
    problem: Problem, resolved: Resolved, sources: Sources
) -> Iterator[tuple[str, Requirement, TargetPart, bool]]:
    """Yield what `open_requirements` does, for a problem and its pins, each with its subject."""
    target = problem.target
    for requirement in (*problem.requirements, *problem.overrides):
        part = part_where(requirement.marker, target) if is_open(str(requirement.marker)) else NEVER
        if not part.is_never and not is_whole(part, target):
            yield str(requirement.origin or problem.purpose), requirement, part, holds(requirement.marker, target)
    names = {pin.name for pin in resolved.pins}
    for pin in resolved.pins:
        metadata = sources.metadata(
            Candidate(name=pin.name, version=pin.version, distribution=pin.distribution), target
        )
        if not isinstance(metadata, Metadata):
            continue
        for requirement, part, applies in open_requirements(metadata, target, (BASE, *pin.extras)):
            # what is not there applies on no part of the target on which this pin is
            if requirement.name in names or not problem.apply_open:
                yield f"{pin.name} {pin.version}", requirement, part, applies


def _unmet_constraints(problem: Problem, resolved: Resolved) -> Iterator[tuple[Requirement, TargetPart]]:
    """Yield the constraints that the pins do not satisfy, and the part of the target on which they hold."""
    versions = {pin.name: pin.version for pin in resolved.pins}
    for constraint in problem.constraints:
        if constraint.name in versions and is_open(str(constraint.marker)):
            part = part_where(constraint.marker, problem.target)
            is_met = constraint.specifier.contains(versions[constraint.name], prereleases=True)
            if not part.is_never and not is_met:
                yield constraint, part


def _may_be_dropped(answer: HookAnswer) -> bool:
    return bool(answer.conditional or (answer.evidence == "assumed" and answer.requires))


def _needs_own_environment(editable: HookAnswer, wheel: HookAnswer) -> bool:
    """Whether an editable installation needs an environment of its own.

    An empty answer looks like that of a backend without the hook (PEP 660), and the wheel's environment has all that it
    requires.
    """
    requirements = frozenset(map(parse_requirement, editable.requires or ()))
    return bool(requirements) and requirements != frozenset(map(parse_requirement, wheel.requires or ()))


def _merged(*layers: Preferences) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
    """Merge preferences by project, the versions of the first layer first."""
    merged: dict[NormalizedName, tuple[Version, ...]] = {}
    for layer in layers:
        for name, versions in layer.items():
            known = merged.get(name)
            if known is None or known == versions:  # for most names, of thousands
                merged[name] = versions
            else:
                merged[name] = tuple(dict.fromkeys((*known, *versions)))
    return tuple(sorted(merged.items()))


def _versions_of(resolved: Resolved) -> dict[NormalizedName, tuple[Version, ...]]:
    """Return the pins as preferences, less direct references: no index is queried for their names."""
    return {pin.name: (pin.version,) for pin in resolved.pins if not source_of(pin.distribution)}


def _within(final: Resolved, declared: Resolved) -> Resolved:
    """Return the part of a final environment that the declared requirements alone bring in: the hook is called there."""
    names = {pin.name for pin in declared.pins}
    return Resolved(
        pins=tuple(pin for pin in final.pins if pin.name in names),
        edges=tuple(edge for edge in final.edges if edge.child in names and edge in declared.edges),
    )
