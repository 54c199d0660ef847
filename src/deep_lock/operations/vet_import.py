"""The work of `vet import`: the audits of other teams, pinned in `imports.lock`.

Invariants: what a file of another team states is data, read with bounds. Its exemptions and its own imports are in other files, and
are not read. Both files are written after everything was fetched and read; a run that fails leaves them as they were.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import VetImportOptions
from deep_lock.errors import NotFound, UsageError, VettingInvalid
from deep_lock.events import Reporter, Warned
from deep_lock.index.settings import SMALL_SECONDS
from deep_lock.locking.clients import open_addresses
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.vetting import CONFIG, IMPORTS_LOCK, AuditImport, ImportedAudits
from deep_lock.network.git import Repositories
from deep_lock.network.scopes import AddressScope, scope_of_host
from deep_lock.network.urls import is_signed, shown_url, without_user_info
from deep_lock.parsing.text import decode
from deep_lock.parsing.vetting import TEAM, read_audits, read_imports_lock, read_vetting_config
from deep_lock.project import edit
from deep_lock.project.files import read_bytes
from deep_lock.project.vetting_files import read_vetting, vetting_folder
from deep_lock.project.vetting_imports import audit_order, imports_lock_text, with_import, without_import
from deep_lock.reports.vet_import import ImportChange
from deep_lock.sanitize import show

MAX_BYTES = 8 * 1024 * 1024
"""Of the file of a team."""
MAX_WARNINGS = 10
"""About one file."""
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)")
"""``user@host:path``, which git takes as ssh."""


class ImportPlan(Struct, frozen=True, kw_only=True):
    """What an import will write."""

    changes: tuple[ImportChange, ...]
    config: edit.Document
    imports: Path
    text: str
    """Of `imports.lock`."""

    @property
    def changes_files(self) -> bool:
        """Whether a file will have another content."""
        return edit.replacement(self.config) is not None or self.text.encode() != _content(self.imports)


def plan_import(options: VetImportOptions, reporter: Reporter) -> ImportPlan:
    """Fetch and read what is imported; nothing is written.

    Raises UsageError, VettingInvalid and ProjectInvalid; IndexFault, SafetyError and RequirementInvalid for what cannot be fetched.
    """
    folder = vetting_folder(options.lock)
    vetting = read_vetting(folder)
    document = edit.open_document(folder / CONFIG)
    sources = dict(vetting.config.imports)
    imports = {team: _ordered(own) for team, own in vetting.imports.items() if team in sources}
    changes: list[ImportChange] = []
    if options.removed:
        _require(options.removed, sources)
        del sources[options.removed]
        document = without_import(document, options.removed)
    for team in sorted(vetting.imports.keys() - sources.keys()):
        pinned = vetting.imports[team]
        imports.pop(team, None)
        changes.append(ImportChange(team=team, pinned=pinned, withdrawn=pinned.audits, is_removed=True))
    if options.url or options.git:
        source = _new_source(options, sources)
        document = with_import(document, options.name, source)
        sources = dict(read_vetting_config(document.text, CONFIG).imports)
    for team, source in _refreshed(options, sources).items():
        pinned = _fetched(team, source, options, reporter)
        before = vetting.imports[team].audits if team in vetting.imports else ()
        imports[team] = _ordered(pinned)
        changes.append(
            ImportChange(
                team=team,
                pinned=pinned,
                added=tuple(audit for audit in pinned.audits if audit not in before),
                withdrawn=tuple(audit for audit in before if audit not in pinned.audits),
            )
        )
    text = imports_lock_text(imports)
    if read_imports_lock(text, IMPORTS_LOCK) != imports:
        raise VettingInvalid(f"{IMPORTS_LOCK}: would not have what was imported; nothing was written")
    return ImportPlan(changes=tuple(changes), config=document, imports=folder / IMPORTS_LOCK, text=text)


def _ordered(own: ImportedAudits) -> ImportedAudits:
    """Return what is imported in the order of `imports.lock`."""
    return replace(own, audits=tuple(sorted(own.audits, key=audit_order)))


def _require(team: str, sources: Iterable[str]) -> None:
    if team not in sources:
        known = ", ".join(sorted(sources)) or "none"
        raise UsageError(
            f"{CONFIG} has no team {team!r}", hint=f"it has: {known}; add one: deep-lock vet import NAME --url URL"
        )


def _refreshed(options: VetImportOptions, sources: Mapping[str, AuditImport]) -> dict[str, AuditImport]:
    """Return the sources that this run fetches."""
    if options.removed:
        return {}
    if options.name:
        _require(options.name, sources)
        return {options.name: sources[options.name]}
    return dict(sorted(sources.items()))


def _new_source(options: VetImportOptions, sources: Mapping[str, AuditImport]) -> AuditImport:
    """Return the source that the options add. Raises UsageError."""
    if not options.name:
        raise UsageError("a team that is added needs a name", hint="deep-lock vet import NAME --url URL")
    if not TEAM.fullmatch(options.name):
        raise UsageError(f"the name {show(options.name)} must have lower-case ASCII letters, digits, '-' and '_' only")
    if options.name in sources:
        raise UsageError(
            f"{CONFIG} has {options.name!r} already",
            hint=f"remove it first: deep-lock vet import --remove {options.name}",
        )
    base = options.lock.parent
    if options.url:
        return AuditImport(url=_address(without_user_info(options.url), base))
    if "@" in urlsplit(options.git).netloc and not options.git.startswith("ssh:"):
        raise UsageError(
            f"{shown_url(options.git)}: has a login, which would be written to {CONFIG}", hint="use ssh://, with a key"
        )
    source = AuditImport(git=_address(options.git, base), ref=options.ref)
    return replace(source, path=options.path) if options.path else source


def _address(text: str, base: Path) -> str:
    """Return an address as the file has it: a relative path from the folder of the lock on. Raises UsageError for a secret in it."""
    if is_signed(text):
        raise UsageError(f"{shown_url(text)}: has a signature, which is a secret, and would be written to {CONFIG}")
    if "://" in text or _SCP.match(text):
        return text
    if Path(text).is_absolute():
        return text
    return Path(os.path.relpath(text, base)).as_posix()


# -- files of teams


def _fetched(team: str, source: AuditImport, options: VetImportOptions, reporter: Reporter) -> ImportedAudits:
    """Fetch and read the audits of a team."""
    base = options.lock.parent.resolve()
    if source.git:
        name, (commit, raw) = shown_url(source.git), _from_git(source, base, options)
    else:
        name, commit, raw = shown_url(source.url), "", _from_address(team, source, base, options, reporter)
    warned: list[Warned] = []

    def collect(event: object) -> None:
        if isinstance(event, Warned):
            warned.append(event)

    audits = read_audits(decode(raw, name, VettingInvalid), name, collect)
    for event in warned[:MAX_WARNINGS]:
        reporter(event)
    if len(warned) > MAX_WARNINGS:
        more = f"{len(warned) - MAX_WARNINGS} more keys and criteria are left out"
        reporter(Warned(code="vetting-unknown", subject=name, message=more))
    return ImportedAudits(source=source, sha256=sha256(raw).hexdigest(), commit=commit, audits=audits)


def _from_git(source: AuditImport, base: Path, options: VetImportOptions) -> tuple[str, bytes]:
    """Return the commit and the content of the file in it."""
    url = _location(source.git, base, ("https", "ssh", "file", ""))
    repositories = Repositories(options.context.cache_folder, options.context.environ, offline=options.network.offline)
    repositories.require_nameable(url, by_project=True)
    commit = repositories.commit_of(url, source.ref or None)
    raw = repositories.file(url, commit, source.ref or None, source.path, MAX_BYTES)
    if raw is None:
        raise UsageError(
            f"{shown_url(source.git)}: commit {commit} has no file {source.path}", hint="name it: --path PATH"
        )
    return commit, raw


def _from_address(team: str, source: AuditImport, base: Path, options: VetImportOptions, reporter: Reporter) -> bytes:
    url = _location(source.url, base, ("https",))
    if url.startswith("file:"):
        path = base / source.url
        try:
            return read_bytes(path, VettingInvalid, MAX_BYTES)
        except FileNotFoundError:
            raise UsageError(f"{path}: there is no such file") from None
    config = read_project_config(base)
    named = {team: options.url if options.url and without_user_info(options.url) == source.url else url}
    with closing(open_addresses(named, options.network, config, options.context, reporter)) as client:
        response = client.fetcher.open(f"the audits {shown_url(url)}").get(
            url, named_by=url, limit=MAX_BYTES, deadline=SMALL_SECONDS
        )
    if response.status != 200:
        raise NotFound(f"{shown_url(url)}: the server has no such file (HTTP {response.status})")
    return response.body


def _location(address: str, base: Path, schemes: Collection[str]) -> str:
    """Return the URL of an address; http is allowed for this machine only. Raises UsageError for other schemes."""
    if "://" not in address and not _SCP.match(address):
        return (base / address).resolve().as_uri()
    parts = urlsplit(address)
    if parts.scheme == "http" and scope_of_host(parts.hostname or "") is AddressScope.LOOPBACK:
        return address
    if parts.scheme not in schemes:
        raise UsageError(f"{shown_url(address)}: is none of {', '.join(filter(None, schemes))}", hint="use https://")
    return address


# -- writing


def write_import(plan: ImportPlan) -> None:
    """Write both files, or neither. Raises UsageError and Stale."""
    imports = edit.Document(path=plan.imports, before=_content(plan.imports) or b"", text=plan.text)
    edit.write_all((imports, plan.config))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
