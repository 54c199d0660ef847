"""The work of `vet certify`: an audit of files of one release, and the exemptions that it makes unnecessary.

Files of the older release of a delta are known by their sha256 from the audits and exemptions, else from the index.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.analysis.vetting import Coverage, Need, counterpart, needs, recorded_files, without_unused
from deep_lock.config.options import CertifyOptions, VerifyOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.lockfile.index import index_lock
from deep_lock.models.lock import Lock
from deep_lock.models.vetting import AUDITS, CONFIG, CRITERIA, AuditedFile, Criterion, FileAudit, FileExemption, Vetting
from deep_lock.network import git
from deep_lock.operations.inputs import locked_indexes, open_indexes, read_lock_file
from deep_lock.parsing.text import deceiving
from deep_lock.parsing.vetting import MAX_NOTES, MAX_WHO, can_be_who, read_audits
from deep_lock.pep440 import parse_version
from deep_lock.project import edit
from deep_lock.project.vetting_files import read_vetting, vetting_folder, with_record, with_replaced_records
from deep_lock.reports.vet import MAX_FILES, certify_command
from deep_lock.sanitize import listed, quote, show
from deep_lock.suggestions import did_you_mean


class Certified(Struct, frozen=True, kw_only=True):
    """The audits of one run, unwritten, and the files with them."""

    audits: tuple[FileAudit, ...]
    """One for each set of criteria."""
    documents: tuple[edit.Document, ...]
    """To be written in this order: the audits first, since exemptions are removed for them."""
    removed: tuple[FileExemption, ...]
    """Exemptions that are not needed any more, or not as they are."""
    is_covered: bool
    """Whether each file of the release in the lock is covered now."""


def certify(options: CertifyOptions, reporter: Reporter) -> Certified:
    """Return audits of files of a release in the lock.

    Raises UsageError for what is not in the lock, LockInvalid, VettingInvalid, ProjectInvalid where a file cannot be edited, and
    IndexFault.
    """
    lock_path = options.vet.lock
    lock = read_lock_file(lock_path, reporter).lock
    folder = vetting_folder(lock_path)
    vetting = read_vetting(folder)
    needed = needs(index_lock(lock))
    release = _release(options, lock, needed)
    wanted = _wanted(options, release)
    bases = _bases(options, lock, vetting, wanted, reporter) if options.base else {}
    audits = tuple(
        _audits(options, release[0], [need for need in wanted if not options.base or need.file.sha256 in bases], bases)
    )
    for own in audits:
        if own in vetting.audits:
            raise UsageError(f"{folder / AUDITS}: has this audit of {own.package} {own.version} already")
    documents, removed, coverage = _edited(folder, vetting, audits, needed)
    return Certified(
        audits=audits,
        documents=documents,
        removed=removed,
        is_covered=not any(coverage.missing(need) for need in release),
    )


# -- the release


def _release(options: CertifyOptions, lock: Lock, needed: Sequence[Need]) -> list[Need]:
    """Return the files of the release that the lock needs. Raises UsageError where there is none."""
    name, source = canonicalize_name(options.name), options.vet.lock.name
    own = [need for need in needed if need.entry.name == name]
    if not own:
        is_locked = any(entry.name == name for entry in lock.packages)
        raise UsageError(
            f"{source} has no {'files' if is_locked else 'package'} {'of ' if is_locked else ''}{show(options.name)}",
            hint="" if is_locked else did_you_mean(name, {need.entry.name for need in needed}),
        )
    versions = list(dict.fromkeys(need.entry.version or "" for need in own))
    if not options.version:
        if len(versions) > 1:
            raise UsageError(
                f"{source} has {name} {' and '.join(versions)}", hint="name the version: certify NAME VERSION"
            )
        return own
    version = str(_version(options.version))
    if version not in versions:
        raise UsageError(
            f"{source} has no {name} {version}", hint=f"it has {', '.join(filter(None, versions)) or 'no version'}"
        )
    return [need for need in own if need.entry.version == version]


def _version(text: str) -> Version:
    try:
        return parse_version(text)
    except InvalidVersion:
        raise UsageError(f"{quote(text)}: is not a version") from None


def _wanted(options: CertifyOptions, release: Sequence[Need]) -> list[Need]:
    """Return the files that the audit is about. Raises UsageError for one that the release does not have."""
    names = [need.file.name for need in release]
    for name in options.files:
        if name not in names:
            raise UsageError(
                f"--file {show(name)}: is not a file of the release in the lock",
                hint=f"it has {listed(names, MAX_FILES)}",
            )
    return [need for need in release if not options.files or need.file.name in options.files]


# -- the files of the older release


def _bases(
    options: CertifyOptions, lock: Lock, vetting: Vetting, wanted: Sequence[Need], reporter: Reporter
) -> Mapping[str, str]:
    """Return the sha256 of the file of the older release, by that of the file that is compared with it.

    Files without one are left out, with a warning. Raises UsageError where there is none at all, and IndexFault.
    """
    name, base = wanted[0].entry.name, _version(options.base)
    if str(base) == wanted[0].entry.version:
        raise UsageError(f"--from {base}: is the version itself", hint="name the version that it was compared with")
    criteria = tuple(own for own in CRITERIA if any(own in need.criteria for need in wanted))
    found = _paired(wanted, recorded_files(vetting, name, str(base), criteria))
    if len(found) < len(wanted):
        found = {**_paired(wanted, _offered(options, lock, wanted[0], base, reporter)), **found}
    alone = [need.file.name for need in wanted if need.file.sha256 not in found]
    if alone:
        whole = certify_command(name, wanted[0].entry.version or "", options.vet.lock, files=alone)
        message = f"{base} has no file like {listed(alone, MAX_FILES)}"
        if not found:
            raise UsageError(f"{name}: {message}", hint=f"read the whole file, then run {whole}")
        reporter(Warned(code="vet-no-base", subject=name, message=f"{message}: to be read as a whole, then {whole}"))
    return found


def _paired(wanted: Sequence[Need], files: Mapping[str, str]) -> dict[str, str]:
    """Return the sha256 of the file that each of these is compared with; ``files`` has those of the older release by name."""
    pairs = ((need.file.sha256, counterpart(need.file.name, files)) for need in wanted)
    return {sha256: files[name] for sha256, name in pairs if name is not None}


def _offered(options: CertifyOptions, lock: Lock, need: Need, version: Version, reporter: Reporter) -> dict[str, str]:
    """Return the sha256 of the files of a release that the index has, by name. Raises UsageError and IndexFault."""
    vet = options.vet
    verify = VerifyOptions(lock=vet.lock, network=vet.network, context=vet.context)
    with closing(open_indexes(lock, verify, reporter, refresh=False)) as opened:
        index = locked_indexes(lock, opened.client).of(need.entry)
        files = opened.client.files(canonicalize_name(need.entry.name), version, index)
    if not files:
        raise UsageError(f"{need.entry.name} {version}: is neither in the audits and exemptions, nor on the index")
    return {file.filename: file.sha256 for file in files if file.sha256 is not None}


# -- the audits


def _audits(
    options: CertifyOptions, first: Need, wanted: Sequence[Need], bases: Mapping[str, str]
) -> Iterator[FileAudit]:
    """Yield an audit for each set of criteria that the files need; of the criteria of the options where these name some."""
    groups: dict[tuple[Criterion, ...], dict[str, AuditedFile]] = {}
    for need in wanted:
        criteria = tuple(own for own in CRITERIA if own in (options.criteria or need.criteria))
        file = AuditedFile(name=need.file.name, sha256=need.file.sha256, base=bases.get(need.file.sha256, ""))
        groups.setdefault(criteria, {})[file.sha256] = file
    who = _who(options)
    if len(options.notes) > MAX_NOTES:
        raise UsageError(f"--notes: {len(options.notes)} characters; at most {MAX_NOTES} are allowed")
    if any(map(deceiving, options.notes.split("\n"))):
        raise UsageError("--notes must be visible characters")
    for criteria, files in sorted(groups.items()):
        yield FileAudit(
            package=first.entry.name,
            version=first.entry.version or "",
            base_version=str(_version(options.base)) if options.base else "",
            criteria=criteria,
            who=who,
            date=options.vet.context.now.astimezone(UTC).date(),
            notes=options.notes,
            files=tuple(files.values()),
        )


def _who(options: CertifyOptions) -> str:
    who = options.who or git.author(options.vet.lock.parent.resolve(), options.vet.context.environ)
    if not who:
        raise UsageError(
            "git has no user.name and user.email here", hint='name who read the files: --who "NAME <ADDRESS>"'
        )
    if not can_be_who(who):
        raise UsageError(f"--who must be one line of at most {MAX_WHO} visible characters")
    return who


# -- the files


def _edited(
    folder: Path, vetting: Vetting, audits: Sequence[FileAudit], needed: Sequence[Need]
) -> tuple[tuple[edit.Document, ...], tuple[FileExemption, ...], Coverage]:
    """Return the edited files, the exemptions that are removed or changed in them, and what is covered then."""
    document, every = edit.open_document(folder / AUDITS), vetting.audits
    for audit in audits:
        document = with_record(document, "audits", audit, every)
        every = read_audits(document.text, AUDITS)
    coverage = Coverage(replace(vetting, audits=every))
    own = [need for need in needed if need.entry.name == audits[0].package]
    if any(coverage.missing(need) for need in own):  # an exemption may be the base of the next delta
        return (document,), (), coverage
    exemptions = vetting.config.exemptions
    unused = {
        position: left
        for position, left in without_unused(exemptions, coverage.used(needed)).items()
        if exemptions[position].package == audits[0].package
    }
    if not unused:
        return (document,), (), coverage
    config = with_replaced_records(edit.open_document(folder / CONFIG), "exemptions", exemptions, unused)
    return (document, config), tuple(exemptions[position] for position in sorted(unused)), coverage
