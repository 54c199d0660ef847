"""A search that never goes back: the pins that resolvelib selects where no package runs out of candidates.

To be able to go back, resolvelib copies its tables for each pin, and compares each requirement with its pin in each round: time
and memory grow with the square of the packages. Most searches do not go back. This one calls the same provider for the same
packages in the same order, and compares only what changed. Where it would have to go back it has no answer, and resolvelib
searches from the start.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import Any, Generic

from resolvelib import BaseReporter
from resolvelib.providers import AbstractProvider
from resolvelib.resolvers import Criterion
from resolvelib.structs import CT, KT, RT, RequirementInformation, build_iter_view


def decide(
    requirements: Iterable[RT],
    provider: AbstractProvider[RT, CT, KT],
    reporter: BaseReporter[RT, CT, KT],
    max_rounds: int,
) -> Mapping[KT, CT] | None:
    """Return the pins of a search that does not go back; None where it would have to, or after ``max_rounds``.

    Raises what the provider raises.
    """
    return _Straight(provider, reporter).decide(requirements, max_rounds)


class _Straight(Generic[RT, CT, KT]):
    """The tables of one search. Names of methods and variables are those of resolvelib where they mean the same."""

    def __init__(self, provider: AbstractProvider[RT, CT, KT], reporter: BaseReporter[RT, CT, KT]) -> None:
        self._p = provider
        self._r = reporter
        self._criteria: dict[KT, Criterion[RT, CT]] = {}
        self._mapping: dict[KT, CT] = {}
        self._children: dict[KT, set[KT]] = defaultdict(set)
        """The names that the pin of a name requires."""
        self._unsatisfied: dict[KT, Any] = {}
        """The preference of each name that has no pin, or one that a requirement excludes."""
        self._queue: list[tuple[Any, KT]] = []
        """The same, with the best preference first; entries that are not in the table are old."""

    def decide(self, requirements: Iterable[RT], max_rounds: int) -> Mapping[KT, CT] | None:
        """See the function of the same name."""
        for requirement in requirements:
            if self._added(self._criteria, requirement, None) is not None:
                return None
        for name in self._criteria:
            self._compare(name)
        for index in range(max_rounds):
            self._r.starting_round(index=index)
            if not self._unsatisfied:
                return self._mapping
            if not self._pin(self._next()):
                return None
        return None

    def _next(self) -> KT:
        while True:
            preference, name = heappop(self._queue)
            if self._unsatisfied.get(name) is preference:
                return name

    def _pin(self, name: KT) -> bool:
        """Pin the first candidate whose requirements fit; return whether there is one."""
        for candidate in self._criteria[name].candidates:
            changed: dict[KT, Criterion[RT, CT]] = {}
            conflict = None
            for requirement in self._p.get_dependencies(candidate=candidate):
                conflict = self._added(changed, requirement, candidate)
                if conflict is not None:
                    break
            if conflict is not None:
                self._r.rejecting_candidate(conflict, candidate)
                continue
            self._take(name, candidate, changed)
            return True
        return False

    def _added(
        self, criteria: dict[KT, Criterion[RT, CT]], requirement: RT, parent: CT | None
    ) -> Criterion[RT, CT] | None:
        """Add a requirement to the criteria that a pin changes. Return the criterion that has no candidate then."""
        name = self._p.identify(requirement)
        known = criteria.get(name) or self._criteria.get(name)
        information = [*(known.information if known is not None else ()), RequirementInformation(requirement, parent)]
        matches = self._p.find_matches(
            identifier=name,
            requirements={name: (own.requirement for own in information)},
            incompatibilities={name: iter(())},
        )
        criteria[name] = Criterion(candidates=build_iter_view(matches), information=information, incompatibilities=[])
        return None if criteria[name].candidates else criteria[name]

    def _take(self, name: KT, candidate: CT, changed: dict[KT, Criterion[RT, CT]]) -> None:
        satisfied = changed.keys() - self._unsatisfied.keys()
        self._criteria.update(changed)
        self._mapping[name] = candidate
        self._children[name] |= changed.keys()
        for own in {name, *changed}:
            self._compare(own)
        for excluded in sorted(satisfied & self._unsatisfied.keys(), key=str):
            self._forget(excluded)

    def _forget(self, parent: KT) -> None:
        """Remove the requirements of a pin that another requirement excludes."""
        for name in self._children.pop(parent, ()):
            criterion = self._criteria[name]
            information = [
                own for own in criterion.information if own.parent is None or self._p.identify(own.parent) != parent
            ]
            self._criteria[name] = Criterion(criterion.candidates, information, [])
            self._compare(name)

    def _compare(self, name: KT) -> None:
        """Find out whether the pin of a name satisfies its requirements, and if not, how soon it is decided."""
        criterion = self._criteria[name]
        if name in self._mapping and all(
            self._p.is_satisfied_by(requirement=requirement, candidate=self._mapping[name])
            for requirement in criterion.iter_requirement()
        ):
            self._unsatisfied.pop(name, None)
            return
        preference = self._p.get_preference(
            identifier=name,
            resolutions=self._mapping,
            candidates={name: iter(criterion.candidates)},
            information={name: iter(criterion.information)},
            backtrack_causes=(),
        )
        self._unsatisfied[name] = preference
        heappush(self._queue, (preference, name))
