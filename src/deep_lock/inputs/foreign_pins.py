"""Requirement files in which everything is pinned: of pip-compile, uv, poetry export, pip freeze, or by hand.

The lines are read by `requirements_txt`; here each becomes a pin. Who wrote the file, for which environment, and what
the project asked for itself stands in comments only: it is taken where it is plain, and never guessed.
"""

import re
from collections.abc import Callable

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.errors import LockInvalid, RequirementsInvalid
from deep_lock.inputs.foreign_pins_comments import Told, named_lines, read_comments
from deep_lock.inputs.foreign_pins_unnamed import name_unnamed
from deep_lock.inputs.foreign_values import MAX_LOCK, note_without_sha256
from deep_lock.inputs.requirements_txt import RequirementsFile, read_requirements
from deep_lock.inputs.text import readable, shown
from deep_lock.model.direct import parse_reference
from deep_lock.model.foreign import Condition, ForeignKind, ForeignLock, ForeignNote, ForeignPin
from deep_lock.model.requirement import Origin, Requirement
from deep_lock.model.target_markers import BASE

MAX_VERSION_LENGTH = 200

_Direct = set[tuple[str, int | None, NormalizedName]]


def read_pins(text: str, source: str, opener: Callable[[str, str], str]) -> ForeignLock:
    """Read a requirements file of which every line is pinned, with the files that it includes.

    ``opener`` as in `read_requirements`. Raises LockInvalid that names file and line of what is not pinned,
    RequirementsInvalid, HashWeak or LimitExceeded.
    """
    text = named_lines(readable(text, source, LockInvalid, MAX_LOCK))

    def open_included(including: str, relative: str) -> str:
        return named_lines(opener(including, relative))

    try:
        found = read_requirements(text, source, open_included)
    except RequirementsInvalid as error:
        raise LockInvalid(error.message, hint=error.hint) from None
    told = read_comments(text)
    notes: list[ForeignNote] = []
    direct: _Direct = {(source, line, name) for line, name in told.direct}
    hashes = dict(found.hashes)
    pins = [_read_pin(wish, direct, hashes, notes) for wish in found.requirements]
    for line in found.unnamed:
        name, note = name_unnamed(line, opener)
        notes += [note] if note is not None else []
        if name is not None:
            pins.append(
                ForeignPin(
                    name=name,
                    version=None,
                    url=str(line.reference),
                    conditions=(Condition(scope=BASE, marker=line.marker),),
                    extras=line.extras,
                    origin=line.origin,
                )
            )
    pins = _once_each(pins)
    kind = _kind(found, told)
    return ForeignLock(
        kind=kind,
        source=source,
        requires_python=told.requires_python,
        pythons=told.pythons,
        platforms=told.platforms,
        one_environment=_is_of_one(found, told, kind),
        pins=tuple(pins),
        notes=(*notes, *_notes(found, told)),
    )


def _read_pin(
    wish: Requirement,
    direct: _Direct,
    hashes: dict[Requirement, tuple[str, ...]],
    notes: list[ForeignNote],
) -> ForeignPin:
    digests = hashes.get(wish, ())
    origin = wish.origin or Origin(source="")
    sha256s = frozenset(digest.removeprefix("sha256:") for digest in digests if digest.startswith("sha256:"))
    if digests and not sha256s:
        notes.append(note_without_sha256(wish.name, origin.source))
    if wish.url is not None and _is_of_this_machine(wish.url):
        notes.append(
            ForeignNote(
                code="foreign-local-path",
                subject=wish.name,
                message=f"{origin}: is from a path of the machine where the file was written",
            )
        )
    return ForeignPin(
        name=wish.name,
        version=None if wish.url is not None else _pinned(wish, origin),
        url=wish.url,
        conditions=(Condition(scope=BASE, marker=wish.marker),),
        direct=(origin.source, origin.line, wish.name) in direct,
        extras=wish.extras,
        sha256s=sha256s,
        origin=origin,
    )


def _is_of_this_machine(url: str) -> bool:
    reference = parse_reference(url)
    return reference.is_path and re.match(r"/|[A-Za-z]:", reference.place) is not None


def _pinned(wish: Requirement, origin: Origin) -> Version:
    clauses = list(wish.specifier)
    if len(clauses) == 1 and clauses[0].operator in {"==", "==="} and not clauses[0].version.endswith(".*"):
        try:
            if len(clauses[0].version) <= MAX_VERSION_LENGTH:
                return Version(clauses[0].version)
        except (InvalidVersion, ValueError):
            pass
    raise LockInvalid(
        f"{origin}: {shown(f'{wish.name}{wish.specifier}')} is not pinned",
        hint="In a file that is a lock each line names one version with ==, or a direct reference (NAME @ URL).",
    )


def _once_each(pins: list[ForeignPin]) -> list[ForeignPin]:
    """Leave out a line that only says again what one said. Raises where it says otherwise under the same condition."""
    kept: dict[tuple[NormalizedName, str], ForeignPin] = {}
    for pin in pins:
        marker = pin.conditions[0].marker
        earlier = kept.setdefault((pin.name, str(marker) if marker else ""), pin)
        if (earlier.version, earlier.url) != (pin.version, pin.url):
            raise LockInvalid(
                f"{pin.origin}: {pin.name} is pinned a second time, otherwise than at {earlier.origin}",
                hint="Two pins of one project need markers that tell where each is installed.",
            )
    return list(kept.values())


def _kind(found: RequirementsFile, told: Told) -> ForeignKind:
    """Tell what `pip freeze` writes, a list and nothing else, from what a resolver or a person wrote."""
    plain = (
        not found.hashes
        and len(found.files) == 1
        and not told.is_annotated
        and not any(wish.marker for wish in found.requirements)
        and not (found.index_options or found.constraints or found.no_binary or found.only_binary or found.pre)
        and bool(found.requirements)
    )
    return "pip freeze" if plain else "requirements.txt"


def _is_of_one(found: RequirementsFile, told: Told, kind: ForeignKind) -> bool:
    if kind == "pip freeze":
        return True
    has_markers = any(wish.marker for wish in found.requirements)
    return told.is_compiled and not told.is_universal and not has_markers


def _notes(found: RequirementsFile, told: Told) -> list[ForeignNote]:
    """What the requirements reader has to say, and constraints: they pin nothing by themselves."""
    notes = [ForeignNote(code=note.code, subject=note.subject, message=note.message) for note in found.notes]
    pinned = {wish.name for wish in found.requirements}
    notes += [
        ForeignNote(
            code="foreign-unpinned",
            subject=name,
            message=f"{found.source} leaves it out as unsafe, though it is needed",
        )
        for name in told.unpinned
        if name not in pinned
    ]
    if found.constraints:
        notes.append(
            ForeignNote(
                code="foreign-constraints-unused",
                subject=found.source,
                message="constraints (-c) install nothing: what is not required in the file is not in the lock",
            )
        )
    return notes
