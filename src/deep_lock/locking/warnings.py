"""Checks and warnings about a finished closure: what is refused after all, and what a reviewer should know.

Only what will be locked is reported, not what the resolver tried and dropped.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from urllib.parse import urlsplit

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.analysis import near_names
from deep_lock.analysis.downloading_packages import DOWNLOADERS
from deep_lock.closure.model import Built, Closure
from deep_lock.errors import HookRefused, Unsatisfiable, UrlForbidden, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.lockfile.index import called, files_of, members
from deep_lock.locking.catalog import IndexCatalog
from deep_lock.locking.settings import Move, Upgrade
from deep_lock.models.distribution import SourceDistribution, Wheel, is_wheel, source_of
from deep_lock.models.foreign_lock import ForeignLock
from deep_lock.models.lock import Lock, LockedArchive, LockedPackage
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import ALL, Pin, Problem, Resolved, Selection
from deep_lock.network import scopes
from deep_lock.network.urls import host_and_port, is_signed, origin_of, without_user_info
from deep_lock.resolver import fixed_pins
from deep_lock.resolver.candidates import sdists_first, wheels_allowed
from deep_lock.resolver.catalog import Catalog
from deep_lock.sanitize import listed, show
from deep_lock.sdist import missing_modules
from deep_lock.targets.open_markers import TargetPart
from deep_lock.targets.short_form import short_form
from deep_lock.targets.target import Target

MAX_SHOWN = 10

_MAY_BE_ADDRESS = re.compile(r"[0-9a-fx.:]+|metadata.*|instance-data.*").fullmatch

_NOTES = {
    "build-requires-url": "its build requirements name a URL: the content can change, and no hash protects it",
    "odd-member-name": "a file in its sdist has a name that cannot be shown as it is",
    "case-clash": "its sdist contains file names that differ from those of its build configuration in case only",
}
"""Notes on an sdist that a reviewer should know. Other notes are for statistics."""


def warn_of_open_markers(closure: Closure, reporter: Reporter) -> None:
    """Report the requirements that apply on a part of a target only, and what is locked."""
    found: dict[tuple[str, str], list[str]] = {}
    for own in closure.open_markers:
        if own.locked:
            locked = "locked with this condition"
        else:
            locked = "not locked for both parts, because no single version of each package fits both: the environments"
            locked += " of the lock are the part of the target with its newest Python"
        message = f"requires {own.requirement}, which is true on a part of the target only; it is {locked}"
        found.setdefault((own.subject, message), []).append(own.target.label)
    every = closure.labels
    for (subject, message), labels in sorted(found.items()):
        reporter(Warned(code="open-marker", subject=subject, message=f"{message} ({short_form(labels, every)})"))


def warn_of_pythons(
    limits: Sequence[tuple[str, str, Target, TargetPart]], every: Sequence[str], reporter: Reporter
) -> None:
    """Report the releases whose Requires-Python leaves out micro versions of targets (`pythons_left_out`).

    ``every`` has the labels of all targets.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for release, python, target, _ in limits:
        found.setdefault((release, python), []).append(target.label)
    for (release, python), labels in sorted(found.items()):
        message = f"requires Python {show(python)}: the environments of the lock are that part of the target only"
        reporter(Warned(code="open-python", subject=release, message=f"{message} ({short_form(labels, every)})"))


def require_sources(closure: Closure, selection: Selection) -> None:
    """Refuse a release without an sdist where the build scope is "all", unless its wheel was allowed.

    Raises Unsatisfiable.
    """
    if selection.build_scope != "all":
        return
    lacking = {
        f"{pin.name} {pin.version}"
        for pin in _pins(closure)
        if is_wheel(pin.distribution) and pin.name not in selection.allow_wheel
    }
    if lacking:
        raise Unsatisfiable(
            f"build scope 'all', and these releases have no sdist: {', '.join(sorted(lacking))}",
            hint='list them under [tool.deep-lock] allow-wheel = ["NAME"], or pin versions that have one',
        )


def require_evidence(closure: Closure) -> None:
    """Refuse a closure with an assumed answer (``--require-evidence``). Raises HookRefused."""
    assumed = _assumed(closure)
    if assumed:
        listed = "\n".join(f"  {name}: {reason}" for name, reason in assumed)
        raise HookRefused(
            f"the dynamic build requirements of these backends are assumed, not known:\n{listed}",
            hint="pin versions that are proven or that have wheels, or drop --require-evidence",
        )


def require_existing(
    problems: Iterable[Problem], sources: IndexCatalog, upgrade: Upgrade, previous: Lock | None
) -> None:
    """Refuse -P NAME==VERSION of a package of the lock that has no such version: before older packages are tried with it.

    Raises Unsatisfiable.
    """
    locked = _locked_names(previous)
    for requirement in upgrade.versions if locked else ():
        name = requirement.name
        indexes = sorted({dict(problem.indexes).get(name, "") for problem in problems}) if name in locked else ()
        versions = sorted({own for index in indexes for own in sources.versions(name, index)}, reverse=True)
        if versions and not any(requirement.specifier.contains(own, prereleases=True) for own in versions):
            newest = ", ".join(str(version) for version in versions[:MAX_SHOWN])
            more = f" and {len(versions) - MAX_SHOWN} older" if len(versions) > MAX_SHOWN else ""
            raise Unsatisfiable(
                f"-P {requirement}: no index has such a version of {requirement.name}; available: {newest}{more}",
                hint="name a version that is available",
            )


def require_upgraded(closure: Closure, upgrade: Upgrade, previous: Lock | None) -> None:
    """Refuse -P NAME where neither the previous nor the new lock uses it, and NAME==VERSION that no environment uses.

    Only the environments count that a move is for. A name that may be unused is refused for its version only.
    Raises UsageError and Unsatisfiable.
    """
    built = {own.subject.name for own in closure.builds} | {own.name for own in (previous.builds if previous else ())}
    for name in sorted({name for move in upgrade.moves for name in move.builds or ()}):
        if name not in built and not upgrade.may_be_unused:
            raise UsageError(
                f"--in-build {name}: the lock has no build of {name}", hint=near_names.near_name(name, built)
            )
    for move in upgrade.moves:
        environments = list(_environments(closure, move))
        used = {pin.name for _, *resolved in environments for own in resolved for pin in own.pins}
        if move.may_be_gone and move.name not in used and move.name in _locked_names(previous):
            continue
        known = used | (_locked_names(previous) if move.runtime else _locked_members(previous, move))
        if move.name not in known and not upgrade.may_be_unused:
            where = f"the build of {', '.join(sorted(move.builds))}" if move.builds else "the lock"
            hint = near_names.near_name(move.name, known)
            raise UsageError(f"-P {move.name}: {where} does not use {move.name}", hint=hint)
        if move.requirement.specifier and move.name in known:
            _require_version(environments, move.requirement)


_Environment = tuple[str, Resolved, Resolved]
"""In words, as it is in the end, and with the declared requirements only."""


def _environments(closure: Closure, move: Move) -> Iterator[_Environment]:
    """Yield the environments that a move is for."""
    for target, resolved in closure.runtime if move.runtime else ():
        if move.is_on(target.label):
            yield "the run time", resolved, resolved
    for built in closure.builds:
        if move.is_in_build(built.target.label, built.subject.name, built.subject.version):
            yield f"the build of {built.subject}", built.final, built.declared


def _locked_names(previous: Lock | None) -> set[str]:
    return {entry.name for entry in previous.packages} if previous is not None else set()


def _locked_members(previous: Lock | None, move: Move) -> set[str]:
    builds = previous.builds if previous is not None else ()
    return {
        member.name for build in builds if move.builds is None or build.name in move.builds for member in members(build)
    }


def _require_version(environments: Sequence[_Environment], requirement: Requirement) -> None:
    """Raise Unsatisfiable where no environment uses the version of -P NAME==VERSION."""
    name = requirement.name
    uses = [(where, own, pin) for where, own, _ in environments for pin in own.pins if pin.name == name]
    if any(requirement.specifier.contains(pin.version, prereleases=True) for *_, pin in uses):
        return
    lines = sorted({f"  {where} uses {_use(resolved, pin)}" for where, resolved, pin in uses})
    lines = lines or [f"  with it, only versions that do not require {name} fit"]
    raise Unsatisfiable(
        "\n".join([f"-P {requirement}: no environment uses that version", *lines]), hint="name a version that fits"
    )


def _use(resolved: Resolved, pin: Pin) -> str:
    requirements = sorted({str(edge.requirement) for edge in resolved.edges if edge.child == pin.name})
    return f"{pin.version}: it requires {' and '.join(requirements)}" if requirements else str(pin.version)


def warn(
    closure: Closure,
    sources: IndexCatalog,
    reporter: Reporter,
    *,
    selection: Selection,
    added: Mapping[NormalizedName, tuple[Requirement, ...]],
    settings: Iterable[NormalizedName],
) -> None:
    """Warn of everything in a closure that a person should know. Raises what the sources raise.

    ``added`` are the extra-build-requires, ``settings`` those of config-settings.
    """
    for code, subject, message in chain(
        _evidence(closure),
        _missing_modules(closure, sources, added),
        _refused(closure, sources),
        _yanked(closure),
        _newer_without_sdist(closure, sources, selection),
        _metadata(closure, sources),
        _status(closure, sources),
        _notes(closure),
        _downloaders(closure),
        _unused(closure, added, settings),
        _unused_names(closure, selection),
        _direct_in_builds(closure),
    ):
        reporter(Warned(code=code, subject=subject, message=message))


_Warning = tuple[str, str, str]
"""Code, subject, message."""


def _pins(closure: Closure) -> Iterator[Pin]:
    for _, resolved in closure.runtime:
        yield from resolved.pins
    for built in closure.builds:
        yield from built.final.pins


def _build_pins(closure: Closure) -> Iterator[tuple[Built, Pin]]:
    for built in closure.builds:
        for pin in (*built.declared.pins, *built.final.pins):
            yield built, pin


def _assumed(closure: Closure) -> list[tuple[str, str]]:
    found = {str(built.subject): built.answer.reason for built in closure.builds if built.answer.evidence == "assumed"}
    return sorted(found.items())


def _evidence(closure: Closure) -> Iterator[_Warning]:
    known = {str(built.subject): built.answer.requires for built in closure.builds if built.answer.requires}
    for name, reason in _assumed(closure):
        parts = f" and {', '.join(known[name])}" if name in known else ""
        yield "build-assumed", name, f"only the declared build requirements{parts} are locked: {reason}"
    for reason in closure.editable_unknown:
        message = f"its build as an editable installation is not locked: {reason}"
        yield "editable-not-locked", "the project", message


def _missing_modules(
    closure: Closure, sources: IndexCatalog, added: Mapping[NormalizedName, tuple[Requirement, ...]]
) -> Iterator[_Warning]:
    """What adds what builds import and do not have, for all of them at once: the lines of it can be pasted."""
    lacking: dict[NormalizedName, dict[str, None]] = {}
    required: dict[NormalizedName, frozenset[NormalizedName]] = {}
    own: dict[str, None] = {}
    for built in closure.builds:
        subject = built.subject
        failed = sources.lacking.get(str(subject))
        if built.answer.evidence == "assumed" or failed:
            modules = dict.fromkeys((*built.answer.lacks, *([failed] if failed else [])))
            (own if subject.source is None else lacking.setdefault(subject.name, {})).update(modules)
            if modules:
                required[subject.name] = required.get(subject.name, frozenset()) | missing_modules.required_by(
                    subject.facts
                )
    remedy = missing_modules.remedy(lacking, {name: tuple(map(str, added[name])) for name in added}, required)
    if remedy:
        yield "build-imports", ", ".join(name for name in lacking if lacking[name]), remedy
    if own:
        names = frozenset(
            name
            for built in closure.builds
            if built.subject.source is None
            for name in missing_modules.required_by(built.subject.facts)
        )
        yield "build-imports", "the project", missing_modules.build_system_hint(own, names)


def _refused(closure: Closure, sources: IndexCatalog) -> Iterator[_Warning]:
    """Another version is locked in place of one whose contents are refused."""
    pins = {(pin.name, pin.version) for pin in _pins(closure)}
    names = {name for name, _ in pins}
    for name, version in sorted(sources.refused):
        if name in names:
            use = "it is not used on every target" if (name, version) in pins else "it is not used"
            yield "release-refused", f"{name} {version}", f"{use}: {show(sources.refused[name, version], 500)}"


def require_nameable(packages: Iterable[LockedPackage], allowed: Collection[str]) -> None:
    """Refuse files on a link-local host of another one than their index: they were not requested if they were cached.

    ``allowed`` are hosts that the user allows. Raises UrlForbidden.
    """
    checked = set(allowed)
    own = {urlsplit(index).hostname for index in {entry.index for entry in packages if entry.index is not None}}
    for entry in packages:
        for file in files_of(entry):
            url = file.url or ""
            origin = host_and_port(url)
            if origin in checked:
                continue
            checked.add(origin)
            host = urlsplit(url).hostname or ""
            # few hosts look like an address: for the others nothing is imported
            if (
                _MAY_BE_ADDRESS(host)
                and host not in {*allowed, *own}
                and scopes.scope_of_host(host) is scopes.AddressScope.LINK_LOCAL
            ):
                raise UrlForbidden(
                    f"{called(entry)}: {show(entry.index or 'its index')} names the link-local address {show(url)}",
                    hint=f"if this host is right: --allow-host {show(host)}",
                )


def warn_of_signed_urls(packages: Iterable[LockedPackage], sources: IndexCatalog, reporter: Reporter) -> None:
    """Warn of files whose URLs have a signature, once for each host, and of those that the lock states without it."""
    hosts: dict[str, dict[str, None]] = {}
    for entry in packages:
        urls = [file.url for file in files_of(entry)]
        urls += [entry.source.url] if isinstance(entry.source, LockedArchive) else []
        for url in urls:
            if url is not None and is_signed(url):
                hosts.setdefault(origin_of(url), {})[entry.name] = None
    for host, names in sorted(hosts.items()):
        message = f"the URLs of {listed(list(names), MAX_SHOWN)} are signed: they expire, or they are secrets"
        reporter(Warned(code="signed-url", subject=show(host), message=message))
    for host, replaced in sorted(sources.unsigned_urls().items()):
        message = (
            f"the index links {listed(sorted(replaced), MAX_SHOWN)} by signed URLs; the lock states the URLs without the"
            " signature, which have files of the same size"
        )
        reporter(Warned(code="signed-url-replaced", subject=show(host), message=message))


def _yanked(closure: Closure) -> Iterator[_Warning]:
    """PEP 592: a yanked file is used for exact pins and for what is locked already."""
    pins = [pin for _, resolved in closure.runtime for pin in resolved.pins]
    for pin in (*pins, *(pin for _, pin in _build_pins(closure))):
        file = pin.distribution
        if isinstance(file, Wheel | SourceDistribution) and file.yanked is not None:
            reason = f": {show(file.yanked)}" if file.yanked else ""
            yield "yanked", f"{pin.name} {pin.version}", f"it is yanked{reason}"


def _newer_without_sdist(closure: Closure, sources: IndexCatalog, selection: Selection) -> Iterator[_Warning]:
    """Report a release that is built by choice, where a newer one satisfies the requirements and has no sdist."""
    resolutions = [resolved for _, resolved in closure.runtime]
    resolutions += [resolved for built in closure.builds for resolved in (built.declared, built.final)]
    found: dict[_Warning, None] = {}
    for resolved in resolutions:
        for pin in resolved.pins:
            if isinstance(pin.distribution, SourceDistribution) and _is_built_by_choice(pin, selection):
                newer = _newest_allowed(pin, resolved, sources)
                index = sources.index_of(pin.distribution)
                files = [] if newer is None else sources.every_file(pin.name, newer, index)
                if files and not any(isinstance(file, SourceDistribution) for file in files):
                    message = f"the newer {newer} has no sdist"
                    found["newer-without-sdist", f"{pin.name} {pin.version}", message] = None
    yield from found


def _newest_allowed(pin: Pin, resolved: Resolved, sources: IndexCatalog) -> Version | None:
    """Return the newest final version above a pin that satisfies what requires it."""
    specifiers = [edge.requirement.specifier for edge in resolved.edges if edge.child == pin.name]
    versions = sources.versions(pin.name, sources.index_of(pin.distribution))
    newer = (version for version in versions if version > pin.version and not version.is_prerelease)
    return next((version for version in newer if all(own.contains(version) for own in specifiers)), None)


def _is_built_by_choice(pin: Pin, selection: Selection) -> bool:
    return sdists_first(pin.name, selection) or not wheels_allowed(pin.name, selection)


def _metadata(closure: Closure, sources: IndexCatalog) -> Iterator[_Warning]:
    files = {
        (pin.name, pin.version, source_of(pin.distribution)): pin.distribution
        for pin in _pins(closure)
        if not is_wheel(pin.distribution)
    }
    for name, version, source in sorted(files):
        known = sources.known_metadata(files[name, version, source])
        if known is not None and known.evidence == "assumed":
            message = f"only its build backend knows its dependencies; taken from {known.assumed_from}"
            yield "metadata-assumed", f"{name} {version}", message


def _status(closure: Closure, sources: IndexCatalog) -> Iterator[_Warning]:
    """PEP 792: a project that is archived, deprecated or in quarantine, as its index states."""
    files = {
        (pin.name, sources.index_of(pin.distribution)) for pin in _pins(closure) if not source_of(pin.distribution)
    }
    for name, index in sorted(files):
        status = sources.status(name, index)
        if status is not None:
            yield "project-status", name, f"its index calls the project {show(status)}"


def _notes(closure: Closure) -> Iterator[_Warning]:
    built = {str(own.subject): own.subject.facts.notes for own in closure.builds if own.subject.source is not None}
    for name in sorted(built):
        for note in built[name]:
            if note in _NOTES:
                yield note, name, _NOTES[note]


def _downloaders(closure: Closure) -> Iterator[_Warning]:
    """No hash of a lock protects what code of a build fetches by itself."""
    found = {(str(built.subject), pin.name) for built, pin in _build_pins(closure) if pin.name in DOWNLOADERS}
    for builder, name in sorted(found):
        message = f"its build environment contains {name}, which {DOWNLOADERS[name]}: the lock does not contain these downloads"
        yield "downloader", builder, message


def _unused(
    closure: Closure, added: Iterable[NormalizedName], settings: Iterable[NormalizedName]
) -> Iterator[_Warning]:
    """A name in the configuration that matches no build is misspelt, or no longer needed."""
    for name in sorted({*settings}.difference(own.subject.name for own in closure.builds)):
        yield "config-settings-unused", name, "config-settings are set for it, but it is not built"
    built = {own.subject.name for own in closure.builds if own.subject.source is not None}
    for name in sorted(set(added) - built):
        yield "extra-build-unused", name, "extra-build-requires adds to its build, but no sdist of it is built"


def _unused_names(closure: Closure, selection: Selection) -> Iterator[_Warning]:
    """A name in a choice of kinds of files that matches no package is misspelt, or no longer needed."""
    names = {str(pin.name) for pin in _pins(closure)}
    choices = (("no-binary", selection.no_binary), ("only-binary", selection.only_binary))
    for option, chosen in (*choices, ("allow-wheel", selection.allow_wheel)):
        for name in sorted(chosen - names - {ALL}):
            near = near_names.near_name(name, names)
            yield (
                "selection-unused",
                name,
                f"{option} names it, but the lock does not use it{'; ' if near else ''}{near}",
            )


def _direct_in_builds(closure: Closure) -> Iterator[_Warning]:
    """A direct reference applies to the run time: where a build requires that name too, it comes from an index."""
    direct = {
        pin.name: source_of(pin.distribution)
        for _, resolved in closure.runtime
        for pin in resolved.pins
        if source_of(pin.distribution)
    }
    built = {pin.name for own in closure.builds for pin in own.final.pins}
    for name in sorted(direct.keys() & built):
        message = f"comes from {show(direct[name])} where it is installed, and from an index where a build needs it"
        yield "direct-not-for-builds", name, message


def warn_of_imported(
    lock: ForeignLock,
    closure: Closure,
    problems: Iterable[Problem],
    catalog: Catalog,
    reporter: Reporter,
    *,
    indexes: Iterable[str],
) -> None:
    """Warn of what another tool's lock states unchecked, and of what it does not state.

    ``indexes`` are those of this run. Raises what the catalog raises.
    """
    for note in lock.notes:
        reporter(Warned(code=note.code, subject=f"{lock.source}: {note.subject}", message=note.message))
    for subject, message in _unmet(lock, closure, problems, catalog):
        reporter(Warned(code="foreign-unmet", subject=subject, message=message))
    for code, message in (
        ("foreign-no-hash", _without_hash(lock, closure)),
        ("foreign-built", _built(closure)),
        ("foreign-index", _other_indexes(lock, frozenset(map(_plain, indexes)))),
    ):
        if message:
            reporter(Warned(code=code, subject=lock.source, message=message))


def _unmet(lock: ForeignLock, closure: Closure, problems: Iterable[Problem], catalog: Catalog) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for problem, (target, resolved) in zip(problems, closure.runtime, strict=True):
        for own in fixed_pins.unmet_requirements(problem, resolved, catalog):
            if own.requirement is None:
                message = f"has an unreadable requirement: {show(own.reason)}"
            else:
                message = f"requires {own.requirement}; {lock.source} {show(own.reason)}"
            key = (f"{own.pin.name} {own.pin.version}", message)
            found.setdefault(key, []).append(target.label)
    every = closure.labels
    return [
        (subject, f"{message} ({short_form(labels, every)})") for (subject, message), labels in sorted(found.items())
    ]


def _without_hash(lock: ForeignLock, closure: Closure) -> str:
    locked = {(pin.name, pin.version) for _, resolved in closure.runtime for pin in resolved.pins}
    bare = sorted(
        f"{pin.name} {pin.version}"
        for pin in lock.pins
        if (pin.name, pin.version) in locked
        and pin.url is None
        and not pin.sha256s
        and not any(file.sha256 for file in pin.files)
    )
    return f"has no sha256 for {_listed(bare)}: the index supplied it in this run" if bare else ""


def _built(closure: Closure) -> str:
    built = {
        f"{pin.name} {pin.version}"
        for _, resolved in closure.runtime
        for pin in resolved.pins
        if isinstance(pin.distribution, SourceDistribution)
    }
    return (
        f"has no build dependencies for {_listed(sorted(built))}: a target builds the sdist, and this lock adds them"
        if built
        else ""
    )


def _other_indexes(lock: ForeignLock, used: frozenset[str]) -> str:
    named = [pin.index for pin in lock.pins if pin.index is not None]
    named += [without_user_info(url) for option, url in lock.index_options if option.endswith("index-url")]
    others = sorted({show(url) for url in named if _plain(url) not in used})
    if not others:
        return ""
    return (
        f"installs from {_listed(others)}, which this run does not use (--index): its hashes are compared with files of"
        " the indexes that this run uses"
    )


def _plain(url: str) -> str:
    return url.rstrip("/").lower()


def _listed(texts: Iterable[str]) -> str:
    every = list(dict.fromkeys(texts))
    more = f" and {len(every) - MAX_SHOWN} more" if len(every) > MAX_SHOWN else ""
    return ", ".join(every[:MAX_SHOWN]) + more
