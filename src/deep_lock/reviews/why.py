"""Why something is in a lock: every way in, across build levels.

Law: a way in is told for each place that brings the entry in, by the shortest chain that leads there. All chains would be
too many to read, and each of them ends in one of these.
"""

from collections.abc import Iterator

from msgspec import Struct

from deep_lock.display import show
from deep_lock.model.chains import Chain, Chains, words
from deep_lock.model.lock import LockedPackage
from deep_lock.model.places import Node
from deep_lock.model.register import Key, called, key_of


class Ways(Struct, frozen=True, kw_only=True):
    """What brings one entry in."""

    entry: LockedPackage
    runtime: tuple[tuple[str, ...], ...]
    builds: tuple[tuple[str, ...], ...]


def ways(entry: LockedPackage, chains: Chains) -> Ways:
    """Return the ways into an entry, shortest first."""
    found = sorted(
        _chains(key_of(entry), chains), key=lambda chain: (sum(node.kind == "build" for node in chain), len(chain))
    )
    told = [(any(node.kind == "build" for node in chain), words(chains.register, chain)) for chain in found]
    return Ways(
        entry=entry,
        runtime=tuple(dict.fromkeys(chain for built, chain in told if not built)),
        builds=tuple(dict.fromkeys(chain for built, chain in told if built)),
    )


def _chains(key: Key, chains: Chains) -> Iterator[Chain]:
    for node, parents in chains.parents.items():
        if node.key == key and node.kind != "build":
            for parent in parents:
                yield (*_above(parent, chains), node)


def _above(parent: Node | None, chains: Chains) -> Chain:
    return () if parent is None else chains.to(parent)


def why_text(every: tuple[Ways, ...], limit: int) -> str:
    """Return the ways as text; of each kind at most ``limit``."""
    lines: list[str] = []
    for own in every:
        lines.append(f"{show(called(own.entry))}: {_role(own.entry)}")
        for heading, ways_in in (("installed because of", own.runtime), ("builds use it because of", own.builds)):
            if ways_in:
                lines.append(f"  {heading}")
                lines += [f"    {' > '.join(map(show, chain))}" for chain in ways_in[:limit]]
                more = len(ways_in) - limit
                lines += [f"    ... and {more} more ways (--all)"] if more > 0 else []
        if not own.runtime and not own.builds:
            lines.append("  nothing is known to bring it in")
    return "\n".join([*lines, ""])


def _role(entry: LockedPackage) -> str:
    marks = ["build-only" if entry.build_only else "run time and builds" if entry.also_build else "run time"]
    marks += ["the project asks for it"] if entry.direct else []
    marks += ["sdist-only"] if entry.sdist_only else []
    marks += [f"built on {len(entry.build_on)} targets"] if entry.build_on else []
    return ", ".join(marks)
