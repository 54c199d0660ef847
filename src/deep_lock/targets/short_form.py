"""A set of targets in a short form: "cp312-cp315, all platforms", "15 of 20: all but Windows".

Invariant: the words mean exactly the set, among the targets of the lock. The grammar:

- ``PYTHONS on PLATFORMS``: these Pythons, each on all of these platforms; where one of the two is not limited, ``PYTHONS, all
  platforms`` (of a lock for Linux, macOS and Windows) or ``PLATFORMS``. Several such parts are separated by ``;``.
- ``all but PART``: each target of the lock that is not in the part. A part of Pythons alone means them on all platforms.
- ``cp312-cp315`` is each minor version from the first to the last; ``Linux``, ``macOS`` and ``Windows`` are all platforms of the
  lock on that system; another platform has its own name.
"""

import re
from collections.abc import Collection, Iterable, Sequence

ALL_PLATFORMS = "all platforms"
_SYSTEMS = {"linux": "Linux", "macos": "macOS", "windows": "Windows"}
_SYSTEM = re.compile(r"-(?:many|musl)?(linux|macos|windows)(?:_|$)")
_MINOR = re.compile(r"cp3([0-9]+)(t?)")


def system_of(platform: str) -> str:
    """Return "Linux", "macOS" or "Windows" for the name of a platform; another name as it is."""
    found = _SYSTEM.search(platform)
    return _SYSTEMS[found[1]] if found else platform


def short_form(labels: Collection[str], every: Sequence[str]) -> str:
    """Return the labels of targets in a short form. ``every`` has those of the lock; labels that it does not have are listed."""
    is_part = 1 < len(labels) < len(every) and set(labels) <= set(every)
    return f"{len(set(labels))} of {len(every)}: {in_words(labels, every)}" if is_part else in_words(labels, every)


def in_words(labels: Collection[str], every: Sequence[str]) -> str:
    """Return the labels as `short_form` does, without how many they are: for the middle of a sentence."""
    foreign = [label for label in labels if label not in every]
    if foreign or not labels:
        return ", ".join(labels) or "no target"
    chosen = [label for label in every if label in labels]
    if len(chosen) == 1:
        return chosen[0]
    text = _parts(chosen, every)
    others = [label for label in every if label not in labels]
    if not others:
        return text
    # without the comma: "all but cp314, all platforms" could be read in two ways
    without = f"all but {others[0] if len(others) == 1 else _parts(others, every).removesuffix(f', {ALL_PLATFORMS}')}"
    return without if ";" not in without and len(others) < len(chosen) else text


def _split(label: str) -> tuple[str, str]:
    python, _, platform = label.partition("-")
    return python, platform


def _parts(labels: Sequence[str], every: Sequence[str]) -> str:
    """Return the labels as parts: the Pythons with the same platforms are in one."""
    platforms_of: dict[str, list[str]] = {}
    for python, platform in map(_split, labels):
        platforms_of.setdefault(python, []).append(platform)
    pythons_of: dict[tuple[str, ...], list[str]] = {}
    for python, platforms in platforms_of.items():
        pythons_of.setdefault(_limits(platforms, every), []).append(python)
    return "; ".join(_part(pythons, platforms, every) for platforms, pythons in pythons_of.items())


def _limits(platforms: Sequence[str], every: Sequence[str]) -> tuple[str, ...]:
    """Return the platforms; empty if they are all platforms of the lock."""
    return () if set(platforms) == {platform for _, platform in map(_split, every)} else tuple(platforms)


def _part(pythons: Sequence[str], platforms: Sequence[str], every: Sequence[str]) -> str:
    known = list(dict.fromkeys(platform for _, platform in map(_split, every)))
    all_pythons = len(pythons) == len({python for python, _ in map(_split, every)})
    if not platforms:
        has_every_system = set(_SYSTEMS.values()) <= set(map(system_of, known))
        if has_every_system:
            return f"{_pythons(pythons)}, {ALL_PLATFORMS}"
        own = known if len(known) == 1 else _platforms(known, known)
        return f"{_pythons(pythons)} on {', '.join(own)}"
    named = ", ".join(_platforms(platforms, known))
    return named if all_pythons else f"{_pythons(pythons)} on {named}"


def _platforms(platforms: Sequence[str], known: Iterable[str]) -> list[str]:
    of_system: dict[str, set[str]] = {}
    for platform in known:
        of_system.setdefault(system_of(platform), set()).add(platform)
    names = (system_of(own) if of_system[system_of(own)] <= set(platforms) else own for own in platforms)
    return list(dict.fromkeys(names))


def _pythons(pythons: Sequence[str]) -> str:
    """Return Pythons with a dash between the first and the last of neighboring minor versions, as many as there are."""
    minors: dict[str, list[int]] = {"": [], "t": []}
    others: list[str] = []
    for python in pythons:
        found = _MINOR.fullmatch(python)
        if found:
            minors[found[2]].append(int(found[1]))
        else:
            others.append(python)
    ranges = [text for kind, numbers in minors.items() for text in _ranges(sorted(numbers), kind)]
    return ", ".join([*ranges, *others])


def _ranges(numbers: Sequence[int], kind: str) -> Iterable[str]:
    start = 0
    for end, number in enumerate(numbers):
        if end + 1 == len(numbers) or numbers[end + 1] != number + 1:
            first, last = f"cp3{numbers[start]}{kind}", f"cp3{number}{kind}"
            yield first if start == end else f"{first}-{last}"
            start = end + 1
