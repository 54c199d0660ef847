"""What a finished closure makes known: what is refused after all, and what a person should look at before trusting it.

Law: only what will be locked is told of. What was looked at on the way and given up is nobody's concern.
"""

from collections.abc import Iterable, Iterator

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.closure.model import Built, Closure
from deep_lock.errors import HookRefused, Unsatisfiable
from deep_lock.events import Reporter, Warned
from deep_lock.locking.catalog import IndexCatalog
from deep_lock.models.distribution import SourceDistribution, Wheel, is_wheel, source_of
from deep_lock.models.downloading_packages import DOWNLOADERS
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Pin, Problem, Selection
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.fixed_pins import unmet_requirements
from deep_lock.sanitize import show

_NOTES = {
    "build-requires-url": "its build requirements name a URL: what lies there can change, and no hash guards it",
    "odd-member-name": "a file in its sdist has a name that cannot be shown as it is",
    "case-clash": "its sdist holds file names that differ from those of its build configuration in case only",
}
"""What sdists say of themselves that a reviewer should know. Other notes are for statistics."""


def warn(
    closure: Closure,
    sources: IndexCatalog,
    reporter: Reporter,
    *,
    added: Iterable[NormalizedName] = (),
    settings: Iterable[NormalizedName] = (),
) -> None:
    """Warn of everything in a closure that a person should know. Raises what the sources raise.

    ``added`` are the projects to whose builds the user added requirements, ``settings`` those whose backends get some.
    """
    _tell_of_evidence(closure, reporter)
    _tell_of_editable(closure, reporter)
    _tell_of_yanked(closure, reporter)
    _tell_of_assumed(closure, sources, reporter)
    _tell_of_status(closure, sources, reporter)
    _tell_of_notes(closure, reporter)
    _tell_of_downloaders(closure, reporter)
    _tell_of_unused(closure, added, settings, reporter)
    _tell_of_elsewhere(closure, reporter)


def require_sources(closure: Closure, selection: Selection) -> None:
    """Build scope "all" means it: a release without an sdist is an error, unless its wheel was allowed.

    Raises Unsatisfiable.
    """
    if selection.build_scope != "all":
        return
    lacking = sorted(
        {
            f"{pin.name} {pin.version}"
            for pin in _pins(closure)
            if is_wheel(pin.distribution) and pin.name not in selection.allow_wheel
        }
    )
    if lacking:
        raise Unsatisfiable(
            f"build scope 'all', and these releases have no sdist: {', '.join(lacking)}",
            hint='list them under [tool.deep-lock] allow-wheel = ["NAME"], or pin versions that have one',
        )


def require_evidence(closure: Closure) -> None:
    """Refuse a closure that holds an assumed answer (``--require-evidence``). Raises HookRefused."""
    assumed = _assumed(closure)
    if assumed:
        listed = "\n".join(f"  {name}: {reason}" for name, reason in assumed)
        raise HookRefused(
            f"what these backends ask for is assumed, not known:\n{listed}",
            hint="pin versions that are proven or that have wheels, or drop --require-evidence",
        )


def require_moved(closure: Closure, asked: Iterable[Requirement], in_builds: Iterable[str]) -> None:
    """Refuse a closure in which no environment took what -P NAME==VERSION names. Raises Unsatisfiable."""
    only = frozenset(map(canonicalize_name, in_builds))
    runtime = {} if only else {pin.name: pin.version for _, resolved in closure.runtime for pin in resolved.pins}
    builds = [built for built in closure.builds if not only or built.subject.name in only]
    for requirement in asked:
        uses = [(built, pin) for built in builds for pin in built.final.pins if pin.name == requirement.name]
        taken = [pin.version for _, pin in uses] + [runtime[name] for name in (requirement.name,) if name in runtime]
        if any(requirement.specifier.contains(version, prereleases=True) for version in taken):
            continue
        told = sorted(
            {f"  the build of {_called(built)} takes {pin.version}{_since(built, pin)}" for built, pin in uses}
        )
        where = f"the build of {', '.join(sorted(only))}" if only else "this lock"
        told = told or [f"  {where} does not use {requirement.name}"]
        raise Unsatisfiable(f"-P {requirement}: nothing took it\n" + "\n".join(told), hint="name a version that fits")


def _since(built: Built, pin: Pin) -> str:
    asked = sorted({str(edge.requirement) for edge in built.final.edges if edge.child == pin.name})
    return f": it asks for {' and '.join(asked)}" if asked else ""


def _pins(closure: Closure) -> Iterator[Pin]:
    for _, resolved in closure.runtime:
        yield from resolved.pins
    for built in closure.builds:
        yield from built.final.pins


def _releases(closure: Closure) -> list[tuple[NormalizedName, Version]]:
    return sorted({(pin.name, pin.version) for pin in _pins(closure) if not source_of(pin.distribution)})


def _assumed(closure: Closure) -> list[tuple[str, str]]:
    found = {_called(built): built.answer.reason for built in closure.builds if built.answer.evidence == "assumed"}
    return sorted(found.items())


def _called(built: Built) -> str:
    return str(built.subject)


def _tell_of_evidence(closure: Closure, reporter: Reporter) -> None:
    """An assumed answer is never silent."""
    for name, reason in _assumed(closure):
        message = f"only the declared build requirements are locked: {reason}"
        reporter(Warned(code="build-assumed", subject=name, message=message))


def _tell_of_editable(closure: Closure, reporter: Reporter) -> None:
    """The wheel's build is locked all the same: only who installs the project in editable mode lacks something."""
    for reason in closure.editable_unknown:
        message = f"its build as an editable installation is not locked: {reason}"
        reporter(Warned(code="editable-not-locked", subject="the project", message=message))


def _tell_of_yanked(closure: Closure, reporter: Reporter) -> None:
    """PEP 592: a yanked file is for exact pins and for what is locked already, and who gets one should know."""
    pins = [pin for _, resolved in closure.runtime for pin in resolved.pins]
    pins += [pin for built in closure.builds for pin in (*built.declared.pins, *built.final.pins)]
    for pin in pins:
        file = pin.distribution
        if isinstance(file, Wheel | SourceDistribution) and file.yanked is not None:
            reason = f": {show(file.yanked)}" if file.yanked else ""
            reporter(Warned(code="yanked", subject=f"{pin.name} {pin.version}", message=f"it is yanked{reason}"))


def _tell_of_assumed(closure: Closure, sources: IndexCatalog, reporter: Reporter) -> None:
    """Tell of metadata that nobody proved."""
    pins = {
        (pin.name, pin.version, source_of(pin.distribution)): pin.distribution
        for pin in _pins(closure)
        if not is_wheel(pin.distribution)
    }
    for key in sorted(pins):
        known = sources.known_metadata(pins[key])
        if known is not None and known.evidence == "assumed":
            message = f"only its build backend knows its dependencies; taken from {known.assumed_from}"
            reporter(Warned(code="metadata-assumed", subject=f"{key[0]} {key[1]}", message=message))


def _tell_of_status(closure: Closure, sources: IndexCatalog, reporter: Reporter) -> None:
    """PEP 792: a project that is archived, deprecated or in quarantine. The index's word, for the reader to judge."""
    for name in sorted({name for name, _ in _releases(closure)}):
        status = sources.status(name)
        if status is not None:
            message = f"its index calls the project {show(status)}"
            reporter(Warned(code="project-status", subject=name, message=message))


def _tell_of_notes(closure: Closure, reporter: Reporter) -> None:
    """Tell what is odd about the sdists that will be built."""
    built = {_called(own): own.subject.facts for own in closure.builds if own.subject.source is not None}
    for name in sorted(built):
        for note in built[name].notes:
            if note in _NOTES:
                reporter(Warned(code=note, subject=name, message=_NOTES[note]))


def _tell_of_downloaders(closure: Closure, reporter: Reporter) -> None:
    """No hash of a lock guards what code of a build fetches by itself."""
    found = {
        (_called(built), pin.name)
        for built in closure.builds
        for pin in (*built.declared.pins, *built.final.pins)
        if pin.name in DOWNLOADERS
    }
    for builder, name in sorted(found):
        message = (
            f"its build environment holds {name}, which {DOWNLOADERS[name]}: this lock does not hold what it fetches"
        )
        reporter(Warned(code="downloader", subject=builder, message=message))


def _tell_of_unused(
    closure: Closure, added: Iterable[NormalizedName], settings: Iterable[NormalizedName], reporter: Reporter
) -> None:
    """A name in the configuration that nothing answers to is misspelt, or no longer needed."""
    for name in sorted({*settings}.difference(own.subject.name for own in closure.builds)):
        message = "config-settings are given for it, and it is not built"
        reporter(Warned(code="config-settings-unused", subject=name, message=message))
    built = {own.subject.name for own in closure.builds if own.subject.source is not None}
    for name in sorted(set(added) - built):
        message = "extra-build-requires adds to its build, and no sdist of it is built"
        reporter(Warned(code="extra-build-unused", subject=name, message=message))


def _tell_of_elsewhere(closure: Closure, reporter: Reporter) -> None:
    """A direct reference holds for the runtime: where a build asks for that name too, an index was asked for it."""
    direct = {
        pin.name: source_of(pin.distribution)
        for _, resolved in closure.runtime
        for pin in resolved.pins
        if source_of(pin.distribution)
    }
    built = {pin.name for own in closure.builds for pin in own.final.pins}
    for name in sorted(direct.keys() & built):
        message = f"comes from {show(direct[name])} where it is installed, and from an index where a build needs it"
        reporter(Warned(code="direct-not-for-builds", subject=name, message=message))


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
        for own in unmet_requirements(problem, resolved, catalog):
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
