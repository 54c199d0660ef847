"""Which files of a lock need an audit, which have one, and which records nothing needs.

Files are compared by sha256, and by nothing else. A file is covered for a criterion by an audit of it, by an exemption, or by a
delta from a file that is covered. So a cycle of deltas covers nothing.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.lockfile.index import Key, LockIndex, archive_file, files_of, is_gate, key_of, uses_of
from deep_lock.lockfile.selection import tags_of
from deep_lock.models.lock import LockedFile, LockedPackage
from deep_lock.models.vetting import CRITERIA, AuditedFile, Criterion, FileAudit, FileExemption, Vetting


class Need(Struct, frozen=True, kw_only=True):
    """A file of a lock that needs an audit."""

    entry: LockedPackage
    file: LockedFile
    criteria: tuple[Criterion, ...]
    """In the order of `CRITERIA`."""

    @property
    def key(self) -> Key:
        """That of the package."""
        return key_of(self.entry)


def needs(index: LockIndex) -> tuple[Need, ...]:
    """Return what a lock needs, in its order, for every target, extra and group.

    safe-to-build: each file of a package in a build environment, and each source distribution that has a build record.
    safe-to-run: each file of a package that is installed at run time.
    """
    in_builds = uses_of(index)
    found: list[Need] = []
    for entry in index.lock.packages:
        key = key_of(entry)
        archive = archive_file(entry)
        for file in (*files_of(entry), *((archive,) if archive is not None else ())):
            is_built = key in index.records and not file.name.endswith(".whl")
            runs: dict[Criterion, bool] = {
                "safe-to-build": key in in_builds or is_built,
                "safe-to-run": not is_gate(entry.marker),
            }
            criteria = tuple(criterion for criterion in CRITERIA if runs[criterion])
            if criteria:
                found.append(Need(entry=entry, file=file, criteria=criteria))
    return tuple(found)


# -- what is covered


Unit = tuple[int, str, Criterion]
"""A file of a record for one criterion: the record by its identity, and the sha256 of the file."""


class Step(Struct, frozen=True, kw_only=True, eq=False):
    """A file in one record, as a step of what covers a file."""

    record: FileAudit | FileExemption
    file: AuditedFile
    team: str = ""
    """Whose audit it is; empty: the project's own."""


class Coverage:
    """The files that are covered, by criterion and sha256.

    Audits come before exemptions: an exemption covers a file only where audits alone do not.
    """

    def __init__(self, vetting: Vetting) -> None:
        steps = [
            *_steps(vetting.audits),
            *(step for team, own in sorted(vetting.current_imports.items()) for step in _steps(own.audits, team)),
        ]
        exempt = list(_steps(vetting.config.exemptions))
        self._last = {criterion: _last_steps(criterion, steps, exempt) for criterion in CRITERIA}

    def chain(self, sha256: str, criterion: Criterion) -> Iterator[Step]:
        """Yield what covers a file, backwards: its deltas, then the step of a whole file. Nothing where it is not covered."""
        step = self._last[criterion].get(sha256)
        while step is not None:
            yield step
            step = self._last[criterion].get(step.file.base)

    def covers(self, sha256: str, criterion: Criterion) -> bool:
        """Whether a file is covered."""
        return sha256 in self._last[criterion]

    def missing(self, need: Need) -> tuple[Criterion, ...]:
        """Return the criteria for which a file is not covered."""
        return tuple(own for own in need.criteria if not self.covers(need.file.sha256, own))

    def used(self, needed: Iterable[Need]) -> frozenset[Unit]:
        """Return what covers these files."""
        found: set[Unit] = set()
        for need in needed:
            for criterion in need.criteria:
                for step in self.chain(need.file.sha256, criterion):
                    own = unit(step.record, step.file, criterion)
                    if own in found:
                        break  # and the steps before it too
                    found.add(own)
        return frozenset(found)


def unit(record: FileAudit | FileExemption, file: AuditedFile, criterion: Criterion) -> Unit:
    """Return a file of a record for one criterion, to be compared."""
    return id(record), file.sha256, criterion


def _steps(records: Sequence[FileAudit] | Sequence[FileExemption], team: str = "") -> Iterator[Step]:
    return (Step(record=record, file=file, team=team) for record in records for file in record.files)


def _last_steps(criterion: Criterion, audited: Sequence[Step], exempt: Sequence[Step]) -> Mapping[str, Step]:
    """Return by sha256 the last step of a chain that covers a file, with the fewest steps, of audits alone where there is one."""
    deltas: dict[str, list[Step]] = {}
    for step in audited:
        if step.file.base and criterion in step.record.criteria:
            deltas.setdefault(step.file.base, []).append(step)
    found: dict[str, Step] = {}
    for steps in (audited, exempt):
        waiting = deque(step for step in steps if not step.file.base and criterion in step.record.criteria)
        while waiting:
            step = waiting.popleft()
            if step.file.sha256 not in found:
                found[step.file.sha256] = step
                waiting.extend(deltas.get(step.file.sha256, ()))
    return found


def recorded(vetting: Vetting, project: str) -> list[FileAudit | FileExemption]:
    """Return every record of a project: its audits, those of other teams, its exemptions."""
    records: list[FileAudit | FileExemption] = [*vetting.audits]
    records += [audit for own in vetting.current_imports.values() for audit in own.audits]
    records += vetting.config.exemptions
    return [record for record in records if record.package == project]


def recorded_files(
    vetting: Vetting, project: str, version: str, criteria: Sequence[Criterion] = CRITERIA
) -> dict[str, str]:
    """Return the sha256 of the files of a release in the records, by name: of a covered file where there are several."""
    coverage = Coverage(vetting)
    found: dict[str, str] = {}
    files = [file for record in recorded(vetting, project) if record.version == version for file in record.files]
    for file in sorted(files, key=lambda file: -sum(coverage.covers(file.sha256, own) for own in criteria)):
        found.setdefault(file.name, file.sha256)
    return found


# -- what nothing needs


def without_unused(
    exemptions: Sequence[FileExemption], used: frozenset[Unit]
) -> Mapping[int, tuple[FileExemption, ...]]:
    """Return by position what is left of each exemption of which a part is not used: none, one, or one for each set of criteria."""
    found: dict[int, tuple[FileExemption, ...]] = {}
    for position, own in enumerate(exemptions):
        left: dict[tuple[Criterion, ...], list[AuditedFile]] = {}
        for file in own.files:
            criteria = tuple(each for each in own.criteria if unit(own, file, each) in used)
            left.setdefault(criteria, []).append(file)
        if left.keys() != {own.criteria}:
            found[position] = tuple(
                replace(own, criteria=criteria, files=tuple(files))
                for criteria, files in sorted(left.items())
                if criteria
            )
    return found


# -- files of two releases


def counterpart(filename: str, others: Iterable[str]) -> str | None:
    """Return the file of another release that a file is compared with: the sdist of an sdist, for a wheel one that fits alike.

    That is the wheel with the same tags, else the one with the most tags in common. None: there is none.
    """
    own = _tags(filename)
    if own is None:
        return next((name for name in others if _tags(name) is None), None)
    ranked = [
        (theirs == own, prod(len(one & other) for one, other in zip(own, theirs, strict=True)), name)
        for name in others
        if (theirs := _tags(name)) is not None
    ]
    same, common, best = max(ranked, default=(False, 0, ""))
    return best if same or common else None


def _tags(filename: str) -> tuple[frozenset[str], ...] | None:
    """Return the Pythons, ABIs and platforms of a wheel; None for an sdist."""
    if not filename.endswith(".whl"):
        return None
    return tuple(frozenset(part.split(".")) for part in tags_of(filename).split("-"))
