"""The stack of problems. It knows nothing of versions: the resolver chooses, this file asks again, one level deeper.

Law: no recursion, no limit of depth but a safety bound, and nothing is skipped. Every pinned sdist that will be built is
a problem of its own. A request for a build that is on the stack already is a build cycle: the stack is the message.

A frame is asked again whenever something it lacked is known (`Blocked`), whenever its backend asked for more (two stages,
one fixpoint), and whenever one of its pins turned out to be on the chain of builds under way (then without that pin).
"""

from collections.abc import Mapping
from typing import get_args

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.build_requirements import (
    asks_otherwise,
    build_requirements,
    merged,
    needs_build,
    remembered,
    versions_of,
    within,
)
from deep_lock.closure.model import Built, BuiltKey, Closure, Plan, Preferences, Sources, Subject, built_key, key_of_pin
from deep_lock.errors import ActionNeeded, BuildCycle, LimitExceeded, Unsatisfiable
from deep_lock.events import Reporter, Solving
from deep_lock.models.build_system import Hook, HookAnswer
from deep_lock.models.distribution import Buildable, built_from
from deep_lock.models.resolution import Blocked, BuildRequest, Impossible, Pin, Problem, Purpose, Resolved
from deep_lock.resolver.releases import Choices
from deep_lock.resolver.resolver import resolve
from deep_lock.targets.target import Target

MAX_DEPTH = 200
MAX_STAGES = 5


class _Frame(Struct, kw_only=True):
    problem: Problem
    subject: Subject | None = None
    version: Version | None = None
    """The version by which the frame above pinned the subject."""
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


def close(plan: Plan, sources: Sources, reporter: Reporter) -> Closure:
    """Resolve every target's runtime closure and every build environment below it, to full depth.

    Raises Unsatisfiable, BuildCycle, LimitExceeded, and what the sources raise.
    """
    runtime: list[tuple[Target, Resolved]] = []
    walks: list[_TargetWalk] = []
    earlier: dict[NormalizedName, tuple[Version, ...]] = {}
    used: dict[NormalizedName, tuple[Version, ...]] = {}
    away: dict[str, _TargetWalk] = {}
    for problem in plan.runtime:
        hints = plan.runtime_hints.get(problem.target.label, {})
        asked = replace(problem, preferences=merged(hints, earlier))
        walk = _TargetWalk(target=problem.target, plan=plan, sources=sources, reporter=reporter, used=used, away=away)
        resolved = walk.run(_Frame(problem=asked))
        walk.runtime = versions_of(resolved)
        if plan.project is not None and problem.selection.build_scope != "none":
            walk.run(walk.frame(plan.project, problem))
            walk.add_editable(plan.project, problem)
        earlier = remembered(earlier, resolved)
        runtime.append((problem.target, resolved))
        walks.append(walk)
    builds = [built for (_, resolved), walk in zip(runtime, walks, strict=True) for built in walk.reached(resolved)]
    unknown = sorted({reason for walk in walks for reason in walk.editable_unknown})
    return Closure(runtime=tuple(runtime), builds=tuple(builds), editable_unknown=tuple(unknown))


def close_build(
    plan: Plan, subject: Subject, like: Problem, sources: Sources, reporter: Reporter
) -> tuple[Built, Mapping[BuiltKey, Built]]:
    """Close one build for its own sake, on the target of ``like``; returns it with all builds below it.

    Raises as `close`.
    """
    walk = _TargetWalk(target=like.target, plan=plan, sources=sources, reporter=reporter, used={}, away={})
    walk.run(walk.frame(subject, like))
    return walk.done[subject.key], walk.done


class _TargetWalk(Struct, kw_only=True):
    """One target's stack, and what was built on it."""

    target: Target
    plan: Plan
    sources: Sources
    reporter: Reporter
    away: dict[str, "_TargetWalk"]
    """Walks for the sake of asking backends, by label: shared between the walks of one run."""
    used: dict[NormalizedName, tuple[Version, ...]]
    """Pins of build environments so far, over all targets: shared between the walks of one run."""
    runtime: Preferences = field(default_factory=dict)
    done: dict[BuiltKey, Built] = field(default_factory=dict)
    hopeless: dict[BuiltKey, str] = field(default_factory=dict)
    """Builds that could not be closed for their own sake, and why."""
    editable_unknown: list[str] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    choices: Choices = field(default_factory=Choices)
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

    def add_editable(self, project: Subject, like: Problem) -> None:
        """Close the project's editable build too, and keep it where it needs an environment of its own.

        A lock does not fail because of it: who installs the wheel does not need it.
        """
        wheel = self.done[project.key].answer
        if wheel.evidence == "assumed":
            return
        subject = replace(project, hook="editable")
        built = self.closed(subject, like)
        if built is None:
            self.editable_unknown.append(self.hopeless[subject.key])
        elif built.answer.evidence == "assumed":
            self.editable_unknown.append(built.answer.reason)
        if built is not None and not asks_otherwise(built.answer, wheel):
            del self.done[subject.key]

    def reached(self, runtime: Resolved) -> list[Built]:
        """Return what was built and is still needed: candidates that were given up leave records behind."""
        found: dict[BuiltKey, Built] = {}
        queue: list[Pin] = list(runtime.pins)
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

    # -- one step each

    def _resolve(self, frame: _Frame) -> None:
        self.reporter(Solving(subject=str(frame.problem.purpose), target=frame.problem.target.label))
        key = self._key(frame)
        if frame.subject is not None and key in self.solved:
            frame.resolved = self.solved[key]
        else:
            match resolve(frame.problem, self.sources, self.choices):
                case Blocked(request=request):
                    self._learn(frame, request)
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
        # what an earlier lock pinned there must not move because another build, which asks for the same, is to move
        return (
            texts,
            frame.problem.excluded,
            merged(self._hints(frame.subject, self.target)) if frame.subject is not None else (),
        )

    def _descend(self, frame: _Frame) -> None:
        pin = frame.waiting.pop()
        source = built_from(pin.distribution)
        if source is not None and key_of_pin(pin) not in self.done:
            self._push(frame, source, pin.version)

    def _push(self, frame: _Frame, source: Buildable, version: Version) -> None:
        """Put a build onto the stack; one that is there already is a cycle."""
        if any(above.subject is not None and above.subject.source == source for above in self.stack):
            frame.cycle = frame.cycle or self._chain(f"{source.name} {version}")
            self._exclude(frame, source.name, version)
            return
        if len(self.stack) >= MAX_DEPTH:
            raise LimitExceeded(f"{MAX_DEPTH} levels of builds below each other: {self._chain(source.name)}")
        made = self.frame(self._subject(source), frame.problem)
        made.version = version
        self.stack.append(made)

    def _subject(self, source: Buildable) -> Subject:
        return replace(
            self.sources.subject(source),
            added=self.plan.extra_build_requires.get(source.name, ()),
            config_settings=self.plan.config_settings.get(source.name, ()),
        )

    # -- what only a backend knows

    def _learn(self, frame: _Frame, request: BuildRequest) -> None:
        """Find out the metadata of a release: close its build, ask its backend; where neither can be, assume it."""
        source, target = request.source, frame.problem.target
        place = None
        if frame.problem.selection.build_scope != "none":
            place = self.sources.place(request.name, target)
        if place is None:
            self.sources.assume(request)
        elif place == target:
            built = self.done.get(built_key(request.name, str(request.version), source))
            if built is None:
                self._push(frame, source, request.version)
            else:
                self.sources.observe(built, self.done)
        else:
            walk = self._away(place)
            away = walk.closed(self._subject(source), frame.problem)
            if away is None:
                self.sources.assume(request)
            else:
                self.sources.observe(away, walk.done)

    def _answer(self, subject: Subject, environment: Resolved, problem: Problem) -> HookAnswer:
        """Return what the backend asks for: by proof, else by asking it, else as an earlier lock has it."""
        proven = self.sources.proven(subject, environment, problem.target)
        if proven.evidence != "assumed" and not self.plan.observe_all:
            return proven
        asked = self._asked(subject, environment, problem)
        if asked is not None and asked.evidence == "observed":
            return asked
        if proven.evidence != "assumed":
            return proven
        return self.sources.kept(subject, environment, problem.target) or asked or proven

    def _asked(self, subject: Subject, environment: Resolved, problem: Problem) -> HookAnswer | None:
        """Ask the backend here, or as the target that this machine can speak for; None where it may not be asked."""
        place = self.sources.place(subject.name, problem.target)
        if place is None:
            return None
        if place == problem.target:
            return self.sources.ask(subject, environment, place, self.done)
        built = self._away(place).closed(subject, problem)
        return None if built is None else built.answer

    def closed(self, subject: Subject, like: Problem) -> Built | None:
        """Close one build for its own sake, on this walk's target; None where it cannot be."""
        key = subject.key
        if key not in self.done and key not in self.hopeless:
            try:
                self.run(self.frame(subject, replace(like, target=self.target)))
            except ActionNeeded as error:
                self.hopeless[key] = error.message
        return self.done.get(key)

    def _away(self, place: Target) -> "_TargetWalk":
        """Return the walk of the target on which backends are asked on behalf of this one.

        Its pins are nobody's preferences: an older Python must not hold a newer one back.
        """
        if place.label not in self.away:
            self.away[place.label] = _TargetWalk(
                target=place,
                plan=self.plan,
                sources=self.sources,
                reporter=self.reporter,
                used=dict(self.used),
                away=self.away,
            )
        return self.away[place.label]

    # -- the end of a frame

    def _finish(self, frame: _Frame) -> None:
        """Ask the backend in the declared environment; ask again while the answer changes that environment itself."""
        subject, resolved = frame.subject, frame.resolved
        if subject is None or resolved is None:
            self.stack.pop()
            return
        asked_in = resolved if frame.declared is None else within(resolved, frame.declared)
        if frame.answer is None or asked_in != frame.asked_in:
            frame.stages += 1
            if frame.stages > MAX_STAGES:
                raise Unsatisfiable(
                    f"the backend of {subject.name} {subject.version or ''} asks for something else each time it is asked",
                    hint="pin its build requirements with a build constraint",
                )
            known = frame.answer.requires or () if frame.answer is not None else ()
            frame.answer = self._answer(subject, asked_in, frame.problem)
            frame.declared = frame.declared or resolved
            frame.asked_in = asked_in
            asked = frame.answer.requires or ()
            if asked != known:
                problem = self._problem(subject, frame.problem, asked)
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
        self.used.update(remembered(self.used, resolved))
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
        if (
            subject is not None
            and subject.source is not None
            and frame.version is not None
            and len(self.stack) > (1 if frame.cycle else 2)
        ):
            self.stack.pop()
            above = self.stack[-1]
            above.cycle = above.cycle or frame.cycle
            above.failure = above.failure or story
            self._exclude(above, subject.name, frame.version)
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

    def _hints(self, subject: Subject, target: Target) -> Preferences:
        """Return what an earlier lock pinned in this environment."""
        known = self.plan.build_hints
        here = known.get((target.label, subject.name, subject.hook))
        if here is None:  # an editable build that asks for nothing else has no record of its own
            here = known.get((target.label, subject.name, "wheel"))
        return self.plan.build_moves if here is None else here

    def _preferences(self, subject: Subject, target: Target) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
        own = self._hints(subject, target)
        if not self.plan.share:
            return merged(own)
        return merged(own, self.plan.shared.get(target.label, {}), self.runtime, self.used)
