"""The work of `vet init`: the files of `supply-chain/`, with an exemption for each file that the lock has now."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from deep_lock.analysis.vetting import Need, needs
from deep_lock.config.options import VetOptions
from deep_lock.errors import UsageError, raise_machine_fault
from deep_lock.events import Reporter
from deep_lock.files import is_there, write_atomically
from deep_lock.lockfile.index import index_lock
from deep_lock.models.lock import LockedFile
from deep_lock.models.vetting import AUDITS, CONFIG, CRITERIA, AuditedFile, Criterion, FileExemption
from deep_lock.operations.inputs import read_lock_file
from deep_lock.parsing.vetting import read_vetting_config
from deep_lock.project.vetting_files import new_text, vetting_folder


class Begun(Struct, frozen=True, kw_only=True):
    """The files that were written."""

    folder: Path
    packages: int
    files: int
    """How many files are exempt."""


def init(options: VetOptions, reporter: Reporter) -> Begun:
    """Write `audits.toml` and `config.toml`. Raises UsageError where one of them exists, LockInvalid and VettingInvalid."""
    folder = vetting_folder(options.lock)
    needed = needs(index_lock(read_lock_file(options.lock, reporter).lock))
    for name in (AUDITS, CONFIG):
        if is_there(folder / name):
            raise UsageError(
                f"{folder / name}: is there already; nothing was written",
                hint="deep-lock vet check shows what is not covered; remove the folder to begin again",
            )
    exemptions = exempt(needed)
    projects = {need.entry.name for need in needed}
    texts = {AUDITS: new_text(AUDITS, projects), CONFIG: new_text(CONFIG, projects, exemptions)}
    read_vetting_config(texts[CONFIG], CONFIG)  # an archive in the lock may have a name that no record can have
    written: list[Path] = []
    try:
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())
            written.append(folder / name)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise_machine_fault(error)
        raise UsageError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return Begun(folder=folder, packages=len(projects), files=sum(len(own.files) for own in exemptions))


def exempt(needed: Sequence[Need]) -> tuple[FileExemption, ...]:
    """Return exemptions for these files: one for the files of a release that need the same criteria."""
    found: dict[tuple[str, str], dict[str, tuple[LockedFile, set[Criterion]]]] = {}
    for need in needed:
        files = found.setdefault((need.entry.name, need.entry.version or ""), {})
        files.setdefault(need.file.sha256, (need.file, set()))[1].update(need.criteria)
    exemptions: list[FileExemption] = []
    for (package, version), files in found.items():
        groups: dict[tuple[Criterion, ...], list[AuditedFile]] = {}
        for file, criteria in files.values():
            own = tuple(criterion for criterion in CRITERIA if criterion in criteria)
            groups.setdefault(own, []).append(AuditedFile(name=file.name, sha256=file.sha256))
        exemptions += [
            FileExemption(package=package, version=version, criteria=criteria, files=tuple(own))
            for criteria, own in sorted(groups.items())
        ]
    return tuple(exemptions)
