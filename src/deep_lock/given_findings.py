"""What another tool's lock did not say, and a reader of the deep lock should know."""

from collections.abc import Iterable

from deep_lock.display import show
from deep_lock.events import Reporter, Warned
from deep_lock.graph import Closure
from deep_lock.model.distribution import SourceDistribution
from deep_lock.model.foreign import ForeignLock
from deep_lock.model.resolution import Problem
from deep_lock.resolve.catalog import Catalog
from deep_lock.resolve.given import unmet

MAX_TOLD = 10


def tell_given(
    lock: ForeignLock,
    closure: Closure,
    problems: Iterable[Problem],
    catalog: Catalog,
    reporter: Reporter,
    *,
    indexes: Iterable[str],
) -> None:
    """Warn of what the lock says and nobody checked, and of what it does not say. Raises what the catalog raises.

    ``indexes`` are those that this run asks.
    """
    for note in lock.notes:
        reporter(Warned(code=note.code, subject=f"{lock.source}: {note.subject}", message=note.message))
    for subject, message in _unmet(lock, closure, problems, catalog):
        reporter(Warned(code="foreign-unmet", subject=subject, message=message))
    for code, message in (
        ("foreign-no-hash", _without_hash(lock)),
        ("foreign-built", _built(closure)),
        ("foreign-index", _elsewhere(lock, frozenset(map(_plain, indexes)))),
    ):
        if message:
            reporter(Warned(code=code, subject=lock.source, message=message))


def _unmet(lock: ForeignLock, closure: Closure, problems: Iterable[Problem], catalog: Catalog) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for problem, (target, resolved) in zip(problems, closure.runtime, strict=True):
        for own in unmet(problem, resolved, catalog):
            asked = f"asks for {own.requirement}" if own.requirement is not None else "asks for what cannot be read"
            key = (f"{own.pin.name} {own.pin.version}", f"{asked}; {show(own.reason)}")
            found.setdefault(key, []).append(target.label)
    return [
        (subject, f"{told} in {lock.source}, on {_listed(labels)}") for (subject, told), labels in sorted(found.items())
    ]


def _without_hash(lock: ForeignLock) -> str:
    bare = sorted(
        f"{pin.name} {pin.version}"
        for pin in lock.pins
        if pin.url is None and not pin.sha256s and not any(file.sha256 for file in pin.files)
    )
    return f"gives no sha256 of {_listed(bare)}: taken from the index as it is now" if bare else ""


def _built(closure: Closure) -> str:
    built = sorted(
        {
            f"{pin.name} {pin.version}"
            for _, resolved in closure.runtime
            for pin in resolved.pins
            if isinstance(pin.distribution, SourceDistribution)
        }
    )
    return f"does not say what builds {_listed(built)}: an sdist is what some target takes of it" if built else ""


def _elsewhere(lock: ForeignLock, asked: frozenset[str]) -> str:
    others = sorted({show(pin.index) for pin in lock.pins if pin.index is not None and _plain(pin.index) not in asked})
    return (
        f"takes releases from {_listed(others)}, which this run does not ask (--index): the hashes are held against"
        " what the asked indexes have"
        if others
        else ""
    )


def _plain(url: str) -> str:
    return url.rstrip("/").lower()


def _listed(texts: Iterable[str]) -> str:
    every = list(dict.fromkeys(texts))
    more = f" and {len(every) - MAX_TOLD} more" if len(every) > MAX_TOLD else ""
    return ", ".join(every[:MAX_TOLD]) + more
