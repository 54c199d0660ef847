"""The work of `vet check`: the files of a lock, compared with the audits and exemptions next to it. No request is made."""

from collections.abc import Iterator, Sequence

from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.vetting import Coverage, Need, needs, unit, without_unused
from deep_lock.config.options import VetOptions
from deep_lock.events import Reporter
from deep_lock.lockfile.index import LockIndex, called, index_lock, key_of, members
from deep_lock.lockfile.member import is_of_member
from deep_lock.lockfile.selection import source_trees
from deep_lock.models.changes import Finding
from deep_lock.models.vetting import AUDITS, CONFIG, CRITERIA, FOLDER, IMPORTS_LOCK, Criterion, FileExemption, Vetting
from deep_lock.operations.inputs import read_lock_file
from deep_lock.project.vetting_files import read_vetting, vetting_folder
from deep_lock.reports.vet import MAX_FILES, Uncovered, VetCheck
from deep_lock.sanitize import counted, listed


def check(options: VetOptions, reporter: Reporter) -> VetCheck:
    """Return what covers the files of a lock. Raises UsageError, LockInvalid and VettingInvalid."""
    file = read_lock_file(options.lock, reporter)
    vetting = read_vetting(vetting_folder(options.lock))
    index = index_lock(file.lock)
    needed, coverage = needs(index), Coverage(vetting)
    kinds = [_kind(need, coverage) for need in needed]
    trees = (entry for entry in source_trees(file.lock) if not is_of_member(entry, file.lock))
    return VetCheck(
        lock=options.lock,
        audited=kinds.count("audited"),
        imported=kinds.count("imported"),
        exempt_base=kinds.count("exempt base"),
        exempt=kinds.count("exempt"),
        not_covered=kinds.count("not covered"),
        uncovered=tuple(_uncovered(index, needed, coverage)),
        notes=(
            *_other_imports(vetting),
            *_unused_exemptions(vetting, coverage, needed),
            *_unused_audits(vetting, coverage, needed),
        ),
        not_compared=tuple(map(called, trees)),
        lines=file.lines,
    )


def _kind(need: Need, coverage: Coverage) -> str:
    if coverage.missing(need):
        return "not covered"
    chains = [list(coverage.chain(need.file.sha256, criterion)) for criterion in need.criteria]
    if any(isinstance(chain[0].record, FileExemption) for chain in chains):
        return "exempt"
    steps = [step for chain in chains for step in chain]
    if any(isinstance(step.record, FileExemption) for step in steps):
        return "exempt base"
    return "imported" if any(step.team for step in steps) else "audited"


def _uncovered(index: LockIndex, needed: Sequence[Need], coverage: Coverage) -> Iterator[Uncovered]:
    """Yield what is not covered: for builds first."""
    explain = Explanations(index)
    for criterion in CRITERIA:
        by_package: dict[int, list[Need]] = {}
        for need in needed:
            if criterion in need.criteria:
                by_package.setdefault(id(need.entry), []).append(need)
        for own in by_package.values():
            entry = own[0].entry
            files = tuple(need.file for need in own if not coverage.covers(need.file.sha256, criterion))
            if files:
                chain = _chain(index, explain, own[0], criterion)
                yield Uncovered(entry=entry, criterion=criterion, files=files, needed=len(own), chain=chain)


def _chain(index: LockIndex, explain: Explanations, need: Need, criterion: Criterion) -> tuple[str, ...]:
    if criterion == "safe-to-run":
        return explain.package(need.key)
    users = [build for build in index.lock.builds if any(key_of(own) == need.key for own in members(build))]
    if users:
        return explain.member(need.entry.name, users)
    return explain.build(index.records[need.key][0])


def _other_imports(vetting: Vetting) -> Iterator[Finding]:
    """Yield a note on each team whose audits are not those of the address in `config.toml`: they cover nothing."""
    for team in sorted(vetting.imports.keys() | vetting.config.imports.keys()):
        if team not in vetting.current_imports:
            yield Finding(
                code="import-outdated",
                severity="note",
                subject=f"{FOLDER}/{IMPORTS_LOCK}",
                message=f"the audits of {team} are not from the address in {CONFIG}: they cover nothing",
                hint="deep-lock vet import",
            )


def _unused_exemptions(vetting: Vetting, coverage: Coverage, needed: Sequence[Need]) -> Iterator[Finding]:
    """Yield a note on each exemption that is not needed: not while a file of its project is not covered."""
    exemptions = vetting.config.exemptions
    open_projects = {need.entry.name for need in needed if coverage.missing(need)}
    for position, left in without_unused(exemptions, coverage.used(needed)).items():
        own = exemptions[position]
        if own.package not in open_projects:  # it may be the base of a delta
            files = counted(len(own.files), "file")
            yield Finding(
                code="exemption-unused",
                severity="note",
                subject=f"{own.package} {own.version}".rstrip(),
                message=f"{'a part of ' if left else ''}the exemption of {files} for {', '.join(own.criteria)} is not needed",
                hint=f"remove it from {FOLDER}/{CONFIG}",
            )


def _unused_audits(vetting: Vetting, coverage: Coverage, needed: Sequence[Need]) -> Iterator[Finding]:
    """Yield one note: an audit of an older release stays useful, to other teams too."""
    used = coverage.used(needed)
    unused = [
        f"{own.package} {own.version}".rstrip()
        for own in vetting.audits
        if not any(unit(own, file, criterion) in used for file in own.files for criterion in own.criteria)
    ]
    if unused:
        yield Finding(
            code="audit-unused",
            severity="note",
            subject=f"{FOLDER}/{AUDITS}",
            message=f"no file of the lock needs the audits of {listed(list(dict.fromkeys(unused)), MAX_FILES)}",
        )
