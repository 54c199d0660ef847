"""An oracle for small worlds: tries every set of releases. Shares nothing with the resolver but packaging."""

from collections.abc import Iterator, Mapping
from itertools import product

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.worlds import World

Answer = dict[str, Version]


def _asked(release: Mapping[str, object], extras: set[str]) -> list[Requirement]:
    texts = release.get("requires", ())
    assert isinstance(texts, list | tuple)
    found = [Requirement(text) for text in texts]
    return [
        requirement
        for requirement in found
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def closed(world: World, roots: list[str], answer: Answer) -> bool:
    """Whether the answer meets every requirement that is reached, and holds nothing that is not."""
    queue = [Requirement(text) for text in roots]
    extras: dict[str, set[str]] = {}
    reached: set[str] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name not in answer or not requirement.specifier.contains(answer[name], prereleases=True):
            return False
        new = {canonicalize_name(extra) for extra in requirement.extras} - extras.get(name, set())
        if name in reached and not new:
            continue
        reached.add(name)
        extras[name] = extras.get(name, set()) | new
        queue += _asked(world[name][str(answer[name])], extras[name])
    return reached == set(answer)


def answers(world: World, roots: list[str]) -> Iterator[Answer]:
    """Yield every closed answer."""
    names = sorted(world)
    for choice in product(*([None, *world[name]] for name in names)):
        answer = {name: Version(text) for name, text in zip(names, choice, strict=True) if text is not None}
        if closed(world, roots, answer):
            yield answer
