"""The work of `audit`: a lock, compared with advisories; what fixes each finding, and which of them are ignored.

The lock is not changed. Besides the sources of advisories only the index pages of affected projects are read, to find a version
with the fix and what excludes it. Without them the audit continues.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.analysis.advisories import (
    AdvisoriesOf,
    Hit,
    Use,
    compare,
    in_scope,
    unaffected,
)
from deep_lock.analysis.graph import whole_graph
from deep_lock.config.options import AuditOptions, VerifyOptions
from deep_lock.errors import ConfigError, IndexFault, NotCached, SafetyError
from deep_lock.events import Reporter, Warned
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.advisory import AuditSettings, VexStatement
from deep_lock.models.changes import Finding
from deep_lock.models.lock import Lock, source_text
from deep_lock.operations.advisory_sources import is_configured, look_up, no_source
from deep_lock.operations.held_back import HeldBack
from deep_lock.operations.inputs import LockedIndexes, LockFile, locked_indexes, open_indexes, part_of, read_lock_file
from deep_lock.operations.outdated import admits_prereleases, lock_command, lock_selection
from deep_lock.parsing.openvex import read_openvex
from deep_lock.project.checkout import require_inside
from deep_lock.project.files import read_text
from deep_lock.reports.audit import Audit, Audited, Fix, Fixable
from deep_lock.reports.outdated import Blocker
from deep_lock.resolver.candidates import choose

SUPPRESSING = frozenset({"not_affected", "fixed"})
"""Statuses of OpenVEX by which a vulnerability is ignored."""


def audit(options: AuditOptions, reporter: Reporter, *, with_fixes: bool = True) -> Audit:
    """Compare a lock with advisories; ``with_fixes`` as in `audit_lock`.

    Raises UsageError, LockInvalid, ConfigError, IndexFault and LimitExceeded.
    """
    file = read_lock_file(options.lock, reporter)
    if options.package:
        file = replace(file, lock=part_of(file.lock, options.package, options.lock))
    return audit_lock(file, options, reporter, with_fixes=with_fixes)


def audit_made(lock: Lock, text: str, options: AuditOptions, reporter: Reporter) -> Audit:
    """Compare the lock that a run made, which may not be written, with advisories. Raises as `audit`."""
    return audit_lock(LockFile(path=options.lock, text=text, lock=lock), options, reporter)


def require_source(options: AuditOptions) -> None:
    """Raise UsageError where neither the options nor the configuration name a source of advisories."""
    if not is_configured(options.sources, read_project_config(_folder(options))):
        raise no_source()


def _folder(options: AuditOptions) -> Path:
    return (options.folder or options.lock.parent).resolve()


def audit_lock(file: LockFile, options: AuditOptions, reporter: Reporter, *, with_fixes: bool = True) -> Audit:
    """Compare a lock that was read, or made, with advisories.

    Without ``with_fixes`` no index is used: a fix is then what the advisories name. Raises as `audit`.
    """
    lock, folder = file.lock, _folder(options)
    config = read_project_config(folder)
    settings = config.audit or AuditSettings()
    rules = _Rules(options, settings, folder)
    scope = options.scope or settings.scope or "all"
    lock_index = index_lock(lock)
    graph = whole_graph(lock_index, options.lock.name)
    looked_up = look_up(
        in_scope(lock_index, graph, scope),
        options.sources,
        config,
        folder,
        network=options.network,
        context=options.context,
        reporter=reporter,
    )
    compared = compare(lock_index, graph, looked_up.advisories, scope)
    if with_fixes:
        found = _with_fixes(lock, compared.hits, looked_up.advisories, options, reporter)
    else:
        found = [Audited(hit=hit, uses=tuple(Fixable(use=use, fix=None) for use in hit.uses)) for hit in compared.hits]
    rows = tuple(rules.decided(row) for row in found)
    return Audit(
        lock=options.lock.as_posix(),
        sources=looked_up.sources,
        packages=compared.packages,
        not_compared=compared.not_compared,
        scope=scope,
        fail_on=options.fail_on or settings.fail_on or "any",
        rows=rows,
        notes=tuple(rules.notes(rows)),
        targets=len(graph.labels),
        lines=file.lines,
    )


# -- what is ignored


class _Rules:
    """Decides which findings are ignored."""

    def __init__(self, options: AuditOptions, settings: AuditSettings, folder: Path) -> None:
        """Raises ConfigError for an OpenVEX document that cannot be read, and OutsideCheckout."""
        today = options.context.now.astimezone(UTC).date()
        self._current = [own for own in settings.ignore if today <= own.until]
        self._over = [own for own in settings.ignore if today > own.until]
        self._by_option = options.ignore
        self._until_fixed = (*options.ignore_until_fixed, *settings.ignore_until_fixed)
        checkout = options.context.checkout
        own = (require_inside(folder / text, checkout, "audit, openvex") for text in settings.openvex)
        paths = [*options.openvex, *own]
        self._vex = [own for path in paths for own in _read_vex(path)]

    def decided(self, row: Audited) -> Audited:
        """Return a row with the reason why it is ignored, or why it no longer is."""
        ids = {own.lower() for own in row.hit.vulnerability.ids}
        reason = self._reason(row, ids)
        statement = None if reason else _statement(self._vex, row.hit, ids)
        if statement is not None and statement.status in SUPPRESSING:
            stated = f": {statement.reason}" if statement.reason else ""
            reason = f"{statement.status.replace('_', ' ')}, by {statement.source}{stated}"
            row = replace(row, statement=statement)
        return replace(row, ignored=reason, remark="" if reason else self._remark(ids))

    def _reason(self, row: Audited, ids: set[str]) -> str:
        current = next((own for own in self._current if own.id.lower() in ids), None)
        if current is not None:
            return f"until {current.until}: {current.reason}"
        if any(own.lower() in ids for own in self._by_option):
            return "by the option --ignore"
        if any(own.lower() in ids for own in self._until_fixed) and not _has_fix(row):
            return "until there is a fix"
        return ""

    def _remark(self, ids: set[str]) -> str:
        over = next((own for own in self._over if own.id.lower() in ids), None)
        if over is not None:
            return f"no longer ignored: {over.id} was ignored until {over.until}: {over.reason}"
        if any(own.lower() in ids for own in self._until_fixed):
            return "no longer ignored: there is a fix"
        return ""

    def notes(self, rows: Sequence[Audited]) -> Iterator[Finding]:
        """Yield the settings that are over, and those that nothing needs."""
        found = {own.lower() for row in rows for own in row.hit.vulnerability.ids}
        for own in self._over:
            message = f"the entry of ignore expired on {own.until}: {own.reason}"
            hint = "remove it, or review it and set a new date"
            yield Finding(code="ignore-expired", severity="finding", subject=own.id, message=message, hint=hint)
        for text in (*(own.id for own in self._current), *self._by_option, *self._until_fixed):
            if text.lower() not in found:
                message = "is ignored, and no package of the lock has it"
                yield Finding(code="ignore-unused", severity="note", subject=text, message=message)


def _has_fix(row: Audited) -> bool:
    return bool(row.hit.vulnerability.fixed_in) or any(own.fix is not None for own in row.uses)


def _statement(statements: Iterable[VexStatement], hit: Hit, ids: set[str]) -> VexStatement | None:
    """Return the last statement about a vulnerability in a package."""
    found = None
    for own in statements:
        is_of_package = own.package == canonicalize_name(hit.entry.name) and own.version in {"", hit.entry.version}
        if is_of_package and any(text.lower() in ids for text in own.ids):
            found = own
    return found


def _read_vex(path: Path) -> tuple[VexStatement, ...]:
    try:
        text = read_text(path, ConfigError)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file", hint="name an OpenVEX document") from None
    return read_openvex(text.encode(), path.name)


# -- what fixes it


def _with_fixes(
    lock: Lock, hits: Sequence[Hit], advisories: AdvisoriesOf, options: AuditOptions, reporter: Reporter
) -> list[Audited]:
    """Return the hits with what fixes them, by the indexes of the lock; where these fail, by the advisories alone."""
    if not hits:
        return []
    verify = VerifyOptions(lock=options.lock, network=options.network, context=options.context)
    with closing(open_indexes(lock, verify, reporter, refresh=False)) as opened:
        indexes = locked_indexes(lock, opened.client)
        released = (hit.entry for hit in hits if hit.entry.source is None)
        opened.client.prefetch_pages(sorted({(canonicalize_name(own.name), indexes.of(own)) for own in released}))
        fixes = _Fixes(lock, indexes, hits, advisories, lock_path=options.lock)
        rows = [
            Audited(hit=hit, uses=tuple(Fixable(use=use, fix=fixes.of(hit, use)) for use in hit.uses)) for hit in hits
        ]
    if fixes.fault:
        message = f"an index cannot be used, and its fixes are those of the advisories only: {fixes.fault}"
        reporter(Warned(code="FixesNotChecked", subject=options.lock.name, message=message))
    return rows


class _Fixes:
    """Looks up what fixes a package in an environment. Each is looked up once."""

    def __init__(
        self,
        lock: Lock,
        indexes: LockedIndexes,
        hits: Sequence[Hit],
        advisories: AdvisoriesOf,
        *,
        lock_path: Path,
    ) -> None:
        self._indexes = indexes
        self._client = indexes.client
        self._hits = hits
        self._advisories = advisories
        self._command = lock_command(lock, lock_path)
        self._targets = {target.label: target for target in chosen_targets(lock, (), lock_path.name)}
        self._selection = lock_selection(lock)
        self._held = HeldBack(index_lock(lock), indexes, self._selection)
        self._known: dict[tuple[object, int], Fix | None] = {}
        self.fault = ""
        """Why an index could not be used."""
        self._down: set[str | None] = set()
        """Indexes that failed: each further query may take its whole deadline."""

    def of(self, hit: Hit, use: Use) -> Fix | None:
        """Return what fixes a package in an environment; None where no version does."""
        key = hit.key, id(use.build)
        if key not in self._known:
            self._known[key] = self._found(hit, use)
        return self._known[key]

    def _found(self, hit: Hit, use: Use) -> Fix | None:
        if hit.entry.source is None and hit.entry.index not in self._down:
            try:
                return self._by_index(hit, use)
            except (IndexFault, SafetyError) as error:
                self.fault = self.fault or error.message
                if not isinstance(error, NotCached):
                    self._down.add(hit.entry.index)
        return self._by_advisories(hit, use)

    def _by_index(self, hit: Hit, use: Use) -> Fix | None:
        name, locked = canonicalize_name(hit.entry.name), Version(hit.entry.version or "0")
        index = self._indexes.of(hit.entry)
        targets = [self._targets[label] for label in use.targets]
        pre = admits_prereleases(self._selection, name, locked)
        newest_first = [own for own in self._client.versions(name, index) if pre or not own.is_prerelease]
        candidates = [own for own in reversed(newest_first) if own > locked]
        if hit.vulnerability.is_malware:  # often there is no later release yet
            candidates += [own for own in newest_first if own < locked]
        for version in unaffected(candidates, self._advisories[name]):
            files = self._client.files(name, version, index)
            if all(choose(files, target, self._selection) is not None for target in targets):
                blockers = self._held.blockers(name, version, targets, use.build)
                return Fix(
                    version=str(version),
                    command="" if blockers else self._command_for(hit, str(version), use),
                    blocked_by=blockers,
                )
        return None

    def _by_advisories(self, hit: Hit, use: Use) -> Fix | None:
        """Return the lowest version that an advisory on the package names as fixed, and that none affects."""
        named = {Version(text) for own in self._hits if own.key == hit.key for text in own.vulnerability.fixed_in}
        name = canonicalize_name(hit.entry.name)
        version = next(unaffected(sorted(named), self._advisories[name]), None)
        if version is None:
            return None
        if hit.entry.source is not None:
            requirement = f"{name} @ {source_text(hit.entry.source)}"
            blocker = Blocker(package="", requirement=requirement, reason="its source decides the version")
            return Fix(version=str(version), command="", blocked_by=(blocker,), is_checked=False)
        return Fix(version=str(version), command=self._command_for(hit, str(version), use), is_checked=False)

    def _command_for(self, hit: Hit, version: str, use: Use) -> str:
        build = f" --in-build {use.build.name}" if use.build is not None else ""
        return f"{self._command} -P {hit.entry.name}=={version}{build}"
