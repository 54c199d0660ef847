"""The one question about a build: static proof, hook, previous lock and assumption, in that order of trust."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from deep_lock.closure.model import HookElsewhere, Plan, Subject
from deep_lock.locking.catalog import IndexCatalog
from deep_lock.models.build_system import BuildSystem, HookAnswer, KnownMetadata, SdistFacts
from deep_lock.models.distribution import Directory
from deep_lock.models.metadata import Metadata
from deep_lock.models.resolution import BuildRequest, Candidate, Problem, Resolved, Selection
from deep_lock.sdist.project_tree import TreeFacts
from deep_lock.targets.target import Target
from tests.support.worlds import target, wishes

HERE, AWAY = target(), target("3.11")
NAME = wishes("thing")[0].name
EMPTY = Resolved(pins=(), edges=())
FLIT = BuildSystem(requires=("flit_core",), backend="flit_core.buildapi", backend_path=(".",))
PROVEN = SdistFacts(build_system=FLIT, metadata=None, declared_hook=(), self_hosted="3.12.0")
UNPROVEN = SdistFacts(build_system=FLIT, metadata=None, hook_reason="unread")
OBSERVED = HookAnswer(requires=("a",), evidence="observed", observed_on="x")
PREVIOUS = HookAnswer(requires=("b",), evidence="observed", observed_on="y")
FAILED = HookAnswer(requires=None, evidence="assumed", reason="it failed")


class Direct:
    """One folder."""

    def __init__(self, facts: SdistFacts) -> None:
        self.facts = facts

    def tree(self, _: Directory) -> TreeFacts:
        return TreeFacts(name=NAME, version=None, facts=self.facts)

    def follow(self, _: object) -> Any:
        return SimpleNamespace(file=FOLDER, version=None)

    def localized(self, _: Directory, metadata: Metadata) -> Metadata:
        return metadata


FOLDER = Directory(name=NAME, path="lib")


def catalog(
    *,
    facts: SdistFacts = UNPROVEN,
    hook: HookAnswer | None = None,
    runs_on: Target | None = None,
    previous: HookAnswer | None = None,
    metadata: Metadata | None = None,
    **plan: Any,
) -> IndexCatalog:
    machine = SimpleNamespace(hook_target=lambda *_: runs_on, is_allowed=lambda _: True)
    problem = Problem(requirements=(), target=HERE, selection=plan.pop("selection", Selection()))
    return IndexCatalog(
        client=cast("Any", None),
        cache=cast("Any", None),
        direct=cast("Any", Direct(facts)),
        hooks=cast("Any", SimpleNamespace(machine=machine, requires=lambda *_: hook, metadata=lambda *_: metadata)),
        plan=Plan(runtime=(problem,), **plan),
        previous=cast("Any", SimpleNamespace(answer=lambda *_: previous)),
        releases=cast("Any", None),
    )


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"facts": PROVEN, "hook": OBSERVED, "runs_on": HERE}, ((), "static")),
        ({"facts": PROVEN, "hook": OBSERVED, "runs_on": HERE, "observe_all": True}, (("a",), "observed")),
        ({"facts": PROVEN, "hook": FAILED, "runs_on": HERE, "observe_all": True}, ((), "static")),
        ({"facts": PROVEN, "observe_all": True, "previous": PREVIOUS}, ((), "static")),
        ({"hook": OBSERVED, "runs_on": HERE, "previous": PREVIOUS}, (("a",), "observed")),
        ({"hook": FAILED, "runs_on": HERE, "previous": PREVIOUS}, (("b",), "observed")),
        ({"hook": FAILED, "runs_on": HERE}, (None, "it failed")),
        ({"previous": PREVIOUS}, (("b",), "observed")),
        ({}, (None, "unread")),
    ],
)
def test_what_a_build_requires(known: dict[str, Any], expected: tuple[object, str]) -> None:
    own = catalog(**known)
    subject = Subject(name=NAME, version=None, source=FOLDER, facts=known.get("facts", UNPROVEN))
    answer = own.build_requirements(subject, EMPTY, HERE, {})
    assert isinstance(answer, HookAnswer)
    assert (answer.requires, answer.reason if answer.evidence == "assumed" else answer.evidence) == expected


@pytest.mark.parametrize(("previous", "fallback"), [(PREVIOUS, PREVIOUS.requires), (None, None)])
def test_a_hook_that_runs_on_another_target_only(previous: HookAnswer | None, fallback: object) -> None:
    own = catalog(runs_on=AWAY, previous=previous)
    answer = own.build_requirements(own.inspect(FOLDER), EMPTY, HERE, {})
    assert isinstance(answer, HookElsewhere)
    assert (answer.target, answer.fallback.requires) == (AWAY, fallback)


def release(own: IndexCatalog) -> Metadata | BuildRequest:
    candidate = own.direct(wishes("thing @ file:lib")[0], HERE, needs_version=False)
    assert isinstance(candidate, Candidate)
    return own.metadata(candidate, HERE)


TRUE = Metadata(name=NAME, version="2", requires_dist=("true",))


def test_metadata_are_learned_from_the_backend() -> None:
    own = catalog(runs_on=AWAY, metadata=TRUE)
    request = release(own)
    assert isinstance(request, BuildRequest)
    assert request.target == AWAY
    own.learn_metadata(request, cast("Any", object()), {})
    assert release(own) == TRUE
    found = own.direct(wishes("thing @ file:lib")[0], HERE, needs_version=True)
    assert isinstance(found, Candidate)
    assert str(found.version) == "2"


@pytest.mark.parametrize(
    ("known", "fails"),
    [({}, False), ({"runs_on": HERE, "selection": Selection(build_scope="none")}, False), ({"runs_on": HERE}, True)],
    ids=["no machine", "nothing is built", "the backend fails"],
)
def test_metadata_are_assumed(known: dict[str, Any], *, fails: bool) -> None:
    guess = Metadata(name=NAME, version="1", requires_dist=("guess",))
    own = catalog(facts=SdistFacts(build_system=FLIT, metadata=None, guess=guess), **known)
    request = release(own)
    assert isinstance(request, BuildRequest) == fails
    if isinstance(request, BuildRequest):
        own.learn_metadata(request, None, {})
    assert release(own) == guess
    assert own.known_metadata(FOLDER) == KnownMetadata(
        metadata=guess, evidence="assumed", assumed_from="what its files list"
    )


def test_config_settings_weaken_what_the_files_of_a_folder_prove() -> None:
    facts = SdistFacts(build_system=FLIT, metadata=TRUE, metadata_source="static", declared_hook=())
    assert release(catalog(facts=facts, runs_on=HERE)) == TRUE
    changed = catalog(facts=facts, runs_on=HERE, config_settings={NAME: (("key", "value"),)})
    assert isinstance(release(changed), BuildRequest)
    assert changed.inspect(FOLDER).config_settings == (("key", "value"),)
