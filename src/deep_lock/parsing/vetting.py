"""The files of `supply-chain/`: audits, exemptions and imports.

A file of the project is read strictly: an unknown key is an error. Another version of deep-lock may have written the file of another
team: an audit with an unknown key, and an unknown criterion, are left out with a warning. What is left must be valid there too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace
from packaging.version import InvalidVersion

from deep_lock.errors import VettingInvalid
from deep_lock.events import Reporter, Warned
from deep_lock.models.vetting import (
    CRITERIA,
    VERSION,
    AuditedFile,
    AuditImport,
    Criterion,
    FileAudit,
    FileExemption,
    ImportedAudits,
    VettingConfig,
)
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import described, read_names
from deep_lock.parsing.text import deceiving, shown
from deep_lock.parsing.toml import Spots, line_of, parse_toml, read_toml
from deep_lock.pep440 import parse_version

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_WHO = 200
MAX_NOTES = 10_000

TEAM = re.compile("[a-z0-9]+(?:[-_][a-z0-9]+)*")
"""The name of a team."""
_SHA256 = re.compile("[0-9a-f]{64}")
_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FILENAME = re.compile(r"[^/\\]{1,255}")
"""An archive that is a direct source can have any name."""
_WORDS: Mapping[Any, str] = {
    str: "a string",
    date: "a date such as 2026-11-30",
    tuple[str, ...]: "a list of strings",
    tuple[dict[str, Any], ...]: "a list of tables",
}
Record = TypeVar("Record", bound=Struct)
Made = TypeVar("Made")


class _File(Struct, kw_only=True):
    name: str
    sha256: str
    base: str = field(default="", name="from")


class _Exemption(Struct, kw_only=True):
    version: str = ""
    criteria: tuple[str, ...]
    notes: str = ""
    files: tuple[dict[str, Any], ...]


class _Audit(_Exemption, kw_only=True):
    base: str = field(default="", name="from")
    who: str
    date: date


class _Place(Struct, frozen=True, kw_only=True):
    """Where a table is."""

    header: str
    """Its dotted key."""
    entry: int = 0
    """Its number in an array, from 1; 0: it is in none."""

    def __str__(self) -> str:
        return f"{self.header}, entry {self.entry}" if self.entry else self.header


class _Source(Struct, kw_only=True):
    url: str = ""
    git: str = ""
    ref: str = ""
    path: str = ""


class _Pin(_Source, kw_only=True):
    sha256: str
    commit: str = ""


def read_audits(text: str, source: str, report: Reporter | None = None) -> tuple[FileAudit, ...]:
    """Read `audits.toml`. With ``report`` it is the file of another team: what is left out of it is a warning.

    Raises VettingInvalid, or LimitExceeded.
    """
    document = _Document(text, source, ("audits",), report)
    audits = document.releases(document.table("audits"), "audits", _Audit, _audit)
    document.faults.raise_any()
    return audits


def read_vetting_config(text: str, source: str) -> VettingConfig:
    """Read `config.toml`. Raises VettingInvalid, or LimitExceeded."""
    document = _Document(text, source, ("imports", "exemptions"))
    imports = document.teams("imports", _Source, lambda _, own: _import(own))
    exemptions = document.releases(document.table("exemptions"), "exemptions", _Exemption, _exemption)
    document.faults.raise_any()
    return VettingConfig(imports=imports, exemptions=exemptions)


def read_imports_lock(text: str, source: str) -> Mapping[str, ImportedAudits]:
    """Read `imports.lock`: the audits of each team, by its name. Raises VettingInvalid, or LimitExceeded."""
    document = _Document(text, source, ("imports", "audits"))
    audits = document.table("audits")

    def imported(team: str, own: _Pin) -> ImportedAudits:
        if not _SHA256.fullmatch(own.sha256):
            raise VettingInvalid("sha256 must be 64 lower-case hexadecimal digits")
        if (own.commit and not _COMMIT.fullmatch(own.commit)) or bool(own.git) != bool(own.commit):
            raise VettingInvalid("commit must be the full ID of a commit for git, and is not for a URL")
        return ImportedAudits(
            source=_import(own),
            sha256=own.sha256,
            commit=own.commit,
            audits=document.releases(audits.pop(team, {}), f"audits.{team}", _Audit, _audit),
        )

    imports = document.teams("imports", _Pin, imported)
    for team in audits:
        document.faults.add(f"audits.{shown(team)}: there is no table imports.{shown(team)}")
    document.faults.raise_any()
    return imports


class _Document:
    """One file that is read: its faults are collected, to be raised together."""

    def __init__(self, text: str, source: str, keys: Sequence[str], report: Reporter | None = None) -> None:
        """``report`` is set for the file of another team. Raises VettingInvalid for another version of the format."""
        self.faults = Faults(source, VettingInvalid)
        self._text = text
        self._source = source
        self._report = report
        self._unknown_keys = 0
        """In the audits of another team: such a key may restrict what an audit states."""
        self._table = parse_toml(text, source, VettingInvalid, limit=MAX_CHARACTERS)
        version = self._table.get("version")
        if version != VERSION or isinstance(version, bool):
            found = "has no version" if version is None else f"has version {shown(str(version))}"
            hint = f"add version = {VERSION}, or restore the file" if version is None else "upgrade deep-lock"
            raise VettingInvalid(f"{source}: {found}; this deep-lock reads version = {VERSION}", hint=hint)
        self._check_keys(self._table, ("version", *keys), _Place(header=""))

    def table(self, key: str) -> dict[str, Any]:
        """Return a table of the file; empty where it has none."""
        found = self._table.get(key, {})
        if isinstance(found, dict):
            return found
        self.faults.add(f"{key} must be a table, not {described(found)}")
        return {}

    def teams(self, key: str, kind: type[Record], make: Callable[[str, Record], Made]) -> dict[str, Made]:
        """Return what ``make`` makes of each table under the key, by the name of its team."""
        found: dict[str, Made] = {}
        for team, own in self.table(key).items():
            with self.faults.collecting(f"{key}.{team}" if TEAM.fullmatch(team) else key):
                if not TEAM.fullmatch(team):
                    raise VettingInvalid(
                        f"the name {shown(team)} must have lower-case ASCII letters, digits, '-' and '_' only"
                    )
                found[team] = make(team, self._record(own, kind, _Place(header=f"{key}.{team}")))
        return found

    def releases(
        self, table: Any, key: str, kind: type[Record], make: Callable[["_Document", str, Record, _Place], Made | None]
    ) -> tuple[Made, ...]:
        """Return what ``make`` makes of each entry of the arrays in a table, which has them by project."""
        found: list[Made] = []
        if not isinstance(table, dict):
            self.faults.add(f"{key} must be a table, not {described(table)}")
            return ()
        for name, spelling, entries in read_names(table, "project", key, self.faults):
            header = f"{key}.{spelling}"
            if not isinstance(entries, list):
                self.faults.add(f"{header} must be an array of tables ([[{header}]]), not {described(entries)}")
                continue
            for number, entry in enumerate(entries, 1):
                place = _Place(header=header, entry=number)
                unknown = self._unknown_keys
                with self.faults.collecting(str(place)):
                    made = make(self, name, self._record(entry, kind, place), place)
                    if made is not None and self._unknown_keys == unknown:
                        found.append(made)
        return tuple(found)

    def files(self, own: _Exemption, place: _Place, *, is_delta: bool) -> tuple[AuditedFile, ...]:
        """Return the files of an entry. Raises VettingInvalid."""
        found: dict[str, AuditedFile] = {}
        for table in own.files:
            file = self._record(table, _File, _Place(header=f"{place.header}.files"))
            if (
                not _FILENAME.fullmatch(file.name)
                or file.name in {".", ".."}
                or deceiving(file.name)
                or "\n" in file.name
            ):
                raise VettingInvalid(f"{shown(file.name)} is not the name of a file")
            if not _SHA256.fullmatch(file.sha256):
                raise VettingInvalid(f"the sha256 of {file.name} must be 64 lower-case hexadecimal digits")
            if bool(file.base) != is_delta or (is_delta and not _SHA256.fullmatch(file.base)):
                must = "must have the sha256 of a file of that version as from" if is_delta else "must have no from"
                raise VettingInvalid(f"{file.name} {must}")
            if file.sha256 in found:
                raise VettingInvalid(f"the sha256 of {file.name} is in it twice")
            found[file.sha256] = AuditedFile(name=file.name, sha256=file.sha256, base=file.base)
        if not found:
            raise VettingInvalid("files is empty")
        return tuple(found.values())

    def criteria(self, own: _Exemption, place: _Place) -> tuple[Criterion, ...]:
        """Return the criteria of an entry; those of another team may be none. Raises VettingInvalid."""
        unknown = [text for text in own.criteria if text not in CRITERIA]
        for text in unknown:
            self._unknown(f"{shown(text)} is not a known criterion; known are {', '.join(CRITERIA)}", place)
        if not own.criteria:
            raise VettingInvalid("criteria is empty")
        return tuple(criterion for criterion in CRITERIA if criterion in own.criteria)

    def _record(self, table: Any, kind: type[Record], place: _Place) -> Record:
        """Return a table as a record. Raises VettingInvalid."""
        if not isinstance(table, dict):
            raise VettingInvalid(f"must be a table, not {described(table)}")
        fields = {own.encode_name: own for own in msgspec.structs.fields(kind)}
        self._check_keys(table, tuple(fields), place)
        missing = [key for key, own in fields.items() if own.required and key not in table]
        if missing:
            raise VettingInvalid(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        for key in fields.keys() & table.keys():
            try:
                msgspec.convert(table[key], fields[key].type)
            except msgspec.ValidationError:
                raise VettingInvalid(f"{key} must be {_WORDS[fields[key].type]}, not {described(table[key])}") from None
        return msgspec.convert(table, kind)

    def _check_keys(self, table: Mapping[str, Any], known: Sequence[str], place: _Place) -> None:
        for key in table:
            if key not in known:
                self._unknown(f"{shown(key)} is not a known key; known are {', '.join(known)}", place, key)

    def _unknown(self, message: str, place: _Place, key: str = "") -> None:
        """Report a key that is not known, or without ``key`` a value. An audit of another team that has such a key is left out."""
        where = f"{place}: {message}" if place.header else message
        if self._report is not None:
            in_audit = bool(key and place.header)
            left_out = "the audit is left out" if in_audit else "it is left out"
            self._report(Warned(code="vetting-unknown", subject=self._source, message=f"{where}: {left_out}"))
            self._unknown_keys += in_audit
            return
        line = line_of(self._key_lines, key, place.header) if key else None
        self.faults.add(f"{self._source}:{line}: {where}" if line is not None else where)

    @cached_property
    def _key_lines(self) -> Spots:
        """The lines of the keys: found for a fault only."""
        return read_toml(self._text, self._source, VettingInvalid, limit=MAX_CHARACTERS)[1].keys


# -- records


def can_be_who(text: str) -> bool:
    """Whether a text can state who read files."""
    return bool(text.strip()) and len(text) <= MAX_WHO and "\n" not in text and not deceiving(text)


def _audit(document: _Document, package: str, own: _Audit, place: _Place) -> FileAudit | None:
    """Return an audit; None where it has no criterion that is known."""
    if not can_be_who(own.who):
        raise VettingInvalid(f"who must be one line of text, of at most {MAX_WHO} visible characters")
    criteria = document.criteria(own, place)
    files = document.files(own, place, is_delta=bool(own.base))
    audit = FileAudit(
        package=package,
        version=_version(own.version),
        base_version=_version(own.base),
        criteria=criteria,
        who=own.who,
        date=own.date,
        notes=_notes(own.notes),
        files=files,
    )
    return audit if criteria else None


def _exemption(document: _Document, package: str, own: _Exemption, place: _Place) -> FileExemption:
    return FileExemption(
        package=package,
        version=_version(own.version),
        criteria=document.criteria(own, place),
        notes=_notes(own.notes),
        files=document.files(own, place, is_delta=False),
    )


def _import(own: _Source) -> AuditImport:
    if bool(own.url) == bool(own.git):
        raise VettingInvalid("must have either url or git")
    if own.url and (own.ref or own.path):
        raise VettingInvalid("ref and path are for git only")
    if any(deceiving(text) or "\n" in text for text in (own.url, own.git, own.ref, own.path)):
        raise VettingInvalid("url, git, ref and path are one line of visible characters each")
    if own.path and any(part in {"", ".", ".."} for part in own.path.split("/")):
        raise VettingInvalid(f"path must be a relative path with '/', not {shown(own.path)}")
    source = AuditImport(url=own.url, git=own.git, ref=own.ref)
    return replace(source, path=own.path) if own.path else source


def _version(text: str) -> str:
    try:
        return str(parse_version(text)) if text else ""
    except InvalidVersion:
        raise VettingInvalid(f"{shown(text)} is not a version") from None


def _notes(text: str) -> str:
    if len(text) > MAX_NOTES or any(map(deceiving, text.split("\n"))):
        raise VettingInvalid(f"notes must be text of at most {MAX_NOTES} visible characters")
    return text
