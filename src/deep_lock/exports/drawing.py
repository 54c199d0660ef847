"""What a picture of a lock shows: entries in layers, and who brings in whom. The forms draw it."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from deep_lock.exports.view import View, builds_of, installed
from deep_lock.model.chains import find_chains
from deep_lock.model.lock import LockedBuild, LockedPackage
from deep_lock.model.register import Key, Register, called, key_of, meant, members, record_key

PROJECT: Key = ("", "", "")
"""Stands for the project itself."""


class Box(Struct, frozen=True, kw_only=True):
    """One entry, in its layer: 0 is the run time, 1 what builds it, and so on down."""

    key: Key
    label: str
    level: int
    mark: Literal["", "sdist-only", "built"] = ""
    """"sdist-only": its own code runs wherever it is installed; "built": on some target."""


class Arrow(Struct, frozen=True, kw_only=True, order=True):
    """``above`` needs ``below``: to run, or to be built."""

    above: Key
    below: Key
    kind: Literal["runtime", "build"]


class Drawing(Struct, frozen=True, kw_only=True):
    """Boxes and arrows, both sorted."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({box.level for box in self.boxes}))


def layer_name(level: int) -> str:
    """Return what a layer is called."""
    return "run time" if level == 0 else f"builds, level {level}"


def draw(view: View) -> Drawing:
    """Return what is installed and built on the view's targets, for its extras and groups."""
    register, builds = view.register, builds_of(view)
    shown = {key_of(own.entry) for own in installed(view)}
    shown |= {key_of(member) for build in builds for member in members(build)}
    chains = find_chains(register)
    built = {record_key(build) for build in builds}
    boxes = [
        Box(key=key, label=called(entry), level=chains.level(key) or 0, mark=_mark(entry, built))
        for key, entry in sorted(register.entries.items())
        if key in shown
    ]
    own = [build for build in builds if build.needed == "project"]
    name = own[0].name if own else "the project"
    arrows = [*_runtime_arrows(register, shown), *_build_arrows(builds, shown)]
    boxes.insert(0, Box(key=PROJECT, label=name, level=0, mark="built" if own else ""))
    return Drawing(boxes=tuple(boxes), arrows=tuple(sorted(set(arrows))))


def _mark(entry: LockedPackage, built: set[Key]) -> Literal["", "sdist-only", "built"]:
    if entry.sdist_only:
        return "sdist-only"
    return "built" if key_of(entry) in built else ""


def _runtime_arrows(register: Register, shown: set[Key]) -> Iterator[Arrow]:
    for key in sorted(shown):
        entry = register.entries.get(key)
        if entry is None or entry.build_only:
            continue
        if entry.direct:
            yield Arrow(above=PROJECT, below=key, kind="runtime")
        for reference in entry.dependencies:
            for child in meant(reference, register):
                if key_of(child) in shown and not child.build_only:
                    yield Arrow(above=key, below=key_of(child), kind="runtime")


def _build_arrows(builds: tuple[LockedBuild, ...], shown: set[Key]) -> Iterator[Arrow]:
    """Edges inside an environment are of its builds too: a member that another one needs hangs below that one."""
    for build in builds:
        above = PROJECT if build.needed == "project" else record_key(build)
        inside = {member.name: key_of(member) for member in members(build)}
        needed = {name for member in members(build) for name in member.dependencies}
        for member in members(build):
            if member.name not in needed and (above == PROJECT or above in shown):
                yield Arrow(above=above, below=key_of(member), kind="build")
            for name in member.dependencies:
                if name in inside and inside[name] != key_of(member):
                    yield Arrow(above=key_of(member), below=inside[name], kind="build")
