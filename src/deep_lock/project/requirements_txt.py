"""Requirement files in pip's format, with the files that they include.

A file cannot include a URL or an absolute path, read the environment or choose an index. No message quotes an included
file: a wrong ``-r`` may name any file of the machine.
"""

import posixpath
import re
from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.markers import InvalidMarker, Marker
from packaging.utils import NormalizedName

from deep_lock.boundary import reading
from deep_lock.errors import (
    HashMismatch,
    HashWeak,
    LimitExceeded,
    RequirementInvalid,
    RequirementsInvalid,
    raise_machine_fault,
)
from deep_lock.events import Warned
from deep_lock.models.direct_url import Reference, parse_reference
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.resolution import ALL
from deep_lock.parsing.requirements import DIRECT_SOURCE_HINT, MAX_REQUIREMENT_LENGTH, read_name, read_requirement
from deep_lock.parsing.text import Opener, deceiving, notes_on_characters, readable, shown
from deep_lock.pep440 import parse_marker
from deep_lock.project.requirements_lexer import LineInvalid, Option, logical_lines, split_options

MAX_FILE = 16 * 1024 * 1024
MAX_INCLUSIONS = 200
MAX_DEPTH = 40
MAX_ENTRIES = 20_000

_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_INDEX_OPTIONS = frozenset(("index-url", "extra-index-url", "find-links", "no-index"))
_IGNORED = frozenset(
    ("prefer-binary", "use-feature", "no-require-hashes", "config-settings", "all-releases", "only-final")
)
_REPLACED = {"trusted-host": "--trusted-host is not used: name the host with --allow-insecure-host"}
_VARIABLE = re.compile(r"\$\{[A-Za-z0-9_]+\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PATH = re.compile(r"[.~/\\]|[A-Za-z]:[\\/]|.*[/\\]|.*\.(whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz)$", re.IGNORECASE)
_LINE = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?(#[^\[\]]*)?")


class UnnamedLine(Struct, frozen=True, kw_only=True):
    """A line with a path or a URL and no name: what it leads to names the project."""

    reference: Reference
    """Paths are as written."""
    extras: frozenset[NormalizedName]
    marker: Marker | None
    origin: Origin


class RequirementsFile(Struct, frozen=True, kw_only=True):
    """The contents of a requirement file and of all that it includes, in order."""

    requirements: tuple[Requirement, ...] = ()
    unnamed: tuple[UnnamedLine, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    hashes: tuple[tuple[Requirement, tuple[str, ...]], ...] = ()
    """For each requirement or constraint by name that has any: "sha256:<hex>" and stronger, lower case. That of a URL is in
    the URL."""
    index_options: tuple[tuple[str, str], ...] = ()
    """Names and values of its index options, in order. A value may hold a password."""
    no_binary: frozenset[str] = frozenset()
    """Normalized names, or ":all:"."""
    only_binary: frozenset[str] = frozenset()
    pre: bool = False
    require_hashes: bool = False
    """Whether it has ``--require-hashes``: then each requirement must have a hash."""
    files: tuple[str, ...] = ()
    """Names of all files that were read, the first one first."""
    notes: tuple[Warned, ...] = ()


class _Place(Struct, frozen=True, kw_only=True):
    """The file that is read, and the chain of files that include it."""

    source: str
    chain: tuple[str, ...] = ()
    constraint: bool = False

    @property
    def is_included(self) -> bool:
        return bool(self.chain)


class _Reading(Struct, kw_only=True):
    """What grows while the files are read."""

    opener: Opener
    requirements: list[Requirement] = field(default_factory=list)
    unnamed: list[UnnamedLine] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    hashes: list[tuple[Requirement, tuple[str, ...]]] = field(default_factory=list)
    index_options: list[tuple[str, str]] = field(default_factory=list)
    no_binary: set[str] = field(default_factory=set)
    only_binary: set[str] = field(default_factory=set)
    pre: bool = False
    require_hashes: bool = False
    files: list[str] = field(default_factory=list)
    notes: list[Warned] = field(default_factory=list)


def read_requirements(text: str, source: str, opener: Opener) -> RequirementsFile:
    """Read a requirement file; ``opener`` opens the files that it includes.

    Raises RequirementsInvalid (about the first faulty line), HashWeak, or LimitExceeded.
    """
    state = _Reading(opener=opener)
    with reading(source, RequirementsInvalid):
        _read_file(text, _Place(source=source), state)
    return _finished(state)


def include_requirements(including: str, relative: str, opener: Opener) -> RequirementsFile:
    """Read the requirement file that another kind of file names. Raises as read_requirements."""
    state = _Reading(opener=opener)
    with reading(including, RequirementsInvalid):
        _include(relative, _Place(source=including), None, constraint=False, reading=state)
    return _finished(state)


def _finished(reading: _Reading) -> RequirementsFile:
    return RequirementsFile(
        requirements=tuple(reading.requirements),
        unnamed=tuple(reading.unnamed),
        constraints=tuple(reading.constraints),
        hashes=tuple(reading.hashes),
        index_options=tuple(reading.index_options),
        no_binary=frozenset(reading.no_binary),
        only_binary=frozenset(reading.only_binary),
        pre=reading.pre,
        require_hashes=reading.require_hashes,
        files=tuple(dict.fromkeys(reading.files)),
        notes=tuple(reading.notes),
    )


def _read_file(text: str, place: _Place, reading: _Reading) -> None:
    text = readable(text, place.source, RequirementsInvalid, MAX_FILE)
    reading.files.append(place.source)
    if len(reading.files) > MAX_INCLUSIONS:
        raise LimitExceeded(f"{place.source}: more than {MAX_INCLUSIONS} included files")
    reading.notes.extend(notes_on_characters(text, place.source))
    for line in logical_lines(text, place.source):
        origin = Origin(source=place.source, line=line.number)
        try:
            _read_line(line.text, origin, place, reading)
        except LineInvalid as error:
            quoted = "" if place.is_included else f" ({shown(line.text)})"
            raise RequirementsInvalid(f"{origin}: the line{quoted} {error.message}", hint=error.hint) from None


def _read_line(text: str, origin: Origin, place: _Place, reading: _Reading) -> None:
    if code := deceiving(text):
        # outside a comment such a character can only make a line look like another one
        raise LineInvalid(f"has {code}, which hides or reorders text (bidi-in-input)", hint="Remove the character.")
    wanted, options = split_options(text)
    if wanted:
        _read_requirement_line(wanted, options, origin, place, reading)
        return
    for option in options:
        _read_option(option, origin, place, reading)


def _refuse_variables(text: str) -> None:
    if _VARIABLE.search(text):
        raise LineInvalid(
            "reads a requirement from the environment",
            hint="Write the value itself: a lock must not depend on environment variables.",
        )


def _read_requirement_line(
    wanted: str, options: tuple[Option, ...], origin: Origin, place: _Place, reading: _Reading
) -> None:
    _refuse_variables(wanted)
    if _SCHEME.match(wanted) or (_PATH.match(wanted.partition(";")[0].strip()) and "@" not in wanted):
        _add_unnamed(_read_unnamed(wanted, options, origin), place, reading)
        return
    requirement = _read_named(wanted, options, origin, place, reading)
    if requirement.name == "pkg-resources" and str(requirement.specifier) == "==0.0.0":
        message = "is written by pip freeze on Debian and Ubuntu, and is not a package: it is left out"
        reading.notes.append(Warned(code="no-package", subject=f"{origin}: {requirement}", message=message))
        return
    (reading.constraints if place.constraint else reading.requirements).append(requirement)
    if len(reading.requirements) + len(reading.constraints) > MAX_ENTRIES:
        raise LimitExceeded(f"{origin}: more than {MAX_ENTRIES} requirements")


def _add_unnamed(line: UnnamedLine, place: _Place, reading: _Reading) -> None:
    if place.constraint:
        raise LineInvalid("names a URL or a path", hint=DIRECT_SOURCE_HINT)
    reading.unnamed.append(line)
    if len(reading.unnamed) > MAX_ENTRIES:
        raise LimitExceeded(f"{line.origin}: more than {MAX_ENTRIES} requirements")


def _read_unnamed(wanted: str, options: tuple[Option, ...], origin: Origin) -> UnnamedLine:
    """Read a path or a URL, with extras in brackets and a marker behind it. Raises LineInvalid."""
    text, semicolon, condition = wanted.partition(" ;") if " ;" in wanted else wanted.partition(";")
    found = _LINE.fullmatch(text.strip())
    digests = tuple(_read_hash(option.value, origin) for option in options if option.name == "hash")
    if found is None or len(options) > len(digests) or len(wanted) > MAX_REQUIREMENT_LENGTH:
        raise LineInvalid("has a URL or a path that is followed by unknown text", hint="Write NAME @ URL.")
    place, extras, fragment = found[1], found[2] or "", found[3] or ""
    try:
        return UnnamedLine(
            reference=_with_digest(parse_reference(place + fragment), digests, origin),
            extras=frozenset(read_name(extra.strip(), "the extra") for extra in extras.split(",") if extra.strip()),
            marker=parse_marker(condition) if semicolon else None,
            origin=origin,
        )
    except InvalidMarker:
        raise LineInvalid("has an invalid marker") from None
    except RequirementInvalid as error:
        raise LineInvalid(f"has a URL or a path: {error.message}", hint=error.hint) from None


def _read_editable(value: str, origin: Origin) -> UnnamedLine:
    """Read the value of ``-e``. Raises LineInvalid."""
    line = _read_unnamed(value, (), origin)
    if line.reference.kind != "path" or line.reference.is_archive:
        raise LineInvalid("is marked as editable, but is not a folder", hint="Only a local folder can be editable.")
    return replace(line, reference=replace(line.reference, editable=True))


def _read_named(
    wanted: str, options: tuple[Option, ...], origin: Origin, place: _Place, reading: _Reading
) -> Requirement:
    try:
        requirement = read_requirement(wanted, origin, direct=not place.constraint)
    except RequirementInvalid as error:
        if place.is_included:
            raise LineInvalid("is not a requirement", hint=error.hint) from None
        reason = error.message.removeprefix(f"{origin}: ").rpartition("valid requirement: ")[2]
        raise RequirementsInvalid(
            f"{origin}: {shown(wanted)} is not a requirement: {reason}", hint=error.hint
        ) from None
    digests: list[str] = []
    for option in options:
        if option.name == "hash":
            digests.append(_read_hash(option.value, origin))
        elif option.name in _IGNORED:
            _note_ignored(option, origin, reading)
        else:
            raise LineInvalid(f"has --{option.name} after a requirement", hint="Give the option a line of its own.")
    if requirement.url is not None:
        return replace(requirement, url=str(_with_digest(parse_reference(requirement.url), digests, origin)))
    if digests:
        reading.hashes.append((requirement, tuple(digests)))
    return requirement


def _with_digest(reference: Reference, digests: Sequence[str], origin: Origin) -> Reference:
    """Return the reference with the sha256 of its ``--hash``. Raises HashMismatch where its URL has another one."""
    if not digests:
        return reference
    found = [digest.removeprefix("sha256:") for digest in digests if digest.startswith("sha256:")]
    if not reference.is_archive:
        raise LineInvalid("has a hash, but is not a file", hint="Only archives have a hash.")
    if len(found) != 1:
        raise LineInvalid("has a URL, and not one sha256", hint="A URL names one file: give its sha256.")
    if reference.sha256 not in {None, found[0]}:
        raise HashMismatch(f"{origin}: has sha256 {found[0]} as a hash and {reference.sha256} in the URL")
    return replace(reference, sha256=found[0])


def _read_option(option: Option, origin: Origin, place: _Place, reading: _Reading) -> None:
    match option.name:
        case "requirement":
            # pip: what a constraint file includes by -r is required, not constrained
            _include(option.value, place, origin, constraint=False, reading=reading)
        case "constraint":
            _include(option.value, place, origin, constraint=True, reading=reading)
        case "editable":
            _refuse_variables(option.value)
            _add_unnamed(_read_editable(option.value, origin), place, reading)
        case "hash":
            raise LineInvalid("has a hash without a requirement")
        case "no-binary":
            _read_formats(option.value, reading.no_binary, reading.only_binary)
        case "only-binary":
            _read_formats(option.value, reading.only_binary, reading.no_binary)
        case "pre":
            reading.pre = True
        case "require-hashes":
            reading.require_hashes = True
        case name if name in _INDEX_OPTIONS:
            value = _relative_to_file(option.value, place) if name == "find-links" else option.value
            reading.index_options.append((name, value))
        case _:
            _note_ignored(option, origin, reading)


def _relative_to_file(path: str, place: _Place) -> str:
    """Return a path that is relative to the file as one that is relative to the project."""
    return path if _SCHEME.match(path) else posixpath.join(posixpath.dirname(place.source), path)


def _note_ignored(option: Option, origin: Origin, reading: _Reading) -> None:
    message = _REPLACED.get(option.name, f"--{option.name} has no meaning for a lock and is ignored")
    reading.notes.append(Warned(code="option-ignored", subject=str(origin), message=message))


def _read_formats(value: str, these: set[str], others: set[str]) -> None:
    """``:all:``, ``:none:`` or names: later ones win, and no name is in both sets, as in pip."""
    for item in filter(None, value.split(",")):
        if item == ":none:":
            these.clear()
        elif item == ALL:
            others.clear()
            these.clear()
            these.add(ALL)
        else:
            name = _format_name(item)
            others.discard(name)
            these.add(name)


def _format_name(item: str) -> NormalizedName:
    try:
        return read_name(item.strip(), "the project")
    except RequirementInvalid as error:
        raise LineInvalid("has a list of names with an invalid name in it", hint=error.hint) from None


def _read_hash(value: str, origin: Origin) -> str:
    """Check one ``algorithm:digest``. Raises HashWeak for less than sha256."""
    algorithm, _, digest = value.lower().partition(":")
    if algorithm not in _DIGEST_LENGTHS:
        raise HashWeak(
            f"{origin}: a hash of an unknown or weak algorithm; sha256 or a stronger one is required",
            hint="Use a sha256 of the index, or compute it from the file (pip hash).",
        )
    if len(digest) != _DIGEST_LENGTHS[algorithm] or not re.fullmatch(r"[0-9a-f]+", digest):
        raise LineInvalid(f"has a {algorithm} that is not {_DIGEST_LENGTHS[algorithm]} hexadecimal digits")
    return f"{algorithm}:{digest}"


def _include(relative: str, place: _Place, origin: Origin | None, *, constraint: bool, reading: _Reading) -> None:
    where = str(origin or place.source)
    name = _joined(place.source, relative, where)
    chain = (*place.chain, place.source)
    if name in chain:
        circle = " -> ".join([*chain[chain.index(name) :], name])
        raise RequirementsInvalid(f"{where}: files include each other: {circle}")
    if len(chain) > MAX_DEPTH:
        raise LimitExceeded(f"{where}: files include each other more than {MAX_DEPTH} deep")
    text = _opened(relative, place.source, where, reading.opener)
    _read_file(text, _Place(source=name, chain=chain, constraint=constraint), reading)


def _joined(including: str, relative: str, where: str) -> str:
    """Return the included file's name, relative to what the first file's name is relative to."""
    if (
        _SCHEME.match(relative)
        or relative.startswith(("/", "\\", "~"))
        or "\\" in relative
        or _VARIABLE.search(relative)
    ):
        raise RequirementsInvalid(
            f"{where}: includes a URL or an absolute path",
            hint="Only relative paths inside the project may be included, with '/' between folders.",
        )
    if not relative.isprintable():
        raise RequirementsInvalid(f"{where}: includes a file whose name cannot be printed")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(including.replace("\\", "/")), relative))
    if name.split("/", 1)[0] == ".." and not including.startswith(".."):
        raise RequirementsInvalid(
            f"{where}: includes a file outside the project",
            hint="Only relative paths inside the project may be included.",
        )
    return name


def _opened(relative: str, including: str, where: str, opener: Opener) -> str:
    try:
        return opener(including, relative)
    except FileNotFoundError:
        raise RequirementsInvalid(f"{where}: includes {shown(relative)}, which does not exist") from None
    except (OSError, UnicodeError) as error:
        raise_machine_fault(error)
        raise RequirementsInvalid(
            f"{where}: includes {shown(relative)}, which cannot be read ({type(error).__name__})"
        ) from None
