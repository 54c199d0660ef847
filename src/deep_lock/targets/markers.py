"""Writes markers that hold on exactly some of the declared targets.

On other machines a marker may hold or not: the ``environments`` of a lock exclude them.
Invariant: a marker is exact. Each text is evaluated on every declared target before it is returned.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from msgspec import Struct
from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier

from deep_lock.errors import TargetsAlike
from deep_lock.pep440 import parse_marker, parse_specifier
from deep_lock.targets.marker_minimizer import (
    Grid,
    Literals,
    Python,
    conjunction,
    cover,
    grid,
    platform_of,
    python_axis,
    write,
)
from deep_lock.targets.open_markers import TargetPart, is_whole, part_text
from deep_lock.targets.target import Target


class MarkerInexact(AssertionError):
    """A marker does not hold where it must, or holds where it must not: a bug of this module."""


class Scope(Struct, frozen=True, kw_only=True, order=True):
    """What requires a package of the lock: the project itself, an extra of it, or a dependency group."""

    kind: Literal["base", "extra", "group"]
    name: str = ""
    """Normalized; empty for base."""
    only_with: "tuple[Scope, ...]" = ()
    """Of a part of a scope: other extras and groups that must be selected too."""
    never_with: "tuple[Scope, ...]" = ()
    """And those that must not."""

    @property
    def whole(self) -> "Scope":
        """The scope that this is a part of."""
        return Scope(kind=self.kind, name=self.name)

    def is_selected(self, selected: "Collection[Scope]") -> bool:
        """Whether it requires its packages, where these whole scopes are selected."""
        own = self.kind == "base" or self.whole in selected
        return own and all(other in selected for other in self.only_with) and not set(self.never_with) & set(selected)


BASE = Scope(kind="base")

Part = tuple[frozenset[str], Scope]
"""The labels of targets on which a scope requires a package."""


def enlarge(chosen: Iterable[str], declared: tuple[Target, ...]) -> frozenset[str]:
    """Add the labels of declared targets that no marker can distinguish from the chosen ones.

    Examples: a free-threaded build and the ordinary one, glibc and musl, two levels of glibc or of macOS.
    """
    required = frozenset(chosen)
    table = grid(declared)
    cells = _bits(required, declared, table)
    return frozenset(target.label for target, cell in zip(declared, table.cells, strict=True) if cell & cells)


def label_marker(chosen: frozenset[str], declared: tuple[Target, ...]) -> str | None:
    """Write the marker that holds on the chosen targets and on no other declared one; None where all are chosen.

    Raises TargetsAlike if no marker can distinguish a chosen target from another one: a caller that accepts the larger
    set passes ``enlarge(chosen, declared)``. Raises ValueError on no label or one that is not declared.
    """
    return with_scopes([(chosen, BASE)], declared)


def with_scopes(parts: Sequence[Part], declared: tuple[Target, ...]) -> str | None:
    """Write the marker of a package that several scopes require, each on its own targets (PEP 751 extras and groups).

    It holds on a target if base requires the package there, or a selected scope does. None if base does everywhere.

    Raises TargetsAlike and ValueError as `label_marker`.
    """
    return _with_scopes(frozenset(parts), declared)


def with_parts(parts: Mapping[str, Mapping[Scope, TargetPart]], declared: tuple[Target, ...]) -> str | None:
    """Write the marker of a package that scopes require on parts of targets, by label: `with_scopes` for each part.

    Raises TargetsAlike and ValueError as `label_marker`.
    """
    labels: dict[str, dict[Scope, set[str]]] = {}
    for target in declared:
        scopes = parts.get(target.label, {})
        base = BASE in scopes and is_whole(scopes[BASE], target)
        for scope, part in scopes.items():
            everywhere = is_whole(part, target)
            if everywhere or not base:
                text = "" if everywhere else part_text(part, target)
                labels.setdefault(text, {}).setdefault(scope, set()).add(target.label)
    alternatives: list[str] = []
    for text, own in sorted(labels.items()):
        marker = with_scopes([(frozenset(each), scope) for scope, each in sorted(own.items())], declared)
        if not text and marker is None:
            return None
        alternatives.append(" and ".join(_in_brackets(each) if text else each for each in (marker, text) if each))
    return " or ".join(alternatives)


def _in_brackets(marker: str) -> str:
    return f"({marker})" if " or " in marker else marker


@lru_cache(maxsize=4096)
def _with_scopes(parts: frozenset[Part], declared: tuple[Target, ...]) -> str | None:
    required: dict[Scope, frozenset[str]] = {}
    for labels, scope in parts:
        required[scope] = required.get(scope, frozenset()) | labels
    if not any(required.values()) or not frozenset[str]().union(*required.values()) <= {
        target.label for target in declared
    }:
        raise ValueError("a marker needs labels, all of declared targets")
    for labels in required.values():
        _refuse_alike(labels, declared)
    alternatives = _alternatives(required, declared)
    text = None if alternatives is None else " or ".join(alternatives)
    _verify(text, required, declared)
    return text


def _refuse_alike(labels: frozenset[str], declared: tuple[Target, ...]) -> None:
    more = sorted(enlarge(labels, declared) - labels)
    if more:
        like = next(target for target in declared if target.label == more[0])
        here = next(t.label for t in declared if t.label in labels and more[0] in enlarge([t.label], declared))
        raise TargetsAlike(
            f"{here} and {like.label} need different packages, and no marker can distinguish them",
            hint="Declare one of the two targets only, or lock for them in two files.",
        )


def _bits(labels: frozenset[str], declared: tuple[Target, ...], table: Grid) -> int:
    bits = 0
    for target, cell in zip(declared, table.cells, strict=True):
        if target.label in labels:
            bits |= cell
    return bits


def _alternatives(required: Mapping[Scope, frozenset[str]], declared: tuple[Target, ...]) -> list[str] | None:
    """The ``or`` parts of a marker; None if it always holds. Where base holds, the parts of other scopes may hold or not."""
    table = grid(declared)
    everywhere = _bits(frozenset(target.label for target in declared), declared, table)
    base = _bits(required.get(BASE, frozenset()), declared, table)
    if base == everywhere:
        return None
    alternatives = list(write(cover(base, everywhere & ~base, table.terms)))
    scopes: dict[int, list[str]] = {}
    for scope in sorted(required):
        needed = _bits(required[scope], declared, table) & ~base
        if needed:
            scopes.setdefault(needed, []).append(_selected(scope))
    for needed, selected in scopes.items():
        forbidden = everywhere & ~base & ~needed
        if forbidden:
            platforms = write(cover(needed, forbidden, table.terms))
            alternatives.append(f"{_either(selected)} and {_either(platforms)}")
        else:
            alternatives.extend(selected)
    return alternatives


def _selected(scope: Scope) -> str:
    texts = [f"'{own.name}' in {_variable(own)}" for own in (scope.whole, *scope.only_with) if own != BASE]
    texts += [f"'{other.name}' not in {_variable(other)}" for other in scope.never_with]
    return " and ".join(texts)


def _variable(scope: Scope) -> str:
    return "extras" if scope.kind == "extra" else "dependency_groups"


def _either(alternatives: Sequence[str]) -> str:
    return alternatives[0] if len(alternatives) == 1 else f"({' or '.join(alternatives)})"


def _verify(text: str | None, required: Mapping[Scope, frozenset[str]], declared: tuple[Target, ...]) -> None:
    """Evaluate the text as an installer does: with nothing selected, everything, and what each scope needs to be selected.

    These are enough: no package is required by a combination of scopes, other than the parts of a scope name.
    """
    marker = _parse(text)
    parts = sorted(scope for scope in required if scope != BASE)
    named = {own for part in parts for own in (part.whole, *part.only_with, *part.never_with)} - {BASE}
    selections = {frozenset[Scope](), frozenset(named), *(frozenset((own,)) for own in named), *map(_needed_for, parts)}
    for target in _different(text, required, declared):
        here = [part for part in parts if target.label in required[part]]
        always = target.label in required.get(BASE, frozenset())
        for selected in selections:
            expected = always or any(part.is_selected(selected) for part in here)
            if _evaluate(marker, target, selected) != expected:
                raise MarkerInexact(f"{text!r} on {target.label} with {sorted(selected)}")


def _different(
    text: str | None, required: Mapping[Scope, frozenset[str]], declared: tuple[Target, ...]
) -> tuple[Target, ...]:
    """Return the targets on which a marker has to be evaluated: one for each set of scopes, if it names no environment."""
    if text is None or _ENVIRONMENT.search(text):
        return declared
    return tuple(
        {frozenset(own for own in required if target.label in required[own]): target for target in declared}.values()
    )


_ENVIRONMENT = re.compile(r"\b(?:python|platform|sys|os|implementation)_")
"""The start of each variable of a marker that has a value on a target."""


def _needed_for(part: Scope) -> frozenset[Scope]:
    return frozenset((part.whole, *part.only_with)) - {BASE}


def _parse(text: str | None) -> Marker | None:
    try:
        return None if text is None else parse_marker(text)
    except InvalidMarker as error:
        raise MarkerInexact(f"{text!r}: {error}") from None


def _evaluate(marker: Marker | None, target: Target, selected: Collection[Scope]) -> bool:
    if marker is None:
        return True
    chosen = {
        "extras": frozenset(scope.name for scope in selected if scope.kind == "extra"),
        "dependency_groups": frozenset(scope.name for scope in selected if scope.kind == "group"),
    }
    return marker.evaluate({**target.environment, **chosen}, context="lock_file")


def environment_marker(target: Target, declared: tuple[Target, ...]) -> str:
    """Write the marker of a target: its machine and system, and its Python if several are declared.

    It holds on no other declared target, except those that no marker can distinguish from it (see `enlarge`).
    """
    named = _python_name(target, declared) if len(python_axis(declared)) > 1 else ()
    text = conjunction((*_platform_name(platform_of(target)), *named))
    marker, alike = _parse(text), enlarge([target.label], declared)
    for other in declared:
        if _evaluate(marker, other, ()) != (other.label in alike):
            raise MarkerInexact(f"{text!r} on {other.label}")
    return text


def _platform_name(platform: tuple[str, str]) -> Literals:
    machine, system = platform
    return f"platform_machine == '{machine}'", f"sys_platform == '{system}'"


def _python_name(target: Target, declared: tuple[Target, ...]) -> Literals:
    """A minor version includes all its micro versions, except those that are declared themselves."""
    axis = python_axis(declared)
    here = next(python for python in axis if python.full_version == target.python_full_version)
    if here.exact:
        return (f"python_full_version == '{here.full_version}'",)
    siblings = (python.full_version for python in axis if python.minor == here.minor and python != here)
    return (f"python_version == '{here.minor}'", *(f"python_full_version != '{version}'" for version in siblings))


def environments(
    declared: tuple[Target, ...],
    requires_python: str | None = None,
    parts: Mapping[str, TargetPart] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Write the ``environments`` of a lock (PEP 751), in declared order; one for each platform if its Pythons allow it.

    They include each declared target, and no other Python minor version or platform: a lock is exact for its targets
    alone. Pythons that ``requires_python``, a key of the lock too, excludes are not excluded again. ``parts`` are, by label,
    the parts of targets that the lock is for.
    """
    admitted = _admitted_minors(requires_python)
    texts: dict[str, None] = {}
    for platform in dict.fromkeys(map(platform_of, declared)):
        here = [target for target in declared if platform_of(target) == platform]
        axis = python_axis(target for target in here if target.label not in parts)
        for clause in _python_clauses(axis, admitted) if axis else ():
            texts[conjunction((*_platform_name(platform), *clause))] = None
        for target in here:
            if target.label in parts:
                own = part_text(parts[target.label], target)
                named = conjunction((*_platform_name(platform), f"python_version == '{_minor_of(target)}'"))
                texts[f"{named} and {_in_brackets(own)}"] = None
    markers = [_parse(text) for text in texts]
    for target in declared:
        if target.label not in parts and not any(_evaluate(marker, target, ()) for marker in markers):
            raise MarkerInexact(f"{target.label} is in none of {tuple(texts)}")
    return tuple(texts)


def _minor_of(target: Target) -> str:
    return target.environment["python_version"]


def _minor(text: str) -> int:
    return int(text.split(".")[1])


def _python_clauses(axis: tuple[Python, ...], admitted: frozenset[int]) -> list[Literals]:
    whole = sorted({_minor(python.minor) for python in axis if not python.exact})
    single = [python for python in axis if python.exact and _minor(python.minor) not in whole]
    if not single and admitted <= set(whole):
        return [()]
    runs: list[list[int]] = []
    for minor in whole:
        if runs and minor == runs[-1][-1] + 1:
            runs[-1].append(minor)
        else:
            runs.append([minor])
    clauses = [_run(run[0], run[-1], admitted) for run in runs]
    return [*clauses, *((f"python_full_version == '{python.full_version}'",) for python in single)]


def _run(first: int, last: int, admitted: frozenset[int]) -> Literals:
    """The bounds of a run of minor versions, where requires-python has none."""
    if first == last:
        return (f"python_version == '3.{first}'",)
    low = (f"python_version >= '3.{first}'",) if any(minor < first for minor in admitted) else ()
    high = (f"python_version <= '3.{last}'",) if any(minor > last for minor in admitted) else ()
    return (*low, *high)


_BEFORE, _AFTER = -1, 99  # Python 2 and Python 4, as minor versions of 3


def _admitted_minors(requires_python: str | None) -> frozenset[int]:
    """The minor versions of Python 3 of which requires-python allows any micro version."""
    try:
        specifier = parse_specifier(requires_python or "")
        samples: dict[int, tuple[str, ...]] = {minor: (f"3.{minor}.0", f"3.{minor}.99") for minor in range(40)}
        samples |= {_BEFORE: ("2.7.18",), _AFTER: ("4.0.0",)}
        return frozenset(minor for minor, versions in samples.items() if any(map(specifier.contains, versions)))
    except (InvalidSpecifier, ValueError):
        # an invalid specifier excludes nothing
        return frozenset((_BEFORE, *range(40), _AFTER))
