"""The stack of problems. It knows nothing of versions: the resolver chooses, this file asks again, one level deeper.

Law: no recursion, no limit of depth but a safety bound, and nothing is skipped. Every pinned sdist that will be built is
a problem of its own. A request for a build that is on the stack already is a build cycle: the stack is the message.

A frame is asked again whenever something it lacked is known (`Blocked`), whenever its backend asked for more (two stages,
one fixpoint), and whenever one of its pins turned out to be on the chain of builds under way (then without that pin).
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import BuildCycle, LimitExceeded, Unsatisfiable
from deep_lock.events import Reporter, Solving
from deep_lock.graph import Built, Closure, Plan, Preferences, Sources, Subject
from deep_lock.model.build_system import HookAnswer
from deep_lock.model.distribution import SourceDistribution
from deep_lock.model.requirement import Origin, Requirement, parse_requirement
from deep_lock.model.resolution import (
    Blocked,
    Impossible,
    Pin,
    Problem,
    Purpose,
    Resolved,
    Selection,
)
from deep_lock.model.target import Target
from deep_lock.resolve.resolver import resolve

MAX_DEPTH = 200
MAX_STAGES = 5


class _Frame(Struct, kw_only=True):
    problem: Problem
    subject: Subject | None = None
    answer: HookAnswer | None = None
    declared: Resolved | None = None
    asked_in: Resolved | None = None
    """The environment that the answer holds for."""
    resolved: Resolved | None = None
    waiting: list[Pin] = field(default_factory=list)
    stages: int = 0
    cycle: str = ""
    """The first cycle that was met below this frame: the story, should no other version break it."""
    failure: str = ""
    """The first pin of this frame that could not be built: the story, should no other version do."""


def needs_build(pin: Pin, selection: Selection) -> bool:
    """Whether the target takes the release as an sdist, which then will be built."""
    return isinstance(pin.distribution, SourceDistribution) and selection.build_scope != "none"


def build_requirements(subject: Subject, extra: tuple[str, ...]) -> tuple[Requirement, ...]:
    """Return the declared requirements, those that the user added, and what the hook asked for on top, with their origins.

    Raises RequirementInvalid.
    """
    source = f"{subject.name} {subject.version}" if subject.sdist is not None else "pyproject.toml"
    system = subject.facts.build_system
    place = "build-system.requires" if system.requires_from == "pyproject" else "default build system"
    declared = (parse_requirement(text, Origin(source=source, place=place)) for text in system.requires)
    asked = (parse_requirement(text, Origin(source=source, place="get_requires_for_build_wheel")) for text in extra)
    return (*declared, *subject.added, *asked)


def close(plan: Plan, sources: Sources, reporter: Reporter) -> Closure:
    """Resolve every target's runtime closure and every build environment below it, to full depth.

    Raises Unsatisfiable, BuildCycle, LimitExceeded, and what the sources raise.
    """
    runtime: list[tuple[Target, Resolved]] = []
    walks: list[_TargetWalk] = []
    earlier: dict[NormalizedName, tuple[Version, ...]] = {}
    used: dict[NormalizedName, tuple[Version, ...]] = {}
    for problem in plan.runtime:
        hints = plan.runtime_hints.get(problem.target.label, {})
        asked = replace(problem, preferences=_merged(hints, earlier))
        walk = _TargetWalk(plan=plan, sources=sources, reporter=reporter, used=used)
        resolved = walk.run(_Frame(problem=asked))
        walk.runtime = {pin.name: (pin.version,) for pin in resolved.pins}
        if plan.project is not None and problem.selection.build_scope != "none":
            walk.run(walk.frame(plan.project, problem))
        earlier = _remembered(earlier, resolved)
        runtime.append((problem.target, resolved))
        walks.append(walk)
    builds = [built for (_, resolved), walk in zip(runtime, walks, strict=True) for built in walk.reached(resolved)]
    return Closure(runtime=tuple(runtime), builds=tuple(builds))


def _merged(*layers: Preferences) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
    """Lay preferences over each other, the first layer's versions first."""
    merged: dict[NormalizedName, tuple[Version, ...]] = {}
    for layer in layers:
        for name, versions in layer.items():
            merged[name] = tuple(dict.fromkeys((*merged.get(name, ()), *versions)))
    return tuple(sorted(merged.items()))


def _remembered(
    known: Mapping[NormalizedName, tuple[Version, ...]], resolved: Resolved
) -> dict[NormalizedName, tuple[Version, ...]]:
    return dict(_merged(known, {pin.name: (pin.version,) for pin in resolved.pins}))


def _within(final: Resolved, declared: Resolved) -> Resolved:
    """Return the part of a final environment that stood before the hook asked for more: where it would be asked again."""
    names = {pin.name for pin in declared.pins}
    return Resolved(
        pins=tuple(pin for pin in final.pins if pin.name in names),
        edges=tuple(edge for edge in final.edges if edge.child in names and edge in declared.edges),
    )


class _TargetWalk(Struct, kw_only=True):
    """One target's stack, and what was built on it."""

    plan: Plan
    sources: Sources
    reporter: Reporter
    used: dict[NormalizedName, tuple[Version, ...]]
    """Pins of build environments so far, over all targets: shared between the walks of one run."""
    runtime: Preferences = field(default_factory=dict)
    done: dict[tuple[NormalizedName, str | None], Built] = field(default_factory=dict)
    stack: list[_Frame] = field(default_factory=list)
    solved: dict[tuple[object, ...], Resolved] = field(default_factory=dict)
    """Environments by what they are asked for: sdists that ask for the same share one."""

    def run(self, first: _Frame) -> Resolved:
        """Work the stack off until the first frame is finished."""
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
            raise Unsatisfiable("the walk ended without an answer")
        return first.resolved

    def frame(self, subject: Subject, like: Problem) -> _Frame:
        """Make the build problem of a subject, on the same target and by the same rules as another problem."""
        return _Frame(problem=self._problem(subject, like, ()), subject=subject)

    def reached(self, runtime: Resolved) -> list[Built]:
        """Return what was built and is still needed: candidates that were given up leave records behind."""
        found: dict[tuple[NormalizedName, str | None], Built] = {}
        queue: list[Pin] = list(runtime.pins)
        if self.plan.project is not None:
            own = self.done.get((self.plan.project.name, None))
            if own is not None:
                found[own.subject.name, None] = own
                queue += own.final.pins
        while queue:
            pin = queue.pop()
            key = (pin.name, str(pin.version))
            built = self.done.get(key)
            if built is not None and key not in found and built.subject.sdist == pin.distribution:
                found[key] = built
                queue += [*built.declared.pins, *built.final.pins]
        return [found[key] for key in sorted(found, key=lambda key: (key[0], key[1] or ""))]

    # -- one step each

    def _resolve(self, frame: _Frame) -> None:
        self.reporter(Solving(subject=str(frame.problem.purpose), target=frame.problem.target.label))
        key = self._key(frame)
        if frame.subject is not None and key in self.solved:
            frame.resolved = self.solved[key]
        else:
            match resolve(frame.problem, self.sources):
                case Blocked(request=request):
                    self.sources.assume(request)
                    return
                case Impossible() as impossible:
                    self._give_up(frame, impossible)
                    return
                case Resolved() as resolved:
                    frame.resolved = resolved
                    if frame.subject is not None:
                        self.solved[key] = resolved
        selection = frame.problem.selection
        frame.waiting = [pin for pin in reversed(frame.resolved.pins) if needs_build(pin, selection)]

    def _key(self, frame: _Frame) -> tuple[object, ...]:
        texts = tuple(sorted({str(requirement) for requirement in frame.problem.requirements}))
        return (texts, frame.problem.excluded)

    def _descend(self, frame: _Frame) -> None:
        pin = frame.waiting.pop()
        sdist = pin.distribution
        if (pin.name, str(pin.version)) in self.done or not isinstance(sdist, SourceDistribution):
            return
        if any(
            above.subject is not None
            and above.subject.sdist is not None
            and (above.subject.name, above.subject.sdist.version) == (pin.name, pin.version)
            for above in self.stack
        ):
            frame.cycle = frame.cycle or self._chain(f"{pin.name} {pin.version}")
            self._exclude(frame, pin.name, pin.version)
            return
        if len(self.stack) >= MAX_DEPTH:
            raise LimitExceeded(f"{MAX_DEPTH} levels of builds below each other: {self._chain(pin.name)}")
        facts = self.sources.facts(sdist)
        added = self.plan.extra_build_requires.get(pin.name, ())
        subject = Subject(name=pin.name, version=str(pin.version), sdist=sdist, facts=facts, added=added)
        self.stack.append(self.frame(subject, frame.problem))

    def _finish(self, frame: _Frame) -> None:
        """Ask the backend in the declared environment; ask again while the answer changes that environment itself."""
        subject, resolved = frame.subject, frame.resolved
        if subject is None or resolved is None:
            self.stack.pop()
            return
        asked_in = resolved if frame.declared is None else _within(resolved, frame.declared)
        if frame.answer is None or asked_in != frame.asked_in:
            frame.stages += 1
            if frame.stages > MAX_STAGES:
                raise Unsatisfiable(
                    f"the backend of {subject.name} {subject.version or ''} asks for something else each time it is asked",
                    hint="pin its build requirements with a build constraint",
                )
            known = frame.answer.requires or () if frame.answer is not None else ()
            frame.answer = self.sources.answer(subject.facts, asked_in, frame.problem.target)
            frame.declared = frame.declared or resolved
            frame.asked_in = asked_in
            asked = frame.answer.requires or ()
            if asked != known:
                problem = self._problem(subject, frame.problem, asked)
                frame.problem = replace(problem, excluded=frame.problem.excluded)
                frame.resolved = None
                return
        self.done[subject.name, subject.version if subject.sdist is not None else None] = Built(
            subject=subject,
            target=frame.problem.target,
            answer=frame.answer,
            declared=frame.declared or resolved,
            final=resolved,
        )
        self.used.update(_remembered(self.used, resolved))
        self.stack.pop()

    # -- what cannot be built

    def _exclude(self, frame: _Frame, name: NormalizedName, version: Version) -> None:
        """Ask a frame again without one pin."""
        frame.problem = replace(frame.problem, excluded=frame.problem.excluded | {(name, version)})
        frame.resolved = None
        frame.waiting = []

    def _give_up(self, frame: _Frame, impossible: Impossible) -> None:
        """Without an answer, try another version one level up; if there is none, say what was met first, and stop.

        What the project itself asks for is given up only because of a cycle: a release that cannot be built is not
        silently replaced by an older one.
        """
        subject = frame.subject
        if subject is not None and frame.answer is not None and frame.answer.conditional:
            self._do_without(frame, subject, frame.answer)
            return
        chain = self._chain("") if len(self.stack) > 1 else ""
        story = frame.failure or impossible.explanation + (f"\n  needed by: {chain}" if chain else "")
        if subject is not None and subject.sdist is not None and len(self.stack) > (1 if frame.cycle else 2):
            self.stack.pop()
            above = self.stack[-1]
            above.cycle = above.cycle or frame.cycle
            above.failure = above.failure or story
            self._exclude(above, subject.name, subject.sdist.version)
            return
        if frame.cycle:
            raise BuildCycle(
                f"a build cycle that no other version breaks, on {frame.problem.target.label}:\n  {frame.cycle}",
                hint="allow a wheel for one of them (--only-binary NAME), or pin a version that is built otherwise",
            )
        raise Unsatisfiable(story)

    def _do_without(self, frame: _Frame, subject: Subject, answer: HookAnswer) -> None:
        """Leave out what the backend asks for only on a machine that lacks a tool: it cannot be had.

        Then it is assumed that the tool is there, and said so.
        """
        wanted = ", ".join(answer.requires or ())
        reason = f"on a machine that lacks the tool it also asks for {wanted}, which cannot be met here"
        frame.answer = HookAnswer(requires=None, evidence="assumed", reason=reason)
        frame.problem = replace(self._problem(subject, frame.problem, ()), excluded=frame.problem.excluded)
        frame.resolved = None

    def _chain(self, last: str) -> str:
        parts = [str(frame.problem.purpose) for frame in self.stack]
        return " -> ".join(
            [*parts, *([f"build of {last}, which is already being built: a build cycle"] if last else [])]
        )

    # -- problems

    def _problem(self, subject: Subject, like: Problem, extra: tuple[str, ...]) -> Problem:
        return Problem(
            requirements=build_requirements(subject, extra),
            target=like.target,
            purpose=Purpose(kind="build", name=subject.name, version=subject.version or ""),
            constraints=self.plan.build_constraints,
            preferences=self._preferences(subject, like.target),
            selection=replace(like.selection, resolution="highest"),
        )

    def _preferences(self, subject: Subject, target: Target) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
        own = self.plan.build_hints.get((target.label, subject.name), {})
        if not self.plan.share:
            return _merged(own)
        return _merged(own, self.plan.shared.get(target.label, {}), self.runtime, self.used)
