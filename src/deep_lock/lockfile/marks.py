"""Deep-lock's marks on entries and records: each must be borne out by the rest of the lock."""

from collections.abc import Iterator, Mapping

from deep_lock.model.lock import BUILD_GROUP, LockedBuild, LockedPackage, source_text
from deep_lock.model.register import (
    Register,
    called,
    is_gate,
    key_of,
    named_in,
    needs_record,
    parsed,
    record_key,
    uses_of,
)


def untrue_marks(register: Register) -> Iterator[str]:
    """Yield a sentence for each mark that is not so, or is missing."""
    used = uses_of(register)
    for entry in register.lock.packages:
        yield from _layer(entry, used=key_of(entry) in used)
        yield from _build_mark(entry, register)
        yield from _files(entry, register)
    yield from _direct(register)
    overlay = dict(register.lock.inputs.extra_build_requires)
    for build in register.lock.builds:
        yield from _added(build, overlay)
        yield from _evidence(build)
        yield from _needed(build, register)


def _layer(entry: LockedPackage, *, used: bool) -> Iterator[str]:
    gated = is_gate(entry.marker)
    if entry.build_only and not gated:
        yield f"{called(entry)} is marked build-only, and its marker would install it"
    if gated and not entry.build_only:
        yield f"{called(entry)} stands behind the marker of the build layer without the mark build-only"
    if not gated and BUILD_GROUP in (entry.marker or ""):
        yield f"{called(entry)} has a marker that mixes the build layer with something else"
    if entry.also_build and (gated or not used):
        yield f"{called(entry)} is marked also-build, and {'is build-only' if gated else 'no build uses it'}"
    if entry.direct and gated:
        yield f"{called(entry)} is marked direct, and is build-only"
    if used and not gated and not entry.also_build:
        yield f"{called(entry)} is used by a build and installed too, without the mark also-build"


def _build_mark(entry: LockedPackage, register: Register) -> Iterator[str]:
    recorded = key_of(entry) in register.records
    own = f"{entry.name}=={entry.version}" if entry.source is None else f"{entry.name} @ {source_text(entry.source)}"
    if entry.build is not None and entry.build != own:
        yield f"{called(entry)} names the build record of another release, {entry.build}"
    elif entry.build is not None and not recorded:
        yield f"{called(entry)} names a build record that is not there"
    elif entry.build is None and recorded:
        yield f"{called(entry)} has a build record and does not name it"


def _files(entry: LockedPackage, register: Register) -> Iterator[str]:
    if entry.sdist_only and (entry.wheels or entry.sdist is None):
        yield f"{called(entry)} is marked sdist-only, and {'lists a wheel' if entry.wheels else 'lists no sdist'}"
    if entry.build_on and (entry.sdist_only or entry.sdist is None):
        yield f"{called(entry)} is marked build-on, and {'sdist-only' if entry.sdist_only else 'lists no sdist'}"
    if entry.metadata is not None and not needs_record(entry):
        yield f"{called(entry)} says how the metadata of its sdist is known, and lists no sdist"
    if entry.no_source and entry.sdist is not None:
        yield f"{called(entry)} is marked no-source, and lists an sdist"
    if entry.no_source and register.options.get("build-scope") != "all":
        yield f"{called(entry)} is marked no-source, which only the build scope 'all' knows"


def _direct(register: Register) -> Iterator[str]:
    inputs = register.lock.inputs
    named = named_in(inputs)
    overridden = {requirement.name for requirement in parsed(inputs.overrides)}
    certain = {
        requirement.name
        for requirement in parsed(inputs.requirements)
        if requirement.marker is None and requirement.name not in overridden
    }
    for entry in register.lock.packages:
        if entry.direct and entry.name not in named:
            yield f"{called(entry)} is marked direct, and the project does not ask for it"
        if not inputs.pinned and not entry.direct and entry.name in certain and not is_gate(entry.marker):
            yield f"{called(entry)} is asked for by the project, without the mark direct"
    for name in sorted(certain):
        if all(is_gate(entry.marker) for entry in register.versions.get(name, ())):
            yield f"the project asks for {name}, which has no entry that is installed"


def _added(build: LockedBuild, overlay: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What a record says the user added is what the inputs say, for each sdist; the project's own build has a table."""
    wanted = overlay.get(build.name, ()) if build.needed != "project" else ()
    if frozenset(parsed(build.requires_user)) != frozenset(parsed(wanted)):
        told = ", ".join(build.requires_user) or "nothing"
        yield f"the user added {told} to the build of {called(build)}, and {', '.join(wanted) or 'nothing'} by the inputs"
    only = bool(build.requires_user) and not build.requires
    if only != (build.requires_from == "user"):
        state = "all" if only else "not all"
        yield f"the requirements of the build of {called(build)} are {state} the user's, and it says {build.requires_from!r}"


def _evidence(build: LockedBuild) -> Iterator[str]:
    known = build.requires_dynamic is not None
    if known == (build.evidence == "assumed"):
        state = "is assumed, and recorded" if known else f"is {build.evidence}, and not recorded"
        yield f"what the backend of {called(build)} asks for {state}"
    if (build.evidence == "observed") != (build.observed_on is not None):
        where = "was observed on no target" if build.observed_on is None else f"is {build.evidence}, and observed too"
        yield f"what the backend of {called(build)} asks for {where}"
    if build.ends == "self-hosted" and (build.packages or not build.backend_path):
        yield f"the build of {called(build)} is marked self-hosted, and uses other packages or no backend of its own"


def _needed(build: LockedBuild, register: Register) -> Iterator[str]:
    entry = register.entries.get(record_key(build))
    if build.source is not None or entry is None:
        return
    if (build.needed == "always") != entry.sdist_only:
        yield f"the record of the build of {called(build)} and the mark sdist-only of its entry disagree"
    labels = frozenset(build.targets) or register.labels
    missing = sorted(labels.difference(entry.build_on))
    if build.needed == "targets" and missing:
        yield f"{called(entry)} is built on {', '.join(missing)}, and not marked build-on there"
